"""The query part of the FHIR API: a short list of parameters a route, and a refusal for everything else.

Searching can leak what reading refuses (`_has`, chaining, includes, sorts and totals over shut sections), so a parameter that is not
listed is a fault and never ignored, whatever `Prefer` says. All matching is over what the door has already opened.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeVar
from urllib.parse import parse_qsl

from fhir_profiles.codes import system_of
from fhir_profiles.errors import Invalid
from hub.api.answers import NotAcceptable
from hub.api.elements import Fhir, moments

PAGE: Final = 50
MAX_PAGE: Final = 100
_ID: Final = re.compile(r"[0-9a-f]{32}")
_RESOURCE_ID: Final = re.compile(r"[0-9a-f]{64}")
_JSON: Final = frozenset({"json", "application/json", "application/fhir+json", "text/json"})
_ACCEPTED: Final = frozenset({"*/*", "application/*", "application/json", "application/fhir+json", "text/json"})
_DATE: Final = re.compile(r"(eq|ne|gt|lt|ge|le|sa|eb)?([0-9].*)")
_REPEATABLE: Final = frozenset({"date"})

T = TypeVar("T")


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


def resource_id_of(text: str) -> str:
    """The id of a fact (64 characters). Raises `Invalid` for what cannot be one."""
    if not _RESOURCE_ID.fullmatch(text):
        raise Invalid("this is not an id of this server", code="id")
    return text


def subject_of(query: Query, base_url: str) -> str:
    """The one woman that a search is about, as `patient` or `subject`: an id, Patient/id, or its full address here."""
    given = [value for name in ("patient", "subject") for value in query.all(name)]
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


def matches_code(wanted: str) -> Callable[[Fhir], bool]:
    """Whether a resource has one of the codes (`system|code`, `code`, `|code`, `system|`, comma is or)."""
    tokens = [_token(part) for part in wanted.split(",")]

    def matches(resource: Fhir) -> bool:
        codings = resource.get("code", {}).get("coding", [])
        return any(_is(token, coding) for token in tokens for coding in codings)

    return matches


def _token(text: str) -> tuple[str | None, str]:
    system, bar, code = text.partition("|")
    found = (system_of(system), code) if bar else (None, system)
    if not any(found):
        raise Invalid("a code is missing", code="search-value")
    return found


def _is(token: tuple[str | None, str], coding: Fhir) -> bool:
    system, code = token
    return system in (None, coding.get("system", "")) and code in ("", coding.get("code"))


def matches_dates(wanted: Sequence[str]) -> Callable[[str], bool]:
    """Whether a clinical time fits all of the dates, by the FHIR rules for ranges; what has no time fits none."""
    tests = [_date_test(text) for text in wanted]

    def matches(effective: str) -> bool:
        span = moments(effective)
        return span is not None and all(test(span) for test in tests)

    return matches if tests else lambda effective: True


Span = tuple[datetime, datetime]


def date_range(text: str) -> tuple[str, Span]:
    """The prefix and the span of a date parameter. Raises `Invalid`."""
    found = _DATE.fullmatch(text)
    # A plus in an address means a space; a zone that came in so is meant.
    span = moments(found.group(2).replace(" ", "+")) if found else None
    if found is None or span is None:
        raise Invalid("a date is 2026, 2026-03, 2026-03-12, or has a time and zone; a prefix may go before it", code="search-date")
    return found.group(1) or "eq", span


def _date_test(text: str) -> Callable[[Span], bool]:
    prefix, (low, high) = date_range(text)
    within: Callable[[Span], bool] = lambda s: low <= s[0] and s[1] <= high  # noqa: E731
    return {
        "eq": within, "ne": lambda s: not within(s), "gt": lambda s: s[1] > high, "lt": lambda s: s[0] < low,
        "ge": lambda s: s[1] > high or within(s), "le": lambda s: s[0] < low or within(s),
        "sa": lambda s: s[0] >= high, "eb": lambda s: s[1] <= low,
    }[prefix]


def newest_first(items: list[tuple[T, str]], sort: str) -> list[T]:
    """The things by their clinical time, newest first with `-date`, as they stand without; those without a time come last."""
    if sort not in ("", "-date"):
        raise Invalid("the only order is -date", code="search-sort")
    if not sort:
        return [thing for thing, _ in items]
    dated = [(span[0], thing) for thing, when in items if (span := moments(when))]
    undated = [thing for thing, when in items if not moments(when)]
    return [*(thing for _, thing in sorted(dated, key=lambda d: d[0], reverse=True)), *undated]
