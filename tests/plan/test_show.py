"""What the plan shows: the right value by a written rule, conflicts side by side, corrections with what they replaced, honest phases."""

from __future__ import annotations

import random
from datetime import date
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fhir_profiles.codes import BLOOD_GROUPS, CONCEPTS, RHESUS_D
from hub.plan import state
from hub.plan.plan import Plan
from hub.plan.rules import RULES
from hub.plan.sections import SECTIONS
from hub.plan.show import show
from tests.plan.cases import EARLIER, HIX, NAMES, NOOR, NOW, PRACTICE, TODAY, coded, dossier, encounter, event, line, observed, texts

DUE = "2026-10-21"
GROUP_A, ZERO, POSITIVE = (coded(c.code, c.display) for c in (BLOOD_GROUPS["A"], BLOOD_GROUPS["O"], RHESUS_D["pos"]))


def plan_of(*events: Any, episode: str = NOW, today: date = TODAY, closed: dict[str, str] | None = None) -> Plan:
    """The plan of these events: folded to states as the projector does, then shown."""
    sections: dict[tuple[str, str], state.Lines] = {}
    for one in events:
        if one.episode in (episode, ""):
            place = state.place_of(one)
            lines = sections.setdefault((one.episode, one.section), {})
            state.add(lines, place, state.line_of(place, one, SECTIONS[one.section].item(one)))
    return show(NOOR, episode, {key: state.encode(lines) for key, lines in sections.items()}, today, NAMES, closed or {})


def due(day: str = DUE, **more: Any) -> Any:
    return observed("due-date", day, **more)


# --- values ----------------------------------------------------------------------------------------------------------------------


def test_a_value_is_shown_in_dutch_with_source_time_and_path() -> None:
    sent = observed("haemoglobin", 6.6, "mmol/L", source=HIX, paths={"valueQuantity.value": "OBX[1]-5"})
    shown = line(plan_of(sent), "haemoglobin").shown
    assert shown is not None
    assert (shown.text, shown.number, shown.unit) == ("6,6\u00a0mmol/L", 6.6, "mmol/L")
    assert (shown.source, shown.effective, shown.path, shown.origin, shown.mapping) == (HIX, "2026-04-30", "OBX[1]-5", "0-1", "test@1")


def test_a_blood_pressure_is_two_numbers() -> None:
    parts = [{"code": {"coding": [{"system": "http://loinc.org", "code": code}]}, "valueQuantity": {"value": value, "code": "mm[Hg]"}}
             for code, value in (("8480-6", 118), ("8462-4", 76))]
    sent = event("blood-pressure", {"resourceType": "Observation", "status": "final", "component": parts})
    shown = line(plan_of(sent), "blood-pressure").shown
    assert shown is not None
    assert shown.text == "118/76\u00a0mmHg"
    assert shown.parts == (("systolic", 118.0), ("diastolic", 76.0))


def test_a_gap_with_a_reason_says_so() -> None:
    reason = {"coding": [{"code": "not-performed", "display": "niet bepaald"}]}
    absent = {"resourceType": "Observation", "status": "final", "dataAbsentReason": reason}
    assert line(plan_of(event("haemoglobin", absent)), "haemoglobin").shown.text == "onbekend (niet bepaald)"  # type: ignore[union-attr]  # shown


@pytest.mark.parametrize(("status", "shown"), [
    ("final", "final"), ("preliminary", "preliminary"), ("registered", "preliminary"), ("amended", "corrected"), ("corrected", "corrected"),
    ("unknown", "unknown"),
])
def test_a_value_has_the_status_that_its_source_gave(status: str, shown: str) -> None:
    found = line(plan_of(observed("haemoglobin", 6.6, "mmol/L", status=status)), "haemoglobin").shown
    assert found is not None and found.status == shown


def test_a_final_result_after_a_preliminary_one_corrects_nothing_and_keeps_it() -> None:
    first = observed("haemoglobin", 6.4, "mmol/L", status="preliminary")
    found = line(plan_of(first, observed("haemoglobin", 6.6, "mmol/L", version="2026-05-02T00:00:00Z")), "haemoglobin").shown
    assert found is not None
    assert (found.status, [(v.number, v.status) for v in found.earlier]) == ("final", [(6.4, "preliminary")])


