"""Results from HiX: every value in its shape, and what is not sure waits by itself."""

from __future__ import annotations

from typing import Any

import pytest

from connectors.contract import Fact
from tests.connectors.hix.build import OBR, PID, PV1, codes_of, mapped, message, msh, obx, oru

HB = "718-7^Hemoglobine^LN"


def only(*rows: str, obr: str = OBR) -> Fact:
    """The one fact of a result message, with nothing waiting."""
    found = mapped(oru(*rows, obr=obr))
    assert codes_of(found.refused) == []
    (fact,) = found.facts
    return fact


@pytest.mark.parametrize(("value", "kind", "unit", "quantity"), [
    ("6.9", "NM", "mmol/l", {"value": 6.9, "unit": "mmol/l", "code": "mmol/L"}),
    ("6,9", "NM", "mmol/L^millimol per liter^UCUM", {"value": 6.9, "unit": "mmol/L", "code": "mmol/L"}),
    ("7", "ST", "MMOL/L", {"value": 7, "unit": "MMOL/L", "code": "mmol/L"}),
    ("11.2", "NM", "g/dl", {"value": 11.2, "unit": "g/dl", "code": "g/dL"}),
    ("<4.0", "ST", "mmol/l", {"value": 4.0, "unit": "mmol/l", "code": "mmol/L", "comparator": "<"}),
    (">=^9", "SN", "mmol/l", {"value": 9, "unit": "mmol/l", "code": "mmol/L", "comparator": ">="}),
    ("+6.5", "NM", "mmol/l", {"value": 6.5, "unit": "mmol/l", "code": "mmol/L"}),
])
def test_a_quantity_keeps_its_number_and_unit_and_gets_its_ucum_code(value: str, kind: str, unit: str, quantity: dict[str, Any]) -> None:
    fact = only(obx(HB, value, unit, kind=kind))
    assert fact.resource["valueQuantity"] == {**quantity, "system": "http://unitsofmeasure.org"}
    assert fact.concept == "haemoglobin" and fact.paths["valueQuantity.value"] == "OBX[1]-5"


@pytest.mark.parametrize(("code", "value", "kind", "unit", "expected"), [
    ("GRAVIDA", "2", "NM", "", ("valueInteger", 2)),
    ("11977-6^Pariteit^LN", "0", "NM", "", ("valueInteger", 0)),
    ("GRAVIDA", "2.0", "NM", "", ("valueInteger", 2)),
    ("DUE_DATE", "20270420000000", "TS", "", ("valueDateTime", "2027-04-20")),
    ("DUE_DATE", "20270420", "DT", "", ("valueDateTime", "2027-04-20")),
    ("161714006^a terme^SCT", "20270420233000+0100", "TS", "", ("valueDateTime", "2027-04-20")),
    ("8665-2^LM^LN", "2026-07-14", "ST", "", ("valueDateTime", "2026-07-14")),
    ("8665-2^LM^LN", "202607", "DT", "", ("valueDateTime", "2026-07")),
])
def test_counts_and_dates_have_their_own_shape(code: str, value: str, kind: str, unit: str, expected: tuple[str, Any]) -> None:
    assert only(obx(code, value, unit, kind=kind)).resource[expected[0]] == expected[1]


@pytest.mark.parametrize(("value", "days"), [("27w3d", 192), ("27w", 189), ("27+3", 192), ("8 w 0 d", 56), ("40 weken 2 dagen", 282)])
def test_a_pregnancy_duration_in_weeks_and_days_becomes_days(value: str, days: int) -> None:
    assert only(obx("GESTATIONAL_AGE", value, kind="ST")).resource["valueQuantity"]["value"] == days


