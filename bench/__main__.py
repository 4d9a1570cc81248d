"""`python -m bench`: measures both forms of the hub and writes docs/benchmarks.json and docs/benchmarks.md.

`--quick` takes short runs (to see that it works), `--only embedded|scaled` one form, `--growth 1000000` follows the growth so far.
Load generator, broker and database run on the same cores.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench import measure
from bench.report import write
from connectors.practice.simulator import story
from hub.wiring import now
from tests.journeys.hub_process import ROOT, RunningHub, embedded, scaled
from tests.parts.broker import start_plain
from tests.parts.postgres import PostgresCluster

COUNTRY = 9_000
"""Women who send in one minute, most of them for the first time: their records, views and dossiers are made while the load lasts."""


def machine() -> dict[str, Any]:
    """What this was measured on."""
    model = next((line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), "?")
    memory = next(line for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("MemTotal"))
    return {"cpu": model, "cores": os.cpu_count(), "memory_gb": round(int(memory.split()[1]) / 1024**2, 1), "system": platform.platform(),
            "python": platform.python_version(), "load_before": os.getloadavg()[0], "at": datetime.now(UTC).isoformat(timespec="seconds")}


def tell_story(hub: RunningHub) -> list[str]:
    """Give the three women of the demo a dossier, so that a midwife may read; the paths that she reads."""
    import httpx2
    import orjson

    from fhir_profiles.identifiers import Bsn, pseudonym_of
    from hub.demo import WOMEN
    from hub.log.keys import load_kek

    token = hub.token("praktijk")
    for bundle in story(now().date()):
        answer = httpx2.post(f"{hub.intake}/fhir-stu3", content=orjson.dumps(bundle), timeout=30, trust_env=False,
                             headers={"authorization": f"Bearer {token}", "content-type": "application/fhir+json"})
        assert answer.status_code == 200, answer.text
    measure.settled(hub)
    import hashlib

    kek = load_kek(Path(hub.settings.get("KEK_FILE", hub.data / "keys" / "kek")), create=False)
    key = hashlib.blake2b(b"pseudonym", key=kek, digest_size=32, person=b"ooievaar").digest()
    return [f"/fhir/CarePlan/{pseudonym_of(Bsn(bsn), key)}/$sections" for _, bsn in WOMEN]


def one_form(hub: RunningHub, rate: float, quick: bool, say: Callable[[str], None], kafka_data: Path | None = None) -> dict[str, Any]:
    """Everything that is measured over one running hub."""
    found: dict[str, Any] = {}
    paths = tell_story(hub)
    say("acknowledgements at 200/s")
    found["at_200"] = measure.acknowledgements(hub, 5 if quick else 20, 0)
    say(f"sustained at {rate:.0f}/s, 500 women")
    found["sustained"] = measure.sustained(hub, rate, 8 if quick else 60, 1_000_000)
    found["memory_mb"] = measure.memory(hub)
    found["events"] = sum(row["events"] for row in hub.json("ledger"))
    say(f"sustained at {rate:.0f}/s, a country: {COUNTRY:,} women")
    found["country"] = measure.sustained(hub, rate, 8 if quick else 60, 5_000_000, COUNTRY)
    say("reads")
    token = hub.token("marit")
    measure.reads(hub, paths, token, seconds=1)
    found["reads"] = measure.reads(hub, paths, token, seconds=3 if quick else 10)
    found["reads_at_200"] = measure.reads(hub, paths, token, seconds=3 if quick else 10, rate=200)
    found["stored"] = measure.stored(hub, kafka_data)
    say("more than it can do")
    found["overload"] = measure.sustained(hub, rate * 2, 5 if quick else 15, 3_000_000)
    say("rebuild")
    found["rebuild"] = measure.rebuilt(hub)
    found["memory_mb_end"] = measure.memory(hub)
    return found


def timed_start(begin: Callable[[], Any]) -> tuple[Any, float]:
    """Enter a context manager and tell how long it took."""
    begun = time.perf_counter()
    context = begin()
    return (context, context.__enter__()), time.perf_counter() - begun


def main() -> int:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", choices=("embedded", "scaled"))
    parser.add_argument("--into", type=Path, default=ROOT / "docs", help="the folder that is written to")
    parser.add_argument("--growth", type=int, default=100_000, help="how many stored events the growth is followed to")
    given = parser.parse_args()
    report = given.into / "benchmarks.json"
    found: dict[str, Any] = json.loads(report.read_text()) if report.exists() and given.only else {}
    found["machine"], found["quick"] = machine(), given.quick

    def say(words: str) -> None:
        print(f"  {words}", flush=True)

    with tempfile.TemporaryDirectory(prefix="ooi-bench-") as name:
        folder = Path(name)
        if given.only != "scaled":
            print("embedded", flush=True)
            (folder / "e").mkdir()
            (context, hub), took = timed_start(lambda: embedded(folder / "e"))
            found["embedded"] = one_form(hub, 800, given.quick, say)
            found["embedded"]["first_start_s"] = took
            context.__exit__(None, None, None)
            found["embedded"]["start_s"] = _again(hub)
            say("growth")
            found["embedded"]["growth_us_an_event"] = _growth(given.growth)
        if given.only != "embedded":
            print("Kafka + PostgreSQL", flush=True)
            (folder / "s").mkdir()
            found["scaled"] = _scaled(folder / "s", given.quick, given.growth, say)
    write(found, given.into)
    return 0


def _again(hub: RunningHub) -> float:
    """How long the embedded hub takes to get ready on a folder that holds all this."""
    begun = time.perf_counter()
    process = hub.processes["up"]
    process.start()
    process.wait_ready()
    took = time.perf_counter() - begun
    process.close()
    return took


def _growth(events: int, database: str = "") -> dict[str, float]:
    told = subprocess.run([sys.executable, "-m", "bench.growth", "--events", str(events), "--database", database], cwd=ROOT,
                          capture_output=True, text=True, check=True)
    figures: dict[str, float] = json.loads(told.stdout)
    return figures


def _scaled(folder: Path, quick: bool, growth: int, say: Callable[[str], None]) -> dict[str, Any]:
    kafka = start_plain(folder / "kafka", 1)
    postgres = PostgresCluster()
    postgres.start()
    try:
        postgres.make_template()
        with postgres.database() as url:
            settings = {"KAFKA__BOOTSTRAP": kafka.settings.bootstrap}
            (context, hub), took = timed_start(lambda: scaled(folder, url, settings))
            found = one_form(hub, 600, quick, say, kafka.brokers[0].home / "data")
            found["first_start_s"] = took
            context.__exit__(None, None, None)
        say("growth")
        with postgres.database() as url:
            found["growth_us_an_event"] = _growth(growth, url)
        return found
    finally:
        postgres.stop()
        kafka.stop()


if __name__ == "__main__":
    sys.exit(main())
