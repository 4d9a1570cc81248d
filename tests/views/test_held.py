"""What waits is settled by a person, and the message moves in the balance with its last part."""

from __future__ import annotations

import threading
from typing import Any

import orjson
import pytest
from sqlalchemy import insert

from fhir_profiles.errors import Conflict, Missing
from hub.database import Database
from hub.tables import held, ledger, recorded
from hub.views.held import groups, items, of_message, settle, waiting
from hub.views.ledger import balance, rows

SOURCE, DAY, AT = "hix/00700002", "2026-05-18", "2026-05-20T10:00:00Z"


def part(name: str, message: str = "m1", offset: int = 7) -> dict[str, Any]:
    return {"id": name, "message": message, "partition": 0, "offset": offset, "source": SOURCE, "day": DAY, "connector": "hix",
            "code": "unit-unknown", "reason": "the unit is not known",
            "path": f"OBX[{name}]-6", "at": f"2026-05-18T10:00:0{offset}Z", "state": "waiting"}


def given(database: Database, *parts: dict[str, Any], count: int, made_events: str = "") -> None:
    with database.write() as tx:
        tx.execute(insert(held), list(parts))
        tx.execute(insert(ledger).values(source=SOURCE, day=DAY, received=count, held=count, events=0))
        for place in (made_events, "0-71"):
            attributes = orjson.dumps({"id": "r", "origin": place or "0-70", "mapping": "x"})
            tx.execute(insert(recorded).values(id="r", key="k", attributes=attributes, body=b""))


def balance_of(database: Database) -> tuple[int, int, int]:
    with database.read() as tx:
        found = rows(tx)
        assert balance(found).closes
    return found[0].held, found[0].recorded, found[0].ignored


def end(database: Database, item: str, **more: Any) -> None:
    with database.write() as tx:
        settle(tx, item, "not needed", AT, **more)


def test_a_message_counts_as_held_until_its_last_part_is_settled(database: Database) -> None:
    given(database, part("a"), part("b"), count=1)
    end(database, "a")
    assert balance_of(database) == (1, 0, 0)
    end(database, "b", outcome="settled")
    assert balance_of(database) == (0, 0, 1)
    with database.read() as tx:
        assert waiting(tx) == 0
        assert [item.state for item in of_message(tx, "m1")] == ["dismissed", "settled"]


def test_a_message_that_made_events_becomes_recorded(database: Database) -> None:
    given(database, part("a"), count=1, made_events="0-7")
    end(database, "a")
    assert balance_of(database) == (0, 1, 0)


def test_settling_twice_is_told_and_moves_nothing(database: Database) -> None:
    given(database, part("a"), count=1)
    end(database, "a")
    with pytest.raises(Conflict):
        end(database, "a")
    with pytest.raises(Missing):
        end(database, "z")
    assert balance_of(database) == (0, 0, 1)


def test_two_people_who_settle_the_last_two_parts_at_once_move_the_message_once(database: Database) -> None:
    given(database, part("a"), part("b"), count=1)
    people = [threading.Thread(target=end, args=(database, name)) for name in ("a", "b")]
    for person in people:
        person.start()
    for person in people:
        person.join()
    assert balance_of(database) == (0, 0, 1)


def test_what_waits_is_listed_oldest_first_and_grouped(database: Database) -> None:
    given(database, part("b", "m2", 8), part("a"), count=2)
    with database.read() as tx:
        assert [item.id for item in items(tx)] == ["a", "b"]
        assert [(group.path, group.count) for group in groups(tx)] == [("OBX[a]-6", 1), ("OBX[b]-6", 1)]
        assert items(tx)[0].place == "0-7"
