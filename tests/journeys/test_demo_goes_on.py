"""After its story the demo goes on for a while: new measurements, and messages that say the same again."""

from __future__ import annotations

from connectors.contract import Facts
from connectors.formats.hl7v2 import MEDIA_TYPE
from connectors.hix.mapping import HixMapping
from hub.story import MORE, MORE_EVERY_S, measure_on

FACTS = Facts("hix/00700002", "00700002", "Ziekenhuis Rijnoever", MEDIA_TYPE, "2026-11-24T12:00:00Z")


async def test_the_demo_measures_on_for_a_bounded_time_and_says_every_third_thing_twice() -> None:
    sent: list[bytes] = []

    async def send(body: bytes) -> None:
        sent.append(body)

    await measure_on(send, turns=9, every_s=0.0)

    repeats = [turn for turn in range(1, 9) if sent[turn] == sent[turn - 1]]
    assert len(sent) == 9 and repeats == [2, 5, 8]
    for body in sent:
        found = HixMapping().to_fhir(body, FACTS)
        assert [f.concept for f in found.facts] == ["blood-pressure"] and found.refused == ()
    assert MORE * MORE_EVERY_S == 600, "the start page says ten minutes, every half minute"
