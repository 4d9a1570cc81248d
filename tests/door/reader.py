"""A process that reads plans through the door until it is killed: `python -m tests.door.reader FOLDER`. One line an answer."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

from hub.door import SectionBytes
from tests.authz.cast import ask, marit
from tests.door.house import House, MemoryPlans


class FatalPlans(MemoryPlans):
    """The third time, the process is killed while it loads: after the decision, before the answer."""

    calls = 0

    def sections(self, subject: str, episode: str, names: tuple[str, ...]) -> SectionBytes:
        self.calls += 1
        if self.calls == 3:
            print("deciding", flush=True)
            sys.stdin.readline()  # the test has seen the entry in the database
            os.kill(os.getpid(), signal.SIGKILL)
        return super().sections(subject, episode, names)


async def main(folder: Path) -> None:
    """Read for ever; each answer is printed after it was given."""
    house = House(folder)
    house.trail.start()
    house.agree()
    door = house.with_(plans=FatalPlans())
    while True:
        opened = await door.read(ask(marit))
        print(opened.recorded.id, flush=True)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
