"""Starts what `hub/wiring.py` builds, keeps it running, and stops it without losing work. One class a kind of process."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import ssl
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

import orjson
import structlog
import uvicorn
from starlette.types import ASGIApp

from audit.trail import Trail
from authz.tokens import Tokens
from connectors.formats.mllp import MllpServer
from connectors.hix.source import listener
from connectors.practice.source import PracticeIntake
from fhir_profiles.errors import Unavailable
from fhir_profiles.identifiers import pseudonym_of
from hub import wiring
from hub.api.create import create_api
from hub.api.figures import Sample
from hub.api.ports import Parts
from hub.changes import Changes, Watched
from hub.demo import seed_consents
from hub.log.group import GroupCommit
from hub.log.port import EventLog
from hub.log.sqlite import SqliteLog
from hub.logging import configure
from hub.loops import Heartbeat, Loop, MapLoop, ProjectLoop, Worker, backlog, calm_garbage_collector
from hub.settings import Settings
from hub.site import build_web
from hub.stores import Stores, kafka_settings, open_received, open_recorded, open_stores

log = structlog.get_logger(__name__)

T = TypeVar("T")

_WATCH_S = 0.25
_AWAY: Final = frozenset({"database-away", "log-away"})
_PATIENCE_S: Final = 60.0
_LOOK_AGAIN_S: Final = 1.0


class Stop:
    """Set by SIGTERM or SIGINT; everything that waits, waits for this too."""

    def __init__(self) -> None:
        self.event = asyncio.Event()

    def listen(self) -> None:
        """Begin to listen to the signals of this process."""
        loop = asyncio.get_running_loop()
        for wanted in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(wanted, self.event.set)

    def __call__(self) -> bool:
        """Whether the process is going down."""
        return self.event.is_set()


class Pressure:
    """How full the way behind the `received` log is: 0 empty, 1 at the limit. Looked at a few times a second, asked at every batch."""

    def __init__(self, received: EventLog, stores: Stores, limit: int) -> None:
        self._received, self._stores, self._limit = received, stores, limit
        self.waiting = 0

    def __call__(self) -> float:
        """The pressure at the last look."""
        return self.waiting / self._limit

    async def watch(self, stop: Stop) -> None:
        """Keep looking until stopped; a look that fails leaves the last answer standing."""
        while not stop():
            try:
                self.waiting = await asyncio.to_thread(backlog, self._received, self._stores.hub)
            except Exception as error:
                log.warning("backlog_not_seen", error_type=type(error).__name__)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.event.wait(), _WATCH_S)


class Server:
    """One HTTP server on this event loop."""

    def __init__(self, app: ASGIApp, host: str, port: int) -> None:
        config = uvicorn.Config(app, host=host, port=port, log_config=None, access_log=False, server_header=False, date_header=False,
                                timeout_graceful_shutdown=3, http="httptools", lifespan="off", backlog=512)
        self._server = uvicorn.Server(config)
        self._host, self._port = host, port
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Listen; raises `Unavailable` when the port is taken."""
        config = self._server.config
        if not config.loaded:
            config.load()
        self._server.lifespan = config.lifespan_class(config)
        try:
            await self._server.startup()
        except (OSError, SystemExit) as error:
            raise Unavailable(f"port {self._port} is taken, or may not be used", code="port-taken") from error
        self._task = asyncio.create_task(self._server.main_loop())

    async def stop(self) -> None:
        """Finish what is being answered, for a few seconds at most."""
        self._server.should_exit = True
        if self._task is not None:
            await self._task
            await self._server.shutdown()


def run(main: Callable[[Stop], Awaitable[int]]) -> int:
    """Run a process on uvloop until it is told to stop."""
    import uvloop

    async def body() -> int:
        stop = Stop()
        stop.listen()
        return await main(stop)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(body())


def begin(settings: Settings, process: str) -> Stores:
    """What every process does first: its log, its databases."""
    configure(process, settings.log_level)
    return patiently(lambda: open_stores(settings))


def patiently(open_part: Callable[[], T], patience_s: float = _PATIENCE_S) -> T:
    """What `open_part` gives. A database or broker that is away is waited for: after a power cut nothing says who is up first.

    Raises `Unavailable` when it stays away; whoever looks after the process then starts it again.
    """
    deadline = time.monotonic() + patience_s
    while True:
        try:
            return open_part()
        except Unavailable as away:
            if away.code not in _AWAY or time.monotonic() > deadline:
                raise
            log.warning("part_away", code=away.code)
            time.sleep(_LOOK_AGAIN_S)


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


