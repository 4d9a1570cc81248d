"""Login with OpenID Connect: code flow with PKCE (S256), state and nonce, for any provider found by discovery.

The ID token is verified against the provider's keys with the algorithms that we pin, never those that the token names. A BSN claim
is turned into the pseudonym here and goes no further. Nothing of the provider is asked before the first login, so a provider may
be a part of this very process (the demo).
"""

from __future__ import annotations

import hmac
import re
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from authz.ask import CAREGIVERS, Asker, Role
from fhir_profiles.errors import Invalid, Unavailable, Unknown
from fhir_profiles.identifiers import Bsn, pseudonym_of

# The clients of the provider are loaded by the first login and not at start: they take as long to load as all the pages together.
if TYPE_CHECKING:
    from authlib.integrations.httpx_client import AsyncOAuth2Client

ALGORITHMS: Final = ("ES256", "PS256", "RS256")
FRESH_S: Final = 3600
"""How long a provider's metadata and keys are used before they are asked again."""


@dataclass(frozen=True, slots=True)
class Provider:
    """Where people log in. `client_secret` is empty for a public client (PKCE alone)."""

    issuer: str
    client_id: str
    redirect_uri: str
    client_secret: str = ""
    scope: str = "openid profile"
    algorithms: tuple[str, ...] = ALGORITHMS


@dataclass(frozen=True, slots=True)
class Started:
    """A login under way: where to send the browser, and what to remember (sealed) until it comes back."""

    url: str
    note: dict[str, object]


@dataclass
class OidcLogin:
    """Sends people to the provider and takes them back. `pseudonym_key` turns a client's BSN into her pseudonym."""

    provider: Provider
    pseudonym_key: bytes
    now: Callable[[], float] = time.time
    timeout_s: float = 10.0
    leeway_s: int = 30
    _metadata: dict[str, str] = field(default_factory=dict)
    _keys: KeySet | None = None
    _asked: float = 0.0

    async def start(self, back_to: str, hint: str = "") -> Started:
        """Begin a login that ends at the page `back_to`. `hint` is passed on as login_hint. `Unavailable` when the provider is away."""
        await self._discover()
        verifier, nonce = secrets.token_urlsafe(48), secrets.token_urlsafe(24)
        extra = {"login_hint": hint} if hint else {}
        async with self._client() as client:
            where = self._metadata["authorization_endpoint"]
            url, state = client.create_authorization_url(where, code_verifier=verifier, nonce=nonce, **extra)
        return Started(url, {"state": state, "nonce": nonce, "verifier": verifier, "to": back_to})

    async def finish(self, note: Mapping[str, object], query: Mapping[str, str]) -> Asker:
        """Who came back. `Unknown` when state, nonce, PKCE, signature or any claim does not fit; nothing of it is told to the browser."""
        if not hmac.compare_digest(str(note["state"]).encode(), query.get("state", "").encode()):
            raise Unknown("deze login hoort niet bij deze browser", code="login-state")
        if "error" in query or "code" not in query:
            raise Unknown("u bent niet ingelogd", code="login-refused")
        await self._discover()
        token = await self._token(query["code"], str(note["verifier"]))
        claims = await self._claims(str(token.get("id_token", "")), str(note["nonce"]))
        return asker_of(claims, self.pseudonym_key)

    async def goodbye(self, back_to: str) -> str:
        """Where a browser is logged out at the provider as well, and then sent back to `back_to`; "" when the provider has no such place.

        The provider is told which client asks and not who leaves: an ID token may hold a BSN, so none is kept to show it again. It may
        ask the person to confirm. Source: OpenID Connect RP-Initiated Logout 1.0, section 2.
        """
        try:
            await self._discover()
        except Unavailable:
            return ""
        where = self._metadata.get("end_session_endpoint", "")
        asked = urlencode({"client_id": self.provider.client_id, "post_logout_redirect_uri": back_to})
        return f"{where}{'&' if '?' in where else '?'}{asked}" if where else ""

    def _client(self) -> AsyncOAuth2Client:
        from authlib.integrations.httpx_client import AsyncOAuth2Client

        wanted = self.provider
        method = "client_secret_basic" if wanted.client_secret else "none"
        return AsyncOAuth2Client(wanted.client_id, wanted.client_secret or None, scope=wanted.scope, redirect_uri=wanted.redirect_uri,
                                 code_challenge_method="S256", token_endpoint_auth_method=method, timeout=self.timeout_s, trust_env=False)

    async def _token(self, code: str, verifier: str) -> Mapping[str, object]:
        import httpx2
        from authlib.integrations.base_client import OAuthError

        async with self._client() as client:
            try:
                found: Mapping[str, object] = await client.fetch_token(self._metadata["token_endpoint"], code=code, code_verifier=verifier,
                                                                       grant_type="authorization_code")
            except OAuthError as refusal:
                raise Unknown("de login is niet gelukt", code="login-refused") from refusal
            except (httpx2.HTTPError, ValueError) as fault:
                raise Unavailable("inloggen kan nu niet; probeer het zo weer", code="login-away") from fault
        return found

    async def _claims(self, id_token: str, nonce: str) -> Mapping[str, object]:
        from authlib.oidc.core import CodeIDToken

        try:
            token = jwt.decode(id_token, await self._keyset(), algorithms=list(self.provider.algorithms))
        except (JoseError, ValueError):
            # The provider may have changed its keys since we asked; once more with new ones, and then it is a no.
            try:
                token = jwt.decode(id_token, await self._keyset(anew=True), algorithms=list(self.provider.algorithms))
            except (JoseError, ValueError) as fault:
                raise Unknown("de login is niet gelukt", code="login-token") from fault
        must = {"iss": self._metadata["issuer"], "aud": self.provider.client_id, "nonce": nonce}
        wanted = {name: {"essential": True, "value": value} for name, value in must.items()}
        claims = CodeIDToken(token.claims, token.header, wanted, {"nonce": nonce, "client_id": self.provider.client_id})
        try:
            claims.validate(now=int(self.now()), leeway=self.leeway_s)
        except JoseError as fault:
            raise Unknown("de login is niet gelukt", code="login-token") from fault
        return token.claims

    async def _discover(self) -> None:
        if self._metadata and self.now() - self._asked < FRESH_S:
            return
        found = await self._ask(self.provider.issuer.rstrip("/") + "/.well-known/openid-configuration")
        needed = ("issuer", "authorization_endpoint", "token_endpoint", "jwks_uri")
        if any(not isinstance(found.get(name), str) for name in needed) or found["issuer"] != self.provider.issuer:
            raise Unavailable("de inlogdienst antwoordt niet zoals afgesproken", code="login-discovery")
        leaves = found.get("end_session_endpoint")
        out = {"end_session_endpoint": leaves} if isinstance(leaves, str) and leaves.startswith(("https://", "http://")) else {}
        self._metadata, self._keys, self._asked = {name: str(found[name]) for name in needed} | out, None, self.now()

    async def _keyset(self, anew: bool = False) -> KeySet:
        if self._keys is None or anew:
            found = await self._ask(self._metadata["jwks_uri"])
            try:
                self._keys = KeySet.import_key_set(found)  # type: ignore[arg-type]  # checked by the import itself
            except (JoseError, ValueError, KeyError, TypeError) as fault:
                raise Unavailable("de inlogdienst antwoordt niet zoals afgesproken", code="login-discovery") from fault
        return self._keys

    async def _ask(self, url: str) -> dict[str, object]:
        import httpx2

        try:
            async with httpx2.AsyncClient(timeout=self.timeout_s, trust_env=False) as client:
                answer = await client.get(url)
                answer.raise_for_status()
                found = answer.json()
        except (httpx2.HTTPError, httpx2.InvalidURL, ValueError) as fault:
            raise Unavailable("inloggen kan nu niet; probeer het zo weer", code="login-away") from fault
        if not isinstance(found, dict):
            raise Unavailable("de inlogdienst antwoordt niet zoals afgesproken", code="login-discovery")
        return found


