"""Decisions: closed unless a rule opens, a forbid beats every permit, and a fault closes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import product
from pathlib import Path

import cedarpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from authz.ask import CAREGIVERS, Ask, Asker, Known, Purpose, Role
from authz.decide import decide
from authz.engine import POLICIES, SCHEMA_FILE, PolicySet, load_policies
from authz.reasons import REASONS, said_to_asker, said_to_client
from authz.roles import ACCESS_LOG, CONSENTS, ROLES, SECTIONS_OF_THE_DOOR
from fhir_profiles.codes import SECTIONS
from fhir_profiles.errors import Invalid
from tests.authz.cast import BY_ROLE, NOOR, SAMIRA, anna, ask, joke, marit, noor, ravi, samira, tess

YES = Known("dossier", "yes", "event-1", "evidence-1")
POLICY_SET = load_policies()
FILES = {path.stem: path.read_text() for path in POLICIES.glob("*.cedar")}
SCHEMA = (POLICIES / SCHEMA_FILE).read_text()
PERMITS = sorted(name for name, text in FILES.items() if "\npermit (" in text)
FORBIDS = sorted(set(FILES) - set(PERMITS))

askers = st.builds(
    Asker, id=st.just("someone"), name=st.just(""), role=st.sampled_from(Role), ura=st.sampled_from(["", "00700001"]),
    subject=st.sampled_from(["", NOOR, SAMIRA]), assurance=st.sampled_from(["low", "substantial", "high", "?"]))
asks = st.builds(
    Ask, asker=askers, subject=st.sampled_from([NOOR, SAMIRA, ""]), purpose=st.sampled_from(Purpose),
    sections=st.lists(st.sampled_from([*SECTIONS_OF_THE_DOOR, "no-such-section"]), unique=True, max_size=7).map(tuple),
    action=st.sampled_from(["read", "search", "export"]))
knowns = st.builds(Known, relation=st.sampled_from(["none", "dossier", "encounter", None, "?"]),
                   consent=st.sampled_from(["yes", "no", "unknown", None, "?"]))


def release(names: list[str]) -> PolicySet:
    return PolicySet({name: FILES[name] for name in names}, SCHEMA)


@pytest.mark.parametrize(("role", "section"), list(product(Role, SECTIONS_OF_THE_DOOR)))
def test_the_table_and_the_policies_agree_in_every_cell(role: Role, section: str) -> None:
    known = YES if role in CAREGIVERS else Known("none", "unknown")

    decision = decide(ask(BY_ROLE[role], sections=(section,)), known, POLICY_SET)

    assert (section in decision.allowed) is ROLES[role][section].opens
    assert ROLES[role][section].why_nl


def test_the_table_opens_what_its_source_says() -> None:
    opens = {role: {section for section, cell in row.items() if cell.opens} for role, row in ROLES.items()}

    assert opens == {
        Role.CLIENT: {*SECTIONS, ACCESS_LOG, CONSENTS}, Role.MIDWIFE: set(SECTIONS), Role.GYNAECOLOGIST: set(SECTIONS),
        Role.MATERNITY_NURSE: {"front", "care-team", "pregnancy"}, Role.AUDITOR: {ACCESS_LOG}, Role.ENGINEER: set(), Role.SYSTEM: set(),
    }


@given(asks, knowns)
def test_without_permits_nothing_opens(question: Ask, known: Known) -> None:
    assert not decide(question, known, NO_PERMITS).allowed


NO_PERMITS = release(FORBIDS)
FEWER = {name: release([other for other in FILES if other != name]) for name in PERMITS}
MORE = PolicySet({**FILES, "99-front-is-shut": (
    '@id("99-front-is-shut") @reason("no-consent") @nl("Proef.")\nforbid (principal, action, resource == Section::"front");')}, SCHEMA)


@given(asks, knowns, st.sampled_from(PERMITS))
def test_taking_a_permit_away_never_opens_anything(question: Ask, known: Known, gone: str) -> None:
    assert decide(question, known, FEWER[gone]).allowed <= decide(question, known, POLICY_SET).allowed


@given(asks, knowns)
def test_adding_a_forbid_only_shuts_what_it_names(question: Ask, known: Known) -> None:
    assert decide(question, known, MORE).allowed == decide(question, known, POLICY_SET).allowed - {"front"}


@given(asks, knowns)
def test_every_decision_has_a_known_reason_for_every_section_and_names_its_release(question: Ask, known: Known) -> None:
    decision = decide(question, known, POLICY_SET)

    assert set(decision.reasons) == set(question.sections)
    assert all(REASONS[code].opens is (section in decision.allowed) for section, code in decision.reasons.items())
    assert decision.release == POLICY_SET.release
    assert set(decision.policies) <= set(FILES)


@given(asks, knowns)
def test_a_caregiver_needs_relation_and_an_explicit_yes_and_a_good_login(question: Ask, known: Known) -> None:
    decision = decide(question, known, POLICY_SET)

    if decision.allowed and question.asker.role in CAREGIVERS:
        assert known.relation in ("dossier", "encounter") and known.consent == "yes" and decision.controls == "TTTF"
        assert question.asker.assurance in ("substantial", "high") and question.purpose is Purpose.TREATMENT
    if decision.allowed and question.asker.role is Role.CLIENT:
        assert question.asker.subject == question.subject != ""


@pytest.mark.parametrize("without", FORBIDS)
def test_the_permits_alone_ask_for_relation_and_consent_too(without: str) -> None:
    """Two locks: a forbid that gets lost does not open the door."""
    fewer = release([name for name in FILES if name != without])

    for relation, consent in product(("none", "dossier"), ("no", "unknown")):
        assert not decide(ask(marit), Known(relation, consent), fewer).allowed
    assert not decide(ask(marit), Known("none", "yes"), fewer).allowed
    assert not decide(ask(samira), Known("none", "unknown"), fewer).allowed


@pytest.mark.parametrize(("question", "known", "reason"), [
    (ask(noor), Known("none", "unknown"), "own-plan"),
    (ask(marit), YES, "care-relation"),
    (ask(anna), Known("encounter", "yes"), "care-relation"),
    (ask(tess, sections=(ACCESS_LOG,)), Known("none", "unknown"), "audit-trail"),
    (ask(joke), Known("none", "unknown"), "no-relation"),
    (ask(joke, sections=("history",)), YES, "role-has-no-section"),
    (ask(marit), Known("dossier", "no"), "no-consent"),
    (ask(marit), Known("dossier", "unknown"), "consent-unknown"),
    (ask(replace(marit, assurance="low")), YES, "assurance-low"),
    (ask(marit, purpose=Purpose.AUDIT), YES, "purpose"),
    (ask(samira), Known("none", "unknown"), "not-own-plan"),
    (ask(replace(noor, subject=""), subject=""), Known("none", "unknown"), "not-own-plan"),
    (ask(tess), Known("none", "unknown"), "trail-only"),
    (ask(ravi), Known("none", "unknown"), "role-has-no-section"),
    (ask(marit, sections=("no-such-section",)), YES, "role-has-no-section"),
    (ask(marit, sections=()), YES, "nothing-asked"),
    (ask(marit, action="delete"), YES, "engine-error"),
    (ask(marit), Known(None, "yes"), "facts-unknown"),
    (ask(marit), Known("dossier", None), "facts-unknown"),
    (ask(noor), Known(None, None), "facts-unknown"),
])
def test_the_reason_says_what_decided(question: Ask, known: Known, reason: str) -> None:
    decision = decide(question, known, POLICY_SET)

    assert decision.reason == reason
    assert bool(decision.allowed) is REASONS[reason].opens


def test_a_question_can_open_in_part() -> None:
    decision = decide(ask(joke), YES, POLICY_SET)

    assert decision.allowed == {"front", "care-team", "pregnancy"}
    assert decision.reasons["measurements"] == decision.reasons["history"] == "role-has-no-section"
    assert decision.reason == "care-relation"


@pytest.mark.parametrize("fault", [
    lambda *_: (_ for _ in ()).throw(RuntimeError("engine down")),
    lambda *_: (_ for _ in ()).throw(ValueError("bad request")),
    lambda requests, *_: [],
    lambda requests, *_: [cedarpy.AuthzResult({"decision": "NoDecision"}) for _ in requests],
    lambda requests, *_: [cedarpy.AuthzResult({"decision": "Allow", "diagnostics": {
        "reason": ["p"], "errors": ["a forbid was skipped"], "id_annotations_by_reason": {"p": "20-midwife"}}}) for _ in requests],
    lambda requests, *_: [cedarpy.AuthzResult({"decision": "Allow", "diagnostics": {
        "reason": ["p"], "errors": [], "id_annotations_by_reason": {"p": "no-such-rule"}}}) for _ in requests],
    lambda requests, *_: [cedarpy.AuthzResult({"decision": "Perhaps"}) for _ in requests],
])
def test_every_fault_of_the_engine_closes(fault: Callable[..., object], monkeypatch: pytest.MonkeyPatch) -> None:
    policies = load_policies()
    monkeypatch.setattr(cedarpy, "is_authorized_batch", fault)

    decision = decide(ask(marit), YES, policies)

    assert not decision.allowed and set(decision.reasons.values()) == {"engine-error"} and decision.controls[0] == "F"

    monkeypatch.undo()
    assert decide(ask(marit), YES, policies).allowed, "a fault is not remembered"


def test_a_forbid_that_meets_a_missing_fact_closes_and_is_not_skipped() -> None:
    """The trap: Cedar skips a forbid that errors, and would answer Allow."""
    schema = SCHEMA.replace("consent: String,", "consent: String,\n  extra?: String,")
    trap = '@id("99-trap") @reason("no-consent") @nl("Proef.")\nforbid (principal, action, resource) when { context.extra == "x" };'
    with pytest.raises(Invalid):  # the schema check finds it before it is ever used
        PolicySet({**FILES, "99-trap": trap}, schema)

    policies = PolicySet({**FILES, "99-overflow": (
        '@id("99-overflow") @reason("no-consent") @nl("Proef.")\n'
        'forbid (principal, action, resource) when { 9223372036854775807 + 1 == 0 };')}, SCHEMA)
    assert decide(ask(marit), YES, policies).reason == "engine-error"


def test_outcomes_are_remembered_by_facts_and_never_by_person() -> None:
    policies = load_policies()
    for n in range(50):
        decide(ask(replace(marit, id=f"person-{n}"), subject=f"{n:032x}"), YES, policies)
    decide(ask(marit), Known("dossier", "no"), policies)

    assert policies.outcome.cache_info().misses == 2  # type: ignore[attr-defined]  # an lru_cache behind a plain callable type


def test_a_caller_cannot_change_what_is_remembered() -> None:
    decide(ask(marit, sections=("history",)), Known("none", "no"), POLICY_SET).reasons["history"] = "care-relation"

    assert decide(ask(marit, sections=("history",)), Known("none", "no"), POLICY_SET).reason == "no-relation"


@pytest.mark.parametrize(("name", "text", "code"), [
    ("50-x", 'permit (principal, action, resource)', "policy-syntax"),
    ("50-x", 'permit (principal, action, resource);', "policy-notes"),
    ("50-x", '@id("other") @reason("own-plan") @nl("x") permit (principal, action, resource);', "policy-notes"),
    ("50-x", '@id("50-x") @reason("made-up") @nl("x") permit (principal, action, resource);', "policy-notes"),
    ("50-x", '@id("50-x") @reason("no-consent") @nl("x") permit (principal, action, resource);', "policy-notes"),
    ("50-x", '@id("50-x") @reason("own-plan") permit (principal, action, resource);', "policy-notes"),
    ("50-x", '@id("50-x") @reason("own-plan") @nl("x") permit (principal == Role::"boss", action, resource);', "policy-schema"),
    ("50-x", '@id("50-x") @reason("own-plan") @nl("x") permit (principal, action, resource) when { context.vip };', "policy-schema"),
    ("50-x", FILES["20-midwife"] + FILES["21-gynaecologist"], "policy-count"),
])
def test_a_broken_policy_is_never_loaded(name: str, text: str, code: str) -> None:
    with pytest.raises(Invalid) as refusal:
        PolicySet({**FILES, name: text}, SCHEMA)
    assert refusal.value.code == code


def test_a_folder_without_policies_is_not_a_release(tmp_path: Path) -> None:
    with pytest.raises(Invalid):
        load_policies(tmp_path)
    (tmp_path / SCHEMA_FILE).write_text(SCHEMA)
    with pytest.raises(Invalid):
        load_policies(tmp_path)


def test_an_empty_set_of_policies_denies() -> None:
    assert not decide(ask(noor), Known("none", "unknown"), PolicySet({}, SCHEMA)).allowed


def test_the_release_names_exactly_these_texts() -> None:
    same = PolicySet({name: text.replace("\n", "\r\n") for name, text in reversed(FILES.items())}, SCHEMA)
    other = PolicySet({**FILES, "20-midwife": FILES["20-midwife"].replace('Section::"history", ', "")}, SCHEMA)

    assert same.release == POLICY_SET.release != other.release
    assert release(PERMITS).release != POLICY_SET.release


def test_every_reason_has_words_for_the_asker_and_for_the_woman() -> None:
    for code in REASONS:
        assert said_to_asker(code).endswith(".") and said_to_client(code).endswith(".")
    assert said_to_asker("made-up") and said_to_client("made-up")
