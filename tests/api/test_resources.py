"""Whatever words a source sends, what the API makes of them is valid FHIR R4."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fhir_profiles.check import problems
from fhir_profiles.codes import CONCEPTS, SECTIONS
from hub.api.care_plan import care_plan, composition_alone, document
from hub.api.resources import observations, patient
from hub.plan.plan import Carer, DossierLine, Line, Plan, SectionView, Value, Woman

SUBJECT, EPISODE, AT = "a" * 32, "b" * 32, "2026-06-01T12:00:00+00:00"
WORDS = st.one_of(
    st.text(max_size=20),
    st.sampled_from(
        [
            "",
            " ",
            "2026-03-12",
            "2026-02-30",
            "ja",
            "nee",
            "<5",
            "onbekend (niet gevraagd)",
            "\x00",
            "mmol/L",
            "a  b",
            "2026-03-12T10:00:00Z",
            "2026-03-12T10:00",
            "<b>&amp;",
            "112144000",
            "hix/00700002",
        ]
    ),
)
NUMBERS = st.one_of(st.none(), st.floats(allow_nan=True), st.integers(-5, 10**12).map(float))
VALUES = st.builds(
    Value,
    concept=st.sampled_from([c.name for c in CONCEPTS]),
    text=WORDS,
    effective=WORDS,
    recorded=WORDS,
    source=WORDS,
    identity=WORDS,
    event=st.uuids().map(lambda u: u.hex),
    status=st.sampled_from(["final", "preliminary", "corrected", "cancelled", "unknown", "withdrawn", "odd"]),
    number=NUMBERS,
    unit=WORDS,
    code=WORDS,
    parts=st.lists(
        st.tuples(st.sampled_from(["systolic", "diastolic", "odd", ""]), st.floats(allow_nan=False, allow_infinity=False)), max_size=2
    ).map(tuple),
    iso=WORDS,
)
LINES = st.builds(
    Line,
    concept=st.sampled_from([*(c.name for c in CONCEPTS), "new-concept"]),
    title_nl=WORDS,
    plain_nl=WORDS,
    sensitivity=st.sampled_from(["C0", "C1", "C5", ""]),
    shown=st.none() | VALUES,
    rule=WORDS,
    history=st.lists(VALUES, max_size=2).map(tuple),
    voices=st.lists(VALUES, max_size=2).map(tuple),
    about=WORDS,
)
VIEWS = st.lists(LINES, max_size=3).map(tuple)
CARERS = st.builds(Carer, WORDS, WORDS, WORDS, WORDS, WORDS, st.booleans(), WORDS, WORDS, WORDS, WORDS)
PLANS = st.builds(
    lambda phase, woman, dossiers, team, views, shut, updated, episode: Plan(
        SUBJECT,
        episode,
        phase,
        "",
        woman,
        tuple(dossiers),
        tuple(team),
        {name: SectionView(name, "1", name, lines) for name, lines in views.items() if name not in shut},
        dict.fromkeys(shut, "no"),
        updated,
    ),
    st.sampled_from(["pregnant", "ended", "loss", "unknown"]),
    st.builds(Woman, WORDS, WORDS, WORDS),
    st.lists(st.builds(DossierLine, WORDS, WORDS, WORDS, WORDS, WORDS, WORDS), max_size=2),
    st.lists(CARERS, max_size=2),
    st.dictionaries(st.sampled_from(SECTIONS), VIEWS),
    st.sets(st.sampled_from(SECTIONS)),
    WORDS,
    st.sampled_from([EPISODE, ""]),
)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(PLANS)
def test_any_plan_at_all_becomes_valid_fhir(plan: Plan) -> None:
    for resource in (care_plan(plan), document(plan, "https://hub.example/fhir", AT), composition_alone(plan, AT), patient(plan)):
        assert not problems(resource), problems(resource)
    for resource, _ in observations(plan):
        assert not problems(resource), problems(resource)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(PLANS)
def test_a_document_never_refers_to_what_is_not_in_it(plan: Plan) -> None:
    bundle = document(plan, "https://hub.example/fhir", AT)
    there = [f"{e['resource']['resourceType']}/{e['resource']['id']}" for e in bundle["entry"]]
    assert len(there) == len(set(there))
    sections = bundle["entry"][0]["resource"].get("section", [])
    assert {r["reference"] for s in sections for r in s.get("entry", [])} <= set(there)
    assert all(("entry" in s) is not ("emptyReason" in s) for s in sections)
