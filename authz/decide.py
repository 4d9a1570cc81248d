"""May this person read these sections of this plan? One pure function of the question, the facts and the policy release."""

from __future__ import annotations

from typing import Final

from authz.ask import CAREGIVERS, Ask, Decision, Known, Role
from authz.engine import EngineFault, Facts, PolicySet
from authz.reasons import ENGINE_ERROR, FACTS_UNKNOWN

_RELATIONS: Final = frozenset({"none", "dossier", "encounter"})
_CONSENTS: Final = frozenset({"yes", "no", "unknown"})


def decide(ask: Ask, known: Known, policies: PolicySet) -> Decision:
    """The decision for every section asked, never an exception.

    Closed by default, forbid overrides permit. A fact that is not known (or not one that we have) closes everything with
    `facts-unknown`; a fault of the engine closes everything with `engine-error`.
    """
    if known.relation not in _RELATIONS or known.consent not in _CONSENTS:
        return _closed(ask, known, policies, FACTS_UNKNOWN)
    try:
        outcome = policies.outcome(_facts(ask, known), ask.sections)
    except EngineFault:
        return _closed(ask, known, policies, ENGINE_ERROR)
    controls = _controls(ask, known, bool(outcome.allowed))
    return Decision(outcome.allowed, dict(outcome.reasons), outcome.policies, policies.release, controls)


def is_own(ask: Ask) -> bool:
    """Whether the asker is the woman whose plan it is."""
    return ask.asker.role is Role.CLIENT and bool(ask.subject) and ask.asker.subject == ask.subject


def _facts(ask: Ask, known: Known) -> Facts:
    return Facts(ask.asker.role.value, ask.action, is_own(ask), ask.purpose.value, ask.asker.assurance,
                 known.relation or "", known.consent or "")


def _closed(ask: Ask, known: Known, policies: PolicySet, reason: str) -> Decision:
    return Decision(frozenset(), dict.fromkeys(ask.sections, reason), (), policies.release, _controls(ask, known, opened=False))


def _controls(ask: Ask, known: Known, opened: bool) -> str:
    """NEN 7513 "controles": T where a check was made and passed; relation and consent are checked for caregivers only."""
    caregiver = ask.asker.role in CAREGIVERS
    relation = caregiver and known.relation in ("dossier", "encounter")
    consent = caregiver and known.consent == "yes"
    return ("T" if opened else "F") + ("T" if relation else "F") + ("T" if consent else "F") + "F"
