"""Puts the API together as one ASGI app, with whatever else serves HTTP (the pages) behind it."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

from fhir_profiles.errors import Missing
from hub.api import operations, sections, stu3
from hub.api.answers import FHIR_JSON, STU3_JSON
from hub.api.edge import Edge
from hub.api.fhir import fhir_app
from hub.api.ports import Parts


def create_api(parts: Parts, rest: ASGIApp | None = None) -> ASGIApp:
    """The app for a server. Paths of the API are answered here; everything else, and the lifespan, goes to `rest`.

    The path alone decides which app answers, so that the hot read passes no framework.
    """
    hot, fhir = Edge(sections.Sections(parts), FHIR_JSON), fhir_app(parts)
    intake, figures = Edge(stu3.Stu3(parts), STU3_JSON), Edge(operations.Operations(parts), FHIR_JSON)
    others = rest or Edge(_nothing, FHIR_JSON)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        if scope["type"] != "http":
            await (rest or _idle)(scope, receive, send)
        elif path.startswith(sections.PREFIX) and path.endswith(sections.SUFFIX):
            await hot(scope, receive, send)
        elif _under(path, "/fhir"):
            await fhir(scope, receive, send)
        elif _under(path, stu3.PREFIX):
            await intake(scope, receive, send)
        elif path in operations.PATHS:
            await figures(scope, receive, send)
        else:
            await others(scope, receive, send)

    return app


def _under(path: str, prefix: str) -> bool:
    return path == prefix or path.startswith(prefix + "/")


async def _nothing(scope: Scope, receive: Receive, send: Send) -> None:
    raise Missing("there is nothing here; see /fhir/metadata")


async def _idle(scope: Scope, receive: Receive, send: Send) -> None:
    """Lifespan of an API without pages: nothing to start or stop. A websocket is refused."""
    if scope["type"] != "lifespan":
        await send({"type": "websocket.close", "code": 1003})
        return
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
