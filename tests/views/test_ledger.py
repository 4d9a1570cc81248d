"""The balance closes, or says by how much it does not."""

from __future__ import annotations

from sqlalchemy import insert

from hub.database import Database
from hub.tables import ledger
from hub.views.ledger import LedgerRow, balance, rows

MONDAY = {
    "source": "hix/00700002", "day": "2026-05-18", "received": 10, "recorded": 6, "unchanged": 2, "ignored": 1, "held": 1, "events": 20,
}
TUESDAY = {**MONDAY, "day": "2026-05-19"}


def given(database: Database, *lines: dict[str, object]) -> None:
    with database.write() as tx:
        tx.execute(insert(ledger), list(lines))


def test_a_mapped_day_closes_and_the_newest_day_comes_first(database: Database) -> None:
    given(database, MONDAY, TUESDAY)
    with database.read() as tx:
        found = rows(tx)
    assert [row.day for row in found] == ["2026-05-19", "2026-05-18"]
    assert [row.difference for row in found] == [0, 0]
    assert balance(found).closes
    assert found[0].to_json() == TUESDAY


def test_what_the_log_counted_and_nobody_mapped_is_the_backlog(database: Database) -> None:
    given(database, MONDAY)
    with database.read() as tx:
        found = rows(tx, {("hix/00700002", "2026-05-18"): 13, ("epic/00700003", "2026-05-18"): 2})
    assert found[0] == LedgerRow("epic/00700003", "2026-05-18", 2, 0, 0, 0, 0, 0)
    assert balance(found, backlog=5).closes
    missing = balance(found, backlog=3)
    assert (missing.waiting, missing.lost, missing.closes) == (5, 2, False)


def test_a_message_that_counts_twice_is_wrong(database: Database) -> None:
    given(database, MONDAY, {**TUESDAY, "recorded": 7})
    with database.read() as tx:
        found = balance(rows(tx))
    assert not found.closes
    assert [row.day for row in found.wrong] == ["2026-05-19"]


def test_one_row_too_many_and_one_too_few_do_not_cancel_out(database: Database) -> None:
    given(database, {**MONDAY, "recorded": 5}, {**TUESDAY, "recorded": 7})
    with database.read() as tx:
        assert not balance(rows(tx)).closes
