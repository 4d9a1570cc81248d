"""The query part of the FHIR API: a short list of parameters a route, and a refusal for everything else.

Searching can leak what reading refuses (`_has`, chaining, includes, sorts and totals over shut sections), so a parameter that is not
listed is a fault and never ignored, whatever `Prefer` says. Matching (`match.py`) is over what
the door has already opened.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl

from fhir_profiles.errors import Invalid
from hub.api.answers import NotAcceptable

PAGE: Final = 50
MAX_PAGE: Final = 100
_ID: Final = re.compile(r"[0-9a-f]{32}")
_RESOURCE_ID: Final = re.compile(r"[0-9a-f]{64}")
_JSON: Final = frozenset({"json", "application/json", "application/fhir+json", "text/json"})
_ACCEPTED: Final = frozenset({"*/*", "application/*", "application/json", "application/fhir+json", "text/json"})
_REPEATABLE: Final = frozenset({"date"})

@dataclass(frozen=True, slots=True)
class Query:
    """The parameters of one request, each on the route's list. `text` is the query as it is recorded in the trail."""

    values: dict[str, list[str]]
    text: str

    def one(self, name: str) -> str:
        """The value of a parameter, empty when it was not sent."""
        return self.values.get(name, [""])[0]

    def all(self, name: str) -> list[str]:
        """Every value of a parameter that may be repeated."""
        return self.values.get(name, [])


def query_of(raw: bytes, allowed: Collection[str]) -> Query:
    """Read a query string. Raises `Invalid` for a parameter that is not listed, twice there, empty or not UTF-8."""
    try:
        pairs = parse_qsl(raw.decode("ascii"), keep_blank_values=True, strict_parsing=bool(raw), errors="strict", max_num_fields=20)
    except ValueError:
        raise Invalid("the query cannot be read", code="query") from None
    values: dict[str, list[str]] = {}
    for name, value in pairs:
        if name not in allowed and name != "_format":
            raise Invalid("this search takes no other parameters than: " + ", ".join(sorted(allowed)), code="search-parameter")
        if not value or not value.isprintable() or (name in values and name not in _REPEATABLE):
            raise Invalid(f"parameter {name} is empty, unreadable or there twice", code="search-value")
        values.setdefault(name, []).append(value)
    if values.pop("_format", ["json"])[0] not in _JSON:
        raise NotAcceptable("this server writes FHIR JSON only")
    return Query(values, raw.decode("ascii"))


def accepts(headers: Sequence[tuple[bytes, bytes]]) -> None:
    """Raises `NotAcceptable` when the caller takes nothing that we write."""
    wanted = ",".join(value.decode("latin-1") for name, value in headers if name == b"accept")
    if wanted.strip() and not any(_taken(part) for part in wanted.lower().split(",")):
        raise NotAcceptable("this server writes FHIR JSON only")


def _taken(part: str) -> bool:
    kind, *parameters = (piece.strip() for piece in part.split(";"))
    return kind in _ACCEPTED and not any(re.fullmatch(r"q=0(\.0*)?", p) for p in parameters)


def id_of(text: str) -> str:
    """A pseudonym or pregnancy id. Raises `Invalid` for what cannot be one."""
    if not _ID.fullmatch(text):
        raise Invalid("this is not an id of this server", code="id")
    return text


def plan_id_of(text: str) -> tuple[str, str]:
    """(subject, pregnancy) of a CarePlan's or Composition's id; without a pregnancy in it, it is empty and means the present one."""
    return id_of(text[:32]), id_of(text[32:]) if text[32:] else ""


def resource_id_of(text: str) -> str:
    """The id of a fact (64 characters). Raises `Invalid` for what cannot be one."""
    if not _RESOURCE_ID.fullmatch(text):
        raise Invalid("this is not an id of this server", code="id")
    return text


def subject_of(query: Query, base_url: str, own: str = "") -> str:
    """The one woman that a search is about, as `patient` or `subject`: an id, Patient/id, or its full address here.

    Whoever names nobody means `own`, her own pseudonym; without one that is `Invalid`.
    """
    given = [value for name in ("patient", "subject") for value in query.all(name)] or ([own] if own else [])
    if len(given) != 1:
        raise Invalid("a search names exactly one patient", code="patient")
    return id_of(given[0].removeprefix(base_url + "/").removeprefix("Patient/"))


def page_of(query: Query) -> tuple[int, int]:
    """(first, count) of the page that is asked for; `_page` counts from 1."""
    count = whole(query.one("_count") or str(PAGE), "_count", 0, MAX_PAGE)
    page = whole(query.one("_page") or "1", "_page", 1, 100_000)
    return (page - 1) * count, count


def whole(text: str, name: str, low: int, high: int) -> int:
    """A whole number within bounds; a `_count` above the most is cut to it, as FHIR allows."""
    if not re.fullmatch(r"[0-9]{1,9}", text) or int(text) < low:
        raise Invalid(f"parameter {name} is not a number that we take", code="search-value")
    return min(int(text), high)
