"""Every reason that a decision can give, with two Dutch sentences: one for a caregiver, and one in plain words (B1) for the woman.

The code travels: in the answer, in the audit trail, in `ooievaar explain`. A code that is not here cannot be used: policies that name
another are not loaded.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason. `opens`: it is given with a yes. `clinician_nl` is said to the asker, `client_nl` to the woman."""

    code: str
    opens: bool
    clinician_nl: str
    client_nl: str


OWN_PLAN: Final = "own-plan"
CARE_RELATION: Final = "care-relation"
AUDIT_TRAIL: Final = "audit-trail"
ASSURANCE_LOW: Final = "assurance-low"
PURPOSE: Final = "purpose"
NOT_OWN_PLAN: Final = "not-own-plan"
TRAIL_ONLY: Final = "trail-only"
NO_RELATION: Final = "no-relation"
NO_CONSENT: Final = "no-consent"
CONSENT_UNKNOWN: Final = "consent-unknown"
ROLE_HAS_NO_SECTION: Final = "role-has-no-section"
FACTS_UNKNOWN: Final = "facts-unknown"
ENGINE_ERROR: Final = "engine-error"
NOTHING_ASKED: Final = "nothing-asked"
NOTHING_FOUND: Final = "nothing-found"

REASONS: Final[dict[str, Reason]] = {reason.code: reason for reason in (
    Reason(OWN_PLAN, True, "Dit is uw eigen plan.",
           "Dit is uw eigen plan."),
    Reason(CARE_RELATION, True, "Uw organisatie heeft een behandelrelatie en de cliënt gaf toestemming.",
           "Deze organisatie zorgt voor u, en u zei dat zij in uw plan mag kijken."),
    Reason(AUDIT_TRAIL, True, "U mag het logboek inzien om toegang te controleren.",
           "Deze persoon controleert of iedereen zich aan de regels houdt. Hij ziet niet wat er in uw plan staat."),
    Reason(ASSURANCE_LOW, False, "U bent niet sterk genoeg ingelogd. Log in met betrouwbaarheidsniveau substantieel of hoog.",
           "Deze persoon was niet veilig genoeg ingelogd."),
    Reason(PURPOSE, False, "Het opgegeven doel past niet bij uw rol.",
           "Deze persoon gaf een reden om te kijken die niet mag."),
    Reason(NOT_OWN_PLAN, False, "U kunt alleen uw eigen plan inzien.",
           "Iemand anders wilde in uw plan kijken. Dat mag niet."),
    Reason(TRAIL_ONLY, False, "Een auditor ziet het logboek, niet de inhoud van een plan.",
           "Deze persoon mag alleen zien wie in uw plan keek, niet wat erin staat."),
    Reason(NO_RELATION, False, "Uw organisatie heeft geen behandelrelatie met deze zwangerschap.",
           "Deze organisatie zorgt niet voor u in deze zwangerschap."),
    Reason(NO_CONSENT, False, "De cliënt gaf uw organisatie geen toestemming.",
           "U zei dat deze organisatie niet in uw plan mag kijken."),
    Reason(CONSENT_UNKNOWN, False, "De cliënt heeft nog geen toestemming gegeven aan uw organisatie. Vraag het haar.",
           "U heeft nog niet gezegd of deze organisatie in uw plan mag kijken."),
    Reason(ROLE_HAS_NO_SECTION, False, "Dit deel van het plan is niet open voor uw rol.",
           "Mensen met dit beroep mogen dit deel van uw plan niet zien."),
    Reason(FACTS_UNKNOWN, False, "Behandelrelatie of toestemming kon niet worden nagegaan. Probeer het later opnieuw.",
           "Wij konden niet nagaan of het mocht. Daarom bleef uw plan dicht."),
    Reason(ENGINE_ERROR, False, "De toegangsregels konden niet worden toegepast. Het plan blijft dicht; de beheerder is nodig.",
           "Er ging bij ons iets mis. Daarom bleef uw plan dicht."),
    Reason(NOTHING_FOUND, True, "Er is geen cliënt met een behandelrelatie en toestemming voor uw organisatie.",
           "Deze persoon zocht en vond niets."),
    Reason(NOTHING_ASKED, False, "Er is geen deel van het plan gevraagd.",
           "Er is geen deel van uw plan gevraagd."),
)}


def said_to_asker(code: str) -> str:
    """The sentence for whoever asked. A code that nobody knows is still a refusal, in plain words."""
    reason = REASONS.get(code)
    return reason.clinician_nl if reason else "Dit is niet open voor u."


def said_to_client(code: str) -> str:
    """The sentence for the woman whose plan it is, in plain Dutch."""
    reason = REASONS.get(code)
    return reason.client_nl if reason else "Dit mocht niet."
