"""Group commit: many callers, one writer thread, one durable write for all that came in meanwhile.

A commit costs the same for one row as for a hundred, so whatever queues up while one commit runs goes into the next. Nobody waits
for a fuller batch. `Batcher` is the machinery, for any kind of item; `GroupCommit` keeps incoming messages with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, Generic, TypeVar

import structlog

from fhir_profiles.errors import BirthCareError, Unavailable
from hub.log.envelope import Seal
from hub.log.port import EventLog, Record
from hub.log.received import Incoming, received_key, to_record

T = TypeVar("T")
Done = Callable[[BaseException | None], None]
_Entry = tuple[T, Done, asyncio.AbstractEventLoop | None]

log = structlog.get_logger(__name__)

LONGEST_DELAY_S: Final = 0.5
"""The most that an acknowledgement is held back: far below the time-out of any sender, long enough to slow every one of them."""


class Batcher(Generic[T]):
    """A queue, and one thread that gives all that waits in it to `write`, at most `max_batch` items at a time, in order.

    `write` returns when the items are durable, and raises when they are not: then every `done` of that batch gets the error.
    `done` is called exactly once for each item taken, on its event loop (one wake-up a batch), or on the writer thread without one.
    """

    def __init__(self, write: Callable[[list[T]], None], *, max_batch: int, limit: int, name: str,
                 delay: Callable[[], float] = lambda: 0.0) -> None:
        self._write, self._max_batch, self._limit, self._name, self._delay = write, max_batch, limit, name, delay
        self._queue: deque[_Entry[T]] = deque()
        self._changed = threading.Condition()
        self._stopping = threading.Event()
        self._running = 0
        self._waking = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Start the writer thread; what was submitted before is written now."""
        self._thread.start()

    def submit(self, item: T, done: Done, loop: asyncio.AbstractEventLoop | None) -> None:
        """Queue one item. Raises `Unavailable` when `limit` items wait already, or when the batcher is stopping."""
        with self._changed:
            if self._stopping.is_set():
                raise Unavailable("stopping; send it again later", code="stopping")
            if len(self._queue) + self._running >= self._limit:
                raise Unavailable("too much is waiting; send it again later", code="backlog-full")
            self._queue.append((item, done, loop))
            if loop is None or not _runs(loop):
                self._changed.notify()
                return
            waking, self._waking = self._waking, True
        if not waking:
            # Woken at once, the writer would fight the loop for the interpreter while the loop still takes what came in together.
            loop.call_soon(self._wake)

    def _wake(self) -> None:
        with self._changed:
            self._waking = False
            self._changed.notify()

    async def done(self, item: T) -> None:
        """The same for a coroutine: returns once the item is durable, raises what `write` raised."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        self.submit(item, lambda error: _settle(future, error), loop)
        await future

    def stop(self, timeout_s: float = 60.0) -> None:
        """Take nothing more, write all that waits, and end the thread.

        When `write` does not come back in time, what still waits is answered with `Unavailable` and the thread is left behind.
        """
        with self._changed:
            self._stopping.set()
            self._changed.notify()
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        self._abandon()

    def depth(self) -> int:
        """How many items were taken and are not durable yet."""
        return len(self._queue) + self._running

    def _run(self) -> None:
        while batch := self._take():
            error = self._try(batch)
            self._running = 0
            self._hold_back()
            _tell(batch, error)

    def _take(self) -> list[_Entry[T]]:
        """The next batch; waits for it. Empty when stopping and nothing is left."""
        with self._changed:
            while not self._queue and not self._stopping.is_set():
                self._changed.wait()
            batch = [self._queue.popleft() for _ in range(min(self._max_batch, len(self._queue)))]
            self._running = len(batch)
        return batch

    def _try(self, batch: list[_Entry[T]]) -> BaseException | None:
        try:
            self._write([item for item, _, _ in batch])
        except Exception as error:
            # The thread must live: the callers get the error, and the next batch is tried.
            log.warning("batch_not_written", route=self._name, count=len(batch), error_type=type(error).__name__)
            return error
        return None

    def _hold_back(self) -> None:
        try:
            delay = self._delay()
        except Exception as error:
            # Not knowing how busy the rest is must not stop the answers.
            log.warning("pressure_unknown", route=self._name, error_type=type(error).__name__)
            return
        if delay > 0:
            self._stopping.wait(delay)

    def _abandon(self) -> None:
        with self._changed:
            left = list(self._queue)
            self._queue.clear()
        if left:
            _tell(left, Unavailable("stopped before it could be kept; send it again later", code="stopping"))


def _runs(loop: asyncio.AbstractEventLoop) -> bool:
    """Whether this is called on that event loop."""
    return asyncio._get_running_loop() is loop


def _settle(future: asyncio.Future[None], error: BaseException | None) -> None:
    if future.done():  # its caller was cancelled meanwhile
        return
    if error is None:
        future.set_result(None)
    else:
        future.set_exception(error)


def _tell(batch: Sequence[_Entry[T]], error: BaseException | None) -> None:
    """Call every `done`: those of one event loop with one wake-up, those without a loop here."""
    by_loop: dict[asyncio.AbstractEventLoop | None, list[Done]] = {}
    for _, done, loop in batch:
        by_loop.setdefault(loop, []).append(done)
    for loop, dones in by_loop.items():
        if loop is None:
            _call(dones, error)
            continue
        try:
            loop.call_soon_threadsafe(_call, dones, error)
        except RuntimeError:
            # The loop is closed: nobody is left to hear it. What was written stays written.
            log.warning("answers_dropped", count=len(dones))


def _call(dones: list[Done], error: BaseException | None) -> None:
    for done in dones:
        try:
            done(error)
        except Exception as fault:
            # One caller's fault must not keep the answer from the others.
            log.error("answer_failed", error_type=type(fault).__name__)


class _Waiting:
    """One message in the queue, and why it alone could not be kept."""

    __slots__ = ("error", "message")

    def __init__(self, message: Incoming) -> None:
        self.message = message
        self.error: BaseException | None = None


class GroupCommit:
    """Keeps incoming messages in the `received` log (`hub.log.received.Intake`): sealed, many in one durable append.

    `pressure()` tells how full the way behind the log is (0 empty, 1 at its limit): above 1 the answers are held back, longer as it
    grows, so that senders slow down instead of the backlog growing. More than `limit` messages or `limit_bytes` in the queue: refused.
    """

    def __init__(self, received: EventLog, seal: Seal, *, max_batch: int = 200, limit: int = 5_000, limit_bytes: int = 256 * 1024 * 1024,
                 pressure: Callable[[], float] = lambda: 0.0) -> None:
        self._received, self._seal, self._pressure = received, seal, pressure
        self._limit_bytes, self._bytes, self._counting = limit_bytes, 0, threading.Lock()
        self._slowed = 0.0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._batcher: Batcher[_Waiting] = Batcher(self._append, max_batch=max_batch, limit=limit, name="received", delay=self._delay)

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start keeping; answers are given on `loop`."""
        self._loop = loop
        self._batcher.start()

    def stop(self) -> None:
        """Take nothing more; keep and answer all that was taken."""
        self._batcher.stop()

    def keep(self, message: Incoming, done: Done) -> None:
        """Queue the message; `done(None)` follows on the event loop once it is durable, `done(error)` when it is not.

        Raises `Unavailable` at once when the queue is full.
        """
        waiting = _Waiting(message)
        self._count(len(message.body))
        try:
            self._batcher.submit(waiting, lambda error: done(error or waiting.error), self._loop)
        except Unavailable:
            self._uncount(len(message.body))
            raise

    async def kept(self, message: Incoming) -> None:
        """The same for a caller that can wait: returns once the message is durable."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.keep(message, lambda error: _settle(future, error))
        await future

    def depth(self) -> int:
        """How many messages were taken and are not durable yet."""
        return self._batcher.depth()

    def slowed(self) -> float:
        """By how many seconds the latest answers were held back; 0 when senders are not being slowed."""
        return self._slowed

    def _append(self, batch: list[_Waiting]) -> None:
        self._uncount(sum(len(waiting.message.body) for waiting in batch))
        with contextlib.suppress(BirthCareError):  # only a preparation: a key that cannot be had fails its own message below
            self._seal.ensure({received_key(waiting.message) for waiting in batch})
        records = [record for waiting in batch if (record := self._sealed(waiting)) is not None]
        self._received.append(records)

    def _sealed(self, waiting: _Waiting) -> Record | None:
        """The sealed record; None when this one message cannot be sealed, which must not stop the others."""
        try:
            return to_record(waiting.message, self._seal)
        except BirthCareError as error:
            waiting.error = error
            return None

    def _delay(self) -> float:
        self._slowed = min(LONGEST_DELAY_S, max(0.0, (self._pressure() - 1.0) * LONGEST_DELAY_S))
        return self._slowed

    def _count(self, size: int) -> None:
        with self._counting:
            # One message always fits, however large it is.
            if self._bytes and self._bytes + size > self._limit_bytes:
                raise Unavailable("too much is waiting; send it again later", code="backlog-full")
            self._bytes += size

    def _uncount(self, size: int) -> None:
        with self._counting:
            self._bytes -= size
