"""The projector: folds events into the sections of the plan, and writes the rows that changed.

`apply` works inside the caller's transaction, together with the position up to which the log was read. It keeps the rows it used in
memory; when the transaction does not commit, the caller must `forget()` them.
"""

from __future__ import annotations

import hashlib
from bisect import insort
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

CACHE_WOMEN: Final = 20_000
"""Of how many women the names of the rows may be in memory, some 2 kB each."""

_Woman = tuple[int, str]
"""Generation and subject."""

_Leaf = tuple[str, str, str]
"""Subject, episode, leaf."""


class Changed(NamedTuple):
    """One section of one pregnancy that an event changed."""

    subject: str
    episode: str
    section: str


class _Part(NamedTuple):
    """The section that the events of one message go to, and what they share: they stay together in one leaf."""

    subject: str
    episode: str
    section: str
    place: bytes


_Facts = dict[_Part, list[tuple[Envelope, bytes]]]
"""The events of a batch with their places, by section and message, so that a leaf is looked for once for all of them."""


@dataclass(slots=True)
class _Batch:
    """What one `apply` is doing: the leaves that changed, and those that were split and are no more."""

    tx: Connection
    generation: int
    dirty: dict[_Leaf, Lines] = field(default_factory=dict)
    gone: set[_Leaf] = field(default_factory=set)


