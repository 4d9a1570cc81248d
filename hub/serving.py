"""`ooievaar serve`: the FHIR API and the pages. `up` serves the same."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Sequence

import structlog

from audit.trail import Trail
from hub import wiring
from hub.api.create import create_api
from hub.api.figures import Sample
from hub.api.ports import Intake, Parts
from hub.changes import Watched
from hub.demo import seed_consents
from hub.door import Door
from hub.log.port import EventLog
from hub.loops import calm_garbage_collector
from hub.running import Pressure, Server, Stop, begin, patiently, run
from hub.settings import Settings
from hub.site import build_web
from hub.stores import Stores, open_received

log = structlog.get_logger(__name__)


def serve(settings: Settings) -> int:
    """API and pages as a process of their own."""
    stores = begin(settings, "serve")
    try:
        access = wiring.build_access(settings, stores)
        received = patiently(lambda: open_received(settings, stores, "serve"))
        return run(lambda stop: _serve(settings, stores, received, access, stop))
    finally:
        stores.close()


async def _serve(settings: Settings, stores: Stores, received: EventLog, access: wiring.Access, stop: Stop) -> int:
    access.trail.start()
    if settings.demo:
        seed_consents(access.consents, wiring.pseudonym_key(stores))
    pressure = Pressure(received, stores, settings.backlog_limit)
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(asyncio.to_thread, access.trail.stop)
        watching = asyncio.create_task(pressure.watch(stop))
        stack.callback(watching.cancel)
        web = build_web(settings, stores, access, Watched(), pressure, stop, slowed=lambda: max(0.0, pressure() - 1.0))
        api = create_api(parts(settings, stores, access.door, samples=lambda: trail_samples(access.trail)), web)
        http = Server(api, settings.http_host, settings.http_port)
        await http.start()
        stack.push_async_callback(http.stop)
        calm_garbage_collector()
        log.info("process_started", port=settings.http_port)
        await stop.event.wait()
    return 0


def parts(settings: Settings, stores: Stores, door: Door, *, intake: Intake | None = None, samples: Callable[[], Iterable[Sample]] = tuple,
          checks: Sequence[tuple[str, Callable[[], bool]]] = ()) -> Parts:
    """What the API asks for."""
    return Parts(tokens=wiring.build_tokens(settings, stores), door=door, base_url=settings.base_url, clock=wiring.now, names=wiring.names_of(settings),
                 pseudonym=wiring.pseudonyms(stores), intake=intake, clients=wiring.clients_of(settings),
                 checks=wiring.ready_checks(stores, checks), samples=samples)


def trail_samples(trail: Trail) -> Iterable[Sample]:
    """The figures of the audit trail; what the door answered is counted by the API itself."""
    yield Sample("ooievaar_audit_queue_depth", "gauge", "entries of the audit trail that wait to be durable", trail.depth())