@pytest.mark.parametrize(("code", "value", "kind", "snomed"), [
    ("BLGR", "A", "ST", "112144000"), ("BLGR", "0", "ST", "58460004"), ("BLGR", "o", "ST", "58460004"), ("BLGR", "AB", "CE", "165743006"),
    ("883-9^ABO^LN", "112149005^Bloedgroep B^SCT", "CWE", "112149005"), ("883-9^ABO^LN", "^Bloedgroep AB", "CE", "165743006"),
    ("883-9^ABO^LN", "A^A^L", "CE", "112144000"),
    ("RHD", "positief", "ST", "165747007"), ("RHD", "Pos.", "ST", "165747007"), ("RHD", "Rh D positief", "TX", "165747007"),
    ("RHD", "neg", "ST", "165746003"), ("RHD", "Rhesus-D negatief", "ST", "165746003"), ("RHD", "-", "ST", "165746003"),
    ("RHD", "+", "ST", "165747007"),
    ("1305-2^Rh D^LN", "165746003^Rh D negatief^SCT", "CWE", "165746003"), ("10331-7^Rh^LN", "POS^Positief^L", "CE", "165747007"),
    ("1159-3^Rh c^LN", "Rh(c) neg", "ST", "733119003"),
])
def test_blood_group_and_rhesus_are_read_from_codes_and_from_dutch_words(code: str, value: str, kind: str, snomed: str) -> None:
    value_concept = only(obx(code, value, kind=kind)).resource["valueCodeableConcept"]
    assert [c["code"] for c in value_concept["coding"]] == [snomed]


WAITS: list[tuple[str, str, str, str]] = [
    # name, the row, code, path
    ("impossible value", obx(HB, "69", "mmol/l"), "value-impossible", "OBX[1]-5"),
    ("impossible value in another unit", obx(HB, "0.9", "g/dl"), "value-impossible", "OBX[1]-5"),
    ("wrong unit", obx(HB, "6.9", "kg"), "unit-unfit", "OBX[1]-6"),
    ("a unit that is known and not for this", obx(HB, "112", "g/l"), "unit-unfit", "OBX[1]-6"),
    ("unknown unit", obx(HB, "6.9", "blokjes"), "unit-unfit", "OBX[1]-6"),
    ("no unit", obx(HB, "6.9"), "unit-missing", "OBX[1]-6"),
    ("no number", obx(HB, "veel", "mmol/l"), "value-unfit", "OBX[1]-5"),
    ("a number in other digits", obx(HB, "６", "mmol/l"), "value-unfit", "OBX[1]-5"),
    ("a range", obx(HB, "^6^-^7", "mmol/l", kind="SN"), "value-unfit", "OBX[1]-5"),
    ("two values", obx(HB, "6.9~7.0", "mmol/l"), "value-repeated", "OBX[1]-5"),
    ("an exponent", obx(HB, "6e9", "mmol/l"), "value-unfit", "OBX[1]-5"),
    ("half a pregnancy", obx("GRAVIDA", "1.5"), "value-unfit", "OBX[1]-5"),
    ("too many pregnancies", obx("GRAVIDA", "99"), "value-impossible", "OBX[1]-5"),
    ("nine days in a week", obx("GESTATIONAL_AGE", "27w9d", kind="ST"), "value-unfit", "OBX[1]-5"),
    ("a pregnancy of two years", obx("GESTATIONAL_AGE", "99w0d", kind="ST"), "value-impossible", "OBX[1]-5"),
    ("impossible due date", obx("DUE_DATE", "20270231", kind="DT"), "date-impossible", "OBX[1]-5"),
    ("a due date in words", obx("DUE_DATE", "half mei", kind="ST"), "date-impossible", "OBX[1]-5"),
    ("impossible time of measuring", obx(HB, "6.9", "mmol/l", rest="|||20261131"), "date-impossible", "OBX[1]-14"),
    ("gravidity as LOINC", obx("161732006^Graviditeit^LN", "2"), "code-swapped", "OBX[1]-3"),
    ("due date as SNOMED", obx("11778-8^a terme^SCT", "20270420", kind="DT"), "code-swapped", "OBX[1]-3"),
    ("two codes that disagree", obx("718-7^Hb^LN^GRAVIDA^Gravida^L", "2"), "code-contradicts", "OBX[1]-3"),
    ("an unknown code", obx("99999-9^Iets^LN", "1", "mmol/l"), "code-unknown", "OBX[1]-3"),
    ("an unknown local code", obx("XYZ", "1", "mmol/l"), "code-unknown", "OBX[1]-3"),
    ("a standard code without its system", obx("718-7^Hemoglobine", "6.9", "mmol/l"), "code-unknown", "OBX[1]-3"),
    ("no code", obx("", "6.9", "mmol/l"), "code-unknown", "OBX[1]-3"),
    ("a pregnancy as a result", obx("118185001^Zwangerschap^SCT", "1"), "not-a-result", "OBX[1]-3"),
    ("a blood group that is none", obx("BLGR", "C", kind="ST"), "value-unknown", "OBX[1]-5"),
    ("group and factor in one", obx("BLGR", "A pos", kind="ST"), "value-unknown", "OBX[1]-5"),
    ("a code of another test", obx("883-9^ABO^LN", "165747007^x^SCT", kind="CWE"), "value-unknown", "OBX[1]-5"),
    ("code and text disagree", obx("1159-3^Rh c^LN", "733120009^Negatief^SCT", kind="CWE"), "value-contradicts", "OBX[1]-5"),
    ("a document as a value", obx(HB, "^TEXT^PDF^Base64^AAAA", kind="ED"), "type-unfit", "OBX[1]-5"),
    ("an unknown status", obx(HB, "6.9", "mmol/l", status="Q"), "status-unfit", "OBX[1]-11"),
    ("final without being sent again (U)", obx(HB, "", status="U"), "status-unfit", "OBX[1]-11"),
    ("upside down", obx("RR", "70/120", kind="ST"), "value-impossible", "OBX[1]-5"),
    ("no blood pressure", obx("RR", "goed", kind="ST"), "value-unfit", "OBX[1]-5"),
    ("half of a corrected pressure", obx("RRSYS", "120", "mmHg", status="C"), "pair-incomplete", "OBX[1]-3"),
    ("half of a withdrawn pressure", obx("RRDIA", "", status="D"), "pair-incomplete", "OBX[1]-3"),
]


