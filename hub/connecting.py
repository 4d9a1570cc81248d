"""`ooievaar connect`: the ways in, each in front of the group commit that makes a message durable. `up` opens the same ones."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Iterable, Sequence

import structlog

from authz.tokens import Tokens
from connectors.formats.mllp import MllpServer
from connectors.hix.source import listener
from connectors.practice.source import PracticeIntake
from fhir_profiles.errors import Unavailable
from fhir_profiles.identifiers import pseudonym_of
from hub import wiring
from hub.api.aside import create_aside
from hub.api.figures import Sample
from hub.api.ports import IntakeParts
from hub.log.group import GroupCommit
from hub.log.port import EventLog
from hub.loops import calm_garbage_collector
from hub.running import Pressure, Server, Stop, begin, patiently, run
from hub.settings import Settings
from hub.stores import Stores, open_received

log = structlog.get_logger(__name__)


def connect(settings: Settings, names: Sequence[str]) -> int:
    """The connectors: hix (MLLP), practice (HTTP), epic (polling); all of them when none is named."""
    unknown = set(names) - {"hix", "practice", "epic"}
    if unknown:
        raise Unavailable(f"there is no connector {', '.join(sorted(unknown))}; there are hix, practice and epic", code="no-connector")
    stores = begin(settings, "connect")
    try:
        tokens = wiring.build_tokens(settings, stores)
        received = patiently(lambda: open_received(settings, stores, "connect"))
        return run(lambda stop: _connect(settings, stores, received, tokens, frozenset(names or ("hix", "practice", "epic")), stop))
    finally:
        stores.close()


async def _connect(settings: Settings, stores: Stores, received: EventLog, tokens: Tokens, names: frozenset[str], stop: Stop) -> int:
    async with contextlib.AsyncExitStack() as stack:
        intake, pressure = await stack.enter_async_context(taking_in(settings, stores, received, stop))
        if "hix" in names:
            await stack.enter_async_context(mllp(settings, stores, intake))
        practice = practice_intake(settings, stores, intake) if "practice" in names else None
        api = IntakeParts(tokens=tokens, base_url=settings.base_url, clock=wiring.now, intake=practice,
                          clients=wiring.clients_of(settings), checks=wiring.ready_checks(stores), samples=lambda: intake_samples(intake, pressure))
        http = Server(create_aside(api), settings.http_host, settings.http_port)
        await http.start()
        stack.push_async_callback(http.stop)
        if "epic" in names:
            await polling_epic(settings, stores, intake, stack)
        calm_garbage_collector()
        log.info("process_started", port=settings.http_port)
        await stop.event.wait()
    received.close()
    return 0


@contextlib.asynccontextmanager
async def taking_in(settings: Settings, stores: Stores, received: EventLog, stop: Stop) -> AsyncIterator[tuple[GroupCommit, Pressure]]:
    """Group commit in front of the `received` log, slowed by what waits behind it."""
    pressure = Pressure(received, stores, settings.backlog_limit)
    intake = GroupCommit(received, stores.keyring, max_batch=200, pressure=pressure)
    intake.start(asyncio.get_running_loop())
    watching = asyncio.create_task(pressure.watch(stop))
    try:
        yield intake, pressure
    finally:
        watching.cancel()
        await asyncio.to_thread(intake.stop)


@contextlib.asynccontextmanager
async def mllp(settings: Settings, stores: Stores, intake: GroupCommit) -> AsyncIterator[MllpServer]:
    """The way in for HL7 v2."""
    tls = None
    if settings.mllp_certfile:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.minimum_version = ssl.TLSVersion.TLSv1_2
        tls.load_cert_chain(settings.mllp_certfile, settings.mllp_keyfile or None)
    # Test messages are for test hubs: outside the demo only production messages (MSH-11 P) are taken.
    processing = frozenset("PTD") if settings.demo else frozenset("P")
    server = listener(intake, wiring.sources_of(settings).values(), wiring.pseudonyms(stores), wiring.now, host=settings.mllp_host,
                      port=settings.mllp_port, processing=processing, tls=tls)
    try:
        await server.start()
    except OSError as error:
        raise Unavailable(f"port {settings.mllp_port} is taken, or may not be used", code="port-taken") from error
    try:
        yield server
    finally:
        await server.stop()


def practice_intake(settings: Settings, stores: Stores, intake: GroupCommit) -> PracticeIntake:
    """The way in for FHIR STU3."""
    clients = {source.client_id: source for source in wiring.sources_of(settings).values() if source.client_id}
    key = wiring.pseudonym_key(stores)
    return PracticeIntake(intake, clients.get, lambda bsn: pseudonym_of(bsn, key), wiring.utc_now)


async def polling_epic(settings: Settings, stores: Stores, intake: GroupCommit, stack: contextlib.AsyncExitStack) -> None:
    """Start to poll the FHIR R4 server, when the settings name one."""
    if not settings.epic.base_url:
        return
    from hub.polling import poll

    task = asyncio.create_task(poll(settings, stores, intake))
    stack.callback(task.cancel)


def intake_samples(intake: GroupCommit, pressure: Pressure) -> Iterable[Sample]:
    """The figures of the way in."""
    yield Sample("ooievaar_backlog", "gauge", "received messages that wait to be mapped", pressure.waiting)
    yield Sample("ooievaar_intake_depth", "gauge", "messages taken and not yet durable", intake.depth())
    yield Sample("ooievaar_ack_slowed_seconds", "gauge", "by how much answers are held back", intake.slowed())
