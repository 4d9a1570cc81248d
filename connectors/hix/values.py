"""OBX-5 → a FHIR value, in the shape that its concept asks for. What is impossible or does not fit is refused, never guessed.

Raises `Invalid` throughout, with one of: value-unfit (not of the kind that the concept asks for), value-unknown (a word or code that is
in no table), value-contradicts (code and text say different things), value-impossible (outside what can be), unit-unfit, unit-missing,
value-repeated, type-unfit, date-impossible.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Final

from connectors.formats.hl7v2 import Words
from connectors.formats.hl7v2_time import moment
from connectors.hix.codes import NEGATIVE, POSITIVE, RHESUS_WORDS, TO_PREFERRED, UNITS
from fhir_profiles import codes
from fhir_profiles.codes import LOINC, UCUM, Coding, Concept
from fhir_profiles.errors import Invalid

Value = tuple[str, Any]
"""The element of Observation and what stands in it: ("valueQuantity", {…})."""

_PLAIN_TYPES: Final = frozenset({"", "NM", "ST", "TX", "FT", "TS", "DT", "DTM", "SN", "IS", "ID"})
_CODED_TYPES: Final = frozenset({"CE", "CWE", "CNE", "CF"})
_NUMBER: Final = re.compile(r"(<=|>=|<|>)?\s*([+-]?\d{1,12}(?:[.,]\d{1,9})?)", re.ASCII)
_PRESSURE: Final = re.compile(r"(\d{2,3})\s*/\s*(\d{2,3})", re.ASCII)
_WEEKS: Final = re.compile(r"(\d{1,2})\s*(?:w|wk|weken|\+)\s*(?:([0-6])\s*(?:d|dg|dagen)?)?", re.IGNORECASE | re.ASCII)
_ISO_DAY: Final = re.compile(r"(\d{4})-(\d\d)-(\d\d)", re.ASCII)
_RHESUS: Final = {"rhesus-d": codes.RHESUS_D, "rhesus-c": codes.RHESUS_C}
_SYSTOLIC: Final = codes.BY_NAME["systolic"]
_DIASTOLIC: Final = codes.BY_NAME["diastolic"]


def read_value(words: Words, concept: Concept, kind: str, raw: str, unit: str, local: str) -> Value | None:
    """The value of an OBX of type `kind` (OBX-2); None when OBX-5 is empty. `local` is the system for codes of the sender's own."""
    if kind not in _PLAIN_TYPES and kind not in _CODED_TYPES:
        raise Invalid("OBX-2 names a type of value that does not fit", code="type-unfit")
    repetitions = words.repetitions(raw)
    if len(repetitions) > 1:
        raise Invalid("one value is expected, not several", code="value-repeated")
    if concept.kind == "coded":
        return _coded(words, concept, raw, local)
    text = _joined(words, raw, kind)
    if not text:
        return None
    if concept.kind == "quantity":
        return _quantity(words, concept, text, unit)
    if concept.kind == "count":
        return _count(concept, text)
    if concept.kind == "date":
        return _date(text)
    if concept.kind == "components":
        return _pressure(words, text, unit)
    raise Invalid("this is no result that can be measured", code="value-unfit")


def _joined(words: Words, raw: str, kind: str) -> str:
    """The leaf, and for a structured number (SN) its parts written as one text: >^10 becomes >10, ^120^/^80 becomes 120/80."""
    if kind == "SN":
        return "".join(words.texts(raw))
    return words.text(words.components(raw)[0])


def number_of(text: str) -> tuple[str, float]:
    """A comparator ("" for none) and a number, with a decimal point or the Dutch comma."""
    found = _NUMBER.fullmatch(text)
    if found is None:
        raise Invalid("not a number", code="value-unfit")
    digits = found[2].replace(",", ".")
    return found[1] or "", float(digits) if "." in digits else int(digits)


@lru_cache(maxsize=1024)
def unit_of(words: Words, raw: str) -> tuple[str, str]:
    """The unit as written and as UCUM code; the code is "" for a unit that is in no table."""
    text = words.part(raw, 1) or words.part(raw, 2)
    return text, UNITS.get(text.lower(), "")


def _quantity(words: Words, concept: Concept, text: str, unit: str) -> Value:
    if concept.name == "gestational-age" and (weeks := _WEEKS.fullmatch(text)):
        return _measured(concept, "", int(weeks[1]) * 7 + int(weeks[2] or 0), "d", "d")
    comparator, number = number_of(text)
    written, code = unit_of(words, unit)
    if not written:
        raise Invalid("a unit is missing", code="unit-missing")
    return _measured(concept, comparator, number, written, code)


def _measured(concept: Concept, comparator: str, number: float, written: str, code: str) -> Value:
    if code not in concept.units:
        raise Invalid("the unit does not fit what was measured", code="unit-unfit")
    check_possible(concept, number, code)
    quantity: dict[str, Any] = {"value": number, "unit": written, "system": UCUM, "code": code}
    if comparator:
        quantity["comparator"] = comparator
    return "valueQuantity", quantity


