"""The state of a section is a set: order, repeats and grouping do not change its bytes; leaves hold all of it and stay small."""

from __future__ import annotations

import itertools
import random

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.plan import state
from hub.plan.sections import SECTIONS
from tests.plan.cases import observed

MEASURED = SECTIONS["measurements"]


def lines_of(numbers: list[int]) -> state.Lines:
    lines: state.Lines = {}
    for number in numbers:
        event = observed("haemoglobin", number / 10, "mmol/L", effective=f"2026-05-{1 + number % 28:02d}", message=f"m{number // 3}")
        place = state.place_of(event)
        state.add(lines, place, state.line_of(place, event, MEASURED.item(event)))
    return lines


@given(st.lists(st.integers(0, 400), max_size=60), st.randoms())
def test_the_bytes_follow_from_the_set_of_events_alone(numbers: list[int], chance: random.Random) -> None:
    again = numbers + chance.sample(numbers, len(numbers) // 2)
    chance.shuffle(again)
    assert state.encode(lines_of(again)) == state.encode(lines_of(sorted(set(numbers))))


@given(st.lists(st.integers(0, 400), max_size=60))
def test_a_state_is_read_back_line_by_line(numbers: list[int]) -> None:
    lines = lines_of(numbers)
    assert state.decode(state.encode(lines)) == lines
    assert len(orjson.loads(state.encode(lines))) == len(lines)


def grown(whole: state.Lines, chance: random.Random) -> dict[str, state.Lines]:
    """The leaves that come of lines put in one by one, in any order."""
    leaves: dict[str, state.Lines] = {}
    for place in chance.sample(sorted(whole), len(whole)):
        leaf = state.leaf_of("measurements", place, sorted(leaves))
        lines = leaves.pop(leaf, {})
        lines[place] = whole[place]
        leaves.update(state.split(leaf, lines))
    return leaves


@settings(max_examples=30)
@given(st.integers(0, 700), st.randoms())
def test_growing_one_by_one_gives_the_same_leaves_as_splitting_at_once(count: int, chance: random.Random) -> None:
    whole = lines_of(list(range(count)))
    leaves = grown(whole, chance)
    assert leaves == ({name: part for name, part in state.split("measurements", whole).items() if part})
    assert all(len(lines) <= state.LEAF for lines in leaves.values())
    assert sorted(orjson.loads(state.join(state.encode(lines) for lines in leaves.values()))) == sorted(orjson.loads(state.encode(whole)))


def test_a_message_with_more_events_than_a_leaf_holds_stays_in_one_leaf() -> None:
    lines: state.Lines = {}
    for number in range(state.LEAF + 20):
        event = observed("haemoglobin", number, "mmol/L", effective=f"2026-01-01T00:{number // 60:02d}:{number % 60:02d}", message="one")
        place = state.place_of(event)
        lines[place] = state.line_of(place, event, MEASURED.item(event))
    [(leaf, held)] = state.split("measurements", lines).items()
    assert held == lines
    assert state.leaf_of("measurements", next(iter(lines)), [leaf]) == leaf


def test_an_event_that_was_produced_twice_keeps_the_same_line_whichever_came_first() -> None:
    first, second = (observed("haemoglobin", 6.6, "mmol/L", recorded=at) for at in ("2026-05-01T10:00:00Z", "2026-05-01T10:07:00Z"))
    assert first.id == second.id
    kept = []
    for order in ([first, second], [second, first]):
        lines: state.Lines = {}
        for event in order:
            place = state.place_of(event)
            state.add(lines, place, state.line_of(place, event, MEASURED.item(event)))
        kept.append(state.encode(lines))
    assert kept[0] == kept[1]
    assert b"10:00:00Z" in kept[0]
    assert b"10:07:00Z" not in kept[0]


@pytest.mark.parametrize("value", [None, 3, [], {"resourceType": "Observation", "component": [None, {}], "valueQuantity": []},
                                   {"resourceType": "CareTeam", "participant": "x", "managingOrganization": [1]},
                                   {"resourceType": "Patient", "name": [{"given": None}], "telecom": {}}])
def test_an_odd_resource_gives_less_and_never_an_error(value: object) -> None:
    resource = value if isinstance(value, dict) else {"resourceType": "Condition", "code": value, "clinicalStatus": value}
    event = observed("haemoglobin", 1.0, "mmol/L")
    event.resource.clear()
    event.resource.update(resource)
    assert isinstance(MEASURED.item(event), dict)


def heard_lines(seconds: list[int]) -> state.Lines:
    """A result a message, heard so many seconds after noon; two in the same second stand apart by their message."""
    lines: state.Lines = {}
    for number, second in enumerate(seconds):
        at = f"2026-05-01T{12 + second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}.000Z"
        event = observed("haemoglobin", number / 10, "mmol/L", effective=f"2026-05-01T00:00:00.{number:04d}", message=f"m{number}", heard=at)
        place = state.place_of(event)
        state.add(lines, place, state.line_of(place, event, MEASURED.item(event)))
    return lines


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 30_000), max_size=300), st.randoms())
def test_leaves_of_time_follow_from_the_set_alone(seconds: list[int], chance: random.Random) -> None:
    whole = heard_lines(seconds)
    leaves = grown(whole, chance)
    assert leaves == {name: part for name, part in state.split("measurements", whole).items() if part}
    assert all(state.leaf_of("measurements", place, sorted(leaves)) == name for name, part in leaves.items() for place in part)
    stretches = [sorted(part) for _, part in sorted(leaves.items())]
    assert all(earlier[-1] < later[0] for earlier, later in itertools.pairwise(stretches))


def test_a_time_that_cannot_be_read_gives_a_fixed_place() -> None:
    places = {state.place_of(observed("haemoglobin", 6.6, "mmol/L", message="m", heard=heard)) for heard in ("", "yesterday", "1969-01-01")}
    assert len(places) == 1
    assert places.pop().startswith(b"0" * 11)
