"""Things that are text but are not the same: BSN, URA, pseudonyms and event ids.

A `Bsn` never tells its digits: not in `repr`, not in an error. Only the vault in `hub/identity` keeps them.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import Final, NewType

from fhir_profiles.errors import Invalid

Subject = NewType("Subject", str)
"""Pseudonym of a woman, child or fetus: 32 hexadecimal characters. For a woman with a BSN it follows from the BSN."""

Episode = NewType("Episode", str)
"""One pregnancy of one woman: 32 hexadecimal characters; empty text where a fact belongs to no known pregnancy."""

EventId = NewType("EventId", str)
"""Deterministic id of an event: 32 hexadecimal characters."""

BSN_SYSTEM: Final = "http://fhir.nl/fhir/NamingSystem/bsn"
BSN_OID: Final = "2.16.840.1.113883.2.4.6.3"
URA_SYSTEM: Final = "http://fhir.nl/fhir/NamingSystem/ura"
UZI_SYSTEM: Final = "http://fhir.nl/fhir/NamingSystem/uzi-nr-pers"
AGB_SYSTEM: Final = "http://fhir.nl/fhir/NamingSystem/agb-z"
PSEUDONYM_SYSTEM: Final = "urn:ooievaar:pseudonym"
BSN_SYSTEMS: Final = frozenset({BSN_SYSTEM, BSN_SYSTEM + "/", "urn:oid:" + BSN_OID, BSN_OID})

_WEIGHTS: Final = (9, 8, 7, 6, 5, 4, 3, 2, -1)


class Bsn:
    """A burgerservicenummer that passed the eleven-test; eight digits are taken with a leading zero.

    Raises `Invalid` for anything else, without repeating the digits. 000000000 passes the sum and is still refused.
    """

    __slots__ = ("_digits",)

    def __init__(self, text: str) -> None:
        digits = text.strip()
        if not re.fullmatch(r"[0-9]{8,9}", digits):
            raise Invalid("a BSN has nine digits", code="bsn-format")
        digits = digits.zfill(9)
        if digits == "000000000" or sum(w * int(d) for w, d in zip(_WEIGHTS, digits, strict=True)) % 11:
            raise Invalid("the BSN does not pass the eleven-test", code="bsn-check")
        self._digits = digits

    def reveal(self) -> str:
        """The nine digits. Only the vault and the pseudonym may ask."""
        return self._digits

    def __repr__(self) -> str:
        return "Bsn(*********)"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Bsn) and self._digits == other._digits

    def __hash__(self) -> int:
        return hash(self._digits)


def pseudonym_of(bsn: Bsn, key: bytes) -> Subject:
    """The woman's pseudonym: HMAC-SHA256 of her BSN under the hub's own key, cut to 128 bits.

    The same BSN gives the same pseudonym in every process, so no two mappers can disagree; without the key a pseudonym
    tells nothing and cannot be recomputed.
    """
    # `hmac.digest` is the same sum in one call into OpenSSL, a fifth of the time of `hmac.new`.
    return Subject(hmac.digest(key, b"bsn:" + bsn.reveal().encode(), "sha256").hex()[:32])


def digest(*parts: str) -> str:
    """A 128-bit name for a tuple of texts, as 32 hexadecimal characters. Parts carry their length, so they cannot run together."""
    text = "".join([f"{len(part)}:{part}" for part in parts])
    # The lengths are those of the bytes. In ASCII, which nearly all names are, a character is a byte, and half the time is saved.
    raw = text.encode() if text.isascii() else b"".join([b"%d:%b" % (len(part), part) for part in map(str.encode, parts)])
    return hashlib.blake2b(raw, digest_size=16).hexdigest()
