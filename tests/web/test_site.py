"""The pages' site over the real door: real policies, consents, trail, views and plans on SQLite."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import orjson
import pytest
from sqlalchemy import insert

from audit.entry import Where
from audit.trail import Trail
from authz.consents import Consents
from authz.engine import load_policies
from fhir_profiles.errors import Forbidden, Missing, Unavailable
from hub.changes import Changes
from hub.database import open_sqlite
from hub.door import Door
from hub.facts import Views
from hub.tables import freshness, held, ledger, received_count
from hub.web.operations import Operations
from hub.web.ports import AuditFilter, Load
from hub.web.site import HubSite, Organisation
from tests.plan import cases
from tests.web.conftest import asker, subject_of

NOW = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
NOOR = subject_of("noor")
ORGANISATIONS = {"00700001": Organisation("Verloskundigenpraktijk De Lepelaar", "G3"), "00700002": Organisation("Ziekenhuis Rijnoever", "V4"),
                 "00700004": Organisation("Kraamzorg De Zon", "K4")}


class House:
    """A hub in a folder, as far as the pages need it."""

    def __init__(self, folder: Path) -> None:
        self.keys, self.audit = open_sqlite(folder / "keys.db", ["keys"]), open_sqlite(folder / "audit.db", ["audit"])
        self.received = open_sqlite(folder / "received.db", ["received"])
        self.hub = cases.Hub(open_sqlite(folder / "hub.db", ["hub"]), self.keys)
        self.consents = Consents(self.hub.database, self.hub.keyring)
        self.trail = Trail(self.audit, self.hub.keyring, lambda: NOW)
        self.trail.start()
        views = Views(self.hub.reader, lambda: date(2026, 6, 1))
        door = Door(self.hub.database, views, self.consents, self.trail, views, load_policies(), Where("test"), lambda: NOW)
        self.changes = Changes()
        operations = Operations(self.hub.database, self.received, cases.NAMES, lambda: Load(3), lambda: NOW)
        self.site = HubSite(door, self.consents, operations, self.changes, self.hub.reader.version, cases.NAMES, ORGANISATIONS, lambda: NOW)

    def close(self) -> None:
        self.trail.stop()
        self.hub.close()
        self.audit.close()
        self.received.close()


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """Noor is pregnant, has a dossier at the practice, an Hb of 6,6, and said yes to the practice."""
    house = House(tmp_path)
    house.hub.given(cases.dossier(subject=NOOR), cases.observed("due-date", "2026-11-20", subject=NOOR),
                    cases.observed("haemoglobin", 6.6, "mmol/L", subject=NOOR))
    house.consents.give(NOOR, "00700001", "noor", "tick")
    yield house
    house.close()


async def test_she_reads_her_own_plan_and_it_is_in_her_list(house: House) -> None:
    plan = await house.site.own_plan(asker("noor"))
    assert (plan.phase, plan.due) == ("pregnant", "2026-11-20")
    lines = (await house.site.trail(asker("noor"), 0)).lines
    assert [(line.seq, line.kind, line.own, line.allowed) for line in lines] == [(2, "trail", True, True), (1, "plan", True, True)]


async def test_the_midwife_sees_value_and_list_and_the_woman_sees_that_she_did(house: House) -> None:
    plan = await house.site.overview(asker("marit"), NOOR, "")
    assert [line.shown.text for line in plan.sections["measurements"].lines if line.shown] == ["6,6\u00a0mmol/L"]
    assert [row.subject for row in await house.site.work_list(asker("marit"))] == [NOOR]
    seen = [(line.who, line.role, line.kind) for line in (await house.site.trail(asker("noor"), 0)).lines if not line.own]
    assert seen == [("Marit Jansen", "midwife", "list"), ("Marit Jansen", "midwife", "plan")]


async def test_without_a_relation_the_plan_stays_shut_and_the_attempt_is_in_her_list(house: House) -> None:
    house.consents.give(NOOR, "00700004", "noor", "tick")
    with pytest.raises(Forbidden) as refusal:
        await house.site.overview(asker("joke"), NOOR, "")
    assert refusal.value.code == "no-relation"
    line = (await house.site.trail(asker("noor"), 0)).lines[1]
    assert (line.who, line.allowed, line.reason) == ("Joke Smit", False, "no-relation")
    assert "pregnancy" in line.sections


async def test_a_no_closes_the_plan_at_once_and_a_yes_opens_it_again(house: House) -> None:
    await house.site.answer(asker("noor"), "00700001", yes=False)
    with pytest.raises(Forbidden) as refusal:
        await house.site.overview(asker("marit"), NOOR, "")
    assert refusal.value.code == "no-consent"
    assert [row.answer for row in await house.site.sharing(asker("noor"))] == ["no", "unknown", "unknown"]
    await house.site.answer(asker("noor"), "00700001", yes=True)
    assert (await house.site.overview(asker("marit"), NOOR, "")).subject == NOOR
    assert [event.kind for event in house.consents.history(NOOR)] == ["consent-given", "consent-withdrawn", "consent-given"]


async def test_an_organisation_that_nobody_knows_cannot_be_answered_about(house: House) -> None:
    with pytest.raises(Missing):
        await house.site.answer(asker("noor"), "00999999", yes=True)


async def test_the_auditor_finds_by_name_organisation_outcome_and_day(house: House) -> None:
    await house.site.overview(asker("marit"), NOOR, "")
    with pytest.raises(Forbidden):
        await house.site.overview(asker("joke"), NOOR, "")

    async def found(**wanted: str) -> list[str]:
        page = await house.site.audit_search(asker("tess"), AuditFilter(**wanted))  # type: ignore[arg-type]  # fields by name
        return [row.who for row in page.rows if row.role != "auditor"]

    assert await found() == ["Joke Smit", "Marit Jansen"]
    assert await found(who="marit") == ["Marit Jansen"]
    assert await found(who="lepelaar") == ["Marit Jansen"]
    assert await found(who="00700004") == ["Joke Smit"]
    assert await found(kind="refused") == ["Joke Smit"]
    assert await found(about=NOOR, since="2026-06-01", until="2026-06-01") == ["Joke Smit", "Marit Jansen"]
    assert await found(until="2026-05-31") == []


async def test_an_export_is_a_bundle_or_a_table_of_the_same_lines(house: House) -> None:
    await house.site.overview(asker("marit"), NOOR, "")
    bundle = b"".join([part async for part in await house.site.audit_export(asker("tess"), AuditFilter(), "bundle")])
    assert [entry["resource"]["resourceType"] for entry in orjson.loads(bundle)["entry"]] == ["AuditEvent"]
    table = b"".join([part async for part in await house.site.audit_export(asker("tess"), AuditFilter(who="Marit"), "csv")]).decode("utf-8-sig")
    assert len(table.splitlines()) == 2
    assert "Marit Jansen" in table


@pytest.mark.parametrize("name", ["noor", "marit", "ravi"])
async def test_nobody_but_the_auditor_searches_the_trail(house: House, name: str) -> None:
    with pytest.raises(Forbidden):
        await house.site.audit_search(asker(name), AuditFilter())
    with pytest.raises(Forbidden):
        await house.site.audit_export(asker(name), AuditFilter(), "csv")


async def test_a_page_that_follows_hears_of_a_change(house: House) -> None:
    house.changes.bind(asyncio.get_running_loop())
    before = await house.site.version(NOOR, "")
    changes = await house.site.follow(asker("marit"), NOOR, "", before)
    waiting = asyncio.ensure_future(anext(changes))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    house.hub.given(cases.observed("haemoglobin", 7.1, "mmol/L", subject=NOOR, effective="2026-05-20"))
    house.changes.ring({NOOR})
    assert await asyncio.wait_for(waiting, 5) == await house.site.version(NOOR, "") != before
    assert (await house.site.trail(asker("noor"), 0)).lines[1].kind == "open"


async def test_who_may_not_look_may_not_follow(house: House) -> None:
    with pytest.raises(Forbidden):
        await house.site.follow(asker("joke"), NOOR, "", "")


async def test_sources_balance_and_held_are_counts_from_the_views(house: House) -> None:
    with house.hub.database.write() as tx:
        tx.execute(insert(ledger).values(source=cases.HIX, day="2026-06-01", received=0, recorded=4, unchanged=2, ignored=1, held=1, events=9))
        tx.execute(insert(freshness).values(source=cases.HIX, connector="hix", received_at="2026-06-01T11:59:00.000Z", mapped_at="2026-06-01T11:59:00.100Z"))
        tx.execute(insert(held).values(id="1", message="m", partition=0, offset=1, source=cases.HIX, day="2026-06-01", connector="hix", code="unit-unfit",
                                       reason="the unit does not fit", path="OBX[2]-6", at="2026-06-01T11:00:00.000Z", state="waiting"))
    with house.received.write() as tx:
        tx.execute(insert(received_count).values(source=cases.HIX, day="2026-06-01", n=9))
    practice, hix = sorted(await house.site.sources(), key=lambda one: one.state)
    assert (practice.source, practice.state) == (cases.PRACTICE, "never")
    assert (hix.name, hix.kind, hix.state, hix.today, hix.held) == ("Ziekenhuis Rijnoever", "HL7 v2", "running", 9, 1)
    assert [(row.received, row.difference) for row in await house.site.ledger()] == [(9, 1)]
    assert [(row.words, row.path, row.count) for row in await house.site.held()] == [("Eenheid past niet bij deze meting", "OBX[2]-6", 1)]
    pulse = await house.site.pulse()
    assert (pulse.received, pulse.recorded, pulse.held) == (9, 4, 1)
    assert [(one.outcome, one.facts) for one in pulse.messages] == [("held", 0), ("recorded", 3)]


async def test_her_own_look_at_her_consents_is_in_her_list_before_she_sees_them(house: House) -> None:
    assert {row.ura: row.answer for row in await house.site.sharing(asker("noor"))}["00700001"] == "yes"
    seen = next(line for line in (await house.site.trail(asker("noor"), 0)).lines if line.kind == "plan")
    assert (seen.seq, seen.sections, seen.own, seen.allowed) == (1, ("consents",), True, True)


async def test_when_the_look_cannot_be_recorded_her_consents_stay_shut(house: House) -> None:
    house.trail.stop()
    with pytest.raises(Unavailable):
        await house.site.sharing(asker("noor"))


@pytest.mark.parametrize("who", ["marit", "anna", "tess", "ravi"])
async def test_nobody_else_reads_what_she_answered(house: House, who: str) -> None:
    with pytest.raises(Forbidden):
        await house.site.sharing(replace(asker(who), subject=NOOR))
