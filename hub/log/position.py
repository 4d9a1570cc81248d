"""How far each reader came, in the same database and transaction as what it made of the log.

A position moves by compare-and-set: a reader that lost its partition to another finds a position that it did not leave there, drops
its work and joins again. So two readers never both write the outcome of one record.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, select

from fhir_profiles.errors import Unavailable
from hub.database import spelt
from hub.log.port import Cursor
from hub.tables import position

# Plain text, because they run in every batch: building them would cost more than running them.
_BEGIN: Final = 'INSERT INTO position (reader, "partition", "offset") VALUES (?, ?, ?) ON CONFLICT (reader, "partition") DO NOTHING'
_MOVE: Final = 'UPDATE position SET "offset" = ? WHERE reader = ? AND "partition" = ? AND "offset" = ?'


class LostPosition(Unavailable):
    """Another process has moved this reader's position: what was made of the records must be dropped, not written."""


def load(tx: Connection, reader: str) -> Cursor:
    """Where the reader is, for every partition that it has begun."""
    rows = tx.execute(select(position.c.partition, position.c.offset).where(position.c.reader == reader))
    return Cursor({row.partition: row.offset for row in rows})


def advance(tx: Connection, reader: str, before: Cursor, after: Cursor) -> None:
    """Move the reader from `before` to `after` within the transaction of its work; partitions only in `before` stay where they are.

    Raises `LostPosition` when a partition is not where `before` says; the caller must then let the transaction fail.
    """
    for partition in sorted(after):
        old, new = before.get(partition), after[partition]
        if old != new and not _move(tx, reader, partition, old, new):
            raise LostPosition("another process has taken this over", code="position-lost")


def _move(tx: Connection, reader: str, partition: int, old: int | None, new: int) -> bool:
    sql, values = (_BEGIN, (reader, partition, new)) if old is None else (_MOVE, (new, reader, partition, old))
    return tx.exec_driver_sql(spelt(sql, tx.dialect.name), values).rowcount == 1
