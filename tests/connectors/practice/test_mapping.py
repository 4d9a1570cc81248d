"""What a prio1 Bundle becomes."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from connectors.formats.fhir_xml import write_xml
from connectors.practice.codes import CARE_ROLE
from connectors.practice.simulator import END_DATE, HB, LOTTE, SAMIRA, coded, count, current_pregnancy, lost_pregnancy, quantity
from fhir_profiles.codes import SNOMED
from fhir_profiles.identifiers import BSN_SYSTEM, URA_SYSTEM, Bsn

from .build import MAPPING, TODAY, add, again, body_of, concepts, current, earlier, facts, faults, mapped, one, plain, resource, unexplained

CASES = sorted((Path(__file__).parent / "cases").iterdir())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_golden_case_maps_as_it_is_written_down(case: Path) -> None:
    (message,) = case.glob("message.*")
    result = MAPPING.to_fhir(message.read_bytes(), facts(f"application/fhir+{message.suffix[1:]}"))
    assert plain(result) == json.loads((case / "expected.json").read_bytes())


@pytest.mark.parametrize("bundle", [current(), earlier(), lost_pregnancy(LOTTE, TODAY, TODAY, gravidity=2, parity=0, seed=2)])
def test_the_practice_s_own_story_leaves_no_residue_and_is_valid_r4(bundle: dict[str, Any]) -> None:
    result = mapped(bundle)
    assert result.residue == ()
    assert result.refused == ()
    assert faults(result) == []
    assert unexplained(bundle, result) == set()


def test_xml_and_json_of_one_bundle_say_exactly_the_same() -> None:
    for bundle in (current(), earlier()):
        assert MAPPING.to_fhir(write_xml(bundle), facts("application/fhir+xml")) == mapped(bundle)


def test_the_same_bundle_converted_again_keeps_every_identity_and_content() -> None:
    first, second = mapped(earlier(seed=1)), mapped(earlier(seed=99))
    assert [(f.concept, f.identity, f.resource) for f in first.facts] == [(f.concept, f.identity, f.resource) for f in second.facts]
    assert first.people == second.people
    assert [d.key for d in first.dossiers] == [d.key for d in second.dossiers]


def test_a_changed_value_keeps_its_identity() -> None:
    bundle = current()
    before = one(mapped(bundle), "haemoglobin")
    resource(bundle, "Observation", "718-7")["valueQuantity"]["value"] = 7.9
    after = one(mapped(bundle), "haemoglobin")
    assert after.identity == before.identity
    assert after.resource["valueQuantity"]["value"] == 7.9


def test_the_woman_is_known_by_her_bsn_and_her_resource_does_not_show_it() -> None:
    result = mapped(current())
    (woman,) = result.people
    assert (woman.kind, woman.bsn) == ("woman", Bsn("999990019"))
    assert b"999990019" not in json.dumps([f.resource for f in result.facts]).encode()
    assert one(result, "patient").resource["identifier"][0]["system"] == BSN_SYSTEM
    assert one(result, "patient").paths["identifier.0._value"] == "Bundle.entry[1].resource.identifier[0].value"


def test_a_bsn_without_a_system_is_not_shown_either() -> None:
    bundle = current()
    resource(bundle, "Patient")["identifier"].append({"value": "999990019"})
    assert "999990019" not in json.dumps(one(mapped(bundle), "patient").resource)


def test_the_dossier_tells_its_due_date_number_and_state() -> None:
    (dossier,) = mapped(current()).dossiers
    assert (dossier.key, dossier.status, dossier.due, dossier.gravidity, dossier.started) == (
        ("opened", "2025-08-18"), "active", "2026-03-30", 2, "2025-08-18")


def test_a_loss_ends_its_dossier_and_brings_no_birth() -> None:
    result = mapped(lost_pregnancy(LOTTE, TODAY, TODAY, gravidity=2, parity=0, seed=3))
    (dossier,) = result.dossiers
    assert (dossier.status, dossier.ended) == ("finished", "2026-01-05")
    assert not {"birth", "delivery"} & set(concepts(result))
    assert [p.kind for p in result.people] == ["woman"]


def test_a_dossier_with_a_number_of_the_sender_is_known_by_that() -> None:
    bundle = current()
    resource(bundle, "EpisodeOfCare")["identifier"] = [{"value": "D-2231"}]
    assert mapped(bundle).dossiers[0].key == ("identifier", "", "D-2231")


def test_an_id_made_for_test_material_identifies_nothing() -> None:
    bundle = current()
    resource(bundle, "EpisodeOfCare")["identifier"] = [{"system": "urn:oid:2.16.840.1.113883.2.4.3.11.999.7.6", "value": "1"}]
    assert mapped(bundle).dossiers[0].key == ("opened", "2025-08-18")


@pytest.mark.parametrize(("concept", "code", "value"), [
    ("gravidity", "11996-6", {"valueQuantity": {"value": 3}}), ("parity", "11977-6", {"valueQuantity": {"value": 2}}),
    ("due-date", "11778-8", {"valueDateTime": "2026-04-12"}),
])
def test_a_corrected_count_or_due_date_leaves_the_dossier_and_all_in_it_what_they_are(concept: str, code: str, value: dict[str, Any]) -> None:
    bundle = current()
    before = mapped(bundle)
    resource(bundle, "Observation", code).update(value)
    after = mapped(bundle)
    assert [d.key for d in after.dossiers] == [d.key for d in before.dossiers]
    assert [f.identity for f in after.facts] == [f.identity for f in before.facts]
    assert [f.concept for f, was in zip(after.facts, before.facts, strict=True) if f.resource != was.resource] == [concept]


def test_a_dossier_stays_the_same_when_its_pregnancy_ends() -> None:
    bundle = current()
    running = mapped(bundle).dossiers[0]
    resource(bundle, "EpisodeOfCare")["status"] = "finished"
    system, code, _ = END_DATE
    again(bundle, "Observation", "11778-8", code={"coding": [{"system": system, "code": code}]}, valueDateTime="2026-01-04")
    finished = mapped(bundle).dossiers[0]
    assert (finished.key, finished.status, finished.ended) == (running.key, "finished", "2026-01-04")


def test_an_earlier_pregnancy_that_was_written_down_today_is_not_the_present_one() -> None:
    now, before = current(), earlier()
    resource(before, "EpisodeOfCare")["period"] = resource(now, "EpisodeOfCare")["period"]
    keys = [mapped(bundle).dossiers[0].key for bundle in (now, before)]
    assert keys == [("opened", "2025-08-18"), ("gravidity", "1")]


def test_a_running_dossier_without_a_due_date_is_known_by_the_day_on_which_it_was_opened_and_a_closed_one_is_not() -> None:
    bundle = current()
    bundle["entry"] = [e for e in bundle["entry"] if "11778-8" not in json.dumps(e["resource"].get("code"))]
    assert mapped(bundle).dossiers[0].key == ("opened", "2025-08-18")
    resource(bundle, "EpisodeOfCare")["status"] = "finished"
    assert mapped(bundle).dossiers[0].key == ("gravidity", "2")


def test_a_dossier_that_does_not_say_when_it_was_opened_is_known_by_the_number_of_the_pregnancy() -> None:
    bundle = current()
    del resource(bundle, "EpisodeOfCare")["period"]
    assert mapped(bundle).dossiers[0].key == ("gravidity", "2")


def test_the_care_team_is_the_sender_and_its_coordinator() -> None:
    team = one(mapped(current()), "care-team")
    organisation, coordinator = team.resource["participant"]
    assert team.resource["managingOrganization"][0]["identifier"] == {"system": URA_SYSTEM, "value": "00700001"}
    assert organisation["member"]["identifier"]["value"] == "00700001"
    assert coordinator["member"]["display"] == "Marit Jansen"
    assert coordinator["role"][0]["coding"][0]["system"] == CARE_ROLE
    assert coordinator["role"][1]["coding"][0]["display"] == "Verloskundige"
    assert team.links["participant.1.member"] == next(f.local for f in mapped(current()).facts if f.concept == "practitioner")
    assert team.resource["period"] == {"start": "2025-08-18"}


def test_a_claim_to_be_another_organisation_opens_nothing() -> None:
    bundle = current()
    resource(bundle, "Organization")["identifier"] = [{"system": URA_SYSTEM, "value": "00700002"}]
    team = json.dumps(one(mapped(bundle), "care-team").resource)
    assert "00700002" not in team
    assert "00700001" in team


def test_a_midwife_without_a_name_still_coordinates() -> None:
    bundle = current()
    midwife = resource(bundle, "Practitioner")
    midwife.pop("name")
    midwife.pop("identifier")
    result = mapped(bundle)
    assert "_display" in one(result, "care-team").resource["participant"][1]["member"]
    assert "practitioner" not in concepts(result)
    assert "empty-resource" in {left.why for left in result.ignored}
    assert faults(result) == []


def test_delivery_and_birth_know_the_child_apart_from_the_woman() -> None:
    result = mapped(earlier())
    child = next(p for p in result.people if p.kind == "child")
    assert child.key == ("opened", "2023-02-26", "child", "0")
    assert one(result, "delivery").about == "woman"
    assert {one(result, c).about for c in ("birth", "apgar-5", "birth-weight")} == {child.local}
    assert one(result, "birth").links["partOf.0"] == one(result, "delivery").local


def test_a_child_that_is_only_referred_to_is_a_person_too() -> None:
    bundle = earlier()
    bundle["entry"] = [e for e in bundle["entry"] if "birthDate" not in e["resource"] or "name" in e["resource"]]
    result = mapped(bundle)
    assert [p.kind for p in result.people] == ["woman", "child"]
    assert one(result, "birth-weight").about == "child-0"


def test_twins_are_two_children_told_apart_by_the_time_of_birth() -> None:
    bundle = earlier()
    second = {"resourceType": "Patient", "id": "second", "birthDate": "2023-10-08"}
    add(bundle, second)
    again(bundle, "Procedure", "3950001", subject={"reference": "Patient/second"}, performedPeriod={"start": "2023-10-08T14:31:00+01:00"})
    again(bundle, "Observation", "9274-2", subject={"reference": "Patient/second"}, valueQuantity={"value": 8})
    result = mapped(bundle)
    shuffled = copy.deepcopy(bundle)
    shuffled["entry"].reverse()
    scores = {f.resource["valueInteger"]: f.identity for f in result.facts if f.concept == "apgar-5"}
    assert len(set(scores.values())) == 2
    assert scores == {f.resource["valueInteger"]: f.identity for f in mapped(shuffled).facts if f.concept == "apgar-5"}


def test_two_hb_under_one_conditional_url_are_both_kept() -> None:
    bundle = current()
    for entry in bundle["entry"]:
        if entry["resource"]["resourceType"] == "Observation" and "718-7" in json.dumps(entry["resource"]):
            entry["request"]["url"] = "Observation?code=718-7"
    second = again(bundle, "Observation", "718-7", effectiveDateTime="2025-11-20", valueQuantity=quantity(7.1, "mmol/L",
                                                                                                          "mmol/L")["valueQuantity"])
    bundle["entry"][-1]["request"]["url"] = "Observation?code=718-7"
    found = [f for f in mapped(bundle).facts if f.concept == "haemoglobin"]
    assert {f.effective for f in found} == {"2025-12-27", second["effectiveDateTime"]}
    assert len({f.identity for f in found}) == 2


def test_two_values_without_a_time_are_told_apart_by_their_order() -> None:
    bundle = current()
    resource(bundle, "Observation", "718-7").pop("effectiveDateTime")
    again(bundle, "Observation", "718-7", valueQuantity=quantity(7.1, "mmol/L", "mmol/L")["valueQuantity"])
    first, second = [f for f in mapped(bundle).facts if f.concept == "haemoglobin"]
    assert second.identity == (*first.identity, "2")


def test_what_is_said_twice_is_kept_once_and_counted() -> None:
    bundle = current()
    again(bundle, "Observation", "718-7")
    result = mapped(bundle)
    assert concepts(result).count("haemoglobin") == 1
    assert "said-twice" in {left.why for left in result.ignored}
    assert unexplained(bundle, result) == set()


@pytest.mark.parametrize("reference", [
    "Patient?identifier=999990019", f"Patient?identifier={BSN_SYSTEM}|999990019", f"Patient?identifier={BSN_SYSTEM}%7C999990019",
    "urn:uuid:the-woman", "Patient/woman-1", "https://practice.example/fhir/Patient/woman-1", "Patient/woman-1/_history/3",
])
def test_every_way_to_refer_to_the_woman_is_understood(reference: str) -> None:
    bundle = current()
    resource(bundle, "Patient")["id"] = "woman-1"
    next(e for e in bundle["entry"] if e["resource"]["resourceType"] == "Patient")["fullUrl"] = "urn:uuid:the-woman"
    text = json.dumps(bundle).replace('{"reference": "Patient?identifier=999990019"}', json.dumps({"reference": reference}))
    result = MAPPING.to_fhir(text.encode(), facts())
    assert result.refused == ()
    assert {f.about for f in result.facts} == {"woman"}


@pytest.mark.parametrize("spelling", ["observation-focusSTU3", "Observation-focusSTU3", "Observation-focus-stu3"])
def test_every_spelling_of_the_focus_extension_is_one(spelling: str) -> None:
    bundle = earlier()
    loss = resource(bundle, "Observation", "364332008")
    loss["extension"][0]["url"] = f"http://nictiz.nl/fhir/StructureDefinition/{spelling}"
    result = mapped(bundle)
    assert one(result, "blood-loss").links["focus.0"] == one(result, "delivery").local
    assert "extension" not in one(result, "blood-loss").resource
    assert result.residue == ()


@pytest.mark.parametrize(("said", "code", "unit"), [("gram", "g", "g"), ("g", "", "g"), ("gram", "", "g"), ("", "g", "g"),
                                                    ("kilogram", "kg", "kg")])
def test_units_are_written_in_one_way(said: str, code: str, unit: str) -> None:
    bundle = earlier()
    value = 3.48 if unit == "kg" else 3480
    resource(bundle, "Observation", "8339-4")["valueQuantity"] = {"value": value, **({"unit": said} if said else {}),
                                                                  **({"code": code} if code else {})}
    quantity_made = one(mapped(bundle), "birth-weight").resource["valueQuantity"]
    assert (quantity_made["code"], quantity_made["unit"]) == (unit, unit)


def test_a_count_is_an_integer_whether_or_not_it_has_a_unit() -> None:
    for value in ({"value": 2}, {"value": 2, "unit": "1", "code": "1"}, {"value": 2, "unit": "{aantal}"}):
        bundle = current()
        resource(bundle, "Observation", "11996-6")["valueQuantity"] = value
        result = mapped(bundle)
        assert one(result, "gravidity").resource["valueInteger"] == 2
        assert unexplained(bundle, result) == set()


def test_zero_is_a_value() -> None:
    result = mapped(current_pregnancy(SAMIRA, TODAY, 61, gravidity=1, parity=0, seed=4))
    assert one(result, "parity").resource["valueInteger"] == 0


def test_both_generations_of_codes_stand_for_one_concept() -> None:
    bundle = current()
    gravidity = resource(bundle, "Observation", "11996-6")
    gravidity["code"]["coding"].append({"system": "urn:oid:2.16.840.1.113883.6.96", "code": "161732006"})
    due = resource(bundle, "Observation", "11778-8")
    due["code"]["coding"] = [{"system": "http://snomed.info/sct", "code": "161714006"}]
    result = mapped(bundle)
    assert one(result, "gravidity").resource["code"]["coding"][1]["system"] == SNOMED
    assert one(result, "due-date").resource["valueDateTime"] == "2026-03-30"


def test_the_definitive_due_date_counts_before_an_estimate() -> None:
    bundle = current()
    again(bundle, "Observation", "11778-8", valueDateTime="2026-04-02",
          code={"coding": [{"system": SNOMED, "code": "147781000146105"}]})
    assert mapped(bundle).dossiers[0].due == "2026-04-02"


def test_birth_weight_may_also_be_coded_as_body_weight() -> None:
    bundle = earlier()
    resource(bundle, "Observation", "8339-4")["code"]["coding"].append({"system": "http://loinc.org", "code": "29463-7"})
    assert one(mapped(bundle), "birth-weight").about == "child-0"


@pytest.mark.parametrize(("absent", "reason"), [
    ({"valueCodeableConcept": {"coding": [{"system": "http://hl7.org/fhir/v3/NullFlavor", "code": "UNK"}]}}, "unknown"),
    ({"valueCodeableConcept": {"coding": [{"system": "http://hl7.org/fhir/v3/NullFlavor", "code": "ASKU"}], "text": "niet bekend"}},
     "asked-unknown"),
    ({"valueCodeableConcept": {"extension": [{"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason",
                                              "valueCode": "masked"}]}}, "masked"),
    ({"dataAbsentReason": {"coding": [{"system": "http://hl7.org/fhir/data-absent-reason", "code": "not-asked"}]}}, "not-asked"),
])
def test_a_reason_for_having_no_value_is_kept(absent: dict[str, Any], reason: str) -> None:
    bundle = current()
    group = resource(bundle, "Observation", "883-9")
    group.pop("valueCodeableConcept")
    group |= absent
    result = mapped(bundle)
    assert one(result, "blood-group").resource["dataAbsentReason"]["coding"][0]["code"] == reason
    assert "valueCodeableConcept" not in one(result, "blood-group").resource
    assert unexplained(bundle, result) == set()


def test_an_absent_date_keeps_its_reason() -> None:
    bundle = current()
    due = resource(bundle, "Observation", "11778-8")
    due.pop("valueDateTime")
    due["_valueDateTime"] = {"extension": [{"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "unknown"}]}
    for result in (mapped(bundle), MAPPING.to_fhir(write_xml(bundle), facts("application/fhir+xml"))):
        assert one(result, "due-date").resource["dataAbsentReason"]["coding"][0]["code"] == "unknown"
        assert result.dossiers[0].due == ""


@pytest.mark.parametrize("moment", ["2025", "2025-11", "2025-11-20", "2025-11-20T09:15:00+01:00", "2025-11-20T09:15:00.123Z"])
def test_a_time_keeps_the_precision_that_was_given(moment: str) -> None:
    bundle = current()
    resource(bundle, "Observation", "718-7")["effectiveDateTime"] = moment
    assert one(mapped(bundle), "haemoglobin").effective == moment


def test_what_was_entered_in_error_is_taken_back_under_the_same_identity() -> None:
    bundle = current()
    before = one(mapped(bundle), "haemoglobin")
    wrong = resource(bundle, "Observation", "718-7")
    wrong["status"] = "entered-in-error"
    wrong.pop("valueQuantity")
    after = one(mapped(bundle), "haemoglobin")
    assert (after.identity, after.withdrawn, before.withdrawn) == (before.identity, True, False)


def test_a_condition_entered_in_error_is_taken_back() -> None:
    bundle = current()
    again(bundle, "Condition", "364320009", code={"coding": [{"system": SNOMED, "code": "195967001", "display": "astma"}]},
          verificationStatus="entered-in-error")
    result = mapped(bundle)
    assert one(result, "problem").withdrawn
    assert faults(result) == []


def test_a_clock_that_runs_ahead_does_not_block_what_follows() -> None:
    bundle = current()
    resource(bundle, "Composition")["date"] = "2031-01-01T00:00:00Z"
    assert {f.version for f in mapped(bundle).facts} == {"2026-01-05T10:00:00.000Z"}


def test_the_composition_tells_the_version_in_utc() -> None:
    assert {f.version for f in mapped(current()).facts} == {"2026-01-05T07:15:00.000Z"}


def test_an_observation_in_an_encounter_finds_its_dossier() -> None:
    bundle = current()
    episode = resource(bundle, "EpisodeOfCare")
    add(bundle, {"resourceType": "Encounter", "id": "visit", "status": "finished", "class": {"code": "AMB"},
                 "subject": {"reference": "Patient?identifier=999990019"},
                 "episodeOfCare": [{"reference": f"EpisodeOfCare/{episode['id']}"}], "period": {"start": "2025-12-27"}})
    resource(bundle, "Observation", "718-7")["context"] = {"reference": "Encounter/visit"}
    haemoglobin = one(mapped(bundle), "haemoglobin")
    assert (haemoglobin.dossier, haemoglobin.links["encounter"]) == ("dossier-0", one(mapped(bundle), "encounter").local)


def test_all_pregnancies_in_one_bundle_stay_apart() -> None:
    bundle, before = current(), earlier(seed=7)
    bundle["entry"] += [e for e in before["entry"] if e["resource"]["resourceType"] not in ("Composition", "Practitioner",
                                                                                            "PractitionerRole", "Organization")
                        and not ("name" in e["resource"] and e["resource"]["resourceType"] == "Patient")]
    result = mapped(bundle)
    assert sorted(d.key for d in result.dossiers) == [("opened", "2023-02-26"), ("opened", "2025-08-18")]
    assert {one(result, "delivery").dossier} == {d.local for d in result.dossiers if d.gravidity == 1}
    assert next(p for p in result.people if p.kind == "child").key == ("opened", "2023-02-26", "child", "0")


def test_a_pregnancy_without_an_episode_is_the_dossier_itself() -> None:
    bundle = current()
    bundle["entry"] = [e for e in bundle["entry"] if e["resource"]["resourceType"] != "EpisodeOfCare"]
    result = mapped(bundle)
    (dossier,) = result.dossiers
    assert (dossier.gravidity, dossier.due) == (2, "2026-03-30")
    assert one(result, "pregnancy").local == dossier.local


def test_an_unknown_profile_is_no_obstacle() -> None:
    bundle = current()
    resource(bundle, "Observation", "718-7")["meta"] = {"profile": ["http://example.org/StructureDefinition/of-tomorrow"]}
    assert mapped(bundle).residue == ()


def test_what_has_no_place_yet_is_residue_with_its_path() -> None:
    bundle = current()
    resource(bundle, "Observation", "718-7")["related"] = [{"type": "has-member", "target": {"display": "x"}}]
    residue = mapped(bundle).residue
    assert [left.path.rpartition("resource.")[2] for left in residue] == ["related[0].type", "related[0].target.display"]


def test_a_narrative_that_says_more_than_the_data_is_residue() -> None:
    bundle = current()
    resource(bundle, "Observation", "718-7")["text"] = {"status": "additional", "div": "meer"}
    assert [left.value for left in mapped(bundle).residue] == ["additional", "meer"]


def test_the_end_of_a_pregnancy_is_coded_for_the_plan_too() -> None:
    way = one(mapped(earlier()), "pregnancy-end-way").resource
    assert way["code"]["coding"][-1]["system"] == "http://ooievaar.example/fhir/CodeSystem/plan"
    assert one(mapped(earlier()), "pregnancy-end").resource["code"]["coding"][0]["code"] == END_DATE[1]


def test_the_builders_of_the_simulator_say_what_they_are_asked() -> None:
    assert count(3)["valueQuantity"] == {"value": 3}
    assert coded("s", "c", "d")["valueCodeableConcept"]["coding"][0]["code"] == "c"
    assert HB[1] == "718-7"


def test_the_bsn_can_be_seen_without_parsing() -> None:
    assert MAPPING.peek_bsn(body_of(current())) == "999990019"
    assert MAPPING.peek_bsn(write_xml(current())) == "999990019"
    assert MAPPING.peek_bsn(b"\x00 nothing") is None
    two = body_of(current()) + body_of(current_pregnancy(SAMIRA, TODAY, 61, gravidity=1, parity=0))
    assert MAPPING.peek_bsn(two) is None


def test_a_transaction_bundle_is_recognised_and_other_things_are_not() -> None:
    assert MAPPING.recognises(body_of(current()))
    assert MAPPING.recognises(write_xml(current()))
    assert not MAPPING.recognises(b"MSH|^~\\&|HIX")
    assert not MAPPING.recognises(b'{"resourceType":"Bundle","type":"searchset"}')