@pytest.mark.parametrize(("row", "code", "path"), [case[1:] for case in WAITS], ids=[case[0] for case in WAITS])
def test_what_is_not_sure_waits_and_the_rest_of_the_message_goes_on(row: str, code: str, path: str) -> None:
    found = mapped(oru(row, obx("RHD", "pos", kind="ST", number=2)))
    assert [(left.code, left.path) for left in found.refused] == [(code, path)]
    assert [fact.concept for fact in found.facts] == ["rhesus-d"]
    value = row.split("|")[5]
    assert not value or all(value not in left.why for left in found.refused), "a reason never repeats the value"


@pytest.mark.parametrize(("status", "becomes", "withdrawn"), [
    ("F", "final", False), ("P", "preliminary", False), ("C", "corrected", False), ("A", "amended", False),
    ("D", "entered-in-error", True), ("W", "entered-in-error", True),
])
def test_the_status_of_a_result_is_the_senders(status: str, becomes: str, withdrawn: bool) -> None:
    fact = only(obx(HB, "6.9", "mmol/l", status=status))
    assert (fact.resource["status"], fact.withdrawn) == (becomes, withdrawn)
    assert ("valueQuantity" in fact.resource) is not withdrawn


@pytest.mark.parametrize(("obr_status", "row", "becomes"), [
    ("C", obx(HB, "6.9", "mmol/l"), "corrected"), ("P", obx(HB, "6.9", "mmol/l", status=""), "preliminary"),
    ("C", obx(HB, "6.9", "mmol/l", status="P"), "preliminary"), ("", obx(HB, "6.9", "mmol/l", status=""), "unknown"),
])
def test_the_status_of_the_order_fills_in(obr_status: str, row: str, becomes: str) -> None:
    assert only(row, obr=OBR[:-1] + obr_status).resource["status"] == becomes


FAR = ("20900101", "18500101", "20261123", "202612", "2027")


@pytest.mark.parametrize("day", FAR)
def test_a_result_of_a_day_that_cannot_have_been_waits_by_itself(day: str) -> None:
    found = mapped(oru(obx(HB, "6.9", "mmol/l", rest=f"|||{day}"), obx("RHD", "pos", kind="ST", number=2)))
    assert [(left.code, left.path) for left in found.refused] == [("date-impossible", "OBX[1]-14")]
    assert [fact.concept for fact in found.facts] == ["rhesus-d"]


@pytest.mark.parametrize("day", FAR)
def test_an_order_of_a_day_that_cannot_have_been_holds_the_results_without_a_day_of_their_own(day: str) -> None:
    found = mapped(oru(obx(HB, "6.9", "mmol/l"), obx("RHD", "pos", kind="ST", number=2, rest="|||20261120"),
                       obr=OBR.replace("20261120093000", day)))
    assert [(left.code, left.path) for left in found.refused] == [("date-impossible", "OBR[1]-7"), ("date-impossible", "OBX[1]-5")]
    assert [fact.concept for fact in found.facts] == ["rhesus-d"]


