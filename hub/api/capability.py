"""What this server can do, said exactly: the R4 and STU3 CapabilityStatements, as bytes that are made once.

`INTERACTIONS` is the one list of routes and parameters; the routes of `fhir.py` are tested against it.
"""

from __future__ import annotations

from typing import Any, Final

import orjson

from fhir_profiles.identifiers import URA_SYSTEM

READ: Final = "read"
SEARCH: Final = "search-type"
PAGING: Final = ("_count", "_page")

INTERACTIONS: Final[dict[str, tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]]] = {
    # type: interactions, search parameters, operations on an instance
    "AuditEvent": ((SEARCH,), ("patient", "agent", "date", "outcome"), ()),
    "CarePlan": ((READ, SEARCH), ("patient", "subject"), ("sections",)),
    "Composition": ((SEARCH,), ("patient", "subject"), ("document",)),
    "Observation": ((READ, SEARCH), ("patient", "subject", "code", "date"), ()),
    "Patient": ((READ, SEARCH), ("identifier",), ()),
}
PATIENT: Final = "Patient"
_PAGED: Final = frozenset({"AuditEvent", "Observation", "Patient"})
_SORTED: Final = frozenset({"Observation"})


def taken(kind: str) -> tuple[str, ...]:
    """Every parameter that a search for this type takes; whatever else is asked is refused."""
    return (*INTERACTIONS[kind][1], *(PAGING if kind in _PAGED else ()), *(("_sort",) if kind in _SORTED else ()))


_KINDS: Final = {"patient": "reference", "subject": "reference", "agent": "token", "code": "token", "outcome": "token", "date": "date", "identifier": "token"}
_DOCUMENTS: Final = {
    "sections": "GET [base]/CarePlan/[patient]/$sections?episode=&section=: the states of the open sections as JSON, for systems that draw"
                " the plan themselves. Custom; not FHIR resources.",
    "document": "GET [base]/Composition/[id]/$document: the plan as a document Bundle. Nothing is stored by asking for it.",
}
_RULES: Final = (
    "Closed by default: a search parameter or modifier that is not listed here is refused (400) and never ignored; there is no chaining,"
    " _has, _include, _revinclude, _filter, _summary or _elements. Totals count only what the caller may see. An unknown patient and one"
    " whose plan is closed to the caller give the same answer (403). Every read is recorded before it is answered. Each search may also be"
    " sent by POST [base]/[type]/_search; Patient by identifier (BSN) only so, for an address is no place for a BSN. A woman who names no"
    " patient means herself; a caregiver who searches for Patient without parameters gets her work list."
)


def capability_statement(base_url: str, date: str) -> bytes:
    """The R4 statement (metadata). `base_url` ends in /fhir; `date` is when the server started."""
    return orjson.dumps(_statement(base_url, date, "4.0.1", {
        "software": {"name": "Ooievaar"}, "format": ["application/fhir+json", "json"],
        "implementation": {"description": "Ooievaar, hub voor de geboortezorg", "url": base_url},
        "rest": [{"mode": "server", "documentation": _RULES, "security": _security("http://terminology.hl7.org/CodeSystem/restful-security-service"),
                  "resource": [_resource(base_url, name) for name in sorted(INTERACTIONS)]}],
    }))


def stu3_statement(base_url: str, date: str) -> bytes:
    """The STU3 statement of the intake. `base_url` ends in /fhir-stu3."""
    return orjson.dumps(_statement(base_url, date, "3.0.2", {
        "software": {"name": "Ooievaar"}, "acceptUnknown": "extensions", "format": ["application/fhir+json", "application/fhir+xml"],
        "implementation": {"description": "Ooievaar, aanleveren van Geboortezorg-berichten", "url": base_url},
        "rest": [{"mode": "server", "security": _security("http://hl7.org/fhir/restful-security-service"),
                  "documentation": f"POST [base] takes a transaction Bundle of at most 20 MB from a registered system ({URA_SYSTEM}).",
                  "interaction": [{"code": "transaction"}]}],
    }))


def _statement(base_url: str, date: str, version: str, rest: dict[str, Any]) -> dict[str, Any]:
    return {"resourceType": "CapabilityStatement", "url": f"{base_url}/metadata", "status": "active", "date": date, "kind": "instance",
            "fhirVersion": version, **rest}


def _security(system: str) -> dict[str, Any]:
    return {"cors": False, "service": [{"coding": [{"system": system, "code": "SMART-on-FHIR"}]}],
            "description": "Bearer JWT of the registered issuer."}


def _resource(base_url: str, name: str) -> dict[str, Any]:
    interactions, parameters, operations = INTERACTIONS[name]
    named = [{"name": p, "type": _KINDS[p]} for p in parameters]
    offered = [{"name": o, "definition": f"{base_url}/OperationDefinition/{name}-{o}", "documentation": _DOCUMENTS[o]} for o in operations]
    return {"type": name, "interaction": [{"code": code} for code in interactions], "versioning": "no-version",
            **({"searchParam": named} if named else {}), **({"operation": offered} if offered else {})}
