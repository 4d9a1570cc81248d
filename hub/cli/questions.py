"""Commands that answer a question and change nothing: explain, ledger, status, doctor."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

import orjson

from hub.cli.given import settings_of

GOOD, FOUND, FAILED = 0, 1, 2


def show(rows: Any) -> None:
    """Print JSON for programs."""
    sys.stdout.write(orjson.dumps(rows, option=orjson.OPT_INDENT_2).decode() + "\n")


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table for people."""
    cells = [list(head), *[[str(cell) for cell in row] for row in rows]]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    for row in cells:
        sys.stdout.write("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() + "\n")


def ledger(arguments: argparse.Namespace) -> int:
    """The balance per source and day. Found: a difference that no backlog explains."""
    from hub import inspection

    with inspection.opened(settings_of(arguments)) as hub:
        rows, waiting = inspection.ledger(hub)
    wrong = [row for row in rows if row["received"] != row["recorded"] + row["unchanged"] + row["ignored"] + row["held"]]
    short = sum(row["received"] - row["recorded"] - row["unchanged"] - row["ignored"] - row["held"] for row in wrong)
    if arguments.json:
        show(rows)
    else:
        names = ("source", "day", "received", "recorded", "unchanged", "ignored", "held", "events")
        table(names, [[row[name] for name in names] for row in rows])
        sys.stdout.write(f"{waiting} waiting to be mapped; " + ("the balance is right\n" if short == waiting else f"the balance is off by {short - waiting}\n"))
    return GOOD if short == waiting else FOUND


def status(arguments: argparse.Namespace) -> int:
    """What runs and what waits. Found: something waits for a person, or a source is silent."""
    from hub import inspection

    with inspection.opened(settings_of(arguments)) as hub:
        told = inspection.status(hub)
    if arguments.json:
        show(told)
    else:
        sys.stdout.write(f"running: {'yes, ' + told['http'] if told['running'] else 'no'}\nwaiting to be mapped: {told['backlog']}\nheld: {told['held']}\n")
        table(("source", "last message", "state"), [[s["source"], s["received_at"] or "never", s["state"]] for s in told["sources"]])
        if told["residue"]:
            sys.stdout.write("\nfields that no rule explains:\n")
            table(("source", "mapping", "path", "n"), [[r["source"], r["mapping"], r["path"], r["n"]] for r in told["residue"]])
    return FOUND if told["held"] or any(s["state"] == "silent" for s in told["sources"]) else GOOD


def doctor(arguments: argparse.Namespace) -> int:
    """What is wrong, and what to do. Found: at least one finding."""
    from hub import inspection

    findings = inspection.doctor(settings_of(arguments))
    if arguments.json:
        show([{"check": f.check, "ok": f.ok, "found": f.found, "do": f.do} for f in findings])
    else:
        for f in findings:
            sys.stdout.write(f"{'ok  ' if f.ok else 'LOOK'}  {f.check}: {f.found}\n" + (f"      → {f.do}\n" if f.do and not f.ok else ""))
    return GOOD if all(f.ok for f in findings) else FOUND


def explain(arguments: argparse.Namespace) -> int:
    """Why someone may (not) see the sections. Found: at least one stays shut."""
    from hub import inspection

    with inspection.opened(settings_of(arguments)) as hub:
        told = inspection.explain(hub, arguments.who, arguments.about, tuple(arguments.section or ()))
    if arguments.json:
        show(told)
    else:
        sys.stdout.write("\n".join(told["words"]) + "\n")
    return GOOD if not told["closed"] else FOUND