def test_a_result_of_the_day_after_its_message_is_taken_for_clocks_that_differ() -> None:
    assert only(obx(HB, "6.9", "mmol/l", rest="|||20261121")).effective == "2026-11-21"


@pytest.mark.parametrize(("code", "day"), [("DUE_DATE", "20900101"), ("LMP", "20270101")])
def test_a_due_date_in_years_or_a_menstruation_to_come_waits(code: str, day: str) -> None:
    found = mapped(oru(obx(code, day, kind="DT")))
    assert [(left.code, left.path) for left in found.refused] == [("date-impossible", "OBX[1]-5")] and found.facts == ()


def test_a_message_from_a_clock_that_runs_years_ahead_counts_from_when_it_was_received() -> None:
    body = oru(obx(HB, "6.9", "mmol/l"), head=msh(at="20900101120000"), obr="OBR|1||L1^LAB|X|||20261120")
    assert mapped(body).facts[0].version == "2026-11-24T12:00:00Z"


def test_only_the_results_that_are_marked_are_corrected_in_a_corrected_order() -> None:
    found = mapped(oru(obx(HB, "6.9", "mmol/l", status="C"), obx("RHD", "pos", kind="ST", number=2), obr=OBR[:-1] + "C"))
    assert [f.resource["status"] for f in found.facts] == ["corrected", "final"]


@pytest.mark.parametrize(("row", "reason"), [
    (obx(HB, "", status="F"), "unknown"), (obx(HB, '""', "mmol/l"), "unknown"), (obx(HB, "", status="X"), "not-performed"),
    (obx(HB, "6.9", "mmol/l", status="X"), "not-performed"), (obx(HB, "", status="N"), "not-asked"),
    (obx(HB, "", status="I"), "temp-unknown"),
    (obx("RHD", "", kind="ST"), "unknown"), (obx("DUE_DATE", " ", kind="TS"), "unknown"),
])
def test_a_result_without_a_value_says_why(row: str, reason: str) -> None:
    resource = only(row).resource
    assert resource["dataAbsentReason"]["coding"][0]["code"] == reason
    assert not [key for key in resource if key.startswith("value")]


def test_a_correction_has_the_identity_of_what_it_corrects_and_a_later_version() -> None:
    first = only(obx(HB, "6.0", "mmol/l"))
    later = only(obx(HB, "6.6", "mmol/l", status="C"), obr=OBR.replace("20261120140000", "20261120170000"))
    assert first.identity == later.identity == ("order", "L1", "LAB", "haemoglobin", "")
    assert first.version < later.version == "2026-11-20T16:00:00.000Z"


def test_a_result_without_order_numbers_is_known_by_concept_sub_id_and_time() -> None:
    fact = only(obx(HB, "6.0", "mmol/l"), obr="OBR|1||||||20261120093000")
    assert fact.identity == ("result", "haemoglobin", "", "2026-11-20T09:30:00+01:00") and fact.version == "2026-11-20T13:15:00.000Z"


@pytest.mark.parametrize(("obr", "number"), [
    ("OBR|1|P1^KLIN|L1^LAB|X|||20261120", "L1"), ("OBR|1|P1^KLIN||X|||20261120", "P1"),
])
def test_the_fillers_number_comes_before_the_placers(obr: str, number: str) -> None:
    assert only(obx(HB, "6.0", "mmol/l"), obr=obr).identity[1] == number


def test_an_order_number_in_orc_counts_when_obr_has_none() -> None:
    body = message(msh(), PID, "ORC|RE|P9^KLIN|L9^LAB", "OBR|1|||X|||20261120", obx(HB, "6.0", "mmol/l"))
    assert mapped(body).facts[0].identity[:3] == ("order", "L9", "LAB")


def test_two_results_of_one_concept_under_one_order_stay_two() -> None:
    rows = [obx(HB, v, "mmol/l", number=n, rest=f"|||2026112{n}0800") for n, v in ((0, "6.0"), (1, "6.4"))]
    same = [obx(HB, v, "mmol/l", number=n) for n, v in ((3, "6.5"), (4, "6.6"))]
    found = mapped(oru(*rows, *same))
    assert len({f.identity for f in found.facts}) == len(found.facts) == 4


