"""What always holds for the HiX mapping: it never breaks, it always says the same, and it gives account of every field."""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.formats import hl7v2
from connectors.hix import story
from connectors.hix.leftovers import SINGLE
from connectors.hix.mapping import HixMapping
from fhir_profiles import check, codes
from fhir_profiles.errors import BirthCareError, Refused
from tests.connectors.hix.build import FACTS, NOOR, OBR, PID, adt, mapped, message, msh, obx, oru

TODAY = date(2026, 11, 24)
STORY = story.story(TODAY)
SHARED = Path(os.environ.get("OOIEVAAR_SHARED", Path(__file__).parents[3].parent / "shared"))

SEGMENTS = st.sampled_from(["PID", "PV1", "OBR", "OBX", "NTE", "ORC", "AL1", "DG1", "NK1", "EVN", "MRG", "ZZZ", "SPM", "PV2"])
PIECES = st.sampled_from([
    "", "1", "F", "C", "D", "X", "NM", "ST", "CE", "CWE", "SN", "TS", "718-7^Hb^LN", "RRSYS", "RRDIA", "RR", "FHR", "BLGR", "DUE_DATE", "RRSYS", "RRDIA",
    "6,9", "120/80", "mmol/l", "mmHg", "20261120", "20261120101112+0100", "20269999", '""', "~", "^^^", "&&", "\\T\\", "\\X41\\", "A",
    "positief", "118185001^zw^SCT",
    f"{NOOR}^^^NLMINBIZA^NNNLD", "R1^^^R^PI", "V1", "I", "O", "van X&van&X^Y^Z", "27w3d", "zoë", ">^5", "Y",
]) | st.text(st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="|"), max_size=12)
ROWS = st.lists(st.tuples(SEGMENTS, st.lists(PIECES, max_size=24)).map(lambda row: "|".join((row[0], *row[1]))), max_size=10)
KINDS = st.sampled_from(["ORU^R01", "ADT^A01", "ADT^A03", "ADT^A08", "ADT^A11", "ADT^A40", "SIU^S12", "ADT", "^"])


@settings(max_examples=150, deadline=None)
@given(KINDS, ROWS, st.booleans())
def test_any_segments_are_mapped_or_refused_and_what_is_mapped_is_known_and_the_same_twice(kind: str, rows: list[str], known: bool) -> None:
    body = message(msh(kind), *([PID] if known else []), *rows)
    try:
        found = mapped(body)
    except BirthCareError as refusal:
        assert NOOR not in refusal.public, "a refusal never repeats what was sent"  # noqa: PT017
        return
    assert mapped(body) == found
    names = {p.local for p in found.people}
    assert all(f.concept in codes.BY_NAME and f.about in names for f in found.facts)
    assert len({(f.resource["resourceType"], f.concept, f.identity) for f in found.facts}) <= len(found.facts)
    if known:
        assert NOOR not in repr((found.facts, found.refused))


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(STORY), st.randoms(use_true_random=False))
def test_a_damaged_story_is_mapped_or_refused(body: bytes, chance: random.Random) -> None:
    data = bytearray(body)
    for _ in range(chance.randrange(1, 8)):
        at = chance.randrange(len(data))
        if chance.random() < 0.3:
            del data[at:at + chance.randrange(1, 40)]
        else:
            data[at % max(1, len(data))] = chance.choice(b"|^~\\&\r\n\x00\x1c0A9\xff")
    try:
        mapped(bytes(data))
    except BirthCareError:
        pass


@pytest.mark.parametrize("number", range(len(STORY)))
def test_every_field_of_a_story_has_become_something(number: int) -> None:
    found = mapped(STORY[number])
    told = {path for f in found.facts for path in f.paths.values()}
    told |= {left.path for part in (found.residue, found.ignored, found.refused) for left in part}
    for path in non_empty(STORY[number]):
        assert path in told, path


def non_empty(body: bytes) -> list[str]:
    """The path of every field that holds something, as the mapping writes paths."""
    counts: Counter[str] = Counter()
    found = []
    for fields in hl7v2.parse(body).segments:
        counts[fields[0]] += 1
        single = fields[0] in SINGLE and counts[fields[0]] == 1
        head = fields[0] if single else f"{fields[0]}[{counts[fields[0]]}]"
        found += [f"{head}-{n}" for n, raw in enumerate(fields) if n and raw]
    return found


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(["ORU^R01", "ADT^A01", "ADT^A08", "ADT^A40"]), ROWS)
def test_every_field_of_any_message_that_is_mapped_has_become_something(kind: str, rows: list[str]) -> None:
    body = message(msh(kind), PID, *rows)
    try:
        found = mapped(body)
    except BirthCareError:
        return
    told = {path for f in found.facts for path in f.paths.values()}
    told |= {left.path for part in (found.residue, found.ignored, found.refused) for left in part}
    assert [path for path in non_empty(body) if path not in told] == []


