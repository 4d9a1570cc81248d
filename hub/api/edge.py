"""The rim around every API route, in plain ASGI because the hot read passes it too.

Gives each request an id and a W3C trace (accepted when well-formed, else made), puts the security headers on every answer, refuses
an address that is too long, answers HEAD as it would GET but for the body, and turns whatever escapes from below into an OperationOutcome
without details. An exception's text may hold personal data: only its type is logged.
"""

from __future__ import annotations

import os
import re
from typing import Final

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fhir_profiles.errors import BirthCareError
from hub.api.answers import QueryTooLong, answer
from hub.api.body import Gone

log = structlog.get_logger(__name__)

MAX_QUERY: Final = 2048
"""Longest query string that is read, in bytes; a path may be as long."""

_SAFE: Final = [
    (b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff"), (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"), (b"cross-origin-resource-policy", b"same-origin"),
]
# Sixteen characters at least: a caller cannot slip a BSN into our trail by this way.
_REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9._-]{16,64}")
_TRACE: Final = re.compile(rb"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


class Edge:
    """Wraps an ASGI app; `media_type` is that of its faults."""

    def __init__(self, app: ASGIApp, media_type: str) -> None:
        self._app, self._media_type = app, media_type

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; only a cancelled one ends in an exception."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope["request_id"], scope["trace"] = _names(scope)
        scope, bare = ({**scope, "method": "GET"}, True) if scope["method"] == "HEAD" else (scope, False)
        mine = [*_SAFE, (b"x-request-id", scope["request_id"].encode()), (b"traceparent", scope["trace"].encode())]
        started = False

        async def outwards(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                message["headers"] = [*message.get("headers", ()), *mine]
            await send({**message, "body": b""} if bare and message["type"] == "http.response.body" else message)

        try:
            if len(scope["query_string"]) > MAX_QUERY or len(scope["path"]) > MAX_QUERY:
                raise QueryTooLong("the address is longer than 2048 bytes")
            await self._app(scope, receive, outwards)
        except Gone:
            return
        except BirthCareError as error:
            await answer(error, self._media_type)(scope, receive, outwards)
        except Exception as error:  # the top of every request: nothing may escape into the server's own log
            log.error("request_failed", route=scope["path"].split("/", 3)[1][:20], error_type=type(error).__name__)
            if not started:
                await answer(BirthCareError("something went wrong here"), self._media_type)(scope, receive, outwards)


def _names(scope: Scope) -> tuple[str, str]:
    """The request's id and its traceparent."""
    request_id = trace = b""
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _REQUEST_ID.fullmatch(value):
            request_id = value
        elif name == b"traceparent" and _TRACE.fullmatch(value):
            trace = value
    return request_id.decode() or os.urandom(16).hex(), trace.decode() or f"00-{os.urandom(16).hex()}-{os.urandom(8).hex()}-01"
