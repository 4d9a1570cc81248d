"""A process that is killed never leaves an answer without an entry."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

from sqlalchemy import func, select

from audit.check import check
from hub.tables import audit_entry
from tests.door.house import House

ROOT = Path(__file__).parents[2]


def count(house: House) -> int:
    with house.audit.read() as tx:
        return int(tx.execute(select(func.count()).select_from(audit_entry)).scalar_one())


def test_killed_between_decision_and_answer_the_entry_stands_and_no_answer_was_given(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-m", "tests.door.reader", str(tmp_path)], cwd=ROOT, text=True,
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None and process.stdout is not None
        answers = [process.stdout.readline().strip() for _ in range(2)]
        assert process.stdout.readline() == "deciding\n"
        house = House(tmp_path)
        deadline = time.monotonic() + 60
        while count(house) < 3 and time.monotonic() < deadline:
            time.sleep(0.01)
        process.stdin.write("\n")
        process.stdin.flush()
        rest = process.stdout.read()
        process.wait(20)

    assert process.returncode == -signal.SIGKILL and rest == "", "no answer came after the kill"
    entries = [line.entry.id for line in house.entries()]
    assert entries[:2] == answers and len(entries) == 3
    assert check(house.audit, house.trail).whole
    house.close()
