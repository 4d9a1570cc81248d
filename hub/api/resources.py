"""The facts of a plan as FHIR R4 resources: Observation, Condition, AllergyIntolerance, MedicationStatement, Procedure, Patient, CareTeam.

Built as R4B models of fhir.resources (every R4 element that we use is in R4B; the package's default is R5 and is never used): what a
model refuses does not leave the hub. Off the hot path. An id holds the woman's pseudonym and a digest of event and concept, so a
resource can be found again without an index. What a resource cannot say (the rule that chose, values side by side) stays in the plan.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, Final

from fhir.resources.R4B.allergyintolerance import AllergyIntolerance
from fhir.resources.R4B.bundle import Bundle
from fhir.resources.R4B.careplan import CarePlan
from fhir.resources.R4B.careteam import CareTeam
from fhir.resources.R4B.composition import Composition
from fhir.resources.R4B.condition import Condition
from fhir.resources.R4B.medicationstatement import MedicationStatement
from fhir.resources.R4B.observation import Observation
from fhir.resources.R4B.patient import Patient
from fhir.resources.R4B.procedure import Procedure

from fhir_profiles.codes import BY_NAME, UCUM, VALUE_CODES, Concept
from fhir_profiles.identifiers import PSEUDONYM_SYSTEM, URA_SYSTEM, digest
from hub.api.elements import Fhir, concept, date_time_of, instant_of, pruned
from hub.plan.plan import Carer, Line, Plan, Value

_MODELS: Final[dict[str, Any]] = {model.__name__: model for model in (
    AllergyIntolerance, Bundle, CarePlan, CareTeam, Composition, Condition, MedicationStatement, Observation, Patient, Procedure)}
_TERMINOLOGY: Final = "http://terminology.hl7.org/CodeSystem/"
_EVENT_SYSTEM: Final = "urn:ooievaar:event"
_SOURCE: Final = re.compile(r"[a-z0-9-]+/([0-9]{8})")
_STATUSES: Final = {"final": "final", "corrected": "corrected", "withdrawn": "entered-in-error"}
_CONFIDENTIALITY: Final = {"C0": "N", "C1": "N", "C2": "N"}


def built(resource: Fhir) -> Fhir:
    """The resource without empty parts, once the R4B model of its type took it. The dictionary is sent and not the model's own
    dump, because that rewrites numbers."""
    clean: Fhir = pruned(resource)
    _MODELS[clean["resourceType"]].model_validate(clean)
    return clean


def resources_of(plan: Plan, section: str) -> list[Fhir]:
    """Every resource of one open section, in the order of the plan; each value once, whichever lists of the line hold it."""
    return [_resource(plan, line, value) for line, value in values_of(plan, section)]


def observations(plan: Plan) -> list[tuple[Fhir, str]]:
    """Every Observation of the open sections, with its clinical time."""
    return [(_resource(plan, line, value), value.effective) for section in plan.sections for line, value in values_of(plan, section)
            if line.concept not in _BUILDERS]


def values_of(plan: Plan, section: str) -> Iterator[tuple[Line, Value]]:
    """The values of a section: what is shown first, then what other sources say, then what came before."""
    for line in plan.sections[section].lines:
        seen: set[str] = set()
        for value in (*([line.shown] if line.shown else ()), *line.voices, *line.history):
            if value.event not in seen:
                seen.add(value.event)
                yield line, value


def resource_id(subject: str, value: Value) -> str:
    """The id of the resource for a value: 64 characters, the first 32 being the woman's pseudonym."""
    return subject + digest(value.event, value.concept)


def _resource(plan: Plan, line: Line, value: Value) -> Fhir:
    resource = _BUILDERS.get(line.concept, _observation)(line, value)
    return built({**_common(plan, line, value), **resource})


def _common(plan: Plan, line: Line, value: Value) -> Fhir:
    confidentiality = _CONFIDENTIALITY.get(line.sensitivity, "R")
    return {
        "id": resource_id(plan.subject, value),
        "meta": {"source": "urn:ooievaar:source:" + re.sub(r"[^A-Za-z0-9./-]", "-", value.source),
                 "security": [{"system": _TERMINOLOGY + "v3-Confidentiality", "code": confidentiality}]},
        "identifier": [{"system": _EVENT_SYSTEM, "value": value.event}],
        "subject": {"reference": f"Patient/{plan.subject}"},
    }


def _observation(line: Line, value: Value) -> Fhir:
    known = BY_NAME.get(line.concept)
    return {
        "resourceType": "Observation", "status": _STATUSES.get(value.status, "unknown"), "code": _code(line, known),
        "effectiveDateTime": date_time_of(value.effective), "issued": instant_of(value.recorded), "performer": [_performer(value)],
        **_value(value, known),
    }


def _value(value: Value, known: Concept | None) -> Fhir:
    """The value[x] by the kind of its concept; where number or code is absent, the words are sent."""
    kind = known.kind if known else "text"
    if value.parts:
        return {"component": [_component(name, number, value) for name, number in value.parts]}
    if kind == "count" and value.number is not None and value.number.is_integer() and abs(value.number) < 2**31:
        return {"valueInteger": int(value.number)}
    if value.number is not None:
        return {"valueQuantity": _quantity(value.number, value.unit)}
    if kind == "coded" and value.code:
        return {"valueCodeableConcept": _coded(value)}
    if kind == "date" and (day := date_time_of(value.code) or date_time_of(value.text)):
        return {"valueDateTime": day}
    if kind == "presence" and not value.text:
        return {"valueBoolean": True}
    if not pruned(value.text):
        return {"dataAbsentReason": concept(_TERMINOLOGY + "data-absent-reason", "unknown", "Unknown")}
    return {"valueString": value.text}


