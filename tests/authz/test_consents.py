"""Consent: events that stay, and one present answer that counts at once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest
from sqlalchemy import func, select

from authz.consents import Consents
from fhir_profiles.errors import Invalid
from fhir_profiles.identifiers import Subject
from hub.database import Database, open_postgres, open_sqlite
from hub.log.keys import Keyring
from hub.tables import GROUPS, consent, governance
from tests.authz.cast import LEPELAAR, NOOR, RIJNOEVER, SAMIRA

HER = Subject(NOOR)


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    if request.param == "sqlite":
        opened = open_sqlite(tmp_path / "hub.db", tuple(GROUPS))
    else:
        opened = open_postgres(request.getfixturevalue("postgres"))
    yield opened
    opened.close()


@pytest.fixture
def consents(database: Database) -> Consents:
    return Consents(database, Keyring(database, b"k" * 32))


def answer(database: Database, consents: Consents, ura: str = LEPELAAR) -> str:
    return consents.of(NOOR, ura)[0]


def test_who_was_not_asked_has_not_said_yes(database: Database, consents: Consents) -> None:
    assert answer(database, consents) == "unknown"
    assert consents.all_of(NOOR) == {} and consents.history(NOOR) == []


def test_a_yes_counts_at_once_for_that_organisation_and_that_woman_only(database: Database, consents: Consents) -> None:
    event = consents.give(HER, LEPELAAR, "noor", "vinkje 24 november")

    assert consents.of(NOOR, LEPELAAR) == ("yes", event)
    assert consents.of(NOOR, RIJNOEVER) == ("unknown", "") == consents.of(SAMIRA, LEPELAAR)
    with database.read() as tx:
        assert consents.about(LEPELAAR, tx) == {NOOR: ("yes", event)}
    assert consents.all_of(NOOR)[LEPELAAR].decision == "yes"


def test_changes_stay_as_events_and_the_last_one_counts(database: Database, consents: Consents) -> None:
    consents.give(HER, LEPELAAR, "noor", "vinkje")
    consents.withdraw(HER, LEPELAAR, "noor", "telefonisch, 12.04 uur")
    consents.refuse(HER, RIJNOEVER, "noor", "formulier")

    assert answer(database, consents) == answer(database, consents, RIJNOEVER) == "no"
    assert [(event.kind, event.ura) for event in consents.history(NOOR)] == [
        ("consent-given", LEPELAAR), ("consent-withdrawn", LEPELAAR), ("consent-refused", RIJNOEVER)]
    assert consents.history(NOOR)[1].proof == "telefonisch, 12.04 uur"


@pytest.mark.parametrize("field", [0, 1, 2, 3])
def test_consent_without_woman_organisation_writer_or_ground_is_refused(consents: Consents, field: int) -> None:
    said = [NOOR, LEPELAAR, "noor", "vinkje"]
    said[field] = ""
    with pytest.raises(Invalid):
        consents.give(Subject(said[0]), *said[1:])


def test_event_and_answer_are_one_transaction(database: Database, consents: Consents, monkeypatch: pytest.MonkeyPatch) -> None:
    consents.give(HER, LEPELAAR, "noor", "vinkje")
    monkeypatch.setattr("authz.consents.insert", lambda _: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError):
        consents.withdraw(HER, LEPELAAR, "noor", "telefonisch")

    assert answer(database, consents) == "yes" and len(consents.history(NOOR)) == 1


def test_what_stands_in_the_clear_says_nothing_of_who_wrote_it_and_why(database: Database, consents: Consents) -> None:
    consents.give(HER, LEPELAAR, "Noor Verhoeven", "zei zij aan de balie")
    with database.read() as tx:
        [body] = tx.execute(select(governance.c.body)).scalars()
    assert b"balie" not in body and b"Verhoeven" not in body


def test_the_present_answer_is_that_of_the_last_event_however_many_write(database: Database, consents: Consents) -> None:
    consents.give(HER, LEPELAAR, "noor", "vinkje")  # the key is made before the race
    threads = [Thread(target=(consents.give if n % 2 else consents.withdraw), args=(HER, LEPELAAR, "noor", f"{n}")) for n in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    with database.read() as tx:
        last = tx.execute(select(governance.c.id).order_by(governance.c.seq.desc()).limit(1)).scalar_one()
        assert tx.execute(select(consent.c.event)).scalar_one() == last
        assert tx.execute(select(func.count()).select_from(governance)).scalar_one() == 13
