"""What the FHIR API shows of a plan: valid R4, only what opens, every look recorded."""

from __future__ import annotations

from typing import Any

import pytest
from fhir.resources.R4B import get_fhir_model_class
from starlette.testclient import TestClient

from fhir_profiles.check import problems
from tests.api.world import NOOR, NOW, World, bearer

PLAN = NOOR + NOW
SECTIONS_OF_ALL = ["front", "care-team", "pregnancy", "history", "measurements"]


def got(client: TestClient, path: str, who: str = "marit") -> dict[str, Any]:
    answer = client.get(path, headers=bearer(who))
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/fhir+json; fhirVersion=4.0"
    found: dict[str, Any] = answer.json()
    return found


def strings(value: Any) -> list[str]:
    if isinstance(value, dict):
        value = list(value.values())
    return [value] if isinstance(value, str) else [text for part in value for text in strings(part)] if isinstance(value, list) else []


def of(bundle: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [e["resource"] for e in bundle.get("entry", []) if e["resource"]["resourceType"] == kind]


@pytest.mark.parametrize("who", ["noor", "marit", "anna", "joke"])
@pytest.mark.parametrize(
    "path",
    [
        f"/fhir/CarePlan?patient={NOOR}",
        f"/fhir/CarePlan/{PLAN}",
        f"/fhir/CarePlan/{NOOR}",
        f"/fhir/Composition?subject=Patient/{NOOR}",
        f"/fhir/Composition/{PLAN}/$document",
        f"/fhir/Observation?patient={NOOR}",
        f"/fhir/Patient/{NOOR}",
        "/fhir/metadata",
    ],
)
def test_every_resource_is_valid_r4(client: TestClient, who: str, path: str) -> None:
    resource = got(client, path, who)
    assert not problems(resource)
    get_fhir_model_class(resource["resourceType"]).model_validate(resource)


def test_the_trail_is_valid_r4(client: TestClient) -> None:
    for who, path in (("noor", "/fhir/AuditEvent"), ("tess", f"/fhir/AuditEvent?patient={NOOR}")):
        bundle = got(client, path, who)
        assert of(bundle, "AuditEvent") and not problems(bundle)
        get_fhir_model_class("Bundle").model_validate(bundle)


def test_the_document_holds_a_section_for_each_part_and_everything_it_refers_to(client: TestClient) -> None:
    bundle = got(client, f"/fhir/Composition/{PLAN}/$document")
    composition, *_ = of(bundle, "Composition")
    assert bundle["entry"][0]["resource"] == composition
    assert [s["code"]["coding"][0]["code"] for s in composition["section"]] == SECTIONS_OF_ALL
    there = {f"{e['resource']['resourceType']}/{e['resource']['id']}" for e in bundle["entry"]}
    referred = {r["reference"] for s in composition["section"] for r in s.get("entry", [])} | {composition["subject"]["reference"]}
    assert referred <= there and len(there) == len(bundle["entry"])
    assert {"Patient", "CareTeam", "Condition", "AllergyIntolerance", "MedicationStatement", "Procedure", "Observation"} <= {
        r.split("/")[0] for r in there
    }


def test_a_section_that_stays_shut_says_so_and_shows_nothing(client: TestClient) -> None:
    bundle = got(client, f"/fhir/Composition/{PLAN}/$document", "joke")
    composition, *_ = of(bundle, "Composition")
    reasons = {s["code"]["coding"][0]["code"]: s.get("emptyReason", {}).get("coding", [{}])[0].get("code") for s in composition["section"]}
    assert reasons["history"] == reasons["measurements"] == "withheld"
    assert reasons["pregnancy"] is None
    text = str(bundle)
    assert not any(word in text for word in ("penicilline", "foliumzuur", "astma", "curettage", "mmol", "mmHg"))
    assert not any(of(bundle, kind) for kind in ("AllergyIntolerance", "MedicationStatement", "Procedure"))


def test_text_of_a_source_cannot_become_mark_up(client: TestClient) -> None:
    for path in (f"/fhir/Composition/{PLAN}/$document", f"/fhir/CarePlan/{PLAN}"):
        divs = [text for text in strings(got(client, path)) if text.startswith("<div")]
        assert divs and not any("<script" in div for div in divs)
    [allergy] = of(got(client, f"/fhir/Composition/{PLAN}/$document"), "AllergyIntolerance")
    assert allergy["code"]["text"] == "<script>alert('x')</script> & penicilline"


def test_values_keep_number_unit_source_time_and_correction(client: TestClient) -> None:
    found = of(got(client, f"/fhir/Observation?patient={NOOR}&code=http://loinc.org|718-7&_sort=-date"), "Observation")
    newest, corrected = found
    assert (newest["valueQuantity"]["value"], newest["status"], newest["effectiveDateTime"]) == (7.1, "final", "2026-05-20T09:30:00+02:00")
    assert newest["performer"][0]["identifier"]["value"] == "00700002"
    assert (corrected["valueQuantity"]["value"], corrected["status"], corrected["effectiveDateTime"]) == (6.9, "corrected", "2026-04-30")
    assert corrected["valueQuantity"]["code"] == "mmol/L"
    # Moles, not mass: the code that fits the unit, whichever was asked for.
    assert {c["code"] for c in corrected["code"]["coding"]} == {"haemoglobin", "59260-0"}


def test_values_of_every_kind_have_their_own_fhir_type(client: TestClient) -> None:
    by_name = {o["code"]["coding"][0]["code"]: o for o in of(got(client, f"/fhir/Observation?patient={NOOR}"), "Observation")}
    assert by_name["gravidity"]["valueInteger"] == 2
    assert by_name["due-date"]["valueDateTime"] == "2026-11-02"
    assert by_name["blood-group"]["valueCodeableConcept"]["coding"][0]["system"] == "http://snomed.info/sct"
    assert [c["valueQuantity"]["value"] for c in by_name["blood-pressure"]["component"]] == [118, 76]
    assert by_name["fetal-heart-rate"]["focus"][0]["identifier"]["value"] == "f" * 32


def test_sources_that_disagree_are_both_there(client: TestClient) -> None:
    found = of(got(client, f"/fhir/Observation?patient={NOOR}&code=883-9"), "Observation")
    assert {(o["valueCodeableConcept"]["text"], o["performer"][0]["identifier"]["value"]) for o in found} == {
        ("A", "00700002"),
        ("B", "00700001"),
    }


def test_a_fact_of_another_pregnancy_is_not_in_this_one(client: TestClient) -> None:
    assert "8.8" not in client.get(f"/fhir/Observation?patient={NOOR}", headers=bearer("noor")).text


def test_an_observation_that_a_search_gave_can_be_read_again(client: TestClient) -> None:
    for found in of(got(client, f"/fhir/Observation?patient={NOOR}"), "Observation"):
        assert got(client, f"/fhir/Observation/{found['id']}") == found


def test_an_observation_in_a_shut_section_is_not_there(client: TestClient) -> None:
    [weight] = of(got(client, f"/fhir/Observation?patient={NOOR}&code=29463-7"), "Observation")
    answer = client.get(f"/fhir/Observation/{weight['id']}", headers=bearer("joke"))
    never = client.get(f"/fhir/Observation/{NOOR}{'0' * 32}", headers=bearer("joke"))
    assert (answer.status_code, answer.content) == (404, never.content)


def test_a_care_plan_refers_to_the_observations_that_its_reader_may_see(client: TestClient) -> None:
    for who in ("marit", "joke"):
        referred = {r["reference"].removeprefix("Observation/") for r in got(client, f"/fhir/CarePlan/{PLAN}", who)["supportingInfo"]}
        assert referred == {o["id"] for o in of(got(client, f"/fhir/Observation?patient={NOOR}", who), "Observation")}


def test_her_bsn_is_in_no_answer(client: TestClient) -> None:
    for path in (f"/fhir/Patient/{NOOR}", f"/fhir/Composition/{PLAN}/$document", "/fhir/AuditEvent", f"/fhir/CarePlan/{NOOR}/$sections"):
        assert "999990019" not in client.get(path, headers=bearer("noor")).text


@pytest.mark.parametrize(
    ("who", "path"),
    [
        ("marit", f"/fhir/CarePlan?patient={NOOR}"),
        ("marit", f"/fhir/CarePlan/{PLAN}"),
        ("marit", f"/fhir/Composition?patient={NOOR}"),
        ("marit", f"/fhir/Composition/{PLAN}/$document"),
        ("marit", f"/fhir/Observation?patient={NOOR}"),
        ("marit", f"/fhir/Patient/{NOOR}"),
        ("marit", f"/fhir/Observation/{NOOR}{'0' * 32}"),
        ("marit", f"/fhir/CarePlan/{NOOR}/$sections"),
        ("tess", f"/fhir/AuditEvent?patient={NOOR}"),
        ("noor", "/fhir/AuditEvent"),
        ("tess", f"/fhir/CarePlan/{PLAN}"),
        ("ravi", f"/fhir/CarePlan/{PLAN}"),
        ("samira", f"/fhir/Patient/{NOOR}"),
        ("praktijk", f"/fhir/CarePlan/{NOOR}/$sections"),
        ("marit", f"/fhir/CarePlan/{NOOR}{'9' * 32}"),
        ("samira", f"/fhir/AuditEvent?patient={NOOR}"),
    ],
)
def test_every_look_and_every_refusal_is_one_line_in_her_trail(client: TestClient, world: World, who: str, path: str) -> None:
    before = world.trail.of_subject(NOOR, 1)
    answer = client.get(path, headers={**bearer(who), "x-request-id": "a-request-of-this-test"})
    lines = world.trail.of_subject(NOOR, 10, 0)
    new = [line for line in lines if not before or line.subject_seq > before[0].subject_seq]
    assert len(new) == 1
    assert (new[0].entry.what.outcome == "success") is (answer.status_code in (200, 404))
    assert new[0].entry.about.request_id == answer.headers["x-request-id"] == "a-request-of-this-test"
    assert new[0].entry.about.trace == answer.headers["traceparent"]