def test_a_result_that_could_not_be_had_takes_no_place_of_one_that_there_is() -> None:
    reason = {"coding": [{"code": "not-performed"}]}
    none = event("haemoglobin", {"resourceType": "Observation", "status": "cancelled", "dataAbsentReason": reason}, effective="2026-05-20")
    alone = line(plan_of(none), "haemoglobin").shown
    assert alone is not None and (alone.status, alone.text) == ("cancelled", "onbekend (not-performed)")
    beside = line(plan_of(none, observed("haemoglobin", 6.6, "mmol/L")), "haemoglobin")
    assert beside.shown is not None and beside.shown.number == 6.6
    assert [v.status for v in beside.history] == ["cancelled", "final"]


def test_the_newest_measurement_by_clinical_time_is_shown_with_all_before_it() -> None:
    found = line(plan_of(
        observed("haemoglobin", 7.0, "mmol/L", effective="2026-05-20T09:00:00+02:00"),
        observed("haemoglobin", 6.1, "mmol/L", effective="2026-05-20T08:00:00Z", source=HIX),
        observed("haemoglobin", 7.4, "mmol/L", effective="2026-03"),
    ), "haemoglobin")
    assert found.shown is not None
    assert found.shown.number == 6.1
    assert [value.number for value in found.history] == [6.1, 7.0, 7.4]
    assert not found.conflict


def test_a_correction_is_shown_with_what_it_replaced() -> None:
    shown = line(plan_of(
        observed("haemoglobin", 6.4, "mmol/L"),
        observed("haemoglobin", 6.8, "mmol/L", status="corrected", version="2026-05-02T00:00:00Z"),
    ), "haemoglobin").shown
    assert shown is not None
    assert (shown.text, shown.status, texts(shown.earlier)) == ("6,8\u00a0mmol/L", "corrected", ["6,4\u00a0mmol/L"])


def test_the_same_value_sent_again_in_a_newer_version_is_no_correction() -> None:
    shown = line(plan_of(observed("haemoglobin", 6.4, "mmol/L"),
                         observed("haemoglobin", 6.4, "mmol/L", version="2026-05-02T00:00:00Z", recorded="2026-05-02T00:00:00Z")),
                 "haemoglobin").shown
    assert shown is not None
    assert (shown.status, shown.earlier) == ("final", ())


def test_a_withdrawn_value_is_not_shown_but_stays_visible_as_withdrawn() -> None:
    found = line(plan_of(
        observed("haemoglobin", 6.4, "mmol/L", effective="2026-04-01"),
        observed("haemoglobin", 4.4, "mmol/L"),
        observed("haemoglobin", None, version="2026-05-02T00:00:00Z", withdrawn=True),
    ), "haemoglobin")
    assert found.shown is not None
    assert found.shown.number == 6.4
    assert [(value.text, value.status) for value in found.history] == [("4,4\u00a0mmol/L", "withdrawn"), ("6,4\u00a0mmol/L", "final")]


def test_a_value_entered_in_error_is_withdrawn_whatever_the_kind_of_event() -> None:
    found = line(plan_of(observed("haemoglobin", 6.4, "mmol/L", status="entered-in-error")), "haemoglobin")
    assert found.shown is None
    assert found.history[0].status == "withdrawn"


def test_a_value_that_came_a_day_after_newer_ones_is_marked_late() -> None:
    history = line(plan_of(
        observed("haemoglobin", 7.0, "mmol/L", effective="2026-05-20", recorded="2026-05-20T10:00:00Z"),
        observed("haemoglobin", 6.0, "mmol/L", effective="2026-05-10", recorded="2026-05-22T10:00:00Z"),
        observed("haemoglobin", 5.0, "mmol/L", effective="2026-05-01", recorded="2026-05-20T12:00:00Z"),
    ), "haemoglobin").history
    assert [(value.number, value.late) for value in history] == [(7.0, False), (6.0, True), (5.0, False)]


# --- conflicts -------------------------------------------------------------------------------------------------------------------


