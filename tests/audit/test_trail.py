"""The trail: durable, append-only, numbered for each woman without holes, sealed, and found again."""

from __future__ import annotations

import asyncio
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import delete, select, update
from sqlalchemy.exc import DatabaseError

from audit.check import check
from audit.entry import LOG_SEARCH
from audit.protect import protect
from audit.trail import Filter, Trail
from fhir_profiles.errors import Unavailable
from hub.database import Database, open_postgres, open_sqlite
from hub.log.keys import Keyring
from hub.tables import GROUPS, audit_entry, audit_head
from tests.audit.conftest import KEK
from tests.audit.lines import NOOR, SAMIRA, entry, now


def unprotected(tmp_path: Path) -> tuple[Database, Trail]:
    database = open_sqlite(tmp_path / "bare.db", tuple(GROUPS))
    return database, Trail(database, Keyring(database, KEK), now)


async def test_fifty_readers_at_once_leave_no_hole_in_a_womans_numbers(trail: Trail, database: Database) -> None:
    async def reader(n: int) -> list[int]:
        return [(await trail.record(entry(NOOR if n % 2 else SAMIRA))).subject_seq for _ in range(8)]

    numbers = await asyncio.gather(*[reader(n) for n in range(50)])

    assert sorted(seq for n, own in enumerate(numbers) if n % 2 for seq in own) == list(range(1, 201))
    assert [line.subject_seq for line in trail.of_subject(NOOR, 500)] == list(range(200, 0, -1))
    assert all(own == sorted(own) for own in numbers)
    assert check(database, trail).whole and check(database, trail).entries == 400


async def test_an_entry_is_in_the_database_when_record_returns(trail: Trail, database: Database) -> None:
    recorded = await trail.record(entry())

    with database.engine.connect() as other:
        row = other.execute(select(audit_entry.c.seq, audit_entry.c.subject_seq)).one()
    assert (row.seq, row.subject_seq) == (recorded.seq, recorded.subject_seq) == (row.seq, 1)


async def test_each_entry_gets_its_own_numbers_back(trail: Trail) -> None:
    entries = [entry(NOOR if n % 3 else SAMIRA) for n in range(60)]

    recorded = await trail.record_all(entries)

    lines = {line.entry.id: line for line in trail.search(Filter(), 100)}
    assert [(one.id, one.seq, one.subject_seq) for one in recorded] == [
        (made.id, lines[made.id].seq, lines[made.id].subject_seq) for made in entries]
    assert all(lines[made.id].entry == made for made in entries)


def test_a_caller_without_an_event_loop_can_record(trail: Trail) -> None:
    assert [trail.record_now(entry()).subject_seq for _ in range(3)] == [1, 2, 3]


def write_some(url: str, n: int) -> list[int]:
    database = open_postgres(url) if url.startswith("postgresql") else open_sqlite(Path(url), tuple(GROUPS))
    trail = Trail(database, Keyring(database, KEK), now)
    return [trail.record_now(entry(NOOR if k % 2 else SAMIRA)).subject_seq for k in range(n)]


