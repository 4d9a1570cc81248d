"""An identity provider that is not a part of the hub: another server at another address, where people log in and out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from authz.demo import DemoIssuer, signing_key
from hub.web.assets import Assets
from hub.web.demo_provider import CLIENT_ID, DemoProvider
from hub.web.login import Provider
from hub.web.render import Templates
from tests.web.conftest import Clock, Hub, build, loopback, served


class Outside(DemoProvider):
    """The demo's provider with a login page of its own at /ask, and a place to log out at /end."""

    def _metadata(self) -> dict[str, object]:
        base = self.issuer.issuer
        return {**super()._metadata(), "authorization_endpoint": f"{base}/ask", "end_session_endpoint": f"{base}/end"}


def app_of(provider: Outside) -> FastAPI:
    """The provider as an application; everybody who comes is Noor."""
    app = FastAPI()
    app.include_router(provider.routes(Templates(Assets().addresses()), lambda request: {}))

    @app.get("/demo/oidc/ask")
    async def ask(request: Request) -> Response:
        return HTMLResponse(f'<a href="/demo/oidc/authorize?{request.url.query}&login_hint=noor">Ik ben Noor</a>')

    @app.get("/demo/oidc/end")
    async def end(request: Request) -> Response:
        if request.query_params["client_id"] != CLIENT_ID or "id_token_hint" in request.query_params:
            return Response(status_code=400)
        return RedirectResponse(request.query_params["post_logout_redirect_uri"], 302)

    return app


@contextmanager
def hub_with_a_provider_elsewhere(folder: Path) -> Iterator[tuple[Hub, str]]:
    """The pages outside demo mode, and the address of the provider that they log people in at."""
    (own, base_url), (other, address) = loopback(), loopback()
    hub = build(folder, base_url, Clock(), demo=False)
    back = f"{base_url}/inloggen/terug"
    issuer = DemoIssuer(f"{address}/demo/oidc", f"{base_url}/fhir", signing_key(folder / "outside-key.json"), hub.clock.seconds)
    hub.login.provider = Provider(issuer.issuer, CLIENT_ID, back)
    elsewhere = replace(hub, app=app_of(Outside(issuer, back, hub.clock.seconds)), stopping=[False])
    with served(elsewhere, other), served(hub, own):
        yield hub, address
