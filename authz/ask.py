"""Who asks, what is asked, and what is known: the typed input of every decision. A question without identity, role or purpose cannot be built."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final


class Role(StrEnum):
    """What someone is to the hub; one token carries one role."""

    CLIENT = "client"                        # cliënt: the woman herself
    MIDWIFE = "midwife"                      # verloskundige
    GYNAECOLOGIST = "gynaecologist"          # gynaecoloog, klinisch verloskundige
    MATERNITY_NURSE = "maternity-nurse"      # kraamverzorgende
    AUDITOR = "auditor"                      # auditor, toezichthouder
    ENGINEER = "engineer"                    # integratie-engineer van een bron
    SYSTEM = "system"                        # a system that sends


class Purpose(StrEnum):
    """Why (HL7 v3 PurposeOfUse)."""

    TREATMENT = "TREAT"
    PATIENT_REQUEST = "PATRQT"
    AUDIT = "HSYSADMIN"


CAREGIVERS: Final = frozenset({Role.MIDWIFE, Role.GYNAECOLOGIST, Role.MATERNITY_NURSE})


@dataclass(frozen=True, slots=True)
class Asker:
    """The person or system behind a request, as its token says. Everything comes from the token, never from path or body.

    `id` is the UZI/Dezi number or account, `subject` the woman's own pseudonym when she is the asker. `assurance` is low,
    substantial or high. `token_id` is the token's jti; `vendor` the software that acts for the organisation.
    """

    id: str
    name: str
    role: Role
    ura: str = ""
    organisation: str = ""
    organisation_type: str = ""
    subject: str = ""
    assurance: str = "substantial"
    token_id: str = ""
    vendor: str = ""

    def __post_init__(self) -> None:
        if not self.id:
            raise ValueError("an asker has an id")


@dataclass(frozen=True, slots=True)
class Ask:
    """One question at the door: may this asker do this with these sections of this woman's plan?

    `subject` is her pseudonym, `episode` the pregnancy (empty: the present one). `action` is read, search or export; `interaction`
    names the route for the trail ("page:overview", "fhir:Observation"). `network` is the caller's address.
    """

    asker: Asker
    subject: str
    sections: tuple[str, ...]
    purpose: Purpose
    episode: str = ""
    action: str = "read"
    interaction: str = ""
    query: str = ""
    network: str = ""
    trace: str = ""
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class Known:
    """What the hub knows about asker and woman at this moment. None means that it could not be known, and closes the door.

    `relation` is none, dossier or encounter (treatment relation of the asker's organisation with this pregnancy); `consent` is
    yes, no or unknown (the woman's answer about the asker's organisation).
    """

    relation: str | None
    consent: str | None
    consent_event: str = ""
    relation_evidence: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer: which sections open, and for every section the reason code and the ids of the deciding policies.

    `controls` are the four positions of NEN 7513 "controles": authorisation, treatment relation, consent, emergency (T or F).
    """

    allowed: frozenset[str]
    reasons: dict[str, str]
    policies: tuple[str, ...]
    release: str
    controls: str
    obligations: tuple[str, ...] = field(default=())

    @property
    def reason(self) -> str:
        """The one reason of the whole: the first refusal's when nothing opened, else that of what opened."""
        kinds = sorted(set(self.reasons.values()) if not self.allowed else {self.reasons[s] for s in self.allowed})
        return kinds[0] if kinds else "nothing-asked"