def test_a_definitive_due_date_goes_before_a_newer_estimate_and_both_have_a_voice() -> None:
    plan = plan_of(observed("due-date-definitive", "2026-10-21", effective="2026-04-01"),
                   due("2026-10-24", source=HIX, effective="2026-05-20"))
    found = line(plan, "due-date")
    assert plan.due == "2026-10-21"
    assert found.shown is not None
    assert (found.shown.text, found.shown.concept, found.rule) == ("21-10-2026", "due-date-definitive", "definitive-over-estimate")
    assert [(v.source, v.iso) for v in found.voices] == [(HIX, "2026-10-24"), (PRACTICE, "2026-10-21")]


def test_one_source_that_dates_anew_does_not_disagree_with_itself() -> None:
    found = line(plan_of(due("2026-10-24", effective="2026-03-01"), due("2026-10-21", effective="2026-04-01")), "due-date")
    assert not found.conflict
    assert found.shown is not None
    assert found.shown.iso == "2026-10-21"


def test_two_blood_groups_are_never_chosen_between() -> None:
    elsewhere = observed("blood-group", GROUP_A, source=HIX, effective="2026-05-20")
    found = line(plan_of(observed("blood-group", ZERO), elsewhere), "blood-group")
    assert found.shown is None
    assert found.rule == "never-choose"
    assert sorted(texts(found.voices)) == ["A", "O"]


def test_one_laboratory_that_gives_two_blood_groups_is_not_believed_either() -> None:
    found = line(plan_of(observed("blood-group", ZERO), observed("blood-group", GROUP_A, effective="2026-05-20")), "blood-group")
    assert found.shown is None
    assert found.conflict


def test_a_blood_group_that_sources_agree_on_is_shown() -> None:
    plan = plan_of(observed("blood-group", ZERO), observed("blood-group", ZERO, source=HIX, effective="2026-05-20"),
                   observed("rhesus-d", POSITIVE))
    assert (line(plan, "blood-group").shown.text, line(plan, "rhesus-d").shown.text) == ("O", "Rh D positief")  # type: ignore[union-attr]  # shown
    assert not line(plan, "blood-group").conflict


def test_a_corrected_blood_group_no_longer_disagrees() -> None:
    found = line(plan_of(observed("blood-group", ZERO), observed("blood-group", GROUP_A, source=HIX),
                         observed("blood-group", ZERO, source=HIX, version="2026-05-02T00:00:00Z")), "blood-group")
    assert not found.conflict
    assert found.shown is not None
    assert found.shown.code == BLOOD_GROUPS["O"].code


def test_counts_that_differ_stand_side_by_side_and_the_newest_is_shown() -> None:
    found = line(plan_of(observed("gravidity", 2), observed("gravidity", 3, source=HIX, effective="2026-05-20")), "gravidity")
    assert found.shown is not None
    assert found.shown.text == "3"
    assert texts(found.voices) == ["3", "2"]


def test_measurements_of_different_moments_are_no_conflict_and_of_one_moment_are() -> None:
    at = "2026-05-20T09:00:00+02:00"
    one = observed("body-weight", 70, "kg", effective=at)
    same, next_day = (observed("body-weight", 80, "kg", source=HIX, effective=f"2026-05-{day}T07:00:00Z") for day in (20, 21))
    assert not line(plan_of(one, next_day), "body-weight").conflict
    assert line(plan_of(one, same), "body-weight").conflict


def test_every_rule_is_about_a_known_concept_and_gives_its_reason() -> None:
    assert set(RULES) <= {concept.name for concept in CONCEPTS}
    assert all(rule.reason_nl.endswith(".") and rule.owner for rule in RULES.values())


@settings(max_examples=30, deadline=None)
@given(st.randoms())
def test_the_plan_does_not_depend_on_the_order_of_arrival(chance: random.Random) -> None:
    events = [due(), due("2026-10-24", source=HIX), observed("blood-group", ZERO), observed("blood-group", GROUP_A, source=HIX),
              dossier(manager="Marit"), dossier(source=HIX, ura="00700002", manager="Anna"), encounter(),
              observed("fetal-heart-rate", 140, "/min", about="b" * 32),
              observed("fetal-heart-rate", 150, "/min", about="a" * 32), observed("body-height", 170, "cm", episode="")]
    assert plan_of(*chance.sample(events, len(events))) == plan_of(*events)


# --- children --------------------------------------------------------------------------------------------------------------------


