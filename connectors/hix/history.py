"""AL1 → AllergyIntolerance, DG1 → Condition; a DG1 that says she is pregnant also opens the hospital's dossier of the pregnancy.

What is lost: who made a diagnosis, its DRG, and the ranking of diagnoses. A snapshot that no longer names an allergy or a diagnosis
does not take it back: HL7 v2 has no way to say that in AL1, and in DG1 only by DG1-21 = D.
"""

from __future__ import annotations

from typing import Any, Final

from connectors.contract import Dossier, Fact
from connectors.hix.codes import ALLERGY_CATEGORIES, CRITICALITIES
from connectors.hix.leftovers import Segment
from connectors.hix.reading import WOMAN, Reading, as_concept, codings_of, moment_in
from fhir_profiles import codes
from fhir_profiles.codes import SNOMED
from fhir_profiles.errors import Invalid
from fhir_profiles.identifiers import URA_SYSTEM

_TERMS: Final = "http://terminology.hl7.org/CodeSystem/"


def _status(kind: str, code: str) -> dict[str, Any]:
    return {"coding": [{"system": _TERMS + kind, "code": code}]}


def add_allergy(reading: Reading, al1: Segment) -> None:
    """One allergy or intolerance. Raises `Invalid` when it does not say to what."""
    paths: dict[str, str] = {}
    code = as_concept(reading, al1.take(3), "allergy")
    if not code:
        raise Invalid("AL1-3 does not say to what", path=al1.path(3), code="field-missing")
    resource: dict[str, Any] = {
        "resourceType": "AllergyIntolerance", "clinicalStatus": _status("allergyintolerance-clinical", "active"),
        "verificationStatus": _status("allergyintolerance-verification", "unconfirmed"), "code": code,
    }
    paths["code"] = al1.path(3)
    _translated(reading, resource, paths, al1, 2, "category", ALLERGY_CATEGORIES)
    _translated(reading, resource, paths, al1, 4, "criticality", CRITICALITIES)
    reactions = [t for r in reading.words.repetitions(al1.raw(5)) if (t := reading.words.part(r, 1))]
    if reactions:
        resource["reaction"] = [{"manifestation": [{"text": text} for text in reactions]}]
        paths["reaction.0.manifestation"] = al1.path(5)
        al1.take(5)
    since = moment_in(reading, al1, 6)
    if since:
        resource["recordedDate"] = since.fhir
        paths["recordedDate"] = al1.path(6)
    identity = ("allergy", *_names_of(code))
    reading.facts.append(Fact(resource, WOMAN, identity, reading.version, "allergy", effective=since.fhir if since else "", paths=paths))


def _translated(reading: Reading, resource: dict[str, Any], paths: dict[str, str], segment: Segment, number: int, element: str,
                table: dict[str, str]) -> None:
    """Set an element from a table; a word that the table does not know stays residue."""
    value = table.get(reading.words.part(segment.raw(number), 1).upper())
    if value:
        resource[element] = [value] if element == "category" else value
        paths[element] = segment.path(number)
        segment.take(number)


def _names_of(code: dict[str, Any]) -> tuple[str, ...]:
    """What a coded thing is known by: the codes that stand for it, else its text."""
    codings = code.get("coding")
    return tuple(f"{c['system']}|{c['code']}" for c in codings) if codings else (str(code["text"]).lower(),)


def add_condition(reading: Reading, dg1: Segment) -> None:
    """One diagnosis, and the dossier that it opens when it says that she is pregnant.

    Raises `Invalid` when it does not say what, or a code stands in the wrong system.
    """
    code = as_concept(reading, dg1.raw(3), "diagnosis")
    described = reading.words.text(dg1.raw(4))
    if described and "coding" in code:
        code["text"] = described
    elif described:
        code = {"text": described}
    if not code:
        raise Invalid("DG1 does not say which diagnosis", path=dg1.path(3), code="field-missing")
    codings = codings_of(reading, dg1.raw(3), "diagnosis")
    if any(codes.swapped(c["system"], c["code"]) for c in codings):
        raise Invalid("the code belongs to another code system than the one that is named", path=dg1.path(3), code="code-swapped")
    concept = codes.concept_in(codings)
    name = concept.name if concept is not None and concept.kind == "presence" else "problem"
    _add(reading, dg1, code, name)


def _add(reading: Reading, dg1: Segment, code: dict[str, Any], name: str) -> None:
    paths = {"code": dg1.path(3 if dg1.take(3) else 4), "code.text": dg1.path(4 if dg1.take(4) else 3)}
    onset = moment_in(reading, dg1, 5)
    withdrawn = reading.words.part(dg1.raw(21), 1).upper() == "D"
    provisional = reading.words.part(dg1.raw(6), 1).upper() in ("A", "W")
    verification = "entered-in-error" if withdrawn else "provisional" if provisional else "confirmed"
    resource: dict[str, Any] = {"resourceType": "Condition", "code": code}
    resource["verificationStatus"] = _status("condition-ver-status", verification)
    told_by = 21 if withdrawn else 6
    dg1.take(told_by)
    paths["verificationStatus"] = dg1.path(told_by)
    if not withdrawn:
        resource["clinicalStatus"] = _status("condition-clinical", "active")
    if onset:
        resource["onsetDateTime"] = onset.fhir
        paths["onsetDateTime"] = dg1.path(5)
    number = reading.words.part(dg1.raw(20), 1)
    identity = ("diagnosis", number) if number else ("diagnosis", *_names_of(code), onset.day if onset else "")
    local = f"diagnosis:{dg1.number}"
    dossier = "" if name != "pregnancy" or withdrawn else _open_dossier(reading, dg1, identity, onset.day if onset else "", local)
    reading.facts.append(Fact(resource, WOMAN, identity, reading.version, name, effective=onset.fhir if onset else "", dossier=dossier,
                              local=local, paths=paths, withdrawn=withdrawn))


def _open_dossier(reading: Reading, dg1: Segment, identity: tuple[str, ...], started: str, diagnosis: str) -> str:
    """The hospital's own record of this pregnancy (EpisodeOfCare, bc-MaternalRecord)."""
    local = f"dossier:{dg1.number}"
    reading.dossiers.append(Dossier(local, identity, "active", started=started))
    resource: dict[str, Any] = {
        "resourceType": "EpisodeOfCare", "status": "active",
        "type": [{"coding": [{"system": SNOMED, "code": "364320009", "display": "zwangerschap"}]}],
        "managingOrganization": {"identifier": {"system": URA_SYSTEM, "value": reading.known.ura}, "display": reading.known.organisation},
    }
    if started:
        resource["period"] = {"start": started}
    reading.facts.append(Fact(
        resource, WOMAN, identity, reading.version, "dossier", effective=started, dossier=local, local=local,
        links={"diagnosis.0.condition": diagnosis}, paths={"type": dg1.path(3), **({"period.start": dg1.path(5)} if started else {})},
    ))
    return local
