"""Plays Ziekenhuis Rijnoever over MLLP: the story of the demo at a walking pace, or as many results as wanted for a benchmark."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterator
from datetime import date

import structlog

from connectors.formats.hl7v2_ack import Ack
from connectors.formats.mllp_client import MllpClient
from connectors.hix import story
from fhir_profiles.errors import Unavailable

log = structlog.get_logger(__name__)

_TRIES = 5
_RETRY_S = 0.5


class HixSimulator:
    """The hospital's side of one connection. `today` is the day that the story is told on."""

    def __init__(self, host: str, port: int, *, today: date, tls: ssl.SSLContext | None = None, timeout_s: float = 30.0) -> None:
        self._client = MllpClient(host, port, tls=tls, timeout_s=timeout_s)
        self._today = today

    def messages(self) -> list[bytes]:
        """The whole story, in the order in which it is sent."""
        return story.story(self._today)

    def burst(self, n: int, women: int, seed: int = 1) -> Iterator[bytes]:
        """`n` different results of four OBX, over so many invented women."""
        return story.burst(n, women, today=self._today, seed=seed)

    async def play(self, pace_s: float = 0.0) -> list[Ack]:
        """Send the story, `pace_s` seconds between messages; a message that is not taken for now is sent again, as a hospital does.

        Raises `Unavailable` when the receiver stays away.
        """
        answers = []
        for body in self.messages():
            answers.append(await self.send(body))
            await asyncio.sleep(pace_s)
        await self._client.close()
        return answers

    async def send(self, body: bytes) -> Ack:
        """Send one message and wait for its answer; five tries."""
        for _ in range(_TRIES - 1):
            try:
                answer = await self._once(body)
            except Unavailable as fault:
                await self._client.close()
                log.info("message_not_sent", connector="hix", code=fault.code)
            else:
                if answer.condition != "207":
                    return answer
            await asyncio.sleep(_RETRY_S)
        return await self._once(body)

    async def _once(self, body: bytes) -> Ack:
        if not self._client.connected:
            await self._client.connect()
        return await self._client.send(body)