def test_twins_have_a_line_each_and_are_never_joined() -> None:
    first, second = "a" * 32, "b" * 32
    plan = plan_of(observed("fetal-heart-rate", 140, "/min", about=second, effective="2026-04-01"),
                   observed("fetal-heart-rate", 150, "/min", about=first, effective="2026-04-02"),
                   observed("fetal-heart-rate", 155, "/min", about=first, effective="2026-05-02"))
    assert [(x.about, x.title_nl) for x in plan.sections["measurements"].lines] == [
        (second, "Foetale hartfrequentie – kind 1"), (first, "Foetale hartfrequentie – kind 2"),
    ]
    assert texts(line(plan, "fetal-heart-rate", first).history) == ["155\u00a0/min", "150\u00a0/min"]


# --- phases ----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("phase", "events", "today"), [
    ("unknown", (), TODAY),
    ("pregnant", (due(),), TODAY),
    ("pregnant", (dossier(),), TODAY),
    ("unknown", (due(),), date(2026, 11, 12)),
    ("ended", (due(), observed("pregnancy-end", "2026-10-19")), date(2026, 10, 20)),
    ("ended", (due(), dossier(status="finished", end="2026-11-20")), date(2026, 11, 21)),
    ("loss", (due(), observed("pregnancy-end", "2026-05-01")), TODAY),
    ("loss", (due(), dossier(status="finished", end="2026-05-01")), TODAY),
    ("loss", (due(), observed("pregnancy-end-way", coded("21", "Miskraam - Spontaan", "urn:oid:2.16.840.1.113883.2.4.4.13.46"))), TODAY),
    ("ended", (due(), observed("pregnancy-end-way", coded("1", "Partus", "urn:oid:2.16.840.1.113883.2.4.4.13.46"))), TODAY),
    ("pregnant", (due(), dossier(status="finished", end="2026-05-01"), dossier(source=HIX, ura="00700002")), TODAY),
    ("ended", (due(), event("birth", {"resourceType": "Procedure", "status": "completed"}, effective="2026-10-01")), TODAY),
    ("pregnant", (due(), observed("pregnancy-end", "2026-05-01"),
                  observed("pregnancy-end", "2026-05-01", version="2026-05-09T00:00:00Z", withdrawn=True)), TODAY),
])
def test_the_phase_of_a_pregnancy(phase: str, events: tuple[Any, ...], today: date) -> None:
    assert plan_of(*events, today=today).phase == phase


# --- what belongs ----------------------------------------------------------------------------------------------------------------


def test_an_earlier_pregnancy_is_kept_apart() -> None:
    events = (due(), observed("haemoglobin", 6.6, "mmol/L"),
              due("2023-10-01", episode=EARLIER, effective="2023-03-01"), observed("haemoglobin", 5.5, "mmol/L", episode=EARLIER))
    assert texts(line(plan_of(*events), "haemoglobin").history) == ["6,6\u00a0mmol/L"]
    assert plan_of(*events, episode=EARLIER).due == "2023-10-01"


def test_facts_of_no_pregnancy_are_taken_in_where_they_fall_within_it() -> None:
    inside, before, after = (observed("haemoglobin", n, "mmol/L", episode="", effective=day)
                             for n, day in ((6.6, "2026-05-01"), (5.5, "2025-05-01"), (7.7, "2027-05-01")))
    plan = plan_of(due(), inside, before, after, observed("blood-group", ZERO, episode="", effective="2019-01-01"))
    assert texts(line(plan, "haemoglobin").history) == ["6,6\u00a0mmol/L"]
    assert line(plan, "blood-group").shown is not None


def test_after_a_loss_later_facts_belong_to_no_pregnancy_of_before() -> None:
    later = observed("haemoglobin", 6.6, "mmol/L", episode="", effective="2026-05-10")
    assert plan_of(due(), observed("pregnancy-end", "2026-05-01"), later).sections["measurements"].lines == ()
    assert plan_of(due(), later).sections["measurements"].lines != ()


def test_a_closed_section_is_not_looked_at_and_names_its_reason() -> None:
    plan = plan_of(due(), observed("haemoglobin", 6.6, "mmol/L"), closed={"measurements": "consent-no"})
    assert "measurements" not in plan.sections
    assert plan.closed == {"measurements": "consent-no"}
    assert [view.number for view in plan.sections.values()] == ["1", "2", "4", "5"]


