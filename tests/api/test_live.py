"""The API on a real server with the practice's real intake behind it: what a test client in the same process cannot show."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import httpx2
import orjson
import pytest
import pytest_asyncio
import uvicorn

from connectors.contract import Source
from connectors.practice.simulator import PracticeSimulator
from connectors.practice.source import PracticeIntake
from fhir_profiles.check import problems
from fhir_profiles.identifiers import pseudonym_of
from hub import running
from hub.api.create import create_api
from hub.database import open_sqlite
from hub.log.group import GroupCommit
from hub.log.port import START
from hub.log.received import to_incoming
from hub.log.sqlite import SqliteLog
from hub.running import Http
from hub.tables import received
from tests.api.world import CLOCK, NOOR, PSEUDONYMS, World, bearer, build, token

PRACTICE = Source("practice", "00700001", "De Lepelaar", "G3", client_id="praktijk")


class Live:
    """A running server, and the log that its intake keeps messages in."""

    def __init__(self, world: World, log: SqliteLog, port: int) -> None:
        self.world, self.log, self.port = world, log, port

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"


@pytest_asyncio.fixture
async def live(tmp_path: Path) -> AsyncIterator[Live]:
    """The API on a free port of the loopback, with the real practice intake and a real log."""
    world, log = build(tmp_path), SqliteLog(open_sqlite(tmp_path / "received.db", ("received",)), received)
    group = GroupCommit(log, world.hub.keyring)
    group.start(asyncio.get_running_loop())
    intake = PracticeIntake(group, {"praktijk": PRACTICE}.get, lambda bsn: pseudonym_of(bsn, PSEUDONYMS), lambda: CLOCK.isoformat())
    app = create_api(replace(world.parts, intake=intake))
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", access_log=False, http=Http))
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    yield Live(world, log, server.servers[0].sockets[0].getsockname()[1])
    server.should_exit = True
    await serving
    group.stop()
    world.trail.stop()


async def test_the_practices_story_comes_in_by_json_and_xml_and_is_kept_as_it_came(live: Live) -> None:
    sent = []
    async with httpx2.AsyncClient(base_url=live.url, headers=bearer("praktijk")) as client:

        async def post(media: str, body: bytes) -> httpx2.Response:
            sent.append(body)
            return await client.post("/fhir-stu3", content=body, headers={"content-type": media})

        answers = await PracticeSimulator(CLOCK.date()).play(post)
    assert [a.status_code for a in answers] == [200] * len(sent) and len(sent) >= 3
    kept = [to_incoming(stored.record, live.world.hub.keyring) for stored in live.log.read(START, 100)]
    assert [m.body for m in kept] == sent and {m.source for m in kept} == {"practice/00700001"}
    assert kept[0].subject == NOOR and all(m.trace for m in kept)


async def test_what_the_intake_does_not_take_gets_its_outcome(live: Live) -> None:
    async with httpx2.AsyncClient(base_url=live.url, headers=bearer("praktijk")) as client:
        for media, body, status in (
            ("text/csv", b"a;b", 415),
            ("application/fhir+json", b"{", 400),
            ("application/fhir+json; fhirVersion=4.0", b"{}", 415),
        ):
            answer = await client.post("/fhir-stu3", content=body, headers={"content-type": media})
            assert (answer.status_code, answer.json()["resourceType"]) == (status, "OperationOutcome")


async def raw(port: int, *pieces: bytes) -> bytes:
    """Everything that the server says to these bytes, until it hangs up."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    said = bytearray()

    async def listen() -> None:
        with contextlib.suppress(ConnectionError):
            while piece := await reader.read(65536):
                said.extend(piece)

    listening = asyncio.create_task(listen())
    with contextlib.suppress(ConnectionError):
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
    await asyncio.wait_for(listening, 10)
    writer.close()
    return bytes(said)


def head(*more: str) -> bytes:
    lines = [
        "POST /fhir-stu3 HTTP/1.1",
        "Host: hub",
        f"Authorization: Bearer {token('praktijk')}",
        "Content-Type: application/fhir+json",
        *more,
        "",
        "",
    ]
    return "\r\n".join(lines).encode()


