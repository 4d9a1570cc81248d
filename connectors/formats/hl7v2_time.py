"""Times in HL7 v2 (TS, DTM, DT): as precise as given, and a sortable UTC text beside it.

A time without offset is local time in the Netherlands. In the hour that comes twice in October the first one is meant (summer time).

Source: HL7 v2.5.1 2.A.77 (TS) and 2.A.21 (DT): YYYY[MM[DD[HH[MM[SS[.S[S[S[S]]]]]]]]][+/-ZZZZ].
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta, timezone
from functools import lru_cache
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from connectors.formats.days import EARLIEST
from fhir_profiles.errors import Invalid

_LOCAL: Final = ZoneInfo("Europe/Amsterdam")
_STAMP: Final = re.compile(r"(\d{4})(?:(\d\d)(?:(\d\d)(?:(\d\d)(?:(\d\d)(?:(\d\d)(\.\d{1,4})?)?)?)?)?)?([+-]\d{4})?", re.ASCII)
_LAST_YEAR: Final = 2199


class Moment(NamedTuple):
    """`fhir` is a FHIR date or dateTime as precise as the source gave, `day` its date part, `utc` sortable UTC text."""

    fhir: str
    day: str
    utc: str


@lru_cache(maxsize=8192)
def moment(stamp: str) -> Moment:
    """Read a stamp; midnight to the second counts as a date, for senders that pad dates with zeros.

    Raises `Invalid` (date-impossible) for anything that is not a moment of the calendar, without repeating it.
    """
    found = _STAMP.fullmatch(stamp)
    if found is None:
        raise _impossible()
    year, month, day, hour, minute, second, fraction, offset = found.groups()
    try:
        return _read(year, month, day, hour, minute, second, fraction or "", offset)
    except (ValueError, OverflowError):
        raise _impossible() from None


def _impossible() -> Invalid:
    return Invalid("not a possible date or time", code="date-impossible")


def _read(year: str, month: str | None, day: str | None, hour: str | None, minute: str | None, second: str | None, fraction: str,
          offset: str | None) -> Moment:
    first = date(int(year), int(month or 1), int(day or 1))
    if not EARLIEST <= first.year <= _LAST_YEAR:
        raise ValueError("no year for a person alive")
    text = year + (f"-{month}" if month else "") + (f"-{day}" if day else "")
    zone = _zone(offset) if offset else _LOCAL
    if hour is None or (hour, minute, second) == ("00", "00", "00"):
        return Moment(text, text, _utc(datetime(first.year, first.month, first.day, tzinfo=zone)))
    at = datetime(first.year, first.month, first.day, int(hour), int(minute or 0), int(second or 0), tzinfo=zone)
    at += timedelta(microseconds=int(fraction[1:].ljust(6, "0"))) if fraction else timedelta()
    shown = at.isoformat(timespec="milliseconds" if fraction else "seconds")
    return Moment(shown, text, _utc(at))


def _zone(offset: str) -> timezone:
    hours, minutes = int(offset[1:3]), int(offset[3:5])
    if minutes > 59 or hours > 14:
        raise ValueError("no such offset")
    span = timedelta(hours=hours, minutes=minutes)
    return timezone(-span if offset[0] == "-" else span)


def _utc(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds")[:23] + "Z"