def check_possible(concept: Concept, number: float, code: str) -> None:
    """Refuse what cannot be, in the preferred unit of the concept: what is merely unusual passes."""
    preferred = concept.units[0] if concept.units else code
    value = number if code == preferred else number * TO_PREFERRED[code, preferred]
    if (concept.low is not None and value < concept.low) or (concept.high is not None and value > concept.high):
        raise Invalid("the value is outside what is possible", code="value-impossible")


def _count(concept: Concept, text: str) -> Value:
    comparator, number = number_of(text)
    if comparator or number != int(number):
        raise Invalid("a whole number is expected", code="value-unfit")
    check_possible(concept, number, "")
    return "valueInteger", int(number)


def _date(text: str) -> Value:
    """A date as precise as given; a time of zeros is no time. Dates are never moved to another zone."""
    iso = _ISO_DAY.fullmatch(text)
    return "valueDateTime", moment("".join(iso.groups()) if iso else text).day


def _pressure(words: Words, text: str, unit: str) -> Value:
    """120/80: both numbers of a blood pressure in one text. Without a unit it is mm[Hg]: it is written so in no other one."""
    found = _PRESSURE.fullmatch(text)
    if found is None:
        raise Invalid("not a blood pressure (120/80)", code="value-unfit")
    written, code = unit_of(words, unit)
    parts = [(_SYSTOLIC, int(found[1])), (_DIASTOLIC, int(found[2]))]
    measured = [(c, _measured(c, "", n, written or "mmHg", code if written else "mm[Hg]")[1]) for c, n in parts]
    if measured[0][1]["value"] <= measured[1][1]["value"]:
        raise Invalid("the systolic pressure is not above the diastolic", code="value-impossible")
    return "component", [component(c, quantity) for c, quantity in measured]


def component(concept: Concept, quantity: dict[str, Any]) -> dict[str, Any]:
    """One component of a blood pressure."""
    return {"code": {"coding": [concept.codings[0].fhir()]}, "valueQuantity": quantity}


def _coded(words: Words, concept: Concept, raw: str, local: str) -> Value | None:
    if concept.name == "blood-group" or concept.name in _RHESUS:
        known = _from_table(words, concept, raw)
        return ("valueCodeableConcept", {"coding": [known[0].fhir()], "text": known[1]}) if known else None
    pairs, texts = _pairs(words, raw)
    if not pairs and not texts:
        return None
    codings = [
        {"system": codes.system_of(system) if system in ("LN", "SCT", "SNM") else local, "code": " ".join(code.split())}
        for code, system in pairs
    ]
    if any(codes.swapped(c["system"], c["code"]) for c in codings):
        raise Invalid("the code belongs to another code system than the one that is named", code="code-swapped")
    named = any(system for _, system in pairs)
    return "valueCodeableConcept", {**({"coding": codings} if named else {}), "text": texts[0] if texts else pairs[0][0]}


def _pairs(words: Words, raw: str) -> tuple[list[tuple[str, str]], list[str]]:
    """Codes with their systems, and texts, of both triplets."""
    parts = [*words.texts(raw), "", "", "", "", "", ""]
    pairs = [(code, system) for code, system in ((parts[0], parts[2]), (parts[3], parts[5])) if code]
    return pairs, [text for text in (parts[1], parts[4]) if text]


@lru_cache(maxsize=1024)
def _from_table(words: Words, concept: Concept, raw: str) -> tuple[Coding, str] | None:
    """Blood group or Rhesus factor, and the text to show: every code and every text must say the same. None when it is empty."""
    pairs, texts = _pairs(words, raw)
    if not pairs and not texts:
        return None
    said: set[Coding] = set()
    for code, system in pairs:
        found = _by_code(concept, code) if system else None
        if found is None and codes.system_of(system) in (codes.SNOMED, LOINC):
            raise Invalid("this code is no value of what was measured", code="value-unknown")
        found = found or _by_word(concept, code)
        if found is not None:
            said.add(found)
    said.update(found for text in texts if (found := _by_word(concept, text)) is not None)
    if not said:
        raise Invalid("not a known word or code for this result", code="value-unknown")
    if len(said) > 1:
        raise Invalid("code and text say different things", code="value-contradicts")
    return said.pop(), texts[0] if texts else pairs[0][0]


def _by_code(concept: Concept, code: str) -> Coding | None:
    table = codes.BLOOD_GROUPS if concept.name == "blood-group" else _RHESUS[concept.name]
    return next((coding for coding in table.values() if coding.code == code), None)


def _by_word(concept: Concept, text: str) -> Coding | None:
    if concept.name == "blood-group":
        words = [w for w in re.split(r"[\s:]+", text.upper()) if w and w not in ("BLOEDGROEP", "ABO", "TYPE", "GROEP")]
        return codes.BLOOD_GROUPS.get(words[0]) if len(words) == 1 else None
    words = [w for w in re.split(r"[\s:()-]+(?=\w)|\s+", text.lower().rstrip(".")) if w and w not in RHESUS_WORDS]
    if len(words) != 1:
        return None
    table = _RHESUS[concept.name]
    return table["pos"] if words[0] in POSITIVE else table["neg"] if words[0] in NEGATIVE else None
