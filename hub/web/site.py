"""The pages' `Site` over the real hub: every look at client data is a question to the door, and the plan is made of what it hands over."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final, Literal, Protocol

from starlette.concurrency import iterate_in_threadpool

from audit import export
from audit.entry import CLIENT_SEARCH, LOG_EXPORT, LOG_READ, LOG_SEARCH, SUCCESS, Entry, Line
from audit.trail import Filter
from authz.ask import Ask, Asker, Purpose, Role
from authz.consents import YES, Answer, Consents
from authz.roles import ACCESS_LOG, CONSENTS
from fhir_profiles.codes import FRONT, PREGNANCY, SECTIONS
from fhir_profiles.errors import Missing
from fhir_profiles.identifiers import Subject
from hub.door import Door, Opened
from hub.plan.plan import Plan
from hub.plan.show import show
from hub.web import ports, shape
from hub.web.caller import CALLER
from hub.web.operations import Operations
from hub.web.words import DUTCH_TIME

LINES: Final = 200
LIVE: Final = "page:live"
_WAIT_S: Final = 20.0
_LOGS: Final = frozenset({LOG_READ, LOG_SEARCH, LOG_EXPORT})


class Changes(Protocol):
    """Tells that a plan changed (`hub.changes`)."""

    async def wait(self, subject: str, timeout_s: float) -> None:
        """Return when her plan changed, or after a while."""


@dataclass(frozen=True, slots=True)
class Organisation:
    """Someone a woman may share with: name and the Dutch type code (G3, V4, K4)."""

    name: str
    type: str


@dataclass(frozen=True)
class HubSite:
    """All that the pages need, from the door, the consents and the views.

    `organisations` are those that a woman is asked about, by URA. `names` is source id → organisation. `version_of` gives the version of a
    woman's plan (cheap, tells nothing of the content). `now` gives an aware time.
    """

    door: Door
    consents: Consents
    operations: Operations
    changes: Changes
    version_of: Callable[[str], str]
    names: Mapping[str, str]
    organisations: Mapping[str, Organisation]
    now: Callable[[], datetime]

    async def own_plan(self, asker: Asker) -> Plan:
        """Her own plan of the present pregnancy."""
        return self._plan(asker.subject, await self.door.read(_ask(asker, asker.subject, "page:own-plan")))

    async def overview(self, asker: Asker, subject: str, episode: str) -> Plan:
        """The plan as far as this caregiver may see it."""
        return self._plan(subject, await self.door.read(_ask(asker, subject, "page:overview", episode=episode)))

    async def work_list(self, asker: Asker) -> Sequence[ports.ClientRow]:
        """The clients that this caregiver may see."""
        clients = await self.door.clients_of(_ask(asker, "", "page:work-list", sections=(FRONT, PREGNANCY)))
        rows = [_row(self._plan(one.related.subject, one.opened)) for one in clients]
        return sorted(rows, key=lambda row: (row.phase != "pregnant", row.due or "9", row.name))

    async def trail(self, asker: Asker, before: int) -> ports.TrailPage:
        """Who looked at her plan."""
        ask = _ask(asker, asker.subject, "page:who-saw", sections=(ACCESS_LOG,))
        lines = (await self.door.trail_of(ask, limit=LINES, after=before)).lines
        return ports.TrailPage(tuple(_trail_line(line) for line in lines), lines[-1].subject_seq if len(lines) == LINES else 0)

    async def audit_search(self, asker: Asker, wanted: ports.AuditFilter) -> ports.AuditPage:
        """Entries for an auditor."""
        ask = _ask(asker, wanted.about, "page:audit", sections=(ACCESS_LOG,))
        lines = (await self.door.trail_of(ask, self._filter(wanted), limit=wanted.limit, after=wanted.before)).lines
        return ports.AuditPage(tuple(_audit_row(line) for line in lines), lines[-1].seq if len(lines) == wanted.limit else 0)

    async def audit_export(self, asker: Asker, wanted: ports.AuditFilter, form: Literal["bundle", "csv"]) -> AsyncIterator[bytes]:
        """The same entries as a FHIR Bundle or CSV."""
        ask = _ask(asker, wanted.about, f"page:audit-{form}", sections=(ACCESS_LOG,))
        lines = await self.door.export_trail(ask, self._filter(wanted))
        return iterate_in_threadpool(export.table(lines) if form == "csv" else export.bundle(lines))

    async def follow(self, asker: Asker, subject: str, episode: str, since: str) -> AsyncIterator[str]:
        """Versions of her plan as they come; the door decides first, and what it hands over is let go."""
        await self.door.read(_ask(asker, subject, LIVE, episode=episode))
        return self._versions(subject, since)

    async def version(self, subject: str, episode: str) -> str:
        """The present version of her plan."""
        return await asyncio.to_thread(self.version_of, subject)

    async def sources(self) -> Sequence[ports.SourceStatus]:
        """Every registered source."""
        return await asyncio.to_thread(self.operations.sources)

    async def ledger(self) -> Sequence[ports.LedgerRow]:
        """The balance."""
        return await asyncio.to_thread(self.operations.ledger)

    async def held(self) -> Sequence[ports.HeldRow]:
        """What waits."""
        return await asyncio.to_thread(self.operations.held)

    async def load(self) -> ports.Load:
        """How busy the hub is."""
        return await asyncio.to_thread(self.operations.load)

    async def pulse(self) -> ports.Pulse:
        """Counts and last messages."""
        return await asyncio.to_thread(self.operations.pulse)

    async def sharing(self, asker: Asker) -> Sequence[ports.ConsentRow]:
        """Her answers, one for every organisation that may ask; her own look at them is recorded as well."""
        await self.door.read(_ask(asker, asker.subject, "page:sharing", sections=(CONSENTS,)))
        answers = await asyncio.to_thread(self.consents.all_of, asker.subject)
        return [_consent(ura, self.organisations.get(ura, Organisation(ura, "")), answers.get(ura))
                for ura in dict.fromkeys((*self.organisations, *answers))]

    async def answer(self, asker: Asker, ura: str, yes: bool) -> None:
        """Record her answer. A no after a yes takes the yes back."""
        if ura not in self.organisations:
            raise Missing("deze organisatie kennen wij niet", code="no-organisation")
        subject = Subject(asker.subject)
        before = (await asyncio.to_thread(self.consents.all_of, subject)).get(ura)
        change = self.consents.give if yes else self.consents.withdraw if before and before.decision == YES else self.consents.refuse
        await asyncio.to_thread(change, subject, ura, subject, "page:sharing")

    async def _versions(self, subject: str, since: str) -> AsyncIterator[str]:
        told = since
        while True:
            now = await self.version(subject, "")
            if now != told:
                told = now
                yield now
            await self.changes.wait(subject, _WAIT_S)

    def _plan(self, subject: str, opened: Opened) -> Plan:
        today = self.now().astimezone(DUTCH_TIME).date()
        return show(subject, opened.episode, opened.sections, today, self.names, opened.closed)

    def _filter(self, wanted: ports.AuditFilter) -> Filter:
        """An organisation is known by URA or name; anything else is a part of a person's name."""
        who = wanted.who.casefold()
        named = (u for u, one in self.organisations.items() if who and (who == u or who in one.name.casefold()))
        ura = next(named, who if who.isdigit() else "")
        return Filter(name="" if ura else wanted.who, ura=ura, outcome="closed" if wanted.kind == "refused" else "", subject=wanted.about,
                      since=_utc(wanted.since, 0), until=_utc(wanted.until, 1))


