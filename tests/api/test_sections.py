"""The hot read: the same states as the door gives, as bytes, with a tag."""

from __future__ import annotations

import pytest
from starlette.testclient import TestClient

from hub.plan.state import versions
from tests.api.world import NOOR, NOW, World, bearer

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
