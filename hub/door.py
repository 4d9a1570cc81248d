"""The one way to a woman's data: learn the facts, decide, record, and only then hand over.

Nothing leaves before its entry in the audit trail is durable; refusals are recorded too. Whatever cannot be learned, decided or recorded
closes the door. The door knows neither stores nor connectors: what it needs of them is said in the protocols below and handed in.
"""

from __future__ import annotations

import asyncio
import functools
import re
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final, Protocol, TypeVar

import structlog
from sqlalchemy import Connection

from audit.entry import CLIENT_SEARCH, LOG_EXPORT, LOG_READ, LOG_SEARCH, PLAN_EXPORT, PLAN_READ, Entry, Line, Where
from audit.trail import EVERYTHING, Filter, Recorded, Trail
from authz.ask import CAREGIVERS, Ask, Decision, Known, Role
from authz.consents import Consents
from authz.decide import decide
from authz.engine import PolicySet
from authz.reasons import NOTHING_FOUND, said_to_asker
from authz.record import entry_of
from authz.roles import ACCESS_LOG
from fhir_profiles.errors import BirthCareError, Forbidden, Invalid, Unavailable
from hub.database import Database

T = TypeVar("T")
SectionBytes = dict[tuple[str, str], bytes]
"""Ready bytes of sections by (episode, section); the episode is "" for facts that belong to no known pregnancy."""

log = structlog.get_logger(__name__)
_NOBODY_ASKED: Final = Known("none", "unknown")
_UNKNOWN: Final = Known(None, None)
_NAME: Final = re.compile(r"[0-9A-Za-z._-]{0,64}")


@dataclass(frozen=True, slots=True)
class Related:
    """A woman's pregnancy with which an organisation has a treatment relation: its kind (dossier, encounter) and the evidence for it."""

    subject: str
    episode: str
    kind: str
    evidence: str


class Relations(Protocol):
    """Treatment relations (behandelrelaties) as the sources say them."""

    def of(self, subject: str, episode: str, ura: str) -> tuple[str, str]:
        """The relation of an organisation with one pregnancy (none, dossier or encounter) and the evidence for it ("" for none)."""

    def subjects_of(self, tx: Connection, ura: str) -> Sequence[Related]:
        """Every pregnancy with which the organisation has a relation now, the newest first."""


class Plans(Protocol):
    """The views of the plan. Called only by the door."""

    def episodes(self, subject: str) -> list[str]:
        """The pregnancies of a woman, the present one first; empty when the hub knows none."""

    def version(self, subject: str) -> str:
        """What the views of this woman were built to, for the trail; "" when there are none."""

    def sections(self, subject: str, episode: str, names: tuple[str, ...]) -> SectionBytes:
        """The named sections of one pregnancy, and those of no known pregnancy; a section without content is left out."""


@dataclass(frozen=True, slots=True)
class Opened:
    """What was handed over: bytes by (episode, section), and for every section that stayed shut its reason code."""

    episode: str
    sections: SectionBytes
    closed: dict[str, str]
    decision: Decision
    recorded: Recorded


@dataclass(frozen=True, slots=True)
class Client:
    """One line of a work list: a woman's pregnancy, how the organisation is related to it, and the sections that were asked for."""

    related: Related
    opened: Opened


@dataclass(frozen=True, slots=True)
class TrailOpened:
    """Lines of the trail, newest first, and the entry that tells that they were read."""

    lines: list[Line]
    decision: Decision
    recorded: Recorded


