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
