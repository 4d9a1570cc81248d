"""The loops that touch the world: read a batch, let the pure parts work, write everything in one transaction.

Embedded there is one worker: mapping, views, memory and positions share a transaction. At scale the mapper and the projector are
processes of their own with the Kafka log between them; each stores its position with what it made, and the broker's is no matter.
At least once, and idempotent: a crash repeats a batch, and the repeat changes nothing.
"""

from __future__ import annotations

import contextlib
import gc
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Protocol

import structlog
from sqlalchemy import Connection, insert, select, update
from sqlalchemy.exc import SQLAlchemyError

from fhir_profiles.errors import BirthCareError
from hub.database import Database
from hub.log import position
from hub.log.envelope import Envelope, Seal, unpack
from hub.log.keys import Erased
from hub.log.port import Cursor, EventLog, Place, Reader, Stored
from hub.log.sqlite import SqliteLog
from hub.plan.store import generation
from hub.tables import held, recorded

if TYPE_CHECKING:  # whoever maps brings its own; the other processes start without
    from hub.mapper.mapper import Mapper

log = structlog.get_logger(__name__)

MAP: Final = "map"
PROJECT: Final = "project"
_IDLE_S: Final = 0.5


class Projecting(Protocol):
    """What a loop asks of the projector (`hub.plan.project.Projector`)."""

    def apply(self, tx: Connection, generation: int, events: Sequence[Envelope]) -> object: ...
    def forget(self) -> None: ...


@dataclass
class Heartbeat:
    """What a loop tells of itself: progress, not presence."""

    batches: int = 0
    messages: int = 0
    events: int = 0
    failures: int = 0
    last_at: float = field(default_factory=time.monotonic)
    lags_ms: deque[float] = field(default_factory=lambda: deque(maxlen=20_000))

    def beat(self, messages: int, events: int, heard: Iterable[str]) -> None:
        """One batch is durable; `heard` are the times at which its messages came in."""
        self.batches += 1
        self.messages += messages
        self.events += events
        self.last_at = time.monotonic()
        now = datetime.now(UTC)
        self.lags_ms.extend((now - datetime.fromisoformat(at)).total_seconds() * 1000 for at in heard)

    def lag_ms(self, quantile: float) -> float:
        """How long it took the latest messages from coming in to being durable here; 0 when there were none."""
        lags = sorted(self.lags_ms.copy())
        return lags[min(len(lags) - 1, int(len(lags) * quantile))] if lags else 0.0


