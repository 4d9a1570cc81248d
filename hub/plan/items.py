"""What the plan keeps of an R4 resource: a small dictionary a kind, absent keys where the source said nothing.

Every item has `status` when the resource has one. The rest, by kind:
- values (Observation): `number`, `unit`, `text`, `code`, `parts` [[concept, number, unit], …], `absent` (dataAbsentReason), `path`,
  `fetus` (the number that the source gave the fetus it is about)
- things (Condition, AllergyIntolerance, Medication…, Procedure): `text`, `code`, `inactive` (when over or refuted), `start`, `end`
- people and organisations: `id`, `name`, `given`, `birth`, `ura`, `phone`, `type`
- dossiers, teams, contacts: `start`, `end`, `org` (a reference), `manager`, `members`
A reference is `[id, ura or number, display]`, each "" when absent. Pure; odd shapes give less, never an exception.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from fhir_profiles.codes import VALUE_CODES, concept_in
from fhir_profiles.identifiers import URA_SYSTEM
from hub.log.envelope import Envelope
from hub.plan.section import Item

Json = dict[str, Any]
Reference = list[str]

_VALUE_PATHS: Final = (
    "valueQuantity.value", "valueCodeableConcept", "valueCodeableConcept.coding.0.code", "valueDateTime", "valueInteger", "valueString",
)
_PERIODS: Final = ("period", "effectivePeriod", "performedPeriod", "onsetPeriod")
_FETUS: Final = re.compile(r"foetus ([1-9])")
_INACTIVE: Final = frozenset({"inactive", "resolved", "remission", "refuted", "entered-in-error"})


def item_of(event: Envelope) -> Item:
    """What the plan keeps of the event's resource."""
    resource = event.resource
    build = _BUILDERS.get(resource.get("resourceType", ""), _thing)
    item = build(resource)
    status = resource.get("status")
    if isinstance(status, str):
        item["status"] = status
    path = _path(event.origin.paths)
    if path:
        item["path"] = path
    return item


def _path(paths: dict[str, str]) -> str:
    """The path of the value itself, else of whatever stands first in order, so that repeats of the event agree."""
    if not paths:
        return ""
    for wanted in _VALUE_PATHS:
        found = paths.get(wanted)
        if found is not None:
            return found
    return paths[min(paths, key=lambda name: (not name.startswith("value"), name))]


def _observation(resource: Json) -> Item:
    item = _value(resource)
    components = resource.get("component")
    if components:
        parts = [part for component in _dicts(components) if (part := _part(component))]
        if parts:
            item["parts"] = parts
    number = _FETUS.fullmatch(_text(site.get("text"))) if isinstance(site := resource.get("bodySite"), dict) else None
    if number:
        item["fetus"] = int(number[1])
    return item


def _value(resource: Json) -> Item:
    """The value[x] of an Observation, in the few shapes that birth care sends."""
    quantity = resource.get("valueQuantity")
    if type(quantity) is dict:
        return _quantity(quantity)
    concept = resource.get("valueCodeableConcept")
    if type(concept) is dict:
        return _coded(concept)
    for key in ("valueInteger", "valueDateTime", "valueString", "valueBoolean", "valuePeriod"):
        if key in resource:
            return _plain(key, resource[key])
    absent = resource.get("dataAbsentReason")
    return {"absent": _coded(absent).get("text", "")} if isinstance(absent, dict) else {}


def _quantity(quantity: Json) -> Item:
    item: Item = {}
    number = quantity.get("value")
    if isinstance(number, int | float):
        item["number"] = number
    unit = quantity.get("code") or quantity.get("unit")
    if unit:
        item["unit"] = unit
    if "comparator" in quantity:
        item["comparator"] = quantity["comparator"]
    return item


def _plain(key: str, value: Any) -> Item:
    match key:
        case "valueInteger" if isinstance(value, int):
            return {"number": value}
        case "valueBoolean":
            return {"text": "ja" if value else "nee"}
        case "valuePeriod" if isinstance(value, dict):
            return {"text": _text(value.get("start"))}
    return {"text": _text(value)}


def _coded(concept: Json) -> Item:
    """Code and words of a CodeableConcept; a code that the hub knows goes before the others."""
    codings = _dicts(concept.get("coding"))
    known = next((c for c in codings if c.get("code") in VALUE_CODES), codings[0] if codings else {})
    code = _text(known.get("code"))
    words = VALUE_CODES[code].display if code in VALUE_CODES else _text(concept.get("text")) or _text(known.get("display")) or code
    return _without_empty({"code": code, "text": words})


def _part(component: Json) -> list[Any] | None:
    concept = concept_in(_dicts((component.get("code") or {}).get("coding")))
    value = _quantity(component.get("valueQuantity") or {})
    return [concept.name, value["number"], value.get("unit", "")] if concept is not None and "number" in value else None