class Projector:
    """Folds events into rows. Not safe for several threads: each worker has one of its own.

    In memory are the names of the rows of women who had news lately, and the leaves used last: since a leaf is a stretch of time, those
    are the newest of each row, and what is closed is forgotten first.
    """

    def __init__(self, keyring: Keyring, sections: Mapping[str, Section], *, cache_events: int = CACHE_EVENTS) -> None:
        self._keyring = keyring
        self._sections = sections
        self._secret = keyring.secret("views")
        self._limit = cache_events
        self._names: OrderedDict[_Woman, dict[tuple[str, str], list[str]]] = OrderedDict()
        self._leaves: OrderedDict[tuple[int, _Leaf], Lines] = OrderedDict()
        self._held = 0

    def apply(self, tx: Connection, generation: int, events: Sequence[Envelope]) -> set[Changed]:
        """Fold the events and write the rows that changed; returns which sections those are. Repeats and any order give the same rows.

        Events of unknown sections and of links between identities change nothing.
        """
        batch = _Batch(tx, generation)
        facts = self._sorted_out(events)
        self._read_names(batch, {part.subject for part in facts})
        self._read(batch, {self._leaf_of(batch, part) for part in facts})
        changed: set[Changed] = set()
        related: set[str] = set()
        for part, its in facts.items():
            if self._fold(batch, part, its):
                changed.add(Changed(*part[:3]))
                if any(event.concept in RELATED for event, _ in its):
                    related.add(part.subject)
        self._write(batch)
        self._read(batch, {leaf for subject in related for leaf in self._telling(batch, subject)})
        for subject in sorted(related):
            store.save_relations(tx, generation, subject, relations(subject, self._evidence(batch, subject)))
        self._trim()
        return changed

    def forget(self) -> None:
        """Drop all rows in memory; needed when the transaction of an `apply` was rolled back, or another process wrote the rows."""
        self._names.clear()
        self._leaves.clear()
        self._held = 0

    def _sorted_out(self, events: Sequence[Envelope]) -> _Facts:
        facts: _Facts = {}
        for event in events:
            if event.section in self._sections and event.type not in (LINKED, UNLINKED):
                place = state.place_of(event)
                facts.setdefault(_Part(event.subject, event.episode, event.section, place[:state.MESSAGE]), []).append((event, place))
        return facts

    def _read_names(self, batch: _Batch, subjects: set[str]) -> None:
        """Have the names of all rows of these women in memory: one query for those of whom they are not."""
        new = {subject for subject in subjects if (batch.generation, subject) not in self._names}
        for subject in subjects:
            self._names.setdefault((batch.generation, subject), {})
            self._names.move_to_end((batch.generation, subject))
        # Sorted here: a database sorts text by the rules of its language.
        for subject, episode, leaf in sorted(store.leaves(batch.tx, batch.generation, new)):
            self._named(batch, subject, episode, state.section_of(leaf)).append(leaf)

    def _named(self, batch: _Batch, subject: str, episode: str, section: str) -> list[str]:
        """The names of the leaves of one section, sorted."""
        return self._names[batch.generation, subject].setdefault((episode, section), [])

    def _leaf_of(self, batch: _Batch, part: _Part) -> _Leaf:
        subject, episode, section, place = part
        return subject, episode, state.leaf_of(section, place, self._named(batch, subject, episode, section))

    def _read(self, batch: _Batch, leaves: set[_Leaf]) -> None:
        """Have the lines of these leaves in memory, one query for all that are not; a leaf without a row is empty."""
        cold = [leaf for leaf in leaves if (batch.generation, leaf) not in self._leaves]
        bodies = store.bodies(batch.tx, batch.generation, cold)
        for leaf in cold:
            self._keep(batch, leaf, self._opened(leaf, bodies[leaf]) if leaf in bodies else {})

    def _opened(self, leaf: _Leaf, body: bytes) -> Lines:
        try:
            return state.decode(opened_row(self._keyring, *leaf, body))
        except Erased:
            # What was sealed is gone on purpose; what comes after the erasure begins anew.
            return {}

    def _keep(self, batch: _Batch, leaf: _Leaf, lines: Lines) -> None:
        self._leaves[batch.generation, leaf] = lines
        self._held += len(lines)

    def _fold(self, batch: _Batch, part: _Part, its: Iterable[tuple[Envelope, bytes]]) -> bool:
        leaf, item = self._leaf_of(batch, part), self._sections[part.section].item
        key = (batch.generation, leaf)
        if key not in self._leaves:
            # A split made the place for it, so there is no row yet.
            self._keep(batch, leaf, {})
        lines, before = self._leaves[key], len(self._leaves[key])
        if not sum(state.add(lines, place, state.line_of(place, event, item(event))) for event, place in its):
            return False
        self._leaves.move_to_end(key)
        self._held += len(lines) - before
        batch.dirty[leaf] = lines
        if before == 0 or len(lines) > state.LEAF:
            self._place(batch, leaf, lines)
        return True

    def _place(self, batch: _Batch, leaf: _Leaf, lines: Lines) -> None:
        """Give a leaf that is new its name, or one that grew too large those of its parts."""
        subject, episode, name = leaf
        names = self._named(batch, subject, episode, state.section_of(name))
        parts = state.split(name, lines)
        if name not in parts:
            del batch.dirty[leaf], self._leaves[batch.generation, leaf]
            batch.gone.add(leaf)
            self._held -= len(lines)
            names.remove(name)
        for part, held in parts.items():
            if held is not lines:
                self._keep(batch, (subject, episode, part), held)
                batch.dirty[subject, episode, part] = held
            if part not in names:
                insort(names, part)

    def _write(self, batch: _Batch) -> None:
        store.drop(batch.tx, batch.generation, batch.gone)
        store.save(batch.tx, batch.generation, [self._row(leaf, lines) for leaf, lines in batch.dirty.items()])

    def _row(self, leaf: _Leaf, lines: Lines) -> Row:
        return sealed_row(self._keyring, self._secret, *leaf, state.encode(lines), len(lines))

    def _telling(self, batch: _Batch, subject: str) -> list[_Leaf]:
        """The leaves of the sections that show treatment relations, over all pregnancies of the woman."""
        names = self._names[batch.generation, subject]
        return [(subject, episode, leaf) for (episode, section), leaves in names.items() if section in (FRONT, CARE_TEAM) for leaf in leaves]

    def _evidence(self, batch: _Batch, subject: str) -> Iterable[tuple[str, state.Version]]:
        """All versions in those leaves."""
        for leaf in self._telling(batch, subject):
            for version in state.versions(state.encode(self._leaves[batch.generation, leaf])):
                yield leaf[1], version

    def _trim(self) -> None:
        """Forget the leaves used longest ago, until the rest fits the limit, and the names of the women of whom nothing was heard longest."""
        while self._held > self._limit and self._leaves:
            self._held -= len(self._leaves.popitem(last=False)[1])
        while len(self._names) > CACHE_WOMEN:
            self._names.popitem(last=False)


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
