"""Writes what was measured: docs/benchmarks.json for programs, docs/benchmarks.md for people, with the goal beside each figure."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def write(found: dict[str, Any], docs: Path) -> None:
    """Both files."""
    (docs / "benchmarks.json").write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")
    (docs / "benchmarks.md").write_text(_page(found))


def _page(found: dict[str, Any]) -> str:
    m = found["machine"]
    rows = [
        "# Benchmarks", "",
        "Written by `make bench`. Load generator, broker and database ran on the same cores as the hub. Invented data; messages of four new results each.", "",
        f"Machine: {m['cpu']}, {m['cores']} cores, {m['memory_gb']} GB, {m['system']}, Python {m['python']}. Load before: {m['load_before']:.1f}. {m['at']}."
        + (" **Quick run: short and rough.**" if found.get("quick") else ""), "",
        "| what | goal embedded | embedded | goal Kafka + PostgreSQL | Kafka + PostgreSQL |", "|---|---|---|---|---|",
    ]
    for what, goal_e, goal_s, tell in _LINES:
        rows.append(f"| {what} | {goal_e} | {_cell(found.get('embedded'), tell)} | {goal_s} | {_cell(found.get('scaled'), tell)} |")
    notes = Path(__file__).parent / "notes.md"
    return "\n".join([*rows, ""]) + ("\n" + notes.read_text() if notes.exists() else "")


def _cell(form: dict[str, Any] | None, tell: Any) -> str:
    if form is None:
        return "not run"
    try:
        return str(tell(form))
    except (KeyError, TypeError):
        return "not measured"


def _growth(form: dict[str, Any]) -> str:
    costs = form["growth_us_an_event"]
    first, last = next(iter(costs.values())), list(costs.values())[-1]
    steps = ", ".join(f"{int(size):,}: {cost:.0f} µs" for size, cost in costs.items())
    return f"{steps}; slope {last / first:.2f}"


def _sustained(load: dict[str, Any]) -> str:
    held = "held, backlog at most" if load["held_up"] else "**not held**, backlog"
    return f"{load['asked_per_s']:.0f}/s {held} {load['backlog_max']:.0f}"


_LINES: list[tuple[str, str, str, Any]] = [
    ("ORU of 4 OBX accepted, mapped, folded and visible, 60 s, 500 women", "≥ 800/s", "≥ 600/s", lambda f: _sustained(f["sustained"])),
    ("the same, a country: 9,000 women, first messages of new ones among them", "≥ 800/s", "≥ 600/s", lambda f: _sustained(f["country"])),
    ("ACK at 200/s, p50 / p99", "≤ 3 / 15 ms", "≤ 8 / 30 ms", lambda f: f"{f['at_200']['ack_p50_ms']:.1f} / {f['at_200']['ack_p99_ms']:.1f} ms"),
    ("received → visible at 200/s, p50 / p99", "≤ 10 / 100 ms", "≤ 40 / 300 ms",
     lambda f: f"{f['at_200']['visible_p50_ms']:.1f} / {f['at_200']['visible_p99_ms']:.1f} ms"),
    ("rebuild, 2 processes", "≥ 60,000 events/s", "≥ 30,000 events/s",
     lambda f: f"{f['rebuild']['events_per_s']:,.0f} events/s ({f['rebuild']['events']:,} events, equal: {f['rebuild']['equal']})"),
    ("plan read through the door, one process", "≥ 1,500/s", "≥ 800/s", lambda f: f"{f['reads']['per_second']:,.0f}/s, p99 {f['reads']['p99_ms']:.0f} ms"),
    ("the same at 200/s, p99", "≤ 15 ms", "≤ 25 ms", lambda f: f"{f['reads_at_200']['p99_ms']:.1f} ms"),
    ("resident memory after 100,000 events", "≤ 200 MB", "≤ 200 MB a process",
     lambda f: ", ".join(f"{n} {mb:.0f} MB" for n, mb in f["memory_mb"].items()) + f" after {f['events']:,} events"),
    ("start to ready", "≤ 3 s", "≤ 5 s", lambda f: f"{f.get('start_s', f['first_start_s']):.1f} s (first ever {f['first_start_s']:.1f} s)"),
    ("stored bytes per source byte (logs)", "≤ 3", "≤ 3", lambda f: f"{f['stored']['per_source_byte']:.2f}"),
    ("cost of an event, by how many are stored (embedded: CPU, PostgreSQL: elapsed)", "slope ≤ 1.3", "slope ≤ 1.3", _growth),
    ("asked for twice that rate: answers, backlog", "ACK slows", "ACK slows",
     lambda f: f"{f['overload']['answers']}, backlog at most {f['overload']['backlog_max']:.0f}, ACK p99 {f['overload']['ack_p99_ms']:.0f} ms"),
]
