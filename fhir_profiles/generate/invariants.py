"""Invariants of R4 that JSON Schema can say, per definition. The others are Python rules in `fhir_profiles/rules.py`.

The title of each is what a sender reads. Source: FHIR R4 4.0.1, the constraints of severity error on each type.
"""

from __future__ import annotations

from typing import Final

from fhir_profiles.generate.primitives import Schema


def _any_of(title: str, *names: str) -> Schema:
    return {"title": title, "anyOf": [{"required": [name]} for name in names]}


def _never_both(title: str, left: str, right: str) -> Schema:
    return {"title": title, "not": {"required": [left, right]}}


_CODE_NEEDS_SYSTEM: Final[Schema] = {
    "title": "a system beside the code of a unit (qty-3)",
    "anyOf": [{"not": {"required": ["code"]}}, {"required": ["system"]}],
}

INVARIANTS: Final[dict[str, list[Schema]]] = {
    "AuditEvent.entity": [_never_both("either a name or a query, not both (sev-1)", "name", "query")],
    "CarePlan.activity": [_never_both("either a reference or a detail, not both (cpl-3)", "reference", "detail")],
    "Consent": [_any_of("a policy or a policyRule (ppc-1)", "policy", "policyRule")],
    "Organization": [_any_of("a name or an identifier (org-1)", "name", "identifier", "_name")],
    "Patient.contact": [_any_of("contact details or an organization (pat-1)", "name", "telecom", "address", "organization")],
    **{name: [_CODE_NEEDS_SYSTEM] for name in ("Age", "Count", "Distance", "Duration", "Quantity")},
}
