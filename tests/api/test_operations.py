"""What an operator's machines ask, and what the server says that it can do."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import replace

import pytest
from starlette.routing import Route
from starlette.testclient import TestClient

from hub.api.capability import INTERACTIONS, READ, SEARCH
from hub.api.create import create_api
from hub.api.fhir import create_router
from hub.api.operations import Operations
from tests.api.world import NOOR, SAMIRA, World, bearer


def test_it_says_that_it_lives(client: TestClient) -> None:
    answer = client.get("/health")
    assert (answer.status_code, answer.json()) == (200, {"status": "alive"})
    assert client.post("/health").status_code == 405


def slow() -> bool:
    time.sleep(0.5)
    return True


def broken() -> bool:
    raise OSError("password=secret")


@pytest.mark.parametrize(("check", "ready"), [(lambda: True, True), (lambda: False, False), (broken, False), (slow, False)])
def test_it_is_ready_when_every_part_says_so_in_time(world: World, check: Callable[[], bool], ready: bool) -> None:
    app = Operations(replace(world.parts, checks={"database": lambda: True, "log": check}), timeout_s=0.2)
    answer = TestClient(app).get("/ready")
    assert answer.status_code == (200 if ready else 503)
    assert answer.json() == {"ready": ready, "checks": {"database": True, "log": ready}}


def test_figures_are_prometheus_text(client: TestClient) -> None:
    answer = client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert answer.text.startswith("# HELP ooievaar_backlog Messages that wait.\n# TYPE ooievaar_backlog gauge\nooievaar_backlog 0.5\n")
    assert answer.text.endswith(
        "# HELP ooievaar_received_total Messages received.\n# TYPE ooievaar_received_total counter\n"
        'ooievaar_received_total{source="a\\"b\\\\c\\nd"} 3\n'
    )


def test_whatever_is_not_the_apis_goes_to_the_pages(world: World) -> None:
    async def pages(scope: dict[str, object], receive: object, send: Callable[[object], object]) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})  # type: ignore[misc]  # an ASGI send is awaitable
        await send({"type": "http.response.body", "body": b"page"})  # type: ignore[misc]

    client = TestClient(create_api(world.parts, pages))  # type: ignore[arg-type]  # a plain function is an ASGI app
    assert client.get("/").text == client.get("/fhirx").text == "page"
    assert client.get("/fhir/nothing").status_code == 404 and client.get("/health").json() == {"status": "alive"}


def test_the_statement_names_every_route_and_no_other(world: World, client: TestClient) -> None:
    said = client.get("/fhir/metadata").json()
    stated = {call for r in said["rest"][0]["resource"] for i in r["interaction"] for call in CALLS[i["code"]](r["type"])}
    operations = {(r["type"], o["name"]) for r in said["rest"][0]["resource"] for o in r.get("operation", [])}
    there = {(method, route.path) for route in create_router(world.parts).routes if isinstance(route, Route) for method in route.methods or ()}
    there = {(method, re.sub(r"{\w+}", "[id]", path)) for method, path in there} - {
        ("GET", "/metadata"),
        ("GET", "/.well-known/smart-configuration"),
        ("GET", "/Composition/[id]/$document"),
    }
    assert stated == there
    assert operations == {("CarePlan", "sections"), ("Composition", "document")}


CALLS: dict[str, Callable[[str], set[tuple[str, str]]]] = {
    READ: lambda kind: {("GET", f"/{kind}/[id]")},
    SEARCH: lambda kind: {("GET", f"/{kind}"), ("POST", f"/{kind}/_search")},
}


@pytest.mark.parametrize("kind", [k for k, offer in INTERACTIONS.items() if SEARCH in offer.interactions])
def test_every_stated_search_parameter_is_taken_and_no_other(client: TestClient, kind: str) -> None:
    said = next(r for r in client.get("/fhir/metadata").json()["rest"][0]["resource"] if r["type"] == kind)
    stated = {p["name"] for p in said["searchParam"]} | {word for word in RESULTS if word in said["documentation"].rpartition("Result")[2]}
    who = "tess" if kind == "AuditEvent" else "marit"
    for name, value in (VALUES | ({"_page": SAMIRA} if kind == "Patient" else {})).items():
        alone = kind == "Patient" or name in ("patient", "subject")
        pairs = {name: value} if alone else {"patient": NOOR, name: value}
        answers = [client.post(f"/fhir/{kind}/_search", data=pairs, headers=bearer(who))]
        if name != "identifier":
            answers.append(client.get(f"/fhir/{kind}", params=pairs, headers=bearer(who)))
        assert {a.status_code for a in answers} == {200 if name in stated else 400}, (kind, name)


RESULTS = {"_count": "5", "_page": "1", "_sort": "-date"}
VALUES = {
    "patient": NOOR,
    "subject": NOOR,
    "agent": "x",
    "code": "x",
    "date": "2026",
    "outcome": "0",
    "identifier": "999990019",
    **RESULTS,
}


def test_the_login_of_smart_apps_is_told_when_there_is_one(world: World, client: TestClient) -> None:
    assert client.get("/fhir/.well-known/smart-configuration").json()["token_endpoint"].endswith("/token")
    assert TestClient(create_api(replace(world.parts, smart=None))).get("/fhir/.well-known/smart-configuration").status_code == 404
