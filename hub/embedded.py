"""`ooievaar up`: everything in one process, on SQLite."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import orjson

from fhir_profiles.errors import Unavailable
from hub import wiring
from hub.api.create import create_api
from hub.api.figures import Sample
from hub.changes import Changes
from hub.connecting import intake_samples, mllp, polling_epic, practice_intake, taking_in
from hub.demo import seed_consents
from hub.log.sqlite import SqliteLog
from hub.looping import loop_samples
from hub.loops import Worker, calm_garbage_collector
from hub.running import Server, Stop, alone_in, begin, run
from hub.serving import parts, trail_samples
from hub.settings import Settings
from hub.site import build_web
from hub.stores import Stores, open_received, open_recorded

_SWITCH_S: Final = 0.001
"""How long a thread keeps the interpreter when another waits for it. The worker computes without pause, and with Python's own five milliseconds
every acknowledgement that comes in meanwhile would wait for that long, more than once."""


def up(settings: Settings) -> int:
    """Everything in one process. Raises `Unavailable` when a hub runs in the folder already."""
    sys.setswitchinterval(_SWITCH_S)
    with alone_in(settings.data):
        stores = begin(settings, "up")
        try:
            return run(lambda stop: _up(settings, stores, stop))
        finally:
            stores.close()


async def _up(settings: Settings, stores: Stores, stop: Stop) -> int:
    received, recorded = open_received(settings, stores, "up"), open_recorded(settings, stores, "up")
    if not isinstance(recorded, SqliteLog):
        raise Unavailable("`ooievaar up` is the embedded hub; at scale run connect, map, project and serve", code="not-embedded")
    changes = Changes()
    changes.bind(asyncio.get_running_loop())
    access = wiring.build_access(settings, stores)
    access.trail.start()
    if settings.demo:
        seed_consents(access.consents, wiring.pseudonym_key(stores))
    worker = Worker(received, stores.hub, recorded, wiring.build_mapper(settings, stores), wiring.build_projector(stores), changes.ring, settings.batch)
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(asyncio.to_thread, access.trail.stop)
        worker.start()
        stack.push_async_callback(asyncio.to_thread, worker.stop)
        intake, pressure = await stack.enter_async_context(taking_in(settings, stores, received, stop))
        server = await stack.enter_async_context(mllp(settings, stores, intake))
        practice = practice_intake(settings, stores, intake)

        def samples() -> Iterable[Sample]:
            yield from loop_samples(worker.heartbeat, "map")
            yield from intake_samples(intake, pressure)
            yield from trail_samples(access.trail)

        web = build_web(settings, stores, access, changes, pressure, stop, slowed=intake.slowed)
        api = create_api(parts(settings, stores, access.door, intake=practice, samples=samples,
                               checks=[("worker", worker.is_alive)]), web)
        http = Server(api, settings.http_host, settings.http_port)
        await http.start()
        stack.push_async_callback(http.stop)
        run_file = write_run_file(settings, server.port)
        stack.callback(run_file.unlink, missing_ok=True)
        await polling_epic(settings, stores, intake, stack)
        if settings.demo and settings.simulators:
            from hub.story import play

            telling = asyncio.create_task(play(settings, server.port, intake, stores))
            stack.callback(telling.cancel)
        calm_garbage_collector()
        _say(settings, server.port)
        await stop.event.wait()
    return 0


def _say(settings: Settings, mllp_port: int) -> None:
    """Where to look, for a person at a terminal."""
    words = [f"Ooievaar runs: {settings.base_url}", f"HL7 v2 over MLLP: {settings.mllp_host}:{mllp_port}", f"FHIR R4: {settings.base_url}/fhir/metadata"]
    if settings.demo:
        words.append("This is the demo: open the first address and choose who you want to be. All people are invented.")
    sys.stdout.write("\n".join(words) + "\nStop with Ctrl-C.\n")
    sys.stdout.flush()


def write_run_file(settings: Settings, mllp_port: int) -> Path:
    """Tell `ooievaar demo info`, `status` and `doctor` where this hub is."""
    path = settings.data / "run.json"
    told = {"pid": os.getpid(), "http": settings.base_url, "mllp": {"host": settings.mllp_host, "port": mllp_port}}
    part = path.with_suffix(".part")
    part.write_bytes(orjson.dumps(told))
    part.replace(path)
    return path
