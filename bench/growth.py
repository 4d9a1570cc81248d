"""What an event costs when little and when much is stored: the worker in this process, CPU time, windows at 10k, 100k and 1M events."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from bench.load import bsns, message
from hub import wiring
from hub.log.received import Incoming, to_record
from hub.log.sqlite import SqliteLog
from hub.loops import Worker, calm_garbage_collector
from hub.settings import Settings
from hub.stores import open_received, open_recorded, open_stores

WINDOW = 1_500
EVENTS_A_WOMAN = 1_000


def main() -> int:
    """Measure up to `--events`; prints JSON: events stored → CPU µs an event (median of the batches in a window)."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=100_000)
    wanted = parser.parse_args().events
    with tempfile.TemporaryDirectory(prefix="ooi-growth-") as folder:
        print(json.dumps(measure(Path(folder), [n for n in (10_000, 100_000, 1_000_000) if n <= wanted])))
    return 0


def measure(folder: Path, sizes: list[int]) -> dict[str, float]:
    """Feed the worker, and look at the cost around each size."""
    settings = Settings(data=folder, demo=True)
    stores = open_stores(settings)
    received, recorded = open_received(settings, stores, "bench"), open_recorded(settings, stores, "bench")
    assert isinstance(recorded, SqliteLog)
    worker = Worker(received, stores.hub, recorded, wiring.build_mapper(settings, stores), wiring.build_projector(stores), lambda _: None, 150)
    # As in a country: more events are more women, each with her thousand.
    people = bsns(max(sizes) // EVENTS_A_WOMAN)
    subjects = [wiring.pseudonyms(stores)(bsn) for bsn in people]
    reader = received.reader("map", lambda _: -1)
    now = datetime.now(UTC)
    calm_garbage_collector()
    found: dict[str, float] = {}
    done = 0
    for size in sizes:
        costs: list[float] = []
        while done * 4 < size + WINDOW * 4:
            batch = range(done, done + 150)
            # A window of fifty women is under care at a time; they follow each other.
            chosen = [(min(len(people) - 1, n * 4 // (EVENTS_A_WOMAN * 50) * 50 + n % 50), n) for n in batch]
            received.append([to_record(Incoming("hix", "hix/00700002", "", message(people[w], n, now)[1:-2], subjects[w], wiring.utc_now()), stores.keyring)
                             for w, n in chosen])
            taken = reader.poll(1, 150)
            begun = time.process_time()
            worker.step(taken)
            cost = (time.process_time() - begun) / (len(taken) * 4) * 1e6
            done += len(taken)
            if done * 4 >= size:
                costs.append(cost)
        found[str(size)] = sorted(costs)[len(costs) // 2]
    stores.close()
    return found


if __name__ == "__main__":
    sys.exit(main())
