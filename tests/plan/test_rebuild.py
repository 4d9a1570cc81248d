"""A rebuild gives the same bytes as the running view, says where it does not, and switches without losing what comes in meanwhile."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from sqlalchemy import delete, insert, select

from fhir_profiles.errors import Conflict
from fhir_profiles.identifiers import digest
from hub.log.envelope import Envelope
from hub.plan import rebuild as module
from hub.plan import store
from hub.plan.rebuild import rebuild
from hub.tables import recorded, relation, view
from tests.plan.cases import LOTTE, NOOR, NOW, SAMIRA, Hub, dossier, encounter, observed, opener
from tests.plan.test_project import EVENTS

Either = tuple[Hub, Path | str]


def many(women: int, each: int) -> list[Envelope]:
    return [
        observed("haemoglobin", 5 + n / 10, "mmol/L", effective=f"2026-05-{1 + n % 28:02d}T{n % 24:02d}:00:00Z", message=f"{woman}-{n}",
                 subject=digest("woman", str(woman)))
        for woman in range(women) for n in range(each)
    ]


def test_a_rebuild_equals_the_running_view_and_takes_its_place(either: Either) -> None:
    hub, where = either
    hub.given(*EVENTS, *many(7, 90))
    before, related = hub.rows(), hub.relations()
    report = rebuild(opener(where), processes=2)
    assert (report.equal, report.differences, report.erased) == (True, (), 0)
    assert report.views == len(before)
    assert report.events == sum(key[3] for key in before)
    assert hub.rows() == before
    assert hub.relations() == related
    with hub.database.read() as tx:
        assert set(tx.execute(select(view.c.generation).distinct()).scalars()) == {store.generation_seen(tx)} == {2}
        assert set(tx.execute(select(relation.c.generation).distinct()).scalars()) == {2}


def test_a_check_changes_nothing_and_counts_women(hub: Hub, tmp_path: Path) -> None:
    hub.given(*EVENTS)
    seen: list[tuple[int, int]] = []
    before = hub.rows()
    report = rebuild(opener(tmp_path), processes=1, check=True, progress=lambda done, every: seen.append((done, every)))
    assert report.equal
    assert seen[-1] == (3, 3)
    assert hub.rows() == before
    with hub.database.read() as tx:
        assert store.generation_seen(tx) == 1


def test_every_kind_of_difference_is_told_without_telling_who(either: Either) -> None:
    hub, where = either
    hub.given(*EVENTS)
    hub.fold(observed("gravidity", 9, subject="e" * 32))
    with hub.database.write() as tx:
        tx.execute(delete(view).where(view.c.subject == SAMIRA))
        tx.execute(delete(relation))
        tx.execute(view.update().where(view.c.subject == LOTTE).values(etag=b"0" * 16))
        tx.execute(insert(view).values(generation=1, subject=NOOR, episode=NOW, section="history", etag=b"1" * 16, events=1, body=b""))
    report = rebuild(opener(where), processes=1, check=True)
    assert not report.equal
    assert sorted(text.partition("/")[2] for text in report.differences) == [
        "all sections: only in the running view", "history: only in the running view", "measurements: missing in the running view",
        "pregnancy: differs", "treatment relations: differ",
    ]
    assert not any(subject in text for text in report.differences for subject in (NOOR, SAMIRA, LOTTE))


def test_what_is_recorded_during_a_rebuild_is_in_the_new_view(either: Either, monkeypatch: pytest.MonkeyPatch) -> None:
    hub, where = either
    hub.given(*many(3, 40))
    late = [observed("haemoglobin", 9.9, "mmol/L", effective="2026-05-30", subject=digest("woman", "1"), message="late"),
            observed("gravidity", 3, subject="d" * 32), dossier(), encounter(subject=LOTTE)]
    monkeypatch.setattr(module, "_TAIL", 2)

    def while_it_runs(done: int, _: int) -> None:
        hub.given(*late)

    report = rebuild(opener(where), processes=1, progress=while_it_runs)
    assert report.equal
    expected = hub.rows()
    assert {key[0] for key in expected} >= {"d" * 32, LOTTE, NOOR}
    assert len(hub.relations()) == 2
    hub.restart()
    hub.given(observed("gravidity", 4, subject="d" * 32, effective="2026-05-31"))
    after = rebuild(opener(where), processes=1, check=True)
    assert (after.equal, after.differences) == (True, ())


def test_a_hub_that_writes_all_the_while_loses_nothing_by_the_switch(either: Either) -> None:
    hub, where = either
    events = many(4, 60)
    hub.given(*events[:60])
    failures: list[BaseException] = []

    def run() -> None:
        try:
            for at in range(60, len(events), 6):
                hub.given(*events[at:at + 6])
        except BaseException as error:
            failures.append(error)

    writer = threading.Thread(target=run)
    writer.start()
    reports = [rebuild(opener(where), processes=1) for _ in range(3)]
    writer.join()
    assert failures == []
    assert [report.differences for report in reports] == [(), (), ()]
    final = rebuild(opener(where), processes=1, check=True)
    assert (final.equal, final.differences, final.events) == (True, (), 240)


def test_a_record_that_stands_twice_in_the_log_counts_once(hub: Hub, tmp_path: Path) -> None:
    hub.given(*EVENTS)
    hub.record(*EVENTS)
    report = rebuild(opener(tmp_path), processes=1, check=True)
    assert report.equal
    assert report.events == sum(key[3] for key in hub.rows())


def test_a_woman_whose_key_was_destroyed_is_left_out_and_counted(hub: Hub, tmp_path: Path) -> None:
    hub.given(*EVENTS)
    hub.keyring.destroy(NOOR)
    report = rebuild(opener(tmp_path), processes=1)
    assert (report.equal, report.erased) == (True, 1)
    assert NOOR not in {key[0] for key in hub.rows()}


def test_a_second_rebuild_that_comes_too_late_does_not_switch(hub: Hub, tmp_path: Path) -> None:
    hub.given(*EVENTS)
    with pytest.raises(Conflict):
        rebuild(opener(tmp_path), processes=1, progress=lambda *_: _other(tmp_path))
    assert rebuild(opener(tmp_path), processes=1, check=True).equal


def _other(folder: Path) -> None:
    rebuild(opener(folder), processes=1)


def test_an_empty_hub_is_equal(hub: Hub, tmp_path: Path) -> None:
    report = rebuild(opener(tmp_path), processes=1)
    assert (report.views, report.events, report.equal) == (0, 0, True)
    with hub.database.read() as tx:
        assert tx.execute(select(recorded.c.id)).first() is None
