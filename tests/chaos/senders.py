"""A hospital, a practice and readers that do not give up: what is not acknowledged is sent again, byte for byte, as real systems do.

They run on an event loop of their own thread, so that the test may kill processes meanwhile. What was sent, acknowledged and answered is
noted when it is seen, and never taken back.
"""

from __future__ import annotations

import asyncio
import threading
import uuid
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from itertools import count
from random import Random
from typing import Any, Final

import httpx2
import orjson

from bench.load import bsns, message
from connectors.formats.hl7v2_ack import Ack, read_ack
from connectors.formats.mllp_frames import Framer
from connectors.practice.simulator import LOTTE, NOOR, SAMIRA, current_pregnancy
from connectors.practice.source import JSON
from tests.journeys.hub_process import HOST

CONNECTIONS: Final = 4
_BURST: Final = 25
_AGAIN_S: Final = 0.05
_PRACTICE_S: Final = 0.25
_READ_S: Final = 0.03
_PATIENCE_S: Final = 45.0
_OURS: Final = "127.0.0.2"
"""From where we connect. From 127.0.0.1 a connection to a port where nobody listens may, now and then, meet itself and keep the port taken."""


@dataclass
class Tally:
    """What the outside saw: per control id (or Bundle id) how often sent and acknowledged; per request id the status that was answered."""

    sent: Counter[str] = field(default_factory=Counter)
    acked: Counter[str] = field(default_factory=Counter)
    answers: dict[str, int] = field(default_factory=dict)
    later: int = 0
    wrong: list[str] = field(default_factory=list)


@dataclass
class Addresses:
    """Where the senders find the hub."""

    mllp_port: int
    intake: str
    http: str


class Outside:
    """Everyone who talks to the hub. `tokens` are those of praktijk, marit and noor; `subject` is Noor's pseudonym."""

    def __init__(self, at: Addresses, tokens: dict[str, str], subject: str, rate: float, seed: int) -> None:
        self.tally = Tally()
        self._at, self._tokens, self._subject, self._rate = at, tokens, subject, rate
        self._random, self._numbers = Random(seed), count(1)
        self._women = [*bsns(120), NOOR.bsn]
        self._now = datetime.now(UTC)
        self._new, self._stopping = True, False
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="outside", daemon=True)

    def start(self) -> None:
        """Begin to send and to read."""
        self._thread.start()

    def finish(self, timeout_s: float) -> None:
        """Send nothing new, and return when all that was sent is acknowledged. Raises AssertionError when that does not come in time."""
        self._new = False
        self._thread.join(timeout_s)
        self._stopping = True
        left = len(self.tally.sent) - len(self.tally.acked)
        assert not self._thread.is_alive(), f"{left} messages were not acknowledged within {timeout_s} s"

    def close(self) -> None:
        """End, whatever was achieved."""
        self._new, self._stopping = False, True
        self._thread.join(60)

    def _run(self) -> None:
        self._loop.run_until_complete(self._all())
        self._loop.close()

    async def _all(self) -> None:
        sending = [self._hospital() for _ in range(CONNECTIONS)]
        reading = [asyncio.ensure_future(self._reader(name)) for name in ("marit", "noor")]
        await asyncio.gather(*sending, self._practice())
        for task in reading:
            task.cancel()
        await asyncio.gather(*reading, return_exceptions=True)

    # --- the hospital ------------------------------------------------------------------------------------------------------------

    async def _hospital(self) -> None:
        """One MLLP connection: sends what is due, waits for the answers; after a fault it connects again and begins with what was not answered."""
        due = _Due(self._rate / CONNECTIONS, self._next_message)
        again: deque[tuple[str, bytes]] = deque()
        while not self._stopping and (self._new or again):
            with suppress(OSError, TimeoutError):
                async with _connected(self._at.mllp_port) as line:
                    while not self._stopping and (self._new or again):
                        again.extend(due.take(_BURST - len(again)) if self._new else ())
                        await self._exchange(line, again)
            await asyncio.sleep(_AGAIN_S)

    async def _exchange(self, line: _Line, again: deque[tuple[str, bytes]]) -> None:
        """Send all that waits in `again`, in order; each leaves it when it is acknowledged."""
        if not again:
            await asyncio.sleep(0.005)
            return
        burst = list(again)
        for control_id, _ in burst:
            self.tally.sent[control_id] += 1
        line.writer.write(b"".join(frame for _, frame in burst))
        for control_id, _ in burst:
            ack = await line.answer()
            if ack.control_id != control_id:
                self.tally.wrong.append(f"the answer to {control_id} names {ack.control_id}")
            if ack.code == "AA":
                self.tally.acked[control_id] += 1
                again.popleft()
            elif ack.code == "AE":
                # "Send it again later": from here on all is sent again, in order; what follows is answered first.
                self.tally.later += 1
                again.rotate(-1)
                await asyncio.sleep(_AGAIN_S)
            else:
                self.tally.wrong.append(f"{control_id} was refused: {ack.code}")
                again.popleft()

    def _next_message(self) -> tuple[str, bytes]:
        number = next(self._numbers)
        control_id = f"B{number:010d}"
        return control_id, message(self._random.choice(self._women), number, self._now)

    # --- the practice ------------------------------------------------------------------------------------------------------------

    async def _practice(self) -> None:
        """Posts Bundles one after the other, each until it is taken."""
        headers = {"authorization": f"Bearer {self._tokens['praktijk']}", "content-type": JSON}
        async with _http() as client:
            for number in count(1):
                name, body = _bundle(number)
                while not await self._post(client, headers, name, body):
                    if self._stopping:
                        return
                    await asyncio.sleep(_AGAIN_S)
                await asyncio.sleep(_PRACTICE_S)
                if not self._new:
                    return

    async def _post(self, client: httpx2.AsyncClient, headers: dict[str, str], name: str, body: bytes) -> bool:
        self.tally.sent[name] += 1
        try:
            answer = await client.post(f"{self._at.intake}/fhir-stu3", content=body, headers=headers)
        except httpx2.ConnectError:
            self.tally.sent[name] -= 1
            return False
        except httpx2.HTTPError:
            return False
        if answer.status_code == 200:
            self.tally.acked[name] += 1
        elif answer.status_code != 503:
            self.tally.wrong.append(f"Bundle {name} was answered with {answer.status_code}")
        return answer.status_code != 503

    # --- readers -----------------------------------------------------------------------------------------------------------------

    async def _reader(self, name: str) -> None:
        """Reads Noor's plan over and over; a status that was seen is an answer that was given, whether or not all of it arrived."""
        url = f"{self._at.http}/fhir/CarePlan/{self._subject}/$sections"
        async with _http() as client:
            while True:
                request_id = uuid.uuid4().hex
                headers = {"authorization": f"Bearer {self._tokens[name]}", "x-request-id": request_id}
                with suppress(httpx2.HTTPError):
                    async with client.stream("GET", url, headers=headers) as answer:
                        self.tally.answers[request_id] = answer.status_code
                        await answer.aread()
                await asyncio.sleep(_READ_S)


