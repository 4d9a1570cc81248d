"""A running web application over sample plans: in process for most tests, as a real server for the login and the browser."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import uvicorn
from fastapi import FastAPI
from starlette.testclient import TestClient

from authz.ask import Asker
from authz.demo import DemoIssuer, account, signing_key
from fhir_profiles.identifiers import Bsn, Subject, pseudonym_of
from hub.web.app import create_web
from hub.web.demo_provider import CLIENT_ID, DemoProvider
from hub.web.login import OidcLogin, Provider, asker_of
from hub.web.sessions import Sessions
from tests.web import sample
from tests.web.site import SampleSite

KEY = b"a key for tests, thirty-two bytes"


def subject_of(name: str) -> Subject:
    """The pseudonym of one of the women."""
    return pseudonym_of(Bsn(account(name).bsn), KEY)


def asker(name: str) -> Asker:
    """Someone of the cast, as logged in."""
    return asker_of({**account(name).claims(), "jti": "t"}, KEY)


@dataclass
class Clock:
    """A clock that moves when told to."""

    at: datetime = sample.NOW

    def seconds(self) -> float:
        return self.at.timestamp()

    def later(self, seconds: int) -> None:
        self.at += timedelta(seconds=seconds)


@dataclass
class Hub:
    """The pages with everything around them."""

    site: SampleSite
    sessions: Sessions
    app: FastAPI
    clock: Clock
    login: OidcLogin
    base_url: str = "http://testserver"
    stopping: list[bool] = field(default_factory=lambda: [False])

    def client(self, name: str = "") -> TestClient:
        """A browser, logged in as someone of the cast or as nobody."""
        client = TestClient(self.app, base_url=self.base_url, follow_redirects=False)
        if name:
            client.cookies.set(self.sessions.cookie, self.sessions.seal_session(self.sessions.begin(asker(name))))
        return client

    def csrf(self, client: TestClient) -> str:
        """The form token of this browser's session."""
        session = self.sessions.read(client.cookies[self.sessions.cookie])
        assert session is not None
        return self.sessions.csrf(session)


def site_of_the_cast() -> SampleSite:
    """Noor and Lotte, cared for by the practice and the hospital, to whom they said yes."""
    noor, lotte = subject_of("noor"), subject_of("lotte")
    site = SampleSite({noor: sample.noor(noor), lotte: sample.lotte(lotte)}, {s: {"00700001", "00700002"} for s in (noor, lotte)})
    site.answers |= {(s, ura): "yes" for s in (noor, lotte) for ura in ("00700001", "00700002")}
    return site


def build(tmp: Path, base_url: str, clock: Clock, *, demo: bool = True, secure: bool = False) -> Hub:
    """The pages and the demo provider at one address."""
    stopping = [False]
    issuer = DemoIssuer(f"{base_url}/demo/oidc", f"{base_url}/fhir", signing_key(tmp / "demo-key.json"), clock.seconds)
    back = f"{base_url}/inloggen/terug"
    login = OidcLogin(Provider(issuer.issuer, CLIENT_ID, back), KEY, clock.seconds)
    provider = DemoProvider(issuer, back, clock.seconds) if demo else None
    sessions = Sessions(KEY, secure, idle_s=1200, absolute_s=8 * 3600, now=clock.seconds)
    site = site_of_the_cast()
    web = create_web(site, sessions, login, base_url=base_url, demo=provider, help_line="0800 – 000 00 00 (voorbeeld)",
                     now=lambda: clock.at, stopping=lambda: stopping[0])
    return Hub(site, sessions, web, clock, login, base_url, stopping)


@pytest.fixture
def hub(tmp_path: Path) -> Hub:
    """Pages in demo mode, in this process."""
    return build(tmp_path, "http://testserver", Clock())


@pytest.fixture
def plain_hub(tmp_path: Path) -> Hub:
    """Pages outside demo mode."""
    return build(tmp_path, "http://testserver", Clock(), demo=False)


@contextlib.contextmanager
def served(hub: Hub, sock: socket.socket) -> Iterator[Hub]:
    """The pages behind a real HTTP server on the loopback, in a thread, until the end of the block."""
    server = uvicorn.Server(uvicorn.Config(hub.app, log_level="critical", timeout_graceful_shutdown=3))
    thread = threading.Thread(target=server.run, args=([sock],), daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield hub
    finally:
        hub.stopping[0] = True
        server.should_exit = True
        thread.join(10)


def loopback() -> tuple[socket.socket, str]:
    """A listening socket on a free port, and its address."""
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    return sock, f"http://127.0.0.1:{sock.getsockname()[1]}"


@pytest.fixture
def live_hub(tmp_path: Path) -> Iterator[Hub]:
    """Pages in demo mode behind a real server."""
    sock, base_url = loopback()
    with served(build(tmp_path, base_url, Clock()), sock) as hub:
        yield hub
