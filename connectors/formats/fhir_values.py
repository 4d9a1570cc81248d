"""Judging one Observation: which concept it is, and whether its value can be true.

Works on the R4 shape and rewrites it to the hub's ways: UCUM units, whole counts as integers, absence as `dataAbsentReason`. Nothing is
guessed: a code in the wrong system, a label that says the opposite of its code, a missing or impossible unit, value or date is refused
with the path of what is wrong, so that this part waits and the rest of the message goes on.

Sources: FHIR R4 Observation; UCUM; HL7 v3 NullFlavor. Hb: 1 mmol/L = 1.6114 g/dL (monomer, as Dutch laboratories report).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from connectors.formats.days import DUE_DAYS, day_after, not_after
from connectors.formats.fhir_tree import ABSENT_URL, NULL_FLAVOR_URL, Draft, dicts, text
from fhir_profiles import codes
from fhir_profiles.codes import LOINC, SNOMED, Coding, Concept
from fhir_profiles.errors import Invalid

ABSENT_SYSTEM: Final = "http://terminology.hl7.org/CodeSystem/data-absent-reason"
NULL_FLAVOR_SYSTEM: Final = "http://terminology.hl7.org/CodeSystem/v3-NullFlavor"
_ABSENT_OF_FLAVOR: Final = {
    "UNK": "unknown", "ASKU": "asked-unknown", "NAV": "temp-unknown", "NASK": "not-asked", "NI": "unknown", "NA": "not-applicable",
    "MSK": "masked",
}

_UNITS: Final = {
    "gram": "g", "gr": "g", "kilogram": "kg", "ml": "mL", "milliliter": "mL", "mmol/l": "mmol/L", "mmHg": "mm[Hg]", "mm Hg": "mm[Hg]",
    "pm": "/min",
    "bpm": "/min", "g/dl": "g/dL", "dagen": "d", "dag": "d", "days": "d", "weken": "wk", "centimeter": "cm", "meter": "m",
}
_TO_PREFERRED: Final = {
    ("g/dL", "mmol/L"): 1 / 1.6114, ("g", "kg"): 0.001, ("kg", "g"): 1000.0, ("m", "cm"): 100.0, ("wk", "d"): 7.0,
}
# A code of amount of substance cannot carry a mass; the other way round is the national habit (718-7 with mmol/L).
_ONLY_MOLES: Final = frozenset(("93846-4", "59260-0"))
# Two codings that belong together: the first says more than the second.
_REFINES: Final = {frozenset(("birth-weight", "body-weight")): "birth-weight"}

_TABLES: Final[dict[str, frozenset[str]]] = {
    "blood-group": frozenset(c.code for c in codes.BLOOD_GROUPS.values()),
    "rhesus-d": frozenset(c.code for c in codes.RHESUS_D.values()),
    "rhesus-c": frozenset(c.code for c in codes.RHESUS_C.values()),
}
_POLARITY: Final = {
    **{c.code: kind for table in (codes.RHESUS_D, codes.RHESUS_C) for kind, c in table.items()},
}
_GROUPS: Final = {c.code: c.display for c in codes.BLOOD_GROUPS.values()}

_FUTURE_DAYS: Final = {"due-date": DUE_DAYS, "due-date-definitive": DUE_DAYS}


def concept_of(codings: list[dict[str, Any]], extra: Mapping[tuple[str, str], str], at: str) -> Concept:
    """The one concept that all codings of a CodeableConcept stand for; `extra` are the source's own codes.

    Raises `Invalid` code-swapped, code-unknown or code-contradict.
    """
    refuse_swapped(codings, at)
    found: set[str] = set()
    for coding in codings:
        system, code = text(coding.get("system")), text(coding.get("code"))
        name = extra.get((system, code)) or getattr(codes.concept_of(system, code), "name", "")
        found |= {name} if name else set()
    if not found:
        raise Invalid("the hub does not know this code yet", path=at, code="code-unknown")
    if len(found) > 1 and frozenset(found) not in _REFINES:
        raise Invalid("the codes stand for different things", path=at, code="code-contradict")
    return codes.BY_NAME[_REFINES.get(frozenset(found)) or found.pop()]


def refuse_swapped(codings: list[dict[str, Any]], at: str) -> None:
    """Refuse a code that is known, but in another system than it stands in (gravidity as LOINC 161714006)."""
    for coding in codings:
        system = text(coding.get("system"))
        if codes.system_of(system) in (SNOMED, LOINC) and codes.swapped(system, text(coding.get("code"))):
            raise Invalid("a code stands in the wrong code system", path=at, code="code-swapped")


def settle(draft: Draft, concept: Concept) -> None:
    """Judge the value of an Observation, and write it the hub's way. Raises `Invalid` with the path of what cannot be true."""
    resource = draft.resource
    _say_concept(resource, concept)
    if concept.kind == "components" and dicts(resource.get("component")):
        _settle_components(draft)
    elif not _settle_absent(draft):
        _settle_value(draft, concept)
    if "effectiveDateTime" in resource:
        not_after(resource["effectiveDateTime"], day_after(draft.today, 1), draft.paths.get("effectiveDateTime", draft.at))


