"""A line of the trail as a FHIR R4 AuditEvent: IHE BALP read and query patterns, with the NEN 7513 fields that BALP lacks as extensions.

Source: IHE Basic Audit Log Patterns 1.1 (PatientRead, PatientQuery); NEN 7513:2018 chapter 7. In a read the data flow from server to
client, in a search the question flows to the server: BALP turns the two agents accordingly.
"""

from __future__ import annotations

import base64
from typing import Any, Final

from audit.entry import ERROR, LOG_EXPORT, PLAN_EXPORT, REFUSED, SUCCESS, Entry, Line
from fhir_profiles.identifiers import PSEUDONYM_SYSTEM, URA_SYSTEM, UZI_SYSTEM

Fhir = dict[str, Any]

CONTROLS_EXTENSION: Final = "http://ooievaar.example/fhir/StructureDefinition/nen7513-controles"
SEQUENCE_EXTENSION: Final = "http://ooievaar.example/fhir/StructureDefinition/audit-subject-sequence"
ROLE_SYSTEM: Final = "http://ooievaar.example/fhir/CodeSystem/role"
KIND_SYSTEM: Final = "http://ooievaar.example/fhir/CodeSystem/audit-kind"
POLICY_SYSTEM: Final = "http://ooievaar.example/fhir/NamingSystem/policy-release"
ACCOUNT_SYSTEM: Final = "http://ooievaar.example/fhir/NamingSystem/account"
ENTITY_SYSTEM: Final = "http://ooievaar.example/fhir/CodeSystem/audit-entity"
_BALP_ENTITY: Final = "https://profiles.ihe.net/ITI/BALP/CodeSystem/BasicAuditEntityType"
_TERMINOLOGY: Final = "http://terminology.hl7.org/CodeSystem/"
_DCM: Final = "http://dicom.nema.org/resources/ontology/DCM"
_ISO_21298: Final = "urn:iso:std:iso:21298:functional-role"
_UZI_ROLE: Final = "http://fhir.nl/fhir/NamingSystem/uzi-rolcode"

_OUTCOMES: Final = {SUCCESS: "0", REFUSED: "4", ERROR: "8"}
_SOURCE, _DESTINATION = ("110153", "Source Role ID"), ("110152", "Destination Role ID")
# ISO 21298 functional roles, as NEN 7513 uses them.
_FUNCTIONAL: Final = {"client": ("01", "client"), "midwife": ("05", "directly involved"), "gynaecologist": ("05", "directly involved"),
                      "maternity-nurse": ("05", "directly involved"), "auditor": ("06", "indirectly involved"),
                      "engineer": ("07", "supporting party"), "system": ("07", "supporting party")}
# RoleCodeNL (UZI role codes) where the list has one; kraamverzorgende is not on it.
_ROLE_CODE_NL: Final = {"midwife": ("03.000", "Verloskundige"), "gynaecologist": ("01.046", "Gynaecoloog")}


def to_audit_event(line: Line) -> Fhir:
    """The AuditEvent resource (R4) of one line; its id is the entry's."""
    entry = line.entry
    event: Fhir = _without_empty({
        "resourceType": "AuditEvent", "id": entry.id, "extension": _extensions(line),
        "type": _coding(_TERMINOLOGY + "audit-event-type", "rest", "RESTful Operation"), "subtype": _subtypes(entry),
        "action": entry.what.action, "period": {"start": entry.what.at}, "recorded": line.recorded,
        "outcome": _OUTCOMES[entry.what.outcome], "outcomeDesc": f"{entry.what.reason}: {entry.what.reason_nl}".removesuffix(": "),
        "purposeOfEvent": [_purpose(entry)],
        "agent": [_user(entry), _client(entry), _server(entry), *_organisation(entry), *_responsible(entry)],
        "source": {"site": entry.where.site, "observer": {"identifier": {"value": entry.where.observer}},
                   "type": [_coding(_TERMINOLOGY + "security-source-type", entry.where.kind, "")]},
        "entity": [*_patient(entry), *_data(entry), *_query(entry), _policy(entry), *_grounds(entry), *_transaction(entry)],
    })
    return event


def _extensions(line: Line) -> list[Fhir]:
    return [{"url": CONTROLS_EXTENSION, "valueString": line.entry.what.controls},
            {"url": SEQUENCE_EXTENSION, "valueString": str(line.subject_seq)}]


def _subtypes(entry: Entry) -> list[Fhir]:
    interaction = "search-type" if entry.what.action == "E" else "read"
    subtypes = [_coding("http://hl7.org/fhir/restful-interaction", interaction, interaction),
                _coding(KIND_SYSTEM, entry.what.code, entry.what.nature)]
    return [*subtypes, _coding(_DCM, "110106", "Export")] if entry.what.code in (PLAN_EXPORT, LOG_EXPORT) else subtypes


def _user(entry: Entry) -> Fhir:
    who = entry.who
    return {"type": _concept(_coding(_TERMINOLOGY + "v3-ParticipationType", "IRCP", "information recipient")),
            "role": _roles(who.role), "who": {"identifier": _person(entry, who.id)}, "name": who.name, "requestor": True,
            "policy": [f"urn:ietf:params:oauth:jti:{who.token_id}"] if who.token_id else [], "purposeOfUse": [_purpose(entry)]}


def _roles(role: str) -> list[Fhir]:
    known = [(_ISO_21298, _FUNCTIONAL), (_UZI_ROLE, _ROLE_CODE_NL)]
    return [_concept(_coding(ROLE_SYSTEM, role, "")),
            *(_concept(_coding(system, *table[role])) for system, table in known if role in table)]


