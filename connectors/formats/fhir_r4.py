"""FHIR R4 resources become drafts: what the hub keeps of each type, under the same names; the rest is left for the account.

Source: FHIR R4 (4.0.1); nl-core zib 2020 for what Dutch hospitals fill.
"""

from __future__ import annotations

from typing import Any, Final

from connectors.formats.fhir_tree import Draft, Ref, dicts, text
from fhir_profiles.errors import Invalid, Unsupported

_VALUES: Final = ("valueQuantity", "valueCodeableConcept", "valueString", "valueBoolean", "valueInteger", "valueRange", "valueRatio",
                  "valueTime",
                  "valueDateTime", "valuePeriod")
_ONSET: Final = tuple(f"{name}{kind}" for name in ("onset", "abatement") for kind in ("DateTime", "Age", "Period", "Range", "String"))
_MEDICATION: Final = ("contained", "identifier", "status", "statusReason", "category", "medicationCodeableConcept", "medicationReference",
                      "reasonCode", "note")

SAME: Final[dict[str, tuple[str, ...]]] = {
    "Patient": ("identifier", "active", "name", "telecom", "gender", "birthDate", "deceasedBoolean", "deceasedDateTime", "address",
                "maritalStatus", "multipleBirthBoolean", "multipleBirthInteger", "communication", "generalPractitioner",
                "managingOrganization"),
    "Organization": ("identifier", "active", "type", "name", "alias", "telecom", "address", "partOf"),
    "Practitioner": ("identifier", "active", "name", "telecom", "address", "gender", "qualification", "communication"),
    "PractitionerRole": ("identifier", "active", "period", "practitioner", "organization", "code", "specialty", "location", "telecom"),
    "Condition": ("identifier", "clinicalStatus", "verificationStatus", "category", "severity", "code", "bodySite", *_ONSET, "recordedDate",
                  "recorder", "asserter", "stage", "evidence", "note"),
    "Observation": ("identifier", "status", "category", "code", "effectiveDateTime", "effectivePeriod", "effectiveInstant", "issued",
                    "performer", *_VALUES, "dataAbsentReason", "interpretation", "note", "bodySite", "method", "referenceRange",
                    "component"),
    "Encounter": ("identifier", "status", "statusHistory", "class", "type", "serviceType", "priority", "participant", "period", "length",
                  "reasonCode", "hospitalization", "location", "serviceProvider"),
    "AllergyIntolerance": ("identifier", "clinicalStatus", "verificationStatus", "type", "category", "criticality", "code", *_ONSET[:5],
                           "recordedDate", "recorder", "asserter", "lastOccurrence", "note", "reaction"),
    "MedicationStatement": (*_MEDICATION, "effectiveDateTime", "effectivePeriod", "dateAsserted", "informationSource", "dosage"),
    "MedicationRequest": (*_MEDICATION, "intent", "priority", "doNotPerform", "reportedBoolean", "authoredOn", "requester",
                          "dosageInstruction",
                          "courseOfTherapyType"),
}
SUBJECT: Final = {"AllergyIntolerance": "patient"}
_CODED: Final = frozenset(("Condition", "Observation", "AllergyIntolerance"))
_STATUS: Final = {
    "Observation": frozenset(("registered", "preliminary", "final", "amended", "corrected", "cancelled", "entered-in-error", "unknown")),
    "Encounter": frozenset(("planned", "arrived", "triaged", "in-progress", "onleave", "finished", "cancelled", "entered-in-error",
                            "unknown")),
    "MedicationStatement": frozenset(("active", "completed", "entered-in-error", "intended", "stopped", "on-hold", "unknown", "not-taken")),
    "MedicationRequest": frozenset(("active", "on-hold", "cancelled", "completed", "entered-in-error", "stopped", "draft", "unknown")),
}
_EARLIER: Final = {"Observation": ("context", "comment", "related"), "Condition": ("context", "assertedDate"), "Procedure": ("context",
                                                                                                                             "notDone")}


def check_version(resource: dict[str, Any], at: str) -> None:
    """Refuse a message that speaks STU3, or R5 where it shows: read as R4 it would lose or turn round what it says."""
    kind = resource["resourceType"]
    earlier = any(name in resource for name in _EARLIER.get(kind, ()))
    if kind == "Condition" and isinstance(resource.get("clinicalStatus"), str):
        earlier = True
    later = (kind == "Encounter" and isinstance(resource.get("class"),
                                                list)) or (kind.startswith("Medication") and "medication" in resource)
    if earlier or later:
        raise Unsupported("this is not FHIR R4 (4.0.1), which is the version that is taken here", path=at, code="fhir-version")


def draft_of(resource: dict[str, Any], at: str, today: str) -> Draft:
    """The draft of one R4 resource. Raises `Invalid` when a part of it cannot be true; the whole resource then waits."""
    kind = resource["resourceType"]
    for name in ("modifierExtension", "implicitRules"):
        if name in resource:
            raise Invalid("an element that may change the meaning is not understood", path=f"{at}.{name}", code="modifier")
    known = _STATUS.get(kind)
    if known is not None and text(resource.get("status")) not in known:
        raise Invalid("a status is missing or not one of the standard's", path=f"{at}.status", code="status-unknown")
    draft = Draft(resource, at, today, {"resourceType": kind})
    for name in ("extension", *SAME[kind]):
        if name in resource or "_" + name in resource:
            draft.take(name)
    draft.subject = _reference(resource, SUBJECT.get(kind, "subject"), at)
    draft.context = _reference(resource, "encounter", at)
    draft.focus = _reference(resource, "focus", at)
    if kind in _CODED and not isinstance(draft.resource.get("code"), dict):
        raise Invalid("it does not say what it is", path=at, code="code-missing")
    return draft


def _reference(resource: dict[str, Any], name: str, at: str) -> Ref | None:
    for place, value in enumerate(dicts(resource.get(name))):
        if text(value.get("reference")):
            path = f"{at}.{name}[{place}]" if isinstance(resource[name], list) else f"{at}.{name}"
            return Ref("focus.0" if name == "focus" else name, value["reference"], f"{path}.reference")
    return None
