"""The envelope of an event, and how the events of one message become one sealed record.

CloudEvents attributes in the clear, the FHIR resources sealed. One record packs the events that one message made for one woman,
pregnancy and sensitivity class: one seal, one compression, one row or Kafka record, ids inside (measured: half the bytes and a
third more throughput than a record an event).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import orjson

from fhir_profiles.identifiers import digest
from hub.log.port import Record
from hub.log.upcast import SCHEMA, upcast
from hub.log.zstd import ZSTD

RECORDED: Final = "resource-recorded"
WITHDRAWN: Final = "resource-withdrawn"
LINKED: Final = "identities-linked"
UNLINKED: Final = "identities-unlinked"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a value came from: the place and id of the message in `received`, the mapping that read it, the paths into its bytes.

    `heard` is when the message came in (UTC), so that every process can tell how long it took to become visible.
    """

    place: str
    message: str
    mapping: str
    paths: dict[str, str] = field(default_factory=dict)
    heard: str = ""


@dataclass(frozen=True, slots=True)
class Envelope:
    """One event: one change of one FHIR R4 resource, about one subject, in one woman's plan.

    `subject` is the pseudonym of the woman whose plan it is, `about` the woman, fetus or child that the fact concerns, `episode` the
    pregnancy (empty: none known). `effective` is the clinical time with the precision that the source gave (empty: not said).
    `version` orders what one source says of one resource: later text wins. `recorded` and the times in `version` are UTC.
    """

    id: str
    type: str
    source: str
    subject: str
    about: str
    episode: str
    recorded: str
    effective: str
    identity: str
    version: str
    concept: str
    section: str
    sensitivity: str
    origin: Origin
    resource: dict[str, Any]
    trace: str = ""
    written: bytes = field(default=b"", compare=False, repr=False)
    """The resource as JSON, where whoever made the event has it at hand: then it need not be written again to be packed."""


class Seal(Protocol):
    """What packing asks of the keyring."""

    def ensure(self, names: Iterable[str]) -> None:
        """Have these keys ready: makes those that are missing, all in one durable write."""

    def seal(self, name: str, plain: bytes, bound: bytes) -> bytes:
        """Encrypt under the named key; `bound` is authenticated with it."""

    def open(self, name: str, sealed: bytes, bound: bytes) -> bytes:
        """Decrypt; raises `Erased` when the key was destroyed."""


def woman_key(subject: str) -> str:
    """The data key for what is about the woman and no one pregnancy: her messages as they came, her identity, her views."""
    return key_name(subject, "", "C1")


def key_name(subject: str, episode: str, sensitivity: str) -> str:
    """The data key for a woman, pregnancy and class: what erasure destroys. C0 and C1 share one."""
    return f"{subject}/{episode or '-'}/{'C1' if sensitivity in ('C0', 'C1') else sensitivity}"


_LIMIT: Final = 64 * 1024 * 1024


def pack(events: Iterable[Envelope], seal: Seal) -> list[Record]:
    """The records for the events of one message, in a fixed order; their ids follow from the ids of the events."""
    groups: dict[str, list[Envelope]] = {}
    for event in events:
        groups.setdefault(key_name(event.subject, event.episode, event.sensitivity), []).append(event)
    return [_record(name, groups[name], seal) for name in sorted(groups)]


def _record(name: str, events: list[Envelope], seal: Seal) -> Record:
    first = events[0]
    record_id = digest("record", *(event.id for event in events))
    attributes = {  # the id stands beside them in the record
        "source": first.source,
        "subject": first.subject,
        "episode": first.episode,
        "time": first.recorded,
        "events": str(len(events)),
        "class": name.rpartition("/")[2],  # the rest of the name of the key is said by subject and episode
        "schema": str(SCHEMA),
        "origin": first.origin.place,
        "mapping": first.origin.mapping,
        "heard": first.origin.heard,
        "traceparent": first.trace,
    }
    rows = [
        [e.id, e.type, e.about, e.effective, e.identity, e.version, e.concept, e.section, e.sensitivity,
         e.origin.message, e.origin.paths, orjson.Fragment(e.written) if e.written else e.resource]
        for e in events
    ]
    plain = ZSTD.compress.compress(orjson.dumps(rows))
    return Record(record_id, first.subject, that_say(attributes), seal.seal(name, plain, record_id.encode()))


def that_say(attributes: dict[str, str]) -> dict[str, str]:
    """The attributes that say something: an empty one would cost bytes in every record."""
    return {attribute: value for attribute, value in attributes.items() if value}


def unpack(record: Record, seal: Seal) -> list[Envelope]:
    """The events of a record, of whatever schema it was written in. Raises `Erased` when its key was destroyed."""
    a = record.attributes
    plain = ZSTD.expand.decompress(seal.open(key_name(a["subject"], a.get("episode", ""), a["class"]), record.body, record.id.encode()), max_output_size=_LIMIT)
    rows = upcast(int(a["schema"]), orjson.loads(plain))
    source, subject, episode, time, mapping = a["source"], a["subject"], a.get("episode", ""), a["time"], a.get("mapping", "")
    place, heard, trace = a.get("origin", ""), a.get("heard", ""), a.get("traceparent", "")
    return [
        Envelope(i, kind, source, subject, about, episode, time, effective, identity, version, concept, section, sensitivity,
                 Origin(place, message, mapping, paths, heard), resource, trace)
        for i, kind, about, effective, identity, version, concept, section, sensitivity, message, paths, resource in rows
    ]