@dataclass(frozen=True, slots=True)
class Door:
    """The one way in. `where` names this service in the trail.

    `pool` runs what may block (PostgreSQL) away from the event loop; without it (SQLite, where a read costs microseconds) it runs in place.
    """

    database: Database
    relations: Relations
    consents: Consents
    trail: Trail
    plans: Plans
    policies: PolicySet
    where: Where
    clock: Callable[[], datetime] = field(default=lambda: datetime.now(UTC))
    pool: Executor | None = None

    async def read(self, ask: Ask) -> Opened:
        """The sections of one plan that open for this asker.

        Raises `Forbidden` (a Dutch sentence, `code` the reason) when none does, `Unavailable` when the entry could not be kept or the
        plan cannot be read now, `Invalid` when the question names no possible pseudonym or asks for the access log.
        """
        at = self._begin(ask)
        if ACCESS_LOG in ask.sections:
            raise Invalid("the access log is not a section of the plan; ask for the trail", code="not-a-section")
        ask, known, version = await self._run(lambda: self.learn(ask))
        decision = decide(ask, known, self.policies)
        code = PLAN_EXPORT if ask.action == "export" else PLAN_READ
        entry = entry_of(code, ask, known, decision, at=at, where=self.where, version=version)
        if not decision.allowed:
            await self._refuse(entry, decision)
        recorded, sections = await self._hand_over(entry, lambda: self._sections(ask, decision))
        return _opened(ask, decision, recorded, sections)

    async def trail_of(self, ask: Ask, wanted: Filter = EVERYTHING, *, limit: int = 100, after: int = 0) -> TrailOpened:
        """Who looked: for the woman herself (`ask.subject`, `after` a `subject_seq`), or for an auditor (`after` a `seq`).

        `ask.subject` alone says about whom: it replaces the filter's. Each call makes one entry, also about an auditor's search.
        Raises like `read`.
        """
        ask, wanted, decision, recorded = await self._ask_for_trail(ask, wanted)
        limit = max(1, min(limit, 1_000))
        if ask.asker.role is Role.CLIENT:
            return TrailOpened(await self._run(lambda: self.trail.of_subject(ask.subject, limit, after)), decision, recorded)
        # A search may be long: never on the event loop.
        search = functools.partial(self.trail.search, wanted, limit, after)
        return TrailOpened(await asyncio.get_running_loop().run_in_executor(self.pool, search), decision, recorded)

    async def export_trail(self, ask: Ask, wanted: Filter = EVERYTHING) -> Iterator[Line]:
        """All lines that fit, newest first, as they stood when the export was recorded; `audit.export` writes them. Raises like `read`."""
        ask, wanted, _, recorded = await self._ask_for_trail(replace(ask, action="export"), wanted)
        return self.trail.walk(wanted, below=recorded.seq)

    async def clients_of(self, ask: Ask, *, limit: int = 500, after: str | None = None) -> list[Client]:
        """The work list: women with whom the asker's organisation has a relation and who said yes to it, with the sections asked.

        Each woman on the list is decided about on her own and gets her own entry (IHE BALP: one a patient), in one commit. Who is not
        on the list was not looked at. An empty list makes one entry. Raises `Forbidden` when no woman could ever open for this asker.

        Newest relation first; with `after`, the women beyond that pseudonym ("" for the first), in the order of pseudonyms.
        """
        at = self._begin(ask)
        ask = replace(ask, subject="", episode="", action="search", query=ask.query or "clients")
        if ask.asker.role not in CAREGIVERS:
            return await self._no_clients(ask, _NOBODY_ASKED, at)
        found = await self._run(lambda: self._learn_all(ask))
        if found is None:
            return await self._no_clients(ask, _UNKNOWN, at)
        asks = [(related, replace(ask, subject=related.subject, episode=related.episode), known) for related, known in found]
        decided = [(related, one, known, decide(one, known, self.policies)) for related, one, known in asks]
        opens = [(related, one, known, decision) for related, one, known, decision in decided if decision.allowed]
        if after is not None:
            # Page by page, in the order of pseudonyms: only the women of this page are looked at.
            opens = sorted((row for row in opens if row[0].subject > after), key=lambda row: row[0].subject)
        opens = opens[:limit]
        if not opens:
            # Nobody is on the list. Could anybody be, with this role and login? If not, the asker should hear why.
            return await self._no_clients(ask, Known("dossier", "yes"), at)
        entries = [entry_of(CLIENT_SEARCH, one, known, decision, at=at, where=self.where) for _, one, known, decision in opens]
        kept = await _kept(self.trail.record_all(entries))
        loaded = await self._run(lambda: [_attempt(functools.partial(self._sections, one, decision)) for _, one, _, decision in opens])
        return [Client(related, _opened(one, decision, recorded, _value(sections)))
                for (related, one, _, decision), recorded, sections in zip(opens, kept, loaded, strict=True)]

    def learn(self, ask: Ask) -> tuple[Ask, Known, str]:
        """The pregnancy meant, the facts about it, and the version of the plan, as a decision would find them now; no content.

        What cannot be learned is unknown, and closes the door.
        """
        try:
            if not ask.episode:
                ask = replace(ask, episode=next(iter(self.plans.episodes(ask.subject)), ""))
            return ask, self._known(ask), self.plans.version(ask.subject)
        except Exception as error:
            log.error("facts_not_learned", error_type=type(error).__name__)
            return ask, _UNKNOWN, ""

    def _begin(self, ask: Ask) -> str:
        if not _NAME.fullmatch(ask.subject) or not _NAME.fullmatch(ask.episode):
            raise Invalid("this is not a pseudonym", code="not-a-pseudonym")
        return self.clock().astimezone(UTC).isoformat(timespec="microseconds")

    def _known(self, ask: Ask) -> Known:
        if ask.asker.role not in CAREGIVERS or not ask.asker.ura or not ask.subject:
            return _NOBODY_ASKED
        relation, evidence = self.relations.of(ask.subject, ask.episode, ask.asker.ura)
        consent, event = self.consents.of(ask.subject, ask.asker.ura)
        return Known(relation, consent, event, evidence)

    def _learn_all(self, ask: Ask) -> list[tuple[Related, Known]] | None:
        """The facts about every woman the organisation is related to; None when they could not be learned."""
        try:
            with self.database.read() as tx:
                related = self.relations.subjects_of(tx, ask.asker.ura) if ask.asker.ura else ()
                said = self.consents.about(ask.asker.ura, tx)
        except Exception as error:
            log.error("facts_not_learned", error_type=type(error).__name__)
            return None
        answers = [(one, *said.get(one.subject, ("unknown", ""))) for one in related]
        return [(one, Known(one.kind, consent, event, one.evidence)) for one, consent, event in answers]

    async def _no_clients(self, ask: Ask, known: Known, at: str) -> list[Client]:
        decision = decide(ask, known, self.policies)
        if not decision.allowed:
            await self._refuse(entry_of(CLIENT_SEARCH, ask, known, decision, at=at, where=self.where), decision)
        # The rules would open for somebody; nobody is there. So nothing was opened.
        nothing = replace(decision, allowed=frozenset(), reasons=dict.fromkeys(ask.sections, NOTHING_FOUND), controls="TFFF")
        await _kept(self.trail.record(entry_of(CLIENT_SEARCH, ask, _NOBODY_ASKED, nothing, at=at, where=self.where, reason=NOTHING_FOUND)))
        return []

    async def _ask_for_trail(self, ask: Ask, wanted: Filter) -> tuple[Ask, Filter, Decision, Recorded]:
        at = self._begin(ask)
        wanted = replace(wanted, subject=ask.subject)
        ask = replace(ask, sections=(ACCESS_LOG,), query=ask.query or wanted.query())
        ask, known, _ = await self._run(lambda: self.learn(ask)) if ask.asker.role in CAREGIVERS else (ask, _NOBODY_ASKED, "")
        decision = decide(ask, known, self.policies)
        own = bool(ask.subject) and ask.asker.role is Role.CLIENT
        code = LOG_EXPORT if ask.action == "export" else LOG_READ if own else LOG_SEARCH
        entry = entry_of(code, ask, known, decision, at=at, where=self.where)
        if not decision.allowed:
            await self._refuse(entry, decision)
        return ask, wanted, decision, await _kept(self.trail.record(entry))

    async def _refuse(self, entry: Entry, decision: Decision) -> None:
        await _kept(self.trail.record(entry))
        raise Forbidden(said_to_asker(decision.reason), code=decision.reason)

    def _sections(self, ask: Ask, decision: Decision) -> SectionBytes:
        """What opened, and only that: whatever else the store may give stays behind."""
        names = tuple(section for section in ask.sections if section in decision.allowed)
        given = self.plans.sections(ask.subject, ask.episode, names)
        return {(episode, name): body for (episode, name), body in given.items() if name in names and episode in (ask.episode, "")}

    async def _hand_over(self, entry: Entry, load: Callable[[], T]) -> tuple[Recorded, T]:
        """Record and load at the same time; what was loaded is handed over only when the entry is durable."""
        try:
            pending = self.trail.begin(entry)
        except Exception as error:
            raise _not_recorded(error) from error
        if self.pool is None:
            await asyncio.sleep(0)  # The writer of the trail begins, with all that was asked together, before we load.
            loaded = _attempt(load)
            return await _kept(pending), _value(loaded)
        loading = asyncio.get_running_loop().run_in_executor(self.pool, _attempt, load)
        return await _kept(pending), _value(await loading)

    async def _run(self, work: Callable[[], T]) -> T:
        return work() if self.pool is None else await asyncio.get_running_loop().run_in_executor(self.pool, work)


