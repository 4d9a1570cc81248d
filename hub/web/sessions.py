"""Sessions of the pages: one encrypted, signed cookie with who is logged in, and for how long. The server keeps no list.

The cookie holds the `Asker` (a pseudonym, never a BSN) under Fernet (AES-128-CBC with HMAC-SHA256), so neither a browser nor a proxy reads
it. It ends after `idle_s` without a request and after `absolute_s` in any case. Each login makes a new one with a new id; logging
out ends that id in this process at once, and elsewhere the browser has dropped the cookie.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Final

import orjson
from cryptography.fernet import Fernet, InvalidToken

from authz.ask import Asker, Role

LOGIN_S: Final = 600
"""How long someone may take at the login provider."""

SEARCH_S: Final = 3600
"""How long a sealed search of an auditor stays usable in the address bar."""


@dataclass(frozen=True, slots=True)
class Session:
    """Someone who is logged in. `began` and `seen` are seconds since 1970."""

    id: str
    asker: Asker
    began: int
    seen: int


@dataclass
class Sessions:
    """Makes and reads session cookies, CSRF tokens and other sealed notes under one key of 32 bytes or more."""

    key: bytes
    secure: bool
    idle_s: int = 1200
    absolute_s: int = 8 * 3600
    now: Callable[[], float] = time.time
    _ended: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(self.key) < 32:
            raise ValueError("a session key has at least 32 bytes")

    @property
    def cookie(self) -> str:
        """The name of the cookie; over https with the prefix that binds it to this host."""
        return "__Host-ooievaar" if self.secure else "ooievaar"

    @property
    def login_cookie(self) -> str:
        """The name of the short-lived cookie that carries state, nonce and verifier during a login."""
        return "__Host-ooievaar-login" if self.secure else "ooievaar-login"

    def begin(self, asker: Asker) -> Session:
        """A new session with a new id."""
        at = int(self.now())
        return Session(secrets.token_urlsafe(18), asker, at, at)

    def seal_session(self, session: Session) -> str:
        """The cookie's value."""
        return self.seal("session", {"id": session.id, "asker": asdict(session.asker), "began": session.began})

    def read(self, value: str) -> Session | None:
        """The session in a cookie; None when it is forged, idle too long, too old, ended or not there."""
        found = self.unseal("session", value, self.idle_s)
        if found is None:
            return None
        note, seen = found
        session = _session(note, seen)
        if session is None or session.began + self.absolute_s <= self.now() or session.id in self._ended:
            return None
        return session

    def end(self, session: Session) -> None:
        """Make this session's cookie worthless in this process."""
        at = int(self.now())
        self._ended = {name: until for name, until in self._ended.items() if until > at}
        self._ended[session.id] = session.began + self.absolute_s

    def csrf(self, session: Session) -> str:
        """The token that every form of this session carries."""
        return hmac.new(self._derived("csrf"), session.id.encode(), hashlib.sha256).hexdigest()

    def csrf_fits(self, session: Session, token: str) -> bool:
        """Whether a form came from our own page of this session."""
        return hmac.compare_digest(self.csrf(session).encode(), token.encode())

    def seal(self, purpose: str, note: dict[str, object]) -> str:
        """A note that only we can read and nobody can change, for one purpose."""
        return self._fernet(purpose).encrypt_at_time(orjson.dumps(note), int(self.now())).decode()

    def unseal(self, purpose: str, value: str, longest_s: int) -> tuple[dict[str, object], int] | None:
        """The note and when it was sealed; None when it is not ours, for another purpose, or older than `longest_s` seconds."""
        box = self._fernet(purpose)
        try:
            raw = box.decrypt_at_time(value.encode(), longest_s, int(self.now()))
            return orjson.loads(raw), box.extract_timestamp(value.encode())
        except (InvalidToken, ValueError):
            return None

    def _fernet(self, purpose: str) -> Fernet:
        return Fernet(base64.urlsafe_b64encode(self._derived(purpose)))

    def _derived(self, purpose: str) -> bytes:
        return hmac.new(self.key, b"ooievaar-web:" + purpose.encode(), hashlib.sha256).digest()


def _session(note: dict[str, object], seen: int) -> Session | None:
    """The session in a note of ours; None when an older version of the hub wrote it in another shape."""
    try:
        fields = dict(note["asker"])  # type: ignore[call-overload]  # our own note; a wrong shape is caught below
        asker = Asker(**{**fields, "role": Role(fields["role"])})
        return Session(str(note["id"]), asker, int(str(note["began"])), seen)
    except (KeyError, TypeError, ValueError):
        return None
