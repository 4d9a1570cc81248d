"""SMART Backend Services: how the hub proves to Epic which system it is, and asks politely.

`Smart` finds the token endpoint in `.well-known/smart-configuration`, signs an assertion (`private_key_jwt`, ES384 or RS384,
                                                                                           five minutes at
most, used once) and keeps the token until shortly before it ends. `get` fetches one page: a 401 gets a new token once, 429, 5xx and silence
are tried again with growing pauses and jitter, a limited number of times. It never leaves the origin of `base_url` and follows no redirect.

Source: SMART App Launch 2.2, Backend Services and Client Authentication: Asymmetric.
"""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from urllib.parse import urljoin, urlsplit

import httpx2
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from connectors.formats.fhir_json import MAX_BYTES
from fhir_profiles.errors import Forbidden, Invalid, Refused, TooLarge, Unavailable
from fhir_profiles.strict_json import strict_loads

SCOPE: Final = "system/Patient.rs system/Condition.rs system/Observation.rs"
ASSERTION_S: Final = 240
"""How long an assertion holds; SMART allows 300 s."""
_EARLY_S: Final = 30.0
_TOKEN_BYTES: Final = 64 * 1024
_LOOPBACK: Final = frozenset(("127.0.0.1", "localhost", "::1"))


@dataclass(frozen=True, slots=True)
class Patience:
    """How long one request may take, how often it is tried, and the pauses between. All in seconds."""

    timeout_s: float = 20.0
    attempts: int = 4
    first_pause_s: float = 0.5
    longest_pause_s: float = 30.0

    def pause(self, attempt: int, asked: str) -> float:
        """The pause after a failed attempt: what the server asked for within our limit, else growing, with jitter."""
        if asked.isdigit():
            return min(float(asked), self.longest_pause_s)
        longest = min(self.first_pause_s * 2.0**attempt, self.longest_pause_s)
        return longest * random.uniform(0.5, 1.0)  # noqa: S311  # jitter is no secret


