"""ADT from HiX: who she is, that she is under treatment, and what is known of her. And which messages are nobody's, or wait."""

from __future__ import annotations

import pytest

from connectors.contract import Mapped
from connectors.hix.mapping import HixMapping
from fhir_profiles.errors import Invalid, Refused, Unsupported
from fhir_profiles.identifiers import Bsn
from tests.connectors.hix.build import LOTTE, NOOR, OBR, PID, SAMIRA, WRONG_BSN, adt, codes_of, mapped, message, msh, obx, oru


def pid(ids: str, rest: str = "Proef^Test||19900101|F") -> str:
    """A PID segment with these identifiers."""
    return f"PID|1||{ids}||{rest}"


@pytest.mark.parametrize("ids", [
    f"{NOOR}^^^NLMINBIZA^NNNLD", f"{NOOR}^^^^NNNLD", f"{NOOR}^^^nlminbiza", f"{NOOR}^^^NLMINBIZA^nnnld",
    f"{NOOR}^^^&2.16.840.1.113883.2.4.6.3&ISO",
    f"12^^^R^PI~{NOOR}^^^NLMINBIZA^NNNLD", f"{NOOR}^^^NLMINBIZA^NNNLD~{NOOR}^^^^NNNLD", "9999.90.019^^^NLMINBIZA^NNNLD",
])
def test_a_bsn_is_found_however_it_is_written(ids: str) -> None:
    (woman,) = mapped(adt("A08", pid=pid(ids))).people
    assert woman.kind == "woman" and woman.bsn == Bsn(NOOR)


def test_without_a_bsn_she_is_known_by_the_hospitals_own_number() -> None:
    (woman,) = mapped(adt("A08", pid=pid("V1^^^R^VN~4711^^^RIJNOEVER^PI"))).people
    assert woman.bsn is None and woman.key == ("RIJNOEVER", "4711")


def test_the_bsn_stands_nowhere_but_in_the_person() -> None:
    found = mapped(adt("A01", "AL1|1|DA|X^Iets", "NK1|1|Proef^Moeder|MTH", pid=PID))
    assert NOOR not in repr(found)
    patient = next(f.resource for f in found.facts if f.concept == "patient")
    assert patient["identifier"][0]["_value"]["extension"][0]["valueCode"] == "masked" and "value" not in patient["identifier"][0]


@pytest.mark.parametrize(("body", "path"), [
    (oru(obx("RHD", "pos", kind="ST"), f"NTE|1|L|bsn {NOOR} gebeld"), "NTE[1]-3"),
    (adt("A08", f"NK1|1|{NOOR}^Test|MTH"), "NK1[1]-2"),
    (adt("A08", pid=PID.replace("Proef&&Proef", f"Proef {NOOR}")), "PID-5"),
    (adt("A08", f"ZZZ|1|{NOOR}"), "ZZZ[1]-2"),
])
def test_a_bsn_in_the_wrong_place_is_taken_out_and_told(body: bytes, path: str) -> None:
    found = mapped(body)
    assert (path, "bsn-misplaced") in [(left.path, left.code) for left in found.refused]
    assert NOOR not in repr(found) and found.facts


def test_digits_that_only_look_like_her_bsn_stay() -> None:
    found = mapped(oru(obx("RHD", "pos", kind="ST"), f"NTE|1|L|order 1{NOOR}"))
    assert found.refused == () and found.facts[0].resource["note"] == [{"text": f"order 1{NOOR}"}]