def asker_of(claims: Mapping[str, object], pseudonym_key: bytes) -> Asker:
    """The asker that a verified ID token speaks of. A client's BSN becomes her pseudonym here and is kept nowhere.

    A national login may put the BSN itself in `sub`, so a woman is known by her pseudonym only. `Unknown` for an account without a
    role, a caregiver without an organisation, or a BSN in anyone else's token.
    """
    try:
        role = Role(_text(claims, "role"))
        if (role is Role.CLIENT) != ("bsn" in claims) or role is Role.SYSTEM:
            raise ValueError("this account has no pages")
        subject = pseudonym_of(Bsn(_text(claims, "bsn")), pseudonym_key) if role is Role.CLIENT else ""
        if role in CAREGIVERS and not re.fullmatch(r"[0-9]{8}", _text(claims, "ura")):
            raise ValueError("a caregiver works for an organisation")
        assurance = _text(claims, "acr")
        return Asker(id=subject or _text(claims, "sub"), name=_text(claims, "name"), role=role, ura=_text(claims, "ura"),
                     organisation=_text(claims, "organisation"), organisation_type=_text(claims, "organisation_type"), subject=subject,
                     assurance=assurance if assurance in ("low", "substantial", "high") else "low",
                     token_id=_text(claims, "jti"), vendor=_text(claims, "client_id"))
    except (ValueError, Invalid):
        # Without the cause: it could hold what the token said.
        raise Unknown("dit account hoort niet bij de ooievaar", code="login-account") from None


def _text(claims: Mapping[str, object], name: str) -> str:
    found = claims.get(name, "")
    if not isinstance(found, str) or len(found) > 200 or not found.isprintable():
        raise ValueError("a claim has an odd shape")
    return found
