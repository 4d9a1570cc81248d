"""Dates and times of FHIR R4, with days that exist.

The patterns stand here once: the generated schema holds them, and Python reads with them. 30 February and 29 February of a common year
are refused by the pattern itself, so no second look is needed. Narrower than R4 in two ways, since no calendar library holds them: a leap
second (`:60`) is refused, and a fraction has at most twelve digits.

Source: FHIR R4 4.0.1, datatypes, `date`, `dateTime`, `instant`, `time`.
"""

from __future__ import annotations

import re
from datetime import date, datetime
from typing import Final

from fhir_profiles.errors import Invalid

_YEAR: Final = "(?:[0-9](?:[0-9](?:[0-9][1-9]|[1-9]0)|[1-9]00)|[1-9]000)"
_LEAP_YEAR: Final = "(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:0[48]|[2468][048]|[13579][26])00)"
_MONTH: Final = "(?:0[1-9]|1[0-2])"
_MONTH_AND_DAY: Final = (
    "(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|02-(?:0[1-9]|1[0-9]|2[0-8]))"
)
_DAY: Final = f"(?:{_YEAR}-{_MONTH_AND_DAY}|{_LEAP_YEAR}-02-29)"
_CLOCK: Final = "(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\\.[0-9]{1,12})?"
_ZONE: Final = "(?:Z|[+-](?:0[0-9]|1[0-3]):[0-5][0-9]|[+-]14:00)"

DATE: Final = f"{_YEAR}(?:-{_MONTH})?|{_DAY}"
DATE_TIME: Final = f"{_YEAR}(?:-{_MONTH})?|{_DAY}(?:T{_CLOCK}{_ZONE})?"
INSTANT: Final = f"{_DAY}T{_CLOCK}{_ZONE}"
TIME: Final = _CLOCK

_is_date: Final = re.compile(DATE).fullmatch
_is_date_time: Final = re.compile(DATE_TIME).fullmatch
_is_instant: Final = re.compile(INSTANT).fullmatch


def is_date(text: str) -> bool:
    """Whether it is an R4 `date`: a year, a month or a day that exists."""
    return _is_date(text) is not None


def is_date_time(text: str) -> bool:
    """Whether it is an R4 `dateTime`: a `date`, or a day with a time to the second and a zone."""
    return _is_date_time(text) is not None


def is_instant(text: str) -> bool:
    """Whether it is an R4 `instant`: a day with a time to the second and a zone."""
    return _is_instant(text) is not None


def day_of(text: str) -> date:
    """The day of a `date` or `dateTime` that says one. Raises `Invalid` for a year, a month, or no date at all."""
    if len(text) < 10 or not is_date_time(text):
        raise Invalid("expected a day that exists, as YYYY-MM-DD", code="date")
    return date.fromisoformat(text[:10])


def moment_of(text: str) -> datetime:
    """The moment of an `instant` or of a `dateTime` with a time, cut to microseconds. Raises `Invalid` where it says no time."""
    if not is_instant(text):
        raise Invalid("expected a moment with a zone, as YYYY-MM-DDThh:mm:ss+zz:zz", code="date")
    fraction, zone = text[19:].replace("Z", "+00:00")[:-6], text[-6:].replace("Z", "+00:00") if text[-1] != "Z" else "+00:00"
    return datetime.fromisoformat(f"{text[:19]}.{fraction[1:7].ljust(6, '0')}{zone}")


def runs_backwards(start: str, end: str) -> bool:
    """Whether a period surely ends before it starts (invariant per-1); what overlaps in an imprecise date is no fault.

    Two moments are compared as moments, so a change of zone does not matter; anything else is compared as far as both are precise.
    Texts that are no dates give False: the schema refuses those.
    """
    if start <= end and start[19:] == end[19:]:  # In order as text, and in one zone: nearly every period.
        return False
    if is_instant(start) and is_instant(end):
        return _later(start, end)
    precise = min(len(start), len(end), 10)
    return is_date_time(start) and is_date_time(end) and start[:precise] > end[:precise]


def _later(start: str, end: str) -> bool:
    try:
        return moment_of(start) > moment_of(end)
    except OverflowError:  # Years 0001 and 9999 leave the calendar when a zone is added.
        return start[:10] > end[:10]
