"""What an event costs when little and when much is stored: windows at 10k, 100k and 1M events, fed to the loops in this process.

Embedded: the worker, its CPU time. With `--database`: mapper and projector on that PostgreSQL, elapsed time, because much of the work is the
server's; between them stands a log in SQLite, so that no broker is measured.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from pydantic import SecretStr

from bench.load import bsns, message
from hub import wiring
from hub.database import open_sqlite
from hub.log.port import EventLog, Stored
from hub.log.received import Incoming, to_record
from hub.log.sqlite import SqliteLog
from hub.loops import MapLoop, ProjectLoop, Worker, calm_garbage_collector
from hub.settings import Settings
from hub.stores import Stores, open_received, open_recorded, open_stores
from hub.tables import received, recorded

SIZES = (10_000, 100_000, 1_000_000)
WINDOW = 1_500
EVENTS_A_WOMAN = 1_000
BATCH = 150

Step = Callable[[list[Stored]], None]


def main() -> int:
    """Measure up to `--events`; prints JSON: events stored → µs an event (median of the batches in a window)."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--database", default="", help="a PostgreSQL database; empty: embedded")
    given = parser.parse_args()
    sizes = [n for n in SIZES if n <= given.events]
    with tempfile.TemporaryDirectory(prefix="ooi-growth-") as name:
        folder = Path(name)
        with (on_postgres(folder, given.database) if given.database else embedded(folder)) as (stores, log, step):
            print(json.dumps(measure(stores, log, step, sizes, time.perf_counter if given.database else time.process_time)))
    return 0


@contextmanager
def embedded(folder: Path) -> Iterator[tuple[Stores, EventLog, Step]]:
    """The worker on SQLite."""
    settings = Settings(data=folder, demo=True)
    stores = open_stores(settings)
    log, events = open_received(settings, stores, "bench"), open_recorded(settings, stores, "bench")
    assert isinstance(events, SqliteLog)
    worker = Worker(log, stores.hub, events, wiring.build_mapper(settings, stores), wiring.build_projector(stores), lambda _: None, BATCH)
    yield stores, log, worker.step
    stores.close()


@contextmanager
def on_postgres(folder: Path, url: str) -> Iterator[tuple[Stores, EventLog, Step]]:
    """Mapper and projector, one after the other, on PostgreSQL."""
    settings = Settings(data=folder, log="kafka", database=SecretStr(url), demo=True, kek_file=folder / "kek")
    stores = open_stores(settings)
    files = [open_sqlite(folder / "received.db", ["received"]), open_sqlite(folder / "recorded.db", ["hub"])]
    log, events = SqliteLog(files[0], received), SqliteLog(files[1], recorded)
    mapper = MapLoop(log, stores.hub, events, wiring.build_mapper(settings, stores), BATCH)
    projector = ProjectLoop(events, stores.hub, wiring.build_projector(stores), stores.keyring, BATCH)
    reader = events.reader("project", lambda _: -1)

    def step(batch: list[Stored]) -> None:
        mapper.step(batch)
        while made := reader.poll(0, BATCH):
            projector.step(made)

    yield stores, log, step
    for database in files:
        database.close()
    stores.close()


def measure(stores: Stores, log: EventLog, step: Step, sizes: list[int], clock: Callable[[], float]) -> dict[str, float]:
    """Feed the loops, and look at the cost around each size."""
    # As in a country: more events are more women, each with her thousand.
    people = bsns(max(sizes) // EVENTS_A_WOMAN)
    pseudonym = wiring.pseudonyms(stores)
    subjects = [pseudonym(bsn) for bsn in people]
    reader = log.reader("map", lambda _: -1)
    now = datetime.now(UTC)
    calm_garbage_collector()
    found: dict[str, float] = {}
    done = 0
    for size in sizes:
        costs: list[float] = []
        while done * 4 < size + WINDOW * 4:
            # A window of fifty women is under care at a time; they follow each other.
            chosen = [(min(len(people) - 1, n * 4 // (EVENTS_A_WOMAN * 50) * 50 + n % 50), n) for n in range(done, done + BATCH)]
            log.append([to_record(Incoming("hix", "hix/00700002", "", message(people[w], n, now)[1:-2], subjects[w], wiring.utc_now()), stores.keyring)
                        for w, n in chosen])
            taken = reader.poll(1, BATCH)
            begun = clock()
            step(taken)
            cost = (clock() - begun) / (len(taken) * 4) * 1e6
            done += len(taken)
            if done * 4 >= size:
                costs.append(cost)
        found[str(size)] = sorted(costs)[len(costs) // 2]
    return found


if __name__ == "__main__":
    sys.exit(main())
