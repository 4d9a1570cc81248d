"""Readers that ask for plans over HTTP: as fast as they can, or at a steady rate. A process of its own; loopback only."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time


class Reader(asyncio.Protocol):
    """One keep-alive connection; one request at a time."""

    def __init__(self) -> None:
        self.buffer = bytearray()
        self.waiting: asyncio.Future[int] | None = None
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]  # a TCP connection has the write side

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head = self.buffer.find(b"\r\n\r\n")
        if head < 0:
            return
        at = self.buffer.lower().find(b"content-length:")
        length = int(self.buffer[at + 15:self.buffer.find(b"\r\n", at)])
        if len(self.buffer) >= head + 4 + length and self.waiting is not None:
            status = int(self.buffer[9:12])
            self.buffer.clear()
            waiting, self.waiting = self.waiting, None
            waiting.set_result(status)

    def ask(self, request: bytes) -> asyncio.Future[int]:
        assert self.transport is not None
        self.waiting = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return self.waiting


async def run(port: int, paths: list[str], token: str, seconds: float, connections: int, rate: float) -> dict[str, object]:
    """Read for a while. `rate` 0: as fast as the connections allow; else an open loop at that many a second."""
    loop = asyncio.get_running_loop()
    readers = [(await loop.create_connection(Reader, "127.0.0.1", port))[1] for _ in range(connections)]
    requests = [f"GET {p} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n\r\n".encode() for p in paths]
    latencies: list[float] = []
    statuses: dict[int, int] = {}
    end = time.perf_counter() + seconds

    async def one(reader: Reader, number: int, due: float | None = None) -> None:
        begun = due if due is not None else time.perf_counter()
        status = await reader.ask(requests[number % len(requests)])
        latencies.append((time.perf_counter() - begun) * 1000)
        statuses[status] = statuses.get(status, 0) + 1

    async def closed(reader: Reader, first: int) -> None:
        number = first
        while time.perf_counter() < end:
            await one(reader, number)
            number += 1

    async def opened(reader: Reader, first: int) -> None:
        # Each connection takes every n-th tick; the wait for its turn counts as latency.
        begun = time.perf_counter()
        for tick in range(first, int(rate * seconds), connections):
            due = begun + tick / rate
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            await one(reader, tick, due)

    begun = time.perf_counter()
    await asyncio.gather(*((opened if rate else closed)(reader, place) for place, reader in enumerate(readers)))
    took = time.perf_counter() - begun
    ordered = sorted(latencies)
    return {"requests": len(ordered), "per_second": len(ordered) / took, "p50_ms": ordered[len(ordered) // 2], "p99_ms": ordered[int(len(ordered) * 0.99)],
            "statuses": statuses}


def main() -> int:
    """Run one reading load and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--token", required=True)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--rate", type=float, default=0)
    parser.add_argument("paths", nargs="+")
    given = parser.parse_args()
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(json.dumps(runner.run(run(given.port, given.paths, given.token, given.seconds, given.connections, given.rate))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