def value_of(resource: dict[str, Any]) -> tuple[str, Any]:
    """The name and content of the value[x] that stands there; two empty texts when there is none."""
    return next(((k, v) for k, v in resource.items() if k.startswith("value")), ("", ""))


def _say_concept(resource: dict[str, Any], concept: Concept) -> None:
    # A local code alone means nothing to a reader of the plan, so the hub's own coding is put beside it.
    codings = dicts(resource["code"].get("coding"))
    if concept.codings and not any(codes.concept_of(text(c.get("system")), text(c.get("code"))) is concept for c in codings):
        resource["code"] = {**resource["code"], "coding": [*codings, concept.codings[-1].fhir()]}


def _where(draft: Draft, to: str) -> str:
    """The path into the bytes for a produced path, or for the nearest thing below it."""
    return draft.paths.get(to) or next((at for made, at in draft.paths.items() if made.startswith(to + ".")), draft.at)


def _settle_absent(draft: Draft) -> bool:
    """Turn every way to say that a value is absent into `dataAbsentReason`; tells whether there was one."""
    resource = draft.resource
    if "dataAbsentReason" in resource:
        return True
    name, value = value_of(resource)
    beside = resource.get(f"_{name}") or next((v for k, v in resource.items() if k.startswith("_value")), None)
    for holder, to in ((value, name), (beside, next((k for k in resource if k.startswith("_value")), ""))):
        reason, leaf = _reason(holder)
        if reason and isinstance(holder, dict):
            at = draft.paths.get(f"{to}.{leaf}", _where(draft, to))
            _absent(draft, reason, holder, at)
            return True
    return False


def _reason(holder: Any) -> tuple[str, str]:
    if not isinstance(holder, dict):
        return "", ""
    for place, extension in enumerate(dicts(holder.get("extension"))):
        code = text(extension.get("valueCode"))
        if extension.get("url") == ABSENT_URL and code:
            return code, f"extension.{place}.valueCode"
        if extension.get("url") == NULL_FLAVOR_URL and code in _ABSENT_OF_FLAVOR:
            return _ABSENT_OF_FLAVOR[code], f"extension.{place}.valueCode"
    for place, coding in enumerate(dicts(holder.get("coding"))):
        code = text(coding.get("code"))
        if coding.get("system") == NULL_FLAVOR_SYSTEM and code in _ABSENT_OF_FLAVOR:
            return _ABSENT_OF_FLAVOR[code], f"coding.{place}.code"
    return "", ""


def _absent(draft: Draft, reason: str, holder: dict[str, Any], at: str) -> None:
    resource, paths = draft.resource, draft.paths
    gone = [k for k in resource if k.startswith(("value", "_value"))]
    resource["dataAbsentReason"] = {"coding": [{"system": ABSENT_SYSTEM, "code": reason}]}
    if text(holder.get("text")):
        resource["dataAbsentReason"]["text"] = holder["text"]
    for made in [p for p in paths if p.split(".")[0] in gone]:
        # What said so stays accounted for under what it became.
        paths["dataAbsentReason." + made] = paths.pop(made)
    for key in gone:
        del resource[key]
    paths["dataAbsentReason.coding.0.code"] = at


def _settle_value(draft: Draft, concept: Concept) -> None:
    name, value = value_of(draft.resource)
    if not name:
        if concept.kind == "presence":
            return
        raise Invalid("an observation has no value and does not say why", path=draft.at, code="value-missing")
    match concept.kind:
        case "quantity":
            _settle_quantity(draft, concept, name, value, name)
        case "count":
            _settle_count(draft, concept, name, value)
        case "coded":
            _settle_coded(draft, concept, name, value)
        case "date":
            _settle_date(draft, concept, name, value)
        case "components":
            raise Invalid("the parts of a measurement are missing", path=_where(draft, name), code="value-missing")
        case _:
            return


def _settle_components(draft: Draft) -> None:
    for place, component in enumerate(dicts(draft.resource["component"])):
        to = f"component.{place}"
        code = component.get("code")
        concept = concept_of(dicts(code.get("coding")) if isinstance(code, dict) else [], {}, _where(draft, f"{to}.code"))
        if "dataAbsentReason" in component:
            continue
        name, value = value_of(component)
        if concept.kind == "quantity":
            _settle_quantity(draft, concept, name, value, f"{to}.{name}")


def _wrong(draft: Draft, to: str, why: str, code: str) -> Invalid:
    return Invalid(why, path=_where(draft, to), code=code)


