"""Puts the pages together: the site over the door, the login, the sessions, and in demo mode the built-in provider."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from fastapi import FastAPI

from fhir_profiles.errors import Unavailable
from hub import wiring
from hub.changes import Changes
from hub.demo import DEMO_ORGANISATIONS
from hub.settings import Settings
from hub.stores import Stores
from hub.web.app import create_web
from hub.web.demo_provider import DemoProvider
from hub.web.login import OidcLogin, Provider
from hub.web.operations import Operations
from hub.web.ports import Load
from hub.web.sessions import Sessions
from hub.web.site import HubSite, Organisation


class _Pressure(Protocol):
    waiting: int


def build_web(settings: Settings, stores: Stores, access: wiring.Access, changes: Changes, pressure: _Pressure, stopping: Callable[[], bool], *,
              slowed: Callable[[], float]) -> FastAPI:
    """The pages, to be served behind the API."""
    names = wiring.names_of(settings)
    embedded = stores.received if settings.log == "sqlite" else None
    operations = Operations(stores.hub, embedded, names, lambda: Load(pressure.waiting, slowed() > 0), wiring.now)
    site = HubSite(access.door, access.consents, operations, changes, access.reader.version, names, _organisations(settings), wiring.now)
    sessions = Sessions(stores.keyring.secret("sessions"), secure=settings.base_url.startswith("https"))
    redirect = settings.base_url + "/inloggen/terug"
    demo = DemoProvider(wiring.demo_issuer(settings, settings.base_url), redirect) if settings.demo else None
    return create_web(site, sessions, OidcLogin(_provider(settings, redirect), wiring.pseudonym_key(stores)), base_url=settings.base_url, demo=demo,
                      help_line=settings.help_line, now=wiring.now, stopping=stopping)


def _provider(settings: Settings, redirect: str) -> Provider:
    if settings.demo:
        return Provider(settings.base_url + "/demo/oidc", "ooievaar-web", redirect)
    login = settings.login
    if not login.issuer:
        raise Unavailable("no login provider is named (OOIEVAAR_LOGIN__ISSUER)", code="no-login")
    return Provider(login.issuer, login.client_id, redirect, login.client_secret.get_secret_value())


def _organisations(settings: Settings) -> dict[str, Organisation]:
    """Those that a woman is asked about, by URA."""
    registered = {s.ura: Organisation(s.organisation, s.organisation_type) for s in wiring.sources_of(settings).values()}
    return ({ura: Organisation(name, kind) for ura, (name, kind) in DEMO_ORGANISATIONS.items()} if settings.demo else {}) | registered
