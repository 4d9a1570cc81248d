"""The way in and out: the start page, logging in, coming back from the provider, logging out."""

from __future__ import annotations

from urllib.parse import urlencode

import structlog
from fastapi import APIRouter, Request, Response

from fhir_profiles.errors import Unknown
from hub.web.demo_provider import DemoProvider
from hub.web.flow import flow_picture
from hub.web.frame import HOMES, Frame
from hub.web.sessions import LOGIN_S

log = structlog.get_logger(__name__)


def routes(frame: Frame, demo: DemoProvider | None) -> APIRouter:
    """`/`, `/inloggen`, `/inloggen/terug` and `/uitloggen`."""
    router = APIRouter()

    @router.get("/")
    async def start(request: Request) -> Response:
        session = frame.session(request)
        if demo is not None:
            pulse = await frame.site.pulse()
            return frame.page(request, "start_demo.html", pulse=pulse, people=demo.people(), picture=flow_picture(pulse, frame.today))
        if session is not None:
            return frame.to(HOMES.get(session.asker.role, "/"))
        return frame.page(request, "login.html", out="uit" in request.query_params, to="", idle=False, why="")

    @router.get("/inloggen")
    async def begin(request: Request) -> Response:
        if str(request.base_url).rstrip("/") != frame.base_url:
            # The provider sends people back to one address only; the cookie of this login has to be set there.
            return frame.to(f"{frame.base_url}/inloggen?{urlencode(dict(request.query_params))}")
        started = await frame.login.start(request.query_params.get("naar", ""), request.query_params.get("als", ""))
        answer = frame.to(started.url)
        frame.keep_login(answer, started.note)
        return answer

    @router.get("/inloggen/terug")
    async def back(request: Request) -> Response:
        found = frame.sessions.unseal("login", request.cookies.get(frame.sessions.login_cookie, ""), LOGIN_S)
        if found is None:
            raise Unknown("het inloggen duurde te lang; probeer het weer", code="login-state")
        asker = await frame.login.finish(found[0], dict(request.query_params))
        before = frame.session(request)
        if before is not None:
            frame.sessions.end(before)
        answer = frame.to(frame.home_of(asker, str(found[0]["to"])))
        frame.keep(answer, frame.sessions.begin(asker))
        answer.delete_cookie(frame.sessions.login_cookie, path="/", secure=frame.sessions.secure, httponly=True, samesite="lax")
        log.info("logged_in", role=asker.role.value)
        return answer

    @router.post("/uitloggen")
    async def leave(request: Request) -> Response:
        await frame.form(request)
        session = frame.session(request)
        if session is not None:
            frame.sessions.end(session)
        answer = await _goodbye(frame, request)
        answer.delete_cookie(frame.sessions.cookie, path="/", secure=frame.sessions.secure, httponly=True, samesite="lax")
        return answer

    return router


async def _goodbye(frame: Frame, request: Request) -> Response:
    """The start page; or, when people log out at the provider too, a page that goes there by itself and says so.

    It is not a redirect: this answers a form, and our own pages allow forms to end nowhere but here (form-action).
    """
    away = await frame.login.goodbye(f"{frame.base_url}/?uit")
    if not away:
        return frame.to("/?uit")
    answer = frame.page(request, "uitgelogd.html", away=away)
    answer.headers["refresh"] = f"0; url={away}"
    return answer
