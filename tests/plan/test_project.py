"""The projector: any order, repeats, batches and restarts give the same rows; treatment relations follow the newest versions."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.log.envelope import LINKED, Envelope
from hub.plan import state, store
from hub.plan.project import Changed
from tests.plan.cases import EARLIER, HIX, LOTTE, NOOR, NOW, SAMIRA, Hub, dossier, encounter, event, observed, sqlite_hub

EVENTS = [
    *(observed("haemoglobin", 6 + n / 10, "mmol/L", effective=f"2026-04-{n:02d}", message=f"lab-{n}") for n in range(1, 12)),
    observed("haemoglobin", 7.2, "mmol/L", effective="2026-04-01", version="2026-05-02T00:00:00Z"),
    observed("haemoglobin", None, effective="2026-04-02", version="2026-05-03T00:00:00Z", withdrawn=True),
    observed("body-weight", 70.5, "kg", subject=SAMIRA, episode=""),
    observed("gravidity", 2, subject=LOTTE),
    dossier(), dossier(status="finished", end="2026-05-20", version="2026-05-20T00:00:00Z"),
    dossier(source=HIX, ura="00700002", episode=EARLIER, status="finished", end="2024-01-01"),
    encounter(), encounter(status="finished", end="2026-05-12", version="2026-05-12T00:00:00Z"),
    event("patient", {"resourceType": "Patient", "name": [{"text": "Noor"}]}, identity="self", episode=""),
]


def built(batches: list[list[Envelope]], restart_after: set[int]) -> tuple[object, object]:
    with tempfile.TemporaryDirectory() as folder:
        hub = sqlite_hub(Path(folder))
        try:
            for number, batch in enumerate(batches):
                hub.fold(*batch)
                if number in restart_after:
                    hub.restart()
            return hub.rows(), hub.relations()
        finally:
            hub.close()


STRAIGHT = built([EVENTS], set())


@settings(max_examples=25, deadline=None)
@given(st.permutations(EVENTS), st.lists(st.sampled_from(EVENTS), max_size=10), st.integers(1, 8), st.sets(st.integers(0, 30)))
def test_order_repeats_batches_and_restarts_do_not_change_a_row_or_relation(
    shuffled: list[Envelope], repeats: list[Envelope], size: int, restarts: set[int],
) -> None:
    events = shuffled + repeats
    batches = [events[at:at + size] for at in range(0, len(events), size)]
    assert built(batches, restarts) == STRAIGHT


def test_a_repeat_changes_nothing_and_says_so(hub: Hub) -> None:
    assert hub.fold(EVENTS[0]) == {Changed(NOOR, NOW, "measurements")}
    assert hub.fold(EVENTS[0]) == set()
    hub.restart()
    assert hub.fold(EVENTS[0]) == set()


def test_a_rolled_back_batch_leaves_nothing_once_it_is_forgotten(hub: Hub) -> None:
    hub.fold(EVENTS[0])
    before = hub.rows()
    with pytest.raises(RuntimeError):
        apply_and_stop(hub)
    hub.projector.forget()
    assert hub.rows() == before
    assert hub.fold(EVENTS[0]) == set()
    assert len(hub.fold(*EVENTS)) == 7
    assert hub.rows() == STRAIGHT[0]


def apply_and_stop(hub: Hub) -> None:
    with hub.database.write() as tx:
        hub.projector.apply(tx, store.generation(tx), EVENTS)
        raise RuntimeError("the machine stops here")


def test_a_large_section_is_kept_in_leaves_and_read_as_one(hub: Hub) -> None:
    times = [f"2026-01-01T{n // 60:02d}:{n % 60:02d}:00Z" for n in range(300)]
    many = [observed("haemoglobin", n, "mmol/L", effective=at, message=f"m{n}") for n, at in enumerate(times)]
    for at in range(0, 300, 30):
        hub.fold(*many[at:at + 30])
        hub.restart()
    leaves = [key[2] for key in hub.rows()]
    assert len(leaves) > 4
    assert all(leaf.startswith("measurements/") for leaf in leaves)
    assert all(key[3] <= state.LEAF for key in hub.rows())
    body = hub.reader.sections(NOOR, NOW, {"measurements"})[NOW, "measurements"]
    assert {version.event for version in state.versions(body)} == {event.id for event in many}


def heard(count: int) -> list[Envelope]:
    """A result a minute, each in a message of its own."""
    times = [f"2026-01-01T{n // 60:02d}:{n % 60:02d}:00.000Z" for n in range(count)]
    return [observed("haemoglobin", n, "mmol/L", effective=at, message=f"m{n}", heard=at) for n, at in enumerate(times)]


def test_a_later_message_touches_the_newest_leaf_and_no_other(hub: Hub) -> None:
    many = heard(310)
    hub.fold(*many[:300])
    before = hub.rows()
    hub.restart()
    hub.fold(*many[300:])
    kept = before.items() & hub.rows().items()
    assert len(before) > 4
    assert len(before) - len(kept) <= 1
    assert max(key[2] for key in before if (key, before[key]) in kept) < max(key[2] for key in hub.rows())


def test_a_batch_repeated_after_a_crash_changes_no_row_of_any_leaf(hub: Hub) -> None:
    many = heard(200)
    hub.fold(*many)
    before = hub.rows()
    hub.restart()
    assert hub.fold(*many[60:180]) == set()
    assert hub.rows() == before


def test_a_small_cache_gives_the_same_rows(hub: Hub, tmp_path: Path) -> None:
    hub.fold(*EVENTS)
    small = sqlite_hub(tmp_path / "small")
    small.projector._limit = 3
    for one in EVENTS:
        small.fold(one)
    assert small.rows() == hub.rows()
    assert small.projector._held <= 30
    small.close()


def test_events_of_unknown_sections_and_links_change_nothing(hub: Hub) -> None:
    link = dossier()
    linked = Envelope(**{**{name: getattr(link, name) for name in link.__slots__}, "type": LINKED, "id": "0" * 32})
    assert hub.fold(linked, observed("haemoglobin", 6.6, "mmol/L", section="later-invented")) == set()
    assert hub.rows() == {}


def test_rows_tell_nothing_without_the_key(hub: Hub) -> None:
    hub.fold(*EVENTS)
    with hub.database.read() as tx:
        stored = tx.exec_driver_sql("SELECT body, etag FROM view").fetchall()
    assert stored
    for body, etag in stored:
        assert b"haemoglobin" not in bytes(body)
        assert len(bytes(etag)) == 16


def test_a_dossier_gives_a_relation_and_its_end_ends_it(hub: Hub) -> None:
    hub.fold(dossier())
    assert hub.relations() == [(NOOR, NOW, "00700001", "dossier", "2026-03-01", "")]
    hub.fold(dossier(status="finished", end="2026-05-20", version="2026-05-20T00:00:00Z"))
    assert hub.relations() == [(NOOR, NOW, "00700001", "dossier", "2026-03-01", "2026-05-20")]


def test_an_encounter_gives_a_relation_and_a_withdrawn_one_none(hub: Hub) -> None:
    hub.fold(encounter())
    assert hub.relations() == [(NOOR, NOW, "00700002", "encounter", "2026-05-10", "")]
    hub.fold(encounter(withdrawn=True, version="2026-05-11T00:00:00Z"))
    assert hub.relations() == []


def test_a_dossier_that_names_no_organisation_speaks_for_its_sender(hub: Hub) -> None:
    hub.fold(dossier(ura=""))
    assert [row[2] for row in hub.relations()] == ["00700001"]


def test_an_organisation_that_cannot_be_known_gives_no_relation_until_it_is(hub: Hub) -> None:
    resource = {"resourceType": "EpisodeOfCare", "status": "active", "period": {"start": "2026-03-01"},
                "managingOrganization": {"reference": "Organization/abc"}}
    hub.fold(event("dossier", resource, identity="dossier"))
    assert hub.relations() == []
    identifier = [{"system": "http://fhir.nl/fhir/NamingSystem/ura", "value": "00700003"}]
    hub.fold(event("organization", {"resourceType": "Organization", "identifier": identifier, "id": "abc"}, identity="org", episode=""))
    assert [row[2] for row in hub.relations()] == ["00700003"]


def test_what_runs_goes_before_what_is_over(hub: Hub) -> None:
    hub.fold(dossier(status="finished", end="2026-04-01"), encounter(ura="00700001"))
    assert hub.relations() == [(NOOR, NOW, "00700001", "encounter", "2026-05-10", "")]


def test_an_erased_woman_begins_anew(hub: Hub) -> None:
    hub.fold(EVENTS[0], observed("gravidity", 1, subject=LOTTE))
    hub.keyring.destroy(NOOR)
    hub.restart()
    assert hub.reader.sections(NOOR, NOW, {"measurements"}) == {(NOW, "measurements"): b"[]"}
    hub.fold(EVENTS[1])
    [only] = state.versions(hub.reader.sections(NOOR, NOW, {"measurements"})[NOW, "measurements"])
    assert only.event == EVENTS[1].id
