"""From what outsiders know to the id of a woman: by BSN in the body of a POST, as herself, or from one's own work list."""

from __future__ import annotations

import re
from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.api.world import NOOR, SAMIRA, World, bearer

BSN = "http://fhir.nl/fhir/NamingSystem/bsn"


def post(client: TestClient, kind: str, who: str, **form: str) -> Any:
    return client.post(f"/fhir/{kind}/_search", data=form, headers=bearer(who))


@pytest.mark.parametrize("identifier", [f"{BSN}|999990019", "urn:oid:2.16.840.1.113883.2.4.6.3|999990019", "999990019"])
def test_a_midwife_finds_her_client_by_bsn_in_the_body(client: TestClient, identifier: str) -> None:
    answer = post(client, "Patient", "marit", identifier=identifier)
    assert answer.status_code == 200, answer.text
    assert [entry["resource"]["id"] for entry in answer.json()["entry"]] == [NOOR]
    assert "999990019" not in answer.text


def test_a_bsn_in_an_address_is_refused_and_not_repeated(client: TestClient) -> None:
    answer = client.get(f"/fhir/Patient?identifier={BSN}|999990019", headers=bearer("marit"))
    assert answer.status_code == 400
    assert "_search" in answer.text and "999990019" not in answer.text


def test_a_bsn_that_nobody_has_and_one_that_is_closed_give_the_same_answer(client: TestClient) -> None:
    nobody = post(client, "Patient", "marit", identifier=f"{BSN}|999990044")
    closed = post(client, "Patient", "marit", identifier=f"{BSN}|999990032")
    assert nobody.status_code == closed.status_code == 403
    assert nobody.content == closed.content


def test_what_is_no_bsn_is_refused_without_repeating_it(client: TestClient) -> None:
    for identifier in (f"{BSN}|999990018", f"{BSN}|12", "http://example.org/other|999990019"):
        answer = post(client, "Patient", "marit", identifier=identifier)
        assert answer.status_code == 400
        assert "99999001" not in answer.text


def test_no_line_of_the_trail_holds_the_bsn_that_was_searched_for(client: TestClient, world: World) -> None:
    post(client, "Patient", "marit", identifier=f"{BSN}|999990019")
    lines = client.get("/fhir/AuditEvent", headers=bearer("tess")).text
    assert NOOR in lines and "999990019" not in lines


@pytest.mark.parametrize("kind", ["Patient", "CarePlan", "Observation", "Composition", "AuditEvent"])
def test_a_woman_who_names_nobody_means_herself(client: TestClient, kind: str) -> None:
    got, posted = client.get(f"/fhir/{kind}", headers=bearer("noor")), post(client, kind, "noor")
    assert got.status_code == posted.status_code == 200, got.text
    for answer in (got, posted):
        assert answer.json()["entry"] and SAMIRA not in answer.text


def test_a_caregiver_without_parameters_gets_her_work_list_page_by_page(client: TestClient) -> None:
    found, address = [], "/fhir/Patient?_count=1"
    while address and len(found) < 10:
        answer = client.get(address, headers=bearer("marit"))
        assert answer.status_code == 200, answer.text
        found += [entry["resource"]["id"] for entry in answer.json().get("entry", [])]
        address = next((link["url"].partition("/fhir/")[2] for link in answer.json()["link"] if link["relation"] == "next"), "")
        address = address and "/fhir/" + address
    assert NOOR in found and found == sorted(set(found))


@pytest.mark.parametrize("who", ["tess", "praktijk"])
def test_others_have_no_work_list(client: TestClient, who: str) -> None:
    assert client.get("/fhir/Patient", headers=bearer(who)).status_code == 403


@pytest.mark.parametrize("kind", ["CarePlan", "Observation", "Composition", "AuditEvent"])
def test_a_search_by_post_gives_what_the_same_search_by_get_gives(client: TestClient, kind: str) -> None:
    who = "tess" if kind == "AuditEvent" else "marit"
    got, posted = client.get(f"/fhir/{kind}?patient={NOOR}", headers=bearer(who)), post(client, kind, who, patient=NOOR)
    assert got.status_code == posted.status_code == 200
    if kind != "AuditEvent":  # each look at the trail adds a line to it
        assert [e["resource"]["id"] for e in got.json()["entry"]] == [e["resource"]["id"] for e in posted.json()["entry"]]


def test_the_figures_count_what_the_door_answered_and_name_nobody(client: TestClient) -> None:
    client.get(f"/fhir/CarePlan?patient={NOOR}", headers=bearer("marit"))
    client.get(f"/fhir/CarePlan?patient={NOOR}", headers=bearer("joke"))
    text = client.get("/metrics").text
    assert re.search(r'ooievaar_door_reads_total\{route="fhir:CarePlan"\} [1-9]', text)
    assert 'ooievaar_door_refusals_total{reason="no-relation"}' in text
    assert NOOR not in text
