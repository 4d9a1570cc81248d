"""The way in for practices: who may send, how much is read, and that the bytes reach the intake as they came."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import orjson
import pytest
from fhir.resources.STU3.capabilitystatement import CapabilityStatement
from starlette.testclient import TestClient

from connectors.contract import Source
from connectors.practice.source import PracticeIntake
from fhir_profiles.errors import Unavailable
from fhir_profiles.identifiers import pseudonym_of
from fhir_profiles.strict_json import MAX_BYTES
from hub.api.answers import STU3_JSON
from hub.api.edge import Edge
from hub.api.stu3 import Stu3
from hub.database import open_sqlite
from hub.log.group import GroupCommit
from hub.log.port import START
from hub.log.sqlite import SqliteLog
from hub.tables import received
from tests.api.world import CLOCK, PSEUDONYMS, World, bearer, build, token

BUNDLE = b'{"resourceType":"Bundle","type":"transaction","entry":[]}'
JSON = {"content-type": "application/fhir+json"}


@pytest.fixture
def world(tmp_path: Any) -> Iterator[World]:
    made = build(tmp_path)
    yield made
    made.trail.stop()


def post(world: World, body: bytes = BUNDLE, path: str = "/fhir-stu3", headers: dict[str, str] | None = None, **limits: Any) -> Any:
    app = Edge(Stu3(world.parts, **limits), STU3_JSON)
    return TestClient(app).post(path, content=body, headers=JSON | bearer("praktijk") if headers is None else headers)


@pytest.mark.parametrize("path", ["/fhir-stu3", "/fhir-stu3/"])
def test_a_registered_system_sends_and_gets_the_intakes_answer(world: World, path: str) -> None:
    answer = post(world, path=path)
    assert (answer.status_code, answer.json()["type"]) == (200, "transaction-response")
    assert world.letterbox.posted == [("application/fhir+json", BUNDLE, "praktijk")]


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": "Bearer x"},
        bearer("praktijk", aud="another"),
        bearer("praktijk", client_id=None),
        bearer("praktijk", ura=None),
    ],
)
def test_without_a_good_token_nothing_is_taken(world: World, headers: dict[str, str]) -> None:
    answer = post(world, headers=JSON | headers)
    assert answer.status_code == 401 and answer.json()["resourceType"] == "OperationOutcome" and not world.letterbox.posted
    assert answer.headers["content-type"] == STU3_JSON


@pytest.mark.parametrize(
    "headers",
    [
        bearer("marit"),
        bearer("noor"),
        bearer("tess"),
        bearer("praktijk", ura="00700002"),
        bearer("praktijk", client_id="another"),
        bearer("marit", client_id="praktijk"),
    ],
)
def test_only_the_registered_system_of_the_organisation_may_send(world: World, headers: dict[str, str]) -> None:
    assert post(world, headers=JSON | headers).status_code == 403 and not world.letterbox.posted


def test_the_sender_is_who_the_token_says_whatever_the_address_says(world: World) -> None:
    assert post(world, path="/fhir-stu3?client_id=another&ura=00700002").status_code == 200
    assert world.letterbox.posted[0][2] == "praktijk"


def test_a_message_that_says_it_is_too_large_is_refused_unread(world: World) -> None:
    answer = post(world, b"x" * 101, limit=100)
    assert answer.status_code == 413 and answer.headers["connection"] == "close" and not world.letterbox.posted
    assert post(world, b"x" * 100, limit=100).status_code == 200


def test_the_limit_is_one_for_json_and_xml_and_said_where_it_stands(world: World) -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    answer = post(world, b"x" * (MAX_BYTES + 1))
    assert answer.status_code == 413 and "16 MiB (16777216 bytes)" in answer.json()["issue"][0]["diagnostics"] and not world.letterbox.posted
    assert "16 MiB" in TestClient(Edge(Stu3(world.parts), STU3_JSON)).get("/fhir-stu3/metadata").text
    assert MAX_BYTES == 16 * 2**20 and "JSON or XML, 16 MiB at most" in readme and "20 MB" not in readme


def scope_of(**headers: str) -> dict[str, Any]:
    pairs = {"authorization": f"Bearer {token('praktijk')}", "content-type": "application/fhir+json", **headers}
    return {
        "type": "http",
        "method": "POST",
        "path": "/fhir-stu3",
        "query_string": b"",
        "client": ("192.0.2.1", 1),
        "headers": [(k.encode(), v.encode()) for k, v in pairs.items()],
    }


def played(world: World, pieces: list[dict[str, Any]], **limits: Any) -> tuple[list[Any], int]:
    """What is sent back to a sender of these pieces, and how many of them were read."""
    sent, read = list[Any](), 0

    async def receive() -> dict[str, Any]:
        nonlocal read
        if read == len(pieces):
            await anyio.sleep(60)
        read += 1
        return pieces[read - 1]

    async def send(message: Any) -> None:
        sent.append(message)

    anyio.run(Edge(Stu3(world.parts, **limits), STU3_JSON), scope_of(), receive, send)
    return sent, read


def test_a_message_that_does_not_say_how_large_it_is_is_read_no_further_than_the_limit(world: World) -> None:
    sent, read = played(world, [{"type": "http.request", "body": b"x" * 60, "more_body": True}] * 10, limit=100)
    assert sent[0]["status"] == 413 and read == 2


def test_a_message_that_stops_half_way_is_not_waited_for(world: World) -> None:
    sent, _ = played(world, [{"type": "http.request", "body": b"x", "more_body": True}], timeout_s=0.1)
    assert sent[0]["status"] == 408 and not world.letterbox.posted


def test_a_sender_that_hangs_up_leaves_nothing(world: World) -> None:
    sent, _ = played(world, [{"type": "http.request", "body": b"x", "more_body": True}, {"type": "http.disconnect"}])
    assert sent == [] and not world.letterbox.posted


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ({}, BUNDLE, 415),
        (JSON | {"content-encoding": "gzip"}, BUNDLE, 415),
        (JSON, b"", 400),
        (JSON | {"content-length": "-1"}, BUNDLE, 413),
        (JSON | {"content-length": "99999999999"}, BUNDLE, 413),
    ],
)
def test_what_cannot_be_a_message_has_an_answer(world: World, headers: dict[str, str], body: bytes, status: int) -> None:
    assert post(world, body, headers=bearer("praktijk") | headers).status_code == status and not world.letterbox.posted


def test_a_hub_that_is_busy_says_when_to_come_again(world: World) -> None:
    world.letterbox.fault = Unavailable("too much is waiting", code="backlog-full")
    answer = post(world)
    assert answer.status_code == 503 and answer.headers["retry-after"]


def test_the_headers_of_the_intakes_own_answer_are_passed_on(world: World, tmp_path: Path) -> None:
    log = SqliteLog(open_sqlite(tmp_path / "received.db", ("received",)), received)
    full = GroupCommit(log, world.hub.keyring, limit=0)
    sender = Source("practice", "00700001", "De Lepelaar", "G3", client_id="praktijk")
    intake = PracticeIntake(full, {"praktijk": sender}.get, lambda bsn: pseudonym_of(bsn, PSEUDONYMS), lambda: CLOCK.isoformat())
    answer = post(replace(world, parts=replace(world.parts, intake=intake)))
    assert (answer.status_code, answer.headers["retry-after"], answer.json()["issue"][0]["code"]) == (503, "5", "transient")


@pytest.mark.parametrize("method", ["DELETE", "GET"])
def test_an_entry_that_asks_for_something_else_than_to_write_is_not_supported(world: World, tmp_path: Path, method: str) -> None:
    log = SqliteLog(open_sqlite(tmp_path / "received.db", ("received",)), received)
    sender = Source("practice", "00700001", "De Lepelaar", "G3", client_id="praktijk")
    group = GroupCommit(log, world.hub.keyring)
    intake = PracticeIntake(group, {"praktijk": sender}.get, lambda bsn: pseudonym_of(bsn, PSEUDONYMS), lambda: CLOCK.isoformat())
    entry = {"request": {"method": method, "url": "Patient/1"}, "resource": {"resourceType": "Patient"}}
    body = orjson.dumps({"resourceType": "Bundle", "type": "transaction", "entry": [entry]})

    async def sent() -> Any:
        group.start(asyncio.get_running_loop())
        return await intake.post("application/fhir+json", body, "praktijk", "", "")

    answer = asyncio.run(sent())
    group.stop()
    assert (answer.status, orjson.loads(answer.body)["issue"][0]["code"]) == (422, "not-supported")
    assert len(log.read(START, 10)) == 1


def test_other_routes_and_methods_have_an_answer(world: World) -> None:
    client = TestClient(Edge(Stu3(world.parts), STU3_JSON))
    assert client.get("/fhir-stu3").status_code == client.post("/fhir-stu3/metadata").status_code == 405
    assert client.post("/fhir-stu3/Patient", headers=bearer("praktijk")).status_code == 404
    CapabilityStatement.model_validate(client.get("/fhir-stu3/metadata").json())
