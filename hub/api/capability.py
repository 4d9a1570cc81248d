"""What this server can do, said exactly: the R4 and STU3 CapabilityStatements, as bytes that are made once.

`INTERACTIONS` is the one list of routes and parameters; the routes of `fhir.py` are tested against it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import orjson

from fhir_profiles.identifiers import URA_SYSTEM
from fhir_profiles.strict_json import MAX_BYTES

READ: Final = "read"
SEARCH: Final = "search-type"
PATIENT: Final = "Patient"
_PAGING: Final = ("_count", "_page")


@dataclass(frozen=True, slots=True)
class Offer:
    """What there is for one type: interactions, search parameters, result parameters, operations on an instance, and words to it."""

    interactions: tuple[str, ...]
    parameters: tuple[str, ...]
    results: tuple[str, ...] = ()
    operations: tuple[str, ...] = ()
    words: str = ""


_HERSELF: Final = " The woman herself may leave it out."
INTERACTIONS: Final[dict[str, Offer]] = {
    "AuditEvent": Offer((SEARCH,), ("patient", "agent", "date", "outcome"), _PAGING,
                        words="The woman's own list takes patient alone, and she may leave that out; the rest is for an auditor."),
    "CarePlan": Offer((READ, SEARCH), ("patient", "subject"), operations=("sections",), words="A search names one patient." + _HERSELF),
    "Composition": Offer((SEARCH,), ("patient", "subject"), operations=("document",), words="A search names one patient." + _HERSELF),
    "Observation": Offer((READ, SEARCH), ("patient", "subject", "code", "date"), (*_PAGING, "_sort"),
                         words="A search names one patient." + _HERSELF + " The only order is -date."),
    PATIENT: Offer((READ, SEARCH), ("identifier",), _PAGING,
                   words="By identifier: a BSN, alone, in the body of POST [base]/Patient/_search and never in an address (400). Without it:"
                         " a caregiver's work list (with _count and _page), or the woman's own record (no parameters); others 403."),
}


def taken(kind: str) -> tuple[str, ...]:
    """Every parameter that a search of this type takes."""
    return (*INTERACTIONS[kind].parameters, *INTERACTIONS[kind].results)


_KINDS: Final = {"patient": "reference", "subject": "reference", "agent": "token", "code": "token", "identifier": "token", "outcome": "token",
                 "date": "date"}
_DOCUMENTS: Final = {
    "sections": "GET [base]/CarePlan/[patient]/$sections?episode=&section=: the states of the open sections as JSON, for systems that draw"
                " the plan themselves. Custom; not FHIR resources.",
    "document": "GET [base]/Composition/[id]/$document: the plan as a document Bundle. Nothing is stored by asking for it.",
}
_RULES: Final = (
    "Every search is taken by GET [base]/[type] and by POST [base]/[type]/_search (application/x-www-form-urlencoded, at most 2048 bytes)."
    " Closed by default: a search parameter or modifier that is not listed here is refused (400) and never ignored; there is no chaining,"
    " _has, _include, _revinclude, _filter, _summary or _elements. Totals count only what the caller may see. An unknown patient and one"
    " whose plan is closed to the caller give the same answer (403). Every read is recorded before it is answered."
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
                  "documentation": f"POST [base] takes a transaction Bundle of at most {MAX_BYTES >> 20} MiB from a registered system ({URA_SYSTEM}).",
                  "interaction": [{"code": "transaction"}]}],
    }))


def _statement(base_url: str, date: str, version: str, rest: dict[str, Any]) -> dict[str, Any]:
    return {"resourceType": "CapabilityStatement", "url": f"{base_url}/metadata", "status": "active", "date": date, "kind": "instance",
            "fhirVersion": version, **rest}


def _security(system: str) -> dict[str, Any]:
    return {"cors": False, "service": [{"coding": [{"system": system, "code": "SMART-on-FHIR"}]}],
            "description": "Bearer JWT of the registered issuer."}


def _resource(base_url: str, name: str) -> dict[str, Any]:
    offer = INTERACTIONS[name]
    results = f"Result parameters: {', '.join(offer.results)}." if offer.results else "No result parameters."
    named = [{"name": p, "type": _KINDS[p]} for p in offer.parameters]
    offered = [{"name": o, "definition": f"{base_url}/OperationDefinition/{name}-{o}", "documentation": _DOCUMENTS[o]} for o in offer.operations]
    return {"type": name, "documentation": f"{offer.words} {results}", "interaction": [{"code": code} for code in offer.interactions],
            "versioning": "no-version", **({"searchParam": named} if named else {}), **({"operation": offered} if offered else {})}