LATER = "|||202611201400"


@pytest.mark.parametrize(("first", "second"), [
    ({"sub": "1"}, {"sub": "2"}),
    ({}, {"sub": "2"}),
    ({}, {"rest": LATER}),
    ({"rest": "|||202611200800"}, {"rest": LATER}),
    ({}, {"code": "59260-0^Hemoglobine^LN"}),
], ids=["by sub-id", "one with a sub-id", "one with a time of its own", "each a time of its own", "by code"])
def test_of_two_results_of_one_concept_in_one_order_each_is_corrected_alone(first: dict[str, str], second: dict[str, str]) -> None:
    def row(said: dict[str, str], value: str, **more: Any) -> str:
        return obx(said.get("code", HB), value, "mmol/l", sub=said.get("sub", ""), rest=said.get("rest", ""), **more)

    both = [f.identity for f in mapped(oru(row(first, "6.0"), row(second, "7.4", number=2))).facts]
    assert len(set(both)) == 2
    for said, identity in zip((first, second), both, strict=True):
        for status in ("C", "D"):
            assert only(row(said, "6.6", status=status)).identity == identity
    together = mapped(oru(row(second, "7.4"), row(first, "6.6", number=2, status="C"))).facts
    assert [f.identity for f in together] == both[::-1], "in whatever order they come"


def test_a_time_that_is_the_orders_own_is_not_a_time_of_its_own() -> None:
    again = only(obx(HB, "6.6", "mmol/l", status="C", rest="|||20261120093000"))
    assert again.identity == only(obx(HB, "6.0", "mmol/l")).identity


def test_the_hospitals_own_code_and_the_standard_one_are_one_result() -> None:
    ways = (HB, "HB^Hb^L", "HB^Hb^L^718-7^Hemoglobine^LN", "718-7^Hemoglobine^LN^HB^Hb^L")
    assert len({only(obx(code, "6.0", "mmol/l")).identity for code in ways}) == 1


def test_the_same_result_twice_in_one_message_is_one() -> None:
    found = mapped(oru(obx(HB, "6.0", "mmol/l"), obx(HB, "6.0", "mmol/l", number=2)))
    assert [f.paths["valueQuantity.value"] for f in found.facts] == ["OBX[1]-5"]
    assert {left.path: left.code for left in found.ignored}["OBX[2]-5"] == "repeated" and found.residue == ()


def test_the_two_halves_of_a_blood_pressure_become_one_observation() -> None:
    fact = only(obx("RRSYS", "118", "mmHg"), obx("RRDIA", "76", "mmHg", number=2))
    assert fact.concept == "blood-pressure" and fact.identity == ("order", "L1", "LAB", "blood-pressure", "")
    assert fact.resource["code"]["coding"][0]["code"] == "85354-9"
    parts = {c["code"]["coding"][0]["code"]: c["valueQuantity"]["value"] for c in fact.resource["component"]}
    assert parts == {"8480-6": 118, "8462-4": 76}
    assert fact.paths["component.1.valueQuantity.value"] == "OBX[2]-5"


def test_half_a_blood_pressure_stays_half() -> None:
    found = mapped(oru(obx("RRSYS", "118", "mmHg"), obx("RRDIA", "760", "mmHg", number=2)))
    assert [f.concept for f in found.facts] == ["systolic"] and codes_of(found.refused) == ["value-impossible"]


@pytest.mark.parametrize(("upper", "lower", "status", "withdrawn", "parts"), [
    ("C", "F", "corrected", False, 2), ("F", "P", "preliminary", False, 2), ("D", "D", "entered-in-error", True, 0),
    ("F", "D", "corrected", False, 1),
])
def test_a_blood_pressure_is_as_sure_as_its_least_sure_half(upper: str, lower: str, status: str, withdrawn: bool, parts: int) -> None:
    fact = only(obx("RRSYS", "118", "mmHg", status=upper), obx("RRDIA", "76", "mmHg", status=lower, number=2))
    assert (fact.resource["status"], fact.withdrawn, len(fact.resource.get("component", []))) == (status, withdrawn, parts)


