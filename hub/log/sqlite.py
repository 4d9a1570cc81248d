"""The log in a SQLite table: one partition (0), the offset is the row's `place`, one fsync for each append.

This is the hot path of the embedded hub, so it speaks to the driver directly: SQLAlchemy's own layers cost more than the insert.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import orjson
from sqlalchemy import Connection, Table
from sqlalchemy.exc import DBAPIError

from fhir_profiles.errors import Unavailable
from hub.database import Database
from hub.log.port import START, Cursor, Place, Record, Stored
from hub.tables import received

PARTITION: Final = 0

_POLL_S: Final = 0.02
"""How often a waiting reader looks for records that another process appended; its own process wakes it at once."""

_FAULTS: Final = (DBAPIError, sqlite3.Error)

_COUNT: Final = "INSERT INTO received_count (source, day, n) VALUES (?, ?, ?) ON CONFLICT (source, day) DO UPDATE SET n = n + excluded.n"


class SqliteLog:
    """`hub.log.port.EventLog` on the table `received` or `recorded` of a SQLite database. Safe to use from several threads."""

    def __init__(self, database: Database, table: Table) -> None:
        self._database, self._name, self._counted = database, table.name, table is received
        # The name is one of our own tables, never something that came in.
        self._insert = f"INSERT INTO {self._name} (place, id, key, attributes, body) VALUES (?, ?, ?, ?, ?)"  # noqa: S608
        self._select = f"SELECT place, id, key, attributes, body FROM {self._name}"  # noqa: S608
        self._last = f"SELECT max(place) FROM {self._name}"  # noqa: S608
        self._grown = threading.Condition()
        self._growth = 0
        self._closed = False

    def append(self, records: Sequence[Record], tx: Connection | None = None) -> list[Place]:
        """Store all records durably, or none; their places in the same order.

        With `tx` (a `Database.write()` of the same file) they are stored when that commits, and its owner then calls `notify`.
        Without it a fault of the database (disk full, locked too long) raises `Unavailable`.
        """
        if not records:
            return []
        if tx is not None:
            return self._put(tx, records)
        try:
            with self._database.write() as own:
                places = self._put(own, records)
        except _FAULTS as error:
            raise _away() from error
        self.notify()
        return places

    def notify(self) -> None:
        """Wake the readers of this process: something was committed."""
        with self._grown:
            self._growth += 1
            self._grown.notify_all()

    def read(self, after: Cursor, limit: int) -> list[Stored]:
        """Up to `limit` records later than `after`, in order; empty at the present end."""
        rows = self._rows(f"{self._select} WHERE place > ? ORDER BY place LIMIT ?", (after.get(PARTITION, -1), limit))
        return [_stored(row) for row in rows]

    def read_key(self, key: str, after: int = -1, limit: int = 1_000) -> list[Stored]:
        """Up to `limit` records of one key (one woman) later than the offset `after`, in order. Indexed for `recorded` only."""
        rows = self._rows(f"{self._select} WHERE key = ? AND place > ? ORDER BY place LIMIT ?", (key, after, limit))
        return [_stored(row) for row in rows]

    def get(self, place: Place) -> Record | None:
        """The record at a place, or None when there is none (any more)."""
        if place.partition != PARTITION:
            return None
        rows = self._rows(f"{self._select} WHERE place = ?", (place.offset,))
        return _stored(rows[0]).record if rows else None

    def end(self) -> Cursor:
        """The place of the last record, when there is one."""
        last = self._rows(self._last, ())[0][0]
        return START if last is None else Cursor({PARTITION: last})

    def reader(self, name: str, start: Callable[[int], int]) -> SqliteReader:
        """A reader from `start(0)` on. There is one partition, so two readers of one name both read all of it."""
        return SqliteReader(self, start(PARTITION))

    def counts(self) -> dict[tuple[str, str], int]:
        """How many messages were received of each (source, day); empty for a log that does not count."""
        if not self._counted:
            return {}
        return {(source, day): n for source, day, n in self._rows("SELECT source, day, n FROM received_count", ())}

    def close(self) -> None:
        """Let waiting readers go. The database belongs to the caller."""
        self._closed = True
        self.notify()

    def wait(self, growth: int, timeout_s: float) -> None:
        """Return when something was appended since `growth` was read, when another process may have, or after `timeout_s`."""
        with self._grown:
            if self._growth == growth:
                self._grown.wait(min(timeout_s, _POLL_S))

    @property
    def growth(self) -> int:
        """Rises with every append of this process; read it before reading the log, and give it to `wait`."""
        return self._growth

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    def _put(self, tx: Connection, records: Sequence[Record]) -> list[Place]:
        driver = _driver(tx)
        # The write lock is held from BEGIN IMMEDIATE on, so nobody else takes these places. The sequence, unlike max(place), outlives
        # a deletion: a place is never given twice.
        row = driver.execute("SELECT seq FROM sqlite_sequence WHERE name = ?", (self._name,)).fetchone()
        first = (row[0] if row else 0) + 1
        driver.executemany(self._insert, [
            (place, r.id, r.key, orjson.dumps(r.attributes), r.body) for place, r in enumerate(records, first)
        ])
        if self._counted:
            driver.executemany(_COUNT, _counts(records))
        return [Place(PARTITION, place) for place in range(first, first + len(records))]

    def _rows(self, sql: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        try:
            with self._database.read() as tx:
                rows: list[tuple[Any, ...]] = _driver(tx).execute(sql, values).fetchall()
        except _FAULTS as error:
            raise _away() from error
        return rows


class SqliteReader:
    """`hub.log.port.Reader` on a `SqliteLog`; for one thread."""

    def __init__(self, log: SqliteLog, last: int) -> None:
        self._log, self._last = log, last

    def poll(self, timeout_s: float, limit: int) -> list[Stored]:
        """Up to `limit` next records; waits up to `timeout_s` for the first. Empty at once when the log is closed."""
        deadline = time.monotonic() + timeout_s
        while True:
            growth = self._log.growth
            found = self._log.read(Cursor({PARTITION: self._last}), limit)
            left = deadline - time.monotonic()
            if found or left <= 0 or self._log.closed:
                break
            self._log.wait(growth, left)
        if found:
            self._last = found[-1].place.offset
        return found

    def close(self) -> None:
        """Nothing is held between polls."""


def _driver(tx: Connection) -> Any:
    """The sqlite3 connection under a SQLAlchemy one."""
    return tx.connection.driver_connection


def _stored(row: tuple[Any, ...]) -> Stored:
    place, record_id, key, attributes, body = row
    return Stored(Place(PARTITION, place), Record(record_id, key, orjson.loads(attributes), body))


def _counts(records: Iterable[Record]) -> list[tuple[str, str, int]]:
    """(source, day, how many), the day being that of the time of receipt (UTC)."""
    counted = Counter((r.attributes["source"], r.attributes["time"][:10]) for r in records)
    return [(source, day, n) for (source, day), n in counted.items()]


def _away() -> Unavailable:
    return Unavailable("the log cannot be reached; send it again later", code="log-away")
