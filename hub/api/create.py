"""Puts the API together as one ASGI app, with whatever else serves HTTP (the pages) behind it."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

from hub.api import sections
from hub.api.answers import FHIR_JSON
from hub.api.aside import create_aside, under
from hub.api.edge import Edge
from hub.api.fhir import fhir_app
from hub.api.ports import Parts


def create_api(parts: Parts, rest: ASGIApp | None = None) -> ASGIApp:
    """The app for a server. Paths of the API are answered here; everything else, and the lifespan, goes to `rest`.

    The path alone decides which app answers, so that the hot read passes no framework.
    """
    hot, fhir, aside = Edge(sections.Sections(parts), FHIR_JSON), fhir_app(parts), create_aside(parts, rest)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        if scope["type"] == "http" and path.startswith(sections.PREFIX) and path.endswith(sections.SUFFIX):
            await hot(scope, receive, send)
        elif scope["type"] == "http" and under(path, "/fhir"):
            await fhir(scope, receive, send)
        else:
            await aside(scope, receive, send)

    return app
