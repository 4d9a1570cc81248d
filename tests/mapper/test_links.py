"""What a link between a dossier and a pregnancy is today: a note that is laid down once and changes nothing."""

from __future__ import annotations

from datetime import date

import orjson

from connectors.practice.simulator import NOOR, current_pregnancy, earlier_pregnancy
from hub.log.envelope import LINKED, UNLINKED
from tests.mapper.conftest import PRACTICE, Bench

TODAY = date(2026, 11, 24)
JSON = "application/fhir+json"


def test_each_dossier_is_linked_to_its_pregnancy_once_and_the_event_says_why(bench: Bench) -> None:
    for bundle in (current_pregnancy(NOOR, TODAY, 84, gravidity=2, parity=1), earlier_pregnancy(NOOR, TODAY, date(2024, 8, 1), gravidity=1, parity=1)):
        for _ in range(2):
            bench.give(PRACTICE, orjson.dumps(bundle), JSON)
    links = [event for event in bench.events() if event.type == LINKED]
    assert len({event.resource["dossier"] for event in links}) == len(links) == 2
    assert {event.resource["episode"] for event in links} == {event.episode for event in links} and len({event.episode for event in links}) == 2
    assert all(event.resource["why"] for event in links)


def test_nothing_unlinks_yet(bench: Bench) -> None:
    bench.give(PRACTICE, orjson.dumps(current_pregnancy(NOOR, TODAY, 84, gravidity=2, parity=1)), JSON)
    bench.give(PRACTICE, orjson.dumps(current_pregnancy(NOOR, TODAY, 84, gravidity=3, parity=1)), JSON)
    assert UNLINKED not in {event.type for event in bench.events()}