def parts(settings: Settings, stores: Stores, tokens: Tokens, door: Any, *, intake: PracticeIntake | None = None,
          samples: Callable[[], Iterable[Sample]] = tuple, checks: Sequence[tuple[str, Callable[[], bool]]] = ()) -> Parts:
    """What the API asks for."""
    clients = {source.client_id: source.ura for source in wiring.sources_of(settings).values() if source.client_id}
    return Parts(tokens, door, settings.base_url, wiring.now, wiring.names_of(settings), wiring.pseudonyms(stores), intake=intake, clients=clients,
                 checks=wiring.ready_checks(stores, checks), samples=samples)


def loop_samples(heartbeat: Heartbeat, name: str) -> Iterable[Sample]:
    """The figures of one loop."""
    labels = {"loop": name}
    yield Sample("ooievaar_messages_total", "counter", "messages taken from the log", heartbeat.messages, labels)
    yield Sample("ooievaar_events_total", "counter", "events made or folded", heartbeat.events, labels)
    yield Sample("ooievaar_loop_failures_total", "counter", "times the loop had to begin again", heartbeat.failures, labels)
    yield Sample("ooievaar_loop_idle_seconds", "gauge", "time since the last batch", time.monotonic() - heartbeat.last_at, labels)
    for quantile in (0.5, 0.99):
        yield Sample("ooievaar_visible_milliseconds", "gauge", "from coming in to durable here, latest messages", heartbeat.lag_ms(quantile),
                     {**labels, "quantile": str(quantile)})


def intake_samples(intake: GroupCommit, pressure: Pressure) -> Iterable[Sample]:
    """The figures of the way in."""
    yield Sample("ooievaar_backlog", "gauge", "received messages that wait to be mapped", pressure.waiting)
    yield Sample("ooievaar_intake_depth", "gauge", "messages taken and not yet durable", intake.depth())
    yield Sample("ooievaar_ack_slowed_seconds", "gauge", "by how much answers are held back", intake.slowed())


def trail_samples(trail: Trail) -> Iterable[Sample]:
    """The figures of the audit trail; what the door answered is counted by the API itself."""
    yield Sample("ooievaar_audit_queue_depth", "gauge", "entries of the audit trail that wait to be durable", trail.depth())


def write_run_file(settings: Settings, mllp_port: int) -> Path:
    """Tell `ooievaar demo info`, `status` and `doctor` where this hub is."""
    path = settings.data / "run.json"
    told = {"pid": os.getpid(), "http": settings.base_url, "mllp": {"host": settings.mllp_host, "port": mllp_port}}
    part = path.with_suffix(".part")
    part.write_bytes(orjson.dumps(told))
    part.replace(path)
    return path


