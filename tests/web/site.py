"""A `Site` in this process, over sample plans: it decides by a small table, keeps a trail of every look, and rings when told to."""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import orjson

from authz.ask import Asker, Purpose, Role
from fhir_profiles.codes import SECTIONS
from fhir_profiles.errors import Forbidden, Missing
from hub.plan.plan import Plan
from hub.web import ports, shape
from tests.web import sample

NAMES = {"00700001": (sample.LEPELAAR, "G3"), "00700002": (sample.RIJNOEVER, "V4"), "00700004": (sample.ZON, "K4")}


@dataclass
class SampleSite:
    """Plans by pseudonym; `cares` says which organisation has a treatment relation with whom."""

    plans: dict[str, Plan]
    cares: dict[str, set[str]]
    answers: dict[tuple[str, str], str] = field(default_factory=dict)
    lines: list[tuple[str, Asker, ports.TrailLine]] = field(default_factory=list)
    versions: dict[str, int] = field(default_factory=dict)
    load_now: ports.Load = field(default_factory=ports.Load)
    searches: list[ports.AuditFilter] = field(default_factory=list)
    bell: asyncio.Event = field(default_factory=asyncio.Event)

    def ring(self, subject: str) -> None:
        """Her plan changed."""
        self.versions[subject] = self.versions.get(subject, 1) + 1
        self.bell.set()

    def _decide(self, asker: Asker, subject: str, kind: Literal["plan", "list", "trail", "open"]) -> Plan:
        own = asker.subject == subject and asker.role is Role.CLIENT
        related = asker.ura in self.cares.get(subject, set())
        answer = self.answers.get((subject, asker.ura), "unknown")
        reason = "own-plan" if own else "no-relation" if not related else "care-relation" if answer == "yes" else \
            "no-consent" if answer == "no" else "consent-unknown"
        allowed = reason in ("own-plan", "care-relation")
        purpose = Purpose.PATIENT_REQUEST if own else Purpose.TREATMENT
        sections = ("access-log",) if kind == "trail" else tuple(SECTIONS)
        seq = 1 + sum(1 for about, _, _ in self.lines if about == subject)
        who = "" if own else asker.name
        line = ports.TrailLine(seq, "2026-11-24T08:31:00.000Z", who, asker.role.value, asker.organisation, sections, purpose.value, allowed,
                               reason, kind, own)
        self.lines.append((subject, asker, line))
        if not allowed:
            raise Forbidden("niet open", code=reason)
        if subject not in self.plans:
            raise Missing("geen plan")
        return self.plans[subject]

    async def own_plan(self, asker: Asker) -> Plan:
        return self._decide(asker, asker.subject, "plan")

    async def overview(self, asker: Asker, subject: str, episode: str) -> Plan:
        plan = self._decide(asker, subject, "plan")
        return sample.nurse_view(subject) if asker.role is Role.MATERNITY_NURSE else plan

    async def work_list(self, asker: Asker) -> Sequence[ports.ClientRow]:
        mine = [s for s, uras in self.cares.items() if asker.ura in uras and self.answers.get((s, asker.ura)) == "yes" and s in self.plans]
        return [ports.ClientRow(p.subject, p.episode, p.woman.name, p.woman.birth_date, p.due, p.phase, len(shape.conflicts(p)), p.updated)
                for p in (self.plans[s] for s in mine)]

    async def trail(self, asker: Asker, before: int) -> ports.TrailPage:
        self._decide(asker, asker.subject, "trail")
        mine = [line for about, _, line in reversed(self.lines) if about == asker.subject and (not before or line.seq < before)]
        return ports.TrailPage(tuple(mine))

    async def audit_search(self, asker: Asker, wanted: ports.AuditFilter) -> ports.AuditPage:
        self.searches.append(wanted)
        rows = [ports.AuditRow(i, line.at, line.who, line.role, line.organisation, about, line.sections, line.purpose, line.allowed,
                               line.reason, "page:overview")
                for i, (about, _, line) in enumerate(self.lines, 1)]
        fits = [row for row in reversed(rows) if wanted.who in row.who + row.organisation and row.about.startswith(wanted.about)
                and (wanted.kind == "all" or not row.allowed) and (not wanted.before or row.seq < wanted.before)]
        return ports.AuditPage(tuple(fits[:wanted.limit]), fits[wanted.limit - 1].seq if len(fits) > wanted.limit else 0)

    async def audit_export(self, asker: Asker, wanted: ports.AuditFilter, form: Literal["bundle", "csv"]) -> AsyncIterator[bytes]:
        rows = (await self.audit_search(asker, replace(wanted, limit=10_000))).rows

        async def chunks() -> AsyncIterator[bytes]:
            if form == "bundle":
                yield orjson.dumps({"resourceType": "Bundle", "type": "collection", "total": len(rows)})
            else:
                text = io.StringIO()
                csv.writer(text).writerows([row.seq, row.who, row.about] for row in rows)
                yield text.getvalue().encode()

        return chunks()

    async def sharing(self, asker: Asker) -> Sequence[ports.ConsentRow]:
        def row(ura: str) -> ports.ConsentRow:
            answer = self.answers.get((asker.subject, ura), "unknown")
            shown: Literal["yes", "no", "unknown"] = "yes" if answer == "yes" else "no" if answer == "no" else "unknown"
            return ports.ConsentRow(ura, *NAMES[ura], shown, "2026-05-07T09:00:00.000Z" if shown != "unknown" else "")

        return [row(ura) for ura in NAMES]

    async def answer(self, asker: Asker, ura: str, yes: bool) -> None:
        if ura not in NAMES:
            raise Missing("deze organisatie kennen wij niet")
        self.answers[asker.subject, ura] = "yes" if yes else "no"

    async def follow(self, asker: Asker, subject: str, episode: str, since: str) -> AsyncIterator[str]:
        self._decide(asker, subject, "open")

        async def versions() -> AsyncIterator[str]:
            told = since
            while True:
                if (now := await self.version(subject, episode)) != told:
                    told = now
                    yield now
                self.bell.clear()
                try:
                    await asyncio.wait_for(self.bell.wait(), 0.1)
                except TimeoutError:
                    pass

        return versions()

    async def version(self, subject: str, episode: str) -> str:
        return str(self.versions.get(subject, 1))

    async def sources(self) -> Sequence[ports.SourceStatus]:
        return sample.SOURCES

    async def ledger(self) -> Sequence[ports.LedgerRow]:
        return sample.LEDGER

    async def held(self) -> Sequence[ports.HeldRow]:
        return sample.HELD

    async def load(self) -> ports.Load:
        return self.load_now

    async def pulse(self) -> ports.Pulse:
        return sample.PULSE
