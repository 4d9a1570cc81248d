"""Which resources fit a search: codes and dates by the rules of FHIR R4 search, over what the door has opened and nothing else."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final, TypeVar

from fhir_profiles.codes import BY_NAME, system_of
from fhir_profiles.dates import is_date_time
from fhir_profiles.errors import Invalid
from hub.api.elements import Fhir, moments
from hub.api.resources import PLAN_SYSTEM

_DATE: Final = re.compile(r"(eq|ne|gt|lt|ge|le|sa|eb)?([0-9].*)")

T = TypeVar("T")


def matches_code(wanted: str) -> Callable[[Fhir], bool]:
    """Whether a resource has one of the codes (`system|code`, `code`, `|code`, `system|`, comma is or).

    A code finds its whole concept: whoever asks by an older or newer standard's code for the same fact gets it too.
    """
    tokens = [_token(part) for part in wanted.split(",")]

    def matches(resource: Fhir) -> bool:
        codings = _all_codings(resource)
        return any(_is(token, coding) for token in tokens for coding in codings)

    return matches


def _all_codings(resource: Fhir) -> list[Fhir]:
    own: list[Fhir] = resource.get("code", {}).get("coding", [])
    known = next((BY_NAME[c["code"]] for c in own if c.get("system") == PLAN_SYSTEM and c.get("code") in BY_NAME), None)
    return [*own, *(coding.fhir() for coding in (known.codings if known else ()))]


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
    when = found.group(2).replace(" ", "+") if found else ""
    span = moments(when) if is_date_time(when) else None
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
