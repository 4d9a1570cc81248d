"""Tells open pages that a plan changed: at once when the worker is in this process, else by looking at the version now and then.

Carries pseudonyms only. Nothing waits without end: a waiter comes back after its time-out and asks again.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable


class Changes:
    """A bell per woman. `ring` may be called from any thread; `wait` from coroutines of the loop given to `bind`."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._bells: dict[str, set[asyncio.Event]] = defaultdict(set)

    def bind(self, loop: asyncio.AbstractEventLoop) -> None:
        """The loop on which waiters live."""
        self._loop = loop

    def ring(self, subjects: set[str]) -> None:
        """These women's plans changed, durably."""
        if self._loop is not None and subjects and self._bells and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._ring, frozenset(subjects))

    async def wait(self, subject: str, timeout_s: float) -> None:
        """Return when her plan changed, or after `timeout_s`."""
        bell = asyncio.Event()
        self._bells[subject].add(bell)
        try:
            await asyncio.wait_for(bell.wait(), timeout_s)
        except TimeoutError:
            pass
        finally:
            self._bells[subject].discard(bell)
            if not self._bells[subject]:
                del self._bells[subject]

    def _ring(self, subjects: frozenset[str]) -> None:
        for subject in subjects & self._bells.keys():
            for bell in self._bells[subject]:
                bell.set()


class Watched(Changes):
    """The same where another process folds: waiters look every `every_s` seconds (the page compares versions itself)."""

    def __init__(self, every_s: float = 0.5) -> None:
        super().__init__()
        self._every_s = every_s

    async def wait(self, subject: str, timeout_s: float) -> None:
        """Return after a short while; the caller compares versions."""
        await asyncio.sleep(min(timeout_s, self._every_s))


Ring = Callable[[set[str]], None]
