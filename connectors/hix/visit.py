"""PV1 → Encounter: the contact or admission that makes a treatment relation between the woman and this hospital.

What is lost: bed types, earlier locations, financial classes, and all but the first attending doctor.
"""

from __future__ import annotations

from typing import Any, Final

from connectors.contract import Fact
from connectors.hix.codes import CLASSES
from connectors.hix.leftovers import Segment
from connectors.hix.reading import WOMAN, Reading, concept_text, moment_in
from fhir_profiles.errors import Invalid
from fhir_profiles.identifiers import AGB_SYSTEM, UZI_SYSTEM

_ACT: Final = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
_V2_CLASS: Final = "http://terminology.hl7.org/CodeSystem/v2-0004"


def add_visit(reading: Reading, status: str, dossier: str) -> None:
    """The Encounter that an ADT event speaks of. Raises `Invalid` with its path when PV1 is missing or does not tell which visit."""
    pv1 = next((s for s in reading.segments if s.name == "PV1"), None)
    if pv1 is None:
        raise Invalid("the event is about a visit, and there is no PV1 segment", path="PV1", code="segment-missing")
    paths: dict[str, str] = {}
    resource: dict[str, Any] = {"resourceType": "Encounter", "status": status, "class": _class(reading, pv1, paths)}
    paths["status"] = "MSH-9"
    start = _period(reading, resource, paths, pv1, status)
    number = reading.words.part(pv1.raw(19), 1)
    if number:
        resource["identifier"] = [{"system": reading.local_system("visit"), "value": number}]
        paths["identifier"] = pv1.path(19)
        pv1.take(19)
    if not number and not start:
        raise Invalid("PV1 tells neither the number nor the begin of the visit", path=pv1.path(19), code="field-missing")
    resource["serviceProvider"] = reading.organisation()
    _where_and_who(reading, resource, paths, pv1)
    identity = ("visit", number) if number else ("visit", start)
    reading.facts.append(Fact(resource, WOMAN, identity, reading.version, "encounter", effective=start, dossier=dossier, local="visit",
                              paths=paths, withdrawn=status == "entered-in-error"))


def _class(reading: Reading, pv1: Segment, paths: dict[str, str]) -> dict[str, str]:
    code = reading.words.part(pv1.take(2), 1).upper()
    paths["class"] = pv1.path(2)
    if code in CLASSES:
        act, display = CLASSES[code]
        return {"system": _ACT, "code": act, "display": display}
    if code in ("C", "N", "U"):
        return {"system": _V2_CLASS, "code": code}
    raise Invalid("PV1-2 is not a known class of visit", path=pv1.path(2), code="class-unknown")


def _period(reading: Reading, resource: dict[str, Any], paths: dict[str, str], pv1: Segment, status: str) -> str:
    """Begin and end of the visit; the end only once the visit is over (A13 takes a discharge back)."""
    start, end = moment_in(reading, pv1, 44), moment_in(reading, pv1, 45)
    period = {}
    if start:
        period["start"] = start.fhir
        paths["period.start"] = pv1.path(44)
    if end and status == "finished":
        period["end"] = end.fhir
        paths["period.end"] = pv1.path(45)
    if start and "end" in period and end and end.utc < start.utc:
        raise Invalid("the visit ends before it begins", path=pv1.path(45), code="period-impossible")
    if end and status != "finished":
        pv1.used &= ~(1 << 45)
    if period:
        resource["period"] = period
    return start.fhir if start else ""


def _where_and_who(reading: Reading, resource: dict[str, Any], paths: dict[str, str], pv1: Segment) -> None:
    words = reading.words
    place = ", ".join(filter(None, words.texts(words.repetitions(pv1.raw(3))[0])[:3]))
    if place:
        resource["location"] = [{"location": {"display": place}}]
        paths["location.0.location.display"] = pv1.path(3)
        pv1.take(3)
    if service := concept_text(reading, pv1.raw(10)):
        resource["serviceType"] = {"text": service}
        paths["serviceType.text"] = pv1.path(10)
        pv1.take(10)
    doctors = [(n, role) for n, role in ((7, "ATND"), (8, "REF"), (9, "CON")) if pv1.raw(n)]
    participants: list[dict[str, Any]] = []
    for number, role in doctors:
        if individual := _doctor(reading, pv1.raw(number)):
            paths[f"participant.{len(participants)}.individual"] = pv1.path(number)
            kind = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "code": role}]}
            participants.append({"type": [kind], "individual": individual})
            pv1.take(number)
    if participants:
        resource["participant"] = participants


def _doctor(reading: Reading, raw: str) -> dict[str, Any]:
    """The first XCN as a reference by number and name; Dutch senders name the register in component 9 (VEKTIS for an AGB code)."""
    words = reading.words
    parts = [*words.components(words.repetitions(raw)[0]), *[""] * 9]
    number, register = words.text(parts[0]), words.text(words.subcomponents(parts[8])[0]).upper()
    family, given = words.text(words.subcomponents(parts[1])[0]), words.text(parts[2])
    display = " ".join(filter(None, (words.text(parts[5]), given, family)))
    system = {"VEKTIS": AGB_SYSTEM, "AGB": AGB_SYSTEM, "UZI": UZI_SYSTEM}.get(register, reading.local_system("practitioner"))
    return {**({"identifier": {"system": system, "value": number}} if number else {}), **({"display": display} if display else {})}
