"""The simulator plays the hospital: it sends the story in order, and sends again what was not taken."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, date, datetime

import pytest

from connectors.contract import Source
from connectors.formats.mllp import MllpServer
from connectors.hix.simulator import HixSimulator
from connectors.hix.source import listener, senders_of
from fhir_profiles.errors import Unavailable
from hub.log.received import Incoming

RIJNOEVER = Source("hix", "00700002", "Ziekenhuis Rijnoever", "V4", senders=(("HIX", "RIJNOEVER"),))


class Moody:
    """An intake that refuses the first `refusals` messages and keeps the others."""

    def __init__(self, refusals: int) -> None:
        self.refusals = refusals
        self.kept_bodies: list[bytes] = []

    def keep(self, message: Incoming, done: Callable[[BaseException | None], None]) -> None:
        """Keep, or refuse."""
        if self.refusals:
            self.refusals -= 1
            raise Unavailable("not now", code="backlog-full")
        self.kept_bodies.append(message.body)
        asyncio.get_running_loop().call_soon(done, None)

    async def kept(self, message: Incoming) -> None:
        """Not used by MLLP."""
        raise NotImplementedError


def server(intake: Moody, port: int = 0) -> MllpServer:
    return listener(intake, [RIJNOEVER], lambda digits: "s", lambda: datetime.now(UTC), host="127.0.0.1", port=port)


async def test_the_whole_story_is_told_in_order_also_when_the_hub_is_busy_for_a_moment() -> None:
    intake = Moody(refusals=2)
    hub = server(intake)
    await hub.start()
    simulator = HixSimulator("127.0.0.1", hub.port, today=date(2026, 11, 24))
    answers = await simulator.play()
    await hub.stop()
    assert [a.code for a in answers] == ["AA"] * len(simulator.messages())
    assert intake.kept_bodies == simulator.messages()


async def test_the_story_goes_on_when_the_hub_was_restarted() -> None:
    intake = Moody(refusals=0)
    first = server(intake)
    await first.start()
    simulator = HixSimulator("127.0.0.1", first.port, today=date(2026, 11, 24))
    body = simulator.messages()[0]
    assert (await simulator.send(body)).code == "AA"
    await first.stop()
    second = server(intake, first.port)
    await second.start()
    assert (await simulator.send(body)).code == "AA"
    await second.stop()


async def test_a_hub_that_stays_away_is_told_so_in_the_end() -> None:
    intake = Moody(refusals=0)
    hub = server(intake)
    await hub.start()
    port = hub.port
    await hub.stop()
    with pytest.raises(Unavailable):
        await HixSimulator("127.0.0.1", port, today=date(2026, 11, 24), timeout_s=1).send(b"x")


def test_a_sender_is_known_by_both_its_names_in_any_case_and_by_nothing_less() -> None:
    find = senders_of([RIJNOEVER])
    assert find("HIX", "RIJNOEVER") == find("hix", "Rijnoever") == RIJNOEVER
    assert find("HIX", "OOSTZOOM") is None and find("HIX", "") is None and find("", "") is None