def _ask(asker: Asker, subject: str, interaction: str, *, sections: tuple[str, ...] = SECTIONS, episode: str = "") -> Ask:
    purpose = {Role.CLIENT: Purpose.PATIENT_REQUEST, Role.AUDITOR: Purpose.AUDIT}.get(asker.role, Purpose.TREATMENT)
    caller = CALLER.get()
    return Ask(asker, subject, sections, purpose, episode=episode, interaction=interaction, network=caller.network,
               request_id=caller.request_id)


def _row(plan: Plan) -> ports.ClientRow:
    return ports.ClientRow(plan.subject, plan.episode, plan.woman.name, plan.woman.birth_date, plan.due, plan.phase,
                           len(shape.conflicts(plan)), plan.updated)


def _sections(entry: Entry) -> tuple[str, ...]:
    """What was seen; of a refusal, what was asked for."""
    return entry.about.opened or tuple(section for section, _ in entry.about.closed)


def _trail_line(line: Line) -> ports.TrailLine:
    entry = line.entry
    code = entry.what.code
    kind: Literal["plan", "list", "trail", "open"] = (
        "open" if entry.what.nature == LIVE else "list" if code == CLIENT_SEARCH else "trail" if code in _LOGS else "plan")
    own = entry.who.role == Role.CLIENT and entry.who.id == entry.about.subject
    return ports.TrailLine(line.subject_seq, line.recorded, entry.who.name, entry.who.role, entry.who.organisation, _sections(entry),
                           entry.who.purpose, entry.what.outcome == SUCCESS, entry.what.reason, kind, own)


def _audit_row(line: Line) -> ports.AuditRow:
    entry = line.entry
    who = entry.who
    return ports.AuditRow(line.seq, line.recorded, who.name, who.role, who.organisation, entry.about.subject, _sections(entry), who.purpose,
                          entry.what.outcome == SUCCESS, entry.what.reason, entry.what.nature)


def _consent(ura: str, organisation: Organisation, said: Answer | None) -> ports.ConsentRow:
    answer: Literal["yes", "no", "unknown"] = "unknown" if said is None else "yes" if said.decision == YES else "no"
    return ports.ConsentRow(ura, organisation.name, organisation.type, answer, said.since if said else "")


def _utc(day: str, later: int) -> str:
    """The begin of a Dutch day (or of the day after it), in UTC; "" for no day."""
    if not day:
        return ""
    begin = datetime.combine(date.fromisoformat(day) + timedelta(days=later), time(), DUTCH_TIME)
    return begin.astimezone(UTC).isoformat()
