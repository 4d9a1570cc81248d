"""Why (not), in words: what `ooievaar explain` says about a decision.

What would change the answer is not written down anywhere: it is found by asking `decide` again with other facts, so it cannot disagree
with the policies.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final

from authz.ask import CAREGIVERS, Ask, Decision, Known, Purpose, Role
from authz.decide import decide
from authz.engine import PolicySet
from authz.reasons import said_to_asker
from authz.roles import ROLE_TITLES_NL, SECTION_TITLES_NL

_Change = Callable[[Ask, Known], tuple[Ask, Known]]
_PURPOSES: Final = {Role.CLIENT: Purpose.PATIENT_REQUEST, Role.AUDITOR: Purpose.AUDIT}


def explain(ask: Ask, known: Known, decision: Decision, policies: PolicySet) -> list[str]:
    """Sentences in Dutch: the question, the facts, a line a section, the rules that decided, and what would open what stayed shut."""
    closed = [section for section in ask.sections if section not in decision.allowed]
    return [
        _question(ask), _facts(ask, known),
        *(_line(section, decision) for section in ask.sections),
        *(f"Regel {rule}.cedar: {policies.rules[rule].nl}" for rule in decision.policies if rule in policies.rules),
        *([f"Wat dit zou veranderen: {_what_would_open(ask, known, closed, policies)}."] if closed else []),
        f"Uitgave van de regels: {decision.release[:16]}.",
    ]


def _question(ask: Ask) -> str:
    who = ROLE_TITLES_NL[ask.asker.role]
    where = f" van {ask.asker.organisation or ask.asker.ura}" if ask.asker.ura else ""
    return f"Vraag: een {who}{where} wil {len(ask.sections)} deel(en) zien, doel {ask.purpose.value}."


def _facts(ask: Ask, known: Known) -> str:
    if ask.asker.role not in CAREGIVERS:
        return f"Bekend: inlog {ask.asker.assurance}."
    relation = {"none": "geen", "dossier": "ja, een dossier", "encounter": "ja, een contact"}.get(known.relation or "", "niet na te gaan")
    consent = {"yes": "ja", "no": "nee", "unknown": "nog niet gevraagd"}.get(known.consent or "", "niet na te gaan")
    return f"Bekend: behandelrelatie {relation}; toestemming {consent}; inlog {ask.asker.assurance}."


def _line(section: str, decision: Decision) -> str:
    title, code = SECTION_TITLES_NL.get(section, section), decision.reasons[section]
    return f"{'Open' if section in decision.allowed else 'Dicht'}: {title}. {said_to_asker(code)} ({code})"


def _what_would_open(ask: Ask, known: Known, closed: list[str], policies: PolicySet) -> str:
    """The fewest changes of facts that open something that is shut now, in words."""
    shut = replace(ask, sections=tuple(closed))
    for names, changes in _fewest_first(ask):
        other, facts = shut, known
        for change in changes:
            other, facts = change(other, facts)
        opens = decide(other, facts, policies).allowed
        if opens:
            titles = ", ".join(SECTION_TITLES_NL[section] for section in other.sections if section in opens)
            return f"{' en '.join(names)} opent {titles}"
    return "niets; geen enkele regel opent dit voor deze rol"


def _fewest_first(ask: Ask) -> Iterator[tuple[tuple[str, ...], tuple[_Change, ...]]]:
    changes: dict[str, _Change] = {
        "een sterkere inlog": lambda a, k: (replace(a, asker=replace(a.asker, assurance="substantial")), k),
        "het doel dat bij de rol hoort": lambda a, k: (replace(a, purpose=_PURPOSES.get(a.asker.role, Purpose.TREATMENT)), k),
    }
    if ask.asker.role in CAREGIVERS:
        changes["een behandelrelatie"] = lambda a, k: (a, replace(k, relation="dossier"))
        changes["een ja van de cliënt"] = lambda a, k: (a, replace(k, consent="yes"))
    for size in range(1, len(changes) + 1):
        for names in itertools.combinations(changes, size):
            yield names, tuple(changes[name] for name in names)
