"""What a page of Epic becomes."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.contract import Mapped
from fhir_profiles import check
from fhir_profiles.errors import BirthCareError, Invalid, Refused, Unsupported
from fhir_profiles.identifiers import URA_SYSTEM, Bsn
from hub.mapper.finish import finish, identity_of, names_of

from .build import MAPPING, Json, body_of, facts, mapped, of, one, page, samira, stamped

SCT = "http://snomed.info/sct"


def faults(result: Mapped) -> list[str]:
    names = names_of("epic/1", "0" * 32, {"woman": "0" * 32}, {"woman": "woman"}, result.facts)
    made = [finish(fact, identity_of("epic/1", "0" * 32, fact), names) for fact in result.facts]
    return [f"{p.path}: {p.expected}" for resource in made for p in check.problems(resource)]


def leaf_paths(value: Any, path: str) -> set[str]:
    if isinstance(value, dict):
        return {p for key, below in value.items() for p in leaf_paths(below, f"{path}.{key}")}
    if isinstance(value, list):
        return {p for place, below in enumerate(value) for p in leaf_paths(below, f"{path}[{place}]")}
    return set() if value is None else {path}


def unexplained(tree: Json, result: Mapped) -> set[str]:
    taken = {at for fact in result.facts for at in fact.paths.values()} | {left.path for left in result.residue}
    below = [left.path for left in result.ignored]
    wholes = [left.path.partition(".resource") for left in result.refused]
    below += [head + dot if dot else head.split(".")[0] for head, dot, _ in wholes]
    rest = {p for p in leaf_paths(tree, tree["resourceType"]) if p not in taken and not p.endswith(".resourceType")}
    return {p for p in rest if not any(p == b or p.startswith((b + ".", b + "[")) for b in below)}


def test_the_hospital_s_story_leaves_no_residue_and_is_valid_r4() -> None:
    tree = page(*samira())
    result = mapped(tree)
    assert (result.residue, result.refused) == ((), ())
    assert faults(result) == []
    assert unexplained(tree, result) == set()


def test_the_pregnancy_is_the_dossier_and_knows_its_due_date_by_focus() -> None:
    (dossier,) = mapped(page(*samira())).dossiers
    assert (dossier.key, dossier.status, dossier.due, dossier.gravidity) == (("Condition", "eSamiraPregnancy"), "active", "2026-03-10", 1)


def test_the_woman_is_known_by_bsn_and_by_her_id() -> None:
    (woman,) = mapped(page(*samira())).people
    assert (woman.bsn, woman.key) == (Bsn("999990020"), ("Patient", "eSamira"))
    assert "999990020" not in json.dumps([f.resource for f in mapped(page(*samira())).facts])


def test_a_page_without_the_patient_still_says_whose_it_is() -> None:
    (woman,) = mapped(page(*samira()[:-1])).people
    assert (woman.bsn, woman.key) == (None, ("Patient", "eSamira"))


def test_identity_is_type_and_id_and_version_the_time_of_change() -> None:
    pressure = one(mapped(page(*samira())), "blood-pressure")
    assert (pressure.identity, pressure.version) == (("Observation", "eSamiraPressure"), "2026-01-05T09:00:00.000Z")


def test_the_parts_of_a_blood_pressure_keep_their_numbers_and_paths() -> None:
    pressure = one(mapped(page(*samira())), "blood-pressure")
    assert [c["valueQuantity"]["value"] for c in pressure.resource["component"]] == [122, 78]
    assert pressure.paths["component.0.valueQuantity.value"].endswith(".resource.component[0].valueQuantity.value")


def test_the_hospital_is_the_care_team_of_its_dossier() -> None:
    team = one(mapped(page(*samira())), "care-team").resource
    assert team["managingOrganization"][0]["identifier"] == {"system": URA_SYSTEM, "value": "00700003"}


@pytest.mark.parametrize("status", ["preliminary", "final", "amended", "corrected"])
def test_the_status_of_a_result_is_kept(status: str) -> None:
    all_of_her = samira()
    of(all_of_her, "eSamiraHb")["status"] = status
    found = one(mapped(page(*all_of_her)), "haemoglobin")
    assert (found.resource["status"], found.withdrawn) == (status, False)


def test_what_was_entered_in_error_is_taken_back() -> None:
    all_of_her = samira()
    of(all_of_her, "eSamiraHb").update(status="entered-in-error")
    of(all_of_her, "eSamiraHb").pop("valueQuantity")
    assert one(mapped(page(*all_of_her)), "haemoglobin").withdrawn


def test_the_newest_version_counts_when_a_page_holds_two() -> None:
    old = of(samira(), "eSamiraHb")
    new = stamped({**copy.deepcopy(old), "status": "corrected"}, "2", "2026-01-05T09:30:00.000+00:00")
    for pair in ((old, new), (new, old)):
        assert one(mapped(page(*pair)), "haemoglobin").resource["status"] == "corrected"


def test_one_resource_alone_is_taken_too() -> None:
    result = mapped(samira()[-1])
    assert [f.concept for f in result.facts] == ["patient"]
    assert one(result, "patient").paths["birthDate"] == "Patient.birthDate"
    assert unexplained(samira()[-1], result) == set()


def test_allergy_medication_encounter_and_problem_are_mapped() -> None:
    subject = {"reference": "Patient/eSamira"}
    clinical = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical", "code": "active"}]}
    drug = {"coding": [{"system": "http://www.whocc.no/atc", "code": "B03AA07", "display": "ferrosulfaat"}]}
    tree = page(
        stamped({"resourceType": "AllergyIntolerance", "id": "a", "clinicalStatus": clinical, "patient": subject,
                 "code": {"coding": [{"system": SCT, "code": "91936005", "display": "allergie voor penicilline"}]}}),
        stamped({"resourceType": "MedicationStatement", "id": "m", "status": "active", "subject": subject,
                 "medicationCodeableConcept": drug}),
        stamped({"resourceType": "MedicationRequest", "id": "r", "status": "active", "intent": "order", "subject": subject,
                 "contained": [{"resourceType": "Medication", "id": "1", "code": drug}], "medicationReference": {"reference": "#1"}}),
        stamped({"resourceType": "Encounter", "id": "e", "status": "finished", "subject": subject, "period": {"start": "2026-01-02"},
                 "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"}}),
        stamped({"resourceType": "Condition", "id": "c", "subject": subject, "encounter": {"reference": "Encounter/e"},
                 "clinicalStatus": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": "active"}]},
                 "code": {"coding": [{"system": SCT, "code": "195967001", "display": "astma"}]}}),
    )
    result = mapped(tree)
    assert sorted(f.concept for f in result.facts) == ["allergy", "encounter", "medication", "medication", "problem"]
    assert one(result, "problem").links["encounter"] == one(result, "encounter").local
    assert (result.residue, result.refused, faults(result)) == ((), (), [])
    assert unexplained(tree, result) == set()


def test_an_empty_page_is_ignored_by_name() -> None:
    result = mapped(page())
    assert (result.facts, result.people, result.refused) == ((), (), ())
    assert {left.why for left in result.ignored} == {"transport"}


def test_a_warning_of_the_server_beside_the_results_is_ignored_by_name() -> None:
    result = mapped(page(*samira(), {"resourceType": "OperationOutcome", "issue": [{"severity": "warning", "code": "processing"}]}))
    assert "search-outcome" in {left.why for left in result.ignored}


def test_the_bsn_can_be_seen_without_parsing() -> None:
    assert MAPPING.peek_bsn(body_of(page(*samira()))) == "999990020"
    assert MAPPING.peek_bsn(body_of(page(*samira()[:-1]))) is None


def test_a_page_is_recognised_and_a_transaction_is_not() -> None:
    assert MAPPING.recognises(body_of(page(*samira())))
    assert not MAPPING.recognises(b'{"resourceType": "Bundle", "type": "transaction"}')
    assert not MAPPING.recognises(b"<Bundle/>")


def swap(identity: str, **changes: Any) -> Callable[[list[Json]], Any]:
    def change(resources: list[Json]) -> None:
        found = of(resources, identity)
        for name, value in changes.items():
            found.pop(name, None)
            if value is not None:
                found[name] = value
    return change


OTHER = stamped({"resourceType": "Patient", "id": "eOther", "gender": "female", "birthDate": "1991-01-01"})
WHOLE: list[tuple[str, Callable[[list[Json]], Any], type[Refused], str]] = [
    ("two women", lambda r: r.append(OTHER), Invalid, "two-persons"),
    ("two subjects", swap("eSamiraHb", subject={"reference": "Patient/eOther"}), Invalid, "two-persons"),
    ("a failed eleven-test", swap("eSamira", identifier=[{"system": "http://fhir.nl/fhir/NamingSystem/bsn", "value": "999990018"}]),
     Invalid, "bsn-check"),
    ("two BSNs", swap("eSamira", identifier=[{"system": "http://fhir.nl/fhir/NamingSystem/bsn",
                                              "value": v} for v in ("999990020", "999990032")]), Invalid,
     "two-persons"),
    ("a newborn", swap("eSamira", birthDate="2026-01-01"), Invalid, "not-a-client"),
    ("a man", swap("eSamira", gender="male"), Invalid, "not-a-client"),
    ("STU3: a context", swap("eSamiraHb", context={"reference": "EpisodeOfCare/1"}), Unsupported, "fhir-version"),
    ("STU3: a clinical status as a code", swap("eSamiraPregnancy", clinicalStatus="active"), Unsupported, "fhir-version"),
    ("R5: a list of classes", lambda r: r.append(stamped({"resourceType": "Encounter", "id": "e", "class": []})), Unsupported,
     "fhir-version"),
]


@pytest.mark.parametrize(("change", "kind", "code"), [case[1:] for case in WHOLE], ids=[case[0] for case in WHOLE])
def test_a_page_that_cannot_be_taken_is_refused_as_a_whole(change: Callable[[list[Json]], Any], kind: type[Refused], code: str) -> None:
    resources = samira()
    change(resources)
    with pytest.raises(kind) as refusal:
        mapped(page(*resources))
    assert refusal.value.code == code


@pytest.mark.parametrize(("body", "code"), [
    (b"", "json-syntax"), (b'{"resourceType":"Bundle","type":"searchset","type":"x"}', "json-duplicate"), (b"[]", "not-a-resource"),
    (b'{"resourceType":"Bundle","type":"history","entry":[]}', "bundle-type"), (b'{"resourceType":"Bundle","type":"searchset","entry":3}',
                                                                                "bundle-shape"),
    (b'{"resourceType":"Bundle","type":"searchset","entry":[{}]}', "bundle-shape"),
])
def test_bytes_that_are_no_page_are_refused(body: bytes, code: str) -> None:
    with pytest.raises(Refused) as refusal:
        MAPPING.to_fhir(body, facts())
    assert refusal.value.code == code


IMPOSSIBLE = {"code": {"coding": [{"system": "http://loinc.org", "code": "8480-6"}]}, "valueQuantity": {"value": 1220, "code": "mm[Hg]"}}
PARTS: list[tuple[str, Callable[[list[Json]], Any], str]] = [
    ("an unknown code", swap("eSamiraHb", code={"coding": [{"system": "http://loinc.org", "code": "99999-9"}]}), "code-unknown"),
    ("a swapped code", swap("eSamiraHb", code={"coding": [{"system": "http://loinc.org", "code": "161714006"}]}), "code-swapped"),
    ("a swapped condition", swap("eSamiraTwins", code={"coding": [{"system": "http://loinc.org", "code": "16356006"}]}), "code-swapped"),
    ("grams under a code of moles", swap("eSamiraHb", valueQuantity={"value": 6.8, "code": "g/dL"}), "unit-contradicts-code"),
    ("an impossible pressure", swap("eSamiraPressure", component=[IMPOSSIBLE]), "value-impossible"),
    ("a pressure without parts", swap("eSamiraPressure", component=None, valueString="122/78"), "value-missing"),
    ("a due date in a year's time", swap("eSamiraDue", valueDateTime="2027-03-10"), "date-impossible"),
    ("a date that does not exist", swap("eSamiraDue", effectiveDateTime="2025-02-30"), "date-impossible"),
    ("no status", swap("eSamiraHb", status=None), "status-unknown"),
    ("no id", swap("eSamiraHb", id=None), "id-missing"),
    ("no subject", swap("eSamiraHb", subject=None), "person-unknown"),
    ("no code", swap("eSamiraTwins", code=None), "code-missing"),
    ("a modifier", swap("eSamiraHb", modifierExtension=[{"url": "x"}]), "modifier"),
    ("a type that is not taken", lambda r: r.append(stamped({"resourceType": "Basic", "id": "b",
                                                             "subject": {"reference": "Patient/eSamira"}})),
     "resource-unknown"),
]


@pytest.mark.parametrize(("change", "code"), [case[1:] for case in PARTS], ids=[case[0] for case in PARTS])
def test_a_part_that_cannot_be_true_waits_and_the_rest_goes_on(change: Callable[[list[Json]], Any], code: str) -> None:
    resources = samira()
    change(resources)
    tree = page(*resources)
    result = mapped(tree)
    assert [left.code for left in result.refused] == [code]
    assert len(result.facts) >= len(samira())
    assert unexplained(tree, result) == set()


BASE = page(*samira())
JUNK = st.recursive(st.none() | st.booleans() | st.integers(-9, 9999) | st.text(max_size=6),
                    lambda below: st.lists(below, max_size=3) | st.dictionaries(
    st.sampled_from(["reference", "coding", "code", "system", "value", "extension", "url", "x", "start"]), below, max_size=3), max_leaves=6)


@settings(max_examples=120, deadline=None)
@given(seed=st.integers(0, 10**9), junk=JUNK)
def test_a_page_with_anything_put_anywhere_is_mapped_or_refused_and_always_accounted_for(seed: int, junk: Any) -> None:
    tree, choose = copy.deepcopy(BASE), random.Random(seed)
    here: Any = tree
    while True:
        step = choose.choice(list(here) if isinstance(here, dict) else range(len(here)))
        if not (isinstance(here[step], (dict, list)) and here[step]) or choose.random() < 0.15:
            break
        here = here[step]
    here[step] = junk
    try:
        result = mapped(tree)
    except BirthCareError:
        return
    assert unexplained(tree, result) == set()
    assert result == mapped(tree)
