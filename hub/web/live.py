"""Open pages hear that something changed (server-sent events), and never what: the page then asks again, through the door.

A stream ends after ten minutes, when the session ends or when the hub stops; the browser then comes back by itself, or finds
that it is logged out.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Final

from fastapi import Request
from fastapi.responses import StreamingResponse

from hub.web.frame import Frame

LONGEST_S: Final = 600.0
BEAT_S: Final = 15.0
LOOK_S: Final = 1.0
"""How often a waiting stream looks whether the hub is stopping."""


def live_stream(frame: Frame, request: Request, changes: AsyncIterator[str]) -> StreamingResponse:
    """The stream of "changed" events for one open page. The door has decided and recorded before `changes` was made."""
    session = frame.session(request)
    left = session.seen + frame.sessions.idle_s - frame.sessions.now() if session else 0.0
    stream = _events(frame, changes, min(LONGEST_S, max(left, 0.0)))
    return StreamingResponse(stream, media_type="text/event-stream", headers={"cache-control": "no-store", "x-accel-buffering": "no"})


async def _events(frame: Frame, changes: AsyncIterator[str], longest_s: float) -> AsyncIterator[bytes]:
    clock = asyncio.get_running_loop().time
    until, beat = clock() + longest_s, clock() + BEAT_S
    yield b"retry: 3000\n\n"
    waiting = asyncio.ensure_future(_next(changes))
    try:
        while clock() < until and not frame.stopping():
            done, _ = await asyncio.wait({waiting}, timeout=min(LOOK_S, max(until - clock(), 0.01)))
            if done:
                version = waiting.result()
                if version is None:
                    return
                yield _event(version)
                waiting = asyncio.ensure_future(_next(changes))
            elif clock() >= beat:
                beat = clock() + BEAT_S
                yield b": nog hier\n\n"
    finally:
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        close = getattr(changes, "aclose", None)
        if close is not None:
            await close()


async def _next(changes: AsyncIterator[str]) -> str | None:
    return await anext(changes, None)


def _event(version: str) -> bytes:
    """One event: only that it changed, and to which version. A version is ours and has no line ends; anything else is left out."""
    safe = "".join(letter for letter in version if letter.isalnum() or letter in "-_.:+")
    return f"event: changed\ndata: {safe}\n\n".encode()
