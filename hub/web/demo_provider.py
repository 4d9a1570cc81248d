"""The login provider of the demo: a small OpenID Connect provider in this very process, at `/demo/oidc`.

It exists in demo mode only. It knows one client (the pages), asks for no password and gives codes that work once, within a minute,
for the one who holds the PKCE verifier. So the pages log in here exactly as they would with a national provider.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlencode

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse

from authz.ask import Role
from authz.demo import Account, DemoIssuer, accounts
from fhir_profiles.errors import Invalid
from hub.web.render import Templates

CODE_S: Final = 60
MOST_CODES: Final = 1000
CLIENT_ID: Final = "ooievaar-web"


@dataclass(frozen=True, slots=True)
class _Grant:
    account: str
    nonce: str
    challenge: str
    until: float


@dataclass
class DemoProvider:
    """The provider. `issuer.issuer` is its address, `redirect_uri` the one place it sends people back to."""

    issuer: DemoIssuer
    redirect_uri: str
    now: Callable[[], float] = time.time
    _codes: dict[str, _Grant] = field(default_factory=dict)

    def people(self) -> tuple[Account, ...]:
        """Those who can log in to pages: everyone but the systems."""
        return tuple(one for one in accounts() if one.role is not Role.SYSTEM)

    def routes(self, templates: Templates, context: Callable[[Request], dict[str, object]]) -> APIRouter:
        """Discovery, keys, the page "Wie wilt u zijn?" and the token endpoint."""
        router = APIRouter(prefix="/demo/oidc")

        @router.get("/.well-known/openid-configuration")
        async def discovery() -> Response:
            return JSONResponse(self._metadata())

        @router.get("/jwks")
        async def jwks() -> Response:
            return JSONResponse(dict(self.issuer.jwks()))

        @router.get("/authorize")
        async def authorize(request: Request) -> Response:
            asked = self._checked(request)
            chosen = next((one for one in self.people() if one.name == asked.get("login_hint")), None)
            if chosen is None:
                kept = {name: value for name, value in asked.items() if name != "login_hint"}
                page = templates.render("demo_authorize.html", people=self.people(), kept=kept, **context(request))
                return Response(page, media_type="text/html; charset=utf-8")
            code = self._grant(chosen.name, asked)
            return RedirectResponse(f"{self.redirect_uri}?{urlencode({'code': code, 'state': asked['state']})}", 302)

        @router.post("/token")
        async def token(request: Request) -> Response:
            form = await request.form(max_fields=20, max_part_size=10_000)
            sent = {name: value for name, value in form.items() if isinstance(value, str)}
            grant = self._redeem(sent)
            if grant is None:
                return JSONResponse({"error": "invalid_grant"}, 400)
            id_token = self.issuer.id_token(grant.account, CLIENT_ID, grant.nonce)
            return JSONResponse({"access_token": self.issuer.issue(grant.account, 300), "token_type": "Bearer", "expires_in": 300,
                                 "id_token": id_token}, headers={"cache-control": "no-store"})

        return router

    def _metadata(self) -> dict[str, object]:
        base = self.issuer.issuer
        return {
            "issuer": base, "authorization_endpoint": f"{base}/authorize", "token_endpoint": f"{base}/token", "jwks_uri": f"{base}/jwks",
            "response_types_supported": ["code"], "grant_types_supported": ["authorization_code"], "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["ES256"], "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": ["none"], "scopes_supported": ["openid", "profile"],
        }

    def _checked(self, request: Request) -> dict[str, str]:
        """The question of an authorization request; `Invalid`, and no redirect, when it is not one that we take."""
        asked = dict(request.query_params)
        must = {"client_id": CLIENT_ID, "redirect_uri": self.redirect_uri, "response_type": "code", "code_challenge_method": "S256"}
        fits = all(asked.get(name) == value for name, value in must.items()) and len(asked.get("code_challenge", "")) == 43
        if not fits or not asked.get("state") or not asked.get("nonce"):
            raise Invalid("dit is geen vraag die deze demo kent", code="demo-authorize")
        return asked

    def _grant(self, name: str, asked: dict[str, str]) -> str:
        at = self.now()
        alive = {code: grant for code, grant in self._codes.items() if grant.until > at}
        self._codes = dict(list(alive.items())[-MOST_CODES:])
        code = secrets.token_urlsafe(24)
        self._codes[code] = _Grant(name, asked["nonce"], asked["code_challenge"], at + CODE_S)
        return code

    def _redeem(self, sent: dict[str, str]) -> _Grant | None:
        """What a code stands for; it is gone after the first try, right or wrong."""
        grant = self._codes.pop(sent.get("code", ""), None)
        verifier = hashlib.sha256(sent.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(verifier).rstrip(b"=").decode()
        fits = (grant is not None and grant.until > self.now() and sent.get("grant_type") == "authorization_code"
                and sent.get("redirect_uri") == self.redirect_uri and sent.get("client_id") == CLIENT_ID
                and hmac.compare_digest(challenge, grant.challenge))
        return grant if fits else None
