"""Each source has an age, and one that is silent for a day is called silent."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy import insert

from hub.database import Database
from hub.tables import freshness
from hub.views.freshness import sources

NOW = datetime(2026, 5, 20, 12, tzinfo=UTC)


def given(database: Database, source: str, age: timedelta) -> None:
    at = (NOW - age).isoformat().replace("+00:00", "Z")
    with database.write() as tx:
        tx.execute(insert(freshness).values(source=source, connector=source.partition("/")[0], received_at=at, mapped_at=at))


def test_a_source_is_silent_after_a_day(database: Database) -> None:
    given(database, "hix/00700002", timedelta(hours=24))
    given(database, "epic/00700003", timedelta(hours=24, seconds=1))
    with database.read() as tx:
        found = {row.source: (row.age_s, row.silent) for row in sources(tx, NOW)}
    assert found == {"hix/00700002": (86_400, False), "epic/00700003": (86_401, True)}


def test_a_registered_source_that_never_sent_is_there_too(database: Database) -> None:
    with database.read() as tx:
        [never] = sources(tx, NOW, ["practice/00700001"])
    assert (never.connector, never.received_at, never.age_s, never.silent) == ("practice", "", None, True)


def test_a_clock_that_stepped_back_gives_no_negative_age(database: Database) -> None:
    given(database, "hix/00700002", timedelta(hours=-1))
    with database.read() as tx:
        assert sources(tx, NOW)[0].age_s == 0
