"""The few statements that run for every batch, spelt for SQLite and PostgreSQL alike: insert what is new, insert or replace, add up, look up.

Their text is made once and kept: building and compiling them each time costs several times what running them does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, TypeVar

from sqlalchemy import Connection, Table

Rows = Sequence[Mapping[str, Any]]
Key = TypeVar("Key", bound=Any)

_SIZES: Final = (4, 16, 64, 256, 900)
"""How many keys one look-up asks for."""


def insert_new(tx: Connection, table: Table, rows: Rows) -> None:
    """Insert the rows whose primary key is not there yet; the others are left as they are."""
    _insert(tx, table, rows, "")


def replace(tx: Connection, table: Table, rows: Rows) -> None:
    """Insert the rows; where the primary key is there, its other columns become those of the row."""
    _insert(tx, table, rows, '"{0}" = excluded."{0}"')


def add_up(tx: Connection, table: Table, rows: Rows) -> None:
    """Insert the rows of counters; where the primary key is there, the counts are added to those that stand."""
    _insert(tx, table, rows, '"{0}" = {1}."{0}" + excluded."{0}"')


def look_up(tx: Connection, table: Table, columns: tuple[str, ...], keys: Iterable[Any], *, hold: bool = False) -> Iterator[tuple[Any, ...]]:
    """The named columns of the rows whose one-column primary key is among the keys, each once, in the order of the database.

    With `hold` they are ours until the transaction ends (on SQLite a writer has them all in any case).
    """
    for part in in_parts(keys, _SIZES):
        yield from tx.exec_driver_sql(_select(table, columns, len(part), tx.dialect.name, hold), tuple(part)).fetchall()


def in_parts(keys: Iterable[Key], sizes: Sequence[int]) -> Iterator[list[Key]]:
    """The keys, each once and sorted, in lists of few sizes (ascending), so that few texts are kept; the last key fills what is left over.

    The largest size keeps below what SQLite takes in one statement.
    """
    wanted = sorted(set(keys))
    for start in range(0, len(wanted), sizes[-1]):
        part = wanted[start:start + sizes[-1]]
        yield part + part[-1:] * (next(size for size in sizes if size >= len(part)) - len(part))


def _insert(tx: Connection, table: Table, rows: Rows, change: str) -> None:
    if rows:
        columns = tuple(rows[0])
        tx.exec_driver_sql(_insertion(table, columns, change, tx.dialect.name), [tuple(row[name] for name in columns) for row in rows])


# The names below are those of our own tables, never something that came in.


@lru_cache(maxsize=64)
def _insertion(table: Table, columns: tuple[str, ...], change: str, dialect: str) -> str:
    """The insertion, with what happens to each column where the key is there ("": nothing at all)."""
    keys = [column.name for column in table.primary_key]
    changes = ", ".join(change.format(name, table.name) for name in columns if name not in keys) if change else ""
    conflict = f"({_names(keys)}) DO UPDATE SET {changes}" if changes else "DO NOTHING"
    return (f"INSERT INTO {table.name} ({_names(columns)}) VALUES ({_places(len(columns), dialect)})"  # noqa: S608
            f" ON CONFLICT {conflict}")


@lru_cache(maxsize=64)
def _select(table: Table, columns: tuple[str, ...], size: int, dialect: str, hold: bool) -> str:
    key = table.primary_key.columns.keys()[0]
    held = " FOR UPDATE" if hold and dialect != "sqlite" else ""
    return f'SELECT {_names(columns)} FROM {table.name} WHERE "{key}" IN ({_places(size, dialect)}){held}'  # noqa: S608


def _names(columns: Iterable[str]) -> str:
    return ", ".join(f'"{name}"' for name in columns)


def _places(count: int, dialect: str) -> str:
    return ", ".join(["?" if dialect == "sqlite" else "%s"] * count)
