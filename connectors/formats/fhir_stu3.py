"""FHIR STU3 (3.0.2) resources become drafts of R4 resources; what R4 has no place for is left for the account.

Only what changed between the versions is written out here: renamed elements, single values that became lists, codes that became concepts.
Source: the R3-R4 difference pages of FHIR R4, and the bc-* and zib 2017 profiles for the extensions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from connectors.formats.days import check_born, day_after, not_after
from connectors.formats.fhir_tree import FOCUS_URLS, Draft, Ref, dicts, start_of, text
from fhir_profiles.errors import Invalid, Unsupported

CLINICAL: Final = "http://terminology.hl7.org/CodeSystem/condition-clinical"
VERIFICATION: Final = "http://terminology.hl7.org/CodeSystem/condition-ver-status"

# What moves over under its own name.
SAME: Final[dict[str, tuple[str, ...]]] = {
    "Patient": ("identifier", "active", "name", "telecom", "gender", "birthDate", "deceasedBoolean", "deceasedDateTime", "address",
                "maritalStatus",
                "multipleBirthBoolean", "multipleBirthInteger", "communication", "generalPractitioner", "managingOrganization"),
    "Organization": ("identifier", "active", "type", "name", "alias", "telecom", "address", "partOf", "contact"),
    "Practitioner": ("identifier", "active", "name", "telecom", "address", "gender", "birthDate", "qualification", "communication"),
    "PractitionerRole": ("identifier", "active", "period", "practitioner", "organization", "code", "specialty", "location", "telecom",
                         "availableTime", "notAvailable", "availabilityExceptions"),
    "EpisodeOfCare": ("identifier", "status", "statusHistory", "type", "diagnosis", "managingOrganization", "period", "careManager"),
    "Condition": ("identifier", "category", "severity", "code", "bodySite", "onsetDateTime", "onsetAge", "onsetPeriod", "onsetRange",
                  "onsetString",
                  "abatementDateTime", "abatementAge", "abatementPeriod", "abatementRange", "abatementString", "asserter", "evidence",
                  "note"),
    "Procedure": ("identifier", "partOf", "category", "code", "performedDateTime", "performedPeriod", "location", "reasonCode",
                  "reasonReference",
                  "bodySite", "outcome", "complication", "followUp", "note", "usedCode"),
    "Observation": ("identifier", "status", "category", "code", "effectiveDateTime", "effectivePeriod", "issued", "performer",
                    "dataAbsentReason",
                    "bodySite", "method", "referenceRange", "component", "valueQuantity", "valueCodeableConcept", "valueString",
                    "valueBoolean",
                    "valueRange", "valueRatio", "valueTime", "valueDateTime", "valuePeriod"),
    "Encounter": ("identifier", "status", "statusHistory", "class", "type", "priority", "participant", "period", "length",
                  "hospitalization"),
}
RENAMED: Final[dict[str, dict[str, str]]] = {
    "Condition": {"assertedDate": "recordedDate"}, "Procedure": {"notDoneReason": "statusReason"}, "Encounter": {"reason": "reasonCode"},
}
WRAPPED: Final[dict[str, dict[str, str]]] = {"Observation": {"interpretation": "interpretation"}, "Condition": {"stage": "stage"}}
SUBJECT: Final = {"EpisodeOfCare": "patient"}

_PROCEDURE_STATUS: Final = {"suspended": "on-hold", "aborted": "stopped"}
_STATUS: Final = {
    "Observation": frozenset(("registered", "preliminary", "final", "amended", "corrected", "cancelled", "entered-in-error", "unknown")),
    "Procedure": frozenset(("preparation", "in-progress", "suspended", "aborted", "completed", "entered-in-error", "unknown")),
    "EpisodeOfCare": frozenset(("planned", "waitlist", "active", "onhold", "finished", "cancelled", "entered-in-error")),
    "Encounter": frozenset(("planned", "arrived", "triaged", "in-progress", "onleave", "finished", "cancelled", "entered-in-error",
                            "unknown")),
}
_CLINICAL_STATUS: Final = frozenset(("active", "recurrence", "inactive", "remission", "resolved"))
_VERIFICATION_STATUS: Final = frozenset(("provisional", "differential", "confirmed", "refuted", "entered-in-error"))
_LATER: Final = {
    "Observation": ("encounter", "focus", "hasMember", "derivedFrom", "note"), "Condition": ("encounter", "recordedDate", "recorder",
                                                                                             "participant"),
    "Procedure": ("encounter", "statusReason", "performedString", "recorder", "occurrenceDateTime", "focus"),
}
_LATER_TYPES: Final = frozenset(("ServiceRequest", "BodyStructure", "MedicationUsage", "InsurancePlan", "NutritionIntake", "Citation",
                                 "EvidenceReport"))


def check_version(resource: dict[str, Any], at: str) -> None:
    """Refuse a message that speaks a later FHIR version: read as STU3 it would lose or turn round what it says."""
    kind = resource["resourceType"]
    later = kind in _LATER_TYPES or any(name in resource for name in _LATER.get(kind, ()))
    if later or (kind == "Condition" and isinstance(resource.get("clinicalStatus"), dict)):
        raise Unsupported("this is not FHIR STU3 (3.0.2), which is the version that is taken here", path=at, code="fhir-version")


def draft_of(resource: dict[str, Any], at: str, today: str) -> Draft:
    """The R4 draft of one STU3 resource. Raises `Invalid` when a part of it cannot be true; the whole resource then waits."""
    kind = resource["resourceType"]
    for name in ("modifierExtension", "implicitRules"):
        if name in resource:
            raise Invalid("an element that may change the meaning is not understood", path=f"{at}.{name}", code="modifier")
    draft = Draft(resource, at, today, {"resourceType": kind})
    _check_status(resource, at)
    if "extension" in resource:
        _take_extensions(draft)
    for name in SAME[kind]:
        if name in resource or "_" + name in resource:
            draft.take(name)
    for name, to in RENAMED.get(kind, {}).items():
        draft.take(name, to)
    for name, to in WRAPPED.get(kind, {}).items():
        draft.take(name, to, wrap=True)
    draft.subject = _reference(resource, SUBJECT.get(kind, "subject"), at)
    draft.context = _reference(resource, "context", at)
    special = _SPECIAL.get(kind)
    if special:
        special(draft)
    return draft


def _check_status(resource: dict[str, Any], at: str) -> None:
    known = _STATUS.get(resource["resourceType"])
    if known is not None and text(resource.get("status")) not in known:
        raise Invalid("a status is missing or not one of the standard's", path=f"{at}.status", code="status-unknown")


def _reference(resource: dict[str, Any], name: str, at: str) -> Ref | None:
    """A reference that the hub puts in itself: by URL, or by the identifier that it carries."""
    for place, value in enumerate(dicts(resource.get(name))):
        path = f"{at}.{name}[{place}]" if isinstance(resource.get(name), list) else f"{at}.{name}"
        if text(value.get("reference")):
            return Ref(name, value["reference"], f"{path}.reference")
        identifier = value.get("identifier")
        if isinstance(identifier, dict) and text(identifier.get("value")):
            return Ref(name, f"?identifier={text(identifier.get('system'))}|{identifier['value']}", f"{path}.identifier.value")
    return None


def _take_extensions(draft: Draft) -> None:
    for place, extension in enumerate(dicts(draft.source["extension"])):
        if text(extension.get("url")).lower() in FOCUS_URLS:
            value = extension.get("valueReference")
            if isinstance(value, dict) and text(value.get("reference")):
                at = f"{draft.at}.extension[{place}]"
                draft.focus = Ref("focus.0", value["reference"], f"{at}.valueReference.reference")
                draft.paths["focus.0.extension"] = f"{at}.url"
    draft.take("extension")


def _patient(draft: Draft) -> None:
    born = text(draft.source.get("birthDate"))
    if born:
        not_after(born, day_after(draft.today, 1), f"{draft.at}.birthDate")
        check_born(born, draft.today, f"{draft.at}.birthDate")


def _condition(draft: Draft) -> None:
    for name, system, known in (("clinicalStatus", CLINICAL, _CLINICAL_STATUS), ("verificationStatus", VERIFICATION, _VERIFICATION_STATUS)):
        code = draft.source.get(name)
        if code is None or (name == "verificationStatus" and code == "unknown"):
            continue
        if text(code) not in known:
            raise Invalid("a status is not one of the standard's", path=f"{draft.at}.{name}", code="status-unknown")
        if name == "clinicalStatus" and draft.source.get("verificationStatus") == "entered-in-error":
            # R4 has no clinical status on what was entered in error (con-5).
            draft.paths["verificationStatus.instead"] = f"{draft.at}.{name}"
            continue
        draft.resource[name] = {"coding": [{"system": system, "code": code}]}
        draft.paths[f"{name}.coding.0.code"] = f"{draft.at}.{name}"
    if not isinstance(draft.resource.get("code"), dict):
        raise Invalid("a condition does not say what it is", path=draft.at, code="code-missing")


def _procedure(draft: Draft) -> None:
    status = draft.source["status"]
    done = _PROCEDURE_STATUS.get(status, status)
    not_done = draft.source.get("notDone")
    draft.put("status", "not-done" if not_done is True else done, f"{draft.at}.status")
    if isinstance(not_done, bool):
        draft.paths["status.notDone"] = f"{draft.at}.notDone"
    for place, performer in enumerate(dicts(draft.source.get("performer"))):
        _performer(draft, performer, place)
    performed = text(draft.resource.get("performedDateTime")) or start_of(draft.resource.get("performedPeriod"))
    if performed and done == "completed":
        not_after(performed, day_after(draft.today, 1), draft.at)
    if not isinstance(draft.resource.get("code"), dict):
        raise Invalid("a procedure does not say what it is", path=draft.at, code="code-missing")


def _performer(draft: Draft, performer: dict[str, Any], place: int) -> None:
    at, to = f"{draft.at}.performer[{place}]", f"performer.{place}"
    made = {}
    for name, target in (("role", "function"), ("actor", "actor"), ("onBehalfOf", "onBehalfOf")):
        if isinstance(performer.get(name), dict):
            made[target] = draft.copy(performer[name], f"{at}.{name}", f"{to}.{target}", name)
    draft.resource.setdefault("performer", []).append(made)


def _observation(draft: Draft) -> None:
    comment = draft.source.get("comment")
    if text(comment):
        draft.resource["note"] = [{"text": comment}]
        draft.paths["note.0.text"] = f"{draft.at}.comment"
    if not isinstance(draft.resource.get("code"), dict):
        raise Invalid("an observation does not say what it is", path=draft.at, code="code-missing")


_SPECIAL: Final[dict[str, Callable[[Draft], None]]] = {"Patient": _patient, "Condition": _condition, "Procedure": _procedure, "Observation": _observation}


def ignored(key: str, resource: dict[str, Any]) -> str:
    """The named rule that ignores an element of any STU3 resource, or empty."""
    if key == "id":
        return "technical-id"
    if key == "text":
        narrative = resource["text"]
        # "additional" means that the text says more than the data: then it is not ours to drop.
        return "narrative" if isinstance(narrative, dict) and narrative.get("status") in ("generated", "extensions", "empty") else ""
    if key == "meta":
        return "" if {"tag", "security"} & set(resource["meta"] if isinstance(resource["meta"], dict) else ()) else "profile-claim"
    return ""