def _coded(value: Value) -> Fhir:
    """The value as a CodeableConcept; a code that the hub does not know goes without a system, which is not invented."""
    known = VALUE_CODES.get(value.code)
    return {"coding": [known.fhir()] if known else [], "text": pruned(value.text) or pruned(value.code) or "onbekend"}


def _component(name: str, number: float, value: Value) -> Fhir:
    known = BY_NAME.get(name)
    code = {"coding": [c.fhir() for c in known.codings], "text": known.title_nl} if known else {"text": name}
    return {"code": code, "valueQuantity": _quantity(number, value.unit or (known.units[0] if known and known.units else ""))}


def _quantity(number: float, unit: str) -> Fhir:
    unit = pruned(unit)
    return {"value": number, "unit": unit, "system": UCUM if unit else "", "code": unit if not re.search(r"\s", unit) else ""}


def _code(line: Line, known: Concept | None) -> Fhir:
    return {"coding": [c.fhir() for c in known.codings] if known else [], "text": pruned(line.title_nl) or line.concept}


def _performer(value: Value) -> Fhir:
    found = _SOURCE.fullmatch(value.source)
    return {"identifier": {"system": URA_SYSTEM, "value": found.group(1)}, "display": value.source} if found else {"display": value.source}


def _words(line: Line, value: Value) -> Fhir:
    """What a thing is called, for resources whose code is the value itself."""
    return {"text": pruned(value.text) or pruned(line.title_nl) or line.concept}


def _condition(line: Line, value: Value) -> Fhir:
    wrong = value.status == "withdrawn"
    code = _code(line, BY_NAME.get(line.concept)) if line.concept == "pregnancy" else _words(line, value)
    return {
        "resourceType": "Condition", "code": code, "onsetDateTime": date_time_of(value.effective), "recordedDate": instant_of(value.recorded),
        "clinicalStatus": {} if wrong else concept(_TERMINOLOGY + "condition-clinical", "active"),
        "verificationStatus": concept(_TERMINOLOGY + "condition-ver-status", "entered-in-error" if wrong else "confirmed"),
        "asserter": _performer(value),
    }


def _allergy(line: Line, value: Value) -> Fhir:
    wrong = value.status == "withdrawn"
    return {
        "resourceType": "AllergyIntolerance", "code": _words(line, value), "recordedDate": instant_of(value.recorded),
        "clinicalStatus": {} if wrong else concept(_TERMINOLOGY + "allergyintolerance-clinical", "active"),
        "verificationStatus": concept(_TERMINOLOGY + "allergyintolerance-verification", "entered-in-error" if wrong else "confirmed"),
        "asserter": _performer(value),
    }


def _medication(line: Line, value: Value) -> Fhir:
    return {
        "resourceType": "MedicationStatement", "status": "entered-in-error" if value.status == "withdrawn" else "unknown",
        "medicationCodeableConcept": _words(line, value), "effectiveDateTime": date_time_of(value.effective),
        "dateAsserted": instant_of(value.recorded), "informationSource": _performer(value),
    }


def _procedure(line: Line, value: Value) -> Fhir:
    return {
        "resourceType": "Procedure", "status": "entered-in-error" if value.status == "withdrawn" else "completed",
        "code": _words(line, value), "performedDateTime": date_time_of(value.effective), "asserter": _performer(value),
    }


_BUILDERS: Final[dict[str, Callable[[Line, Value], Fhir]]] = {
    "pregnancy": _condition, "problem": _condition, "allergy": _allergy, "medication": _medication, "procedure": _procedure,
}


def patient(plan: Plan) -> Fhir:
    """Who the plan is about, under her pseudonym. The BSN stays in the vault."""
    woman = plan.woman
    return built({
        "resourceType": "Patient", "id": plan.subject, "identifier": [{"system": PSEUDONYM_SYSTEM, "value": plan.subject}],
        "name": [{"text": woman.name, "given": [woman.given]}], "birthDate": date_time_of(woman.birth_date)[:10],
    })


def care_team(plan: Plan, team_id: str) -> Fhir:
    """Who cares for her now and before; the coordinating caregiver says so in the role."""
    return built({
        "resourceType": "CareTeam", "id": team_id, "status": "active", "name": "Zorgteam", "subject": {"reference": f"Patient/{plan.subject}"},
        "participant": [_participant(carer) for carer in plan.team if pruned(carer.name) or pruned(carer.organisation)],
    })


def _participant(carer: Carer) -> Fhir:
    roles = [{"text": carer.role_nl}, *([{"text": "coördinerend zorgverlener"}] if carer.coordinator else [])]
    start, end = date_time_of(carer.since), date_time_of(carer.until)
    return {
        "role": roles, "member": {"display": pruned(carer.name) or pruned(carer.organisation)},
        "onBehalfOf": {"identifier": {"system": URA_SYSTEM if pruned(carer.ura) else "", "value": carer.ura}, "display": carer.organisation},
        "period": {"start": start, "end": end if not (start and end and end < start) else ""},
    }
