"""The demo's cast, and the key that signs their tokens. For demo mode only: whoever can read the key file can be anyone.

`issue` gives a bearer token for the API, `id_token` what the built-in login provider hands to the pages. All people are invented;
the BSNs pass the eleven-test and were never given out.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import orjson
from joserfc import jwt
from joserfc.jwk import ECKey

from authz.ask import Role
from fhir_profiles.errors import Missing

LIFETIME_S: Final = 3600


@dataclass(frozen=True, slots=True)
class Organisation:
    """Where someone of the cast works: name, URA and the Dutch type code (G3, V4, K4)."""

    name: str
    ura: str
    type: str


LEPELAAR: Final = Organisation("Verloskundigenpraktijk De Lepelaar", "00700001", "G3")
RIJNOEVER: Final = Organisation("Ziekenhuis Rijnoever", "00700002", "V4")
OOSTZOOM: Final = Organisation("Ziekenhuis Oostzoom", "00700003", "V4")
DE_ZON: Final = Organisation("Kraamzorg De Zon", "00700004", "K4")
NOWHERE: Final = Organisation("", "", "")


@dataclass(frozen=True, slots=True)
class Account:
    """Someone (or a system) that one can be in the demo. `name` is what `ooievaar demo token NAME` takes, `words_nl` tells who it is."""

    name: str
    person: str
    role: Role
    words_nl: str
    organisation: Organisation = NOWHERE
    bsn: str = ""
    client_id: str = ""
    born_on: str = ""

    def claims(self) -> dict[str, object]:
        """The claims that say who this is, without those about the token itself."""
        found: dict[str, object] = {
            "sub": f"demo-{self.name}", "name": self.person, "role": self.role.value,
            "acr": "substantial" if self.role is Role.CLIENT else "high", "client_id": self.client_id,
            "ura": self.organisation.ura, "organisation": self.organisation.name, "organisation_type": self.organisation.type,
        }
        return {**found, "bsn": self.bsn} if self.bsn else found


_CAST: Final = (
    Account("noor", "Noor Verhoeven", Role.CLIENT, "zwanger", bsn="999990019", born_on="1994-03-12"),
    Account("samira", "Samira Aydin", Role.CLIENT, "zwanger van een tweeling, twee dossiers", bsn="999990020", born_on="1990-11-02"),
    Account("lotte", "Lotte Brink", Role.CLIENT, "haar zwangerschap eindigde te vroeg", bsn="999990032", born_on="1988-07-25"),
    Account("marit", "Marit Jansen", Role.MIDWIFE, "verloskundige, De Lepelaar", LEPELAAR),
    Account("anna", "Anna de Wit", Role.GYNAECOLOGIST, "gynaecoloog, Rijnoever", RIJNOEVER),
    Account("joke", "Joke Smit", Role.MATERNITY_NURSE, "kraamverzorgende, nog geen behandelrelatie", DE_ZON),
    Account("tess", "Tess Smeets", Role.AUDITOR, "auditor, ziet wie keek en niet wat er staat"),
    Account("ravi", "Ravi Visser", Role.ENGINEER, "integratie, Rijnoever", RIJNOEVER),
    Account("praktijk", "Systeem van De Lepelaar", Role.SYSTEM, "stuurt berichten", LEPELAAR, client_id="praktijk"),
)


def accounts() -> tuple[Account, ...]:
    """Everyone that one can be in the demo, women first."""
    return _CAST


def account(name: str) -> Account:
    """One of the cast by its short name. `Missing` for another."""
    found = next((one for one in _CAST if one.name == name), None)
    if found is None:
        raise Missing("there is no such demo account: " + ", ".join(one.name for one in _CAST), code="demo-account")
    return found


def signing_key(path: Path) -> ECKey:
    """The demo's ES256 key in this file; made at the first call, readable by its owner only.

    Two processes that start at once agree: the file is made whole under another name, and the first to link it wins.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_name(f"{path.name}.{secrets.token_hex(6)}")
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(orjson.dumps(ECKey.generate_key("P-256", auto_kid=True).as_dict(private=True)))
            os.fsync(file.fileno())
        try:
            os.link(fresh, path)
        except FileExistsError:
            pass  # another process was first, and its key is the one
        fresh.unlink()
    return ECKey.import_key(orjson.loads(path.read_bytes()))


@dataclass(frozen=True)
class DemoIssuer:
    """Signs tokens for the cast. `issuer` is the demo provider's own address, `audience` the hub's FHIR base."""

    issuer: str
    audience: str
    key: ECKey
    now: Callable[[], float] = time.time

    def issue(self, name: str, lifetime_s: int = LIFETIME_S) -> str:
        """A bearer token for the API. `Missing` when nobody of the cast has this name."""
        return self._sign({**account(name).claims(), "aud": self.audience}, lifetime_s)

    def id_token(self, name: str, client_id: str, nonce: str) -> str:
        """An OpenID Connect ID token for the pages."""
        return self._sign({**account(name).claims(), "aud": client_id, "nonce": nonce, "auth_time": int(self.now())}, 300)

    def jwks(self) -> Mapping[str, object]:
        """The public key set."""
        return {"keys": [{**self.key.as_dict(private=False), "use": "sig", "alg": "ES256", "kid": self.key.kid}]}

    def _sign(self, claims: Mapping[str, object], lifetime_s: int) -> str:
        at = int(self.now())
        about = {"iss": self.issuer, "jti": secrets.token_urlsafe(12), "iat": at, "exp": at + lifetime_s}
        return jwt.encode({"alg": "ES256", "kid": self.key.kid, "typ": "JWT"}, {**claims, **about}, self.key, algorithms=["ES256"])