def origin_of(url: str) -> tuple[str, str, int]:
    """Scheme, host and port of a URL. Raises `Invalid` for anything but https, or http on this machine."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise Invalid("the address is not a URL", code="url") from error
    host = (parts.hostname or "").lower()
    if parts.scheme not in ("https", "http") or not host or parts.username is not None:
        raise Invalid("the address is not a web address", code="url")
    if parts.scheme == "http" and host not in _LOOPBACK:
        raise Invalid("the address is not protected by TLS", code="url-plain")
    return parts.scheme, host, port or (443 if parts.scheme == "https" else 80)


@dataclass
class Smart:
    """A client of one FHIR server. `clock` gives UTC ISO text, for the assertion."""

    http: httpx2.AsyncClient
    base_url: str
    client_id: str
    key: ECKey | RSAKey
    clock: Callable[[], str]
    patience: Patience = field(default_factory=Patience)
    _token: str = ""
    _until: float = 0.0
    _endpoint: str = ""

    def __post_init__(self) -> None:
        self.base_url = self.base_url.rstrip("/")
        self._origin = origin_of(self.base_url)

    async def get(self, url: str) -> bytes:
        """The body at a URL below `base_url`. Raises `Unavailable` when it may work later, `Refused` when it will not."""
        self.check(url)
        renewed = False
        for attempt in range(self.patience.attempts):
            asked = ""
            try:
                status, asked, body = await self._once("GET", url, headers={"Authorization": f"Bearer {await self.token()}",
                                                                            "Accept": "application/fhir+json"})
            except httpx2.InvalidURL as error:
                raise Invalid("the address is not a URL", code="url") from error
            except httpx2.HTTPError:
                status, body = 0, b""
            if status == 200:
                return body
            if status == 401 and not renewed:
                renewed, self._token = True, ""
                continue
            _refuse(status)
            if attempt + 1 < self.patience.attempts:
                await asyncio.sleep(self.patience.pause(attempt, asked))
        raise Unavailable("the FHIR server does not answer", code="source-away")

    def check(self, url: str) -> None:
        """Refuse a URL of another origin, or outside the base: a page may link anywhere, and the token goes with the request."""
        if origin_of(url) != self._origin or not (urlsplit(url).path + "/").startswith(urlsplit(self.base_url).path + "/"):
            raise Forbidden("the link leads to another server", code="foreign-origin")

    async def token(self) -> str:
        """A token that holds for at least half a minute more."""
        if not self._token or asyncio.get_running_loop().time() > self._until - _EARLY_S:
            await self._log_in()
        return self._token

    async def _log_in(self) -> None:
        if not self._endpoint:
            self._endpoint = await self._find_endpoint()
        form = {"grant_type": "client_credentials", "scope": SCOPE, "client_assertion": self._assertion(self._endpoint),
                "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}
        status, _, body = await self._once("POST", self._endpoint, data=form, limit=_TOKEN_BYTES)
        if status in (400, 401, 403):
            raise Forbidden("the FHIR server does not let this client in", code="client-refused")
        answer = strict_loads(body) if status == 200 else None
        if not isinstance(answer, dict) or not isinstance(answer.get("access_token"), str):
            raise Unavailable("the token endpoint does not answer", code="token-away")
        lasts = answer.get("expires_in")
        lasts_s = float(lasts) if isinstance(lasts, (int, float)) and lasts > 0 else 60.0
        self._token = answer["access_token"]
        self._until = asyncio.get_running_loop().time() + max(lasts_s, _EARLY_S + 1)

    async def _find_endpoint(self) -> str:
        status, _, body = await self._once("GET", f"{self.base_url}/.well-known/smart-configuration", limit=_TOKEN_BYTES)
        found = strict_loads(body) if status == 200 else None
        endpoint = found.get("token_endpoint") if isinstance(found, dict) else None
        if not isinstance(endpoint, str):
            raise Unavailable("the FHIR server does not say where to log in", code="smart-away")
        if origin_of(endpoint) != self._origin:
            raise Forbidden("the token endpoint stands on another server", code="foreign-origin")
        return endpoint

    def _assertion(self, endpoint: str) -> str:
        now = int(datetime.fromisoformat(self.clock()).timestamp())
        algorithm = "RS384" if isinstance(self.key, RSAKey) else "ES384"
        claims = {"iss": self.client_id, "sub": self.client_id, "aud": endpoint, "iat": now, "exp": now + ASSERTION_S,
                  "jti": uuid.uuid4().hex}
        header = {"alg": algorithm, "typ": "JWT", **({"kid": self.key.kid} if self.key.kid else {})}
        return jwt.encode(header, claims, self.key, algorithms=[algorithm])

    async def _once(self, method: str, url: str, *, headers: dict[str, str] | None = None, data: dict[str, str] | None = None,
                    limit: int = MAX_BYTES) -> tuple[int, str, bytes]:
        """One request within the time allowed for it: status, Retry-After and body."""
        try:
            async with asyncio.timeout(self.patience.timeout_s):
                async with self.http.stream(method, url, headers=headers, data=data) as response:
                    body = bytearray()
                    async for piece in response.aiter_bytes():
                        body += piece
                        if len(body) > limit:
                            raise TooLarge("the answer is larger than 20 MB", code="too-large")
                    return response.status_code, response.headers.get("Retry-After", ""), bytes(body)
        except TimeoutError:
            return 0, "", b""


def _refuse(status: int) -> None:
    """Raise for an answer that trying again will not change."""
    if status in (401, 403):
        raise Forbidden("the FHIR server does not give this to this client", code="client-refused")
    if status and status not in (408, 425, 429) and status < 500:
        raise Refused("the FHIR server refuses the question", code=f"status-{status}")


def joined(base_url: str, link: str) -> str:
    """A link as a whole URL. Raises `Invalid` when it is none."""
    try:
        return urljoin(base_url + "/", link)
    except ValueError as error:
        raise Invalid("the address is not a URL", code="url") from error


def new_client(patience: Patience) -> httpx2.AsyncClient:
    """An HTTP client that follows nothing and reads no settings of the machine."""
    return httpx2.AsyncClient(follow_redirects=False, trust_env=False, timeout=patience.timeout_s)


def read_page(body: bytes) -> dict[str, Any]:
    """A page as JSON. Raises `Invalid` when it is no FHIR resource."""
    tree = strict_loads(body)
    if not isinstance(tree, dict) or not isinstance(tree.get("resourceType"), str):
        raise Invalid("the FHIR server sent no FHIR resource", code="not-a-resource")
    return tree
