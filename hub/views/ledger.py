"""The balance: of each source and day, where every received message went.

received = recorded + unchanged + ignored by a named rule + held, counted in messages; what is received and not yet mapped is the
backlog. `received` comes from the log itself where that counts (the appending is the commit), else from the mapper.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace

from sqlalchemy import Connection, select

from hub.tables import ledger


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """One source and day. All but `events` count messages; `events` counts what they became."""

    source: str
    day: str
    received: int
    recorded: int
    unchanged: int
    ignored: int
    held: int
    events: int

    @property
    def difference(self) -> int:
        """Messages that were received and are in no other column: the backlog of that day, or something is wrong."""
        return self.received - self.recorded - self.unchanged - self.ignored - self.held

    def to_json(self) -> dict[str, str | int]:
        """The row as the command line prints it."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Balance:
    """Whether all is accounted for. `waiting` messages are received and not yet mapped, by the rows; `lost` differ from the backlog.

    `wrong` are rows that account for more messages than were received.
    """

    waiting: int
    lost: int
    wrong: tuple[LedgerRow, ...]

    @property
    def closes(self) -> bool:
        """Whether every message is accounted for, exactly once."""
        return self.lost == 0 and not self.wrong


def rows(tx: Connection, received: Mapping[tuple[str, str], int] | None = None) -> list[LedgerRow]:
    """The ledger, newest day first. `received` is the log's own count by (source, day); it also brings days that nobody mapped yet."""
    found = {(row.source, row.day): LedgerRow(*row) for row in tx.execute(select(ledger))}
    for (source, day), count in (received or {}).items():
        known = found.get((source, day), LedgerRow(source, day, 0, 0, 0, 0, 0, 0))
        found[source, day] = replace(known, received=count)
    ordered = sorted(found.values(), key=lambda row: row.source)
    return sorted(ordered, key=lambda row: row.day, reverse=True)


def balance(ledger_rows: Iterable[LedgerRow], backlog: int = 0) -> Balance:
    """Hold the rows against the backlog: how many messages the log has past the mapper's position (0 when the mapper counts itself)."""
    everything = list(ledger_rows)
    waiting = sum(row.difference for row in everything)
    return Balance(waiting, waiting - backlog, tuple(row for row in everything if row.difference < 0))