@pytest.mark.parametrize("store", ["sqlite", "postgres"])
def test_several_processes_number_one_womans_entries_without_holes(store: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    url = str(tmp_path / "audit.db") if store == "sqlite" else request.getfixturevalue("postgres")
    database = open_sqlite(Path(url), tuple(GROUPS)) if store == "sqlite" else open_postgres(url)
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as processes:
        written = list(processes.map(write_some, [url] * 2, [20] * 2))

    trail = Trail(database, Keyring(database, KEK), now)
    assert sorted(seq for own in written for seq in own) == sorted([*range(1, 21)] * 2)
    assert check(database, trail).whole and len(trail.of_subject(NOOR, 100)) == 20
    database.close()


@pytest.mark.parametrize("change", [
    update(audit_entry).values(outcome="success"), delete(audit_entry), delete(audit_head), update(audit_head).values(seq=0),
])
def test_the_database_itself_refuses_to_change_or_remove(trail: Trail, database: Database, change: object) -> None:
    trail.record_now(entry())
    protect(database)  # once more: harmless

    with pytest.raises(DatabaseError):
        with database.write() as tx:
            tx.execute(change)  # type: ignore[call-overload]
    assert trail.record_now(entry()).subject_seq == 2


@pytest.mark.parametrize("values", [
    {"at": "2020-01-01T00:00:00.000000+00:00"}, {"outcome": "success"}, {"kind": "plan-export"}, {"ura": "00700009"}, {"actor": "0" * 32},
    {"subject_seq": 9}, {"body": b"\x01" + bytes(60)},
])
def test_a_changed_column_or_body_is_found(tmp_path: Path, values: dict[str, object]) -> None:
    database, trail = unprotected(tmp_path)
    trail.record_now(entry(what__outcome="refused"))
    assert check(database, trail).whole
    with database.write() as tx:
        tx.execute(update(audit_entry).values(**values))

    assert check(database, trail).changed == 1 and not check(database, trail).whole
    with pytest.raises(Unavailable):
        trail.search(Filter())


@pytest.mark.parametrize("gone", [1, 2, 3])
def test_a_removed_entry_is_found_also_the_last(tmp_path: Path, gone: int) -> None:
    database, trail = unprotected(tmp_path)
    for _ in range(3):
        trail.record_now(entry())
    with database.write() as tx:
        tx.execute(delete(audit_entry).where(audit_entry.c.subject_seq == gone))

    assert check(database, trail).subjects_with_holes == 1


def test_entries_of_a_woman_without_a_head_are_found(tmp_path: Path) -> None:
    database, trail = unprotected(tmp_path)
    trail.record_now(entry())
    with database.write() as tx:
        tx.execute(delete(audit_head))

    assert check(database, trail).subjects_with_holes == 1


def test_an_erased_womans_lines_are_left_out_and_the_others_stay(trail: Trail, database: Database) -> None:
    trail.record_now(entry(SAMIRA))
    for _ in range(5):
        trail.record_now(entry(NOOR))
    keyring = Keyring(database, KEK)
    keyring.destroy(f"audit/{NOOR}")
    after = Trail(database, keyring, now)

    assert [line.entry.about.subject for line in after.search(Filter(), 2)] == [SAMIRA]
    assert (check(database, after).erased, check(database, after).whole) == (5, True)


def test_nothing_of_a_person_stands_in_the_clear(trail: Trail, database: Database) -> None:
    trail.record_now(entry(about__query="geheim"))
    with database.read() as tx:
        row = tx.execute(select(audit_entry)).one()
    clear = " ".join(str(value) for value in row)
    for word in ("Marit", "900000001", "geheim", "192.0.2.7", "front"):
        assert word not in clear and word.encode() not in row.body


async def test_when_the_store_is_away_recording_says_so_and_later_goes_on(trail: Trail, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(Database, "write", lambda _: (_ for _ in ()).throw(OSError("disk full")))
        with pytest.raises(Unavailable):
            await trail.record(entry())
        with pytest.raises(Unavailable):
            trail.record_now(entry())

    assert (await trail.record(entry())).subject_seq == 1


async def test_an_entry_that_cannot_be_written_fails_alone(trail: Trail) -> None:
    good = trail.begin(entry())
    with pytest.raises(TypeError):
        trail.begin(entry(about__query="\ud800"))

    assert (await good).subject_seq == 1


async def test_a_trail_that_stopped_takes_nothing_more(trail: Trail) -> None:
    await trail.record(entry())
    trail.stop()
    with pytest.raises(Unavailable):
        await trail.record(entry())


def test_an_auditor_finds_by_person_name_organisation_outcome_kind_woman_and_time(database: Database) -> None:
    hour = iter(datetime(2026, 11, 24, tzinfo=UTC) + timedelta(hours=n) for n in range(10))
    trail = Trail(database, Keyring(database, KEK), lambda: next(hour))
    made = [entry(NOOR), entry(SAMIRA, who__id="900000002", who__name="Anna de Wit", who__ura="00700002"),
            entry(NOOR, what__outcome="refused"), entry(NOOR, what__outcome="error"),
            entry("", what__code=LOG_SEARCH, what__action="E", about__query="all", who__id="tess", who__ura="", who__role="auditor",
                  who__name="")]
    seqs = [trail.record_now(one).seq for one in made]

    def found(**wanted: str) -> list[int]:
        return [seqs.index(line.seq) for line in trail.search(Filter(**wanted))]

    assert found() == [4, 3, 2, 1, 0]
    assert found(who="900000002") == found(name="ANNA") == found(ura="00700002") == found(subject=SAMIRA) == [1]
    assert found(outcome="refused") == [2] and found(outcome="closed") == [3, 2] and found(kind=LOG_SEARCH) == [4]
    assert found(since="2026-11-24T01:00:00Z", until="2026-11-24T03:00:00Z") == [2, 1]
    assert found(subject=NOOR, name="marit", outcome="success") == [0] and found(who="nobody") == []


@pytest.mark.parametrize("wanted", [Filter(), Filter(name="marit")])
def test_pages_meet_without_gap_or_repeat(trail: Trail, wanted: Filter) -> None:
    seqs = [trail.record_now(entry()).seq for _ in range(7)]

    found: list[int] = []
    while page := trail.search(wanted, 3, found[-1] if found else 0):
        found += [line.seq for line in page]
    assert found == seqs[::-1]
    assert [line.seq for line in trail.walk(wanted, below=seqs[4], page=2)] == seqs[3::-1]


def test_a_womans_pages_follow_her_own_numbers(trail: Trail) -> None:
    for n in range(6):
        trail.record_now(entry(NOOR if n % 2 else SAMIRA))

    assert [line.subject_seq for line in trail.of_subject(NOOR, 2)] == [3, 2]
    assert [line.subject_seq for line in trail.of_subject(NOOR, 2, after=2)] == [1]
