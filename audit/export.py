"""The trail to take away: a FHIR Bundle of AuditEvents, and CSV that is safe to open in a spreadsheet. Both are written piece by piece."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from typing import Final

import orjson

from audit.audit_event import to_audit_event
from audit.entry import Line

CSV_COLUMNS: Final = (
    "nummer", "nummer-client", "geschreven", "begin", "gebeurtenis", "actie", "resultaat", "reden", "controles", "gebruiker", "naam", "rol",
    "doel", "ura", "organisatie", "client", "zwangerschap", "geopend", "gesloten", "autorisatieprotocol", "regels", "behandelrelatie",
    "toestemming", "zoekvraag", "toegangspunt", "verzoek",
)
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n")


def bundle(lines: Iterable[Line], kind: str = "collection") -> Iterator[bytes]:
    """The lines as one FHIR R4 Bundle (collection or searchset), a piece a line; joined, the pieces are one JSON text."""
    yield b'{"resourceType":"Bundle","type":"' + kind.encode() + b'"'
    before = b',"entry":['
    for line in lines:
        event = to_audit_event(line)
        search = {"search": {"mode": "match"}} if kind == "searchset" else {}
        yield before + orjson.dumps({"fullUrl": f"urn:ooievaar:audit:{event['id']}", "resource": event, **search})
        before = b","
    # FHIR has no empty lists: a bundle without lines has no entry at all.
    yield b"}" if before != b"," else b"]}"


def table(lines: Iterable[Line]) -> Iterator[bytes]:
    """The lines as CSV (UTF-8 with byte order mark, semicolons, CRLF, as Dutch spreadsheets read it), a piece a line."""
    yield "\ufeff".encode() + _csv(CSV_COLUMNS)
    for line in lines:
        yield _csv(_cells(line))


def _cells(line: Line) -> tuple[str, ...]:
    what, who, about = line.entry.what, line.entry.who, line.entry.about
    closed = " ".join(f"{section}:{reason}" for section, reason in about.closed)
    return (
        str(line.seq), str(line.subject_seq), line.recorded, what.at, what.code, what.action, what.outcome, what.reason, what.controls,
        who.id, who.name, who.role, who.purpose, who.ura, who.organisation, about.subject, about.episode, " ".join(about.opened), closed,
        about.release, " ".join(about.policies), about.relation, about.consent, about.query, who.network, about.request_id,
    )


def _csv(cells: Iterable[str]) -> bytes:
    out = io.StringIO()
    csv.writer(out, delimiter=";", quoting=csv.QUOTE_ALL, lineterminator="\r\n").writerow([_safe(cell) for cell in cells])
    return out.getvalue().encode()


def _safe(cell: str) -> str:
    """A spreadsheet runs a cell that begins like a formula; an apostrophe before it makes it text."""
    cell = cell.replace("\x00", "")
    return f"'{cell}" if cell.lstrip().startswith(_FORMULA) or cell.startswith(_FORMULA) else cell
