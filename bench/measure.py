"""The measurements over a running hub, embedded or scaled alike: acknowledgements, visibility, sustained load, reads, memory, bytes."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import httpx2
from sqlalchemy import text

from hub.log.port import START, Cursor, EventLog
from hub.settings import Settings
from hub.stores import Stores, open_received, open_stores
from tests.journeys.hub_process import ROOT, RunningHub, environment

Figures = dict[str, Any]


def load(port: int, rate: float, seconds: float, first: int, *, women: int = 500, connections: int = 8) -> Figures:
    """Run the sending hospital in its own process."""
    done = subprocess.run([sys.executable, "-m", "bench.load", "--port", str(port), "--rate", str(rate), "--seconds", str(seconds), "--women", str(women),
                           "--connections", str(connections), "--first", str(first)],
                          cwd=ROOT, capture_output=True, text=True, timeout=seconds + 180, check=True)
    figures: Figures = json.loads(done.stdout)
    return figures


def reads(hub: RunningHub, paths: list[str], token: str, *, seconds: float, rate: float = 0.0) -> Figures:
    """Run the readers in their own process."""
    port = hub.http.rsplit(":", 1)[1]
    done = subprocess.run([sys.executable, "-m", "bench.reads", "--port", port, "--token", token, "--seconds", str(seconds), "--rate", str(rate), *paths],
                          cwd=ROOT, capture_output=True, text=True, timeout=seconds + 120, check=True)
    figures: Figures = json.loads(done.stdout)
    return figures


def metrics(port: int) -> dict[str, float]:
    """The figures of one process, by name and labels."""
    found = {}
    for line in httpx2.get(f"http://127.0.0.1:{port}/metrics", timeout=10, trust_env=False).text.splitlines():
        if line and not line.startswith("#"):
            name, value = line.rsplit(" ", 1)
            found[name] = float(value)
    return found


def lag(hub: RunningHub, quantile: str) -> float:
    """From coming in to visible in the view, of the latest messages, in ms: told by the process that commits the view."""
    process = hub.processes.get("project") or hub.processes["up"]
    return next(value for name, value in metrics(process.port).items() if name.startswith("ooievaar_visible") and f'quantile="{quantile}"' in name)


def visible_messages(hub: RunningHub) -> float:
    """Messages whose events are in the views; for a projector, records folded."""
    process = hub.processes.get("map") or hub.processes["up"]
    return next(value for name, value in metrics(process.port).items() if name.startswith("ooievaar_messages_total"))


def waiting(hub: RunningHub) -> float:
    """Received messages that wait to be mapped."""
    process = hub.processes.get("connect") or hub.processes["up"]
    return metrics(process.port)["ooievaar_backlog"]


def settled(hub: RunningHub, timeout_s: float = 120) -> None:
    """Wait until nothing waits."""
    end = time.monotonic() + timeout_s
    while waiting(hub) > 0 and time.monotonic() < end:
        time.sleep(0.3)
    time.sleep(1.0)


@contextmanager
def watched(hub: RunningHub, series: list[float]) -> Iterator[None]:
    """Note the backlog once a second."""
    stop = threading.Event()

    def watch() -> None:
        while not stop.wait(1.0):
            series.append(waiting(hub))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def acknowledgements(hub: RunningHub, seconds: float, first: int) -> Figures:
    """ACK and visibility at 200 messages a second."""
    load(hub.mllp_port, 100, 3, first)
    settled(hub)
    told = load(hub.mllp_port, 200, seconds, first + 100_000)
    settled(hub)
    return {"ack_p50_ms": told["p50_ms"], "ack_p99_ms": told["p99_ms"], "visible_p50_ms": lag(hub, "0.5"), "visible_p99_ms": lag(hub, "0.99"),
            "answers": told["answers"]}


def sustained(hub: RunningHub, rate: float, seconds: float, first: int, women: int = 500) -> Figures:
    """A steady rate for a while: does the backlog grow? And what is delivered when more is asked than can be done?"""
    series: list[float] = []
    with watched(hub, series):
        told = load(hub.mllp_port, rate, seconds, first, women=women)
    half = series[len(series) // 2:]
    settled(hub, 300)
    return {"women": women, "asked_per_s": rate, "sent": told["sent"], "answers": told["answers"], "ack_p99_ms": told["p99_ms"],
            "backlog_max": max(series, default=0), "backlog_second_half": [min(half, default=0), max(half, default=0)],
            "held_up": max(half, default=0) <= rate * 2}


def memory(hub: RunningHub) -> dict[str, float]:
    """Resident memory of each process now, MB."""
    found = {}
    for name, process in hub.processes.items():
        status = Path(f"/proc/{process.pid}/status").read_text()
        match = re.search(r"VmRSS:\s+(\d+) kB", status)
        found[name] = round(int(match[1]) / 1024, 1) if match else 0.0
    return found


def stored(hub: RunningHub, kafka_data: Path | None = None) -> Figures:
    """Bytes of the logs for each byte of source: `received` and `recorded`. Views, memory and indexes apart, in both forms.

    SQLite: attributes, ids and bodies of the rows. Kafka: the segments of the two topics as they stand in the broker's folder `kafka_data`.
    """
    with mock.patch.dict(os.environ, environment(hub.settings), clear=True):
        settings = Settings(data=hub.data)
    stores = open_stores(settings, create=False)
    try:
        if kafka_data is None:
            received_bytes, recorded_bytes, source = _in_sqlite(stores)
        else:
            received_bytes, recorded_bytes = (_segments(kafka_data, topic) for topic in (settings.kafka.received_topic, settings.kafka.recorded_topic))
            source = _source_bytes(open_received(settings, stores, "bench"))
    finally:
        stores.close()
    return {"source_bytes": source, "received_bytes": received_bytes, "recorded_bytes": recorded_bytes,
            "per_source_byte": (received_bytes + recorded_bytes) / source if source else None}


def _in_sqlite(stores: Stores) -> tuple[int, int, int]:
    size = "SELECT COALESCE(SUM(LENGTH(body) + LENGTH(attributes) + LENGTH(id) + LENGTH(key)), 0) FROM "
    with stores.hub.read() as tx:
        recorded_bytes: int = tx.execute(text(size + "recorded")).scalar_one()
    with stores.received.read() as tx:
        received_bytes: int = tx.execute(text(size + "received")).scalar_one()
        source = tx.execute(text("SELECT SUM(CAST(json_extract(CAST(attributes AS TEXT), '$.size') AS INTEGER)) FROM received")).scalar_one()
    return received_bytes, recorded_bytes, source or 0


def _segments(data: Path, topic: str) -> int:
    """Bytes of a topic on one broker; its index files are sparse and count as little as the indexes of a database."""
    return sum(file.stat().st_size for file in data.glob(f"{topic}-[0-9]*/*.log"))


def _source_bytes(log: EventLog) -> int:
    """What the sources sent, by the size that each message was kept with."""
    total, at = 0, START
    try:
        while found := log.read(at, 2_000):
            total += sum(int(stored.record.attributes["size"]) for stored in found)
            at = Cursor({**at, **{stored.place.partition: stored.place.offset for stored in found}})
    finally:
        log.close()
    return total


def rebuilt(hub: RunningHub) -> Figures:
    """A whole rebuild, written and switched, with two processes."""
    begun = time.perf_counter()
    done = subprocess.run([sys.executable, "-m", "hub.cli", "rebuild", "--json", "--processes", "2", "--data", str(hub.data)], cwd=ROOT,
                          env=environment(hub.settings), capture_output=True, text=True, timeout=900, check=True)
    told = json.loads(done.stdout)
    took = time.perf_counter() - begun
    return {"events": told["events"], "views": told["views"], "equal": told["equal"], "seconds": took, "events_per_s": told["events"] / took}
