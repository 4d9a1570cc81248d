"""The projector: folds events into the sections of the plan, and writes the rows that changed.

`apply` works inside the caller's transaction, together with the position up to which the log was read. It keeps the rows it used in
memory; when the transaction does not commit, the caller must `forget()` them.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from sqlalchemy import Connection

from fhir_profiles.codes import CARE_TEAM, FRONT
from hub.log.envelope import LINKED, UNLINKED, Envelope, woman_key
from hub.log.keys import Erased, Keyring
from hub.log.zstd import ZSTD
from hub.plan import state, store
from hub.plan.relations import CONCEPTS as RELATED
from hub.plan.relations import relations
from hub.plan.section import Section
from hub.plan.state import Lines
from hub.plan.store import Row

CACHE_EVENTS: Final = 60_000
"""How many events the rows in memory may hold together, about 0.5 kB each."""

_Key = tuple[int, str, str]
"""Generation, subject, episode: what is loaded and kept together is the list of leaves; the leaves themselves come one by one."""


class Changed(NamedTuple):
    """One section of one pregnancy that an event changed."""

    subject: str
    episode: str
    section: str


@dataclass(slots=True)
class _Plan:
    """The rows of one woman and pregnancy: every leaf that exists, with its lines where they have been read."""

    leaves: dict[str, Lines | None]
    dirty: set[str] = field(default_factory=set)
    gone: set[str] = field(default_factory=set)

    def events(self) -> int:
        return sum(len(lines) for lines in self.leaves.values() if lines)


class Projector:
    """Folds events into rows. Not safe for several threads: each worker has one of its own."""

    def __init__(self, keyring: Keyring, sections: Mapping[str, Section], *, cache_events: int = CACHE_EVENTS) -> None:
        self._keyring = keyring
        self._sections = sections
        self._secret = keyring.secret("views")
        self._limit = cache_events
        self._plans: OrderedDict[_Key, _Plan] = OrderedDict()
        self._held = 0

    def apply(self, tx: Connection, generation: int, events: Sequence[Envelope]) -> set[Changed]:
        """Fold the events and write the rows that changed; returns which sections those are. Repeats and any order give the same rows.

        Events of unknown sections and of links between identities change nothing.
        """
        changed: set[Changed] = set()
        touched: dict[_Key, _Plan] = {}
        related: set[str] = set()
        for event in events:
            section = self._sections.get(event.section)
            if section is None or event.type in (LINKED, UNLINKED):
                continue
            key = (generation, event.subject, event.episode)
            plan = touched.get(key) or touched.setdefault(key, self._plan(tx, key))
            if self._fold(tx, key, plan, section, event):
                changed.add(Changed(event.subject, event.episode, event.section))
                if event.concept in RELATED:
                    related.add(event.subject)
        self._write(tx, generation, touched)
        for subject in sorted(related):
            store.save_relations(tx, generation, subject, relations(subject, self._evidence(tx, generation, subject)))
        self._trim()
        return changed

    def forget(self) -> None:
        """Drop all rows in memory; needed when the transaction of an `apply` was rolled back, or another process wrote the rows."""
        self._plans.clear()
        self._held = 0

    def _plan(self, tx: Connection, key: _Key) -> _Plan:
        plan = self._plans.get(key)
        if plan is None:
            plan = self._plans[key] = _Plan(dict.fromkeys(store.leaves(tx, *key)))
        else:
            self._plans.move_to_end(key)
        return plan

    def _fold(self, tx: Connection, key: _Key, plan: _Plan, section: Section, event: Envelope) -> bool:
        place = state.place_of(event)
        leaf = state.leaf_of(section.name, place, plan.leaves)
        lines = self._lines(tx, key, plan, leaf)
        if not state.add(lines, place, state.line_of(place, event, section.item(event))):
            return False
        plan.dirty.add(leaf)
        self._held += 1
        if len(lines) > state.LEAF:
            self._split(plan, leaf, lines)
        return True

    def _split(self, plan: _Plan, leaf: str, lines: Lines) -> None:
        parts = state.split(leaf, lines)
        if leaf not in parts:
            del plan.leaves[leaf]
            plan.dirty.discard(leaf)
            plan.gone.add(leaf)
        plan.leaves.update(parts)
        plan.dirty.update(parts)

    def _lines(self, tx: Connection, key: _Key, plan: _Plan, leaf: str) -> Lines:
        """The lines of a leaf, read when they are not in memory; a new leaf is empty."""
        lines = plan.leaves.get(leaf)
        if lines is None:
            lines = self._read(tx, key, leaf) if leaf in plan.leaves else {}
            plan.leaves[leaf] = lines
            self._held += len(lines)
        return lines

    def _read(self, tx: Connection, key: _Key, leaf: str) -> Lines:
        body = store.body(tx, *key, leaf)
        _, subject, episode = key
        if body is None:
            return {}
        try:
            return state.decode(opened_row(self._keyring, subject, episode, leaf, body))
        except Erased:
            # What was sealed is gone on purpose; what comes after the erasure begins anew.
            return {}

    def _write(self, tx: Connection, generation: int, touched: Mapping[_Key, _Plan]) -> None:
        rows, gone = [], []
        for (_, subject, episode), plan in touched.items():
            gone += [(subject, episode, leaf) for leaf in plan.gone]
            rows += [self._row(subject, episode, leaf, lines) for leaf in plan.dirty if (lines := plan.leaves[leaf]) is not None]
            plan.dirty.clear()
            plan.gone.clear()
        store.drop(tx, generation, gone)
        store.save(tx, generation, rows)

    def _row(self, subject: str, episode: str, leaf: str, lines: Lines) -> Row:
        plain = state.encode(lines)
        return sealed_row(self._keyring, self._secret, subject, episode, leaf, plain, len(lines))

    def _evidence(self, tx: Connection, generation: int, subject: str) -> Iterable[tuple[str, state.Version]]:
        """All versions of the sections that show treatment relations, over all pregnancies of the woman."""
        for episode in store.episodes(tx, generation, subject):
            key = (generation, subject, episode)
            plan = self._plan(tx, key)
            for leaf in [leaf for leaf in plan.leaves if state.section_of(leaf) in (FRONT, CARE_TEAM)]:
                for version in state.versions(state.encode(self._lines(tx, key, plan, leaf))):
                    yield episode, version

    def _trim(self) -> None:
        """Forget the plans used longest ago, until the rest fits the limit."""
        while self._held > self._limit and len(self._plans) > 1:
            _, plan = self._plans.popitem(last=False)
            self._held -= plan.events()


def view_key(subject: str) -> str:
    """The name of the data key that seals a woman's views."""
    return woman_key(subject)


