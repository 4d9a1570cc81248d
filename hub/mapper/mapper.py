"""One batch of received messages becomes records of events, held parts and ledger counts, inside the caller's transaction.

Each message ends in exactly one class of the ledger: held when any part of it waits, else recorded when it made an event, else
unchanged when it said only what was known, else ignored. A message that cannot be mapped is held with its reason and the rest go on.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from collections.abc import Mapping as Dict
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import orjson
import structlog
from sqlalchemy import Connection, update

from connectors.contract import Facts, Left, Mapped, Mapping, Source
from fhir_profiles import check, codes
from fhir_profiles.errors import BirthCareError, Refused, Unknown
from fhir_profiles.identifiers import digest
from hub.log.envelope import LINKED, RECORDED, WITHDRAWN, Envelope, Origin, Seal, key_name, pack, woman_key
from hub.log.keys import Erased
from hub.log.port import Record, Stored
from hub.log.received import Incoming, to_incoming
from hub.mapper.finish import Names, finish, identity_of, names_of
from hub.mapper.memory import Memory, Told
from hub.tables import freshness, held, ledger, residue
from hub.upsert import add_up, replace

log = structlog.get_logger(__name__)

_PLACE_NUMBER: Final = re.compile(r"\[\d+\]")

CLASSES: Final = ("received", "recorded", "unchanged", "ignored", "held", "events")


class Resolved(Protocol):
    """What the mapper asks of a resolved message."""

    @property
    def subject(self) -> str: ...
    @property
    def people(self) -> Dict[str, str]: ...
    @property
    def links(self) -> Sequence[Any]: ...
    def episode(self, dossier: str, effective: str) -> str: ...


class Identities(Protocol):
    """What the mapper asks of identity; `hub.identity.people.Identities` answers."""

    def subject_of(self, source: str, mapped: Mapped) -> str: ...
    def begin(self, tx: Connection, subjects: Any) -> None: ...
    def resolve(self, source: str, subject: str, mapped: Mapped) -> Resolved: ...
    def finish(self, tx: Connection) -> None: ...
    def committed(self) -> None: ...


@dataclass(slots=True)
class _Message:
    """One message on its way through a batch."""

    stored: Stored
    incoming: Incoming | None = None
    mapping: str = ""
    subject: str = ""
    mapped: Mapped | None = None
    waiting: list[Left] = field(default_factory=list)
    events: list[Envelope] = field(default_factory=list)
    unchanged: int = 0

    @property
    def source(self) -> str:
        return self.stored.record.attributes["source"]

    @property
    def day(self) -> str:
        return self.stored.record.attributes["time"][:10]

    def outcome(self) -> str:
        """The one class of the ledger that this message counts in."""
        if self.waiting:
            return "held"
        if self.events:
            return "recorded"
        return "unchanged" if self.unchanged else "ignored"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a batch became: records to append and the events in them, in order."""

    records: list[Record]
    events: list[Envelope]


