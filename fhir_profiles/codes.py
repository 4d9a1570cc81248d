"""Codes have names, once. Systems, codings and the concepts that the plan knows.

A concept joins every coding that the generations of the Dutch standards use for one fact (dataset 2.3, 3.2, zib 2020, HL7 v2 habit).
Sources: Geboortezorg dataset 2.3 and 3.2, zib 2017/2020, LOINC 2.77, SNOMED CT NL edition.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

SNOMED: Final = "http://snomed.info/sct"
LOINC: Final = "http://loinc.org"
UCUM: Final = "http://unitsofmeasure.org"

_SYSTEM_SPELLINGS: Final = {
    "https://snomed.info/sct": SNOMED,
    "http://snomed.info/sct/": SNOMED,
    "2.16.840.1.113883.6.96": SNOMED,
    "urn:oid:2.16.840.1.113883.6.96": SNOMED,
    "SCT": SNOMED,
    "SNM": SNOMED,
    "2.16.840.1.113883.6.1": LOINC,
    "urn:oid:2.16.840.1.113883.6.1": LOINC,
    "http://loinc.org/": LOINC,
    "https://loinc.org": LOINC,
    "LN": LOINC,
}


def system_of(spelling: str) -> str:
    """The one URI for a code system, whichever way a source spells it; unknown spellings stay as they are."""
    return _SYSTEM_SPELLINGS.get(spelling, spelling)


@dataclass(frozen=True, slots=True)
class Coding:
    """A code in a system with the display that the hub uses."""

    system: str
    code: str
    display: str

    def fhir(self) -> dict[str, object]:
        """The coding as FHIR R4 JSON."""
        return {"system": self.system, "code": self.code, "display": self.display}


@dataclass(frozen=True, slots=True)
class Concept:
    """One fact that the plan knows, and every coding that stands for it.

    `kind` is the shape of its value: quantity, coded, date, count, components, presence or text.
    `units` maps each accepted UCUM code to itself; the first is the preferred one. `low`/`high` bound what is possible at all in the
    preferred unit (not what is normal): a value outside is held, never shown.
    """

    name: str
    section: str
    sensitivity: str
    kind: str
    title_nl: str
    plain_nl: str
    codings: tuple[Coding, ...]
    units: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None


def _s(code: str, display: str) -> Coding:
    return Coding(SNOMED, code, display)


def _l(code: str, display: str) -> Coding:
    return Coding(LOINC, code, display)


# Sections are named here once; hub/plan/sections has one file for each.
FRONT: Final = "front"                  # §1 voorblad
CARE_TEAM: Final = "care-team"          # §2 wie zorgt voor mij
PREGNANCY: Final = "pregnancy"          # §4 zwangerschap in het kort
HISTORY: Final = "history"              # §5 voorgeschiedenis
MEASUREMENTS: Final = "measurements"    # §9 metingen en uitslagen
SECTIONS: Final = (FRONT, CARE_TEAM, PREGNANCY, HISTORY, MEASUREMENTS)

CONCEPTS_WITH_CODES: Final[tuple[Concept, ...]] = (
    # §4 pregnancy
    Concept("pregnancy", PREGNANCY, "C1", "presence", "Zwangerschap", "Uw zwangerschap",
            (_s("118185001", "bevinding betreffende zwangerschap"), _s("364320009", "zwangerschap"), _s("77386006", "zwanger"))),
    Concept("multiple-pregnancy", PREGNANCY, "C1", "presence", "Meerlingzwangerschap", "U bent zwanger van meer dan 1 kind",
            (_s("16356006", "meerlingzwangerschap"),)),
    Concept("gravidity", PREGNANCY, "C1", "count", "Graviditeit", "Hoe vaak u zwanger was, deze keer erbij",
            (_l("11996-6", "graviditeit"), _s("161732006", "graviditeit")), low=0, high=30),
    Concept("parity", PREGNANCY, "C1", "count", "Pariteit", "Hoe vaak u bevallen bent",
            (_l("11977-6", "pariteit"), _s("364325004", "pariteit")), low=0, high=25),
    Concept("due-date-definitive", PREGNANCY, "C0", "date", "À terme datum, definitief", "De datum waarop uw kind wordt verwacht",
            (_s("147781000146105", "definitieve à terme datum"),)),
    Concept("due-date", PREGNANCY, "C1", "date", "À terme datum", "De datum waarop uw kind wordt verwacht",
            (_s("161714006", "geschatte à terme datum"), _l("11778-8", "à terme datum"))),
    Concept("last-menstruation", PREGNANCY, "C1", "date", "Eerste dag laatste menstruatie", "De eerste dag van uw laatste menstruatie",
            (_l("8665-2", "datum laatste menstruatie"), _s("21840007", "datum laatste menstruatie"))),
    Concept("gestational-age", PREGNANCY, "C1", "quantity", "Zwangerschapsduur", "Hoe lang u zwanger was",
            (_s("57036006", "zwangerschapsduur"), _l("11884-4", "zwangerschapsduur"), _l("18185-9", "zwangerschapsduur")), ("d",), 0, 320),
    Concept("fetus-count", PREGNANCY, "C1", "count", "Aantal foetussen", "Aantal baby’s",
            (_s("246435002", "aantal foetussen"), _s("142931000146106", "aantal levende foetussen"), _l("55281-0", "aantal foetussen")), low=0, high=8),
    Concept("pregnancy-end", PREGNANCY, "C1", "date", "Einde zwangerschap", "Datum einde van de zwangerschap",
            (_s("118951000146109", "datum einde zwangerschap"),)),
    Concept("pregnancy-end-way", PREGNANCY, "C3", "coded", "Wijze einde zwangerschap", "Hoe de zwangerschap eindigde",
            (Coding("urn:oid:2.16.840.1.113883.2.4.3.11.60.90.77.2.6", "80625", "wijze einde zwangerschap"),
             Coding("http://ooievaar.example/fhir/CodeSystem/plan", "pregnancy-end-way", "wijze einde zwangerschap"))),
    # §9 measurements and results
    Concept("haemoglobin", MEASUREMENTS, "C1", "quantity", "Hb", "IJzer in uw bloed",
            (_l("718-7", "hemoglobine [massa/volume] in bloed"), _l("93846-4", "hemoglobine [mol/volume] in bloed"),
             _l("59260-0", "hemoglobine [mol/volume] in bloed"),
             _s("38082009", "hemoglobine")), ("mmol/L", "g/dL"), 1.0, 15.0),
    Concept("blood-group", MEASUREMENTS, "C1", "coded", "Bloedgroep", "Bloedgroep",
            (_l("883-9", "ABO-bloedgroep"), _s("365637002", "bloedgroep"))),
    Concept("rhesus-d", MEASUREMENTS, "C1", "coded", "Rhesus D", "Rhesus D",
            (_l("1305-2", "rhesus D"), _l("10331-7", "rhesus"), _l("978-7", "rhesus D"))),
    Concept("rhesus-c", MEASUREMENTS, "C1", "coded", "Rhesus c", "Rhesus c", (_l("1159-3", "rhesus c"),)),
    Concept("blood-pressure", MEASUREMENTS, "C1", "components", "Bloeddruk", "Bloeddruk",
            (_l("85354-9", "bloeddruk"), _l("55284-4", "bloeddruk"), _s("75367002", "bloeddruk")), ("mm[Hg]",), 20, 300),
    Concept("systolic", MEASUREMENTS, "C1", "quantity", "Systolische bloeddruk", "Bovendruk",
            (_l("8480-6", "systolische bloeddruk"), _s("271649006", "systolische bloeddruk")), ("mm[Hg]",), 20, 300),
    Concept("diastolic", MEASUREMENTS, "C1", "quantity", "Diastolische bloeddruk", "Onderdruk",
            (_l("8462-4", "diastolische bloeddruk"), _s("271650006", "diastolische bloeddruk")), ("mm[Hg]",), 10, 200),
    Concept("body-weight", MEASUREMENTS, "C1", "quantity", "Gewicht", "Gewicht",
            (_l("29463-7", "lichaamsgewicht"), _s("27113001", "lichaamsgewicht")), ("kg", "g"), 0.2, 400),
    Concept("body-height", MEASUREMENTS, "C1", "quantity", "Lengte", "Lengte",
            (_l("8302-2", "lichaamslengte"), _s("1153637007", "lichaamslengte")), ("cm", "m"), 0.3, 250),
    Concept("fetal-heart-rate", MEASUREMENTS, "C1", "quantity", "Foetale hartfrequentie", "Hartslag van uw baby",
            (_l("55283-6", "foetale hartfrequentie"), _s("249043002", "foetale hartfrequentie")), ("/min",), 30, 260),
    Concept("fundal-height", MEASUREMENTS, "C1", "quantity", "Fundushoogte", "Groei van uw buik",
            (_l("11881-0", "fundushoogte"), _s("364265003", "fundushoogte")), ("cm",), 3, 60),
    # delivery and birth of an earlier pregnancy (prio1) are part of the history
    Concept("delivery", HISTORY, "C1", "presence", "Bevalling", "Bevalling", (_s("236973005", "bevalling"),)),
    Concept("birth", HISTORY, "C1", "presence", "Geboorte", "Geboorte", (_s("3950001", "geboorte"),)),
    Concept("delivery-type", HISTORY, "C1", "coded", "Type partus", "Hoe u bevallen bent", (_s("364336006", "type bevalling"),)),
    Concept("active-labour", HISTORY, "C1", "date", "Begin actieve ontsluiting", "Begin van de bevalling",
            (_s("160621000146107", "begin ontsluiting"), _s("160611000146102", "begin baring"))),
    Concept("pushing", HISTORY, "C1", "date", "Begin persen", "Begin van het persen", (_s("249163006", "begin persen"), _s("169822006", "begin persen"))),
    Concept("blood-loss", HISTORY, "C1", "quantity", "Bloedverlies", "Bloedverlies", (_s("364332008", "bloedverlies bij bevalling"),), ("mL",), 0, 9000),
    Concept("perineum", HISTORY, "C1", "coded", "Perineum", "Toestand van de bekkenbodem", (_s("364297003", "toestand perineum"),)),
    Concept("birth-weight", HISTORY, "C1", "quantity", "Geboortegewicht", "Geboortegewicht", (_l("8339-4", "geboortegewicht"),), ("g", "kg"), 0.1, 8000),
    Concept("apgar-5", HISTORY, "C1", "count", "Apgar na 5 minuten", "Hoe het na 5 minuten ging", (_l("9274-2", "Apgar-score 5 minuten"),), low=0, high=10),
)

# Resources that are recognised by their type and not by a code.
CONCEPTS = (*CONCEPTS_WITH_CODES, *(
    Concept(name, section, "C1" if section == HISTORY else "C0", "resource", title, plain, ())
    for name, section, title, plain in (
        ("patient", FRONT, "Persoon", "Uw gegevens"),
        ("dossier", FRONT, "Dossier", "Uw dossier"),
        ("related-person", CARE_TEAM, "Naaste", "Uw naaste"),
        ("care-team", CARE_TEAM, "Zorgteam", "Wie voor u zorgt"),
        ("organization", CARE_TEAM, "Organisatie", "Organisatie"),
        ("practitioner", CARE_TEAM, "Zorgverlener", "Zorgverlener"),
        ("practitioner-role", CARE_TEAM, "Rol van zorgverlener", "Rol van zorgverlener"),
        ("encounter", CARE_TEAM, "Contact", "Afspraak of opname"),
        ("allergy", HISTORY, "Allergie", "Allergie"),
        ("medication", HISTORY, "Medicatie", "Medicijn"),
        ("problem", HISTORY, "Aandoening", "Aandoening"),
        ("procedure", HISTORY, "Verrichting", "Behandeling"),
    )
))

BY_NAME: Final = {concept.name: concept for concept in CONCEPTS}
_BY_CODE: Final = {(coding.system, coding.code): concept for concept in CONCEPTS for coding in concept.codings}


def concept_of(system: str, code: str) -> Concept | None:
    """The concept for one coding, or None when the hub does not know it. The system may be spelled in any known way."""
    return _BY_CODE.get((system_of(system), code))


def concept_in(codings: list[dict[str, str]]) -> Concept | None:
    """The concept that the codings of a CodeableConcept agree on, reading all of them and not only the first.

    Two codings that stand for different concepts give None: a source that contradicts itself is not guessed at.
    """
    found = {concept.name for c in codings if (concept := concept_of(c.get("system", ""), c.get("code", "")))}
    return BY_NAME[found.pop()] if len(found) == 1 else None


def swapped(system: str, code: str) -> bool:
    """Whether a code stands in the wrong system: known, but under another one (gravidity as LOINC 161714006)."""
    mine = system_of(system)
    return (mine, code) not in _BY_CODE and any((other, code) in _BY_CODE for other in (SNOMED, LOINC) if other != mine)


BLOOD_GROUPS: Final = {
    "A": _s("112144000", "A"), "B": _s("112149005", "B"), "AB": _s("165743006", "AB"), "O": _s("58460004", "O"), "0": _s("58460004", "O"),
}
RHESUS_D: Final = {"pos": _s("165747007", "Rh D positief"), "neg": _s("165746003", "Rh D negatief")}
RHESUS_C: Final = {"pos": _s("733120009", "Rh c positief"), "neg": _s("733119003", "Rh c negatief")}

VALUE_CODES: Final = {c.code: c for table in (BLOOD_GROUPS, RHESUS_D, RHESUS_C) for c in table.values()}
