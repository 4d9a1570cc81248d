"""The trail over FHIR: a woman sees her own lines, an auditor searches, nobody else sees any."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from hub.api.create import create_api
from tests.api.world import NOOR, SAMIRA, bearer, build

URA = "http://fhir.nl/fhir/NamingSystem/ura"


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """A hub in which marit looked three times at Noor's plan and joke was refused at Samira's."""
    world = build(tmp_path_factory.mktemp("trail"))
    with TestClient(create_api(world.parts)) as client:
        for _ in range(3):
            client.get(f"/fhir/CarePlan/{NOOR}", headers=bearer("marit"))
        client.get(f"/fhir/CarePlan/{SAMIRA}", headers=bearer("joke"))
        yield client
    world.trail.stop()


def found(api: TestClient, who: str, query: str = "") -> list[dict[str, Any]]:
    answer = api.get(f"/fhir/AuditEvent?{query}".rstrip("?"), headers=bearer(who))
    assert answer.status_code == 200, answer.text
    return [entry["resource"] for entry in answer.json().get("entry", [])]


def person(event: dict[str, Any]) -> str:
    return str(event["agent"][0]["who"]["identifier"]["value"])


def test_a_woman_sees_who_looked_and_only_at_hers(api: TestClient) -> None:
    own = found(api, "noor")
    assert [person(e) for e in own].count("marit") == 3
    assert SAMIRA not in str(own)
    assert person(found(api, "samira")[-1]) == "joke"


def test_her_own_look_at_the_list_is_in_the_list(api: TestClient) -> None:
    first, second = found(api, "samira"), found(api, "samira")
    assert len(second) == len(first) + 1 and person(second[0]) == SAMIRA


def test_an_auditor_finds_by_patient_agent_organisation_date_and_outcome(api: TestClient) -> None:
    assert {person(e) for e in found(api, "tess", "agent=marit&outcome=0")} == {"marit"}
    assert len(found(api, "tess", f"agent=marit&patient={NOOR}")) == 3
    assert {person(e) for e in found(api, "tess", f"agent={URA}|00700004")} == {"joke"}
    assert {person(e) for e in found(api, "tess", "outcome=4")} == {"joke"}
    assert found(api, "tess", "agent=nobody") == []
    assert found(api, "tess", "date=lt2020") == found(api, "tess", "date=ge2100") == []
    assert len(found(api, "tess", "agent=marit&date=ge2020&date=le2099")) == 3


def test_pages_by_token_hold_every_line_once_whatever_comes_in_meanwhile(api: TestClient) -> None:
    for who, query in (("tess", "agent=marit&"), ("noor", "")):
        seen, url = [], f"/fhir/AuditEvent?{query}_count=2"
        while url:
            page = api.get(url, headers=bearer(who)).json()
            seen += [entry["resource"]["id"] for entry in page.get("entry", [])]
            url = next((link["url"] for link in page["link"] if link["relation"] == "next"), "").removeprefix("https://hub.example")
        assert len(seen) == len(set(seen)) >= 3


def test_nobody_else_reads_the_trail(api: TestClient) -> None:
    for who in ("marit", "anna", "joke", "ravi", "praktijk"):
        for query in ("", f"?patient={NOOR}"):
            assert api.get(f"/fhir/AuditEvent{query}", headers=bearer(who)).status_code == 403
    assert api.get(f"/fhir/AuditEvent?patient={SAMIRA}", headers=bearer("noor")).status_code == 403


def test_a_woman_cannot_narrow_her_list_by_people(api: TestClient) -> None:
    assert api.get("/fhir/AuditEvent?agent=marit", headers=bearer("noor")).status_code == 400


def test_the_example_in_the_readme_shows_her_the_refusal_it_speaks_of(api: TestClient) -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    address = re.findall(r"\$HUB(/fhir/AuditEvent\?[^\"]*)", readme)
    assert len(address) == 1
    assert api.get(f"/fhir/CarePlan?patient={SAMIRA}", headers=bearer("joke")).status_code == 403
    entries = api.get(address[0], headers=bearer("samira")).json()["entry"]
    assert [entry["resource"]["outcome"] for entry in entries] == ["0", "4"]
    assert entries[1]["resource"]["outcomeDesc"].startswith("no-relation")
