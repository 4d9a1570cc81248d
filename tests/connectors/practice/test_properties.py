"""What must always hold, whatever comes in."""

from __future__ import annotations

import copy
import json
import random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.formats.fhir_xml import read_xml, write_xml
from fhir_profiles.errors import BirthCareError

from .build import MAPPING, body_of, current, earlier, facts, mapped, unexplained

BASES = (current(), earlier())
JUNK = st.recursive(st.none() | st.booleans() | st.integers(-9, 9999) | st.text(max_size=6) | st.sampled_from(["final", "2025-01-01",
                                                                                                               "718-7", "#x"]),
                    lambda below: st.lists(below, max_size=3) | st.dictionaries(
                        st.sampled_from(["reference", "coding", "code", "system", "value", "extension", "url", "x", "start",
                                         "identifier"]), below,
                        max_size=3), max_leaves=6)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path else []
    if isinstance(value, dict):
        for key, below in value.items():
            found += places(below, (*path, key))
    elif isinstance(value, list):
        for place, below in enumerate(value):
            found += places(below, (*path, place))
    return found


PLACES = [places(base) for base in BASES]


@settings(max_examples=120, deadline=None)
@given(which=st.integers(0, 1), seed=st.integers(0, 10**9), junk=JUNK)
def test_a_bundle_with_anything_put_anywhere_is_mapped_or_refused_and_always_accounted_for(which: int, seed: int, junk: Any) -> None:
    bundle = copy.deepcopy(BASES[which])
    *way, last = random.Random(seed).choice(PLACES[which])
    here: Any = bundle
    for step in way:
        here = here[step]
    here[last] = junk
    try:
        result = mapped(bundle)
    except BirthCareError:
        return
    assert unexplained(bundle, result) == set()
    assert result == mapped(bundle)


@settings(max_examples=80, deadline=None)
@given(cut=st.integers(0, 20_000), put=st.binary(max_size=8), which=st.sampled_from(["json", "xml"]))
def test_bytes_that_were_damaged_on_the_way_never_break_the_reader(cut: int, put: bytes, which: str) -> None:
    body = body_of(BASES[0]) if which == "json" else write_xml(BASES[0])
    at = cut % len(body)
    try:
        MAPPING.to_fhir(body[:at] + put + body[at + len(put):], facts(f"application/fhir+{which}"))
    except BirthCareError:
        pass


@settings(max_examples=40, deadline=None)
@given(body=st.binary(max_size=60))
def test_any_bytes_can_be_looked_at(body: bytes) -> None:
    MAPPING.recognises(body)
    MAPPING.peek_bsn(body)
    try:
        MAPPING.to_fhir(body, facts(""))
    except BirthCareError:
        pass


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(2, 10**6), which=st.integers(0, 1))
def test_fresh_ids_change_no_identity(seed: int, which: int) -> None:
    bundle = (current, earlier)[which](seed)
    before = mapped(BASES[which])
    assert [(f.identity, f.resource) for f in mapped(bundle).facts] == [(f.identity, f.resource) for f in before.facts]


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 10**6), which=st.integers(0, 1))
def test_the_order_of_the_entries_changes_no_identity(seed: int, which: int) -> None:
    bundle = copy.deepcopy(BASES[which])
    random.Random(seed).shuffle(bundle["entry"])
    key = lambda f: (f.concept, f.identity, json.dumps(f.resource, sort_keys=True))  # noqa: E731
    assert sorted(map(key, mapped(bundle).facts)) == sorted(map(key, mapped(BASES[which]).facts))


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 10**6), which=st.integers(0, 1))
def test_xml_written_and_read_again_is_the_same_tree(seed: int, which: int) -> None:
    bundle = (current, earlier)[which](seed)
    assert read_xml(write_xml(bundle)) == bundle
