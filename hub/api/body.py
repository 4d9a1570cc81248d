"""Reads the body of a request: piece by piece, no further than its limit, and no longer than a sender may take."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from starlette.types import Receive

from fhir_profiles.errors import TooLarge, Unsupported
from hub.api.answers import TooSlow

BODY_TIMEOUT_S: Final = 60.0
MAX_FORM: Final = 2048
"""Longest form of a search, in bytes: as long as an address may be."""
_FORM: Final = "application/x-www-form-urlencoded"

Headers = Sequence[tuple[bytes, bytes]]


class Gone(Exception):
    """The sender hung up before its message was whole; there is nobody to answer."""


async def body_of(headers: Headers, receive: Receive, limit: int, timeout_s: float = BODY_TIMEOUT_S) -> bytes:
    """The whole body, empty when there is none.

    Raises `Unsupported` for a compressed one, `TooLarge` as soon as it is known to be, `TooSlow` when it does not come, `Gone` when its
    sender is.
    """
    sent = dict(headers)
    if sent.get(b"content-encoding", b"identity") != b"identity":
        raise Unsupported("a message is not compressed", code="content-encoding")
    announced = sent.get(b"content-length", b"0")
    if not announced.isdigit() or int(announced) > limit:
        raise _too_large(limit)
    try:
        async with asyncio.timeout(timeout_s):
            return await _read(receive, limit)
    except TimeoutError:
        raise TooSlow("the message did not come in time") from None


async def form_of(headers: Headers, receive: Receive) -> bytes:
    """The form in the body of a POST, as it was sent; raises like `body_of`, and `Unsupported` for a body that is no form."""
    media = dict(headers).get(b"content-type", b"").decode("latin-1").partition(";")[0].strip().lower()
    if media not in ("", _FORM):
        raise _no_form()
    body = await body_of(headers, receive, MAX_FORM)
    if body and not media:
        raise _no_form()
    return body


async def _read(receive: Receive, limit: int) -> bytes:
    pieces, size, more = [], 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Gone
        piece = message.get("body", b"")
        size += len(piece)
        if size > limit:
            raise _too_large(limit)
        pieces.append(piece)
        more = message.get("more_body", False)
    return b"".join(pieces)


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"a message has at most {f'{limit >> 20} MiB ({limit} bytes)' if limit >> 20 else f'{limit} bytes'} here")


def _no_form() -> Unsupported:
    return Unsupported(f"a search by POST is {_FORM}", code="content-type")