def up(settings: Settings) -> int:
    """Everything in one process."""
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
        api = create_api(parts(settings, stores, wiring.build_tokens(settings, stores), access.door, intake=practice, samples=samples,
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


async def polling_epic(settings: Settings, stores: Stores, intake: GroupCommit, stack: contextlib.AsyncExitStack) -> None:
    """Start to poll the FHIR R4 server, when the settings name one."""
    if not settings.epic.base_url:
        return
    from hub.polling import poll

    task = asyncio.create_task(poll(settings, stores, intake))
    stack.callback(task.cancel)


def _say(settings: Settings, mllp_port: int) -> None:
    """Where to look, for a person at a terminal."""
    words = [f"Ooievaar runs: {settings.base_url}", f"HL7 v2 over MLLP: {settings.mllp_host}:{mllp_port}", f"FHIR R4: {settings.base_url}/fhir/metadata"]
    if settings.demo:
        words.append("This is the demo: open the first address and choose who you want to be. All people are invented.")
    sys.stdout.write("\n".join(words) + "\nStop with Ctrl-C.\n")
    sys.stdout.flush()


def connect(settings: Settings, names: Sequence[str]) -> int:
    """The connectors: hix (MLLP), practice (HTTP), epic (polling); all of them when none is named."""
    unknown = set(names) - {"hix", "practice", "epic"}
    if unknown:
        raise Unavailable(f"there is no connector {', '.join(sorted(unknown))}; there are hix, practice and epic", code="no-connector")
    stores = begin(settings, "connect")
    try:
        received = patiently(lambda: open_received(settings, stores, "connect"))
        return run(lambda stop: _connect(settings, stores, received, frozenset(names or ("hix", "practice", "epic")), stop))
    finally:
        stores.close()


async def _connect(settings: Settings, stores: Stores, received: EventLog, names: frozenset[str], stop: Stop) -> int:
    async with contextlib.AsyncExitStack() as stack:
        intake, pressure = await stack.enter_async_context(taking_in(settings, stores, received, stop))
        if "hix" in names:
            await stack.enter_async_context(mllp(settings, stores, intake))
        practice = practice_intake(settings, stores, intake) if "practice" in names else None
        api = create_api(parts(settings, stores, wiring.build_tokens(settings, stores), None, intake=practice,
                               samples=lambda: intake_samples(intake, pressure)))
        http = Server(api, settings.http_host, settings.http_port)
        await http.start()
        stack.push_async_callback(http.stop)
        if "epic" in names:
            await polling_epic(settings, stores, intake, stack)
        calm_garbage_collector()
        log.info("process_started", port=settings.http_port)
        await stop.event.wait()
    received.close()
    return 0


def map_(settings: Settings) -> int:
    """The mapper as a process of its own."""
    stores = begin(settings, "map")
    received, recorded = patiently(lambda: (open_received(settings, stores, "map"), open_recorded(settings, stores, "map")))
    return _looping(settings, stores, MapLoop(received, stores.hub, recorded, wiring.build_mapper(settings, stores), settings.batch))


def project(settings: Settings) -> int:
    """The projector as a process of its own."""
    stores = begin(settings, "project")
    recorded = patiently(lambda: open_recorded(settings, stores, "project"))
    return _looping(settings, stores, ProjectLoop(recorded, stores.hub, wiring.build_projector(stores), stores.keyring, settings.batch))


def _looping(settings: Settings, stores: Stores, loop: Loop) -> int:
    async def main(stop: Stop) -> int:
        loop.start()
        api = create_api(parts(settings, stores, wiring.build_tokens(settings, stores), None, samples=lambda: loop_samples(loop.heartbeat, loop.name),
                               checks=[(loop.name, loop.is_alive)]))
        http = Server(api, settings.http_host, settings.http_port)
        await http.start()
        calm_garbage_collector()
        log.info("process_started", port=settings.http_port)
        await stop.event.wait()
        await asyncio.to_thread(loop.stop)
        await http.stop()
        return 0

    try:
        return run(main)
    finally:
        stores.close()


def serve(settings: Settings) -> int:
    """API and pages as a process of their own."""
    stores = begin(settings, "serve")
    try:
        received = patiently(lambda: open_received(settings, stores, "serve"))
        return run(lambda stop: _serve(settings, stores, received, stop))
    finally:
        stores.close()


async def _serve(settings: Settings, stores: Stores, received: EventLog, stop: Stop) -> int:
    access = wiring.build_access(settings, stores)
    access.trail.start()
    if settings.demo:
        seed_consents(access.consents, wiring.pseudonym_key(stores))
    pressure = Pressure(received, stores, settings.backlog_limit)
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(asyncio.to_thread, access.trail.stop)
        watching = asyncio.create_task(pressure.watch(stop))
        stack.callback(watching.cancel)
        web = build_web(settings, stores, access, Watched(), pressure, stop, slowed=lambda: max(0.0, pressure() - 1.0))
        api = create_api(parts(settings, stores, wiring.build_tokens(settings, stores), access.door,
                               samples=lambda: trail_samples(access.trail)), web)
        http = Server(api, settings.http_host, settings.http_port)
        await http.start()
        stack.push_async_callback(http.stop)
        calm_garbage_collector()
        log.info("process_started", port=settings.http_port)
        await stop.event.wait()
    return 0


def topics(settings: Settings) -> int:
    """Make the topics that the settings name; those that exist are left as they are."""
    from hub.log.kafka import ensure_topics

    k = settings.kafka
    made = ensure_topics(kafka_settings(settings, "topics"), [k.received_topic, k.recorded_topic], k.partitions, k.replication, k.min_insync)
    sys.stdout.write(f"topics: {', '.join((k.received_topic, k.recorded_topic))} ({made or 'all were there'})\n")
    return 0
