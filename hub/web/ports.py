"""What the pages ask of the hub, and nothing more. `hub/web/site.py` answers it from the door and the views.

Every method that gives client data takes the `Asker` and goes through the door: it decides, records, and only then hands over.
It raises `Forbidden` (with the reason code in `.code`) when nothing opens and `Missing` when there is no such plan.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from authz.ask import Asker
from hub.plan.plan import Plan


@dataclass(frozen=True, slots=True)
class ClientRow:
    """One line of a caregiver's work list. `birth_date` and `due` are ISO text, "" when unknown; `phase` as in `Plan`."""

    subject: str
    episode: str
    name: str
    birth_date: str = ""
    due: str = ""
    phase: str = "unknown"
    conflicts: int = 0
    updated: str = ""


@dataclass(frozen=True, slots=True)
class TrailLine:
    """One line of her access list. `seq` counts up without gaps; `sections` are names; `reason` the code that decided.

    `allowed` tells whether anything was shown, `own` that it was she herself. `kind` is plan, list (she stood in a work list), trail or
    open (a page stayed open and was told of changes, without content).
    """

    seq: int
    at: str
    who: str
    role: str
    organisation: str
    sections: tuple[str, ...]
    purpose: str
    allowed: bool
    reason: str
    kind: Literal["plan", "list", "trail", "open"] = "plan"
    own: bool = False


@dataclass(frozen=True, slots=True)
class TrailPage:
    """Lines of her list, newest first. `before` is the cursor of the next page, 0 when this is the last."""

    lines: tuple[TrailLine, ...]
    before: int = 0


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """What an auditor searches for. Empty text means no limit; `since`/`until` are days (ISO), both included; `before` is a cursor."""

    who: str = ""
    about: str = ""
    kind: Literal["all", "refused"] = "all"
    since: str = ""
    until: str = ""
    before: int = 0
    limit: int = 100


@dataclass(frozen=True, slots=True)
class AuditRow:
    """One entry of the audit trail as an auditor sees it: people by name, the woman by pseudonym only."""

    seq: int
    at: str
    who: str
    role: str
    organisation: str
    about: str
    what: tuple[str, ...]
    purpose: str
    allowed: bool
    reason: str
    interaction: str = ""


@dataclass(frozen=True, slots=True)
class AuditPage:
    """Entries, newest first. `before` is the cursor of the next page, 0 when this is the last."""

    rows: tuple[AuditRow, ...]
    before: int = 0


@dataclass(frozen=True, slots=True)
class SourceStatus:
    """How one source is doing. `state` is running, silent or never; `last` is UTC text, "" when nothing ever came.

    `kind` is how it speaks (HL7 v2), `today` the messages of this day, `held` the parts of messages that wait.
    """

    source: str
    name: str
    kind: str
    state: Literal["running", "silent", "never"]
    last: str = ""
    today: int = 0
    held: int = 0


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """The balance of one source and day, counted in messages."""

    source: str
    day: str
    received: int
    recorded: int
    unchanged: int
    ignored: int
    held: int

    @property
    def difference(self) -> int:
        """Messages received that are in none of the other columns. Zero on a closed day, or something is lost."""
        return self.received - self.recorded - self.unchanged - self.ignored - self.held


@dataclass(frozen=True, slots=True)
class HeldRow:
    """Messages of one source that wait for the same reason. `reason` is its code, `words` says it in Dutch, `path` is the place."""

    source: str
    reason: str
    words: str
    path: str
    count: int
    oldest: str


@dataclass(frozen=True, slots=True)
class Load:
    """How busy the hub is: messages that wait to be mapped, and whether acknowledgements are slowed because of it."""

    waiting: int = 0
    slowed: bool = False


@dataclass(frozen=True, slots=True)
class ConsentRow:
    """Her answer about one organisation: yes, no, or unknown while she has not chosen."""

    ura: str
    organisation: str
    organisation_type: str
    answer: Literal["yes", "no", "unknown"]
    since: str = ""


@dataclass(frozen=True, slots=True)
class Message:
    """One message for the start page of the demo: never a person or a value. `kind` is how the source speaks, `facts` what it became."""

    at: str
    source: str
    kind: str
    outcome: Literal["recorded", "held"]
    facts: int = 0


@dataclass(frozen=True, slots=True)
class Pulse:
    """What the demo's start page shows of the flow: counts and the last messages."""

    received: int
    recorded: int
    held: int
    sources: tuple[SourceStatus, ...] = ()
    messages: tuple[Message, ...] = ()


class Site(Protocol):
    """All that the pages need from the hub."""

    async def own_plan(self, asker: Asker) -> Plan:
        """Her own plan of the present pregnancy."""

    async def overview(self, asker: Asker, subject: str, episode: str) -> Plan:
        """The plan as far as this caregiver may see it; `episode` "" means the present pregnancy."""

    async def work_list(self, asker: Asker) -> Sequence[ClientRow]:
        """The clients that this caregiver may see, and no others."""

    async def trail(self, asker: Asker, before: int) -> TrailPage:
        """Who looked at her plan, newest first, refusals included; `before` is a cursor, 0 to begin."""

    async def audit_search(self, asker: Asker, wanted: AuditFilter) -> AuditPage:
        """Entries for an auditor; the search itself is recorded."""

    async def audit_export(self, asker: Asker, wanted: AuditFilter, form: Literal["bundle", "csv"]) -> AsyncIterator[bytes]:
        """The same entries as a FHIR Bundle or CSV; decided and recorded before the first byte."""

    async def sharing(self, asker: Asker) -> Sequence[ConsentRow]:
        """Her answers, one for every organisation that may ask."""

    async def answer(self, asker: Asker, ura: str, yes: bool) -> None:
        """Record her answer about one organisation. `Missing` when the hub does not know it."""

    async def follow(self, asker: Asker, subject: str, episode: str, since: str) -> AsyncIterator[str]:
        """Versions of her plan that differ from `since`, as they come; decided and recorded before the first. No content."""

    async def version(self, subject: str, episode: str) -> str:
        """The version that a page should name when it starts to follow; asked before the plan is read."""

    async def sources(self) -> Sequence[SourceStatus]:
        """Every registered source."""

    async def ledger(self) -> Sequence[LedgerRow]:
        """The balance per source and day, newest day first."""

    async def held(self) -> Sequence[HeldRow]:
        """What waits, grouped by source, reason and place."""

    async def load(self) -> Load:
        """How busy the hub is now."""

    async def pulse(self) -> Pulse:
        """Counts and last messages for the demo's start page."""