def _settle_quantity(draft: Draft, concept: Concept, name: str, value: Any, to: str) -> None:
    number = value.get("value") if isinstance(value, dict) else None
    if name != "valueQuantity" or isinstance(number, bool) or not isinstance(number, (int, float)):
        raise _wrong(draft, to, "a measurement is not a number with a unit", "value-type")
    said = text(value.get("code")) or text(value.get("unit"))
    unit = _UNITS.get(said, _UNITS.get(said.lower(), said))
    if not said:
        raise _wrong(draft, to, "a measurement has no unit", "unit-missing")
    factor = 1.0 if unit in concept.units else 0.0
    if concept.units and unit != concept.units[0]:
        factor = _TO_PREFERRED.get((unit, concept.units[0]), 0.0)
    if not factor:
        raise _wrong(draft, f"{to}.{'code' if 'code' in value else 'unit'}", "this unit does not fit what was measured", "unit-unknown")
    if unit == "g/dL" and any(c.get("code") in _ONLY_MOLES for c in dicts(draft.resource["code"].get("coding"))):
        raise _wrong(draft, f"{to}.code", "the unit contradicts the code", "unit-contradicts-code")
    _in_bounds(draft, concept, number * factor, f"{to}.value")
    value.update(unit=unit, code=unit, system=codes.UCUM)


def _in_bounds(draft: Draft, concept: Concept, number: float, to: str) -> None:
    if (concept.low is not None and number < concept.low) or (concept.high is not None and number > concept.high):
        raise _wrong(draft, to, "a value is impossible", "value-impossible")


def _settle_count(draft: Draft, concept: Concept, name: str, value: Any) -> None:
    to = f"{name}.value" if isinstance(value, dict) else name
    number = value.get("value") if isinstance(value, dict) else value
    if isinstance(number, bool) or not isinstance(number, (int, float)):
        raise _wrong(draft, name, "a count is not a number", "value-type")
    if isinstance(value, dict) and not _is_count_unit(text(value.get("code")) or text(value.get("unit"))):
        raise _wrong(draft, f"{name}.{'code' if 'code' in value else 'unit'}", "a count has another unit", "unit-unknown")
    if number != int(number):
        raise _wrong(draft, to, "a count is not whole", "value-impossible")
    _in_bounds(draft, concept, number, to)
    at = _where(draft, to)
    if isinstance(value, dict):
        if "comparator" in value:
            raise _wrong(draft, f"{name}.comparator", "a count is not exact", "value-type")
        # zib 2020 writes counts as integers; the leaves of the quantity stay accounted for.
        for made in [p for p in draft.paths if p.startswith(f"{name}.")]:
            draft.paths[f"valueInteger.{made[len(name) + 1:]}"] = draft.paths.pop(made)
    del draft.resource[name]
    draft.put("valueInteger", int(number), at)


def _is_count_unit(unit: str) -> bool:
    return unit in ("", "1") or (unit.startswith("{") and unit.endswith("}"))


def _settle_coded(draft: Draft, concept: Concept, name: str, value: Any) -> None:
    concept_made = value if isinstance(value, dict) else {}
    codings = dicts(concept_made.get("coding"))
    if name != "valueCodeableConcept" or not (codings or text(concept_made.get("text"))):
        raise _wrong(draft, name, "a coded value has no code", "value-type")
    known = {c["code"] for c in codings if text(c.get("code")) in codes.VALUE_CODES}
    for place, coding in enumerate(codings):
        _check_coding(draft, coding, f"{name}.coding.{place}")
    table = _TABLES.get(concept.name)
    if table is None:
        return
    if len(known) > 1:
        raise _wrong(draft, name, "the codes of a value contradict each other", "value-contradict")
    if not known & table and not any(c.get("system") == NULL_FLAVOR_SYSTEM for c in codings):
        raise _wrong(draft, name, "this value does not belong to what was asked", "value-unknown")


def _check_coding(draft: Draft, coding: dict[str, Any], to: str) -> None:
    code, system = text(coding.get("code")), text(coding.get("system"))
    known = codes.VALUE_CODES.get(code)
    if known is None:
        return
    if system != known.system:
        raise _wrong(draft, to, "a code stands in the wrong code system", "code-swapped")
    if contradicts(known, text(coding.get("display"))):
        raise _wrong(draft, f"{to}.display", "a label says the opposite of its code", "code-display-contradict")


def contradicts(known: Coding, display: str) -> bool:
    """Whether a label says the opposite of its code: "negatief" on positive, "AB" on A. An unclear label contradicts nothing."""
    words = set(display.lower().replace("(", " ").replace(")", " ").replace(",", " ").split())
    if known.code in _POLARITY:
        says = {kind for kind, marks in (("pos", ("pos", "positief", "positive", "+")), ("neg", ("neg", "negatief", "negative", "-")))
                if words & set(marks)}
        return bool(says) and says != {_POLARITY[known.code]}
    groups = {"O" if word == "0" else word.upper() for word in words if word in ("a", "b", "ab", "o", "0")}
    return bool(groups) and groups != {_GROUPS[known.code]}


def _settle_date(draft: Draft, concept: Concept, name: str, value: Any) -> None:
    if name not in ("valueDateTime", "valueDate") or not isinstance(value, str):
        raise _wrong(draft, name, "a date is not a date", "value-type")
    not_after(value, day_after(draft.today, _FUTURE_DAYS.get(concept.name, 1)), _where(draft, name))
    if name == "valueDate":
        # valueDate does not exist in R4; a dateTime may be a day.
        at = draft.paths.pop(name)
        del draft.resource[name]
        draft.put("valueDateTime", value, at)