WHOLE: list[tuple[str, bytes, type[Refused], str, str]] = [
    ("a BSN that fails the eleven-test", adt("A08", pid=pid(f"{WRONG_BSN}^^^NLMINBIZA^NNNLD")), Invalid, "bsn-check", "PID-3"),
    ("a BSN of letters", adt("A08", pid=pid("ABC^^^NLMINBIZA^NNNLD")), Invalid, "bsn-check", "PID-3"),
    ("a BSN of zeros", adt("A08", pid=pid("000000000^^^NLMINBIZA^NNNLD")), Invalid, "bsn-check", "PID-3"),
    ("two BSNs in one PID", adt("A08", pid=pid(f"{NOOR}^^^^NNNLD~{SAMIRA}^^^^NNNLD")), Invalid, "two-persons", "PID-3"),
    ("two PIDs", message(msh(), PID, OBR, pid(f"{SAMIRA}^^^NLMINBIZA^NNNLD"), OBR), Invalid, "two-persons", "PID[2]-3"),
    ("two PIDs without BSN", message(msh(), pid("1^^^R^PI"), pid("2^^^R^PI")), Invalid, "two-persons", "PID[2]-3"),
    ("no PID", message(msh(), OBR), Invalid, "no-person", "PID"),
    ("no number", adt("A08", pid=pid("")), Invalid, "no-identifier", "PID-3"),
    ("an empty number", adt("A08", pid=pid("^^^NLMINBIZA^NNNLD")), Invalid, "no-identifier", "PID-3"),
    ("an appointment", message(msh("SIU^S12^SIU_S12"), PID), Unsupported, "event-unknown", "MSH-9"),
    ("a document", message(msh("MDM^T02^MDM_T02"), PID), Unsupported, "event-unknown", "MSH-9"),
    ("an order", message(msh("OML^O21^OML_O21"), PID), Unsupported, "event-unknown", "MSH-9"),
    ("an older order", message(msh("ORM^O01"), PID), Unsupported, "event-unknown", "MSH-9"),
    ("an unknown ADT event", adt("A60"), Unsupported, "event-unknown", "MSH-9"),
    ("an ADT without event", message(msh("ADT"), PID), Unsupported, "event-unknown", "MSH-9"),
    ("another result event", message(msh("ORU^R30^ORU_R30"), PID), Unsupported, "event-unknown", "MSH-9"),
]


@pytest.mark.parametrize(("body", "kind", "code", "path"), [row[1:] for row in WHOLE], ids=[row[0] for row in WHOLE])
def test_a_message_that_is_nobodys_or_of_no_known_event_waits_as_a_whole(body: bytes, kind: type[Refused], code: str, path: str) -> None:
    with pytest.raises(kind) as refusal:
        mapped(body)
    assert (refusal.value.code, refusal.value.path) == (code, path)
    assert not any(secret in refusal.value.public for secret in (NOOR, SAMIRA, WRONG_BSN, "Proef"))


def test_the_same_woman_named_twice_is_one_woman() -> None:
    body = message(msh(), PID, OBR, obx("RHD", "pos", kind="ST"), PID, OBR.replace("L1", "L2"), obx("RHD", "pos", kind="ST"))
    assert len(mapped(body).people) == 1 and len(mapped(body).facts) == 2


@pytest.mark.parametrize("structure", ["ORU^R01", "ORU^R01^ORU_R01", "ORU^R01^ORU_RO1", "oru^r01"])
def test_the_name_of_the_structure_does_not_matter(structure: str) -> None:
    assert len(mapped(oru(obx("RHD", "pos", kind="ST"), head=msh(structure))).facts) == 1


@pytest.mark.parametrize(("word", "gender"), [
    ("F", "female"), ("V", "female"), ("vrouwelijk", "female"), ("M", "male"), ("man", "male"), ("U", "unknown"), ("O", "other"),
])
def test_a_sex_may_be_a_code_or_a_dutch_word(word: str, gender: str) -> None:
    assert mapped(adt("A08", pid=pid(f"{NOOR}^^^^NNNLD", f"Proef^Test||19900101|{word}"))).facts[0].resource["gender"] == gender


def test_what_cannot_be_read_of_her_data_waits_and_the_rest_is_taken() -> None:
    found = mapped(adt("A08", pid=pid(f"{NOOR}^^^^NNNLD", "Proef^Test||19901301|?")))
    assert [(left.path, left.code) for left in found.refused] == [("PID-8", "gender-unknown"), ("PID-7", "date-impossible")]
    assert {"gender", "birthDate"}.isdisjoint(found.facts[0].resource) and found.facts[0].resource["name"]


