"""What a source brings: a way in, and a pure mapping of its words to FHIR R4.

A new source is one new folder: `source.py` (how its messages come in), `mapping.py` (a `Mapping`), `codes.py`, `simulator.py` and a
README. `tests/contracts/test_connector.py` finds it and tries the contract on it.

A mapping is a function of the bytes and of `Facts`: it reads no clock, file, socket or setting. It does not know pseudonyms: people,
dossiers and resources have local names inside one message, and the mapper puts the real ids in (`hub/mapper/finish.py`).
"""

from __future__ import annotations

from collections.abc import Mapping as Dict
from dataclasses import dataclass, field
from typing import Any, Protocol

from fhir_profiles.identifiers import Bsn


@dataclass(frozen=True, slots=True)
class Source:
    """A registered sender: which connector speaks for it and which organisation it is.

    `organisation_type` is the Dutch code (G3 midwifery practice, V4 hospital, K4 maternity care). `senders` are the MSH-3/MSH-4
    pairs under which it sends HL7 v2; `client_id` is its id as an OAuth client.
    """

    connector: str
    ura: str
    organisation: str
    organisation_type: str
    senders: tuple[tuple[str, str], ...] = ()
    client_id: str = ""

    @property
    def id(self) -> str:
        """The name of the source in logs and ledger: connector and URA."""
        return f"{self.connector}/{self.ura}"


@dataclass(frozen=True, slots=True)
class Facts:
    """What a mapping may know besides the bytes."""

    source: str
    ura: str
    organisation: str
    media_type: str
    received_at: str
    """UTC, ISO 8601: the only clock a mapping has, for messages that carry no time of their own."""


@dataclass(frozen=True, slots=True)
class Person:
    """Someone in the message. `kind` is woman, child or fetus; `local` is its name within the message.

    Exactly one woman a message: a message about two women is refused as a whole. `of` names the woman for a child or fetus, `key`
    is the sender's own identifier, used to know a child or fetus (or a woman without BSN) again.
    """

    local: str
    kind: str
    bsn: Bsn | None = None
    key: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Dossier:
    """One organisation's record of one pregnancy (EpisodeOfCare, or a pregnancy Condition). Dates are ISO text as precise as given."""

    local: str
    key: tuple[str, ...]
    status: str
    """active or finished."""
    due: str = ""
    gravidity: int | None = None
    started: str = ""
    ended: str = ""


@dataclass(frozen=True, slots=True)
class Fact:
    """One R4 resource, without id, subject and links to others: those are put in when the ids are known.

    `identity` are the parts that know the resource again within its sender: a business identifier, or concept, time and focus.
    `version` is sortable text (a UTC time): what the source says later wins. `effective` is the clinical time as precise as given.
    `links` maps a dotted path in the resource ("participant.0.member") to the local name that it must refer to.
    `paths` maps dotted paths of produced values to the path into the bytes ("valueQuantity.value" → "OBX[1]-5").
    """

    resource: dict[str, Any]
    about: str
    identity: tuple[str, ...]
    version: str
    concept: str
    effective: str = ""
    dossier: str = ""
    local: str = ""
    links: Dict[str, str] = field(default_factory=dict)
    paths: Dict[str, str] = field(default_factory=dict)
    withdrawn: bool = False


@dataclass(frozen=True, slots=True)
class Left:
    """Something in the message that became no fact: `path` into the bytes, and the rule that ignores it or the reason it waits.

    `value` is what stood there (residue only; it stays in the hub). `code` is a short stable name for the reason.
    """

    path: str
    why: str
    code: str = ""
    value: str = ""


@dataclass(frozen=True, slots=True)
class Mapped:
    """What one message says: people, dossiers and facts; and all that did not become a fact, each with its reason."""

    people: tuple[Person, ...] = ()
    dossiers: tuple[Dossier, ...] = ()
    facts: tuple[Fact, ...] = ()
    residue: tuple[Left, ...] = ()
    ignored: tuple[Left, ...] = ()
    refused: tuple[Left, ...] = ()


class Mapping(Protocol):
    """A pure mapping of one kind of message, with a name and a version."""

    @property
    def name(self) -> str:
        """The name of the connector it belongs to."""

    @property
    def version(self) -> int:
        """Raised with every change of what comes out."""

    @property
    def kind(self) -> str:
        """What `ooievaar map` calls this kind of message: hl7v2, fhir-stu3, fhir-r4."""

    def recognises(self, body: bytes) -> bool:
        """Whether the bytes look like this kind of message; quick, never raises."""

    def peek_bsn(self, body: bytes) -> str | None:
        """The digits of the woman's BSN when they can be seen without parsing; quick, never raises. May be wrong: only a hint for the key."""

    def to_fhir(self, body: bytes, facts: Facts) -> Mapped:
        """All that the message says. Raises `Refused` (with path and code) when the message as a whole cannot be taken."""
