"""Who a prio1 Bundle is about: one woman, her children, and nobody else.

Who is who follows from what is said of them, never from age or order: the woman is the patient of the dossier, the pregnancy and the
delivery; a child is the subject of a birth, an Apgar score or a birth weight. Two women in one Bundle refuse it as a whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from connectors.formats.fhir_bundle import Entry, Index, conditional
from connectors.formats.fhir_tree import dicts, text
from connectors.practice.codes import CHILD_CONCEPTS, LOCAL_CONCEPTS, PREGNANCY_CODES, TECHNICAL_SYSTEMS, WOMAN_CONCEPTS
from fhir_profiles import codes
from fhir_profiles.errors import Invalid
from fhir_profiles.identifiers import BSN_SYSTEM, BSN_SYSTEMS, Bsn

WOMAN: Final = "woman"
_NO_SUBJECT: Final = frozenset(("Patient", "Organization", "Practitioner", "PractitionerRole"))


@dataclass(slots=True)
class Cast:
    """Everyone in the Bundle. `locals` maps the one name of a person within the Bundle to woman, child-0, child-1 and so on."""

    index: Index
    locals: dict[str, str] = field(default_factory=dict)
    bsns: dict[str, Bsn] = field(default_factory=dict)
    children: list[str] = field(default_factory=list)
    woman: str = ""
    _names: dict[str, str] = field(default_factory=dict)

    def name(self, says: str) -> str:
        """The one name of the person that a reference means: by BSN, by entry, else as it is written."""
        if says not in self._names:
            self._names[says] = self._find(says)
        return self._names[says]

    def _find(self, says: str) -> str:
        entry = self.index.find(says, "Patient")
        if entry is not None:
            return own_name(entry)
        if "?" in says:
            system, _, value = conditional("Patient", says.partition("?")[2]).removeprefix("Patient?identifier=").rpartition("|")
            if system == BSN_SYSTEM:
                return f"bsn:{Bsn(value).reveal()}"
        return says

    def who(self, says: str) -> str:
        """The local name of the person that a reference means, empty when it is nobody in the Bundle."""
        return self.locals.get(self.name(says), "")


def cast_of(entries: tuple[Entry, ...], index: Index) -> Cast:
    """Find the woman and the children. Raises `Invalid` two-persons, no-person, no-identifier, bsn-check or bsn-format for the Bundle as
    a whole."""
    cast = Cast(index)
    patients = [entry for entry in entries if entry.kind == "Patient"]
    for entry in patients:
        bsn = bsn_of(entry.resource, entry.at)
        if bsn is not None:
            cast.bsns[f"bsn:{bsn.reveal()}"] = bsn
            _check_address(entry, bsn)
    women, born = _roles(entries, cast)
    children = [name for name in born if name not in women]
    cast.woman = _the_woman(women, children, patients)
    if cast.woman.startswith("bsn:"):
        cast.bsns.setdefault(cast.woman, Bsn(cast.woman[4:]))
    _check_known(cast.woman, patients)
    cast.children = children
    cast.locals = {cast.woman: WOMAN, **{name: f"child-{place}" for place, name in enumerate(children)}}
    strangers = set(cast.bsns) - set(cast.locals)
    if strangers:
        raise Invalid("the message is about two persons who are not mother and child", path="Bundle", code="two-persons")
    return cast


def _check_known(woman: str, patients: list[Entry]) -> None:
    """A woman with neither a BSN nor a number of the sender could not be known again: every message would make another of her."""
    described = next((entry for entry in patients if own_name(entry) == woman), None)
    if described is not None and not woman.startswith("bsn:") and not business_identifier(described.resource):
        raise Invalid("the woman has neither a BSN nor a number of the sender", path=f"{described.at}.identifier", code="no-identifier")


def _check_address(patient: Entry, bsn: Bsn) -> None:
    """Refuse a Patient that is written by condition to another BSN than it holds."""
    values = {text(identifier.get("value")) for identifier in dicts(patient.resource.get("identifier"))}
    for query in (patient.url.partition("?")[2], patient.if_none_exist.rpartition("?")[2]):
        system, _, value = conditional("", query).removeprefix("?identifier=").rpartition("|")
        if system in ("", BSN_SYSTEM) and value not in values and _other_bsn(value, bsn):
            at = patient.at.removesuffix(".resource")
            raise Invalid("an entry is addressed to another person than it holds", path=f"{at}.request", code="two-persons")


def _other_bsn(value: str, bsn: Bsn) -> bool:
    try:
        return Bsn(value) != bsn
    except Invalid:
        return False


def bsn_of(patient: Mapping[str, Any], at: str) -> Bsn | None:
    """The BSN in a Patient, None when it has none or shows none. Raises `Invalid` with the path when it cannot be one."""
    found: set[str] = set()
    for identifier in dicts(patient.get("identifier")):
        value = text(identifier.get("value"))
        if text(identifier.get("system")) in BSN_SYSTEMS and value:
            try:
                found.add(Bsn(value).reveal())
            except Invalid as error:
                raise Invalid(error.public, path=f"{at}.identifier", code=error.code) from None
    if len(found) > 1:
        raise Invalid("one person has two BSNs", path=f"{at}.identifier", code="two-persons")
    return Bsn(found.pop()) if found else None


def business_identifier(resource: Mapping[str, Any]) -> tuple[str, ...]:
    """System and value of the first number that the sender itself gave, never a BSN; () when there is none."""
    for identifier in dicts(resource.get("identifier")):
        system, value = text(identifier.get("system")), text(identifier.get("value"))
        if value and system not in TECHNICAL_SYSTEMS and not _may_be_bsn(system, value):
            return (system, value)
    return ()


def _may_be_bsn(system: str, value: str) -> bool:
    # An identity ends up in ids that many may see, so what might be a BSN never becomes one.
    if "bsn" in system.lower() or system.endswith("2.16.840.1.113883.2.4.6.3"):
        return True
    try:
        Bsn(value)
    except Invalid:
        return False
    return not system


def codings_of(resource: Mapping[str, Any]) -> set[tuple[str, str]]:
    """Every (system, code) of the resource's code, with systems in their one spelling."""
    code = resource.get("code")
    codings = dicts(code.get("coding")) if isinstance(code, dict) else []
    return {(codes.system_of(text(c.get("system"))), text(c.get("code"))) for c in codings}