async def test_a_message_announced_as_too_large_is_refused_before_a_byte_of_it_is_read(live: Live) -> None:
    said = await raw(live.port, head(f"Content-Length: {30 * 2**20}"))
    assert said.startswith(b"HTTP/1.1 413") and b"too-long" in said


async def test_a_message_without_length_is_cut_off_at_the_limit(live: Live) -> None:
    piece = b"100000\r\n" + b"x" * 0x100000 + b"\r\n"
    said = await raw(live.port, head("Transfer-Encoding: chunked"), *[piece] * 17)
    assert said.startswith(b"HTTP/1.1 413") and not live.log.read(START, 10)


@pytest.mark.parametrize("line", [b"BREW /fhir/CarePlan HTTP/1.1", b"GET /fhir/CarePlan?patient=" + b"a" * 100_000 + b" HTTP/1.1", b"\x16\x03\x01"],
                         ids=["unknown method", "100 kB address", "TLS"])
async def test_what_is_no_request_gets_an_outcome_too(live: Live, line: bytes) -> None:
    said, _, body = (await raw(live.port, line + b"\r\nHost: hub\r\n\r\n")).partition(b"\r\n\r\n")
    assert said.startswith(b"HTTP/1.1 4") and b"content-type: application/fhir+json" in said
    found = orjson.loads(body)
    assert found["resourceType"] == "OperationOutcome" and not problems(found)


@pytest.mark.parametrize("begin", [b"", b"GET /health HTTP/1.1\r\nHost: h", b"GET /health HTTP/1.1\r\nHost: hub\r\n\r\nGET /hea"],
                         ids=["nothing", "half a header", "half a second request"])
async def test_who_does_not_finish_the_head_of_a_request_is_cut_off(live: Live, begin: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "HEAD_TIMEOUT_S", 0.3)
    said = await raw(live.port, begin)
    assert said.count(b"HTTP/1.1 200") == begin.count(b"\r\n\r\n") and b" 400 " not in said


async def test_a_request_whose_head_came_in_time_may_take_longer(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "HEAD_TIMEOUT_S", 0.3)
    reader, writer = await asyncio.open_connection("127.0.0.1", live.port)
    writer.write(head("Content-Length: 1"))
    await asyncio.sleep(0.6)
    writer.write(b"{")
    assert (await asyncio.wait_for(reader.readline(), 10)).startswith(b"HTTP/1.1 400")
    writer.close()


async def test_reads_and_refusals_share_one_connection(live: Live) -> None:
    async with httpx2.AsyncClient(base_url=live.url) as client:
        for path, who, status in (
            (f"/fhir/CarePlan/{NOOR}/$sections", "marit", 200),
            (f"/fhir/CarePlan/{NOOR}/$sections", "ravi", 403),
            (f"/fhir/CarePlan/{NOOR}", "marit", 200),
            ("/health", "marit", 200),
        ):
            assert (await client.get(path, headers=bearer(who))).status_code == status


async def test_many_reads_at_once_each_have_their_line(live: Live) -> None:
    async with httpx2.AsyncClient(base_url=live.url, headers=bearer("marit")) as client:
        answers = await asyncio.gather(*[client.get(f"/fhir/CarePlan/{NOOR}/$sections") for _ in range(60)])
    assert {a.status_code for a in answers} == {200} and len({a.content for a in answers}) == 1
    lines = live.world.trail.of_subject(NOOR, 100)
    assert [line.subject_seq for line in lines] == list(range(60, 0, -1))


@pytest.mark.parametrize("line", [b"GARBAGE\r\n\r\n", b"GET /fhir/metadata HTTP/9.9\r\n\r\n", b"\x00\xff\x16\x03\r\n\r\n"])
async def test_what_is_not_http_does_not_stop_the_server(live: Live, line: bytes) -> None:
    await raw(live.port, line)
    async with httpx2.AsyncClient(base_url=live.url) as client:
        assert (await client.get("/health")).status_code == 200
