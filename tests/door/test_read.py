"""The one way to a plan: decide, record, hand over; and when anything is wrong, nothing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import product
from typing import Any

import cedarpy
import pytest

from audit.trail import Trail
from authz.ask import Asker, Role
from authz.consents import Consents
from fhir_profiles.codes import SECTIONS
from fhir_profiles.errors import Forbidden, Invalid, Missing, Unavailable
from fhir_profiles.identifiers import Subject
from hub.database import Database
from hub.door import Content, Looked
from tests.authz.cast import BY_ROLE, EARLIER, LEPELAAR, NOOR, PREGNANCY, SAMIRA, anna, ask, joke, marit, noor, samira, tess
from tests.door.house import House, MemoryContent, MemoryPlans, MemoryRelations


async def test_the_midwife_reads_the_plan_and_her_look_is_recorded(house: House) -> None:
    opened = await house.door.read(ask(marit))

    assert set(opened.sections) == {(episode, name) for episode in (PREGNANCY, "") for name in SECTIONS} and not opened.closed
    entry = house.last().entry
    assert (entry.what.code, entry.what.outcome) == ("plan-read", "success")
    assert (entry.what.reason, entry.what.controls) == ("care-relation", "TTTF")
    assert (entry.who.id, entry.who.name, entry.who.ura, entry.who.network) == ("900000001", "Marit Jansen", LEPELAAR, "192.0.2.7")
    assert (entry.about.subject, entry.about.episode, entry.about.version, entry.about.opened) == (NOOR, PREGNANCY, "v1", SECTIONS)
    assert (entry.about.relation, entry.about.relation_evidence, entry.about.consent) == ("dossier", "evidence-1", "yes")
    assert entry.about.consent_event == house.consents.all_of(NOOR)[LEPELAAR].event
    assert entry.about.policies == ("20-midwife",) and entry.about.release == house.door.policies.release
    assert (house.last().seq, house.last().subject_seq) == (opened.recorded.seq, opened.recorded.subject_seq)


async def test_the_woman_reads_her_own_plan_without_relation_or_consent(house: House) -> None:
    opened = await house.door.read(ask(noor))

    assert len(opened.sections) == 10
    entry = house.last().entry
    assert (entry.who.id, entry.who.name, entry.about.consent, entry.what.controls) == (NOOR, "", "not-applicable", "TFFF")


async def test_a_maternity_nurse_without_relation_is_refused_and_the_woman_can_see_it(house: House) -> None:
    with pytest.raises(Forbidden) as refusal:
        await house.door.read(ask(joke))

    assert refusal.value.code == "no-relation"
    assert refusal.value.public == "Uw organisatie heeft geen behandelrelatie met deze zwangerschap."
    [line] = house.trail.of_subject(NOOR)
    assert (line.entry.who.name, line.entry.what.outcome, line.entry.about.opened) == ("Joke Smit", "refused", ())
    assert dict(line.entry.about.closed) == dict.fromkeys(SECTIONS, "no-relation")


async def test_what_opens_in_part_names_what_stays_shut(house: House) -> None:
    house.relations.rows.append((NOOR, PREGNANCY, joke.ura, "dossier"))
    house.agree(NOOR, joke.ura)

    opened = await house.door.read(ask(joke))

    assert {name for _, name in opened.sections} == {"front", "care-team", "pregnancy"}
    assert opened.closed == {"history": "role-has-no-section", "measurements": "role-has-no-section"}
    assert house.last().entry.about.closed == tuple(opened.closed.items())


@pytest.mark.parametrize(("role", "subject"), list(product(Role, [NOOR, SAMIRA, "e" * 32])))
async def test_every_question_makes_exactly_one_entry_yes_or_no(house: House, role: Role, subject: str) -> None:
    before = len(house.entries())
    allowed = True
    try:
        await house.door.read(ask(BY_ROLE[role], subject))
    except Forbidden:
        allowed = False

    [entry] = [line.entry for line in house.entries()[before:]]
    assert (entry.what.outcome == "success") is allowed and (entry.who.role, entry.about.subject) == (role.value, subject)
    assert bool(entry.about.opened) is allowed


async def test_a_permit_for_this_pregnancy_does_not_open_another(house: House) -> None:
    assert {episode for episode, _ in (await house.door.read(ask(marit))).sections} == {PREGNANCY, ""}
    with pytest.raises(Forbidden) as refusal:
        await house.door.read(ask(marit, episode=EARLIER))
    assert refusal.value.code == "no-relation" and house.last().entry.about.episode == EARLIER


async def test_a_withdrawal_counts_for_the_very_next_question(house: House) -> None:
    async def look() -> str:
        try:
            await house.door.read(ask(marit))
        except Forbidden as refusal:
            return refusal.code
        return "opened"

    assert set(await asyncio.gather(*[look() for _ in range(20)])) == {"opened"}
    house.consents.withdraw(Subject(NOOR), LEPELAAR, "noor", "app")
    assert set(await asyncio.gather(*[look() for _ in range(200)])) == {"no-consent"}
    assert (await house.door.read(ask(anna))).sections, "the hospital keeps her yes"


def raising(error: Exception) -> Callable[..., Any]:
    def fail(*_: object, **__: object) -> object:
        raise error

    return fail


def unreadable(house: House, error: Exception) -> MemoryPlans:
    """Plans whose facts can be learned, and whose contents do not open."""
    content = type("Broken", (MemoryContent,), {"sections": raising(error)})
    return type("Broken", (MemoryPlans,), {"content": lambda _, subject: content(subject)})(house.relations, house.consents)


@pytest.mark.parametrize(("part", "name"), [(MemoryRelations, "of"), (Consents, "of"), (MemoryPlans, "look")])
@pytest.mark.parametrize("error", [OSError("away"), Unavailable("away")])
async def test_facts_that_cannot_be_learned_close_the_door_and_are_recorded(
    house: House, monkeypatch: pytest.MonkeyPatch, part: type, name: str, error: Exception,
) -> None:
    monkeypatch.setattr(part, name, raising(error))
    with pytest.raises(Forbidden) as refusal:
        await house.door.read(ask(marit))

    assert refusal.value.code == "facts-unknown"
    [line] = house.entries()
    assert (line.entry.what.outcome, line.entry.about.relation, line.entry.about.consent) == ("error", "not-known", "not-known")


async def test_an_engine_that_fails_closes_the_door_and_is_recorded(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cedarpy, "is_authorized_batch", lambda *_: (_ for _ in ()).throw(RuntimeError("boom")))
    with pytest.raises(Forbidden) as refusal:
        await house.door.read(ask(noor))
    assert refusal.value.code == "engine-error" and house.last().entry.what.outcome == "error"


@pytest.mark.parametrize("asker", [noor, marit, joke])
@pytest.mark.parametrize("pooled", [False, True])
async def test_no_record_no_data(house: House, asker: Asker, pooled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    with ThreadPoolExecutor(1) as pool:
        door = house.with_(pool=pool if pooled else None)
        with monkeypatch.context() as broken_disk:
            write = Database.write
            broken_disk.setattr(Database, "write", lambda self: fail() if self is house.audit else write(self))
            with pytest.raises(Unavailable) as away:
                await door.read(ask(asker))
            assert away.value.status == 503
    assert house.entries() == []


def fail() -> None:
    raise OSError("disk full")


async def test_a_full_queue_of_the_trail_is_no_record_and_so_no_data(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Trail, "begin", lambda *_: (_ for _ in ()).throw(Unavailable("full", code="backlog-full")))
    with pytest.raises(Unavailable):
        await house.door.read(ask(noor))


async def test_nothing_is_handed_over_before_the_entry_is_durable(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    write = Trail._write

    def slow(self: Trail, batch: list[object]) -> None:
        time.sleep(0.05)  # long enough that an answer which did not wait would come first
        write(self, batch)  # type: ignore[arg-type]
        order.append("durable")

    monkeypatch.setattr(Trail, "_write", slow)
    house.trail.stop()
    house.trail = Trail(house.audit, house.consents._keyring, house.trail._clock)
    house.trail.start()
    await house.with_(trail=house.trail).read(ask(marit))
    order.append("handed over")
    assert order == ["durable", "handed over"]


@pytest.mark.parametrize("pooled", [False, True])
async def test_a_plan_that_cannot_be_read_is_no_answer_and_the_look_stays_recorded(house: House, pooled: bool) -> None:
    with ThreadPoolExecutor(1) as pool:
        with pytest.raises(Unavailable) as away:
            await house.with_(plans=unreadable(house, OSError("away")), pool=pool if pooled else None).read(ask(marit))
        assert away.value.code == "plan-away"
        with pytest.raises(Missing):
            await house.with_(plans=unreadable(house, Missing("no plan")), pool=pool if pooled else None).read(ask(marit))
    assert len(house.entries()) == 2


async def test_with_a_pool_the_answer_is_the_same(house: House) -> None:
    with ThreadPoolExecutor(2) as pool:
        assert (await house.with_(pool=pool).read(ask(marit))).sections == (await house.door.read(ask(marit))).sections


@pytest.mark.parametrize("changed", [{"subject": "' OR 1=1"}, {"episode": "x y"}, {"subject": "a\x00b"}, {"subject": "a" * 65},
                                     {"sections": ("access-log",)}])
async def test_what_cannot_be_asked_is_refused_before_the_door(house: House, changed: dict[str, str]) -> None:
    with pytest.raises(Invalid):
        await house.door.read(replace(ask(tess), **changed))  # type: ignore[arg-type]
    assert house.entries() == []


async def test_a_reader_who_left_is_recorded_all_the_same(house: House) -> None:
    task = asyncio.create_task(house.door.read(ask(marit)))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    house.trail.stop()
    assert [line.entry.who.id for line in house.entries()] == ["900000001"]


async def test_a_woman_without_a_plan_gets_nothing_and_no_error(house: House) -> None:
    content = type("Empty", (MemoryContent,), {"sections": lambda *_: {}})
    plans = type("Empty", (MemoryPlans,), {"content": lambda _, subject: content(subject)})(house.relations, house.consents)
    opened = await house.with_(plans=plans).read(ask(samira, SAMIRA))
    assert opened.sections == {} and house.last().entry.what.outcome == "success"


async def test_no_body_is_asked_for_where_nothing_opens(house: House) -> None:
    asked: list[bool] = []
    content = type("Lacking", (MemoryContent,), {"lacks": lambda *_: True})

    class Counting(MemoryPlans):
        def look(self, subject: str, episode: str, ura: str, *, whole: bool) -> Looked:
            asked.append(whole)
            return super().look(subject, episode, ura, whole=whole)

        def content(self, subject: str) -> Content:
            return content(subject)

    door = house.with_(plans=Counting(house.relations, house.consents))
    with pytest.raises(Forbidden):
        await door.read(ask(joke))
    assert asked == [False]
    await door.read(ask(marit))
    assert asked == [False, False, True]


async def test_a_withdrawal_between_facts_and_bodies_closes_the_door(house: House) -> None:
    content = type("Lacking", (MemoryContent,), {"lacks": lambda *_: True})

    class Withdrawn(MemoryPlans):
        def look(self, subject: str, episode: str, ura: str, *, whole: bool) -> Looked:
            if whole:
                house.consents.withdraw(Subject(NOOR), LEPELAAR, "noor", "app")
            return super().look(subject, episode, ura, whole=whole)

        def content(self, subject: str) -> Content:
            return content(subject)

    with pytest.raises(Forbidden) as refusal:
        await house.with_(plans=Withdrawn(house.relations, house.consents)).read(ask(marit))
    assert refusal.value.code == "no-consent" and [line.entry.what.outcome for line in house.entries()] == ["refused"]