def test_every_resource_of_the_story_is_fhir_r4() -> None:
    for body in STORY:
        for fact in mapped(body).facts:
            about = {"AllergyIntolerance": "patient", "RelatedPerson": "patient", "EpisodeOfCare": "patient", "Condition": "subject"}
            element = about.get(fact.resource["resourceType"])
            links = {"diagnosis": [{"condition": {"reference": "Condition/a"}}]} if fact.links else {}
            assert check.is_valid({**fact.resource, **({element: {"reference": "Patient/a"}} if element else {}), **links})


def test_a_mapping_does_not_change_with_the_time_of_receipt_or_what_was_mapped_before() -> None:
    later = replace(FACTS, received_at="2030-01-01T00:00:00Z")
    assert [HixMapping().to_fhir(body, later) for body in STORY] == [mapped(body) for body in STORY]


def test_changing_what_came_out_does_not_change_what_comes_next() -> None:
    body = oru(obx("718-7^Hb^LN", "6.9", "mmol/l"), obx("BLGR", "A", kind="ST"))
    before = repr(mapped(body))
    for fact in mapped(body).facts:
        fact.resource["code"]["coding"][0]["code"] = "spoilt"
        fact.resource["category"].clear()
        fact.resource.get("valueCodeableConcept", {}).clear()
    assert repr(mapped(body)) == before


def test_a_long_message_takes_a_time_that_grows_with_its_length() -> None:
    rows = [obx("718-7^Hb^LN", "6.9", "mmol/l", sub=str(n), number=n) for n in range(1, 3_001)]
    begun = time.process_time()
    found = mapped(oru(*rows))
    assert len(found.facts) == 3_000 and time.process_time() - begun < 8
    assert found.facts[-1].paths["code"] == "OBX[3000]-3"


def test_the_same_pairs_many_times_over_take_no_quadratic_time() -> None:
    rows = [obx(code, "90", "mmHg", number=n, sub=str(n)) for n in range(1, 2_001) for code in ("RRDIA", "RRSYS")]
    begun = time.process_time()
    mapped(oru(*rows))
    assert time.process_time() - begun < 8


@pytest.mark.parametrize("folder", ["hl7v2-nl", "hl7v2-generic"])
def test_real_messages_are_mapped_or_refused_by_name(folder: str) -> None:
    if not (SHARED / "corpus" / folder).is_dir():
        pytest.skip("PART MISSING: the shared corpus (OOIEVAAR_SHARED)")
    outcomes: Counter[str] = Counter()
    for path in sorted((SHARED / "corpus" / folder).rglob("*.hl7")):
        body = path.read_bytes()
        assert HixMapping().recognises(body)
        try:
            found = mapped(body)
        except Refused as refusal:
            outcomes[refusal.code] += 1
        else:
            outcomes["mapped"] += 1
            told = {p for f in found.facts for p in f.paths.values()}
            told |= {left.path for part in (found.residue, found.ignored, found.refused) for left in part}
            assert [p for p in non_empty(body) if p not in told] == []
    assert set(outcomes) <= {"mapped", "event-unknown", "bsn-check", "two-persons"}


def test_the_real_ultrasound_is_read_once_its_test_number_is_a_bsn() -> None:
    path = SHARED / "corpus" / "hl7v2-nl" / "echo" / "obstetric-ultrasound-singleton-ORU.hl7"
    if not path.exists():
        pytest.skip("PART MISSING: the shared corpus (OOIEVAAR_SHARED)")
    found = mapped(path.read_bytes().replace(b"123548999", NOOR.encode()))
    values = {f.concept: f.resource for f in found.facts}
    assert (values["gravidity"]["valueInteger"], values["due-date"]["valueDateTime"]) == (1, "2016-08-09")
    assert values["gestational-age"]["valueQuantity"]["value"] == 192 and found.refused == ()
    assert {left.value for left in found.residue} >= {"HC", "251", "48,5"}


def test_the_burst_of_the_benchmark_is_different_each_time_the_same_again_and_wholly_mapped() -> None:
    bodies = list(story.burst(200, 40, today=TODAY))
    assert bodies == list(story.burst(200, 40, today=TODAY)) and len(set(bodies)) == 200
    found = [mapped(body) for body in bodies]
    assert all(len(m.facts) == 3 and not m.refused and not m.residue for m in found)
    assert len({m.people[0].bsn for m in found}) == 40


def test_two_snapshots_of_one_visit_say_the_same_in_everything_but_their_version() -> None:
    body = adt("A01")
    again = body.replace(b"20261120141500", b"20261120151500").replace(b"|C1|", b"|C2|")
    first, second = mapped(body), mapped(again)
    assert [f.resource for f in first.facts] == [f.resource for f in second.facts]
    assert [f.version < g.version for f, g in zip(first.facts, second.facts, strict=True)] == [True, True]
    assert OBR
