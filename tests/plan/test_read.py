"""What the door is given: named sections of one pregnancy, and treatment relations that end."""

from __future__ import annotations

from datetime import date

import pytest

from fhir_profiles.errors import Unavailable
from hub.plan.sections import SECTIONS
from tests.plan.cases import EARLIER, HIX, LOTTE, NOOR, NOW, TODAY, Hub, dossier, encounter, observed


def test_only_named_sections_of_the_asked_pregnancy_and_of_none_are_given(either: tuple[Hub, object]) -> None:
    hub, _ = either
    hub.fold(observed("haemoglobin", 6.6, "mmol/L"), observed("gravidity", 2), observed("body-height", 170, "cm", episode=""),
             observed("haemoglobin", 6.0, "mmol/L", episode=EARLIER), observed("haemoglobin", 5.9, "mmol/L", subject=LOTTE))
    assert set(hub.reader.sections(NOOR, NOW, {"measurements"})) == {(NOW, "measurements"), ("", "measurements")}
    assert set(hub.reader.sections(NOOR, NOW, SECTIONS)) == {(NOW, "measurements"), ("", "measurements"), (NOW, "pregnancy")}
    assert hub.reader.sections("f" * 32, NOW, SECTIONS) == {}
    assert set(hub.reader.sections(NOOR, "", SECTIONS)) == {("", "measurements")}


def test_the_present_pregnancy_comes_first(either: tuple[Hub, object]) -> None:
    hub, _ = either
    hub.fold(dossier(episode=EARLIER, status="finished", start="2023-01-01", end="2023-10-01", identity="old"), dossier())
    assert hub.reader.episodes(NOOR) == [NOW, EARLIER]
    assert hub.reader.episodes(LOTTE) == []


def test_a_relation_counts_for_six_weeks_after_its_end(either: tuple[Hub, object]) -> None:
    hub, _ = either
    hub.fold(dossier(status="finished", end="2026-05-01"))
    assert hub.reader.relation(None, NOOR, NOW, "00700001", date(2026, 6, 12)) == ("dossier", "2026-03-01/2026-05-01")
    assert hub.reader.relation(None, NOOR, NOW, "00700001", date(2026, 6, 13)) == ("none", "")
    assert hub.reader.clients("00700001", date(2026, 6, 12)) == [(NOOR, NOW)]
    assert hub.reader.clients("00700001", date(2026, 6, 13)) == []


def test_a_relation_with_one_pregnancy_does_not_open_another(hub: Hub) -> None:
    hub.fold(dossier(episode=EARLIER, identity="old"), dossier(source=HIX, ura="00700002"))
    assert hub.reader.relation(None, NOOR, NOW, "00700001", TODAY) == ("none", "")
    assert hub.reader.relation(None, NOOR, NOW, "", TODAY) == ("none", "")
    assert hub.reader.relation(None, LOTTE, NOW, "00700002", TODAY) == ("none", "")


def test_a_stay_that_names_no_pregnancy_counts_for_the_one_that_runs(hub: Hub) -> None:
    old = dossier(episode=EARLIER, status="finished", start="2023-01-01", end="2023-10-01", identity="old")
    hub.fold(encounter(episode=""), dossier(), old)
    assert hub.reader.relation(None, NOOR, NOW, "00700002", TODAY) == ("encounter", "2026-05-10/")
    assert hub.reader.relation(None, NOOR, EARLIER, "00700002", TODAY) == ("none", "")
    assert hub.reader.clients("00700002", TODAY) == [(NOOR, NOW)]


def test_the_version_changes_with_every_change_and_only_then(hub: Hub) -> None:
    hub.fold(observed("haemoglobin", 6.6, "mmol/L"))
    first = hub.reader.version(NOOR)
    hub.fold(observed("haemoglobin", 6.6, "mmol/L"), observed("haemoglobin", 6.6, "mmol/L", subject=LOTTE))
    assert hub.reader.version(NOOR) == first
    hub.fold(observed("haemoglobin", 6.8, "mmol/L", effective="2026-05-02"))
    assert hub.reader.version(NOOR) != first


def test_a_row_cannot_stand_in_for_another(hub: Hub) -> None:
    hub.fold(observed("haemoglobin", 6.6, "mmol/L"), observed("haemoglobin", 5.0, "mmol/L", episode=EARLIER))
    with hub.database.write() as tx:
        tx.exec_driver_sql("UPDATE view SET body = (SELECT body FROM view WHERE episode = ?) WHERE episode = ?", (EARLIER, NOW))
    with pytest.raises(Unavailable):
        hub.reader.sections(NOOR, NOW, {"measurements"})
