"""The way in for practices: `POST /fhir-stu3` takes a FHIR STU3 transaction Bundle, and `GET /fhir-stu3/metadata` says so.

The sending organisation is the one that the token names, and must be the one registered for its client id; nothing in path or body
changes that. The body is read piece by piece and no further than its limit. What the bytes mean is the intake's business.
"""

from __future__ import annotations

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from authz.ask import Role
from fhir_profiles.errors import Forbidden, Invalid, Missing, Unavailable, Unsupported
from fhir_profiles.strict_json import MAX_BYTES
from hub.api.answers import STU3_JSON, STU3_PREFIX, WrongMethod
from hub.api.body import BODY_TIMEOUT_S, body_of
from hub.api.caller import Caller, caller_of
from hub.api.capability import stu3_statement
from hub.api.ports import IntakeParts


class Stu3:
    """The ASGI app under /fhir-stu3."""

    def __init__(self, parts: IntakeParts, *, limit: int = MAX_BYTES, timeout_s: float = BODY_TIMEOUT_S) -> None:
        self._parts, self._limit, self._timeout = parts, limit, timeout_s
        base = parts.base_url.rstrip("/") + STU3_PREFIX
        self._statement = stu3_statement(base, parts.clock().isoformat(timespec="seconds"))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; faults are raised, the edge answers them."""
        match scope["path"].removeprefix(STU3_PREFIX):
            case "/metadata":
                if scope["method"] != "GET":
                    raise WrongMethod("GET")
                await Response(self._statement, media_type=STU3_JSON)(scope, receive, send)
            case "" | "/":
                if scope["method"] != "POST":
                    raise WrongMethod("POST")
                response = await self._take(scope, receive)
                await response(scope, receive, send)
            case _:
                raise Missing("there is nothing here; see /fhir-stu3/metadata")

    async def _take(self, scope: Scope, receive: Receive) -> Response:
        caller = await caller_of(scope, self._parts.tokens)
        self._may_send(caller)
        if self._parts.intake is None:
            raise Unavailable("this process takes no messages", code="no-intake")
        content_type = dict(scope["headers"]).get(b"content-type", b"").decode("latin-1")
        if not content_type:
            raise Unsupported("a message has a content type", code="content-type")
        body = await body_of(scope["headers"], receive, self._limit, self._timeout)
        if not body:
            raise Invalid("the message is empty", code="empty")
        found = await self._parts.intake.post(content_type, body, caller.asker.vendor, caller.network, caller.trace)
        return Response(found.body, found.status, dict(found.headers), found.content_type)

    def _may_send(self, caller: Caller) -> None:
        """Only a system, and only for the organisation that is registered for it."""
        asker = caller.asker
        if asker.role is not Role.SYSTEM:
            raise Forbidden("only a registered system sends here", code="not-a-system")
        if self._parts.clients.get(asker.vendor) != asker.ura:
            raise Forbidden("this system is not registered for that organisation", code="not-registered")
