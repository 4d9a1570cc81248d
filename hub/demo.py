"""The demo: three invented women, a practice, two hospitals and a maternity-care organisation, and what each may see at the start."""

from __future__ import annotations

from typing import Final

from authz.consents import Consents
from connectors.contract import Source
from fhir_profiles.identifiers import Bsn, pseudonym_of

SOURCES: Final = (
    Source("practice", "00700001", "Verloskundigenpraktijk De Lepelaar", "G3", client_id="praktijk"),
    Source("hix", "00700002", "Ziekenhuis Rijnoever", "V4", senders=(("HIX", "RIJNOEVER"),)),
    Source("epic", "00700003", "Ziekenhuis Oostzoom", "V4"),
)
DEMO_ORGANISATIONS: Final = {**{source.ura: (source.organisation, source.organisation_type) for source in SOURCES}, "00700004": ("Kraamzorg De Zon", "K4")}
"""By URA: name and type. Kraamzorg De Zon sends nothing."""

ORGANISATIONS: Final = {ura: name for ura, (name, _) in DEMO_ORGANISATIONS.items()}
WOMEN: Final = (("Noor Verhoeven", "999990019"), ("Samira Aydin", "999990020"), ("Lotte Brink", "999990032"))
"""Invented; the numbers pass the eleven-test and lie in the range for testing."""

_AGREED: Final = ("00700001", "00700002")


def seed_consents(consents: Consents, pseudonym_key: bytes) -> None:
    """Every woman said yes to her practice and to Ziekenhuis Rijnoever when she registered; what she answered since is left alone."""
    for _, bsn in WOMEN:
        subject = pseudonym_of(Bsn(bsn), pseudonym_key)
        answered = consents.all_of(subject)
        for ura in _AGREED:
            if ura not in answered:
                consents.give(subject, ura, by=subject, proof="asked at registration")
