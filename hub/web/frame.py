"""What every page shares: who is logged in, the right role, the form token, the template, and the headers around it."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Final
from urllib.parse import urlsplit

import structlog
from fastapi import Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from authz.ask import CAREGIVERS, Asker, Role
from fhir_profiles.errors import Forbidden, Refused, Unknown
from hub.web.caller import CALLER, Caller
from hub.web.login import OidcLogin
from hub.web.ports import Site
from hub.web.render import Templates
from hub.web.sessions import LOGIN_S, Session, Sessions
from hub.web.words import DUTCH_TIME

log = structlog.get_logger(__name__)

FRAGMENT: Final = "x-fragment"
"""The header with which an open page asks for its own `<main>` anew; it does not count as someone being there."""

HOMES: Final = {Role.CLIENT: "/mijn/plan", Role.AUDITOR: "/auditor", Role.ENGINEER: "/koppelingen", **dict.fromkeys(CAREGIVERS, "/zorg")}

HEADERS: Final = (
    (b"content-security-policy", b"default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "
                                 b"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), microphone=(), geolocation=(), interest-cohort=()"),
)


class OutOfPlace(Refused):
    """A form that did not come from our own page of this session."""

    issue, status = "forbidden", Forbidden.status


@dataclass(frozen=True)
class Frame:
    """The parts that the routes are made with. `base_url` is where people reach the hub; `now` gives an aware time."""

    site: Site
    sessions: Sessions
    login: OidcLogin
    templates: Templates
    base_url: str
    demo: bool
    now: Callable[[], datetime]
    help_line: str = ""
    stopping: Callable[[], bool] = field(default=lambda: False)

    @property
    def today(self) -> date:
        """The day in the Netherlands."""
        return self.now().astimezone(DUTCH_TIME).date()

    def session(self, request: Request) -> Session | None:
        """Who is logged in, or None."""
        return self.sessions.read(request.cookies.get(self.sessions.cookie, ""))

    def asker(self, request: Request, *roles: Role) -> Asker:
        """Who asks, when in one of these roles. `Unknown` when nobody is logged in, `Forbidden` in another role."""
        session = self.session(request)
        if session is None:
            raise Unknown("log in om verder te gaan", code="login-needed")
        if session.asker.role not in roles:
            raise Forbidden("deze pagina hoort niet bij uw rol", code="page-role")
        return session.asker

    async def form(self, request: Request) -> Mapping[str, str]:
        """The fields of a form that came from our own page; `OutOfPlace` for any other."""
        session = self.session(request)
        if session is None:
            raise Unknown("log in om verder te gaan", code="login-needed")
        sent = await request.form(max_fields=20, max_part_size=10_000)
        fields = {name: value for name, value in sent.items() if isinstance(value, str)}
        foreign = request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none")
        if foreign or not self.sessions.csrf_fits(session, fields.get("csrf", "")):
            raise OutOfPlace("deze pagina was niet meer geldig; ga terug en probeer het weer", code="form-token")
        return fields

    def page(self, request: Request, template: str, status: int = 200, **context: object) -> Response:
        """One page. Renews the session's cookie when someone, and not the page's own script, asked for it."""
        session = self.session(request)
        asker = session.asker if session else None
        fragment = FRAGMENT in request.headers
        body = self.templates.render(template, fragment=fragment, me=asker, home=HOMES.get(asker.role, "/") if asker else "/",
                                     csrf=self.sessions.csrf(session) if session else "", today=self.today, demo=self.demo,
                                     help_line=self.help_line, here=request.url.path, now=self.now(), **context)
        response = HTMLResponse(body, status)
        if session and not fragment and self.sessions.now() - session.seen >= 60:
            self.keep(response, session)
        return response

    def keep(self, response: Response, session: Session) -> None:
        """Set the session's cookie."""
        response.set_cookie(self.sessions.cookie, self.sessions.seal_session(session), path="/", httponly=True,
                            secure=self.sessions.secure, samesite="lax")

    def keep_login(self, response: Response, note: dict[str, object]) -> None:
        """Set the short-lived cookie of a login under way."""
        response.set_cookie(self.sessions.login_cookie, self.sessions.seal("login", note), max_age=LOGIN_S, path="/", httponly=True,
                            secure=self.sessions.secure, samesite="lax")

    def home_of(self, asker: Asker, wanted: str) -> str:
        """Where to go after a login: the wanted page when it is one of the asker's own, else the start of the role."""
        home = HOMES.get(asker.role, "/")
        area = "/" + home.split("/")[1]
        parts = urlsplit(wanted)
        fits = not parts.netloc and not parts.scheme and (parts.path == area or parts.path.startswith(area + "/"))
        return wanted if fits and "\\" not in wanted and wanted.isprintable() else home

    def to(self, path: str) -> RedirectResponse:
        """Go and get this page."""
        return RedirectResponse(path, 303)


class Guarded:
    """Around all pages: security headers, no storing of personal pages, and an answer in words when something of ours breaks.

    The exception itself is not logged: its text could hold what a source sent. Its type and the route are.
    """

    def __init__(self, app: ASGIApp, broken: Callable[[], str], https: bool) -> None:
        self.app, self.broken, self.https = app, broken, https

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        begun = False
        client = scope.get("client")
        CALLER.set(Caller(client[0] if client else "", secrets.token_hex(8)))

        async def guarded(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                message["headers"] = [*message["headers"], *self._headers(message["headers"])]
            await send(message)

        try:
            await self.app(scope, receive, guarded)
        except Exception as fault:
            log.error("page_failed", route=_route(scope), error_type=type(fault).__name__)
            if begun:
                raise ConnectionError("the answer broke off") from None
            await HTMLResponse(self.broken(), 500)(scope, receive, guarded)

    def _headers(self, given: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        present = {name.lower() for name, _ in given}
        extra = [pair for pair in HEADERS if pair[0] not in present]
        if b"cache-control" not in present:
            extra.append((b"cache-control", b"no-store"))
        if self.https:
            extra.append((b"strict-transport-security", b"max-age=31536000"))
        return extra


def _route(scope: Scope) -> str:
    route = scope.get("route")
    return str(getattr(route, "path", "unmatched"))
