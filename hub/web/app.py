"""All pages in one application, to be mounted beside the API. Nothing here starts, connects or reads a setting by itself."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from fhir_profiles.errors import BirthCareError, Forbidden, Invalid, Missing, Unknown
from fhir_profiles.identifiers import Bsn, pseudonym_of
from hub.web import care, entrance, mine, oversight, reasons
from hub.web.assets import Assets
from hub.web.demo_provider import DemoProvider
from hub.web.frame import FRAGMENT, Frame, Guarded
from hub.web.login import OidcLogin
from hub.web.ports import Site
from hub.web.render import Templates
from hub.web.sessions import Sessions
from hub.web.tape import tape


def create_web(site: Site, sessions: Sessions, login: OidcLogin, *, base_url: str, demo: DemoProvider | None = None, help_line: str = "",
               now: Callable[[], datetime] = lambda: datetime.now(UTC),
               stopping: Callable[[], bool] = lambda: False) -> FastAPI:
    """The pages as an application to mount at "/", after the API's own paths.

    `base_url` is the address under which people reach the hub, without a slash at the end; `help_line` the phone number for help;
    `stopping` tells open streams that the hub is going down. Without `demo` there is no demo provider and no start page.
    """
    assets = Assets()
    templates = Templates(assets.addresses())
    frame = Frame(site, sessions, login, templates, base_url.rstrip("/"), demo is not None, now, help_line, stopping)
    app = FastAPI(title="Ooievaar", docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(Guarded, broken=lambda: _broken(frame), https=sessions.secure)
    _answers(app, frame)
    app.include_router(assets.routes())
    app.include_router(entrance.routes(frame, demo))
    app.include_router(mine.routes(frame))
    app.include_router(care.routes(frame, _cast(demo, login)))
    app.include_router(oversight.routes(frame))
    if demo is not None:
        app.include_router(demo.routes(templates, lambda request: _outside(frame, request)))
    return app


def _cast(demo: DemoProvider | None, login: OidcLogin) -> list[tuple[str, str]]:
    """Name and pseudonym of the women of the demo."""
    return [(one.person, pseudonym_of(Bsn(one.bsn), login.pseudonym_key)) for one in demo.people() if one.bsn] if demo else []


def _answers(app: FastAPI, frame: Frame) -> None:
    """Every refusal as a page in Dutch."""

    async def refused(request: Request, error: Exception) -> Response:
        return _refusal(frame, request, error if isinstance(error, BirthCareError) else Invalid("deze vraag klopt niet"))

    async def http(request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 500
        kind = "missing" if status == 404 else "method" if status == 405 else "invalid"
        return frame.page(request, "fout.html", status, kind=kind, why="")

    app.add_exception_handler(BirthCareError, refused)
    app.add_exception_handler(RequestValidationError, refused)
    app.add_exception_handler(HTTPException, http)


def _refusal(frame: Frame, request: Request, error: BirthCareError) -> Response:
    status = int(error.status)
    if isinstance(error, Unknown):
        if FRAGMENT in request.headers or request.url.path.endswith("/live"):
            return Response(status_code=401)
        started = error.code.startswith("login-") and error.code != "login-needed"
        idle = frame.sessions.cookie in request.cookies and not started
        to = request.url.path if request.method == "GET" and not started else ""
        return frame.page(request, "login.html", status, out=False, to=to, idle=idle, why=error.public if started else "")
    if isinstance(error, Forbidden):
        why, do = reasons.for_asker(error.code)
        return frame.page(request, "geweigerd.html", status, why=why, do=do, code=error.code)
    kind = "missing" if isinstance(error, Missing) else "away" if status == 503 else "invalid"
    return frame.page(request, "fout.html", status, kind=kind, why=error.public if not isinstance(error, Missing) else "")


def _outside(frame: Frame, request: Request) -> dict[str, object]:
    """What a page needs that nobody is logged in to."""
    return {"fragment": False, "me": None, "home": "/", "csrf": "", "today": frame.today, "demo": frame.demo, "help_line": frame.help_line,
            "here": request.url.path, "now": frame.now(), "tape": tape(None)}


def _broken(frame: Frame) -> str:
    return frame.templates.render("fout.html", fragment=False, me=None, home="/", csrf="", today=frame.today, demo=frame.demo,
                                  help_line=frame.help_line, here="", now=frame.now(), kind="broken", why="")
