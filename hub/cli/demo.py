"""About the demo: what an outsider needs to talk to it."""

from __future__ import annotations

import argparse
import sys

from hub.cli.given import settings_of
from hub.cli.questions import GOOD, show, table


def info(arguments: argparse.Namespace) -> int:
    """Ports, senders, accounts and women."""
    from hub import inspection

    told = inspection.demo_info(settings_of(arguments))
    if arguments.json:
        show(told)
        return GOOD
    sys.stdout.write(f"http  {told['http']}\nmllp  {told['mllp']['host']}:{told['mllp']['port']}\n\n")
    table(("MSH-3", "MSH-4"), [[s["msh3"], s["msh4"]] for s in told["senders"]])
    sys.stdout.write("\n")
    table(("account", "role", "organisation"), [[a["name"], a["role"], a["organisation"]] for a in told["accounts"]])
    sys.stdout.write("\n")
    table(("woman", "test BSN"), [[w["name"], w["bsn"]] for w in told["women"]])
    return GOOD


def token(arguments: argparse.Namespace) -> int:
    """A bearer token, on standard output."""
    from hub import inspection

    sys.stdout.write(inspection.demo_token(settings_of(arguments), arguments.name) + "\n")
    return GOOD
