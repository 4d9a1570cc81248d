"""Clean R4 resources about invented people, and a way to spoil one."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

Json = dict[str, Any]

LOINC = "http://loinc.org"
UCUM = "http://unitsofmeasure.org"
XHTML = 'xmlns="http://www.w3.org/1999/xhtml"'


def quantity(value: float, unit: str) -> Json:
    return {"value": value, "unit": unit, "system": UCUM, "code": unit}


def concept(system: str, code: str) -> Json:
    return {"coding": [{"system": system, "code": code}]}


OBSERVATION: Json = {
    "resourceType": "Observation", "id": "hb-1", "status": "final",
    "identifier": [{"system": "urn:oid:2.16.840.1.113883.2.4.99", "value": "hb-1"}],
    "code": {"coding": [{"system": LOINC, "code": "93846-4", "display": "Hb"}], "text": "Hb"},
    "subject": {"reference": "Patient/noor"}, "effectiveDateTime": "2026-03-01T10:05:00+01:00", "issued": "2026-03-01T10:06:00.123Z",
    "valueQuantity": quantity(7.4, "mmol/L"),
}
BLOOD_PRESSURE: Json = {
    "resourceType": "Observation", "status": "final", "code": concept(LOINC, "85354-9"), "subject": {"reference": "Patient/noor"},
    "effectivePeriod": {"start": "2026-03-01T10:00:00+01:00", "end": "2026-03-01T09:30:00Z"},
    "component": [
        {"code": concept(LOINC, "8480-6"), "valueQuantity": quantity(118, "mm[Hg]")},
        {"code": concept(LOINC, "8462-4"), "valueQuantity": quantity(74.5, "mm[Hg]")},
    ],
}
PATIENT: Json = {
    "resourceType": "Patient", "id": "noor", "meta": {"versionId": "3", "lastUpdated": "2026-03-01T10:11:12.123+01:00"},
    "text": {"status": "generated", "div": f'<div {XHTML}><p class="x">Noor <b>Verhoeven</b></p><a href="https://example.org/">x</a></div>'},
    "extension": [{"url": "http://hl7.org/fhir/StructureDefinition/patient-interpreterRequired", "valueBoolean": False}],
    "identifier": [{"system": "http://fhir.nl/fhir/NamingSystem/bsn", "value": "999990019"}],
    "name": [{"family": "Verhoeven", "given": ["Noor", None],
              "_given": [None, {"extension": [{"url": "urn:example:initial", "valueCode": "IN"}]}]}],
    "gender": "female", "birthDate": "1994-03-12", "active": True,
    "contact": [{"name": {"text": "Bas Verhoeven"}}],
    "communication": [{"language": {"coding": [{"system": "urn:ietf:bcp:47", "code": "nl"}]}, "preferred": True}],
}
CONDITION: Json = {
    "resourceType": "Condition", "clinicalStatus": concept("http://terminology.hl7.org/CodeSystem/condition-clinical", "active"),
    "code": concept("http://snomed.info/sct", "77386006"), "subject": {"reference": "Patient/noor"}, "onsetDateTime": "2026-01",
}
ALLERGY: Json = {
    "resourceType": "AllergyIntolerance", "patient": {"reference": "Patient/noor"}, "code": {"text": "latex"},
    "clinicalStatus": concept("http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical", "active"),
}
MEDICATION: Json = {
    "resourceType": "MedicationStatement", "status": "active", "subject": {"reference": "Patient/noor"},
    "contained": [{"resourceType": "Medication", "id": "m1", "code": {"text": "foliumzuur"}}], "medicationReference": {"reference": "#m1"},
    "dosage": [{"text": "1 dd", "timing": {"repeat": {"frequency": 1, "period": 1, "periodUnit": "d", "timeOfDay": ["08:00:00"]}}}],
}
CONSENT: Json = {
    "resourceType": "Consent", "status": "active", "scope": {"text": "x"}, "category": [{"text": "x"}], "policyRule": {"text": "OPTIN"},
    "provision": {"type": "permit", "provision": [{"type": "deny"}]},
}
AUDIT_EVENT: Json = {
    "resourceType": "AuditEvent", "type": {"code": "rest"}, "action": "R", "recorded": "2026-03-01T10:11:12.123+01:00", "outcome": "0",
    "agent": [{"requestor": True, "who": {"reference": "urn:uuid:6a1b8f8e-9f0e-4a44-8a54-0c2b2f0f3a11"}}],
    "source": {"observer": {"display": "hub"}}, "entity": [{"name": "plan"}],
}
TASK: Json = {
    "resourceType": "Task", "status": "requested", "intent": "order",
    "input": [{"type": {"text": "x"}, "valueString": "y"}, {"type": {"text": "x"}, "valueReference": {"reference": "Patient/noor"}}],
}
PARAMETERS: Json = {
    "resourceType": "Parameters",
    "parameter": [{"name": "a", "valueInteger": 1}, {"name": "b", "part": [{"name": "c", "resource": CONDITION}]}],
}
ATTACHED: Json = {"resourceType": "Binary", "contentType": "text/plain", "data": "aGVs\nbG8="}
BUNDLE: Json = {
    "resourceType": "Bundle", "type": "collection", "timestamp": "2026-03-01T10:11:12Z",
    "entry": [{"fullUrl": "urn:uuid:6a1b8f8e-9f0e-4a44-8a54-0c2b2f0f3a11", "resource": PATIENT}, {"resource": OBSERVATION},
              {"resource": MEDICATION}],
}
TRANSACTION: Json = {
    "resourceType": "Bundle", "type": "transaction",
    "entry": [{"resource": OBSERVATION, "request": {"method": "PUT", "url": "Observation/hb-1"}},
              {"resource": {**CONDITION, "subject": {"reference": "Patient?identifier=urn:example|1"}},
               "request": {"method": "POST", "url": "Condition"}}],
}
COMPOSITION: Json = {
    "resourceType": "Composition", "status": "final", "type": {"text": "plan"}, "date": "2026-03-01", "title": "Plan",
    "author": [{"display": "hub"}], "section": [{"title": "a", "text": {"status": "generated", "div": f"<div {XHTML}>x</div>"}}],
}
DOCUMENT: Json = {
    "resourceType": "Bundle", "type": "document", "identifier": {"system": "urn:example", "value": "1"},
    "timestamp": "2026-03-01T10:11:12Z", "entry": [{"resource": COMPOSITION}],
}
CLEAN: dict[str, Json] = {
    "an Hb result": OBSERVATION, "a blood pressure": BLOOD_PRESSURE, "a woman": PATIENT, "a pregnancy": CONDITION, "an allergy": ALLERGY,
    "a medicine": MEDICATION, "a consent": CONSENT, "an audit event": AUDIT_EVENT, "a task": TASK, "parameters": PARAMETERS,
    "a binary": ATTACHED, "a collection": BUNDLE, "a transaction": TRANSACTION, "a document": DOCUMENT,
}


def spoiled(clean: Json, spoil: Callable[[Json], object]) -> Json:
    """A copy of a clean resource after `spoil` changed it."""
    resource = copy.deepcopy(clean)
    spoil(resource)
    return resource


def nested(levels: int) -> Json:
    """An observation with extensions within extensions."""
    extension: Json = {"url": "urn:x", "valueCode": "a"}
    for _ in range(levels):
        extension = {"url": "urn:x", "extension": [extension]}
    return {**OBSERVATION, "extension": [extension]}