def _client(entry: Entry) -> Fhir:
    code = _SOURCE if entry.what.action == "E" else _DESTINATION
    who = {"identifier": {"system": ACCOUNT_SYSTEM, "value": entry.who.vendor or "browser"}}
    network = {"address": entry.who.network, "type": "2"} if entry.who.network else {}
    return {"type": _concept(_coding(_DCM, *code)), "who": who, "requestor": False, "network": network}


def _server(entry: Entry) -> Fhir:
    code = _DESTINATION if entry.what.action == "E" else _SOURCE
    return {"type": _concept(_coding(_DCM, *code)), "who": {"identifier": {"value": entry.where.observer}}, "requestor": False,
            "network": {"address": entry.where.observer, "type": "1"}}


def _organisation(entry: Entry) -> list[Fhir]:
    if not entry.who.ura:
        return []
    who = {"identifier": {"system": URA_SYSTEM, "value": entry.who.ura}, "display": entry.who.organisation}
    kind = [_concept({"code": entry.who.organisation_type})] if entry.who.organisation_type else []
    provider = _concept(_coding(_TERMINOLOGY + "v3-RoleClass", "PROV", "healthcare provider"))
    return [{"type": provider, "role": kind, "who": who, "requestor": False}]


def _responsible(entry: Entry) -> list[Fhir]:
    """A natural person answers for each line: the user himself, or who is named for a system."""
    who = entry.who.responsible or entry.who.id
    return [{"type": _concept(_coding(_TERMINOLOGY + "v3-ParticipationType", "RESP", "responsible party")), "requestor": False,
             "who": {"identifier": _person(entry, who)}}]


def _person(entry: Entry, who: str) -> Fhir:
    if who == entry.about.subject:
        return {"system": PSEUDONYM_SYSTEM, "value": who}
    return {"system": UZI_SYSTEM if who.isdigit() else ACCOUNT_SYSTEM, "value": who}


def _patient(entry: Entry) -> list[Fhir]:
    if not entry.about.subject:
        return []
    return [{"type": _coding(_TERMINOLOGY + "audit-entity-type", "1", "Person"),
             "role": _coding(_TERMINOLOGY + "object-role", "1", "Patient"),
             "what": {"type": "Patient", "identifier": {"system": PSEUDONYM_SYSTEM, "value": entry.about.subject}}}]


def _data(entry: Entry) -> list[Fhir]:
    if not entry.about.subject:
        return []
    about = entry.about
    details = [("episode", about.episode), ("version", about.version), ("opened", " ".join(about.opened)),
               *((f"closed:{section}", reason) for section, reason in about.closed)]
    # A refused read names what was asked for; the section is the object, whether it opened or not.
    return [{"type": _coding(_TERMINOLOGY + "audit-entity-type", "2", "System Object"),
             "role": _coding(_TERMINOLOGY + "object-role", "4", "Domain Resource"),
             "what": {"identifier": {"system": KIND_SYSTEM, "value": entry.what.code}}, "detail": _details(details)}]


def _query(entry: Entry) -> list[Fhir]:
    if entry.what.action != "E":
        return []
    return [{"type": _coding(_TERMINOLOGY + "audit-entity-type", "2", "System Object"),
             "role": _coding(_TERMINOLOGY + "object-role", "24", "Query"),
             "query": base64.b64encode(entry.about.query.encode()).decode()}]


def _policy(entry: Entry) -> Fhir:
    """Autorisatieprotocol: the digest of the policy release, and the rules of it that decided."""
    return {"type": _coding(ENTITY_SYSTEM, "policy", "autorisatieprotocol"),
            "what": {"identifier": {"system": POLICY_SYSTEM, "value": f"sha256:{entry.about.release}"}},
            "detail": _details([("policy", rule) for rule in entry.about.policies])}


def _grounds(entry: Entry) -> list[Fhir]:
    """Behandelrelatieprotocol and toestemmingsprofiel."""
    about = entry.about
    relation = {"type": _coding(ENTITY_SYSTEM, "relationship", "behandelrelatieprotocol"),
                "detail": _details([("relation", about.relation), ("evidence", about.relation_evidence)])}
    consent = {"type": _coding(ENTITY_SYSTEM, "consent", "toestemmingsprofiel"),
               "what": {"identifier": {"system": "urn:ooievaar:consent", "value": about.consent_event}} if about.consent_event else {},
               "detail": _details([("consent", about.consent)])}
    return [relation, consent]


def _transaction(entry: Entry) -> list[Fhir]:
    about = entry.about
    ids = [*([("XrequestId", about.request_id, _BALP_ENTITY)] if about.request_id else []),
           *([("traceparent", about.trace, ENTITY_SYSTEM)] if about.trace else [])]
    return [{"type": _coding(system, code, ""), "what": {"identifier": {"value": value}}} for code, value, system in ids]


def _purpose(entry: Entry) -> Fhir:
    return _concept(_coding(_TERMINOLOGY + "v3-ActReason", entry.who.purpose, ""))


def _details(pairs: list[tuple[str, str]]) -> list[Fhir]:
    return [{"type": name, "valueString": value} for name, value in pairs if value]


def _coding(system: str, code: str, display: str) -> Fhir:
    return {"system": system, "code": code, "display": display}


def _concept(coding: Fhir) -> Fhir:
    return {"coding": [coding]}


def _without_empty(value: Any) -> Any:
    """FHIR has no empty text, list or object: what is empty is left out."""
    if isinstance(value, dict):
        kept = {key: _without_empty(item) for key, item in value.items()}
        return {key: item for key, item in kept.items() if item is not None and item != "" and item != [] and item != {}}
    if isinstance(value, list):
        return [item for item in map(_without_empty, value) if item != {}]
    return value
