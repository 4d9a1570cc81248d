"""`ooievaar`: every command of the hub. Exit codes: 0 good, 1 something found, 2 could not run."""

from __future__ import annotations

import argparse
import gc
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from fhir_profiles.errors import BirthCareError

GOOD, FOUND, FAILED = 0, 1, 2

_SELDOM: Final = (100_000, 50, 1000)
"""Loading makes objects that all live on: looking for garbage among them is an eighth of the start. A process sets its own pace when it is up."""

_ABOUT: Final = """\
The integration hub for Dutch birth care.

To see it:        ooievaar up --demo
To understand it: ooievaar map FILE      what a message becomes, without a hub
                  ooievaar explain …     why someone may (not) see something
To look after it: ooievaar status · ledger · held · doctor · rebuild
At scale:         ooievaar connect · map · project · serve, each as many times as wanted
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and give its exit code."""
    gc.set_threshold(*_SELDOM)
    from sqlalchemy.exc import SQLAlchemyError  # after that line, for it is the largest of all that is loaded

    arguments = _parser().parse_args(argv)
    run: Callable[[argparse.Namespace], int] | None = getattr(arguments, "run", None)
    if run is None:
        _parser().print_help()
        return GOOD
    try:
        return run(arguments)
    except BirthCareError as error:
        sys.stderr.write(f"ooievaar {arguments.command}: {error.public}\n")
        return FAILED
    except SQLAlchemyError as error:
        # The text of a database error may hold values: the kind must do.
        sys.stderr.write(f"ooievaar {arguments.command}: the database does not answer as it should ({type(error).__name__}); try ooievaar doctor\n")
        return FAILED
    except KeyboardInterrupt:
        return GOOD
    except BrokenPipeError:
        return GOOD
    except OSError as error:
        where = f" {error.filename}" if error.filename else ""
        sys.stderr.write(f"ooievaar {arguments.command}: cannot read or write{where} ({type(error).__name__})\n")
        return FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="ooievaar", description=_ABOUT, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", metavar="command")
    _add_processes(commands)
    _add_questions(commands)
    _add_care(commands)
    _add_demo(commands)
    return parser


_Commands = argparse._SubParsersAction  # argparse has no public name for it


def _command(commands: _Commands[argparse.ArgumentParser], name: str, words: str, run: Callable[[argparse.Namespace], int], *,
             as_json: bool = True) -> argparse.ArgumentParser:
    command = commands.add_parser(name, help=words, description=words)
    command.add_argument("--data", type=Path, metavar="DIR", help="folder of the hub (default: data, or OOIEVAAR_DATA)")
    if as_json:
        command.add_argument("--json", action="store_true", help="print JSON")
    command.set_defaults(run=run)
    return command


def _add_processes(commands: _Commands[argparse.ArgumentParser]) -> None:
    from hub.cli import processes

    up = _command(commands, "up", "run everything in one process, on SQLite", processes.up, as_json=False)
    up.add_argument("--demo", action="store_true", help="with invented women, three simulated sources and a demo login")
    up.add_argument("--no-simulators", action="store_true", help="the demo, without sources that send")
    _ports(up, mllp=True)
    connect = _command(commands, "connect", "take in messages: all sources, or the named connectors", processes.connect, as_json=False)
    connect.add_argument("names", nargs="*", metavar="NAME", help="hix, practice, epic")
    _ports(connect, mllp=True)
    _ports(_command(commands, "project", "fold events into views", processes.project, as_json=False), mllp=False)
    serve = _command(commands, "serve", "answer the FHIR API and the pages", processes.serve, as_json=False)
    _ports(serve, mllp=False)
    _command(commands, "topics", "make the Kafka topics that the settings name", processes.topics, as_json=False)
    mapper = _command(commands, "map", "with FILE: show what it becomes, without a hub; without: run the mapper as a process", processes.map_)
    mapper.add_argument("files", nargs="*", metavar="FILE")
    _ports(mapper, mllp=False)
    mapper.add_argument("--source", default="", metavar="KIND", help="read every file as this kind (hl7v2, fhir-stu3, fhir-r4)")


def _ports(command: argparse.ArgumentParser, *, mllp: bool) -> None:
    command.add_argument("--http-port", type=_port, metavar="N", help="default 8080")
    if mllp:
        command.add_argument("--mllp-port", type=_port, metavar="N", help="default 2575")


def _port(text: str) -> int:
    """A port number; 0 lets the system choose. Raises ArgumentTypeError, which ends the command with 2."""
    if not (text.isascii() and text.isdigit() and int(text) < 65536):
        raise argparse.ArgumentTypeError("a port is a number from 0 to 65535")
    return int(text)


def _add_questions(commands: _Commands[argparse.ArgumentParser]) -> None:
    from hub.cli import questions

    explain = _command(commands, "explain", "why someone may (not) see a section of a plan", questions.explain)
    explain.add_argument("--who", required=True, metavar="NAME", help="an account of the demo, or ROLE/URA (midwife/00700001)")
    explain.add_argument("--about", required=True, metavar="SUBJECT", help="her pseudonym; in the demo also her first name")
    explain.add_argument("--section", action="append", metavar="NAME", help="a section; may be given more than once (default: all)")
    _command(commands, "ledger", "the balance: received = recorded + unchanged + ignored + held, per source and day", questions.ledger)
    _command(commands, "status", "what runs, what waits, which sources are silent", questions.status)
    _command(commands, "doctor", "what is wrong here, and what to do about it", questions.doctor)


def _add_care(commands: _Commands[argparse.ArgumentParser]) -> None:
    from hub.cli import care

    rebuild = _command(commands, "rebuild", "build the views anew from the log beside the running ones, prove them equal, switch", care.rebuild)
    rebuild.add_argument("--check", action="store_true", help="only compare; switch nothing")
    rebuild.add_argument("--processes", type=int, default=2, metavar="N")
    held = _command(commands, "held", "what waits and why; send it through again, or let it go with a reason", care.held)
    held.add_argument("--again", metavar="ID", help="map the message of this item again ('all' for every one)")
    held.add_argument("--dismiss", metavar="ID", help="let this item go")
    held.add_argument("--why", metavar="TEXT", default="", help="the reason, with --dismiss")


def _add_demo(commands: _Commands[argparse.ArgumentParser]) -> None:
    from hub.cli import demo

    command = commands.add_parser("demo", help="about the running demo", description="About the running demo.")
    parts = command.add_subparsers(dest="part", metavar="part", required=True)
    _command(parts, "info", "ports, senders, accounts and women of the demo", demo.info)
    token = _command(parts, "token", "a bearer token for a person or system of the demo", demo.token, as_json=False)
    token.add_argument("name", metavar="NAME")


