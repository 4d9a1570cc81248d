"""The hot read: the same states as the door gives, as bytes, with a tag."""

from __future__ import annotations

from pathlib import Path

import pytest
from starlette.testclient import TestClient

from authz.consents import Consents
from fhir_profiles.identifiers import Subject
from hub.api.create import create_api
from hub.plan.state import versions
from tests.api.world import NOOR, NOW, World, bearer, build
from tests.plan.cases import dossier, observed

URL = f"/fhir/CarePlan/{NOOR}/$sections"


def test_states_come_as_they_are_stored(client: TestClient, world: World) -> None:
    answer = client.get(URL, headers=bearer("marit"))
    assert answer.status_code == 200 and answer.headers["content-type"] == "application/json"
    found = answer.json()
    assert (found["subject"], found["episode"], found["closed"]) == (NOOR, NOW, {})
    stored = world.hub.reader.sections(NOOR, NOW, ("measurements",))[(NOW, "measurements")]
    assert stored in answer.content and len(versions(stored)) == len(found["sections"]["measurements"])


def test_shut_sections_say_why_and_hold_nothing(client: TestClient) -> None:
    found = client.get(URL, headers=bearer("joke")).json()
    assert set(found["sections"]) == {"front", "care-team", "pregnancy"}
    assert found["closed"] == {"history": "role-has-no-section", "measurements": "role-has-no-section"}


@pytest.mark.parametrize(
    "address",
    [
        f"{URL}?section=pregnancy,front",
        f"{URL}?episode={NOW}&section=front,pregnancy",
        f"/fhir/CarePlan/{NOOR}{NOW}/$sections?section=front,pregnancy",
        f"{URL.replace('$', '%24')}?section=pregnancy,front",
    ],
)
def test_only_what_is_asked_for_comes(client: TestClient, address: str) -> None:
    assert set(client.get(address, headers=bearer("marit")).json()["sections"]) == {"front", "pregnancy"}


def test_a_plan_that_did_not_change_is_not_sent_again_but_the_look_is_recorded(client: TestClient, world: World) -> None:
    first = client.get(URL, headers=bearer("marit"))
    before = world.trail.of_subject(NOOR, 1)[0].subject_seq
    again = client.get(URL, headers={**bearer("marit"), "if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert world.trail.of_subject(NOOR, 1)[0].subject_seq == before + 1
    assert client.get(URL, headers={**bearer("joke"), "if-none-match": first.headers["etag"]}).status_code == 200


def test_what_closes_between_two_reads_closes_at_the_next_though_the_plan_is_in_memory(tmp_path: Path) -> None:
    world = build(tmp_path)
    client = TestClient(create_api(world.parts), base_url="https://hub.example")
    consents = Consents(world.hub.database, world.hub.keyring)

    def look(name: str = "marit") -> tuple[int, str]:
        answer = client.get(URL, headers=bearer(name))
        return answer.status_code, answer.text

    assert look()[0] == look()[0] == look("anna")[0] == 200
    consents.withdraw(Subject(NOOR), "00700001", by="noor", proof="test")
    assert look()[0] == 403 and "no-consent" in look()[1] and look("anna")[0] == 200
    consents.give(Subject(NOOR), "00700001", by="noor", proof="test")
    assert look()[0] == 200

    world.hub.given(observed("haemoglobin", 7.77, "mmol/L", effective="2026-05-28", subject=NOOR))
    assert "7.77" in look()[1], "what is new is there at once"
    assert look("joke")[0] == 200
    world.hub.given(dossier(ura="00700004", source="zon/00700004", status="finished", end="2026-04-01", version="2026-05-30T10:00:00Z", subject=NOOR))
    assert look("joke")[0] == 403 and "no-relation" in look("joke")[1] and look()[0] == 200

    assert look("noor")[0] == 200
    world.hub.keyring.destroy(NOOR)
    status, text = look("noor")
    assert status == 200 and "7.77" not in text and "mmol/L" not in text
    world.trail.stop()
