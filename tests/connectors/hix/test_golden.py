"""Golden cases: a folder holds a message and all that must come of it. Adding a case is adding a folder.

Run with OOIEVAAR_WRITE_CASES=1 to write `expected.json` anew, and read the difference.
"""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

import pytest

from connectors.contract import Left, Mapped
from fhir_profiles import check
from tests.connectors.hix.build import mapped

CASES = sorted(p.parent for p in (Path(__file__).parent / "cases").glob("*/message.hl7"))


def plain(found: Mapped) -> dict[str, Any]:
    """What a message became, as JSON; a BSN shows as present or not."""
    return {
        "people": [{"local": p.local, "kind": p.kind, "bsn": p.bsn is not None, "key": list(p.key)} for p in found.people],
        "dossiers": [dataclasses.asdict(d) for d in found.dossiers],
        "facts": [
            {"concept": f.concept, "about": f.about, "identity": list(f.identity), "version": f.version, "effective": f.effective,
             "dossier": f.dossier, "withdrawn": f.withdrawn, "links": dict(f.links), "resource": f.resource, "paths": dict(f.paths)}
            for f in found.facts
        ],
        "refused": [{"path": left.path, "code": left.code} for left in found.refused],
        "residue": [{"path": left.path, "value": left.value} for left in found.residue],
        "ignored": _by_rule(found.ignored),
    }


def _by_rule(ignored: tuple[Left, ...]) -> dict[str, list[str]]:
    rules: dict[str, list[str]] = {}
    for left in ignored:
        rules.setdefault(left.code, []).append(left.path)
    return rules


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_golden_message_becomes_what_its_case_says(case: Path) -> None:
    found = json.loads(json.dumps(plain(mapped((case / "message.hl7").read_bytes()))))
    expected = case / "expected.json"
    if os.environ.get("OOIEVAAR_WRITE_CASES"):
        expected.write_text(json.dumps(found, indent=1, ensure_ascii=False, sort_keys=True) + "\n", encoding="utf-8")
    assert found == json.loads(expected.read_text(encoding="utf-8"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_resource_of_a_golden_message_is_fhir_r4_once_it_has_its_subject(case: Path) -> None:
    subject = {"reference": "Patient/a"}
    for fact in mapped((case / "message.hl7").read_bytes()).facts:
        kind = fact.resource["resourceType"]
        about = {} if kind == "Patient" else {"subject" if kind in ("Observation", "Condition", "Encounter") else "patient": subject}
        links = {"diagnosis": [{"condition": {"reference": "Condition/a"}}]} if fact.links else {}
        assert check.problems({**fact.resource, **about, **links}) == []


def test_there_are_cases_for_a_loss_for_twins_for_a_correction_and_for_a_merge() -> None:
    names = {case.name for case in CASES}
    assert {"adt-a04-miscarriage", "oru-twin-heart-rates", "oru-corrected-haemoglobin", "adt-a40-merge"} <= names