@pytest.mark.parametrize(("name", "family", "given"), [
    ("van Joost-de Berg&van&Joost&de&Berg^Anna^B", "van Joost-de Berg", ["Anna", "B"]),
    ("Brink&van den&Brink^Lotte", "van den Brink", ["Lotte"]), ("&van&Dijk^A.^^^", "van Dijk", ["A."]), ("Çelik^Zoë", "Çelik", ["Zoë"]),
    ("O\\T\\B^Test", "O&B", ["Test"]),
])
def test_a_dutch_name_keeps_its_parts(name: str, family: str, given: list[str]) -> None:
    (found,) = mapped(adt("A08", pid=pid(f"{NOOR}^^^^NNNLD", f"{name}||1990|F"))).facts[0].resource["name"]
    assert (found["family"], found["given"]) == (family, given) and found["text"] == f"{' '.join(given)} {family}"


@pytest.mark.parametrize(("event", "status", "withdrawn"), [
    ("A01", "in-progress", False), ("A02", "in-progress", False), ("A03", "finished", False), ("A04", "in-progress", False),
    ("A05", "planned", False),
    ("A11", "entered-in-error", True), ("A12", "in-progress", False), ("A13", "in-progress", False), ("A38", "entered-in-error", True),
])
def test_an_event_about_a_visit_is_an_encounter_at_this_hospital(event: str, status: str, withdrawn: bool) -> None:
    fact = next(f for f in mapped(adt(event)).facts if f.concept == "encounter")
    assert (fact.resource["status"], fact.withdrawn, fact.identity) == (status, withdrawn, ("visit", "V1"))
    assert fact.resource["serviceProvider"]["identifier"] == {"system": "http://fhir.nl/fhir/NamingSystem/ura", "value": "00700002"}
    assert fact.resource["period"]["start"] == "2026-11-20T09:00:00+01:00"


@pytest.mark.parametrize("event", ["A08", "A28", "A31"])
def test_an_update_of_her_data_leaves_her_visits_alone(event: str) -> None:
    assert [f.concept for f in mapped(adt(event)).facts] == ["patient"]


@pytest.mark.parametrize(("pv1", "code", "path"), [
    ("", "segment-missing", "PV1"), ("PV1|1|?|POLI", "class-unknown", "PV1-2"), ("PV1|1|O|POLI", "field-missing", "PV1-19"),
    (f"PV1|1|O|POLI{'|' * 16}V1{'|' * 25}20261320", "date-impossible", "PV1-44"),
    (f"PV1|1|O|POLI{'|' * 16}V1{'|' * 25}20261120|20261119", "period-impossible", "PV1-45"),
])
def test_a_visit_that_cannot_be_known_waits_and_her_data_are_taken(pv1: str, code: str, path: str) -> None:
    found = mapped(adt("A03", pv1=pv1))
    assert [(left.code, left.path) for left in found.refused] == [(code, path)]
    assert [f.concept for f in found.facts] == ["patient"]


@pytest.mark.parametrize("event", ["A40", "A18", "A24", "A37", "A47"])
def test_joining_two_records_waits_for_a_person(event: str) -> None:
    found = mapped(adt(event, "MRG|R2^^^RIJNOEVER^PI"))
    assert found.facts == () and [(left.path, left.code) for left in found.refused] == [("MSH-9", "merge-not-yet")]
    assert mapped(message(msh(f"ADT^{event}"), PID, pid(f"{LOTTE}^^^^NNNLD"))).people == ()


def by_concept(found: Mapped) -> dict[str, dict[str, object]]:
    return {f.concept: f.resource for f in found.facts}


def test_a_pregnancy_diagnosis_opens_the_hospitals_dossier_and_the_visit_belongs_to_it() -> None:
    found = mapped(adt("A04", "DG1|1||118185001^zwangerschap^SCT||20260714|F", "DG1|2||16356006^meerling^SCT||20260714|F"))
    (dossier,) = found.dossiers
    assert dossier.local == "dossier:1" and dossier.started == "2026-07-14" and dossier.status == "active"
    assert {f.concept: f.dossier for f in found.facts} == {
        "patient": "", "dossier": "dossier:1", "pregnancy": "dossier:1", "multiple-pregnancy": "", "encounter": "dossier:1",
    }
    again = mapped(adt("A08", "DG1|1||118185001^zwangerschap^SCT||20260714|F"))
    assert again.dossiers[0].key == dossier.key


