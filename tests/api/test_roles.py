"""Each role of the hub serves what is its own: a process that shows no plan has no routes to one, and says so."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from starlette.testclient import TestClient
from starlette.types import ASGIApp

from hub.api.aside import create_aside
from hub.api.capability import INTERACTIONS
from hub.api.create import create_api
from hub.api.ports import IntakeParts, Operated
from tests.api.world import NOOR, World, bearer


def loops(world: World) -> ASGIApp:
    """`map` and `project`."""
    return create_aside(Operated())


def serve(world: World) -> ASGIApp:
    """`serve`, and `up`."""
    return create_api(world.parts)


def connect(world: World) -> ASGIApp:
    """`connect`, which takes Bundles."""
    parts = world.parts
    return create_aside(IntakeParts(tokens=parts.tokens, base_url=parts.base_url, clock=parts.clock, intake=parts.intake, clients=parts.clients))


DATA = [f"/fhir/{kind}{rest}" for kind in sorted(INTERACTIONS) for rest in ("", "/x")]
DATA += ["/fhir", "/fhir/metadata", f"/fhir/CarePlan/{NOOR}/$sections", f"/fhir/Composition/{NOOR}/$document", "/mijn/plan", "/zorg", "/"]


@pytest.mark.parametrize("path", DATA)
@pytest.mark.parametrize("role", [loops, connect])
def test_a_process_that_shows_no_plan_has_no_route_to_one(world: World, role: Callable[[World], ASGIApp], path: str) -> None:
    client = TestClient(role(world))
    for answer in (client.get(path, headers=bearer("marit")), client.post(path, headers=bearer("marit")), client.get(path)):
        assert answer.status_code == 404
        assert answer.json()["issue"][0]["code"] == "not-found"


@pytest.mark.parametrize(("role", "status"), [(loops, 404), (connect, 401), (serve, 401)])
def test_only_a_process_that_takes_messages_asks_who_sends_one(world: World, role: Callable[[World], ASGIApp], status: int) -> None:
    answer = TestClient(role(world)).post("/fhir-stu3", content=b"{}", headers={"content-type": "application/fhir+json"})
    assert (answer.status_code, answer.json()["resourceType"]) == (status, "OperationOutcome")


@pytest.mark.parametrize("role", [loops, connect, serve])
def test_every_role_tells_an_operator_how_it_is(world: World, role: Callable[[World], ASGIApp]) -> None:
    client = TestClient(role(world))
    assert [client.get(path).status_code for path in ("/health", "/ready", "/metrics")] == [200, 200, 200]
