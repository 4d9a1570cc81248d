"""A result that was read → an Observation: how it is known again, what is said beside its value, and about whom it is."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final

from connectors.contract import Fact, Person
from connectors.formats.hl7v2_time import Moment
from connectors.hix.codes import FETAL, INTERPRETATIONS, LABORATORY, VITAL_SIGNS
from connectors.hix.leftovers import Segment
from connectors.hix.reading import WOMAN, Reading
from connectors.hix.values import Value
from fhir_profiles.codes import SNOMED, Concept
from fhir_profiles.errors import Invalid, Refused

_TERMS: Final = "http://terminology.hl7.org/CodeSystem/"
_FETUS_NUMBER: Final = re.compile(r"[1-9]", re.ASCII)


@dataclass(slots=True)
class Order:
    """What an OBR says for all results under it. `numbers` is the filler's order number, else the placer's; () when there is neither."""

    numbers: tuple[str, ...] = ()
    effective: Moment | None = None
    effective_path: str = ""
    fault: Refused | None = None
    version: str = ""
    issued: str = ""
    issued_path: str = ""
    status: str = ""
    status_path: str = ""
    notes: list[Segment] = field(default_factory=list)


@dataclass(slots=True)
class Result:
    """One OBX, read."""

    segment: Segment
    notes: list[Segment]
    concept: Concept
    code: dict[str, Any]
    status: str
    value: Value | None
    absent: str
    effective: Moment | None
    sub: str
    paths: dict[str, str]
    panel: bool = False


def absent(code: str) -> dict[str, Any]:
    """Why there is no value, as a CodeableConcept."""
    return {"coding": [{"system": _TERMS + "data-absent-reason", "code": code}]}


def add_facts(reading: Reading, order: Order, results: list[Result]) -> None:
    """Put every result under one order in `facts`; one of which it is not clear which fetus it is about is refused."""
    ready: list[tuple[Result, tuple[str, ...]]] = []
    fetuses = {r.sub for r in results if r.concept.name in FETAL}
    for result in results:
        if result.concept.name in FETAL and not result.sub and len(fetuses) > 1:
            reading.refuse(result.segment, 5, Invalid("it is not said which fetus this is about", code="fetus-unclear"))
        elif result.concept.name in FETAL and result.sub and not _FETUS_NUMBER.fullmatch(result.sub):
            reading.refuse(result.segment, 4, Invalid("OBX-4 is no number of a fetus (1 to 9)", code="fetus-unclear"))
        else:
            ready.append((result, _identity(order, result)))
    for result, identity in _told_apart(ready):
        reading.facts.append(_fact(reading, order, result, identity))


def _identity(order: Order, result: Result) -> tuple[str, ...]:
    """Order number, concept and sub-id, with what else tells it from another result of its concept: a code and a time of its own.

    Only what the result says by itself counts, never what stands beside it: so one of two can be corrected alone.
    """
    at = result.effective.fhir if result.effective else ""
    known_as = (result.concept.name, result.sub)
    if not order.numbers:
        return ("result", *known_as, at, *_own_code(result))
    return (*order.numbers, *known_as, *_own_code(result), *(() if result.effective == order.effective else (at,)))


def _own_code(result: Result) -> tuple[str, ...]:
    """The standard code of a result when it is not the first of its concept; the hospital's own codes stand for the first."""
    usual = result.concept.codings[0].code
    standard = [c["code"] for c in result.code["coding"] if c["system"][:4] == "http"]
    return () if usual in standard else tuple(standard[:1])


def _told_apart(ready: list[tuple[Result, tuple[str, ...]]]) -> list[tuple[Result, tuple[str, ...]]]:
    """Two results that nothing else tells apart must not become versions of one another; the same segment twice is one result."""
    if len({identity for _, identity in ready}) == len(ready):
        return ready
    seen = Counter(identity for _, identity in ready)
    out, again, told = [], dict[tuple[str, ...], int](), list[list[str]]()
    for result, identity in ready:
        if seen[identity] > 1:
            if _repeats(result, told):
                continue
            identity = (*identity, result.code["coding"][0]["code"])
            again[identity] = again.get(identity, 0) + 1
            identity = (*identity, str(again[identity])) if again[identity] > 1 else identity
        out.append((result, identity))
    return out


