"""Who looked: for the woman herself and for the auditor; looking at the list is itself on the list."""

from __future__ import annotations

import pytest

from audit.export import bundle, table
from audit.trail import Filter
from authz.ask import Asker, Role
from fhir_profiles.errors import Forbidden
from tests.authz.cast import BY_ROLE, LEPELAAR, NOOR, SAMIRA, ask, joke, marit, noor, samira, tess
from tests.door.house import House


async def seen(house: House) -> None:
    house.agree(SAMIRA)
    await house.door.read(ask(marit))
    await house.door.read(ask(marit, SAMIRA))
    with pytest.raises(Forbidden):
        await house.door.read(ask(joke))


async def test_the_woman_sees_who_looked_and_who_was_refused_and_nobody_elses_lines(house: House) -> None:
    await seen(house)

    opened = await house.door.trail_of(ask(noor))

    assert [(line.entry.who.name, line.entry.what.outcome) for line in opened.lines] == [
        ("", "success"), ("Joke Smit", "refused"), ("Marit Jansen", "success")]
    assert {line.entry.about.subject for line in opened.lines} == {NOOR}
    assert [line.subject_seq for line in opened.lines] == [3, 2, 1]
    assert opened.lines[0].entry.what.code == "log-read" and opened.lines[0].seq == opened.recorded.seq


async def test_her_own_look_is_recorded_once_a_request(house: House) -> None:
    for n in range(1, 4):
        await house.door.trail_of(ask(noor), limit=1)
        assert len(house.entries()) == n


async def test_she_cannot_widen_her_list_with_a_filter(house: House) -> None:
    await seen(house)

    lines = (await house.door.trail_of(ask(noor), Filter(subject=SAMIRA))).lines
    exported = list(await house.door.export_trail(ask(noor), Filter(subject=SAMIRA)))

    assert {line.entry.about.subject for line in [*lines, *exported]} == {NOOR}


@pytest.mark.parametrize("asker", [samira, marit, joke, BY_ROLE[Role.ENGINEER], BY_ROLE[Role.SYSTEM]])
async def test_nobody_else_sees_her_list_and_the_attempt_is_on_it(house: House, asker: Asker) -> None:
    with pytest.raises(Forbidden):
        await house.door.trail_of(ask(asker))
    with pytest.raises(Forbidden):
        await house.door.export_trail(ask(asker))

    assert [line.entry.what.outcome for line in house.trail.of_subject(NOOR)] == ["refused", "refused"]


async def test_a_woman_cannot_search_the_whole_trail(house: House) -> None:
    with pytest.raises(Forbidden) as refusal:
        await house.door.trail_of(ask(noor, ""))
    assert refusal.value.code == "not-own-plan" and house.last().entry.about.subject == ""


async def test_an_auditor_searches_and_each_search_makes_one_entry(house: House) -> None:
    await seen(house)

    found = await house.door.trail_of(ask(tess, ""), Filter(outcome="refused", ura=joke.ura))

    assert [line.entry.who.name for line in found.lines] == ["Joke Smit"]
    entry = house.last().entry
    assert (entry.what.code, entry.what.action, entry.about.subject, entry.about.query) == (
        "log-search", "E", "", f"ura={joke.ura}&outcome=refused")
    assert len(house.entries()) == 4 and entry.about.opened == ("access-log",)


async def test_an_auditors_search_about_one_woman_is_on_her_list(house: House) -> None:
    await seen(house)

    found = await house.door.trail_of(ask(tess, SAMIRA), Filter(subject=NOOR))

    assert {line.entry.about.subject for line in found.lines} == {SAMIRA}
    assert [line.entry.who.role for line in house.trail.of_subject(SAMIRA)] == ["auditor", "midwife"]


async def test_an_auditor_never_reads_a_plan(house: House) -> None:
    with pytest.raises(Forbidden) as refusal:
        await house.door.read(ask(tess))
    assert refusal.value.code == "trail-only"


async def test_an_export_is_recorded_first_and_holds_what_stood_before_it(house: House) -> None:
    await seen(house)

    lines = list(await house.door.export_trail(ask(tess, ""), Filter()))

    assert len(lines) == 3 and house.last().entry.what.code == "log-export"
    assert b"".join(bundle(lines)).count(b'"AuditEvent"') == 3 and b"".join(table(lines)).count(b"\r\n") == 4


async def test_the_work_list_holds_who_said_yes_and_each_gets_an_entry(house: House) -> None:
    house.agree(SAMIRA, LEPELAAR)

    clients = await house.door.clients_of(ask(marit, "", ("front", "pregnancy")))

    assert {client.related.subject for client in clients} == {NOOR, SAMIRA}
    assert all({name for _, name in client.opened.sections} == {"front", "pregnancy"} for client in clients)
    assert {(line.entry.what.code, line.entry.about.subject, line.entry.about.query) for line in house.entries()} == {
        ("client-search", NOOR, "clients"), ("client-search", SAMIRA, "clients")}
    assert len(house.entries()) == 2


async def test_who_did_not_say_yes_is_not_on_the_work_list_and_was_not_looked_at(house: House) -> None:
    clients = await house.door.clients_of(ask(marit, "", ("front",)))

    assert [client.related.subject for client in clients] == [NOOR] and house.trail.of_subject(SAMIRA) == []


async def test_an_empty_work_list_is_recorded_as_a_search_that_found_nothing(house: House) -> None:
    assert await house.door.clients_of(ask(joke, "", ("front",))) == []

    entry = house.last().entry
    assert (entry.what.outcome, entry.what.reason, entry.about.subject, entry.about.opened) == ("success", "nothing-found", "", ())
    assert len(house.entries()) == 1


@pytest.mark.parametrize(("asker", "reason"), [
    (noor, "not-own-plan"), (tess, "trail-only"), (BY_ROLE[Role.ENGINEER], "role-has-no-section")])
async def test_who_has_no_clients_by_role_is_refused_a_work_list(house: House, asker: Asker, reason: str) -> None:
    with pytest.raises(Forbidden) as refusal:
        await house.door.clients_of(ask(asker, "", ("front",)))
    assert refusal.value.code == reason and len(house.entries()) == 1


async def test_a_weak_login_gets_no_work_list(house: House) -> None:
    weak = Asker("900000001", "Marit Jansen", marit.role, ura=LEPELAAR, assurance="low")
    with pytest.raises(Forbidden) as refusal:
        await house.door.clients_of(ask(weak, "", ("front",)))
    assert refusal.value.code == "assurance-low"


async def test_relations_that_cannot_be_learned_give_no_work_list(house: House) -> None:
    def away(*_: object) -> object:
        raise OSError("away")

    door = house.with_(relations=type("Broken", (), {"subjects_of": away})())
    with pytest.raises(Forbidden) as refusal:
        await door.clients_of(ask(marit, "", ("front",)))
    assert refusal.value.code == "facts-unknown" and house.last().entry.what.outcome == "error"
