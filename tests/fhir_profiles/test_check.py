"""What passes as FHIR R4, what does not, and what a refusal may say."""

from __future__ import annotations

import copy
import json
import re
import time
from collections.abc import Callable
from typing import Any

import pytest
from fhir.resources.R4B import get_fhir_model_class
from hypothesis import given, settings
from hypothesis import strategies as st

from fhir_profiles import check
from fhir_profiles.check import Problem, is_valid, problems
from fhir_profiles.definitions import definition, resource_types
from tests.fhir_profiles.bad import CASES, Case
from tests.fhir_profiles.samples import BUNDLE, CLEAN, OBSERVATION, PATIENT, Json, nested, spoiled


@pytest.mark.parametrize("resource", CLEAN.values(), ids=CLEAN.keys())
def test_a_clean_resource_passes(resource: Json) -> None:
    assert problems(resource) == []
    assert is_valid(resource)


@pytest.mark.parametrize("resource", CLEAN.values(), ids=CLEAN.keys())
def test_what_passes_here_is_r4b_to_another_reader(resource: Json) -> None:
    get_fhir_model_class(resource["resourceType"]).model_validate(resource)


@pytest.mark.parametrize("case", CASES, ids=[case[0] for case in CASES])
def test_a_bad_resource_is_refused_at_its_path(case: Case) -> None:
    _, clean, spoil, path = case
    resource = spoiled(clean, spoil)
    found = problems(resource)
    assert path in [problem.path for problem in found]
    assert not is_valid(resource)


def test_there_are_at_least_sixty_bad_resources_and_each_is_named_once() -> None:
    assert len({case[0] for case in CASES}) == len(CASES) >= 60


def test_a_value_by_extension_alone_counts_as_given() -> None:
    absent = {"extension": [{"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "unknown"}]}
    assert problems(spoiled(OBSERVATION, lambda r: (r.pop("status"), r.update(_status=absent)))) == []


def test_what_overlaps_in_an_imprecise_period_is_no_fault() -> None:
    assert problems({**OBSERVATION, "performer": [{"identifier": {"period": {"start": "2026-03-14", "end": "2026-03"}}}]}) == []


def test_sixty_four_levels_are_taken() -> None:
    assert is_valid(nested(30))


def test_anything_that_is_no_object_is_refused() -> None:
    for value in (None, [], "Observation", 3, b"{}", [OBSERVATION]):
        assert problems(value) == [Problem("resourceType", "a resource type that this hub takes")]
        assert not is_valid(value)


def test_a_message_names_what_is_expected() -> None:
    assert problems({**OBSERVATION, "effectiveDateTime": "gisteren"}) == [
        Problem("Observation.effectiveDateTime", "a date that exists: YYYY, YYYY-MM, YYYY-MM-DD, or with a time to the second and a zone")
    ]
    assert problems({**PATIENT, "gender": "vrouw"}) == [Problem("Patient.gender", "one of female, male, other, unknown")]
    assert problems(spoiled(OBSERVATION, lambda r: r.pop("code"))) == [Problem("Observation.code", "this element is required")]
    assert problems(spoiled(OBSERVATION, lambda r: r.pop("status"))) == [Problem("Observation", "status is required")]
    assert problems({**OBSERVATION, "valueString": "x"}) == [Problem("Observation", "only one of value[x]")]


def test_many_problems_are_cut_and_quick_to_find() -> None:
    many = {**PATIENT, "extension": [{"url": "x y"}] * 100_000, "name": [{"Verhoeven": 1}] * 100_000}
    before = time.perf_counter()
    assert len(problems(many)) == 50
    assert time.perf_counter() - before < 5


def test_a_depth_that_hurts_is_not_missed_behind_many_problems() -> None:
    deep: Json = {**nested(50_000)}
    deep["extension"] = [{"url": "urn:x"}] * 60 + deep["extension"]
    assert len(problems(deep)) == 50
    assert not is_valid(deep)
    lists: Any = []
    for _ in range(100_000):
        lists = [lists]
    for hidden in ({"given": [lists]}, {"given": [[], nested(50_000)]}, {"given": lists}):
        assert problems({**PATIENT, "name": [hidden]})


def test_a_fault_behind_many_clean_resources_is_still_seen() -> None:
    bundle = {**BUNDLE, "entry": [{"resource": OBSERVATION}] * 200 + [{"resource": {**PATIENT, "extension": [{"url": "urn:x"}]}}]}
    assert not is_valid(bundle)
    assert Problem("Bundle.entry[200].resource.extension[0]", "either one value or further extensions (ext-1)") in problems(bundle)


def test_warming_up_makes_the_schema_of_every_type() -> None:
    check.warm_up(sorted(resource_types()))


def test_only_the_types_that_are_walked_anyway_can_nest_without_extensions() -> None:
    """The quick look rests on this: it does not measure depth."""
    assert {name for name in resource_types() if _nests(name)} <= check._NEST


def _nests(name: str) -> bool:
    """Whether a type reaches itself, or any resource, without an extension, a contained resource or an assigner."""

    def reaches_itself(at: str, above: tuple[str, ...]) -> bool:
        if at in above or (at == "AnyResource" and above):
            return True
        return any(reaches_itself(to, (*above, at)) for to in _steps(at))

    return reaches_itself(name, ())


def _steps(name: str) -> set[str]:
    skipped = ("extension", "modifierExtension", "contained", "assigner")
    properties = {key: value for key, value in definition(name).get("properties", {}).items() if key not in skipped and key[0] != "_"}
    return {to for to in re.findall('"#/definitions/([^"]+)"', json.dumps(properties)) if to[0].isupper()}


# Properties


SECRET = "Verhoeven 999990019"
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.decimals(),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8) | st.sampled_from(sorted(OBSERVATION)), inner, max_size=4)
    ),
    max_leaves=15,
)
keys = st.sampled_from(
    ["resourceType", "id", "status", "code", "coding", "text", "div", "extension", "_status", "valueString", "valueQuantity", "value",
     "end", "start", "effectivePeriod", "effectiveDateTime", "contained", "component", "subject", "reference", "entry", "resource", "type",
     "meta", "name", SECRET]
)
values = anything | st.sampled_from(
    ["final", "2026-03-01", "2026-02-30", "Patient/1", "#a", "", " ", SECRET, 7.4, [None], {}, PATIENT, [OBSERVATION]]
)


