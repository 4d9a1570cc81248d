"""From what outsiders know to the id of a woman: by BSN in the body of a POST, as herself, or from one's own work list."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from audit.entry import Line
from audit.trail import EVERYTHING
from authz.consents import Consents
from fhir_profiles.check import problems
from fhir_profiles.identifiers import Subject
from hub.api.create import create_api
from hub.api.figures import DoorFigures
from tests.api.world import BASE, CLOCK, NOOR, SAMIRA, World, bearer, build
from tests.plan.cases import dossier

BSN = "http://fhir.nl/fhir/NamingSystem/bsn"
FORM = "application/x-www-form-urlencoded"
OTHERS = ("1" * 32, "8" * 32, "f" * 32)


def post(client: TestClient, kind: str, who: str, **form: str) -> Any:
    return client.post(f"/fhir/{kind}/_search", data=form, headers=bearer(who))


@pytest.mark.parametrize("identifier", [f"{BSN}|999990019", "urn:oid:2.16.840.1.113883.2.4.6.3|999990019", "999990019"])
def test_a_midwife_finds_her_client_by_bsn_in_the_body(client: TestClient, identifier: str) -> None:
    answer = post(client, "Patient", "marit", identifier=identifier)
    assert answer.status_code == 200, answer.text
    assert [entry["resource"]["id"] for entry in answer.json()["entry"]] == [NOOR]
    assert "999990019" not in answer.text


@pytest.mark.parametrize(("method", "path"), [("GET", "/fhir/Patient"), ("POST", "/fhir/Patient/_search")])
def test_a_bsn_in_an_address_is_refused_and_goes_nowhere(
    client: TestClient, world: World, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str], method: str, path: str
) -> None:
    before = everything_recorded(world)
    with caplog.at_level(logging.DEBUG):
        answer = client.request(method, f"{path}?identifier={BSN}|999990019", headers=bearer("marit"))
    assert answer.status_code == 400
    assert "Patient/_search" in answer.text and "999990019" not in answer.text
    # The test client is a sender, and logs the address it asks for; what counts is what the hub says.
    said = "".join(record.getMessage() for record in caplog.records if not record.name.startswith("httpx"))
    assert "999990019" not in said + capsys.readouterr().out
    assert everything_recorded(world) == before


def everything_recorded(world: World) -> list[Line]:
    return list(world.trail.walk(EVERYTHING))


def test_an_identifier_stands_alone_and_is_no_list(client: TestClient) -> None:
    assert post(client, "Patient", "marit", identifier="999990019", _count="5").status_code == 400
    assert post(client, "Patient", "marit", identifier="999990019,999990020").status_code == 400


def test_the_woman_finds_herself_by_her_own_bsn_and_nobody_else(client: TestClient) -> None:
    assert post(client, "Patient", "noor", identifier="999990019").json()["entry"][0]["resource"]["id"] == NOOR
    assert post(client, "Patient", "noor", identifier="999990020").status_code == 403


@pytest.mark.parametrize("who", ["tess", "ravi", "praktijk"])
def test_who_may_not_see_her_front_page_finds_nobody_by_bsn(client: TestClient, who: str) -> None:
    assert post(client, "Patient", who, identifier="999990019").status_code == 403


def test_a_found_patient_is_valid_and_so_is_the_bundle(client: TestClient) -> None:
    for found in (post(client, "Patient", "marit", identifier="999990019"), client.get("/fhir/Patient", headers=bearer("marit"))):
        assert not problems(found.json())
        assert found.json()["entry"][0]["resource"]["birthDate"] == "1994-03-12"


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ({"content-type": "application/json"}, b"{}", 415),
        ({}, b"identifier=999990019", 415),
        ({"content-type": FORM, "content-encoding": "gzip"}, b"identifier=999990019", 415),
        ({"content-type": FORM}, b"identifier=" + b"9" * 3000, 413),
        ({"content-type": FORM}, b"identifier=\xff", 400),
        ({"content-type": FORM}, b"identifier", 400),
        ({"content-type": FORM}, b"identifier=999990019&identifier=999990020", 400),
        ({"content-type": FORM}, b"name=Noor", 400),
        ({"content-type": FORM + "; charset=utf-8"}, b"identifier=999990019", 200),
        ({}, b"", 200),
    ],
)
def test_what_is_no_form_has_an_answer(client: TestClient, headers: dict[str, str], body: bytes, status: int) -> None:
    answer = client.post("/fhir/Patient/_search", content=body, headers=bearer("marit") | headers)
    assert answer.status_code == status, answer.text
    assert status == 200 or (answer.json()["resourceType"] == "OperationOutcome" and "9999" not in answer.text)


def test_without_a_token_nobody_searches(client: TestClient) -> None:
    assert client.post("/fhir/Patient/_search", data={"identifier": "999990019"}).status_code == 401


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
    entry = world.trail.of_subject(NOOR, 1)[0].entry
    assert (entry.what.code, entry.what.nature, entry.about.opened) == ("plan-read", "fhir:Patient", ("front",))
    assert entry.about.query == f"identifier={BSN}|*"
    assert "999990019" not in str(everything_recorded(world))


@pytest.mark.parametrize("kind", ["Patient", "CarePlan", "Observation", "Composition", "AuditEvent"])
def test_a_woman_who_names_nobody_means_herself(client: TestClient, kind: str) -> None:
    got, posted = client.get(f"/fhir/{kind}", headers=bearer("noor")), post(client, kind, "noor")
    assert got.status_code == posted.status_code == 200, got.text
    for answer in (got, posted):
        assert answer.json()["entry"] and SAMIRA not in answer.text


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[TestClient, World]]:
    """A hub in which the practice cares for three women more, each of whom said yes; one of them in two pregnancies."""
    world = build(tmp_path_factory.mktemp("busy"))
    consents = Consents(world.hub.database, world.hub.keyring, lambda: CLOCK)
    for subject in OTHERS:
        world.hub.given(dossier(subject=subject, episode="6" * 32))
        consents.give(Subject(subject), "00700001", by="test", proof="test")
    world.hub.given(dossier(subject=OTHERS[0], episode="7" * 32, identity="second"))
    with TestClient(create_api(world.parts)) as client:
        yield client, world
    world.trail.stop()


def test_a_caregivers_work_list_comes_page_by_page_and_each_woman_once(busy: tuple[TestClient, World]) -> None:
    client, world = busy
    for size in (1, 2, 3, 50):
        found, address = list[str](), f"/fhir/Patient?_count={size}"
        while address:
            page = client.get(address, headers=bearer("marit")).json()
            assert len(page.get("entry", [])) <= size and "total" not in page
            found += [entry["resource"]["id"] for entry in page.get("entry", [])]
            address = next((link["url"] for link in page["link"] if link["relation"] == "next"), "").removeprefix(BASE)
        assert found == sorted([NOOR, *OTHERS])
    # The last page of all was one look at each pregnancy: once on the list does not hide that there were two.
    assert {line.entry.about.episode for line in world.trail.of_subject(OTHERS[0], 2)} == {"6" * 32, "7" * 32}


def test_only_the_women_of_a_page_are_recorded_as_looked_at(busy: tuple[TestClient, World]) -> None:
    client, world = busy
    before = {subject: len(world.trail.of_subject(subject)) for subject in (NOOR, *OTHERS)}
    page = client.get("/fhir/Patient", params={"_count": "1", "_page": OTHERS[0]}, headers=bearer("marit")).json()
    [seen] = [entry["resource"]["id"] for entry in page["entry"]]
    after = {subject: len(world.trail.of_subject(subject)) for subject in (NOOR, *OTHERS)}
    assert {subject for subject in after if after[subject] != before[subject]} == {seen} == {sorted([NOOR, *OTHERS])[1]}


def test_who_did_not_say_yes_to_the_organisation_is_not_on_its_list(client: TestClient) -> None:
    for who in ("marit", "anna", "joke"):
        page = client.get("/fhir/Patient", headers=bearer(who)).json()
        assert [entry["resource"]["id"] for entry in page["entry"]] == [NOOR]


@pytest.mark.parametrize("query", ["_count=0", "_count=x", "_page=1", "_page=999990019", "patient=" + NOOR, "_id=" + NOOR, "name=Noor"])
def test_a_work_list_takes_no_other_questions(client: TestClient, query: str) -> None:
    assert client.get(f"/fhir/Patient?{query}", headers=bearer("marit")).status_code == 400


def test_a_woman_has_no_list_to_page_through(client: TestClient) -> None:
    assert client.get("/fhir/Patient?_count=5", headers=bearer("noor")).status_code == 400


@pytest.mark.parametrize("kind", ["CarePlan", "Observation", "Composition"])
def test_a_caregiver_who_names_nobody_is_asked_for_a_patient(client: TestClient, kind: str) -> None:
    assert client.get(f"/fhir/{kind}", headers=bearer("marit")).status_code == post(client, kind, "marit").status_code == 400


@pytest.mark.parametrize("who", ["tess", "ravi", "praktijk"])
def test_others_have_no_work_list(client: TestClient, who: str) -> None:
    assert client.get("/fhir/Patient", headers=bearer(who)).status_code == 403


@pytest.mark.parametrize("kind", ["CarePlan", "Observation", "Composition", "AuditEvent"])
def test_a_search_by_post_gives_what_the_same_search_by_get_gives(client: TestClient, kind: str) -> None:
    who = "tess" if kind == "AuditEvent" else "marit"
    got, posted = client.get(f"/fhir/{kind}?patient={NOOR}", headers=bearer(who)), post(client, kind, who, patient=NOOR)
    assert got.status_code == posted.status_code == 200
    if kind != "AuditEvent":  # each look at the trail adds a line to it
        assert [e["resource"]["id"] for e in got.json()["entry"]] == [e["resource"]["id"] for e in posted.json()["entry"]]


def test_the_pages_of_a_search_by_post_go_on_by_get(client: TestClient) -> None:
    first = post(client, "Observation", "marit", patient=NOOR, _count="2", _sort="-date").json()
    [url] = [link["url"] for link in first["link"] if link["relation"] == "next"]
    second = client.get(url.removeprefix(BASE), headers=bearer("marit")).json()
    ids = [e["resource"]["id"] for bundle in (first, second) for e in bundle["entry"]]
    assert len(set(ids)) == 4 and first["total"] == second["total"]


def test_a_search_by_post_reads_address_and_body_together(client: TestClient) -> None:
    there = client.post(f"/fhir/Observation/_search?patient={NOOR}", data={"code": "883-9"}, headers=bearer("marit"))
    assert there.status_code == 200 and there.json()["total"] == 2
    twice = client.post(f"/fhir/Observation/_search?patient={NOOR}", data={"patient": NOOR}, headers=bearer("marit"))
    assert twice.status_code == 400


def figures(client: TestClient) -> dict[str, float]:
    lines = [line for line in client.get("/metrics").text.splitlines() if line.startswith("ooievaar_door")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def test_the_figures_count_what_the_door_answered_and_name_nobody(world: World) -> None:
    client = TestClient(create_api(replace(world.parts, figures=DoorFigures())))
    begun = figures(client)
    assert begun['ooievaar_door_refusals_total{reason="no-relation"}'] == begun["ooievaar_door_permits_total"] == 0
    for who, path in (
        ("marit", f"/fhir/CarePlan?patient={NOOR}"),
        ("marit", f"/fhir/CarePlan/{NOOR}/$sections"),
        ("marit", f"/fhir/CarePlan?patient={SAMIRA}"),
        ("noor", f"/fhir/CarePlan?patient={SAMIRA}"),
        ("noor", "/fhir/AuditEvent"),
        ("marit", "/fhir/Patient"),
        ("marit", "/fhir/Patient?_count=x"),
    ):
        client.get(path, headers=bearer(who))
    found = figures(client)
    assert found["ooievaar_door_permits_total"] == 4
    reads = {name: value for name, value in found.items() if "reads" in name}
    assert reads == {f'ooievaar_door_reads_total{{route="fhir:{k}"}}': 1 for k in ("CarePlan", "$sections", "AuditEvent", "Patient")}
    refused = {name: value for name, value in found.items() if "refusals" in name and value}
    assert refused == {f'ooievaar_door_refusals_total{{reason="{reason}"}}': 1 for reason in ("no-relation", "not-own-plan")}
    assert NOOR not in str(found) and SAMIRA not in str(found) and "marit" not in str(found)


def test_a_door_that_cannot_answer_is_counted_by_its_fault(tmp_path: Path) -> None:
    world = build(tmp_path)
    world.trail.stop()
    client = TestClient(create_api(world.parts))
    assert client.get("/fhir/CarePlan", headers=bearer("noor")).status_code == 503
    assert [value for name, value in figures(client).items() if "faults" in name] == [1]
