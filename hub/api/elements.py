"""FHIR R4 datatypes out of texts that sources sent: whatever the text holds, what comes out fits the standard, or is left out.

Source: FHIR R4 (4.0.1), datatypes and narrative.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from html import escape
from typing import Any, Final

_UNFIT: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]|[\x7f-\x9f]")
_DATE: Final = re.compile(r"([0-9]{4})(-(0[1-9]|1[0-2])(-(0[1-9]|[12][0-9]|3[01]))?)?")
_TIME: Final = re.compile(r"T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,9})?(Z|[+-](0[0-9]|1[0-4]):[0-5][0-9])")


def text_of(text: str) -> str:
    """The text without characters that FHIR and XML forbid, without white space around it; empty when nothing is left."""
    return _UNFIT.sub("", text).strip()


def date_of(text: str) -> str:
    """The date as precise as it was given (2026, 2026-03, 2026-03-12), cut from a date and time if need be; empty when it is no real day."""
    found = _DATE.match(text)
    if not found or not _real(found.group(0)):
        return ""
    return found.group(0)


def date_time_of(text: str) -> str:
    """The dateTime; without a time zone only the day is kept, because FHIR takes no time without one."""
    day = date_of(text)
    return text if len(day) == 10 and _TIME.fullmatch(text, 10) else day


def instant_of(text: str) -> str:
    """The instant, or empty when the text is less than a full time with zone."""
    found = date_time_of(text)
    return found if len(found) > 10 else ""


def _real(day: str) -> bool:
    try:
        date.fromisoformat((day + "-01-01")[:10])
    except ValueError:
        return False
    return True


def moments(text: str) -> tuple[datetime, datetime] | None:
    """The first moment that a date or dateTime may mean and the first one after it; days count in UTC. None when it is neither."""
    full = date_time_of(text)
    if not full:
        return None
    start = datetime.fromisoformat((full + "-01-01")[:10] + "T00:00:00+00:00" if len(full) <= 10 else _microseconds(full))
    return start, _after(start, len(full))


def _microseconds(full: str) -> str:
    return re.sub(r"(\.[0-9]{6})[0-9]+", r"\1", full)


def _after(start: datetime, length: int) -> datetime:
    from datetime import timedelta

    try:
        if length == 4:
            return start.replace(year=start.year + 1)
        if length == 7:
            return start.replace(year=start.year + start.month // 12, month=start.month % 12 + 1)
        return start + (timedelta(days=1) if length == 10 else timedelta(microseconds=1))
    except (ValueError, OverflowError):
        return start


def pruned(value: Any) -> Any:
    """The value without its empty parts: FHIR knows no empty text, list or object."""
    if isinstance(value, dict):
        kept = {name: pruned(part) for name, part in value.items()}
        return {name: part for name, part in kept.items() if part not in ("", None, [], {})}
    if isinstance(value, (list, tuple)):
        return [part for part in (pruned(part) for part in value) if part not in ("", None, [], {})]
    return text_of(value) if isinstance(value, str) else value


def table(title: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> dict[str, str]:
    """A generated narrative with one table. Everything that is not our own mark-up is escaped."""
    body = "".join("<tr>" + "".join(f"<td>{_safe(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    top = "<tr>" + "".join(f"<th>{_safe(cell)}</th>" for cell in head) + "</tr>"
    inner = f"<table><thead>{top}</thead><tbody>{body}</tbody></table>" if body else "<p>Niets bekend.</p>"
    return {"status": "generated", "div": f'<div xmlns="http://www.w3.org/1999/xhtml"><p><b>{_safe(title)}</b></p>{inner}</div>'}


def _safe(text: str) -> str:
    return escape(text_of(text), quote=True)
