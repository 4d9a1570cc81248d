"""A process that reads plans through the door until it is killed: `python -m tests.door.reader FOLDER`. One line an answer."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Collection
from pathlib import Path

from hub.door import Content, SectionBytes
from tests.authz.cast import ask, marit
from tests.door.house import House, MemoryContent, MemoryPlans


class FatalPlans(MemoryPlans):
    """The third time, the process is killed while it loads: after the decision, before the answer."""

    calls = 0

    def content(self, subject: str) -> Content:
        self.calls += 1
        return FatalContent(subject) if self.calls == 3 else super().content(subject)


class FatalContent(MemoryContent):
    """Kills the process when it is opened."""

    def sections(self, names: Collection[str]) -> SectionBytes:
        print("deciding", flush=True)
        sys.stdin.readline()  # the test has seen the entry in the database
        os.kill(os.getpid(), signal.SIGKILL)
        return {}


async def main(folder: Path) -> None:
    """Read for ever; each answer is printed after it was given."""
    house = House(folder)
    house.trail.start()
    house.agree()
    door = house.with_(plans=FatalPlans(house.relations, house.consents))
    while True:
        opened = await door.read(ask(marit))
        print(opened.recorded.id, flush=True)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
