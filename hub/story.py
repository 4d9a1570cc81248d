"""The demo told live: the practice posts, HiX sends, Epic is polled, each over its real way in, in the same process as the hub.

The day on which the story is told is kept, so that a restart tells the same story and every repeat is recognised as unchanged. After it,
Noor's blood pressure is measured for ten minutes more, so that who opens a page sees it change by itself.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from datetime import date
from typing import Final

import httpx2
import structlog
from joserfc.jwk import ECKey
from sqlalchemy import select

from connectors.epic import simulator as epic
from connectors.hix import story as hix
from connectors.hix.simulator import HixSimulator
from connectors.practice.simulator import PracticeSimulator
from fhir_profiles.errors import BirthCareError
from hub import wiring
from hub.log.received import Intake
from hub.plan.dutch import AMSTERDAM
from hub.polling import poller
from hub.settings import Settings
from hub.stores import Stores
from hub.tables import meta
from hub.upsert import insert_new

log = structlog.get_logger(__name__)

PACE_S: Final = 1.0
EPIC_INTERVAL_S: Final = 2.0
MORE: Final = 20
MORE_EVERY_S: Final = 30.0


def story_day(stores: Stores) -> date:
    """The day on which this demo's story is told: the day of its first start."""
    with stores.hub.write() as tx:
        insert_new(tx, meta, [{"name": "demo-day", "value": wiring.now().date().isoformat()}])
        return date.fromisoformat(tx.execute(select(meta.c.value).where(meta.c.name == "demo-day")).scalar_one())


async def play(settings: Settings, mllp_port: int, intake: Intake, stores: Stores) -> None:
    """Tell the story once, go on measuring for a while, and keep Epic's side polled until cancelled. A simulator that fails is logged; the hub goes on."""
    today = await asyncio.to_thread(story_day, stores)
    polling = asyncio.create_task(_epic(settings, intake, stores, today))
    try:
        await _practice(settings, today)
        hospital = HixSimulator(settings.mllp_host, mllp_port, today=today)
        await hospital.play(PACE_S)
        await measure_on(hospital.send, turns=MORE, every_s=MORE_EVERY_S)
        await polling
    except (BirthCareError, OSError, httpx2.HTTPError) as error:
        log.warning("story_interrupted", error_type=type(error).__name__)
    finally:
        polling.cancel()


async def measure_on(send: Callable[[bytes], Awaitable[object]], *, turns: int, every_s: float) -> None:
    """A new blood pressure of Noor's now and then; every third message is the one before it again, which changes nothing."""
    before = b""
    for turn in range(turns):
        await asyncio.sleep(every_s)
        before = before if turn % 3 == 2 else hix.noor_measured(wiring.now().astimezone(AMSTERDAM), turn)
        await send(before)
        log.info("story_told", source="hix", count=turn + 1)


async def _practice(settings: Settings, today: date) -> None:
    token = wiring.demo_issuer(settings, settings.base_url).issue("praktijk")

    async with httpx2.AsyncClient(timeout=30, trust_env=False) as client:

        async def post(media: str, body: bytes) -> int:
            headers = {"authorization": f"Bearer {token}", "content-type": media}
            answer = await client.post(f"{settings.base_url}/fhir-stu3", content=body, headers=headers)
            log.info("story_told", source="practice", status=answer.status_code)
            await asyncio.sleep(PACE_S)
            return int(answer.status_code)

        await PracticeSimulator(today).play(post)


async def _epic(settings: Settings, intake: Intake, stores: Stores, today: date) -> None:
    key = ECKey.generate_key("P-384", auto_kid=True)
    hospital = epic.EpicSimulator()
    await hospital.start()
    try:
        hospital.register(settings.epic.client_id, key)
        hospital.put(*epic.demo(today))
        await poller(settings, stores, intake, base_url=hospital.base_url, key=key, interval_s=EPIC_INTERVAL_S).run()
    finally:
        with contextlib.suppress(OSError):
            await hospital.stop()
