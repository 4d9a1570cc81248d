"""What the door is given: named sections of one pregnancy, and treatment relations that end."""

from __future__ import annotations

import threading
from datetime import date

import pytest

from fhir_profiles.errors import Unavailable
from hub.log.keys import Keyring
from hub.plan.opened import OpenedRows
from hub.plan.project import view_key
from hub.plan.read import PlanReader
from hub.plan.sections import SECTIONS
from tests.plan.cases import EARLIER, HIX, KEK, LOTTE, NOOR, NOW, TODAY, Hub, dossier, encounter, observed

MEASURED = (NOW, "measurements")


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


def test_what_was_opened_before_needs_no_bodies_until_it_changes(either: tuple[Hub, object]) -> None:
    hub, _ = either
    hub.fold(observed("haemoglobin", 6.6, "mmol/L"), observed("gravidity", 2))
    assert hub.reader.see(NOOR)[0].content(NOW).lacks(SECTIONS)
    first = hub.reader.sections(NOOR, NOW, {"measurements"})

    content = hub.reader.see(NOOR)[0].content(NOW)
    assert content.lacks(SECTIONS) and not content.lacks({"measurements"})
    assert content.sections({"measurements"}) == first
    hub.fold(observed("haemoglobin", 6.8, "mmol/L", effective="2026-05-02"))
    assert hub.reader.see(NOOR)[0].content(NOW).lacks({"measurements"})
    assert hub.reader.sections(NOOR, NOW, {"measurements"}) != first


def test_what_was_seen_at_one_moment_stays_of_that_moment(hub: Hub) -> None:
    hub.fold(observed("haemoglobin", 6.6, "mmol/L"), dossier())
    before = hub.reader.sections(NOOR, NOW, SECTIONS)
    seen, _ = hub.reader.see(NOOR)
    version = seen.version()
    hub.fold(observed("haemoglobin", 6.8, "mmol/L", effective="2026-05-02"), dossier(status="finished", end="2026-05-03", version="2026-05-03T10:00:00Z"))
    hub.reader.sections(NOOR, NOW, SECTIONS)

    assert seen.content(NOW).lacks(SECTIONS) or seen.content(NOW).sections(SECTIONS) == before
    assert seen.version() == version != hub.reader.version(NOOR)
    assert [r.until for r in seen.relations] == [""] and [r.until for r in hub.reader.see(NOOR)[0].relations] == ["2026-05-03"]


def test_a_reader_never_meets_half_of_a_change(either: tuple[Hub, object]) -> None:
    """Each change adds a fact to two sections, in one transaction; whoever reads meanwhile sees both or none."""
    hub, _ = either
    stop = threading.Event()

    def change() -> None:
        for number in range(40):
            day = f"2026-04-{number % 28 + 1:02d}T{number // 28:02d}"
            hub.fold(observed("haemoglobin", 6 + number / 100, "mmol/L", effective=day), observed("gravidity", number, effective=day))
        stop.set()

    writer = threading.Thread(target=change)
    writer.start()
    seen = set()
    while not stop.is_set() or len(seen) < 2:
        for whole in (False, True):
            content = hub.reader.see(NOOR, whole=whole)[0].content(NOW)
            if not content.lacks(SECTIONS):
                states = content.sections(SECTIONS)
                counts = [states.get((NOW, name), b"").count(b"test@1") for name in ("measurements", "pregnancy")]
                assert counts[0] == counts[1]
                seen.add(counts[0])
    writer.join()


@pytest.mark.parametrize("elsewhere", [False, True])
def test_what_was_erased_is_not_given_from_memory(either: tuple[Hub, object], elsewhere: bool) -> None:
    hub, _ = either
    hub.fold(observed("haemoglobin", 6.6, "mmol/L"))
    assert b"6.6" in hub.reader.sections(NOOR, NOW, SECTIONS)[MEASURED]
    (Keyring(hub.keys, KEK) if elsewhere else hub.keyring).destroy(NOOR)

    content = hub.reader.see(NOOR)[0].content(NOW)
    assert not content.lacks(SECTIONS) and content.sections(SECTIONS) == {MEASURED: b"[]"}
    assert hub.reader.sections(NOOR, NOW, SECTIONS) == {MEASURED: b"[]"}


def test_a_key_made_anew_brings_nothing_back_from_memory(either: tuple[Hub, object]) -> None:
    hub, _ = either
    hub.fold(observed("haemoglobin", 6.6, "mmol/L"))
    hub.reader.sections(NOOR, NOW, SECTIONS)
    elsewhere = Keyring(hub.keys, KEK)
    elsewhere.destroy(NOOR)
    elsewhere.ensure([view_key(NOOR)])

    assert hub.reader.see(NOOR)[0].content(NOW).lacks(SECTIONS), "opened under the key that is gone"
    with pytest.raises(Unavailable):
        hub.reader.sections(NOOR, NOW, SECTIONS)
    assert hub.reader.opened.size() == 0


def test_memory_is_bounded_and_the_one_read_longest_ago_goes_first(hub: Hub) -> None:
    hub.fold(observed("haemoglobin", 6.6, "mmol/L"), observed("haemoglobin", 6.5, "mmol/L", subject=LOTTE))
    hub.reader.sections(NOOR, NOW, SECTIONS)
    limit = hub.reader.opened.size() * 3 // 2
    reader = PlanReader(hub.database, hub.keyring, remember=limit)
    for subject in (NOOR, LOTTE, NOOR):
        reader.sections(subject, NOW, SECTIONS)
        assert 0 < reader.opened.size() <= limit
        assert not reader.see(subject)[0].content(NOW).lacks(SECTIONS)
    assert reader.see(LOTTE)[0].content(NOW).lacks(SECTIONS)


def test_rows_in_memory_are_told_apart_by_woman_pregnancy_leaf_and_version() -> None:
    rows = OpenedRows(10_000)
    key = (NOW, "measurements")
    rows.keep(NOOR, b"key", key, b"1", b"old")
    rows.keep(NOOR, b"key", key, b"2", b"newer")
    size = rows.size()
    rows.keep(NOOR, b"key", key, b"2", b"newer")
    assert rows.size() == size
    assert rows.of(NOOR, b"key", {key: b"2"}) == {key: b"newer"} and rows.of(NOOR, b"key", {key: b"1"}) == {}
    assert rows.of(LOTTE, b"key", {key: b"2"}) == {} == rows.of(NOOR, b"key", {(EARLIER, "measurements"): b"2"})
    assert rows.of(NOOR, b"other", {key: b"2"}) == {} and rows.size() == 0
