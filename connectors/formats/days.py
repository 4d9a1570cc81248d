"""Days and times as FHIR writes them: whether they can be, whether they lie in the past, and as sortable text. Precision is the source's own."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any, Final

from fhir_profiles.errors import Invalid

_DATE: Final = re.compile(
    r"([0-9]{4})(?:-(0[1-9]|1[0-2])(?:-(0[1-9]|[12][0-9]|3[01])(T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{1,9})?"
    r"(?:Z|[+-](?:0[0-9]|1[0-4]):[0-5][0-9]))?)?)?")
EARLIEST: Final = 1880
"""The first year in which something can have happened to somebody who is alive."""

_OLDEST: Final = 120
DUE_DAYS: Final = 310
"""How far ahead a due date (à terme datum) may lie."""


def check_date(value: Any, path: str) -> None:
    """Refuse what is not a FHIR date or dateTime of the calendar; the precision is the source's own business."""
    match = _DATE.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise Invalid("a date is not written as FHIR asks", path=path, code="date-format")
    year, month, day = int(match[1]), int(match[2] or 1), int(match[3] or 1)
    try:
        datetime(max(year, 1), month, day)
    except ValueError as error:
        raise Invalid("a date does not exist", path=path, code="date-impossible") from error
    if year < EARLIEST:
        raise Invalid("a date lies too far back", path=path, code="date-impossible")


def not_after(value: str, limit: str, path: str) -> None:
    """Refuse a date later than `limit` (both ISO, compared as far as the date is precise)."""
    day = value[:10]
    if day > limit[: len(day)]:
        raise Invalid("a date lies in the future", path=path, code="date-impossible")


def check_born(day: str, today: str, path: str) -> None:
    """Refuse a day of birth that makes someone older than anyone has become (both ISO, compared by year)."""
    if int(today[:4]) - int(day[:4]) > _OLDEST:
        raise Invalid("nobody is as old as this day of birth says", path=path, code="date-impossible")


def day_after(moment: str, days: int) -> str:
    """The ISO date so many days after an ISO moment."""
    return (datetime.fromisoformat(moment[:10]) + timedelta(days=days)).date().isoformat()


def utc(value: str) -> str:
    """A FHIR dateTime as sortable UTC text; less than a full time counts from its beginning. Empty when it cannot be read."""
    if not _DATE.fullmatch(value):
        return ""
    try:
        moment = datetime.fromisoformat(value if len(value) > 10 else (value + "-01-01")[:10] + "T00:00:00+00:00")
        return (moment - (moment.utcoffset() or timedelta())).strftime("%Y-%m-%dT%H:%M:%S.%f")[:23] + "Z"
    except (ValueError, OverflowError):
        return ""