@st.composite
def spoiled_resources(draw: Callable[[Any], Any]) -> Json:
    """A clean resource with up to three values changed, added or removed, anywhere."""
    resource: Json = json.loads(json.dumps(draw(st.sampled_from(list(CLEAN.values())))))
    for _ in range(draw(st.integers(0, 3))):
        node: Any = draw(st.sampled_from([n for n in _nodes(resource) if n] or [resource]))
        key = draw(st.sampled_from([*node, SECRET]) | keys) if isinstance(node, dict) else draw(st.integers(0, len(node) - 1))
        if draw(st.booleans()) or not isinstance(node, dict):
            node[key] = copy.deepcopy(draw(values))  # A sample must not be spoiled for the next example.
        else:
            node.pop(key, None)
    return resource


def _nodes(node: Any) -> list[Any]:
    if isinstance(node, dict | list):
        return [node, *(found for child in (node.values() if isinstance(node, dict) else node) for found in _nodes(child))]
    return []


@given(anything | st.dictionaries(keys, values, max_size=6) | spoiled_resources())
@settings(max_examples=150, deadline=None)
def test_the_check_never_raises_and_both_answers_agree(resource: object) -> None:
    assert is_valid(resource) == (problems(resource) == [])


@given(spoiled_resources())
@settings(max_examples=150, deadline=None)
def test_what_is_accepted_another_reader_accepts(resource: Json) -> None:
    if is_valid(resource):
        get_fhir_model_class(resource["resourceType"]).model_validate(json.loads(check.dumps(resource)))


@given(st.sampled_from(list(CLEAN.values())), st.data())
@settings(max_examples=150, deadline=None)
def test_no_message_repeats_what_was_sent(clean: Json, data: st.DataObject) -> None:
    resource = spoiled(clean, lambda _: None)
    node = data.draw(st.sampled_from([n for n in _nodes(resource) if isinstance(n, dict)]))
    key = data.draw(st.sampled_from(sorted(node)))
    node[data.draw(st.sampled_from([key, SECRET]))] = data.draw(st.sampled_from([SECRET, {SECRET: SECRET}, [SECRET, {SECRET: [SECRET]}]]))
    told = repr(problems(resource))
    assert "Verhoeven" not in told and "99999" not in told


def test_a_name_that_begins_with_a_hash_refers_to_nothing() -> None:
    organisation = {**OBSERVATION, "performer": [{"display": "#0"}], "note": [{"text": "#1"}]}
    assert is_valid(organisation) and not problems(organisation)
    assert [found.path for found in problems({**OBSERVATION, "subject": {"reference": "#p9", "display": "#0"}})] == ["Observation.contained"]