class _Line:
    """An open MLLP connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self._framer = Framer(64 * 1024)

    async def answer(self) -> Ack:
        """The next answer. Raises OSError when the connection ends, TimeoutError when none comes."""
        while (frame := self._framer.take()) is None:
            data = await asyncio.wait_for(self.reader.read(65_536), _PATIENCE_S)
            if not data:
                raise ConnectionResetError("the hub closed the connection")
            self._framer.feed(data)
        return read_ack(frame.body)


@asynccontextmanager
async def _connected(port: int) -> AsyncIterator[_Line]:
    reader, writer = await asyncio.open_connection(HOST, port, local_addr=(_OURS, 0))
    try:
        yield _Line(reader, writer)
    finally:
        writer.close()


def _http() -> httpx2.AsyncClient:
    return httpx2.AsyncClient(transport=httpx2.AsyncHTTPTransport(local_address=_OURS), trust_env=False, timeout=_PATIENCE_S)


class _Due:
    """How many messages an even rate has made due since the last look; what the receiver is too slow for is never made."""

    def __init__(self, rate: float, make: Callable[[], tuple[str, bytes]]) -> None:
        self._rate, self._make = rate, make
        self._at = 0.0
        self._owed = 0.0

    def take(self, room: int) -> list[tuple[str, bytes]]:
        """The messages that are due now, `room` at the most."""
        now = asyncio.get_running_loop().time()
        self._owed = min(float(_BURST), self._owed + (now - (self._at or now)) * self._rate)
        self._at = now
        taken = min(room, int(self._owed))
        self._owed -= max(taken, 0)
        return [self._make() for _ in range(taken)]


def _bundle(number: int) -> tuple[str, bytes]:
    """The practice's Bundle number so many, with a haemoglobin of its own; the same number gives the same bytes."""
    client = (NOOR, SAMIRA, LOTTE)[number % 3]
    made: dict[str, Any] = current_pregnancy(client, date(2026, 6, 1), 84, gravidity=2, parity=1, hb=5 + (number % 400) / 100, seed=number)
    return made["id"], orjson.dumps(made)


