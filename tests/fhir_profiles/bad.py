"""Bad R4 resources: what is wrong, how a clean one gets so, and the path that the check must name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.fhir_profiles.samples import (
    ALLERGY,
    ATTACHED,
    AUDIT_EVENT,
    BLOOD_PRESSURE,
    BUNDLE,
    CONDITION,
    CONSENT,
    DOCUMENT,
    MEDICATION,
    OBSERVATION,
    PARAMETERS,
    PATIENT,
    TASK,
    TRANSACTION,
    XHTML,
    Json,
    concept,
    nested,
)

Case = tuple[str, Json, Callable[[Json], object], str]


def put(*steps: Any) -> Callable[[Json], object]:
    """Set the value that comes last, at the path before it."""
    *path, last, value = steps

    def spoil(resource: Json) -> None:
        node: Any = resource
        for step in path:
            node = node[step]
        node[last] = value

    return spoil


def drop(name: str) -> Callable[[Json], object]:
    return lambda resource: resource.pop(name)


def narrative(content: str) -> Callable[[Json], object]:
    return put("text", "div", f"<div {XHTML}>{content}</div>")


_ENTERED_IN_ERROR = concept("http://terminology.hl7.org/CodeSystem/condition-ver-status", "entered-in-error")
_FIRST = ("entry", 0)

CASES: list[Case] = [
    ("no resource type", OBSERVATION, drop("resourceType"), "resourceType"),
    ("a type that does not exist", OBSERVATION, put("resourceType", "Observatie"), "resourceType"),
    ("a type that the hub does not take", OBSERVATION, put("resourceType", "Substance"), "resourceType"),
    ("a number as type", OBSERVATION, put("resourceType", 3), "resourceType"),
    ("an unknown element", OBSERVATION, put("Verhoeven", 1), "Observation"),
    ("a known element in the wrong place", OBSERVATION, put("birthDate", "1994-03-12"), "Observation.birthDate"),
    ("an unknown element deep down", OBSERVATION, put("code", "coding", 0, "kode", "x"), "Observation.code.coding[0]"),
    ("a required element left out", OBSERVATION, drop("code"), "Observation.code"),
    ("a required code left out", OBSERVATION, drop("status"), "Observation"),
    ("a status outside the required value set", OBSERVATION, put("status", "done"), "Observation.status"),
    ("a gender in Dutch", PATIENT, put("gender", "vrouw"), "Patient.gender"),
    ("a nested code outside its value set", CONSENT, put("provision", "provision", 0, "type", "maybe"),
     "Consent.provision.provision[0].type"),
    ("an audit action that does not exist", AUDIT_EVENT, put("action", "Z"), "AuditEvent.action"),
    ("a list where one is due", OBSERVATION, put("code", [OBSERVATION["code"]]), "Observation.code"),
    ("one where a list is due", OBSERVATION, put("identifier", {"value": "1"}), "Observation.identifier"),
    ("an empty list", OBSERVATION, put("category", []), "Observation.category"),
    ("an empty object", OBSERVATION, put("code", {}), "Observation.code"),
    ("null as a value", OBSERVATION, put("issued", None), "Observation.issued"),
    ("two values", OBSERVATION, put("valueString", "7.4"), "Observation"),
    ("two values, one by extension only", OBSERVATION, put("_valueString", {"extension": [{"url": "urn:x", "valueCode": "x"}]}),
     "Observation"),
    ("a value beside the reason that there is none", OBSERVATION, put("dataAbsentReason", {"text": "x"}), "Observation"),
    ("a value beside a component of the same code", BLOOD_PRESSURE,
     lambda r: r.update(valueQuantity={"value": 1}) or put("component", 0, "code", r["code"])(r), "Observation.component[0].code"),
    ("no choice made where one is required", MEDICATION, lambda r: (r.pop("medicationReference"), r.pop("contained")),
     "MedicationStatement"),
    ("two choices where exactly one is due", TASK, put("input", 0, "valueCode", "y"), "Task.input[0]"),
    ("no choice where exactly one of many is due", TASK, lambda r: r["input"][0].pop("valueString"), "Task.input[0]"),
    ("a parameter with two values", PARAMETERS, put("parameter", 0, "valueString", "1"), "Parameters.parameter[0]"),
    ("30 February", PATIENT, put("birthDate", "1994-02-30"), "Patient.birthDate"),
    ("29 February of a common year", PATIENT, put("birthDate", "2100-02-29"), "Patient.birthDate"),
    ("month 13", PATIENT, put("birthDate", "1994-13-01"), "Patient.birthDate"),
    ("a date written the Dutch way", PATIENT, put("birthDate", "12-03-1994"), "Patient.birthDate"),
    ("a date with a time where a day is due", PATIENT, put("birthDate", "1994-03-12T00:00:00Z"), "Patient.birthDate"),
    ("a time without a zone", OBSERVATION, put("effectiveDateTime", "2026-03-01T10:05:00"), "Observation.effectiveDateTime"),
    ("a time without seconds", OBSERVATION, put("effectiveDateTime", "2026-03-01T10:05+01:00"), "Observation.effectiveDateTime"),
    ("hour 24", OBSERVATION, put("effectiveDateTime", "2026-03-01T24:00:00Z"), "Observation.effectiveDateTime"),
    ("a leap second, which no calendar library holds", OBSERVATION, put("issued", "2016-12-31T23:59:60Z"), "Observation.issued"),
    ("a day where an instant is due", OBSERVATION, put("issued", "2026-03-01"), "Observation.issued"),
    ("an epoch number as a time", OBSERVATION, put("effectiveDateTime", 1772355900), "Observation.effectiveDateTime"),
    ("a zone of fifteen hours", OBSERVATION, put("issued", "2026-03-01T10:05:00+15:00"), "Observation.issued"),
    ("a period that ends before it starts", BLOOD_PRESSURE, put("effectivePeriod", {"start": "2026-03-02", "end": "2026-03-01"}),
     "Observation.effectivePeriod.end"),
    ("a period that runs backwards across zones", BLOOD_PRESSURE,
     put("effectivePeriod", {"start": "2026-03-01T10:00:00+01:00", "end": "2026-03-01T10:30:00+02:00"}), "Observation.effectivePeriod.end"),
    ("true as text", PATIENT, put("active", "true"), "Patient.active"),
    ("1 as boolean", PATIENT, put("active", 1), "Patient.active"),
    ("a whole number as text", PARAMETERS, put("parameter", 0, "valueInteger", "2"), "Parameters.parameter[0].valueInteger"),
    ("2.0 as a whole number", PARAMETERS, put("parameter", 0, "valueInteger", 2.0), "Parameters.parameter[0].valueInteger"),
    ("a whole number of 33 bits", PARAMETERS, put("parameter", 0, "valueInteger", 2**31), "Parameters.parameter[0].valueInteger"),
    ("a decimal as text", OBSERVATION, put("valueQuantity", "value", "7.4"), "Observation.valueQuantity.value"),
    ("a decimal that is not a number", OBSERVATION, put("valueQuantity", "value", float("nan")), "Observation.valueQuantity.value"),
    ("a decimal of nineteen digits", OBSERVATION, put("valueQuantity", "value", 10**18), "Observation.valueQuantity.value"),
    ("an infinite decimal", OBSERVATION, put("valueQuantity", "value", float("inf")), "Observation.valueQuantity.value"),
    ("a unit code without its system", OBSERVATION, lambda r: r["valueQuantity"].pop("system"), "Observation.valueQuantity"),
    ("text of blanks only", OBSERVATION, put("code", "text", "  \t"), "Observation.code.text"),
    ("empty text", OBSERVATION, put("code", "text", ""), "Observation.code.text"),
    ("text with NUL", OBSERVATION, put("code", "text", "H\0b"), "Observation.code.text"),
    ("text with a bell", OBSERVATION, put("code", "text", "H\ab"), "Observation.code.text"),
    ("text of two million characters", OBSERVATION, put("code", "text", "x" * 2_000_000), "Observation.code.text"),
    ("half a surrogate pair", OBSERVATION, put("code", "text", "\ud800"), "Observation"),
    ("an id of 65 characters", OBSERVATION, put("id", "a" * 65), "Observation.id"),
    ("an id with an underscore", OBSERVATION, put("id", "a_b"), "Observation.id"),
    ("a code that ends in a blank", OBSERVATION, put("code", "coding", 0, "code", "718-7 "), "Observation.code.coding[0].code"),
    ("a system with a blank", OBSERVATION, put("code", "coding", 0, "system", "http://a b"), "Observation.code.coding[0].system"),
    ("a system that runs a script", OBSERVATION, put("code", "coding", 0, "system", "JavaScript:alert(1)"),
     "Observation.code.coding[0].system"),
    ("a photo whose url runs a script", PATIENT, put("photo", [{"url": "javascript:alert(1)"}]), "Patient.photo[0].url"),
    ("base64 of a length that cannot be", ATTACHED, put("data", "aGVsbG8"), "Binary.data"),
    ("base64 with other characters", ATTACHED, put("data", "aGV$"), "Binary.data"),
    ("a time of day with seconds missing", MEDICATION, put("dosage", 0, "timing", "repeat", "timeOfDay", ["08:00"]),
     "MedicationStatement.dosage[0].timing.repeat.timeOfDay[0]"),
    ("a reference to a type that does not exist", OBSERVATION, put("subject", "reference", "Persoon/1"), "Observation.subject.reference"),
    ("a reference that is a name", OBSERVATION, put("subject", "reference", "Noor Verhoeven"), "Observation.subject.reference"),
    ("a reference that runs a script", OBSERVATION, put("subject", "reference", "javascript:alert(1)"), "Observation.subject.reference"),
    ("a reference to nothing contained", OBSERVATION, put("subject", "reference", "#p9"), "Observation.contained"),
    ("a contained resource that nothing refers to", MEDICATION, put("medicationReference", "reference", "Medication/1"),
     "MedicationStatement.contained[0]"),
    ("a contained resource with a version", MEDICATION, put("contained", 0, "meta", {"versionId": "1"}),
     "MedicationStatement.contained[0].meta.versionId"),
    ("a contained resource within a contained one", MEDICATION, put("contained", 0, "contained", [{"resourceType": "Patient", "id": "p"}]),
     "MedicationStatement.contained[0].contained"),
    ("a fault inside a contained resource", MEDICATION, put("contained", 0, "status", "gone"), "MedicationStatement.contained[0].status"),
    ("an extension without value", PATIENT, lambda r: r["extension"][0].pop("valueBoolean"), "Patient.extension[0]"),
    ("an extension with two values", PATIENT, put("extension", 0, "valueCode", "x"), "Patient.extension[0]"),
    ("an extension with a value and extensions", PATIENT, put("extension", 0, "extension", [{"url": "urn:x", "valueCode": "x"}]),
     "Patient.extension[0]"),
    ("an extension without url", PATIENT, lambda r: r["extension"][0].pop("url"), "Patient.extension[0].url"),
    ("null in a list with nothing in its place", PATIENT, lambda r: r["name"][0].pop("_given"), "Patient.name[0].given"),
    ("lists beside each other of other lengths", PATIENT, put("name", 0, "_given", [None]), "Patient.name[0]._given"),
    ("null on both sides", PATIENT, put("name", 0, "_given", [None, None]), "Patient.name[0].given"),
    ("a list within a list", PATIENT, put("name", 0, "given", [["Noor"]]), "Patient.name[0].given"),
    ("a contact without details", PATIENT, put("contact", [{"gender": "male"}]), "Patient.contact[0]"),
    ("a script in the narrative", PATIENT, narrative("<script>alert(1)</script>"), "Patient.text.div"),
    ("an event handler in the narrative", PATIENT, narrative('<p onclick="x()">a</p>'), "Patient.text.div"),
    ("a javascript link in the narrative", PATIENT, narrative('<a href=" javascript:x()">a</a>'), "Patient.text.div"),
    ("a form in the narrative", PATIENT, narrative("<form/>"), "Patient.text.div"),
    ("an outside picture in the narrative", PATIENT, narrative('<img src="https://example.org/x.png"/>'), "Patient.text.div"),
    ("an outside background in the narrative", PATIENT, narrative('<p style="background:url(https://example.org)">a</p>'),
     "Patient.text.div"),
    ("SVG in the narrative", PATIENT, narrative('<svg xmlns="http://www.w3.org/2000/svg"/>'), "Patient.text.div"),
    ("a narrative that is not closed", PATIENT, narrative("<p>"), "Patient.text.div"),
    ("a narrative with an entity of HTML", PATIENT, narrative("a&nbsp;b"), "Patient.text.div"),
    ("a narrative without namespace", PATIENT, put("text", "div", "<div>a</div>"), "Patient.text.div"),
    ("a narrative with a DOCTYPE", PATIENT, put("text", "div", f"<!DOCTYPE div><div {XHTML}/>"), "Patient.text.div"),
    ("a script in a section of a document", DOCUMENT,
     put(*_FIRST, "resource", "section", 0, "text", "div", f"<div {XHTML}><script/></div>"),
     "Bundle.entry[0].resource.section[0].text.div"),
    ("an allergy without clinical status", ALLERGY, drop("clinicalStatus"), "AllergyIntolerance.clinicalStatus"),
    ("a mistaken allergy that is active", ALLERGY, put("verificationStatus", _ENTERED_IN_ERROR), "AllergyIntolerance.clinicalStatus"),
    ("a mistaken condition that is active", CONDITION, put("verificationStatus", _ENTERED_IN_ERROR), "Condition.clinicalStatus"),
    ("a condition both over and active", CONDITION, put("abatementDateTime", "2026-02-01"), "Condition.clinicalStatus"),
    ("a consent without policy", CONSENT, drop("policyRule"), "Consent"),
    ("an audited thing with name and query", AUDIT_EVENT, put("entity", 0, "query", "aGVsbG8="), "AuditEvent.entity[0]"),
    ("a bundle without type", BUNDLE, drop("type"), "Bundle"),
    ("a bundled resource without type", BUNDLE, put("entry", 1, "resource", {"id": "x"}), "Bundle.entry[1].resource.resourceType"),
    ("a bundled resource of an unknown type", BUNDLE, put("entry", 1, "resource", {"resourceType": "Iets"}),
     "Bundle.entry[1].resource.resourceType"),
    ("a bundled resource with a fault", BUNDLE, put("entry", 1, "resource", "status", "done"), "Bundle.entry[1].resource.status"),
    ("a fault two resources deep", BUNDLE, put("entry", 2, "resource", "contained", 0, "code", "x"),
     "Bundle.entry[2].resource.contained[0].code"),
    ("a total on a collection", BUNDLE, put("total", 2), "Bundle.total"),
    ("a transaction without request", TRANSACTION, lambda r: r["entry"][0].pop("request"), "Bundle.entry[0].request"),
    ("a response in a collection", BUNDLE, put(*_FIRST, "response", {"status": "200"}), "Bundle.entry[0].response"),
    ("an entry with nothing in it", BUNDLE, put("entry", 0, {"fullUrl": "urn:uuid:6a1b8f8e-9f0e-4a44-8a54-0c2b2f0f3a11"}),
     "Bundle.entry[0]"),
    ("one fullUrl twice", BUNDLE, lambda r: [e.update(fullUrl="https://example.org/fhir/Patient/1") for e in r["entry"][1:]],
     "Bundle.entry[2].fullUrl"),
    ("a fullUrl with a version", BUNDLE, put(*_FIRST, "fullUrl", "https://example.org/fhir/Patient/1/_history/2"),
     "Bundle.entry[0].fullUrl"),
    ("a document without identifier", DOCUMENT, drop("identifier"), "Bundle.identifier"),
    ("a document that does not begin with a composition", DOCUMENT, put(*_FIRST, "resource", PATIENT), "Bundle.entry[0].resource"),
    ("sixty-five levels", OBSERVATION, lambda r: r.update(nested(40)), "Observation" + ".extension[0]" * 32),
    ("a hundred thousand levels", OBSERVATION, lambda r: r.update(nested(100_000)), "Observation" + ".extension[0]" * 32),
    ("a value that JSON does not have", OBSERVATION, put("issued", b"2026"), "Observation"),
    ("a key that is no text", OBSERVATION, put(7, "x"), "Observation"),
]
