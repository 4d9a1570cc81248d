"""How a page says a refusal: why (the words of `authz/reasons.py`) and what one can do about it."""

from __future__ import annotations

from typing import Final

from authz import reasons

_DO: Final = {
    reasons.ASSURANCE_LOW: "Log uit en log opnieuw in, nu met een sterker middel.",
    reasons.NO_RELATION: "Hoort deze cliënt bij uw organisatie? Meld haar dan aan in uw eigen systeem. "
                         "Zodra dat bericht hier is, gaat het plan open.",
    reasons.NO_CONSENT: "Bespreek het met haar. Zij verandert haar antwoord zelf, bij ‘Delen en toestemming’.",
    reasons.CONSENT_UNKNOWN: "Vraag het haar. Zij antwoordt zelf, bij ‘Delen en toestemming’.",
    reasons.ROLE_HAS_NO_SECTION: "Vraag het de coördinerend zorgverlener.",
    reasons.FACTS_UNKNOWN: "Probeer het over een minuut opnieuw.",
    reasons.ENGINE_ERROR: "Bel de beheerder.",
}
_PAGES: Final = {
    "page-role": ("Deze pagina hoort niet bij uw rol.", "Ga terug naar uw eigen begin."),
    "form-token": ("Deze pagina was niet meer geldig.", "Ga terug, ververs de pagina en probeer het opnieuw."),
}


def for_asker(code: str) -> tuple[str, str]:
    """Why not, and what one can do; for whoever asked."""
    return _PAGES.get(code) or (reasons.said_to_asker(code), _DO.get(code, "Vraag het uw beheerder als u denkt dat dit niet klopt."))


def for_woman(code: str) -> str:
    """Why someone could not look, in plain words for her."""
    return reasons.said_to_client(code)
