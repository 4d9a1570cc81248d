"""The way in for practices: `POST /fhir-stu3` takes a FHIR STU3 transaction Bundle, and `GET /fhir-stu3/metadata` says so.

The sending organisation is the one that the token names, and must be the one registered for its client id; nothing in path or body
changes that. The body is read piece by piece and no further than its limit. What the bytes mean is the intake's business.
"""

from __future__ import annotations

import asyncio
from typing import Final

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from authz.ask import Role
from fhir_profiles.errors import Forbidden, Invalid, Missing, TooLarge, Unavailable, Unsupported
from hub.api.answers import STU3_JSON, TooSlow, WrongMethod
from hub.api.caller import Caller, caller_of
from hub.api.capability import stu3_statement
from hub.api.ports import Parts
from hub.log.received import MAX_MESSAGE

PREFIX: Final = "/fhir-stu3"
BODY_TIMEOUT_S: Final = 60.0


class Gone(Exception):
    """The sender hung up before its message was whole; there is nobody to answer."""


class Stu3:
    """The ASGI app under /fhir-stu3."""

    def __init__(self, parts: Parts, *, limit: int = MAX_MESSAGE, timeout_s: float = BODY_TIMEOUT_S) -> None:
        self._parts, self._limit, self._timeout = parts, limit, timeout_s
        base = parts.base_url.rstrip("/") + PREFIX
        self._statement = stu3_statement(base, parts.clock().isoformat(timespec="seconds"))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; faults are raised, the edge answers them."""
        match scope["path"].removeprefix(PREFIX):
            case "/metadata":
                if scope["method"] != "GET":
                    raise WrongMethod("GET")
                await Response(self._statement, media_type=STU3_JSON)(scope, receive, send)
            case "" | "/":
                if scope["method"] != "POST":
                    raise WrongMethod("POST")
                try:
                    response = await self._take(scope, receive)
                except Gone:
                    return
                await response(scope, receive, send)
            case _:
                raise Missing("there is nothing here; see /fhir-stu3/metadata")

    async def _take(self, scope: Scope, receive: Receive) -> Response:
        caller = await caller_of(scope, self._parts.tokens)
        self._may_send(caller)
        if self._parts.intake is None:
            raise Unavailable("this process takes no messages", code="no-intake")
        headers = dict(scope["headers"])
        content_type = headers.get(b"content-type", b"").decode("latin-1")
        if not content_type:
            raise Unsupported("a message has a content type", code="content-type")
        if headers.get(b"content-encoding", b"identity") != b"identity":
            raise Unsupported("a message is not compressed", code="content-encoding")
        body = await self._body(headers.get(b"content-length"), receive)
        found = await self._parts.intake.post(content_type, body, caller.asker.vendor, caller.network, caller.trace)
        return Response(found.body, found.status, dict(found.headers), found.content_type)

    def _may_send(self, caller: Caller) -> None:
        """Only a system, and only for the organisation that is registered for it."""
        asker = caller.asker
        if asker.role is not Role.SYSTEM:
            raise Forbidden("only a registered system sends here", code="not-a-system")
        if self._parts.clients.get(asker.vendor) != asker.ura:
            raise Forbidden("this system is not registered for that organisation", code="not-registered")

    async def _body(self, announced: bytes | None, receive: Receive) -> bytes:
        """The whole body. Raises `TooLarge` as soon as it is known to be, `TooSlow` when it does not come, `Gone` when its sender is."""
        if announced is not None and (not announced.isdigit() or int(announced) > self._limit):
            raise TooLarge(f"a message has at most {self._limit} bytes")
        try:
            async with asyncio.timeout(self._timeout):
                body = await self._read(receive)
        except TimeoutError:
            raise TooSlow("the message did not come within a minute") from None
        if not body:
            raise Invalid("the message is empty", code="empty")
        return body

    async def _read(self, receive: Receive) -> bytes:
        pieces, size, more = [], 0, True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise Gone
            piece = message.get("body", b"")
            size += len(piece)
            if size > self._limit:
                raise TooLarge(f"a message has at most {self._limit} bytes")
            pieces.append(piece)
            more = message.get("more_body", False)
        return b"".join(pieces)
