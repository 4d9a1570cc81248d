"""One entry of the trail: every field of NEN 7513 chapter 7. An entry that lacks what the norm demands cannot be built.

Gebeurtenis (7.2) is `What`, gebruiker (7.3) `Who`, object (7.4) `About`, loggegevens (7.5) `Where`. Sources: NEN 7513:2018 chapter 7 as
restated by iWlz RFC0019 and the Zorgviewer guide. Ids of persons are those of their tokens; the woman is her pseudonym, never a BSN.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

import orjson

SUCCESS: Final = "success"
REFUSED: Final = "refused"
ERROR: Final = "error"

PLAN_READ: Final = "plan-read"          # inzage in het plan
PLAN_EXPORT: Final = "plan-export"      # kopie van het plan
CLIENT_SEARCH: Final = "client-search"  # werklijst
LOG_READ: Final = "log-read"            # de cliënt leest wie keek
LOG_SEARCH: Final = "log-search"        # een auditor zoekt in het logboek
LOG_EXPORT: Final = "log-export"        # kopie van het logboek
KINDS: Final = frozenset({PLAN_READ, PLAN_EXPORT, CLIENT_SEARCH, LOG_READ, LOG_SEARCH, LOG_EXPORT})

NOT_APPLICABLE: Final = "not-applicable"
UNKNOWN: Final = "not-known"

_CAREGIVERS: Final = frozenset({"midwife", "gynaecologist", "maternity-nurse"})
_BODY_VERSION: Final = 1
_NAME: Final = re.compile(r"[0-9A-Za-z._-]{0,64}")
"""What stands in a column of its own: pseudonyms and organisation numbers, never free text."""


@dataclass(frozen=True, slots=True)
class What:
    """The event (7.2): its code, the action C/R/U/D/E, when it began (UTC, ISO), its nature, the result and the four controls.

    `nature` is the route that was used ("page:overview", "fhir:Observation"). `reason` is the reason code, `reason_nl` its sentence.
    `controls` are authorisation, treatment relation, consent, emergency button: T or F each.
    """

    code: str
    action: str
    at: str
    outcome: str
    reason: str
    controls: str
    nature: str = ""
    reason_nl: str = ""


@dataclass(frozen=True, slots=True)
class Who:
    """The user (7.3) and the organisation, software and login behind him.

    A system has a `responsible` person or organisation; for a person that is himself. `network` is the access point's address.
    """

    id: str
    role: str
    purpose: str
    name: str = ""
    ura: str = ""
    organisation: str = ""
    organisation_type: str = ""
    assurance: str = ""
    token_id: str = ""
    vendor: str = ""
    network: str = ""
    responsible: str = ""


@dataclass(frozen=True, slots=True)
class About:
    """The object (7.4): whose data (pseudonym, "" for a search over all), which parts, and by which rules.

    `opened` are the sections that were handed over, `closed` the others with their reason code. `release` is the SHA-256 of the policy
    release (autorisatieprotocol) and `policies` the rules that decided. `relation` with `relation_evidence` is the behandelrelatieprotocol,
    `consent` with `consent_event` the toestemmingsprofiel; "not-applicable" where the rules do not ask for one, "not-known" where the hub
    could not find out. `query` is what was asked in a search, never what came out.
    """

    subject: str
    release: str
    relation: str
    consent: str
    episode: str = ""
    version: str = ""
    opened: tuple[str, ...] = ()
    closed: tuple[tuple[str, str], ...] = ()
    policies: tuple[str, ...] = ()
    relation_evidence: str = ""
    consent_event: str = ""
    query: str = ""
    trace: str = ""
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class Where:
    """The source (7.5): which service and instance logged it, at which site. `kind`: security-source-type (4: application server)."""

    observer: str
    site: str = ""
    kind: str = "4"


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the log. Raises `ValueError`, naming the field, when something mandatory is missing or not a possible value."""

    id: str
    what: What
    who: Who
    about: About
    where: Where

    def __post_init__(self) -> None:
        if missing := _missing(self):
            raise ValueError(f"an entry without {missing} is not a NEN 7513 line")


def _missing(entry: Entry) -> str:
    """The first mandatory field that is absent or impossible, "" when the line is complete."""
    what, who, about = entry.what, entry.who, entry.about
    demands: tuple[tuple[bool, str], ...] = (
        (bool(entry.id), "id"),
        (what.code in KINDS, "what.code"),
        (what.action in ("C", "R", "U", "D", "E"), "what.action"),
        (len(what.at) >= 19 and what.at.endswith(("Z", "+00:00")), "what.at"),
        (what.outcome in (SUCCESS, REFUSED, ERROR), "what.outcome"),
        (bool(what.reason), "what.reason"),
        (len(what.controls) == 4 and set(what.controls) <= {"T", "F"}, "what.controls"),
        (bool(who.id), "who.id"),
        (bool(who.role), "who.role"),
        (bool(who.purpose), "who.purpose"),
        # A caregiver acts for an organisation, a system for somebody who answers for it.
        (bool(who.ura) or who.role not in _CAREGIVERS or what.outcome != SUCCESS, "who.ura"),
        (bool(who.responsible) or who.role != "system", "who.responsible"),
        (bool(about.release), "about.release"),
        (bool(about.relation), "about.relation"),
        (bool(about.consent), "about.consent"),
        # About whom, unless it is a search over all: NEN allows no other line without a client.
        (bool(about.subject) or what.code in (LOG_SEARCH, LOG_EXPORT, CLIENT_SEARCH), "about.subject"),
        (_NAME.fullmatch(about.subject) is not None, "about.subject"),
        (_NAME.fullmatch(who.ura) is not None, "who.ura"),
        (bool(about.query) or what.action != "E", "about.query"),
        (bool(entry.where.observer), "where.observer"),
    )
    return next((name for good, name in demands if not good), "")


@dataclass(frozen=True, slots=True)
class Line:
    """An entry as it stands in the trail: its number in the whole, its number for this woman, and when it was written (UTC)."""

    seq: int
    subject_seq: int
    recorded: str
    entry: Entry


def to_bytes(entry: Entry) -> bytes:
    """The entry as it is sealed and kept."""
    return orjson.dumps([_BODY_VERSION, entry])


def from_bytes(body: bytes) -> Entry:
    """The entry that `to_bytes` wrote, of any version so far. Raises `ValueError` for a version from the future."""
    version, kept = orjson.loads(body)
    if version != _BODY_VERSION:
        raise ValueError("an entry of a newer version of the trail")
    about: dict[str, Any] = kept["about"]
    about |= {"opened": tuple(about["opened"]), "closed": tuple((section, reason) for section, reason in about["closed"]),
              "policies": tuple(about["policies"])}
    return Entry(kept["id"], What(**kept["what"]), Who(**kept["who"]), About(**about), Where(**kept["where"]))
