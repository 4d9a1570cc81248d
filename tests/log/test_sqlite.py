"""What the SQLite log does besides the contract: it joins a transaction, counts, finds one woman's records, and says when it cannot."""

from __future__ import annotations

import sqlite3
import threading
import time
from pathlib import Path

import pytest

from fhir_profiles.errors import Unavailable
from hub.database import Database, open_sqlite
from hub.log.port import START, Place
from hub.log.sqlite import SqliteLog
from hub.tables import received, recorded
from tests.log.records import number_of, record


@pytest.fixture
def database(tmp_path: Path) -> Database:
    """A database with both logs."""
    return open_sqlite(tmp_path / "hub.db", ["received", "hub"])


@pytest.fixture
def log(database: Database) -> SqliteLog:
    """The received log."""
    return SqliteLog(database, received)


def test_records_of_a_transaction_that_fails_are_not_there(database: Database, log: SqliteLog) -> None:
    def work() -> None:
        with database.write() as tx:
            log.append([record(1)], tx)
            raise RuntimeError("the rest of the work failed")

    with pytest.raises(RuntimeError):
        work()
    assert log.read(START, 10) == [] and log.counts() == {}


def test_records_join_the_transaction_of_the_caller(database: Database, log: SqliteLog) -> None:
    with database.write() as tx:
        places = log.append([record(1), record(2)], tx) + log.append([record(3)], tx)
        assert log.read(START, 10) == [], "another connection does not see them yet"
    assert places == [Place(0, 1), Place(0, 2), Place(0, 3)]
    assert [number_of(s) for s in log.read(START, 10)] == [1, 2, 3]


def test_a_place_is_never_given_twice(database: Database, log: SqliteLog) -> None:
    [first] = log.append([record(1)])
    with database.write() as tx:
        tx.execute(received.delete())
    [second] = log.append([record(2)])
    assert second > first


def test_received_messages_are_counted_by_source_and_day(log: SqliteLog) -> None:
    log.append([record(1), record(2), record(3, source="practice/00700001")])
    log.append([record(4), record(5, day="2026-11-25")])
    assert log.counts() == {("hix/00700002", "2026-11-24"): 3, ("practice/00700001", "2026-11-24"): 1, ("hix/00700002", "2026-11-25"): 1}


def test_recorded_events_are_not_counted_and_found_by_woman(database: Database) -> None:
    log = SqliteLog(database, recorded)
    log.append([record(n, key=f"woman-{n % 2}") for n in range(10)])
    assert log.counts() == {}
    assert [number_of(s) for s in log.read_key("woman-1")] == [1, 3, 5, 7, 9]
    third = log.read_key("woman-1", limit=2)[-1].place.offset
    assert [number_of(s) for s in log.read_key("woman-1", after=third, limit=2)] == [5, 7]


def test_a_reader_of_this_process_wakes_at_the_notice_and_not_at_the_next_poll(database: Database, log: SqliteLog) -> None:
    reader = log.reader("worker", lambda _: -1)
    waits = []
    for n in range(20):
        committed: list[float] = []
        thread = threading.Thread(target=_append_later, args=(database, log, n, committed))
        thread.start()
        assert len(reader.poll(5, 10)) == 1
        woke = time.monotonic()
        thread.join()
        waits.append(woke - committed[0])
    assert sorted(waits)[10] < 0.005, waits


def _append_later(database: Database, log: SqliteLog, number: int, committed: list[float]) -> None:
    time.sleep(0.03)
    with database.write() as tx:
        log.append([record(number)], tx)
    committed.append(time.monotonic())
    log.notify()


def test_a_database_that_stays_locked_is_unavailable(tmp_path: Path) -> None:
    database = open_sqlite(tmp_path / "locked.db", ["received"])
    log = SqliteLog(database, received)
    with database.read() as tx:
        tx.exec_driver_sql("PRAGMA busy_timeout=50")  # the one connection of the pool, so that the test need not wait for 30 s
    other = sqlite3.connect(tmp_path / "locked.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(Unavailable) as caught:
        log.append([record(1)])
    assert caught.value.code == "log-away"
    other.execute("ROLLBACK")
    assert log.append([record(1)]) == [Place(0, 1)]


def test_a_full_disk_is_unavailable_and_stores_nothing_of_the_batch(database: Database, log: SqliteLog) -> None:
    log.append([record(0)])
    # The limit is one of the connection: the one that is free in the pool, and that the next write takes.
    with database.write() as tx:
        pages = tx.exec_driver_sql("PRAGMA page_count").scalar()
        tx.exec_driver_sql(f"PRAGMA max_page_count={pages}")
    with pytest.raises(Unavailable):
        log.append([record(n, body=b"x" * 100_000) for n in range(1, 4)])
    with database.write() as tx:
        tx.exec_driver_sql("PRAGMA max_page_count=1000000")
    assert [number_of(s) for s in log.read(START, 10)] == [0]
    assert sum(log.counts().values()) == 1
