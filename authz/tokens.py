"""Who a bearer token speaks for: a JWT becomes an `Asker`, or the request is nobody's.

Closed by default: the algorithm is pinned to the key and never taken from the token, a header may name nothing but algorithm, key
and type, and a claim that is absent, of another shape or of another audience refuses the whole. A BSN in the token becomes the
woman's pseudonym at once and is kept nowhere. Source: RFC 7519, RFC 8725 (best current practice), RFC 6750 (the answer), SMART
App Launch 2.2 Backend Services.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Any, Final, Protocol, TypeGuard

import orjson
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

from authz.ask import CAREGIVERS, Asker, Role
from fhir_profiles.errors import Invalid, Unknown
from fhir_profiles.identifiers import Bsn, pseudonym_of

MAX_TOKEN: Final = 8192
"""Longest bearer that is looked at, in characters."""

_HEADERS: Final = frozenset({"alg", "kid", "typ", "x5t", "x5t#S256"})
_TYPES: Final = frozenset({"jwt", "at+jwt", "application/at+jwt"})
_ASSURANCE: Final = frozenset({"low", "substantial", "high"})
_NEEDS_URA: Final = CAREGIVERS | {Role.SYSTEM}
_PINS: Final = {"P-256": "ES256", "P-384": "ES384"}
_RSA: Final = ("RS256", "PS256")

Key = ECKey | RSAKey


class NoToken(Unknown):
    """The request brought no bearer token."""

    challenge = 'Bearer realm="ooievaar"'


class BadToken(Unknown):
    """The token is not one that this hub takes. `code` says why; nothing of the token is repeated."""

    def __init__(self, code: str) -> None:
        super().__init__("this access token is not valid here", code=code)
        self.challenge = f'Bearer realm="ooievaar", error="invalid_token", error_description="{code}"'


class Keys(Protocol):
    """Where the issuer's public keys come from."""

    def of(self, kid: str) -> tuple[Key, str] | None:
        """The key under this id with the one algorithm that it may be used with, or None when there is none."""


class StaticKeys:
    """The keys of a JWKS that does not change. Raises ValueError for a set that cannot be trusted (two keys with one id)."""

    def __init__(self, jwks: Mapping[str, Any]) -> None:
        self._keys = _pinned(jwks)

    def of(self, kid: str) -> tuple[Key, str] | None:
        """The key and its algorithm."""
        return self._keys.get(kid)


class FetchedKeys:
    """The keys of a JWKS that `fetch` gets, at most every `wait_s` for an unknown id and after `max_age_s` in any case.

    When fetching fails, the keys at hand go on for `max_age_s` more, and then nothing is trusted. Calls may block as `fetch` does.
    """

    def __init__(self, fetch: Callable[[], Mapping[str, Any]], clock: Callable[[], float], *,
                 max_age_s: float = 600, wait_s: float = 30) -> None:
        self._fetch, self._clock, self._max_age, self._wait = fetch, clock, max_age_s, wait_s
        self._keys: dict[str, tuple[Key, str]] = {}
        self._fetched = self._tried = float("-inf")
        self._lock = threading.Lock()

    def of(self, kid: str) -> tuple[Key, str] | None:
        """The key and its algorithm, fetched anew when it is unknown or the set is old."""
        with self._lock:
            now = self._clock()
            old = now - self._fetched > self._max_age
            if (old or kid not in self._keys) and now - self._tried >= self._wait:
                self._refresh(now)
            if now - self._fetched > 2 * self._max_age:
                return None
            return self._keys.get(kid)

    def _refresh(self, now: float) -> None:
        self._tried = now
        try:
            self._keys = _pinned(self._fetch())
        except Exception:  # whatever a neighbour's answer does, the keys at hand serve until they are too old
            return
        self._fetched = now


def _pinned(jwks: Mapping[str, Any]) -> dict[str, tuple[Key, str]]:
    """Key id → public key and its one algorithm; keys for other uses or of other kinds are left out."""
    found: dict[str, tuple[Key, str]] = {}
    for raw in jwks["keys"]:
        kid, pinned = raw.get("kid"), _pin(raw)
        if not isinstance(kid, str) or not kid or not pinned or raw.get("use", "sig") != "sig":
            continue
        if kid in found:
            raise ValueError("two keys with one id")
        public = {name: raw[name] for name in ("kty", "crv", "x", "y", "n", "e") if name in raw}
        key: Key = ECKey.import_key(public) if raw["kty"] == "EC" else RSAKey.import_key(public)
        if isinstance(key, RSAKey) and key.public_key.key_size < 2048:
            raise ValueError("an RSA key has at least 2048 bits")
        found[kid] = key, pinned
    return found


def _pin(raw: Mapping[str, Any]) -> str:
    """The one algorithm for a key: what fits its kind, narrowed by its own `alg`; empty when it cannot sign tokens here."""
    if raw.get("kty") == "EC":
        fits = _PINS.get(str(raw.get("crv")), "")
        return fits if raw.get("alg", fits) == fits else ""
    if raw.get("kty") == "RSA":
        named = str(raw.get("alg", _RSA[0]))
        return named if named in _RSA else ""
    return ""