def concepts_of(resource: Mapping[str, Any]) -> set[str]:
    """The names of all concepts that the codes stand for."""
    found = {LOCAL_CONCEPTS.get(pair) or getattr(codes.concept_of(*pair), "name", "") for pair in codings_of(resource)}
    return found - {""}


def is_pregnancy(resource: Mapping[str, Any]) -> bool:
    """Whether a Condition is the pregnancy itself."""
    return any(code in PREGNANCY_CODES for _, code in codings_of(resource))


def is_maternal(episode: Mapping[str, Any]) -> bool:
    """Whether an EpisodeOfCare is a record of a pregnancy (zorgdossier); one that names no type is taken for it, as prio1 holds no
    other."""
    types = [coding for kind in dicts(episode.get("type")) for coding in dicts(kind.get("coding"))]
    return not types or any(text(coding.get("code")) in PREGNANCY_CODES for coding in types)


def _roles(entries: tuple[Entry, ...], cast: Cast) -> tuple[list[str], list[str]]:
    women: dict[str, None] = {}
    children: dict[str, None] = {}
    for entry in sorted(entries, key=_birth_order):
        for reference in dicts(entry.resource.get("patient" if entry.kind == "EpisodeOfCare" else "subject")):
            says = _says(reference)
            if not says or entry.kind in _NO_SUBJECT:
                continue
            role = _role_of(entry)
            if role:
                (women if role == WOMAN else children)[cast.name(says)] = None
    return list(women), list(children)


def _birth_order(entry: Entry) -> tuple[int, str, int]:
    """Births first, by time, so that a first-born is child 0 in every Bundle; what has no time stays in the order of the Bundle."""
    is_birth = entry.kind == "Procedure" and "birth" in concepts_of(entry.resource)
    period = entry.resource.get("performedPeriod")
    performed = text(entry.resource.get("performedDateTime")) or (text(period.get("start")) if isinstance(period, dict) else "")
    return (0 if is_birth else 1, performed if is_birth else "", entry.place)


def _role_of(entry: Entry) -> str:
    match entry.kind:
        case "Procedure":
            concepts = concepts_of(entry.resource)
            return "child" if "birth" in concepts else WOMAN if "delivery" in concepts else ""
        case "Observation":
            concepts = concepts_of(entry.resource)
            return "child" if concepts & CHILD_CONCEPTS else WOMAN if concepts & WOMAN_CONCEPTS else ""
        case "Condition":
            return WOMAN if is_pregnancy(entry.resource) else ""
        case "EpisodeOfCare":
            return WOMAN if is_maternal(entry.resource) else ""
        case "Composition":
            return WOMAN
    return ""


def _says(reference: dict[str, Any]) -> str:
    if text(reference.get("reference")):
        return str(reference["reference"])
    identifier = reference.get("identifier")
    if isinstance(identifier, dict) and text(identifier.get("value")):
        return f"?identifier={text(identifier.get('system'))}|{identifier['value']}"
    return ""


def _the_woman(women: list[str], children: list[str], patients: list[Entry]) -> str:
    if len(women) > 1:
        raise Invalid("the message is about two women", path="Bundle", code="two-persons")
    known = {own_name(patient) for patient in patients}
    if women and (women[0].startswith("bsn:") or women[0] in known):
        return women[0]
    others = sorted(known - set(children))
    if not women and len(others) == 1:
        return others[0]
    raise Invalid("the message does not hold the woman that it is about", path="Bundle",
                  code="two-persons" if len(others) > 1 and not women else "no-person")


def own_name(entry: Entry) -> str:
    """The one name of the person in a Patient entry."""
    bsn = bsn_of(entry.resource, entry.at)
    return f"bsn:{bsn.reveal()}" if bsn else f"entry:{entry.place}"