def _repeats(result: Result, told: list[list[str]]) -> bool:
    """Whether the message said this before, in the same words but for the set id; then its fields are accounted for as repeated."""
    words = result.segment.fields[2:]
    if result.panel or result.notes or words not in told:
        told.append(words)
        return False
    result.segment.used, result.segment.rest = 0, "repeated"
    return True


def _fact(reading: Reading, order: Order, result: Result, identity: tuple[str, ...]) -> Fact:
    name, effective = result.concept.name, result.effective
    resource: dict[str, Any] = {"resourceType": "Observation", "status": result.status}
    category = "vital-signs" if name in VITAL_SIGNS else "laboratory" if name in LABORATORY else ""
    if category:
        resource["category"] = [{"coding": [{"system": _TERMS + "observation-category", "code": category}]}]
    resource["code"] = result.code
    if effective is not None:
        resource["effectiveDateTime"] = effective.fhir
    if order.issued:
        resource["issued"] = order.issued
        result.paths["issued"] = order.issued_path
    resource["performer"] = [reading.organisation()]
    if result.value is not None:
        resource[result.value[0]] = result.value[1]
    elif result.absent:
        resource["dataAbsentReason"] = absent(result.absent)
    if not result.panel:
        add_remarks(reading, result, resource)
        _add_method(reading, result, resource)
    if result.notes or order.notes:
        _add_notes(reading, [*result.notes, *order.notes], resource, result.paths)
    about = _fetus(reading, result, resource) if name in FETAL else WOMAN
    return Fact(resource, about, identity, order.version or reading.version, name, effective.fhir if effective else "",
                paths=result.paths, withdrawn=result.status == "entered-in-error")


def add_remarks(reading: Reading, result: Result, target: dict[str, Any]) -> None:
    """Interpretation and reference range, on an Observation or on one component of it."""
    obx, words = result.segment, reading.words
    if (raw := obx.fields[8]) and (flag := words.part(raw, 1).upper()) in INTERPRETATIONS:
        target["interpretation"] = [{"coding": [{"system": _TERMS + "v3-ObservationInterpretation", "code": flag}]}]
        result.paths["interpretation"] = obx.paths[8]
        obx.used |= 1 << 8
    if (raw := obx.fields[7]) and (span := words.part(raw, 1)):
        target["referenceRange"] = [{"text": span}]
        result.paths["referenceRange.0.text"] = obx.paths[7]
        obx.used |= 1 << 7


def _add_method(reading: Reading, result: Result, resource: dict[str, Any]) -> None:
    raw = result.segment.fields[17]
    if raw and (method := reading.words.part(raw, 2) or reading.words.part(raw, 1)):
        resource["method"] = {"text": method}
        result.paths["method.text"] = result.segment.paths[17]
        result.segment.used |= 1 << 17


def _add_notes(reading: Reading, notes: list[Segment], resource: dict[str, Any], paths: dict[str, str]) -> None:
    found: list[dict[str, str]] = []
    for segment in notes:
        lines = [reading.words.text(r) for r in reading.words.repetitions(segment.raw(3))]
        if text := "\n".join(filter(None, lines)):
            paths[f"note.{len(found)}.text"] = segment.path(3)
            segment.take(3)
            found.append({"text": text})
    if found:
        resource["note"] = found


def _fetus(reading: Reading, result: Result, resource: dict[str, Any]) -> str:
    """The unborn child that a result is about; without a number in OBX-4 it is the only one."""
    sub = result.sub or "1"
    local = f"fetus:{sub}"
    if all(p.local != local for p in reading.people):
        reading.people.append(Person(local, "fetus", None, ("fetus", sub)))
    resource["bodySite"] = {"coding": [{"system": SNOMED, "code": "83418008", "display": "foetus"}], "text": f"foetus {sub}"}
    if result.sub:
        result.paths["bodySite.text"] = result.segment.paths[4]
        result.segment.used |= 1 << 4
    return local