def test_a_heart_rate_belongs_to_the_fetus_of_its_sub_id_whatever_the_order() -> None:
    one, two = obx("FHR", "142", "/min", sub="1"), obx("FHR", "151", "/min", sub="02", number=2)
    straight, turned = mapped(oru(one, two)), mapped(oru(two, one))
    for found in (straight, turned):
        assert {f.about: f.resource["valueQuantity"]["value"] for f in found.facts} == {"fetus:1": 142, "fetus:2": 151}
        assert {(p.local, p.kind, p.key) for p in found.people[1:]} == {(f"fetus:{n}", "fetus", ("fetus", n)) for n in "12"}
    assert {f.identity for f in straight.facts} == {f.identity for f in turned.facts}


def test_a_heart_rate_without_a_number_is_the_only_childs_and_waits_beside_a_numbered_one() -> None:
    assert only(obx("FHR", "142", "bpm")).about == "fetus:1"
    found = mapped(oru(obx("FHR", "142", "bpm"), obx("FHR", "151", "bpm", sub="2", number=2)))
    assert codes_of(found.refused) == ["fetus-unclear"] and [f.about for f in found.facts] == ["fetus:2"]


@pytest.mark.parametrize("sub", ["A", "1.1", "10", "0", "-1", "<script>"])
def test_a_heart_rate_of_a_fetus_without_a_small_whole_number_waits(sub: str) -> None:
    found = mapped(oru(obx("FHR", "142", "/min", sub=sub), obx("FHR", "151", "/min", sub="2", number=2)))
    assert [(left.code, left.path) for left in found.refused] == [("fetus-unclear", "OBX[1]-4")]
    assert [f.about for f in found.facts] == ["fetus:2"] and [p.local for p in found.people] == ["woman", "fetus:2"]


def test_known_ultrasound_measures_without_a_place_in_the_plan_are_residue_and_hold_nothing_up() -> None:
    found = mapped(oru(obx("HC", "251", "mm", sub="1"), obx("WEIGHT", "1034", "g^^ISO+", sub="1", number=2)))
    assert found.facts == () and found.refused == ()
    assert {left.path: left.value for left in found.residue}["OBX[1]-5"] == "251"


def test_notes_under_a_result_and_under_its_order_come_with_it() -> None:
    body = oru("NTE|1|L|onder de opdracht", obx(HB, "6.9", "mmol/l"), "NTE|1|L|regel 1~regel 2 \\T\\ meer")
    assert [n["text"] for n in mapped(body).facts[0].resource["note"]] == ["regel 1\nregel 2 & meer", "onder de opdracht"]


def test_interpretation_and_reference_range_are_kept_as_given() -> None:
    resource = only(f"OBX|1|NM|{HB}||6.0|mmol/l|6.8-8.7|L|||F").resource
    assert resource["referenceRange"] == [{"text": "6.8-8.7"}] and resource["interpretation"][0]["coding"][0]["code"] == "L"


def test_an_order_whose_time_cannot_be_read_holds_its_results_and_no_others() -> None:
    bad = OBR.replace("20261120093000", "20261320093000").replace("L1^LAB", "L2^LAB")
    body = message(msh(), PID, OBR, obx(HB, "6.9", "mmol/l"), bad, obx("RHD", "pos", kind="ST"))
    found = mapped(body)
    assert [f.concept for f in found.facts] == ["haemoglobin"]
    assert [(left.code, left.path) for left in found.refused] == [("date-impossible", "OBR[2]-7"), ("date-impossible", "OBX[2]-5")]


def test_a_result_in_an_adt_message_is_taken_too() -> None:
    body = message(msh("ADT^A08^ADT_A01"), PID, obx("8302-2^Lengte^LN", "172", "cm", rest="|||20261120"))
    assert [f.concept for f in mapped(body).facts] == ["patient", "body-height"]


def test_results_alone_tell_nothing_of_her_own_and_make_no_treatment_relation() -> None:
    found = mapped(message(msh(), PID, PV1, OBR, obx(HB, "6.9", "mmol/l")))
    assert [f.concept for f in found.facts] == ["haemoglobin"] and found.dossiers == () and found.residue == ()
    assert [(p.kind, p.bsn is not None) for p in found.people] == [("woman", True)]
    assert {left.path for left in found.ignored if left.code == "told-by-adt"} >= {"PID-5", "PID-7", "PV1-19"}
