"""The facts of a plan as FHIR R4 resources: Observation, Condition, AllergyIntolerance, MedicationStatement, Procedure, Patient, CareTeam.

Built as R4B models of fhir.resources (every R4 element that we use is in R4B; the package's default is R5 and is never used): what a
model refuses does not leave the hub. Off the hot path. An id holds the woman's pseudonym and a digest of event and concept, so a
resource can be found again without an index. What a resource cannot say (the rule that chose, values side by side) stays in the plan.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cache
from importlib import import_module
from math import isfinite
from typing import Any, Final

from fhir_profiles.codes import BY_NAME, UCUM, VALUE_CODES
from fhir_profiles.identifiers import PSEUDONYM_SYSTEM, URA_SYSTEM, digest
from hub.api.elements import Fhir, concept, date_time_of, instant_of, pruned, text_of
from hub.plan.plan import Carer, Line, Plan, Value

_MODELS: Final = frozenset({"AllergyIntolerance", "Bundle", "CarePlan", "CareTeam", "Composition", "Condition", "MedicationStatement", "Observation",
                            "Patient", "Procedure"})
_TERMINOLOGY: Final = "http://terminology.hl7.org/CodeSystem/"
PLAN_SYSTEM: Final = "http://ooievaar.example/fhir/CodeSystem/plan"
# LOINC names the amount of haemoglobin by mass and by moles apart.
_BY_UNIT: Final = {("haemoglobin", "mmol/L"): "59260-0", ("haemoglobin", "g/dL"): "718-7"}
_EVENT_SYSTEM: Final = "urn:ooievaar:event"
_SOURCE: Final = re.compile(r"[a-z0-9-]+/([0-9]{8})")
_STATUSES: Final = {"final": "final", "preliminary": "preliminary", "cancelled": "cancelled", "corrected": "corrected", "withdrawn": "entered-in-error"}
_ABSENT: Final = {"not-performed": "Not Performed", "not-asked": "Not Asked", "temp-unknown": "Temporarily Unknown",
                  "asked-unknown": "Asked But Unknown", "not-applicable": "Not Applicable", "masked": "Masked"}
_COMPARATORS: Final = {"<": "<", "≤": "<=", ">": ">", "≥": ">="}
_PRESENCE: Final = {"ja": True, "nee": False}
_CONFIDENTIALITY: Final = {"C0": "N", "C1": "N", "C2": "N"}


def built(resource: Fhir) -> Fhir:
    """The resource without empty parts, once the R4B model of its type took it. The dictionary is sent and not the model's own
    dump, because that rewrites numbers."""
    clean: Fhir = pruned(resource)
    _model(clean["resourceType"]).model_validate(clean)
    return clean


@cache
def _model(kind: str) -> Any:
    """The R4B model of a type. Loaded when first used: the models take some 25 MB, and the hot paths need none of them."""
    if kind not in _MODELS:
        raise KeyError(kind)
    return getattr(import_module(f"fhir.resources.R4B.{kind.lower()}"), kind)


def resources_of(plan: Plan, section: str) -> list[Fhir]:
    """The resources of one open section, in the order of the plan; each value once, whichever lists of the line hold it."""
    return [_resource(plan, line, value) for line, value in values_of(plan, section) if _has_resource(line)]


def observations(plan: Plan) -> list[tuple[Fhir, str]]:
    """Every Observation of the open sections, with its clinical time."""
    return [(_resource(plan, line, value), value.effective) for line, value in _observed(plan)]


def observation_ids(plan: Plan) -> list[str]:
    """The ids of the same, without making them."""
    return [resource_id(plan.subject, value) for _, value in _observed(plan)]


def _observed(plan: Plan) -> Iterator[tuple[Line, Value]]:
    for section in plan.sections:
        yield from ((line, value) for line, value in values_of(plan, section) if _has_resource(line) and line.concept not in _BUILDERS)


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


def _has_resource(line: Line) -> bool:
    """Whether a line keeps enough for a resource of its own; contacts and relatives are in the narrative only."""
    known = BY_NAME.get(line.concept)
    return line.concept in _BUILDERS or known is None or known.kind != "resource"


def _resource(plan: Plan, line: Line, value: Value) -> Fhir:
    build = _BUILDERS.get(line.concept, _observation)
    return built({**_common(plan, line, value), **build(plan, line, value)})


def _common(plan: Plan, line: Line, value: Value) -> Fhir:
    confidentiality = _CONFIDENTIALITY.get(line.sensitivity, "R")
    return {
        "id": resource_id(plan.subject, value),
        "meta": {"source": "urn:ooievaar:source:" + re.sub(r"[^A-Za-z0-9./-]", "-", value.source),
                 "security": [{"system": _TERMINOLOGY + "v3-Confidentiality", "code": confidentiality}]},
        "identifier": [{"system": _EVENT_SYSTEM, "value": value.event}],
    }


def _about(plan: Plan) -> Fhir:
    return {"reference": f"Patient/{plan.subject}"}


def _observation(plan: Plan, line: Line, value: Value) -> Fhir:
    # A fetus or child has a pseudonym of its own; the plan it stands in is the woman's.
    focus = [{"type": "Patient", "identifier": {"system": PSEUDONYM_SYSTEM, "value": line.about}}] if pruned(line.about) else []
    return {
        "resourceType": "Observation", "status": _STATUSES.get(value.status, "unknown"), "code": _code(line, value),
        "subject": _about(plan), "focus": focus, "effectiveDateTime": date_time_of(value.effective), "issued": instant_of(value.recorded),
        "performer": [_source(value)], **_value(value),
    }


def _value(value: Value) -> Fhir:
    """The value[x] by the kind of its concept; where number, code or date is absent, the words are sent."""
    known = BY_NAME.get(value.concept)
    kind, text = known.kind if known else "text", text_of(value.text)
    if parts := [_component(name, number) for name, number in value.parts if _fits(number)]:
        return {"component": parts}
    if kind == "count" and value.number is not None and value.number.is_integer() and abs(value.number) < 2**31:
        return {"valueInteger": int(value.number)}
    if value.number is not None and _fits(value.number):
        return {"valueQuantity": {"comparator": _COMPARATORS.get(text[:1], ""), **_quantity(value.number, value.unit)}}
    if kind == "coded" and text_of(value.code):
        return {"valueCodeableConcept": _coded(value)}
    if kind == "date" and (day := date_time_of(value.iso)):
        return {"valueDateTime": day}
    if kind == "presence" and text in _PRESENCE:
        return {"valueBoolean": _PRESENCE[text]}
    if not text or text.startswith("onbekend ("):
        return {"dataAbsentReason": {**concept(_TERMINOLOGY + "data-absent-reason", *_why_absent(text)), "text": text}}
    return {"valueString": text}


def _why_absent(text: str) -> tuple[str, str]:
    """Code and display of the reason that stands between brackets in the words for a gap."""
    said = text.partition("(")[2].rstrip(")")
    return (said, _ABSENT[said]) if said in _ABSENT else ("unknown", "Unknown")


def _coded(value: Value) -> Fhir:
    """The value as a CodeableConcept; a code that the hub does not know goes without a system, which is not invented."""
    known = VALUE_CODES.get(value.code)
    return {"coding": [known.fhir()] if known else [], "text": text_of(value.text) or text_of(value.code)}


def _component(name: str, number: float) -> Fhir:
    known = BY_NAME.get(name)
    unit = known.units[0] if known and known.units else ""
    code = {"coding": codings_of(name, unit), "text": known.title_nl if known else text_of(name) or "onderdeel"}
    return {"code": code, "valueQuantity": _quantity(number, unit)}


def _fits(number: float) -> bool:
    """Whether a number can be a FHIR decimal; where not, the words are sent."""
    return isfinite(number) and abs(number) < 1e15


def _quantity(number: float, unit: str) -> Fhir:
    unit = text_of(unit)
    coded = {"system": UCUM, "code": unit} if unit and not re.search(r"\s", unit) else {}
    return {"value": number, "unit": unit, **coded}


def _code(line: Line, value: Value) -> Fhir:
    return {"coding": codings_of(value.concept, value.unit), "text": text_of(line.title_nl) or line.concept}


def codings_of(name: str, unit: str) -> list[Fhir]:
    """The hub's own name of a concept, and the one public code that is surely right: other generations' codes may mean another unit."""
    known = BY_NAME.get(name)
    if known is None:
        return []
    public = next((c for c in known.codings if c.code == _BY_UNIT.get((name, unit))), known.codings[0] if known.codings else None)
    return [{"system": PLAN_SYSTEM, "code": name, "display": known.title_nl}, *([public.fhir()] if public else [])]


def _source(value: Value) -> Fhir:
    """The organisation that said it, by its URA where the source is a registered one."""
    found = _SOURCE.fullmatch(value.source)
    identifier = {"system": URA_SYSTEM, "value": found.group(1)} if found else {}
    return {"identifier": identifier, "display": text_of(value.source) or "onbekende bron"}


def _words(line: Line, value: Value) -> Fhir:
    """What a thing is called, for resources whose code is the value itself."""
    return {"text": text_of(value.text) or text_of(line.title_nl) or line.concept}


def _states(value: Value, system: str, clinical: str) -> Fhir:
    """Clinical status and, for what was withdrawn, verification status; a source that said nothing of certainty is not made to."""
    if value.status == "withdrawn":
        return {"verificationStatus": concept(f"{_TERMINOLOGY}{system}-{'ver-status' if system == 'condition' else 'verification'}",
                                              "entered-in-error")}
    return {"clinicalStatus": concept(f"{_TERMINOLOGY}{system}-clinical", clinical)} if clinical else {}


def _activity(value: Value) -> str:
    return "inactive" if value.text.endswith("(niet meer actief)") else "active"


def _condition(plan: Plan, line: Line, value: Value) -> Fhir:
    is_pregnancy = line.concept == "pregnancy"
    clinical = {"pregnant": "active", "ended": "resolved", "loss": "resolved"}.get(plan.phase, "") if is_pregnancy else _activity(value)
    return {
        "resourceType": "Condition", "code": _code(line, value) if is_pregnancy else _words(line, value), "subject": _about(plan),
        "onsetDateTime": date_time_of(value.effective), "recordedDate": instant_of(value.recorded), **_states(value, "condition", clinical),
    }


def _allergy(plan: Plan, line: Line, value: Value) -> Fhir:
    return {
        "resourceType": "AllergyIntolerance", "code": _words(line, value), "patient": _about(plan),
        "recordedDate": instant_of(value.recorded), **_states(value, "allergyintolerance", _activity(value)),
    }


def _medication(plan: Plan, line: Line, value: Value) -> Fhir:
    return {
        "resourceType": "MedicationStatement", "status": "entered-in-error" if value.status == "withdrawn" else "unknown",
        "medicationCodeableConcept": _words(line, value), "subject": _about(plan), "effectiveDateTime": date_time_of(value.effective),
        "dateAsserted": instant_of(value.recorded), "informationSource": _source(value),
    }


def _procedure(plan: Plan, line: Line, value: Value) -> Fhir:
    return {
        "resourceType": "Procedure", "status": "entered-in-error" if value.status == "withdrawn" else "unknown",
        "code": _words(line, value), "subject": _about(plan), "performedDateTime": date_time_of(value.effective),
        "asserter": _source(value),
    }


_BUILDERS: Final[dict[str, Callable[[Plan, Line, Value], Fhir]]] = {
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
        "resourceType": "CareTeam", "id": team_id, "status": "active", "name": "Zorgteam",
        "subject": {"reference": f"Patient/{plan.subject}"},
        "participant": [_participant(carer) for carer in plan.team if text_of(carer.name) or text_of(carer.organisation)],
    })


def _participant(carer: Carer) -> Fhir:
    roles = [{"text": carer.role_nl}, *([{"text": "coördinerend zorgverlener"}] if carer.coordinator else [])]
    start, end = date_time_of(carer.since), date_time_of(carer.until)
    ura = {"system": URA_SYSTEM, "value": carer.ura} if text_of(carer.ura) else {}
    return {
        "role": roles, "member": {"display": text_of(carer.name) or text_of(carer.organisation)},
        "onBehalfOf": {"identifier": ura, "display": carer.organisation},
        "period": {"start": start, "end": end if not (start and end and end < start) else ""},
    }