def _thing(resource: Json) -> Item:
    coded = resource.get("code") or resource.get("medicationCodeableConcept") or {}
    item = _coded(coded if isinstance(coded, dict) else {})
    if not item and isinstance(resource.get("medicationReference"), dict):
        item["text"] = _text(resource["medicationReference"].get("display"))
    states = {_code(resource.get(name)) for name in ("clinicalStatus", "verificationStatus")}
    if states & _INACTIVE:
        item["inactive"] = True
    dosage = next((_text(d.get("text")) for d in _dicts(resource.get("dosage"))), "")
    return item | _without_empty({**_period(resource), "dosage": dosage})


def _period(resource: Json) -> Item:
    period: Json = next((resource[name] for name in _PERIODS if isinstance(resource.get(name), dict)), {})
    start = period.get("start") or resource.get("onsetDateTime") or resource.get("effectiveDateTime") or resource.get("performedDateTime")
    return _without_empty({"start": _text(start), "end": _text(period.get("end") or resource.get("abatementDateTime"))})


def _person(resource: Json) -> Item:
    names = _dicts(resource.get("name"))
    name = next((n for n in names if n.get("use") in ("official", "usual")), names[0] if names else {})
    given = [g for g in name.get("given") or [] if isinstance(g, str)]
    whole = _text(name.get("text")) or " ".join([*given, _text(name.get("family"))]).strip()
    return _without_empty({
        "id": _text(resource.get("id")), "name": whole, "given": given[0] if given else "", "birth": _text(resource.get("birthDate")),
        "phone": _phone(resource), "type": next((_coded(r).get("text", "") for r in _dicts(resource.get("relationship"))), ""),
    })


def _organization(resource: Json) -> Item:
    kind = next((_code(kind) for kind in _dicts(resource.get("type"))), "")
    ura = next((_text(i.get("value")) for i in _dicts(resource.get("identifier")) if i.get("system") == URA_SYSTEM), "")
    return _without_empty({
        "id": _text(resource.get("id")), "name": _text(resource.get("name")), "ura": ura, "phone": _phone(resource), "type": kind,
    })


def _role(resource: Json) -> Item:
    role = next((_coded(code) for code in _dicts(resource.get("code"))), {})
    return _without_empty({
        "id": _text(resource.get("id")), "type": role.get("text", ""), "phone": _phone(resource),
        "person": reference(resource.get("practitioner")), "org": reference(resource.get("organization")),
    })


def _dossier(resource: Json) -> Item:
    return _period(resource) | _without_empty({
        "org": reference(resource.get("managingOrganization")), "manager": reference(resource.get("careManager")),
    })


def _team(resource: Json) -> Item:
    managing = resource.get("managingOrganization")
    first = managing[0] if isinstance(managing, list) and managing else managing
    members = [_member(participant) for participant in _dicts(resource.get("participant"))]
    return _period(resource) | _without_empty({"org": reference(first), "members": members})


def _member(participant: Json) -> Item:
    role = next((_coded(role) for role in _dicts(participant.get("role"))), {})
    return _period(participant) | _without_empty({
        "who": reference(participant.get("member")), "org": reference(participant.get("onBehalfOf")),
        "type": role.get("text", ""), "code": role.get("code", ""),
    })


def _encounter(resource: Json) -> Item:
    kind = next((_coded(kind) for kind in _dicts(resource.get("type"))), {})
    reason = next((_coded(reason) for reason in _dicts(resource.get("reasonCode"))), {})
    kind_of_stay = resource.get("class")
    stay = _text(kind_of_stay.get("code")) if isinstance(kind_of_stay, dict) else ""
    return _period(resource) | _without_empty({
        "org": reference(resource.get("serviceProvider")), "text": kind.get("text", ""), "reason": reason.get("text", ""), "class": stay,
    })


def reference(value: Any) -> Reference | None:
    """A FHIR Reference as [id, identifier (URA for an organisation), display]; None when it says nothing."""
    if not isinstance(value, dict):
        return None
    identifier = value.get("identifier")
    found = [_text(value.get("reference")).rsplit("/", 1)[-1].removeprefix("urn:uuid:").removeprefix("#"),
             _text(identifier.get("value")) if isinstance(identifier, dict) else "", _text(value.get("display"))]
    return found if any(found) else None


def _phone(resource: Json) -> str:
    return next((_text(t.get("value")) for t in _dicts(resource.get("telecom")) if t.get("system") == "phone"), "")


def _code(concept: Any) -> str:
    """The first code of a CodeableConcept, or the code itself where the source flattened it."""
    if isinstance(concept, dict):
        return next((_text(c.get("code")) for c in _dicts(concept.get("coding"))), "")
    return _text(concept)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _dicts(value: Any) -> list[Json]:
    return [v for v in value if isinstance(v, dict)] if isinstance(value, list) else []


def _without_empty(item: Item) -> Item:
    return {key: value for key, value in item.items() if value}


_BUILDERS: Final[dict[str, Callable[[Json], Item]]] = {
    "Observation": _observation, "Patient": _person, "Practitioner": _person, "RelatedPerson": _person, "Organization": _organization,
    "PractitionerRole": _role, "EpisodeOfCare": _dossier, "CareTeam": _team, "Encounter": _encounter,
}
