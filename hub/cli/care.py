"""Commands that look after the hub: rebuild the views, settle what is held."""

from __future__ import annotations

import argparse
import sys

from hub.cli.given import settings_of
from hub.cli.questions import FOUND, GOOD, show, table


def rebuild(arguments: argparse.Namespace) -> int:
    """Fold the log anew beside the running views. Found: they differ."""
    from hub import inspection

    def progress(done: int, of: int) -> None:
        if not arguments.json:
            sys.stderr.write(f"\r{done} of {of} women")
            sys.stderr.flush()

    report = inspection.rebuild(settings_of(arguments), processes=arguments.processes, check=arguments.check, progress=progress)
    if arguments.json:
        show({"views": report.views, "events": report.events, "equal": report.equal, "differences": report.differences})
    else:
        sys.stderr.write("\n")
        what = "the running views are equal to a rebuild" if report.equal else f"{len(report.differences)} views differ from a rebuild"
        done = "" if arguments.check else "; the new ones are in use"
        sys.stdout.write(f"{report.views} views from {report.events} events: {what}{done}\n")
        for difference in report.differences[:20]:
            sys.stdout.write(f"  differs: {difference}\n")
    return GOOD if report.equal else FOUND


def held(arguments: argparse.Namespace) -> int:
    """List what waits, or settle it. Found: something waits (still)."""
    from hub import inspection

    with inspection.opened(settings_of(arguments)) as hub:
        if arguments.dismiss:
            inspection.dismiss(hub, arguments.dismiss, arguments.why)
        if arguments.again:
            inspection.send_again(hub, arguments.again)
        rows = inspection.held(hub)
    if arguments.json:
        show(rows)
    else:
        names = ("id", "at", "source", "code", "path", "reason", "state")
        table(names, [[row[name] for name in names] for row in rows])
    return FOUND if rows else GOOD