class Tokens:
    """Turns bearer tokens into askers and remembers those it verified until they expire. Safe to use from several threads.

    `clock` gives seconds since 1970, `leeway_s` is the clock skew allowed for `nbf` and `iat` (never for `exp`), `max_lifetime_s` the
    longest time from `iat` to `exp`.
    """

    def __init__(self, issuer: str, audience: str, keys: Keys, pseudonym_key: bytes, clock: Callable[[], float], *,
                 max_lifetime_s: int = 3600, leeway_s: int = 30, remember: int = 10_000) -> None:
        self._issuer, self._audience, self._keys, self._key, self._clock = issuer, audience, keys, pseudonym_key, clock
        self._max_lifetime, self._leeway, self._limit = max_lifetime_s, leeway_s, remember
        self._seen: OrderedDict[bytes, tuple[int, Asker]] = OrderedDict()
        self._lock = threading.Lock()

    def asker(self, bearer: str) -> Asker:
        """The asker that a bearer token speaks for. Raises `BadToken`; may wait for the issuer's keys."""
        known = self.known(bearer)
        return known if known is not None else self._verify(bearer)

    def known(self, bearer: str) -> Asker | None:
        """The asker of a token that was verified before and still counts; never waits."""
        found = self._seen.get(sha256(bearer.encode("utf-8", "replace")).digest())
        return found[1] if found is not None and self._clock() < found[0] else None

    def _verify(self, bearer: str) -> Asker:
        if len(bearer) > MAX_TOKEN or not bearer.isascii():
            raise BadToken("malformed")
        claims = self._signed(bearer)
        expires = self._timely(claims)
        if claims.get("iss") != self._issuer:
            raise BadToken("issuer")
        if not _names(claims.get("aud"), self._audience):
            raise BadToken("audience")
        asker = _asker(claims, self._key)
        self._remember(bearer, expires, asker)
        return asker

    def _signed(self, bearer: str) -> dict[str, Any]:
        """The claims, once the signature was checked with the key that `kid` names and the algorithm that is that key's own."""
        try:
            header = jws.extract_compact(bearer.encode()).headers()
            key, algorithm = self._trusted(header)
            payload = jws.deserialize_compact(bearer, key, algorithms=[algorithm]).payload
            claims = orjson.loads(payload or b"")
        except BadToken:
            raise
        except (JoseError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
            raise BadToken("signature") from None
        if not isinstance(claims, dict):
            raise BadToken("malformed")
        return claims

    def _trusted(self, header: Mapping[str, Any]) -> tuple[Key, str]:
        if not header.keys() <= _HEADERS:
            raise BadToken("header")
        if "typ" in header and str(header["typ"]).lower() not in _TYPES:
            raise BadToken("type")
        kid = header.get("kid")
        found = self._keys.of(kid) if isinstance(kid, str) else None
        if found is None:
            raise BadToken("key")
        if header.get("alg") != found[1]:
            raise BadToken("algorithm")
        return found

    def _timely(self, claims: Mapping[str, Any]) -> int:
        """When the token ends, in seconds since 1970."""
        now = self._clock()
        issued, expires, begins = (claims.get("iat"), claims.get("exp"), claims.get("nbf", claims.get("iat")))
        if not (_whole(issued) and _whole(expires) and _whole(begins)):
            raise BadToken("times")
        if now >= expires:
            raise BadToken("expired")
        if begins > now + self._leeway or issued > now + self._leeway:
            raise BadToken("not-yet")
        if expires <= issued or expires - issued > self._max_lifetime:
            raise BadToken("lifetime")
        return expires

    def _remember(self, bearer: str, expires: int, asker: Asker) -> None:
        with self._lock:
            self._seen[sha256(bearer.encode()).digest()] = (expires, asker)
            if len(self._seen) > self._limit:
                self._seen.popitem(last=False)


def _whole(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _names(aud: object, audience: str) -> bool:
    return aud == audience if isinstance(aud, str) else isinstance(aud, list) and all(isinstance(a, str) for a in aud) and audience in aud


def _asker(claims: Mapping[str, Any], key: bytes) -> Asker:
    role = _role(claims)
    subject = _subject(claims, role, key)
    ura, client = _text(claims, "ura"), _text(claims, "client_id")
    if role in _NEEDS_URA and not (ura.isdigit() and len(ura) == 8):
        raise BadToken("ura")
    if role is Role.SYSTEM and not client:
        raise BadToken("client_id")
    assurance = _text(claims, "acr")
    if assurance not in _ASSURANCE:
        raise BadToken("acr")
    # A national login may put the BSN itself in `sub`: a woman is known here by her pseudonym only.
    account = subject or _text(claims, "sub", needed=True)
    return Asker(account, _text(claims, "name"), role, ura, _text(claims, "organisation"), _text(claims, "organisation_type"), subject,
                 assurance, _text(claims, "jti", needed=True), client)


def _role(claims: Mapping[str, Any]) -> Role:
    try:
        return Role(_text(claims, "role", needed=True))
    except ValueError:
        raise BadToken("role") from None


def _subject(claims: Mapping[str, Any], role: Role, key: bytes) -> str:
    """The woman's pseudonym when she asks herself; a BSN in anyone else's token is a mix-up and refuses it."""
    if (role is Role.CLIENT) != ("bsn" in claims):
        raise BadToken("bsn")
    if role is not Role.CLIENT:
        return ""
    _text(claims, "sub", needed=True)
    try:
        return pseudonym_of(Bsn(_text(claims, "bsn", needed=True)), key)
    except Invalid:
        raise BadToken("bsn") from None


def _text(claims: Mapping[str, Any], name: str, *, needed: bool = False) -> str:
    value = claims.get(name, "")
    if not isinstance(value, str) or len(value) > 200 or not value.isprintable() or (needed and not value.strip()):
        raise BadToken(name)
    return value