def calm_garbage_collector() -> None:
    """Everything that exists at start lives on: do not walk it again and again (measured: 2 to 20 % of the whole path)."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 50, 1000)


class Loop(threading.Thread):
    """A loop that lives until it is stopped: reads, works, and after a fault drops what it held, waits a little and goes on."""

    def __init__(self, name: str, log_: EventLog, database: Database, batch: int) -> None:
        super().__init__(name=name, daemon=True)
        self._reading, self._database, self._batch = log_, database, batch
        self._stopping = threading.Event()
        self._cursor = Cursor({})
        self.heartbeat = Heartbeat()

    def run(self) -> None:
        """Work until stopped."""
        pause = 0.05
        while not self._stopping.is_set():
            reader: Reader | None = None
            try:
                reader = self._reading.reader(self.name, self._start)
                while not self._stopping.is_set():
                    self.before()
                    batch = reader.poll(_IDLE_S, self._batch)
                    if batch:
                        self.step(batch)
                        pause = 0.05
            except (BirthCareError, SQLAlchemyError, OSError) as fault:
                log.warning("loop_interrupted", reader=self.name, error_type=type(fault).__name__, code=getattr(fault, "code", ""))
            except Exception:
                # A fault of ours, or of a library. A loop that ended would stop the hub until someone saw it, and going on cannot do harm.
                log.exception("loop_failed", reader=self.name)
            finally:
                if reader is not None:
                    with contextlib.suppress(Exception):
                        reader.close()
            if not self._stopping.is_set():
                self.heartbeat.failures += 1
                self.forget()
                self._stopping.wait(pause)
                pause = min(pause * 2, 5.0)

    def stop(self, timeout_s: float = 30.0) -> None:
        """Finish the batch in hand and end."""
        self._stopping.set()
        if self.is_alive():
            self.join(timeout_s)

    def before(self) -> None:
        """Called between batches."""

    def step(self, batch: list[Stored]) -> None:
        """Take one batch; all of it is durable after this, or none."""
        raise NotImplementedError

    def forget(self) -> None:
        """Drop what was held in memory about work that may not have become durable."""

    def _start(self, partition: int) -> int:
        with self._database.read() as tx:
            at = position.load(tx, self.name).get(partition)
        self.forget()
        if at is None:
            self._cursor.pop(partition, None)
            return -1
        self._cursor[partition] = at
        return at

    def _advance(self, tx: Connection, batch: list[Stored]) -> Cursor:
        """Move the position past the batch, or fail when another process has."""
        after: Cursor = Cursor({})
        for stored in batch:
            after[stored.place.partition] = max(stored.place.offset, after.get(stored.place.partition, -1))
        position.advance(tx, self.name, self._cursor, after)
        return after


class Worker(Loop):
    """The embedded worker: received → events, memory, views and positions in one transaction of one file."""

    def __init__(self, received: EventLog, hub: Database, events: SqliteLog, mapper: Mapper, projector: Projecting,
                 changed: Callable[[set[str]], None], batch: int) -> None:
        super().__init__(MAP, received, hub, batch)
        self._events, self._mapper, self._projector, self._changed = events, mapper, projector, changed
        self._looked = 0.0

    def step(self, batch: list[Stored]) -> None:
        """Map and fold one batch."""
        with self._database.write() as tx:
            # First of all: while this transaction lives, a rebuild cannot switch the views.
            views = generation(tx)
            outcome = self._mapper.take(tx, batch)
            self._events.append(outcome.records, tx)
            self._projector.apply(tx, views, outcome.events)
            after = self._advance(tx, batch)
        self._cursor.update(after)
        self._done(len(batch), outcome.events, [stored.record.attributes["time"] for stored in batch])

    def before(self) -> None:
        """Now and then, map again what an operator sent back from `held`."""
        if time.monotonic() - self._looked < 1.0:
            return
        self._looked = time.monotonic()
        for stored in asked_again(self._database, self._reading):
            with self._database.write() as tx:
                views = generation(tx)
                outcome = self._mapper.again(tx, stored)
                self._events.append(outcome.records, tx)
                self._projector.apply(tx, views, outcome.events)
            self._done(0, outcome.events, [])

    def forget(self) -> None:
        """Drop decoded views: the transaction that changed them may have failed."""
        self._projector.forget()

    def _done(self, messages: int, events: list[Envelope], heard: list[str]) -> None:
        self._mapper.committed()
        self._events.notify()
        self.heartbeat.beat(messages, len(events), heard)
        self._changed({event.subject for event in events})


class MapLoop(Loop):
    """The mapper as a process of its own: produce, wait for the acknowledgement, then remember."""

    def __init__(self, received: EventLog, hub: Database, events: EventLog, mapper: Mapper, batch: int) -> None:
        super().__init__(MAP, received, hub, batch)
        self._events, self._mapper = events, mapper
        self._looked = 0.0

    def step(self, batch: list[Stored]) -> None:
        """Map one batch. A crash between the two commits repeats events under the same ids."""
        with self._database.write() as tx:
            outcome = self._mapper.take(tx, batch)
            after = self._advance(tx, batch)
            self._events.append(outcome.records)
        self._cursor.update(after)
        self._mapper.committed()
        self.heartbeat.beat(len(batch), len(outcome.events), [stored.record.attributes["time"] for stored in batch])

    def before(self) -> None:
        """Now and then, map again what an operator sent back from `held`."""
        if time.monotonic() - self._looked < 1.0:
            return
        self._looked = time.monotonic()
        for stored in asked_again(self._database, self._reading):
            with self._database.write() as tx:
                self._events.append(self._mapper.again(tx, stored).records)
            self._mapper.committed()


class ProjectLoop(Loop):
    """The projector as a process of its own: archive the events by woman, fold them, move the position, in one transaction."""

    def __init__(self, events: EventLog, hub: Database, projector: Projecting, seal: Seal, batch: int) -> None:
        super().__init__(PROJECT, events, hub, batch)
        self._projector, self._seal = projector, seal

    def step(self, batch: list[Stored]) -> None:
        """Archive and fold one batch."""
        events = [event for stored in batch for event in _opened(stored, self._seal)]
        with self._database.write() as tx:
            views = generation(tx)
            after = self._advance(tx, batch)
            _archive(tx, batch)
            self._projector.apply(tx, views, events)
        self._cursor.update(after)
        self.heartbeat.beat(len(batch), len(events), [heard for stored in batch if (heard := stored.record.attributes.get("heard"))])

    def forget(self) -> None:
        """Drop decoded views: another projector may have written them meanwhile."""
        self._projector.forget()


def _opened(stored: Stored, seal: Seal) -> list[Envelope]:
    try:
        return unpack(stored.record, seal)
    except Erased:
        return []  # Erased on purpose: the record stays, and says nothing any more.


def _archive(tx: Connection, batch: list[Stored]) -> None:
    import orjson

    tx.execute(insert(recorded), [
        {"id": s.record.id, "key": s.record.key, "attributes": orjson.dumps(dict(s.record.attributes)), "body": s.record.body,
         "partition": s.place.partition, "offset": s.place.offset}
        for s in batch
    ])


def asked_again(hub: Database, received: EventLog) -> list[Stored]:
    """The held messages that an operator asked to map again, at most a hundred at a time; those whose bytes are gone wait on, and say so."""
    with hub.read() as tx:
        rows = tx.execute(select(held.c.message, held.c.partition, held.c.offset).where(held.c.state == "again").distinct().limit(100)).all()
    found: list[Stored] = []
    for message, partition, offset in rows:
        record = received.get(Place(partition, offset))
        if record is not None and record.id == message:
            found.append(Stored(Place(partition, offset), record))
        else:
            with hub.write() as tx:
                tx.execute(update(held).where(held.c.message == message, held.c.state == "again")
                           .values(state="waiting", reason="the bytes of the message are gone", code="bytes-gone"))
    return found


def backlog(received: EventLog, hub: Database) -> int:
    """How many received records wait to be mapped."""
    end = received.end()
    with hub.read() as tx:
        at = position.load(tx, MAP)
    before_first = 0 if isinstance(received, SqliteLog) else -1  # places in SQLite begin at 1, offsets in Kafka at 0
    return sum(max(0, last - at.get(partition, before_first)) for partition, last in end.items())
