"""A small MLLP sender: what the simulators, the tests and the benchmark play the hospital with."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence

from connectors.formats.hl7v2_ack import Ack, read_ack
from connectors.formats.mllp_frames import Framer, framed
from fhir_profiles.errors import Unavailable

_LONGEST_ACK = 64 * 1024


class MllpClient:
    """One connection. Answers come in the order in which the messages were sent."""

    def __init__(self, host: str, port: int, *, tls: ssl.SSLContext | None = None, timeout_s: float = 30.0) -> None:
        self._address = (host, port)
        self._tls = tls
        self._timeout_s = timeout_s
        self._framer = Framer(_LONGEST_ACK)
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def __aenter__(self) -> MllpClient:
        await self.connect()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def connected(self) -> bool:
        """Whether a connection is open on this side."""
        return self._streams is not None

    async def connect(self) -> None:
        """Open the connection; what an earlier one left unread is forgotten. Raises `Unavailable` when nobody answers."""
        self._framer = Framer(_LONGEST_ACK)
        try:
            self._streams = await asyncio.wait_for(asyncio.open_connection(*self._address, ssl=self._tls), self._timeout_s)
        except (OSError, TimeoutError) as fault:
            raise Unavailable("the receiver does not answer", code="not-connected") from fault

    async def close(self) -> None:
        """Close the connection; harmless when it is closed already."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None

    async def send(self, body: bytes) -> Ack:
        """Send one message and wait for its answer. Raises `Unavailable` when the connection ends or the wait does."""
        await self.write(framed(body))
        return await self.answer()

    async def send_all(self, bodies: Sequence[bytes]) -> list[Ack]:
        """Send all messages at once, then read their answers."""
        await self.write(b"".join(map(framed, bodies)))
        return [await self.answer() for _ in bodies]

    async def write(self, data: bytes) -> None:
        """Send bytes as they are, framed or not."""
        writer = self._open()[1]
        writer.write(data)
        try:
            await asyncio.wait_for(writer.drain(), self._timeout_s)
        except (OSError, TimeoutError) as fault:
            raise Unavailable("the receiver stopped reading", code="not-connected") from fault

    async def answer(self) -> Ack:
        """The next answer on this connection."""
        reader = self._open()[0]
        while (frame := self._framer.take()) is None:
            try:
                data = await asyncio.wait_for(reader.read(65536), self._timeout_s)
            except (OSError, TimeoutError) as fault:
                raise Unavailable("no answer in time", code="no-answer") from fault
            if not data:
                raise Unavailable("the receiver closed the connection", code="not-connected")
            self._framer.feed(data)
        return read_ack(frame.body)

    def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._streams is None:
            raise Unavailable("not connected", code="not-connected")
        return self._streams
