"""HL7 v2 from HiX → FHIR R4: which events are taken, and in what order their segments are read.

ADT tells who she is, that she is under treatment here, and what is known of her (allergies, diagnoses, contact persons). ORU^R01 tells
results. Anything else is refused by name and waits. `README.md` says what gets lost.

Source: HL7 v2.5.1 chapters 3 and 7; the HL7 "v2 to FHIR" implementation guide; nl-core zib 2020 for names and addresses.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from connectors.contract import Fact, Facts, Left, Mapped
from connectors.formats import hl7v2
from connectors.hix.codes import EVENTS, MERGES
from connectors.hix.history import add_allergy, add_condition
from connectors.hix.leftovers import Segment
from connectors.hix.people import add_patient, add_related, read_woman
from connectors.hix.reading import Reading, reading_of
from connectors.hix.results import add_results
from connectors.hix.visit import add_visit
from fhir_profiles.errors import Invalid, Refused, Unsupported

_BSN_NEARBY: Final = re.compile(rb"[|~](\d{8,9})\^[^|~\r\n]{0,80}?(?:NNNLD|NLMINBIZA)", re.IGNORECASE)
_PID_LENGTH: Final = 2_000
_BY_SEGMENT: Final[dict[str, Callable[[Reading, Segment], None]]] = {"DG1": add_condition, "AL1": add_allergy, "NK1": add_related}


class HixMapping:
    """The mapping of HiX messages. Pure: the same bytes and facts give the same answer."""

    name = "hix"
    version = 2
    kind = "hl7v2"

    def recognises(self, body: bytes) -> bool:
        """Whether the bytes begin like an HL7 v2 message."""
        return hl7v2.unframed(body[:64])[:3] == b"MSH"

    def peek_bsn(self, body: bytes) -> str | None:
        """The digits beside NLMINBIZA or NNNLD in the first PID, when the usual delimiters are used."""
        at = body.find(b"\rPID|")
        if at < 0:
            at = body.find(b"\nPID|")
        found = _BSN_NEARBY.search(body, at, at + _PID_LENGTH) if at >= 0 else None
        return found[1].decode("ascii").zfill(9) if found else None

    def to_fhir(self, body: bytes, facts: Facts) -> Mapped:
        """All that one message says. Raises `Refused` for a message that is none, is about two women, or tells of an unknown event."""
        message = hl7v2.parse(body)
        event = _event(message.header)
        reading = reading_of(message, facts)
        if event in MERGES:
            return _merge(reading, body)
        pid = read_woman(reading, body)
        if event == "R01":
            add_results(reading)
            return reading.mapped("result")
        return _adt(reading, pid, event)


def _event(header: hl7v2.Header) -> str:
    """The trigger event when it is one that is taken. Raises `Unsupported` (event-unknown)."""
    kind, trigger = header.type.upper(), header.trigger.upper()
    if kind == "ADT" and (trigger in EVENTS or trigger in MERGES):
        return trigger
    if kind == "ORU" and trigger == "R01":
        return trigger
    raise Unsupported("the hub does not take this message type and event (MSH-9)", path="MSH-9", code="event-unknown")


def _adt(reading: Reading, pid: Segment, event: str) -> Mapped:
    add_patient(reading, pid)
    said: dict[tuple[str, ...], Fact] = {}
    for segment in reading.segments:
        if segment.name in _BY_SEGMENT:
            _or_wait(reading, segment, _BY_SEGMENT[segment.name], said)
    status = EVENTS[event]
    if status:
        _visit(reading, status, reading.dossiers[0].local if len(reading.dossiers) == 1 else "")
    add_results(reading)
    return reading.mapped("visit" if status else "person")


def _or_wait(reading: Reading, segment: Segment, add: Callable[[Reading, Segment], object], said: dict[tuple[str, ...], Fact]) -> None:
    """Map one segment, or let it wait by itself; `said` are the facts of the segments before it, which it may only repeat."""
    facts, dossiers = len(reading.facts), len(reading.dossiers)
    try:
        add(reading, segment)
    except Refused as refusal:
        reading.refuse(segment, _number_in(refusal.path), refusal)
        return
    new = {(fact.concept, *fact.identity): fact for fact in reading.facts[facts:]}
    if said.keys() & new.keys():
        # Two in one message would become versions of one another.
        del reading.facts[facts:], reading.dossiers[dossiers:]
        if all(key in said and said[key].resource == fact.resource for key, fact in new.items()):
            segment.used, segment.rest = 0, "repeated"
        else:
            reading.refuse(segment, 3, Invalid("another segment of the message says something else of the same", code="said-differently"))
    else:
        said.update(new)


def _visit(reading: Reading, status: str, dossier: str) -> None:
    try:
        add_visit(reading, status, dossier)
    except Refused as refusal:
        pv1 = next((s for s in reading.segments if s.name == "PV1"), None)
        if pv1 is None:
            reading.refused.append(Left(refusal.path, refusal.public, refusal.code))
        else:
            reading.refuse(pv1, _number_in(refusal.path), refusal)


def _number_in(path: str) -> int:
    number = path.rpartition("-")[2]
    return int(number) if number.isdigit() else 0


def _merge(reading: Reading, body: bytes) -> Mapped:
    """Two numbers turn out to be one woman (A40 and its like): a person decides on that, so the whole event waits."""
    with suppress(Invalid):
        # Some of these events name both of them in a PID each; then it is nobody's yet.
        read_woman(reading, body)
    for segment in reading.segments:
        segment.rest = "" if segment.name == "MSH" else "waits-with-part"
    reading.refused.append(Left("MSH-9", "joining two records of a woman waits for a person to decide", "merge-not-yet"))
    return reading.mapped("person")
