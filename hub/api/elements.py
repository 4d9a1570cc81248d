"""FHIR R4 datatypes out of texts that sources sent: whatever the text holds, what comes out fits the standard, or is left out.

Source: FHIR R4 (4.0.1), datatypes and narrative.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from html import escape
from typing import Any, Final

from fhir_profiles.dates import is_date_time, is_instant, moment_of

Fhir = dict[str, Any]

_UNFIT: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]|[\x7f-\x9f]")


def text_of(text: str) -> str:
    """The text without characters that FHIR and XML forbid and without white space around it; empty when nothing is left."""
    return _UNFIT.sub("", text).strip()


def date_time_of(text: str) -> str:
    """The dateTime as precise as it was given; without a time zone only the day is kept, because FHIR takes no time without one."""
    if is_date_time(text):
        return text
    return text[:10] if is_date_time(text[:10]) and len(text) > 10 else ""


def instant_of(text: str) -> str:
    """The instant, or empty when the text is less than a full time with zone."""
    return text if is_instant(text) else ""


def moments(text: str) -> tuple[datetime, datetime] | None:
    """The first moment that a date or dateTime may mean and the first one after it; days count in UTC. None when it is neither."""
    text = date_time_of(text)
    try:
        if is_instant(text):
            start = moment_of(text)
            return start, start + timedelta(microseconds=1)
        if not text:
            return None
        start = datetime.fromisoformat((text + "-01-01")[:10]).replace(tzinfo=UTC)
        return start, _after(start, len(text))
    except (ValueError, OverflowError):  # the calendar ends with the year 9999
        return None


def _after(start: datetime, length: int) -> datetime:
    if length == 4:
        return start.replace(year=start.year + 1)
    if length == 7:
        return start.replace(year=start.year + start.month // 12, month=start.month % 12 + 1)
    return start + timedelta(days=1)


def pruned(value: Any) -> Any:
    """The value with clean texts and without its empty parts: FHIR knows no empty text, list or object."""
    if isinstance(value, dict):
        kept = {name: pruned(part) for name, part in value.items()}
        return {name: part for name, part in kept.items() if not _empty(part)}
    if isinstance(value, (list, tuple)):
        return [part for part in map(pruned, value) if not _empty(part)]
    return text_of(value) if isinstance(value, str) else value


def _empty(value: object) -> bool:
    return value is None or value in ("", [], {})


def concept(system: str, code: str, display: str = "") -> Fhir:
    """A CodeableConcept of one coding."""
    return {"coding": [{"system": system, "code": code, "display": display}]}


def table(title: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> Fhir:
    """A generated narrative with one table. Everything that is not our own mark-up is escaped."""
    body = "".join("<tr>" + "".join(f"<td>{_safe(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    top = "<tr>" + "".join(f"<th>{_safe(cell)}</th>" for cell in head) + "</tr>"
    return narrative(title, f"<table><thead>{top}</thead><tbody>{body}</tbody></table>" if body else "<p>Niets bekend.</p>")


def paragraph(title: str, text: str) -> Fhir:
    """A generated narrative with one paragraph."""
    return narrative(title, f"<p>{_safe(text) or '-'}</p>")


def narrative(title: str, inner: str) -> Fhir:
    """A generated narrative around mark-up that is already safe."""
    return {"status": "generated", "div": f'<div xmlns="http://www.w3.org/1999/xhtml"><p><b>{_safe(title) or "-"}</b></p>{inner}</div>'}


def _safe(text: str) -> str:
    return escape(text_of(text), quote=True)
