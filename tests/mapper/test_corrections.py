"""Corrections through the whole hub: each finds what it corrects, and nothing else."""

from __future__ import annotations

from datetime import date
from typing import Any

import orjson
import pytest

from connectors.practice.simulator import NOOR, current_pregnancy
from hub.web.shape import all_values
from tests.mapper.conftest import HIX, PRACTICE, Bench

HEAD = r"MSH|^~\&|HIX|RIJNOEVER|OOIEVAAR|HUB|{at}||ORU^R01^ORU_R01|{at}|P|2.5|||AL|NE|NLD|UNICODE UTF-8"
PID = "PID|1||999990019^^^NLMINBIZA^NNNLD"
OBR = "OBR|1||LAB-1^LAB|LAB^Laboratorium^L|||20261124090000|||||||||||||||{at}|||F"


def result(sub: str, value: str, status: str, taken: str) -> str:
    return f"OBX|1|NM|718-7^Hemoglobine^LN|{sub}|{value}|mmol/L|||||{status}|||{taken}"


def oru(at: str, *rows: str) -> bytes:
    return "\r".join([HEAD.format(at=at), PID, OBR.format(at=at), *rows, ""]).encode()


@pytest.mark.parametrize(("first", "second"), [(("1", ""), ("2", "")), (("", "20261124083000"), ("", "20261124110000"))],
                         ids=["told apart by OBX-4", "told apart by OBX-14"])
@pytest.mark.parametrize("late", [False, True], ids=["in order", "correction first"])
def test_the_correction_of_one_of_two_results_changes_that_one_alone(bench: Bench, first: tuple[str, str], second: tuple[str, str], late: bool) -> None:
    def row(place: tuple[str, str], value: str, status: str) -> str:
        return result(place[0], value, status, place[1])

    messages = [oru("20261124120000", row(first, "6.0", "F"), row(second, "7.4", "F")), oru("20261124130000", row(second, "7.1", "C"))]
    for body in reversed(messages) if late else messages:
        bench.give(HIX, body)
    line = next(line for line in bench.plan("999990019").sections["measurements"].lines if line.concept == "haemoglobin")
    found = {v.text.replace("\u00a0", " "): [e.text.replace("\u00a0", " ") for e in v.earlier] for v in all_values(line)}
    assert found == {"6,0 mmol/L": [], "7,1 mmol/L": ["7,4 mmol/L"]}


@pytest.mark.parametrize("changes", [{"gravidity": 3}, {"parity": 0}, {"gravidity": 3, "parity": 2}], ids=str)
def test_a_corrected_count_makes_no_second_dossier_and_repeats_no_fact(bench: Bench, changes: dict[str, Any]) -> None:
    said = {"gravidity": 2, "parity": 1}
    for counts in (said, said | changes):
        bench.give(PRACTICE, orjson.dumps(current_pregnancy(NOOR, date(2026, 11, 24), 84, **counts)), "application/fhir+json")
    plan = bench.plan("999990019")
    assert len(plan.dossiers) == 1
    lines = {line.concept: line for section in plan.sections.values() for line in section.lines}
    for name, count in (said | changes).items():
        assert [value.text for value in all_values(lines[name])] == [str(count)], "the old one stands under the new one, not beside it"
    assert {name: len(all_values(line)) for name, line in lines.items() if line.shown} == dict.fromkeys((n for n, line in lines.items() if line.shown), 1)
    assert not [name for name, line in lines.items() if line.conflict]


def without(*codes: str) -> Any:
    """A change that leaves out the observations with these codes."""
    def change(bundle: dict[str, Any]) -> None:
        bundle["entry"] = [e for e in bundle["entry"] if not any(code in str(e["resource"].get("code")) for code in codes)]
    return change


def spoiled(code: str, **content: Any) -> Any:
    """A change of the observation with this code."""
    def change(bundle: dict[str, Any]) -> None:
        next(e["resource"] for e in bundle["entry"] if code in str(e["resource"].get("code"))).update(content)
    return change


GRAVIDITY, DUE = "11996-6", "11778-8"
AGAIN = {
    "gravidity left out": without(GRAVIDITY), "gravidity waits": spoiled(GRAVIDITY, status="bogus"), "due date left out": without(DUE),
    "another gravidity": spoiled(GRAVIDITY, valueQuantity={"value": 3}), "due date waits": spoiled(DUE, valueDateTime="2090-01-01"),
    "neither": without(GRAVIDITY, DUE),
}


@pytest.mark.parametrize("change", AGAIN.values(), ids=AGAIN)
@pytest.mark.parametrize("late", [False, True], ids=["whole first", "whole last"])
def test_a_dossier_that_is_sent_again_with_less_or_other_counts_stays_one(bench: Bench, change: Any, late: bool) -> None:
    bundles = [current_pregnancy(NOOR, date(2026, 11, 24), 84, gravidity=2, parity=1) for _ in range(2)]
    change(bundles[0 if late else 1])
    for bundle in bundles:
        bench.give(PRACTICE, orjson.dumps(bundle), "application/fhir+json")
    plan = bench.plan("999990019")
    assert len(plan.dossiers) == 1 and len({event.episode for event in bench.events() if event.episode}) == 1
    lines = [line for section in plan.sections.values() for line in section.lines]
    assert {line.concept: len(all_values(line)) for line in lines} == dict.fromkeys((line.concept for line in lines), 1)
