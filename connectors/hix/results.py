"""ORU^R01 → Observations: each OBX is one, and the two halves of a blood pressure become one.

A result is known again by its order number, concept and sub-id (and by a code and a time of its own, where it has them), so that a
corrected message (OBX-11 = C) replaces the first one and keeps its history. A result that cannot be taken waits by itself; the others of the message go on.

What is lost: who did the test and with what device, the reference range as numbers (it is kept as text), and the grouping of results
in one report.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

from connectors.formats.days import DUE_DAYS, day_after, not_after
from connectors.formats.hl7v2 import Words
from connectors.formats.hl7v2_time import Moment
from connectors.hix.codes import ABSENT_BECAUSE, LOCAL_RESULTS, LOCAL_SYSTEMS, NO_CONCEPT_YET, STATUSES
from connectors.hix.leftovers import Segment
from connectors.hix.observations import Order, Result, absent, add_facts, add_remarks
from connectors.hix.reading import Reading, past_in, system_uri
from connectors.hix.values import Value, component, read_value
from fhir_profiles import codes
from fhir_profiles.codes import Concept
from fhir_profiles.errors import Invalid, Refused

_PANEL: Final = codes.BY_NAME["blood-pressure"]
_OF_BOTH: Final = frozenset({"code", "status", "effectiveDateTime"})
_DUE: Final = frozenset({"due-date", "due-date-definitive"})
_RANK: Final = ("final", "registered", "preliminary", "cancelled", "amended", "corrected")


class _NoConcept(Exception):
    """The code is known and the plan has no place for it."""


def add_results(reading: Reading) -> None:
    """Put every result of the message in `facts`, or in `refused`."""
    order, group = Order(), list[tuple[Segment, list[Segment]]]()
    notes: list[Segment] | None = None
    last: Segment | None = None
    for segment in reading.segments:
        name = segment.name
        if name == "OBX":
            notes = []
            group.append((segment, notes))
        elif name == "NTE":
            if notes is not None:
                notes.append(segment)
        elif name == "OBR":
            _add_group(reading, order, group)
            order, group = _order(reading, segment, last), []
            notes = order.notes
        elif name == "ORC":
            last = segment
            notes = None
        else:
            notes = None
    _add_group(reading, order, group)


def _order(reading: Reading, obr: Segment, orc: Segment | None) -> Order:
    words = reading.words
    raw = obr.raw(3) or (orc.raw(3) if orc else "") or obr.raw(2) or (orc.raw(2) if orc else "")
    order = Order()
    if raw:
        parts = [*words.texts(words.repetitions(raw)[0]), ""]
        order.numbers = ("order", parts[0], parts[1]) if parts[0] else ()
    order.status, order.status_path = words.part(obr.raw(25), 1).upper(), obr.path(25)
    try:
        changed = past_in(reading, obr, 22)
        if changed:
            order.version = changed.utc
            order.issued, order.issued_path = changed.fhir if "T" in changed.fhir else "", obr.path(22)
        order.effective, order.effective_path = past_in(reading, obr, 7), obr.path(7)
        obr.used = 0  # Both times are listed with the order as well: not every result needs them.
    except Refused as fault:
        order.fault = fault
        reading.refuse(obr, int(fault.path.rpartition("-")[2]), fault)
    return order


def _add_group(reading: Reading, order: Order, group: list[tuple[Segment, list[Segment]]]) -> None:
    results: list[Result] = []
    corrected = order.status == "C" and not any(s.raw(11)[:1] == "C" for s, _ in group)
    for segment, notes in group:
        try:
            results.append(_result(reading, order, segment, notes, corrected))
        except _NoConcept:
            continue
        except Refused as refusal:
            number = int(refusal.path.rpartition("-")[2]) if "-" in refusal.path else 5
            reading.refuse(segment, number, refusal)
            for note in notes:
                note.rest = "waits-with-part"
    used = _pressures(reading, results)
    add_facts(reading, order, used)


def _result(reading: Reading, order: Order, obx: Segment, notes: list[Segment], corrected: bool) -> Result:
    if order.fault is not None and not obx.fields[14]:
        raise Invalid("the time of its order cannot be read", path=obx.path(5), code=order.fault.code)
    concept, code = _code(reading, obx)
    fields = obx.fields
    given = reading.words.part(fields[11], 1).upper() or order.status
    status = STATUSES.get(given, "") if given else "unknown"
    if not status:
        raise Invalid("the status of the result is not one that can be taken", path=obx.path(11), code="status-unfit")
    if corrected and status == "final":
        status = "corrected"
    obx.used |= 1 << 3 | 1 << 11
    paths = {"code": obx.paths[3], "status": obx.paths[11] if fields[11] else order.status_path or obx.paths[11]}
    sub = _sub(reading, obx)
    effective = _effective(reading, order, obx, paths)
    withdrawn = status == "entered-in-error"
    value = None if withdrawn else _value(reading, concept, obx, given, paths)
    if value is None:
        obx.rest = "withdrawn" if withdrawn else "no-value"
    absent = "" if value is not None or withdrawn else ABSENT_BECAUSE.get(given, "unknown")
    if absent:
        paths.setdefault("dataAbsentReason", obx.paths[11])
    return Result(obx, notes, concept, code, status, value, absent, effective, sub, paths)


def _code(reading: Reading, obx: Segment) -> tuple[Concept, dict[str, Any]]:
    """The concept of OBX-3 by both of its triplets, and the code to show. Raises `Invalid`, or `_NoConcept`."""
    found = _meaning(reading.words, obx.fields[3], reading.known.ura)
    if isinstance(found, str):
        if found == "no-concept":
            raise _NoConcept
        raise Invalid(_WHY[found], path=obx.path(3), code=found)
    concept, codings, text = found
    return concept, {"coding": [dict(c) for c in codings], "text": text}


_WHY: Final = {
    "code-unknown": "the code of the result is not known here",
    "code-swapped": "the code belongs to another code system than the one that is named",
    "not-a-result": "the code names no result that can be measured",
    "code-contradicts": "the two codes of the result stand for different things",
}


def _triplets(texts: list[str]) -> list[tuple[str, str, str]]:
    padded = (*texts, "", "", "", "", "", "")
    return [(padded[i], padded[i + 1], padded[i + 2]) for i in (0, 3) if padded[i]]


@lru_cache(maxsize=4096)
def _meaning(words: Words, raw: str, ura: str) -> tuple[Concept, list[dict[str, Any]], str] | str:
    """Concept, codings and text for an OBX-3, or the code of the reason why there are none; the same for every message written alike.

    Every triplet is read: two that disagree are not guessed between.
    """
    triplets = _triplets(words.texts(raw))
    found = {name for code, _, system in triplets if (name := _name(code, system))}
    if any(not _is_local(system) and codes.swapped(system, code) for code, _, system in triplets):
        return "code-swapped"
    if len(found) > 1:
        return "code-contradicts"
    if not found:
        return "no-concept" if any(code in NO_CONCEPT_YET for code, _, _ in triplets) else "code-unknown"
    concept = codes.BY_NAME[found.pop()]
    if concept.kind in ("presence", "resource"):
        return "not-a-result"
    codings: list[dict[str, Any]] = []
    for code, display, system in triplets:
        coding = {"system": system_uri(system, f"urn:ooievaar:local:{ura}:result"), "code": " ".join(code.split())}
        codings.append({**coding, "display": display} if display else coding)
    if all(c["system"][:4] != "http" for c in codings):
        codings.append(dict(concept.codings[0].fhir()))
    return concept, codings, next((display for _, display, _ in triplets if display), concept.title_nl)


def _is_local(system: str) -> bool:
    return system.upper() in LOCAL_SYSTEMS or system.startswith("99")


def _name(code: str, system: str) -> str:
    """The name of the concept that one code stands for, "" for none."""
    if _is_local(system):
        return LOCAL_RESULTS.get(code.upper(), "")
    concept = codes.concept_of(system, code)
    return concept.name if concept else ""


def _sub(reading: Reading, obx: Segment) -> str:
    """OBX-4 without leading zeros: 1 and 01 are one fetus."""
    raw = obx.fields[4]
    return (reading.words.part(raw, 1).upper().lstrip("0") or "0") if raw else ""


def _effective(reading: Reading, order: Order, obx: Segment, paths: dict[str, str]) -> Moment | None:
    found = past_in(reading, obx, 14) if obx.fields[14] else None
    if found is not None:
        paths["effectiveDateTime"] = obx.paths[14]
        return found
    if order.effective is not None:
        paths["effectiveDateTime"] = order.effective_path
    return order.effective


def _value(reading: Reading, concept: Concept, obx: Segment, given: str, paths: dict[str, str]) -> Value | None:
    raw = obx.fields[5]
    if not raw or given in ("X", "N"):
        return None
    try:
        value = read_value(reading.words, concept, obx.fields[2].strip().upper(), raw, obx.fields[6], reading.local_system("value"))
    except Invalid as refusal:
        raise Invalid(refusal.public, path=obx.path(6 if refusal.code.startswith("unit-") else 5), code=refusal.code) from None
    obx.used |= 1 << 5
    if value is None:
        paths["dataAbsentReason"] = obx.paths[5]
    elif value[0] == "valueDateTime":
        not_after(value[1], day_after(reading.latest, DUE_DAYS if concept.name in _DUE else 0), obx.path(5))
        paths["valueDateTime"] = obx.paths[5]
    elif value[0] == "valueQuantity":
        paths["valueQuantity.value"] = obx.paths[5]
        if obx.take(6):
            paths["valueQuantity.unit"] = obx.paths[6]
    else:
        paths[value[0]] = obx.paths[5]
        if value[0] == "component" and obx.take(6):
            paths["component.0.valueQuantity.unit"] = obx.paths[6]
    return value


def _pressures(reading: Reading, results: list[Result]) -> list[Result]:
    """Join each systolic with the diastolic of the same order, sub-id and time. One half alone stays what it is."""
    halves = [r for r in results if r.concept.name in ("systolic", "diastolic")]
    if not halves:
        return results
    out = [r for r in results if r.concept.name not in ("systolic", "diastolic")]
    lowers: dict[tuple[str, Moment | None], list[Result]] = {}
    for half in reversed(halves):
        if half.concept.name == "diastolic":
            lowers.setdefault((half.sub, half.effective), []).append(half)
    alone = []
    for upper in (r for r in halves if r.concept.name == "systolic"):
        waiting = lowers.get((upper.sub, upper.effective))
        if waiting:
            out.append(_panel(reading, upper, waiting.pop()))
        else:
            alone.append(upper)
    alone += [lower for left in lowers.values() for lower in left]
    return out + [r for r in alone if _stands_alone(reading, r)]


def _stands_alone(reading: Reading, half: Result) -> bool:
    """A corrected or withdrawn half without its other half would leave a false pressure standing: it waits for a person."""
    if half.status in ("corrected", "amended", "entered-in-error"):
        reading.refuse(half.segment, 3, Invalid("one half of a blood pressure was changed without the other", code="pair-incomplete"))
        return False
    return True


def _panel(reading: Reading, upper: Result, lower: Result) -> Result:
    left = [r for r in (upper, lower) if r.status != "entered-in-error"]
    status = max((r.status for r in left), key=_rank) if left else "entered-in-error"
    if len(left) == 1:
        status = "corrected"
    paths = {element: path for element, path in upper.paths.items() if element in _OF_BOTH}
    # Status and time are told by the first half; those of the second are listed as taken together with it.
    lower.segment.used &= 0 if lower.status == "entered-in-error" else ~(1 << 11 | 1 << 14)
    components: list[dict[str, Any]] = []
    for r in left:
        half = _half(r)
        add_remarks(reading, r, half)
        for element, path in r.paths.items():
            if element != "status" and element != "effectiveDateTime":
                paths[_in_component(len(components), element)] = path
        components.append(half)
    code = {"coding": [dict(_PANEL.codings[0].fhir())], "text": _PANEL.title_nl}
    value = ("component", components) if components else None
    notes = [*upper.notes, *lower.notes]
    return Result(upper.segment, notes, _PANEL, code, status, value, "", upper.effective, upper.sub, paths, panel=True)


@lru_cache(maxsize=64)
def _in_component(number: int, element: str) -> str:
    return f"component.{number}.{element}"


def _half(result: Result) -> dict[str, Any]:
    if result.value is not None:
        return component(result.concept, result.value[1])
    return {"code": {"coding": [result.concept.codings[0].fhir()]}, "dataAbsentReason": absent(result.absent)}


def _rank(status: str) -> int:
    return _RANK.index(status) if status in _RANK else 0
