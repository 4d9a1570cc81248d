"""Rows of the views that were opened before, in memory: who reads a plan again needs neither their bodies nor their key.

Bounded in bytes; the woman who was read longest ago goes first. A row is told from its other versions by its etag, and a woman's key from
one that was destroyed or made anew by its mark (`Keyring.mark`): what was opened under another key is never given, and is forgotten.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Final

_OVERHEAD: Final = 300
"""What a row costs in memory besides its text, about, in bytes."""


class _Woman:
    """What was opened for one woman, under one key: (pregnancy, leaf) → etag and plain state."""

    __slots__ = ("mark", "rows", "size")

    def __init__(self, mark: bytes) -> None:
        self.mark = mark
        self.rows: dict[tuple[str, str], tuple[bytes, bytes]] = {}
        self.size = 0


class OpenedRows:
    """Plain states by woman, pregnancy, leaf and etag; `limit` bytes at most. Safe to use from several threads."""

    def __init__(self, limit: int) -> None:
        self._limit, self._size = limit, 0
        self._women: OrderedDict[str, _Woman] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, subject: str, mark: bytes, wanted: dict[tuple[str, str], bytes]) -> dict[tuple[str, str], bytes]:
        """Those of the wanted rows ((pregnancy, leaf) → etag) that were opened under the key with this mark."""
        with self._lock:
            woman = self._current(subject, mark)
            if woman is None:
                return {}
            self._women.move_to_end(subject)
            rows, none = woman.rows, (b"", b"")
            return {key: plain for key, etag in wanted.items() for kept, plain in (rows.get(key, none),) if kept == etag}

    def keep(self, subject: str, mark: bytes, key: tuple[str, str], etag: bytes, plain: bytes) -> None:
        """Remember an opened row, in the place of its older version."""
        with self._lock:
            woman = self._current(subject, mark)
            if woman is None:
                woman = self._women[subject] = _Woman(mark)
            before = woman.rows.get(key)
            grown = len(plain) - len(before[1]) if before is not None else len(plain) + _OVERHEAD
            woman.rows[key] = etag, plain
            woman.size += grown
            self._size += grown
            while self._size > self._limit:
                self._drop(next(iter(self._women)))

    def size(self) -> int:
        """How many bytes are held, about."""
        return self._size

    def _current(self, subject: str, mark: bytes) -> _Woman | None:
        """What is held for her under this key; what was opened under another is dropped, because that key is gone."""
        woman = self._women.get(subject)
        if woman is not None and woman.mark != mark:
            self._drop(subject)
            return None
        return woman

    def _drop(self, subject: str) -> None:
        self._size -= self._women.pop(subject).size
