"""Two statements that SQLite and PostgreSQL spell alike, and SQLAlchemy keeps in two dialects: insert what is new, insert or replace."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite

Rows = Sequence[Mapping[str, Any]]


def _insert(tx: Connection, table: Table) -> Any:
    return sqlite.insert(table) if tx.dialect.name == "sqlite" else postgresql.insert(table)


def insert_new(tx: Connection, table: Table, rows: Rows) -> None:
    """Insert the rows whose primary key is not there yet; the others are left as they are."""
    if rows:
        tx.execute(_insert(tx, table).on_conflict_do_nothing(), list(rows))


def replace(tx: Connection, table: Table, rows: Rows) -> None:
    """Insert the rows; where the primary key is there, its other columns become those of the row."""
    if rows:
        keys = [column.name for column in table.primary_key]
        insert = _insert(tx, table)
        rest = {name: insert.excluded[name] for name in rows[0] if name not in keys}
        tx.execute(insert.on_conflict_do_update(index_elements=keys, set_=rest), list(rows))


def add_up(tx: Connection, table: Table, rows: Rows) -> None:
    """Insert the rows of counters; where the primary key is there, the counts are added to those that stand."""
    if rows:
        keys = [column.name for column in table.primary_key]
        insert = _insert(tx, table)
        sums = {name: table.c[name] + insert.excluded[name] for name in rows[0] if name not in keys}
        tx.execute(insert.on_conflict_do_update(index_elements=keys, set_=sums), list(rows))