@dataclass
class Mapper:
    """Maps batches. `sources` are the registered senders by id, `mappings` the mapping of each connector, `clock` gives UTC ISO text."""

    mappings: Dict[str, Mapping]
    sources: Dict[str, Source]
    identities: Identities
    seal: Seal
    memory_key: bytes
    clock: Callable[[], str]

    def take(self, tx: Connection, batch: Sequence[Stored]) -> Outcome:
        """Map a batch; writes memory, identities, held parts, ledger and freshness through `tx`, and returns what to append."""
        messages = [self._read(stored) for stored in self._once(batch)]
        outcome, now = self._map(tx, messages)
        self._account(tx, messages, now)
        return outcome

    def again(self, tx: Connection, stored: Stored) -> Outcome:
        """Map a held message once more: what waited is settled, what still waits stays, and its place in the balance moves."""
        message = self._read(stored)
        outcome, now = self._map(tx, [message])
        waited = tx.execute(update(held).where(held.c.message == stored.record.id, held.c.state != "dismissed", held.c.state != "settled")
                            .values(state="settled", settled_at=now, settled_why="mapped again")).rowcount
        self._account(tx, [message], now, moved=-1 if waited else 0)
        return outcome

    def _map(self, tx: Connection, messages: list[_Message]) -> tuple[Outcome, str]:
        mapped = [m for m in messages if m.mapped is not None]
        self.identities.begin(tx, [m.subject for m in mapped if m.subject])
        prepared = [(m, *self._prepare(m)) for m in mapped]
        memory = Memory(self.memory_key)
        memory.begin(tx, [identity for _, _, _, identities in prepared for identity in identities])
        now = self.clock()
        for message, resolved, names, identities in prepared:
            message.events = self._events(message, resolved, names, identities, memory, now)
        made = [event for message in messages for event in message.events]
        self.seal.ensure({key_name(e.subject, e.episode, e.sensitivity) for e in made} | {woman_key(e.subject) for e in made})
        records = [record for message in messages for record in pack(message.events, self.seal)]
        memory.finish(tx)
        self.identities.finish(tx)
        return Outcome(records, made), now

    def committed(self) -> None:
        """The transaction of the last batch is durable."""
        self.identities.committed()

    @staticmethod
    def _once(batch: Sequence[Stored]) -> list[Stored]:
        # A producer that lost its answer sends the same record again, right behind the first.
        return list({stored.record.id: stored for stored in reversed(batch)}.values())[::-1]

    def _read(self, stored: Stored) -> _Message:
        """Open and map one message; whatever goes wrong becomes its reason to wait."""
        message = _Message(stored)
        try:
            message.incoming = incoming = to_incoming(stored.record, self.seal)
            mapping, source = self._of(incoming)
            message.mapping = f"{mapping.name}@{mapping.version}"
            facts = Facts(source.id, source.ura, source.organisation, incoming.media_type, incoming.received_at)
            mapped = mapping.to_fhir(incoming.body, facts)
            if mapped.facts or mapped.people:
                message.subject = self.identities.subject_of(message.source, mapped)
            message.mapped = mapped
            message.waiting.extend(mapped.refused)
        except Erased:
            message.mapped = None  # Her key is gone: there is nothing left to map, and nothing waits.
        except Refused as refusal:
            message.waiting.append(Left(refusal.path, refusal.public, refusal.code))
        except BirthCareError:
            raise
        except Exception as fault:
            # A fault of ours must not stop the lane: the message waits, and the operator is told.
            log.error("mapping_failed", record_id=stored.record.id, connector=stored.record.attributes.get("connector", ""), error_type=type(fault).__name__)
            message.waiting.append(Left("", "the mapping failed; this is a fault of the hub", "mapping-fault"))
        return message

    def _of(self, incoming: Incoming) -> tuple[Mapping, Source]:
        mapping, source = self.mappings.get(incoming.connector), self.sources.get(incoming.source)
        if mapping is None or source is None:
            raise Unknown("the sender is not registered (any more)", code="source-unknown")
        return mapping, source

    def _prepare(self, message: _Message) -> tuple[Resolved | None, Names | None, list[str]]:
        assert message.mapped is not None
        if not message.subject:
            return None, None, []
        resolved = self.identities.resolve(message.source, message.subject, message.mapped)
        kinds = {p.local: p.kind for p in message.mapped.people}
        names = names_of(message.source, resolved.subject, resolved.people, kinds, message.mapped.facts)
        return resolved, names, [identity_of(message.source, resolved.subject, fact) for fact in message.mapped.facts]

    def _events(self, message: _Message, resolved: Resolved | None, names: Names | None, identities: list[str], memory: Memory,
                now: str) -> list[Envelope]:
        if resolved is None or names is None or message.mapped is None:
            return []
        attributes = message.stored.record.attributes
        origin = Origin(str(message.stored.place), message.stored.record.id, message.mapping, heard=attributes["time"])
        trace = attributes.get("traceparent", "")
        events = [self._linked(message, resolved, link, origin, now) for link in resolved.links]
        for fact, identity in zip(message.mapped.facts, identities, strict=True):
            concept = codes.BY_NAME[fact.concept]
            resource = finish(fact, identity, names)
            written = check.written(resource)
            if written is None:
                message.waiting.append(_misfit(resource, fact.paths))
                continue
            content = orjson.dumps([fact.about if fact.about in resolved.people else "", fact.withdrawn, orjson.Fragment(written)])
            mark = memory.mark(content)
            episode = memory.episode(identity, resolved.episode(fact.dossier, fact.effective))
            told, version = memory.tell(identity, fact.version, mark, episode, resource)
            if told is Told.UNCHANGED:
                message.unchanged += 1
                continue
            kind = WITHDRAWN if fact.withdrawn else RECORDED
            events.append(Envelope(
                digest(message.source, identity, version, mark, kind), kind, message.source, resolved.subject,
                resolved.people.get(fact.about, resolved.subject), episode, now, fact.effective, identity, version, concept.name, concept.section,
                concept.sensitivity, Origin(origin.place, origin.message, origin.mapping, dict(fact.paths), origin.heard), resource, trace, written,
            ))
        return events

    @staticmethod
    def _linked(message: _Message, resolved: Resolved, link: Any, origin: Origin, now: str) -> Envelope:
        """The event that a dossier joined a pregnancy: laid down so that a later event can take it back."""
        resource = {"dossier": link.dossier, "episode": link.episode, "why": link.why}
        return Envelope(
            digest(message.source, link.dossier, link.episode, LINKED), LINKED, message.source, resolved.subject, resolved.subject, link.episode,
            now, "", link.dossier, now, "dossier", codes.FRONT, "C0", origin, resource, message.stored.record.attributes.get("traceparent", ""),
        )

    def _account(self, tx: Connection, messages: list[_Message], now: str, *, moved: int | None = None) -> None:
        """Write the balance: one class a message, and each part that waits. `moved` is set when messages are mapped again: they were received before."""
        counts: Counter[tuple[str, str, str]] = Counter()
        latest: dict[str, dict[str, str]] = {}
        waiting: list[dict[str, Any]] = []
        left_over: Counter[tuple[str, str, str]] = Counter()
        for m in messages:
            if moved is None:
                counts[m.source, m.day, "received"] += 1
            else:
                counts[m.source, m.day, "held"] += moved
            counts[m.source, m.day, m.outcome()] += 1
            counts[m.source, m.day, "events"] += len(m.events)
            a = m.stored.record.attributes
            latest[m.source] = {"source": m.source, "connector": a["connector"], "received_at": a["time"], "mapped_at": now}
            waiting.extend(_held_row(m, left, now) for left in m.waiting)
            if m.mapped is not None:
                left_over.update((m.source, m.mapping, _PLACE_NUMBER.sub("", left.path)) for left in m.mapped.residue)
        days = sorted({(source, day) for source, day, _ in counts})
        add_up(tx, ledger, [{"source": s, "day": d, **{c: counts[s, d, c] for c in CLASSES}} for s, d in days])
        replace(tx, freshness, [latest[source] for source in sorted(latest)])
        replace(tx, held, waiting)
        add_up(tx, residue, [{"source": s, "mapping": m, "path": p, "n": n} for (s, m, p), n in sorted(left_over.items())])


def _misfit(resource: dict[str, Any], paths: Dict[str, str]) -> Left:
    """The first fault that the R4 check finds, with its path in the bytes when that is known."""
    found = check.problems(resource)
    place, expected = (found[0].path, found[0].expected) if found else (str(resource.get("resourceType", "")), "a valid resource")
    inside = place.partition(".")[2]
    return Left(paths.get(inside, place), f"does not fit FHIR R4: {expected}", "r4-check")


def _held_row(message: _Message, left: Left, now: str) -> dict[str, Any]:
    record, place = message.stored.record, message.stored.place
    return {
        "id": digest(record.id, left.path, left.code, left.why), "message": record.id, "partition": place.partition, "offset": place.offset,
        "source": message.source, "day": message.day, "connector": record.attributes["connector"], "code": left.code or "refused",
        "reason": left.why, "path": left.path, "at": now, "state": "waiting", "settled_at": None, "settled_why": None,
    }
