"""Records for tests of the logs: invented, with the attributes that a received message has."""

from __future__ import annotations

import itertools
import time
import uuid
from collections.abc import Callable, Iterable

from hub.log.port import START, Cursor, EventLog, Reader, Record, Stored


def record(number: int, *, key: str = "woman-1", body: bytes = b"sealed", source: str = "hix/00700002", day: str = "2026-11-24",
           name: str = "") -> Record:
    """A record whose id follows from its name (a new one when empty) and number."""
    record_id = f"{name or uuid.uuid4().hex[:8]}-{number:06d}"
    return Record(record_id, key, {"id": record_id, "source": source, "time": f"{day}T10:00:00Z", "key": f"{key}/received"}, body)


def number_of(stored: Stored) -> int:
    """The number that `record` was given."""
    return int(stored.record.id.rsplit("-", 1)[1])


def everything(log: EventLog, step: int = 500) -> list[Stored]:
    """The whole log, read in steps."""
    found: list[Stored] = []
    cursor = Cursor({})
    while more := log.read(cursor, step):
        found += more
        cursor = after(cursor, more)
    return found


def after(cursor: Cursor, taken: Iterable[Stored]) -> Cursor:
    """The cursor moved past what was taken."""
    moved = Cursor(dict(cursor))
    for stored in taken:
        moved[stored.place.partition] = stored.place.offset
    return moved


def take(reader: Reader, enough: Callable[[list[Stored]], bool], timeout_s: float = 20) -> list[Stored]:
    """Poll until enough came; fails after `timeout_s`."""
    found: list[Stored] = []
    deadline = time.monotonic() + timeout_s
    while not enough(found):
        assert time.monotonic() < deadline, f"only {len(found)} records came"
        found += reader.poll(0.5, 100)
    return found


class Follower:
    """A reader whose place is kept as the hub keeps it, so that taking a partition on again repeats nothing."""

    def __init__(self, log: EventLog, name: str, start: Cursor = START) -> None:
        self._at = Cursor(dict(start))
        self.asked: set[int] = set()
        self._reader = log.reader(name, self._start)

    def poll(self, timeout_s: float, limit: int) -> list[Stored]:
        """As a reader's."""
        found = self._reader.poll(timeout_s, limit)
        self._at = after(self._at, found)
        return found

    def close(self) -> None:
        """As a reader's."""
        self._reader.close()

    def _start(self, partition: int) -> int:
        self.asked.add(partition)
        return self._at.get(partition, -1)


def by_key(found: Iterable[Stored]) -> dict[str, list[int]]:
    """The numbers of each key in the order in which they came."""
    ordered = sorted(found, key=lambda stored: stored.record.key)
    return {key: [number_of(stored) for stored in group] for key, group in itertools.groupby(ordered, lambda stored: stored.record.key)}
