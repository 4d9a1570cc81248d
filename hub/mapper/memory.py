"""What the mapper remembers of each resource: which contents it has seen, in which versions. It tells new from unchanged.

A mark is a keyed digest, so that the memory alone tells nothing about anyone. The memory of a batch is read once, asked many times,
and written in the transaction of the batch.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final

import orjson
from sqlalchemy import Connection

from hub.tables import seen
from hub.upsert import look_up, replace

_RANK: Final = {"registered": "0", "preliminary": "0", "amended": "2", "corrected": "2", "entered-in-error": "3", "cancelled": "3"}


class Told(Enum):
    """What a resource is, given what was seen before."""

    NEW = "new"
    UNCHANGED = "unchanged"


@dataclass(slots=True)
class _Entry:
    episode: str
    versions: list[list[str]]


@dataclass
class Memory:
    """The memory of one batch. `key` keys the marks."""

    key: bytes
    _known: dict[str, _Entry] = field(default_factory=dict)
    _changed: set[str] = field(default_factory=set)

    def begin(self, tx: Connection, identities: Iterable[str]) -> None:
        """Read what is known of the resources of a batch."""
        self._known, self._changed = {}, set()
        for identity, marks in look_up(tx, seen, ("identity", "marks"), map(bytes.fromhex, identities)):
            episode, *versions = orjson.loads(marks)
            self._known[bytes(identity).hex()] = _Entry(episode, versions)

    def mark(self, content: bytes) -> str:
        """The keyed digest of a resource's canonical bytes: 16 hexadecimal characters."""
        return hashlib.blake2b(content, key=self.key, digest_size=8).hexdigest()

    def episode(self, identity: str, otherwise: str) -> str:
        """The pregnancy that earlier versions of the resource stand in: later ones follow, also when more is known by now."""
        entry = self._known.get(identity)
        return entry.episode if entry is not None else otherwise

    def tell(self, identity: str, version: str, mark: str, episode: str, resource: dict[str, Any]) -> tuple[Told, str]:
        """Whether this version says something new, and the version under which to record it.

        The same content as the latest, or a version seen before, is unchanged. Where a source stamps two contents with one time, a
        correction ranks over a result, and else what arrives later ranks higher.
        """
        version = f"{version}#{_RANK.get(str(resource.get('status', '')), '1')}"
        entry = self._known.get(identity)
        if entry is None:
            entry = self._known[identity] = _Entry(episode, [])
        elif entry.versions:
            if max(entry.versions)[1] == mark or any(m == mark and v.startswith(version) for v, m in entry.versions):
                return Told.UNCHANGED, version
            ties = sum(1 for v, _ in entry.versions if v.startswith(version))
            version += f".{ties:04d}" if ties else ""
        entry.versions.append([version, mark])
        self._changed.add(identity)
        return Told.NEW, version

    def finish(self, tx: Connection) -> None:
        """Write what the batch taught."""
        rows = [
            {"identity": bytes.fromhex(i), "marks": orjson.dumps([self._known[i].episode, *self._known[i].versions])}
            for i in sorted(self._changed)
        ]
        replace(tx, seen, rows)