async def _kept(pending: Awaitable[T]) -> T:
    """What the trail answers; anything that keeps an entry from being durable is `Unavailable`."""
    try:
        return await pending
    except Exception as error:
        raise _not_recorded(error) from error


def _not_recorded(error: Exception) -> Unavailable:
    if isinstance(error, Unavailable):
        return error
    log.error("entry_not_kept", error_type=type(error).__name__)
    return Unavailable("het logboek is niet bereikbaar; daarom blijft het plan dicht", code="audit-away")


def _attempt(work: Callable[[], T]) -> tuple[T | None, Exception | None]:
    try:
        return work(), None
    except Exception as error:
        return None, error


def _value(attempt: tuple[T | None, Exception | None]) -> T:
    value, error = attempt
    if isinstance(error, BirthCareError):
        raise error
    if error is not None or value is None:
        log.error("plan_not_read", error_type=type(error).__name__)
        raise Unavailable("het plan is nu niet te lezen; probeer het later opnieuw", code="plan-away") from error
    return value


def _opened(ask: Ask, decision: Decision, recorded: Recorded, sections: SectionBytes) -> Opened:
    closed = {section: reason for section, reason in decision.reasons.items() if section not in decision.allowed}
    return Opened(ask.episode, sections, closed, decision, recorded)
