"""What stands beside the plans: figures for operators, and the way in for practices. All that a process serves which shows no plan."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

from fhir_profiles.errors import Missing
from hub.api import operations
from hub.api.answers import FHIR_JSON, STU3_JSON, STU3_PREFIX
from hub.api.edge import Edge
from hub.api.ports import IntakeParts, Operated


def create_aside(parts: Operated, rest: ASGIApp | None = None) -> ASGIApp:
    """The app of the three routes for operators and, with `IntakeParts`, of /fhir-stu3. Everything else, and the lifespan, goes to `rest`."""
    figures = Edge(operations.Operations(parts), FHIR_JSON)
    others = rest or Edge(_nothing, FHIR_JSON)
    intake = others
    if isinstance(parts, IntakeParts):
        from hub.api.stu3 import Stu3  # it brings what verifies tokens along, which a process with figures alone has no use for

        intake = Edge(Stu3(parts), STU3_JSON)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        if scope["type"] != "http":
            await (rest or _idle)(scope, receive, send)
        elif under(path, STU3_PREFIX):
            await intake(scope, receive, send)
        elif path in operations.PATHS:
            await figures(scope, receive, send)
        else:
            await others(scope, receive, send)

    return app


def under(path: str, prefix: str) -> bool:
    """Whether the path is the prefix, or lies below it."""
    return path == prefix or path.startswith(prefix + "/")


async def _nothing(scope: Scope, receive: Receive, send: Send) -> None:
    raise Missing("this process has nothing here")


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
