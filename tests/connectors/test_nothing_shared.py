"""What a mapping makes belongs to one message: whatever is done to it, the next message is mapped as if nothing had been before."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

import orjson
import pytest

from connectors.contract import Mapped
from connectors.hix import story as hix
from connectors.hix.mapping import HixMapping
from connectors.practice import simulator as practice
from connectors.practice.mapping import PracticeMapping
from tests.connectors.epic import build as epic
from tests.connectors.hix import build as hix_build
from tests.connectors.practice import build as practice_build

TODAY = date(2026, 11, 24)
BUNDLES = [orjson.dumps(bundle) for bundle in practice.story(TODAY)]


def of_the_practice() -> list[Mapped]:
    return [PracticeMapping().to_fhir(bundle, practice_build.facts()) for bundle in BUNDLES]


def of_hix() -> list[Mapped]:
    return [HixMapping().to_fhir(body, hix_build.FACTS) for body in hix.story(TODAY)]


def of_epic() -> list[Mapped]:
    return [epic.mapped(epic.page(*epic.samira()))]


def wipe(value: Any) -> None:
    """Empty every list and object, from the leaves up."""
    if isinstance(value, dict):
        for below in value.values():
            wipe(below)
        value.clear()
    elif isinstance(value, list):
        for below in value:
            wipe(below)
        value.clear()


@pytest.mark.parametrize("mapped", [of_the_practice, of_hix, of_epic])
def test_what_was_mapped_can_be_emptied_without_a_trace_in_what_is_mapped_next(mapped: Callable[[], list[Mapped]]) -> None:
    before = repr(mapped())
    for one in mapped():
        for fact in one.facts:
            wipe(fact.resource)
    assert repr(mapped()) == before
