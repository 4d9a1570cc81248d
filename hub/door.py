"""The one way to a woman's data: learn the facts, decide, record, and only then hand over.

Nothing leaves before its entry in the audit trail is durable; refusals are recorded too. Whatever cannot be learned, decided or recorded
closes the door. The door knows neither stores nor connectors: what it needs of them is said in the protocols below and handed in.
"""

from __future__ import annotations

import asyncio
import functools
import re
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
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

    def subjects_of(self, tx: Connection, ura: str) -> Sequence[Related]:
        """Every pregnancy with which the organisation has a relation now, the newest first."""


class Content(Protocol):
    """The sections of one pregnancy, and of none, as they stood when they were looked at. Nothing is opened before it is asked for."""

    def lacks(self, names: Collection[str]) -> bool:
        """Whether some of these sections cannot be opened from here, because their bodies did not come along."""

    def sections(self, names: Collection[str]) -> SectionBytes:
        """The named sections; one without content is left out. Waits for nothing."""


@dataclass(frozen=True, slots=True)
class Looked:
    """What stood about a woman's pregnancy and one organisation, all of it at one moment.

    `episode` is the pregnancy that was named, or the present one ("" when the hub knows none). `relation` (none, dossier, encounter) has
    its `evidence`, `consent` (yes, no, unknown) its `event`. `version` is what the views were built to, "" when there are none.
    """

    episode: str
    relation: str
    evidence: str
    consent: str
    event: str
    version: str
    content: Content


class Plans(Protocol):
    """The views of the plan with the facts that a decision needs. Called only by the door."""

    def look(self, subject: str, episode: str, ura: str, *, whole: bool) -> Looked:
        """One state of everything: whatever was committed before the call is in it. With `whole`, `content` lacks nothing."""


@dataclass(frozen=True, slots=True)
class _Judged:
    """A question with its pregnancy, the facts and the decision about them, and what may be opened; None when nothing could be learned."""

    ask: Ask
    known: Known
    decision: Decision
    looked: Looked | None

    def names(self) -> tuple[str, ...]:
        """The sections that open."""
        return tuple(section for section in self.ask.sections if section in self.decision.allowed)

    def sections(self) -> SectionBytes:
        """What opened, and only that: whatever else the store may give stays behind."""
        names = self.names()
        given = self.looked.content.sections(names) if self.looked is not None else {}
        return {key: body for key, body in given.items() if key[1] in names and key[0] in (self.ask.episode, "")}


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
        judged = await self._run(lambda: self._judge(ask))
        ask, decision = judged.ask, judged.decision
        code = PLAN_EXPORT if ask.action == "export" else PLAN_READ
        version = judged.looked.version if judged.looked is not None else ""
        entry = entry_of(code, ask, judged.known, decision, at=at, where=self.where, version=version)
        if not decision.allowed:
            await self._refuse(entry, decision)
        recorded, sections = await self._hand_over(entry, judged.sections)
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
        loaded = await self._run(lambda: [_attempt(functools.partial(self._loaded, one, known, decision)) for _, one, known, decision in opens])
        return [Client(related, _opened(one, decision, recorded, _value(sections)))
                for (related, one, _, decision), recorded, sections in zip(opens, kept, loaded, strict=True)]

    def learn(self, ask: Ask) -> tuple[Ask, Known, str]:
        """The pregnancy meant, the facts about it, and the version of the plan, as a decision would find them now; no content.

        What cannot be learned is unknown, and closes the door.
        """
        ask, known, looked = self._look(ask, whole=False)
        return ask, known, looked.version if looked is not None else ""

    def _judge(self, ask: Ask) -> _Judged:
        """The decision, about the same state as what it opens. No body is fetched for an asker to whom nothing opens."""
        judged = self._decided(*self._look(ask, whole=False))
        if judged.decision.allowed and judged.looked is not None and judged.looked.content.lacks(judged.names()):
            # The bodies are of a later state perhaps, so everything is learned anew with them, and decided about.
            return self._decided(*self._look(ask, whole=True))
        return judged

    def _decided(self, ask: Ask, known: Known, looked: Looked | None) -> _Judged:
        return _Judged(ask, known, decide(ask, known, self.policies), looked)

    def _look(self, ask: Ask, *, whole: bool) -> tuple[Ask, Known, Looked | None]:
        """The pregnancy meant, and the facts; unknown when anything of them could not be learned."""
        try:
            looked = self.plans.look(ask.subject, ask.episode, ask.asker.ura, whole=whole)
        except Exception as error:
            log.error("facts_not_learned", error_type=type(error).__name__)
            return ask, _UNKNOWN, None
        ask = ask if ask.episode else replace(ask, episode=looked.episode)
        if ask.asker.role not in CAREGIVERS or not ask.asker.ura or not ask.subject:
            return ask, _NOBODY_ASKED, looked
        return ask, Known(looked.relation, looked.consent, looked.event, looked.evidence), looked

    def _loaded(self, ask: Ask, known: Known, decision: Decision) -> SectionBytes:
        """What a decision of a moment ago opens, as it stands now."""
        return _Judged(ask, known, decision, self.plans.look(ask.subject, ask.episode, ask.asker.ura, whole=True)).sections()

    def _begin(self, ask: Ask) -> str:
        if not _NAME.fullmatch(ask.subject) or not _NAME.fullmatch(ask.episode):
            raise Invalid("this is not a pseudonym", code="not-a-pseudonym")
        return self.clock().astimezone(UTC).isoformat(timespec="microseconds")

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

    async def _hand_over(self, entry: Entry, load: Callable[[], T]) -> tuple[Recorded, T]:
        """Record and load at the same time; what was loaded is handed over only when the entry is durable."""
        try:
            pending = self.trail.begin(entry)
        except Exception as error:
            raise _not_recorded(error) from error
        await asyncio.sleep(0)  # The writer of the trail begins, with all that was asked together, before we load.
        loaded = _attempt(load)
        return await _kept(pending), _value(loaded)

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
