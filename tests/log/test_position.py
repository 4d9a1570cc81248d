"""Positions move by compare-and-set, on SQLite and on PostgreSQL alike."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hub.database import Database, open_postgres, open_sqlite
from hub.log.port import START, Cursor
from hub.log.position import LostPosition, advance, load


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """An empty database of each kind."""
    if request.param == "sqlite":
        made = open_sqlite(tmp_path / "hub.db", ["hub"])
    else:
        made = open_postgres(request.getfixturevalue("postgres"))
    yield made
    made.close()


def move(database: Database, before: dict[int, int], after: dict[int, int], reader: str = "plan") -> None:
    """Advance in a transaction of its own."""
    with database.write() as tx:
        advance(tx, reader, Cursor(before), Cursor(after))


def at(database: Database, reader: str = "plan") -> Cursor:
    """Where the reader is."""
    with database.read() as tx:
        return load(tx, reader)


def test_a_reader_that_never_began_is_nowhere(database: Database) -> None:
    assert at(database) == START


def test_a_position_moves_and_partitions_that_are_not_named_stay(database: Database) -> None:
    move(database, {}, {0: 4, 3: 0})
    move(database, {0: 4, 3: 0}, {0: 9})
    assert at(database) == {0: 9, 3: 0}
    move(database, {0: 9}, {0: 9, 1: 2})
    assert at(database) == {0: 9, 1: 2, 3: 0}


def test_readers_do_not_touch_each_other(database: Database) -> None:
    move(database, {}, {0: 4}, reader="plan")
    move(database, {}, {0: 7}, reader="timeline")
    assert at(database, "plan") == {0: 4} and at(database, "timeline") == {0: 7}


@pytest.mark.parametrize("before", [{}, {0: 3}, {0: 5}])
def test_a_reader_that_is_not_where_it_thinks_loses_and_writes_nothing(database: Database, before: dict[int, int]) -> None:
    move(database, {}, {0: 4})
    with pytest.raises(LostPosition):
        move(database, before, {0: 6, 1: 1})
    assert at(database) == {0: 4}


def test_a_reader_whose_position_is_gone_loses(database: Database) -> None:
    with pytest.raises(LostPosition):
        move(database, {0: 4}, {0: 5})


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.integers(0, 11), st.integers(0, 2**62)), st.dictionaries(st.integers(0, 11), st.integers(0, 2**62)))
def test_any_move_from_where_the_reader_is_lands_where_it_says(database: Database, first: dict[int, int], second: dict[int, int]) -> None:
    reader = f"reader-{id(first)}-{len(first)}-{hash(tuple(first.items()))}-{hash(tuple(second.items()))}"
    before = at(database, reader)
    move(database, before, first, reader)
    move(database, at(database, reader), second, reader)
    assert at(database, reader) == {**before, **first, **second}


def test_of_two_that_move_at_once_exactly_one_wins(database: Database) -> None:
    move(database, {}, {0: 0})
    for step in range(10):
        won: list[int] = []
        together = threading.Barrier(2)
        racers = [threading.Thread(target=_race, args=(database, step, racer, together, won)) for racer in (1, 2)]
        for racer in racers:
            racer.start()
        for racer in racers:
            racer.join()
        assert len(won) == 1, step
        assert at(database) == {0: step + 1}


def _race(database: Database, step: int, racer: int, together: threading.Barrier, won: list[int]) -> None:
    together.wait()
    try:
        move(database, {0: step}, {0: step + 1})
    except LostPosition:
        return
    won.append(racer)


def test_of_two_that_begin_at_once_exactly_one_wins(database: Database) -> None:
    won: list[int] = []
    together = threading.Barrier(2)

    def begin(racer: int) -> None:
        together.wait()
        try:
            move(database, {}, {0: 1})
        except LostPosition:
            return
        won.append(racer)

    racers = [threading.Thread(target=begin, args=(racer,)) for racer in (1, 2)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()
    assert len(won) == 1
