"""From the people and dossiers of one message to subjects and pregnancies, within the mapper's transaction.

A woman with a BSN is the same woman everywhere. Without one she is known by her sender's own number only: never merged by likeness.
A fetus is known per source (each source numbers its own), a child by BSN or by its sender's number.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import orjson
from sqlalchemy import Connection

from connectors.contract import Dossier, Mapped, Person
from fhir_profiles.errors import Invalid
from fhir_profiles.identifiers import Bsn, digest
from hub.identity.pregnancies import Pregnancy, WomanState, episode_on, join
from hub.identity.vault import Vault
from hub.log.envelope import Seal, woman_key
from hub.tables import woman
from hub.upsert import look_up, replace

_EMPTY: Final = WomanState()


@dataclass(frozen=True, slots=True)
class Link:
    """A dossier that joined a pregnancy, or began one, and why."""

    dossier: str
    episode: str
    why: str


@dataclass(frozen=True, slots=True)
class Resolved:
    """Who and what a message is about: the woman, the subject behind each local name, and the pregnancy of each dossier."""

    subject: str
    people: Mapping[str, str]
    dossiers: Mapping[str, str]
    links: tuple[Link, ...]
    state: WomanState

    def episode(self, dossier: str, effective: str) -> str:
        """The pregnancy of a fact: its dossier's, else the one that its date falls in."""
        return self.dossiers[dossier] if dossier in self.dossiers else episode_on(self.state, effective)


@dataclass
class Identities:
    """Resolves the messages of one batch. `begin` reads what is known of the women in it, `finish` writes what changed."""

    vault: Vault
    seal: Seal
    key: bytes
    _states: dict[str, WomanState] = field(default_factory=dict)
    _changed: set[str] = field(default_factory=set)
    _bsns: dict[str, Bsn] = field(default_factory=dict)

    def subject_of(self, source: str, mapped: Mapped) -> str:
        """The pseudonym of the one woman in a message. Raises `Invalid` when there is none, or more than one."""
        women = [p for p in mapped.people if p.kind == "woman"]
        if len(women) != 1:
            raise Invalid("a message is about exactly one woman", code="two-persons" if women else "no-person")
        return self._subject(source, women[0])

    def begin(self, tx: Connection, subjects: Iterable[str]) -> None:
        """Read the women of a batch, and keep their rows to ourselves until the transaction ends."""
        self._states, self._changed = {}, set()
        for subject, body in look_up(tx, woman, ("subject", "body"), subjects, hold=True):
            plain = self.seal.open(woman_key(subject), bytes(body), subject.encode())
            self._states[subject] = WomanState.from_json(orjson.loads(plain))

    def resolve(self, source: str, subject: str, mapped: Mapped) -> Resolved:
        """Subjects and pregnancies for one message about `subject`; what it teaches is remembered for the rest of the batch."""
        state = self._states.get(subject, _EMPTY)
        dossiers: dict[str, str] = {}
        links: list[Link] = []
        for dossier in mapped.dossiers:
            dossier_id = digest("dossier", source, subject, *dossier.key)
            outcome = join(state, subject, dossier_id, _said(dossier))
            if dossier_id not in state.dossiers:
                links.append(Link(dossier_id, outcome.episode, outcome.why))
            state = outcome.state
            dossiers[dossier.local] = outcome.episode
        if state != self._states.get(subject, _EMPTY):
            self._states[subject] = state
            self._changed.add(subject)
        people = self._people(source, subject, mapped.people, dossiers, state)
        return Resolved(subject, people, dossiers, tuple(links), state)

    def finish(self, tx: Connection) -> None:
        """Write what the batch taught: states that changed, and BSNs that the vault did not have."""
        rows = [
            {"subject": s, "body": self.seal.seal(woman_key(s), orjson.dumps(self._states[s].to_json()), s.encode())}
            for s in sorted(self._changed)
        ]
        replace(tx, woman, rows)
        self.vault.remember(tx, self._bsns)

    def committed(self) -> None:
        """The transaction of the batch is durable."""
        self.vault.committed(self._bsns)
        self._bsns = {}

    def _subject(self, source: str, person: Person) -> str:
        if person.bsn is not None:
            subject = str(self.vault.subject(person.bsn))
            self._bsns[subject] = person.bsn
            return subject
        if not person.key:
            raise Invalid("a person has neither a BSN nor a number of the sender", code="no-identifier")
        return self._keyed("person", source, *person.key)

    def _people(self, source: str, subject: str, people: Sequence[Person], dossiers: Mapping[str, str], state: WomanState) -> dict[str, str]:
        episode = next(iter(dossiers.values()), "") or episode_on(state, "")
        found: dict[str, str] = {}
        for person in people:
            if person.kind == "woman":
                found[person.local] = subject
            elif person.kind == "fetus":
                found[person.local] = self._keyed("fetus", source, subject, episode, *person.key)
            elif person.bsn is not None:
                found[person.local] = self._subject(source, person)
            else:
                found[person.local] = self._keyed("child", source, subject, *person.key)
        return found

    def _keyed(self, *parts: str) -> str:
        # A sender's own numbers are short: without the key their digest could be guessed back.
        return hmac.digest(self.key, digest(*parts).encode(), "sha256").hex()[:32]


def _said(dossier: Dossier) -> Pregnancy:
    return Pregnancy("", dossier.status, dossier.due, dossier.gravidity, dossier.started, dossier.ended)
