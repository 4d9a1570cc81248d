"""A question and its decision as an entry of the audit trail. Pure: who, what, about whom and by which rule, in the terms of NEN 7513."""

from __future__ import annotations

import uuid
from typing import Final

from audit import entry as nen
from authz.ask import CAREGIVERS, Ask, Decision, Known, Role
from authz.reasons import ENGINE_ERROR, FACTS_UNKNOWN, said_to_asker

_FAULTS: Final = frozenset({ENGINE_ERROR, FACTS_UNKNOWN})
_LONGEST: Final = 2_000
"""Characters of a query or route that are kept: enough to see what was asked, too few to fill the trail with."""


def entry_of(code: str, ask: Ask, known: Known, decision: Decision, *, at: str, where: nen.Where, version: str = "",
             reason: str = "") -> nen.Entry:
    """The entry for one question about one woman (or, with an empty subject, a search over all).

    `code` is one of `audit.entry.KINDS`; `at` the moment the question came in (UTC); `version` what the plan was built to. `reason`
    replaces the decision's own where the question as a whole has another outcome than its parts.
    """
    said = reason or decision.reason
    success = bool(decision.allowed) or bool(reason)
    outcome = nen.SUCCESS if success else nen.ERROR if said in _FAULTS else nen.REFUSED
    action = "E" if code in (nen.LOG_SEARCH, nen.CLIENT_SEARCH) else "R"
    what = nen.What(code, action, at, outcome, said, decision.controls, ask.interaction[:_LONGEST], said_to_asker(said))
    return nen.Entry(uuid.uuid4().hex, what, _who(ask), _about(ask, known, decision, version), where)


def _who(ask: Ask) -> nen.Who:
    asker = ask.asker
    # A client is named by her pseudonym only: her name beside it would tell every auditor whose plan it is.
    client = asker.role is Role.CLIENT
    return nen.Who(
        id=asker.subject if client and asker.subject else asker.id, role=asker.role.value, purpose=ask.purpose.value,
        name="" if client else asker.name, ura=asker.ura, organisation=asker.organisation, organisation_type=asker.organisation_type,
        assurance=asker.assurance, token_id=asker.token_id, vendor=asker.vendor, network=ask.network,
        responsible=(asker.ura or asker.id) if asker.role is Role.SYSTEM else "",
    )


def _about(ask: Ask, known: Known, decision: Decision, version: str) -> nen.About:
    relation, consent = _grounds(ask, known)
    opened = tuple(section for section in ask.sections if section in decision.allowed)
    closed = tuple((section, decision.reasons[section]) for section in ask.sections if section not in decision.allowed)
    return nen.About(
        subject=ask.subject, release=decision.release, relation=relation, consent=consent, episode=ask.episode, version=version,
        opened=opened, closed=closed, policies=decision.policies, relation_evidence=known.relation_evidence,
        consent_event=known.consent_event, query=ask.query[:_LONGEST], trace=ask.trace, request_id=ask.request_id,
    )


def _grounds(ask: Ask, known: Known) -> tuple[str, str]:
    """Treatment relation and consent as they counted; the rules ask for them of caregivers only."""
    if ask.asker.role not in CAREGIVERS:
        return nen.NOT_APPLICABLE, nen.NOT_APPLICABLE
    return known.relation or nen.UNKNOWN, known.consent or nen.UNKNOWN
