"""The log as the rest of the hub sees it: append, read, end.

Two stores keep this promise, `sqlite.py` and `kafka.py`, and pass the same contract tests (`tests/contracts/test_event_log.py`).
A log may hold the same record twice (a producer that lost its answer sends again): ids are deterministic and readers skip repeats.
Order is promised within one key and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NewType, Protocol

Cursor = NewType("Cursor", dict[int, int])
"""How far a reader has come: partition → offset of the last record taken. A partition that is absent was not begun."""

START = Cursor({})


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where a record stands in its log."""

    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.partition}-{self.offset}"

    @classmethod
    def parse(cls, text: str) -> Place:
        """The place that `str` wrote."""
        partition, _, offset = text.partition("-")
        return cls(int(partition), int(offset))


@dataclass(frozen=True, slots=True)
class Record:
    """One record: attributes that anyone may read and a sealed body.

    `attributes` follow CloudEvents and never hold a BSN, name, birth date or clinical content. `key` decides the partition.
    """

    id: str
    key: str
    attributes: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Stored:
    """A record with its place in the log."""

    place: Place
    record: Record


class Reader(Protocol):
    """A reader that keeps its own place while it lives; the caller stores how far it came with what it made of it."""

    def poll(self, timeout_s: float, limit: int) -> list[Stored]:
        """Up to `limit` next records in order per partition; waits up to `timeout_s` for the first, then returns what there is."""

    def close(self) -> None:
        """Give back what the reader holds."""


class EventLog(Protocol):
    """The one ordered record of what happened."""

    def append(self, records: Sequence[Record]) -> list[Place]:
        """Store all records durably, then return their places in the same order.

        Raises `Unavailable` when that cannot be known: some may have been stored; sending all of them again is right and harmless.
        """

    def read(self, after: Cursor, limit: int) -> list[Stored]:
        """Up to `limit` records later than `after`, in order per partition; empty at the present end."""

    def get(self, place: Place) -> Record | None:
        """The record at a place, or None when there is none (any more)."""

    def end(self) -> Cursor:
        """The place of the last record of every partition that has one."""

    def reader(self, name: str, start: Callable[[int], int]) -> Reader:
        """A reader for the consumer group `name`. `start(partition)` gives the offset last taken, -1 for none, each time a partition is taken on."""

    def close(self) -> None:
        """Flush and give back connections."""