def bound_to(subject: str, episode: str, leaf: str) -> bytes:
    """What a sealed row is bound to, so that no row can stand in for another."""
    return f"{subject}/{episode}/{leaf}".encode()


def etag_of(plain: bytes, secret: bytes) -> bytes:
    """The keyed hash of a row, 16 bytes: equal rows can be told without opening them, and nothing can be guessed from it."""
    return hashlib.blake2b(plain, key=secret, digest_size=16).digest()


def sealed_row(keyring: Keyring, secret: bytes, subject: str, episode: str, leaf: str, plain: bytes, events: int) -> Row:
    """A row as it is kept: compressed, because five times fewer bytes are sealed, written and read; then sealed."""
    body = keyring.seal(view_key(subject), _smaller(plain), bound_to(subject, episode, leaf))
    return Row(subject, episode, leaf, etag_of(plain, secret), events, body)


def _smaller(plain: bytes) -> bytes:
    """Compressed, where that is worth the time of every reader. A state is a JSON array, so its first byte tells which it is."""
    return plain if len(plain) < _SMALL else ZSTD.quick.compress(plain)


def opened_row(keyring: Keyring, subject: str, episode: str, leaf: str, body: bytes) -> bytes:
    """The plain state of a row. Raises `Erased` when its key was destroyed, `Unavailable` when it is not the row that it says."""
    plain = keyring.open(view_key(subject), body, bound_to(subject, episode, leaf))
    if plain.startswith(b"["):
        return plain
    return ZSTD.expand.decompress(plain, max_output_size=_LIMIT)


_LIMIT: Final = 64 * 1024 * 1024
_SMALL: Final = 2_048
