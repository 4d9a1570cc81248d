"""One place that opens databases: SQLite files for the embedded hub, PostgreSQL at scale, the same tables in both.

`write()` is one transaction that is durable when it returns; `read()` sees one state. On SQLite a write begins IMMEDIATE, so that
a writer waits at the door and never fails half-way, and WAL with synchronous=FULL keeps every commit over a power cut.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Engine, create_engine, event

from hub.tables import GROUPS

_FRESH_S: Final = 1.0

Question = tuple[str, tuple[str, ...]]
"""A query with `?` places, and what stands in them."""


class Database:
    """An engine with the transactions that the hub uses."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.is_sqlite = engine.dialect.name == "sqlite"
        self._mine = threading.local()
        self._kept: set[Connection] = set()
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def write(self) -> Iterator[Connection]:
        """One transaction; all of it is durable after the block, or none when the block raises."""
        with self.engine.connect() as connection:
            if self.is_sqlite:
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            with contextlib.ExitStack() as stack:
                if not self.is_sqlite:
                    stack.enter_context(connection.begin())
                    yield connection
                    return
                try:
                    yield connection
                except BaseException:
                    connection.exec_driver_sql("ROLLBACK")
                    raise
                connection.exec_driver_sql("COMMIT")

    @contextlib.contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection to read with, kept for this thread: each statement sees the latest committed state. Nothing may be written.

        Taking one from the pool and giving it back would cost more than most of our reads.
        """
        connection = self._connection()
        try:
            yield connection
        except BaseException:
            # It may be broken (a server that went away): the next reader in this thread opens a new one.
            self._let_go(connection)
            raise

    def fetch(self, sql: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        """All rows of one query with `?` places, as they stand now. Straight to the driver, on a connection kept for this thread.

        For the few queries that every look at a plan asks: SQLAlchemy's layers would cost more than the answers.
        """
        connection = self._connection()
        driver: Any = self._mine.driver
        try:
            rows: list[tuple[Any, ...]] = driver.execute(spelt(sql, self.engine.dialect.name), values).fetchall()
        except BaseException:
            self._let_go(connection)
            raise
        return rows

    def together(self, *questions: Question) -> list[list[tuple[Any, ...]]]:
        """The rows of several queries that have the same columns, each in no order. One statement asks them all, so all are of one state."""
        found: list[list[tuple[Any, ...]]] = [[] for _ in questions]
        values = tuple(itertools.chain.from_iterable(values for _, values in questions))
        for row in self.fetch(_joined(tuple(sql for sql, _ in questions)), values):
            found[row[0]].append(row[1:])
        return found

    def _connection(self) -> Connection:
        """This thread's connection; one to a server that was not used for a moment is asked first whether it still lives."""
        connection: Connection | None = getattr(self._mine, "connection", None)
        if connection is not None and (connection.closed or not self._lives(connection)):
            self._let_go(connection)
            connection = None
        if connection is None:
            connection = self._mine.connection = self.engine.connect().execution_options(isolation_level="AUTOCOMMIT")
            self._mine.driver = connection.connection.driver_connection
            with self._lock:
                self._kept.add(connection)
        self._mine.used = time.monotonic()
        return connection

    def _lives(self, connection: Connection) -> bool:
        if self.is_sqlite or time.monotonic() - self._mine.used < _FRESH_S:
            return True
        try:
            connection.exec_driver_sql("SELECT 1")
        except Exception:
            return False
        return True

    def _let_go(self, connection: Connection) -> None:
        self._mine.connection = self._mine.driver = None
        with self._lock:
            self._kept.discard(connection)
        with contextlib.suppress(Exception):
            connection.invalidate()
        with contextlib.suppress(Exception):
            connection.close()

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[Connection]:
        """A read transaction in which every statement sees the same state."""
        with self.engine.connect() as connection:
            if not self.is_sqlite:
                connection = connection.execution_options(isolation_level="REPEATABLE READ")
            connection.exec_driver_sql("BEGIN" if self.is_sqlite else "SELECT 1")
            try:
                yield connection
            finally:
                if self.is_sqlite:
                    connection.exec_driver_sql("ROLLBACK")

    def close(self) -> None:
        """Give back every connection, those kept for threads too."""
        with self._lock:
            kept, self._kept = self._kept, set()
        for connection in kept:
            with contextlib.suppress(Exception):
                connection.close()
        self.engine.dispose()


@functools.lru_cache(maxsize=256)
def spelt(sql: str, dialect: str) -> str:
    """A query of ours with `?` places, as the driver of the dialect wants it."""
    return sql if dialect == "sqlite" else sql.replace("?", "%s")


@functools.lru_cache(maxsize=256)
def _joined(queries: tuple[str, ...]) -> str:
    return " UNION ALL ".join(f"SELECT {number}, q{number}.* FROM ({sql}) AS q{number}" for number, sql in enumerate(queries))  # noqa: S608  # texts of ours


def open_sqlite(path: Path, groups: Sequence[str]) -> Database:
    """A SQLite file with the named groups of tables, migrated to the present schema."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Threads keep their connections, so the pool has no bound of its own: the number of threads is one.
    engine = create_engine(f"sqlite:///{path}", pool_size=16, max_overflow=-1,
                           connect_args={"timeout": 30, "check_same_thread": False, "isolation_level": None, "cached_statements": 256})

    @event.listens_for(engine, "connect")
    def _pragmas(connection: object, _record: object) -> None:
        cursor = connection.cursor()  # type: ignore[attr-defined]  # a DBAPI connection, which SQLAlchemy does not type
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=30000", "cache_size=-2000", "wal_autocheckpoint=4000",
                       "temp_store=MEMORY"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    migrate(engine, groups)
    return Database(engine)


def open_postgres(url: str, *, pool: int = 8) -> Database:
    """A PostgreSQL database (`postgresql+psycopg://…`) with all groups, migrated to the present schema."""
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://", 1), pool_size=pool, max_overflow=-1, pool_pre_ping=True)
    migrate(engine, tuple(GROUPS))
    return Database(engine)


def migrate(engine: Engine, groups: Sequence[str]) -> None:
    """Bring the schema to the newest revision; does nothing, quickly, when it is there."""
    from hub.migrations import HEAD, upgrade

    with engine.connect() as connection:
        known = engine.dialect.has_table(connection, "alembic_version")
        if known and connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar() == HEAD:
            return
    upgrade(engine, groups)
