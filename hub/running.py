"""What every process of the hub does alike: begin, wait for what is away, serve HTTP, listen to signals, stop without losing work.

One file a process: `embedded.py` (`up`), `connecting.py` (`connect`), `looping.py` (`map`, `project`) and `serving.py` (`serve`).
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import signal
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Final, TypeVar

import orjson
import structlog
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from fhir_profiles.errors import Invalid, Unavailable
from hub.api.answers import FHIR_JSON, to_operation_outcome
from hub.log.port import EventLog
from hub.logging import configure
from hub.loops import backlog
from hub.settings import Settings
from hub.stores import Stores, open_stores

log = structlog.get_logger(__name__)

T = TypeVar("T")

_WATCH_S: Final = 0.25
_AWAY: Final = frozenset({"database-away", "log-away"})
_PATIENCE_S: Final = 60.0
_LOOK_AGAIN_S: Final = 1.0
HEAD_TIMEOUT_S: Final = 30.0
"""How long the address and headers of a request may take, as long as a frame over MLLP."""


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


_UNREADABLE: Final = orjson.dumps(to_operation_outcome(Invalid("this is no HTTP request that we read: another method, or an address or a header that is"
                                                               " not right or too long", code="http")))


class Http(HttpToolsProtocol):
    """One HTTP connection. What cannot be read gets an OperationOutcome, and who does not finish the head of a request is cut off."""

    _head_due: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Somebody is there; begin to wait for the first request."""
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody is there any more."""
        self._head_came()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """The first bytes of a request."""
        super().on_message_begin()
        if self._head_due is None:
            self._await_head()

    def on_headers_complete(self) -> None:
        """The head of a request is whole."""
        self._head_came()
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no request; there is no path in it to answer by."""
        self._head_came()
        self.transport.write(b"HTTP/1.1 400 Bad Request\r\ncontent-type: " + FHIR_JSON.encode() + b"\r\ncontent-length: " + str(len(_UNREADABLE)).encode()
                             + b"\r\ncache-control: no-store\r\nx-content-type-options: nosniff\r\nconnection: close\r\n\r\n" + _UNREADABLE)
        self.transport.close()

    def _await_head(self) -> None:
        self._head_due = self.loop.call_later(HEAD_TIMEOUT_S, self._cut_off)

    def _head_came(self) -> None:
        if self._head_due is not None:
            self._head_due.cancel()
            self._head_due = None

    def _cut_off(self) -> None:
        self._head_due = None
        self.transport.abort()


class Server:
    """One HTTP server on this event loop."""

    def __init__(self, app: ASGIApp, host: str, port: int) -> None:
        config = uvicorn.Config(app, host=host, port=port, log_config=None, access_log=False, server_header=False, date_header=False,
                                timeout_graceful_shutdown=3, http=Http, lifespan="off", backlog=512)
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


@contextlib.contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Be the only hub in this folder. The lock goes with the process, however that ends, so none is left behind after a crash.

    Raises `Unavailable` when the folder cannot be made, or another hub runs in it: two would take each other's turns.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        held = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise Unavailable(f"the folder {folder} cannot be made or written", code="data-folder") from error
    try:
        _take(held, folder)
        yield
    finally:
        os.close(held)


def _take(held: int, folder: Path) -> None:
    """Lock the open file and write in it who we are."""
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        runs = os.pread(held, 20, 0).decode("ascii", "replace") or "unknown"
        raise Unavailable(f"a hub runs already in the folder {folder} (process {runs}): stop it first, or give another folder with --data",
                          code="hub-runs") from error
    os.ftruncate(held, 0)
    os.pwrite(held, str(os.getpid()).encode(), 0)


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
