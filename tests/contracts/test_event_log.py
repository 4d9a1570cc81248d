"""What every store of a log must do (`hub/log/port.py`): the same tests on SQLite and on a real Kafka broker."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from hub.log.port import START, Cursor, EventLog, Place
from tests.log.appender import open_log
from tests.log.records import Follower, after, by_key, everything, number_of, record, take

ROOT = Path(__file__).parents[2]


@dataclass
class Store:
    """One empty log, which can be opened several times."""

    kind: str
    name: str
    opened: list[EventLog] = field(default_factory=list)

    def open(self) -> EventLog:
        """Open it (again)."""
        self.opened.append(open_log(self.kind, self.name))
        return self.opened[-1]


@pytest.fixture(params=["sqlite", pytest.param("kafka", marks=pytest.mark.kafka)])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """An empty log of each kind."""
    if request.param == "sqlite":
        made = Store("sqlite", str(tmp_path / "log.db"))
    else:
        kafka = request.getfixturevalue("kafka")
        made = Store("kafka", f"{kafka.settings.bootstrap}/{kafka.new_topic()}")
    yield made
    for log in made.opened:
        log.close()


@pytest.fixture
def log(store: Store) -> EventLog:
    """The empty log, open."""
    return store.open()


def test_records_come_back_as_they_were_given(log: EventLog) -> None:
    given = [record(n, key=f"woman-{n}", body=bytes([n, 0, 255])) for n in range(5)]
    log.append(given)
    assert sorted(s.record.id for s in everything(log)) == sorted(r.id for r in given)
    assert {s.record.id: s.record for s in everything(log)} == {r.id: r for r in given}


def test_records_of_one_key_keep_their_order(log: EventLog) -> None:
    for first in range(0, 60, 20):
        log.append([record(n, key=f"woman-{n % 5}") for n in range(first, first + 20)])
    for key, numbers in by_key(everything(log, step=7)).items():
        assert numbers == sorted(numbers) and len(numbers) == 12, key


def test_places_are_given_in_the_order_of_the_records_and_lead_back_to_them(log: EventLog) -> None:
    given = [record(n, key=f"woman-{n % 4}") for n in range(20)]
    places = log.append(given)
    assert len(set(places)) == 20
    assert [log.get(place) for place in places] == given
    assert {s.place: s.record for s in everything(log)} == dict(zip(places, given, strict=True))
    assert Place.parse(str(places[-1])) == places[-1]


def test_a_place_where_nothing_is_gives_none(log: EventLog) -> None:
    [place] = log.append([record(1)])
    assert log.get(Place(place.partition, place.offset + 1)) is None
    assert log.get(Place(place.partition, -1)) is None
    assert log.get(Place(99, place.offset)) is None


def test_reading_goes_on_after_a_cursor_and_stops_at_the_present_end(log: EventLog) -> None:
    log.append([record(n, key=f"woman-{n % 3}") for n in range(10)])
    first = log.read(START, 4)
    assert len(first) == 4
    cursor = after(START, first)
    rest = log.read(cursor, 100)
    assert len(rest) == 6 and not {s.place for s in first} & {s.place for s in rest}
    cursor = after(cursor, rest)
    assert log.read(cursor, 100) == []
    [place] = log.append([record(10, key="woman-1")])
    assert [s.place for s in log.read(cursor, 100)] == [place]
    assert log.read(START, 4) == first, "reading from the beginning again gives the same"


def test_the_end_is_the_last_place_of_every_partition(log: EventLog) -> None:
    assert log.end() == START
    places = log.append([record(n, key=f"woman-{n}") for n in range(12)])
    last = {partition: max(p.offset for p in places if p.partition == partition) for partition in {p.partition for p in places}}
    assert log.end() == Cursor(last)
    assert log.read(log.end(), 10) == []


def test_appending_nothing_changes_nothing(log: EventLog) -> None:
    assert log.append([]) == []
    assert log.end() == START and log.read(START, 10) == []


def test_a_record_may_be_appended_again_and_is_then_there_twice(log: EventLog) -> None:
    twice = record(1)
    log.append([twice])
    log.append([twice])
    assert [s.record for s in everything(log)] == [twice, twice]


def test_a_body_of_a_megabyte_comes_back_whole(log: EventLog) -> None:
    large = record(1, body=os.urandom(1024 * 1024))
    [place] = log.append([large])
    assert log.get(place) == large
    assert [s.record for s in log.read(START, 10)] == [large]


def test_a_body_of_twenty_megabytes_comes_back_whole(log: EventLog) -> None:
    large = record(1, body=os.urandom(20 * 1024 * 1024))
    [place] = log.append([large])
    assert log.get(place) == large


def test_a_reader_begins_where_it_is_told(log: EventLog) -> None:
    places = log.append([record(n) for n in range(10)])
    reader = Follower(log, "begins", Cursor({places[3].partition: places[3].offset}))
    found = take(reader, lambda found: len(found) >= 6)
    reader.close()
    assert [number_of(s) for s in found] == [4, 5, 6, 7, 8, 9]
    assert places[0].partition in reader.asked


def test_a_reader_gives_no_more_than_the_limit_and_goes_on_from_there(log: EventLog) -> None:
    log.append([record(n) for n in range(10)])
    reader = Follower(log, "limited")
    found = take(reader, lambda found: bool(found))
    while len(found) < 10:
        more = reader.poll(2, 3)
        assert 0 < len(more) <= 3
        found += more
    assert reader.poll(0.05, 3) == []
    reader.close()
    assert [number_of(s) for s in found] == list(range(10))


def test_a_waiting_reader_wakes_quickly(log: EventLog) -> None:
    log.append([record(0)])
    reader = Follower(log, "wakes")
    take(reader, lambda found: len(found) == 1)
    waits = []
    for n in range(1, 11):
        appended: list[float] = []
        timer = threading.Timer(0.1, lambda n=n, appended=appended: (log.append([record(n)]), appended.append(time.monotonic())))
        timer.start()
        assert take(reader, bool)
        woke = time.monotonic()
        timer.join()
        waits.append(woke - appended[0])
    reader.close()
    assert sorted(waits)[5] < 0.05, waits


def test_a_reader_returns_empty_when_its_time_is_up(log: EventLog) -> None:
    reader = log.reader("waits", lambda _: -1)
    began = time.monotonic()
    assert reader.poll(0.3, 10) == []
    assert 0.25 < time.monotonic() - began < 3
    reader.close()


def test_many_appenders_at_once_lose_nothing_and_keep_the_order_of_each(log: EventLog) -> None:
    def appends(who: int) -> list[Place]:
        return [place for n in range(0, 50, 5) for place in log.append([record(n + i, key=f"woman-{who}") for i in range(5)])]

    with ThreadPoolExecutor(8) as pool:
        places = [place for found in pool.map(appends, range(8)) for place in found]
    found = everything(log)
    assert {s.place for s in found} == set(places) and len(places) == 400
    assert all(numbers == list(range(50)) for numbers in by_key(found).values())


def test_what_was_appended_is_there_after_opening_again(store: Store) -> None:
    first = store.open()
    given = [record(n) for n in range(3)]
    first.append(given)
    first.close()
    again = store.open()
    assert [s.record for s in everything(again)] == given
    more = record(3)
    [place] = again.append([more])
    assert again.get(place) == more
    assert [s.record for s in everything(again)] == [*given, more]


def test_one_process_reads_what_another_appends(store: Store) -> None:
    reading, writing = store.open(), store.open()
    reader = Follower(reading, "other")
    reader.poll(0.5, 10)
    writing.append([record(1)])
    assert [number_of(s) for s in take(reader, bool, timeout_s=5)] == [1]
    reader.close()


@pytest.mark.parametrize(("batch", "kill_after"), [(1, 1), (1, 40), (20, 15)])
def test_nothing_acknowledged_is_lost_when_the_process_is_killed_at_once(store: Store, batch: int, kill_after: int) -> None:
    store.open()  # makes the tables
    command = [sys.executable, "-m", "tests.log.appender", store.kind, store.name, str(batch)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(kill_after)]
        process.kill()
        lines += process.stdout.readlines()
    acknowledged = [record_id for line in lines if line.endswith("\n") for record_id in line.split()]
    assert len(acknowledged) >= batch * kill_after
    stored = [s.record.id for s in everything(store.open())]
    assert set(acknowledged) <= set(stored)
    assert len(stored) == len(set(stored)), "a record appended once is there once"
    assert len(stored) <= len(acknowledged) + batch, "all of the last append or some of it, and no more"


def test_closing_ends_a_waiting_reader_or_leaves_it_its_time(store: Store) -> None:
    log = store.open()
    reader = log.reader("closing", lambda _: -1)
    ended: list[int] = []
    waiter = threading.Thread(target=_poll_once, args=(reader.poll, ended))
    waiter.start()
    log.close()
    waiter.join(10)
    assert ended == [0]
    reader.close()


def _poll_once(poll: Callable[[float, int], list[object]], ended: list[int]) -> None:
    ended.append(len(poll(1, 10)))