def test_a_diagnosis_that_was_taken_back_is_withdrawn() -> None:
    fact = mapped(adt("A08", f"DG1|1||O80^Bevalling^I10||20260714|F{'|' * 14}D1|D")).facts[1]
    assert fact.withdrawn and "clinicalStatus" not in fact.resource and fact.identity == ("diagnosis", "D1")


@pytest.mark.parametrize(("row", "code", "path"), [
    ("DG1|1||118185001^zwangerschap^LN||20260714|F", "code-swapped", "DG1[1]-3"), ("DG1|1||||20260714|F", "field-missing", "DG1[1]-3"),
    ("DG1|1||O80^Bevalling^I10||20269999|F", "date-impossible", "DG1[1]-5"), ("AL1|1|DA||SV", "field-missing", "AL1[1]-3"),
    ("NK1|1||MTH", "field-missing", "NK1[1]-2"),
])
def test_a_segment_that_cannot_be_taken_waits_by_itself(row: str, code: str, path: str) -> None:
    found = mapped(adt("A08", row))
    assert [(left.code, left.path) for left in found.refused] == [(code, path)] and [f.concept for f in found.facts] == ["patient"]


def test_a_segment_that_repeats_another_adds_nothing_and_one_that_contradicts_it_waits() -> None:
    first, other = "AL1|1|DA|764146007^Penicilline^SCT|SV", "AL1|3|DA|764146007^Penicilline^SCT|MI"
    found = mapped(adt("A08", first, first.replace("AL1|1", "AL1|2"), other))
    assert [f.concept for f in found.facts] == ["patient", "allergy"]
    assert {left.path for left in found.ignored if left.code == "repeated"} == {f"AL1[2]-{n}" for n in (1, 2, 3, 4)}
    assert [(left.path, left.code) for left in found.refused] == [("AL1[3]-3", "said-differently")]


def test_an_allergy_keeps_its_code_weight_and_reaction() -> None:
    allergy = by_concept(mapped(adt("A08", "AL1|1|DA|764146007^Penicilline^SCT|SV|uitslag~benauwd|20200101")))["allergy"]
    assert allergy["category"] == ["medication"] and allergy["criticality"] == "high" and allergy["recordedDate"] == "2020-01-01"
    assert allergy["reaction"] == [{"manifestation": [{"text": "uitslag"}, {"text": "benauwd"}]}]


def test_a_clinical_segment_that_is_not_known_is_residue() -> None:
    found = mapped(adt("A08", "ZBV|1|baby|rust", "SPM|1|||BLD"))
    assert {left.path: left.value for left in found.residue} == {
        "ZBV[1]-1": "1", "ZBV[1]-2": "baby", "ZBV[1]-3": "rust", "SPM[1]-1": "1", "SPM[1]-4": "BLD",
    }
    assert codes_of(found.refused) == []


@pytest.mark.parametrize(("body", "seen"), [
    (adt("A08"), NOOR), (adt("A08").replace(b"\r", b"\n"), NOOR), (adt("A08", pid=pid("8^^^R^PI")), None), (b"", None), (b"\rPID|", None),
    (adt("A08", pid=pid(f"7^^^R^PI~{SAMIRA}^^^^NNNLD")), SAMIRA), (message(msh(), "NTE|1||~999990019^^^NLMINBIZA^NNNLD"), None),
])
def test_the_bsn_is_seen_at_a_glance_when_it_stands_in_pid(body: bytes, seen: str | None) -> None:
    assert HixMapping().peek_bsn(body) == seen


@pytest.mark.parametrize("day", ["20900101", "18700101", "18990101", "20261122"])
def test_a_day_of_birth_that_cannot_be_waits_and_the_rest_of_her_goes_on(day: str) -> None:
    found = mapped(adt("A08", pid=PID.replace("19900101", day)))
    assert [(left.code, left.path) for left in found.refused] == [("date-impossible", "PID-7")]
    assert "birthDate" not in found.facts[0].resource and found.facts[0].resource["name"]


def test_a_death_that_is_still_to_come_waits() -> None:
    found = mapped(adt("A08", pid=PID + "|" * 21 + "20900101"))
    assert [(left.code, left.path) for left in found.refused] == [("date-impossible", "PID-29")]
    assert "deceasedDateTime" not in found.facts[0].resource