def test_each_allergy_is_a_line_and_two_sources_that_say_the_same_share_one() -> None:
    def allergy(code: str, name: str, **more: Any) -> Any:
        resource = {"resourceType": "AllergyIntolerance", "clinicalStatus": {"coding": [{"code": more.pop("state", "active")}]}}
        return event("allergy", {**resource, "code": coded(code, name)}, identity=code, **more)

    plan = plan_of(allergy("1", "Penicilline"), allergy("1", "Penicilline", source=HIX, episode=""),
                   allergy("2", "Latex", state="inactive"))
    lines = plan.sections["history"].lines
    assert [(x.shown.text if x.shown else "", len(x.history)) for x in lines] == [("Penicilline", 2), ("Latex (niet meer actief)", 1)]


# --- people ----------------------------------------------------------------------------------------------------------------------


def test_the_woman_is_as_the_newest_source_says_and_never_her_child() -> None:
    def patient(name: str, **more: Any) -> Any:
        return event("patient", {"resourceType": "Patient", "name": [{"given": [name], "family": "Verhoeven"}], "birthDate": "1994-03-12"},
                     identity="self", episode="", **more)

    plan = plan_of(patient("N."), patient("Noor", source=HIX, recorded="2026-05-09T00:00:00Z"),
                   patient("Baby", about="c" * 32, recorded="2026-05-10T00:00:00Z"))
    assert (plan.woman.name, plan.woman.given, plan.woman.birth_date, plan.woman.source) == ("Noor Verhoeven", "Noor", "1994-03-12", HIX)


def test_the_team_has_one_coordinator_who_was_named_last_and_organisations_with_their_number() -> None:
    plan = plan_of(dossier(manager="Marit Jansen"), encounter(),
                   dossier(source=HIX, ura="00700002", start="2026-04-01", manager="Anna de Wit"))
    assert plan.coordinator is not None
    assert (plan.coordinator.name, plan.coordinator.organisation, plan.coordinator.role_nl) == (
        "Anna de Wit", "Ziekenhuis Rijnoever", "Coördinerend zorgverlener")
    assert {(c.name, c.ura) for c in plan.team if c.name in NAMES.values()} == {(name, source[-8:]) for source, name in NAMES.items()}
    assert [c.name for c in plan.team if c.coordinator] == ["Anna de Wit"]
    assert [d.organisation for d in plan.dossiers] == [NAMES[PRACTICE], NAMES[HIX]]


def test_references_in_a_care_team_are_followed_to_people_and_their_organisation() -> None:
    resources = (
        event("practitioner", {"resourceType": "Practitioner", "id": "p1", "name": [{"text": "Marit Jansen"}],
                               "telecom": [{"system": "phone", "value": "030-1234567"}]}, identity="p1", episode=""),
        event("organization", {"resourceType": "Organization", "id": "o1", "name": "De Lepelaar",
                               "identifier": [{"system": "http://fhir.nl/fhir/NamingSystem/ura", "value": "00700001"}],
                               "type": [coded("G3", "Verloskundigenpraktijk")]}, identity="o1", episode=""),
        event("practitioner-role", {"resourceType": "PractitionerRole", "id": "r1", "practitioner": {"reference": "Practitioner/p1"},
                                    "organization": {"reference": "Organization/o1"}, "code": [coded("01.046", "Verloskundige")]},
              identity="r1", episode=""),
        event("care-team", {"resourceType": "CareTeam", "status": "active", "managingOrganization": [{"reference": "Organization/o1"}],
                            "participant": [{"member": {"reference": "PractitionerRole/r1"}, "period": {"start": "2026-03-01"}}]},
              identity="team"),
    )
    team = plan_of(*resources).team
    assert [(c.name, c.role_nl, c.organisation, c.ura, c.phone) for c in team] == [
        ("De Lepelaar", "Verloskundigenpraktijk", "De Lepelaar", "00700001", ""),
        ("Marit Jansen", "Verloskundige", "De Lepelaar", "00700001", "030-1234567"),
    ]


def test_an_empty_state_gives_an_empty_plan() -> None:
    plan = plan_of()
    assert (plan.phase, plan.due, plan.coordinator, plan.updated) == ("unknown", "", None, "")
    assert all(view.lines == () for view in plan.sections.values())
