"""A hospital that sends: ORU messages of four new results over MLLP, at a steady rate, from a process of its own.

Open loop: a message leaves when its time has come, whether or not earlier ones were answered. Invented women with numbers that pass
the eleven-test and begin with 9999. Traffic goes to loopback only.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import time
from collections import deque
from datetime import UTC, datetime, timedelta

_WEIGHTS = (9, 8, 7, 6, 5, 4, 3, 2, -1)


def bsns(count: int) -> list[str]:
    """The first `count` numbers from 999900000 that pass the eleven-test."""
    found: list[str] = []
    number = 999_900_000
    while len(found) < count:
        digits = str(number)
        if sum(w * int(d) for w, d in zip(_WEIGHTS, digits, strict=True)) % 11 == 0:
            found.append(digits)
        number += 1
    return found


def message(bsn: str, number: int, at: datetime) -> bytes:
    """One ORU^R01 of about 950 bytes: Hb, blood pressure in two, weight and height. Every value is new to the hub."""
    rng = random.Random(number)
    stamp, taken = at.strftime("%Y%m%d%H%M%S"), (at - timedelta(minutes=number % 100_000)).strftime("%Y%m%d%H%M%S")
    lines = [
        rf"MSH|^~\&|HIX|RIJNOEVER|OOIEVAAR|HUB|{stamp}||ORU^R01^ORU_R01|B{number:010d}|P|2.5|||AL|NE|NLD|UNICODE UTF-8",
        f"PID|1||{bsn}^^^NLMINBIZA^NNNLD~{int(bsn) % 1000000:06d}^^^RIJNOEVER^PI||Testvrouw&&Testvrouw^Proef^P^^^^L||19920314|F|||"
        "Kerkstraat 12&Kerkstraat&12^^Oudewater^^3421 AA^NL^H||^PRN^PH^^^^0612345678",
        "PV1|1|O|POLI^^^RIJNOEVER||||01012345^Bos^P.^^^^^^VEKTIS",
        f"OBR|1|P{number:010d}^HIX|F{number:010d}^LAB|LAB^Laboratorium^L|||{taken}|||||||{taken}||01012345^Bos^P.^^^^^^VEKTIS||||||{stamp}||LAB|F",
        f"OBX|1|NM|718-7^Hemoglobine^LN||{rng.uniform(6.0, 8.5):.2f}|mmol/L|7.0-10.0|N|||F|||{taken}||LAB^Laboratorium Rijnoever",
        f"OBX|2|NM|883-9^Bloedgroep^LN||{'A'}||||||F|||{taken}".replace("|NM|883-9", "|CE|883-9"),
        f"OBX|3|NM|29463-7^Gewicht^LN||{rng.uniform(60, 95):.2f}|kg||N|||F|||{taken}",
        f"OBX|4|NM|8302-2^Lengte^LN||{rng.uniform(155, 185):.2f}|cm||N|||F|||{taken}",
    ]
    return b"\x0b" + ("\r".join(lines) + "\r").encode() + b"\x1c\r"


class Connection(asyncio.Protocol):
    """One MLLP connection: remembers when each message left, and notes how long its answer took."""

    def __init__(self, latencies: list[float], answers: dict[str, int]) -> None:
        self.latencies, self.answers = latencies, answers
        self.sent: deque[float] = deque()
        self.buffer = b""
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]  # a TCP connection has the write side

    def send(self, frame: bytes) -> None:
        assert self.transport is not None
        self.sent.append(time.perf_counter())
        self.transport.write(frame)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while (end := self.buffer.find(b"\x1c\r")) >= 0:
            at = self.buffer.find(b"\rMSA|", 0, end)
            code = self.buffer[at + 5:at + 7].decode() if at >= 0 else "??"
            self.answers[code] = self.answers.get(code, 0) + 1
            self.latencies.append((time.perf_counter() - self.sent.popleft()) * 1000)
            self.buffer = self.buffer[end + 2:]


async def run(port: int, rate: float, seconds: float, women: int, connections: int, first: int) -> dict[str, object]:
    """Send for a while; returns how many were sent and answered, and the ACK latencies (ms) of the last four fifths."""
    loop = asyncio.get_running_loop()
    latencies: list[float] = []
    answers: dict[str, int] = {}
    conns = [(await loop.create_connection(lambda: Connection(latencies, answers), "127.0.0.1", port))[1] for _ in range(connections)]
    people = bsns(women)
    now = datetime.now(UTC)
    frames: deque[bytes] = deque()
    total = int(rate * seconds)
    number = first
    begun = time.perf_counter()
    sent = 0
    while sent < total:
        due = min(total, int((time.perf_counter() - begun) * rate) + 1)
        while sent < due:
            if not frames:
                frames.extend(message(people[(number + i) % women], number + i, now) for i in range(20))
                number += 20
            conns[sent % connections].send(frames.popleft())
            sent += 1
        await asyncio.sleep(max(0.0, begun + (sent + 1) / rate - time.perf_counter()))
    took = time.perf_counter() - begun
    deadline = time.perf_counter() + 60
    while sum(answers.values()) < sent and time.perf_counter() < deadline:
        await asyncio.sleep(0.02)
    warm = sorted(latencies[len(latencies) // 5:])
    for conn in conns:
        if conn.transport is not None:
            conn.transport.close()
    return {"sent": sent, "answers": answers, "seconds": took, "p50_ms": _at(warm, 0.5), "p99_ms": _at(warm, 0.99), "max_ms": warm[-1] if warm else None}


def _at(ordered: list[float], quantile: float) -> float | None:
    return ordered[min(len(ordered) - 1, int(len(ordered) * quantile))] if ordered else None


def main() -> int:
    """Run one load from the command line and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    options = (("port", int, 2575), ("rate", float, 200.0), ("seconds", float, 10.0), ("women", int, 500), ("connections", int, 8), ("first", int, 0))
    for name, kind, default in options:
        parser.add_argument(f"--{name}", type=kind, default=default)
    given = parser.parse_args()
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(json.dumps(runner.run(run(given.port, given.rate, given.seconds, given.women, given.connections, given.first))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
