"""A hub as an operator runs it: real processes on free ports, in a folder of their own, with everything they print kept in files.

`embedded` is one `ooievaar up --demo --no-simulators`; `scaled` is `connect`, `map`, `project` and `serve` on Kafka and PostgreSQL. Both are
a `RunningHub`, so a journey is told once. Every process is ended by its id, and with the test run.
"""

from __future__ import annotations

import contextlib
import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import httpx2
import orjson

from hub.cli import main
from tests.parts.ports import dies_with_us, free_ports

ROOT = Path(__file__).parents[2]
READY_S = 60.0
HOST = "127.0.0.1"


class NotReady(Exception):
    """A process ended, or did not become ready in time; holds the end of what it printed."""


def environment(settings: Mapping[str, str]) -> dict[str, str]:
    """The environment of a hub process: that of the test run, with these settings and no others."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OOIEVAAR_")}
    return {**kept, **{f"OOIEVAAR_{name}": value for name, value in settings.items()}, "PYTHONUNBUFFERED": "1"}


@dataclass
class HubProcess:
    """One process: `ooievaar` with these arguments. It may be killed and started again; its output files grow on."""

    name: str
    arguments: Sequence[str]
    settings: Mapping[str, str]
    folder: Path
    port: int
    _process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; it is not ready yet."""
        command = [sys.executable, "-m", "hub.cli", *self.arguments]
        with self.stdout.open("ab") as out, self.stderr.open("ab") as err:
            self._process = subprocess.Popen(command, cwd=ROOT, env=environment(self.settings), stdin=subprocess.DEVNULL, stdout=out, stderr=err,
                                             preexec_fn=dies_with_us(signal.SIGKILL))

    @property
    def stdout(self) -> Path:
        """What it prints for people."""
        return self.folder / f"{self.name}.out"

    @property
    def stderr(self) -> Path:
        """What it logs."""
        return self.folder / f"{self.name}.err"

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._running().pid

    def wait_ready(self, timeout_s: float = READY_S) -> None:
        """Return when `/ready` says yes. Raises `NotReady`."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline and self._running().poll() is None:
            with contextlib.suppress(httpx2.HTTPError):
                # Without `verify=False` each look would read the certificates of the world first: half a core, taken from what we wait for.
                if httpx2.get(f"http://{HOST}:{self.port}/ready", timeout=3, trust_env=False, verify=False).status_code == 200:
                    return
            time.sleep(0.1)
        code = self._running().poll()
        raise NotReady(f"{self.name} is not ready (exit code {code}):\n{self.stderr.read_text()[-3000:]}")

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        self._running().kill()
        self._running().wait(10)

    def stop(self, grace_s: float = 20) -> int:
        """Ask it to end, and give its exit code; one that does not end in time is killed and fails the test."""
        self._running().terminate()
        try:
            return self._running().wait(grace_s)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self.name} did not stop within {grace_s} s") from None

    def close(self) -> None:
        """End it, whatever state it is in."""
        if self._process is not None and self._process.poll() is None:
            self.kill()

    def _running(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "start it first"
        return self._process


@dataclass(frozen=True)
class Said:
    """How a command ended."""

    code: int
    out: str
    err: str


@dataclass
class RunningHub:
    """A running hub. `http` is where people and systems read, `intake` where a practice posts; `settings` are those that all processes share."""

    data: Path
    settings: Mapping[str, str]
    processes: dict[str, HubProcess]
    http: str
    intake: str
    mllp_port: int
    folder: Path

    def command(self, *arguments: str, **settings: str) -> Said:
        """Run a command as a process of its own beside the hub, with some settings of its own."""
        told = subprocess.run([sys.executable, "-m", "hub.cli", *arguments, "--data", str(self.data)], cwd=ROOT, stdin=subprocess.DEVNULL,
                              env=environment({**self.settings, **settings}), capture_output=True, text=True, timeout=60)
        return Said(told.returncode, told.stdout, told.stderr)

    def cli(self, *arguments: str) -> Said:
        """The same command within this process: a test asks many questions, and starting Python costs more than the answers."""
        out, err = io.StringIO(), io.StringIO()
        with mock.patch.dict(os.environ, environment(self.settings), clear=True), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main([*arguments, "--data", str(self.data)])
        return Said(code, out.getvalue(), err.getvalue())

    def json(self, *arguments: str, code: int = 0) -> Any:
        """What a command says with `--json`; it must end with this exit code."""
        told = self.cli(*arguments, "--json")
        assert told.code == code, f"{arguments} ended with {told.code}: {told.err[-2000:]} {told.out[-2000:]}"
        return orjson.loads(told.out)

    def token(self, name: str) -> str:
        """A bearer token of the demo, by the command that outsiders use."""
        told = self.cli("demo", "token", name)
        assert told.code == 0, told.err
        return told.out.strip()

    def output(self) -> str:
        """Everything that the processes printed; not what commands answered, which may be a name that was asked for."""
        files = [file for process in self.processes.values() for file in (process.stdout, process.stderr)]
        return "\n".join(file.read_text(errors="replace") for file in files)

    def stop(self) -> dict[str, int]:
        """Stop every process in order; their exit codes."""
        return {name: process.stop() for name, process in self.processes.items()}


@contextlib.contextmanager
def embedded(folder: Path, settings: Mapping[str, str] | None = None, *, simulators: bool = False) -> Iterator[RunningHub]:
    """`ooievaar up --demo` in one process on SQLite."""
    data, shared = folder / "data", dict(settings or {})
    http, mllp = free_ports(2)
    arguments = ["up", "--demo", *([] if simulators else ["--no-simulators"]), "--data", str(data), "--http-port", str(http), "--mllp-port", str(mllp)]
    up = HubProcess("up", arguments, shared, folder, http)
    base = f"http://{HOST}:{http}"
    with _started([up]):
        yield RunningHub(data, shared, {"up": up}, base, base, mllp, folder)


@contextlib.contextmanager
def scaled(folder: Path, database: str, kafka: Mapping[str, str], *, settings: Mapping[str, str] | None = None,
           users: Mapping[str, Mapping[str, str]] | None = None, make_topics: bool = True) -> Iterator[RunningHub]:
    """`connect`, `map`, `project` and `serve` on Kafka and PostgreSQL, started at once.

    `kafka` are the settings of the Kafka client that all share, `users` those of one process ("map": {"KAFKA__USERNAME": …}).
    """
    data, [mllp, *ports] = folder / "data", free_ports(5)
    data.mkdir()
    at = dict(zip(("connect", "map", "project", "serve"), ports, strict=True))
    public = f"http://{HOST}:{at['serve']}"
    shared = {"LOG": "kafka", "DATABASE": database, "DEMO": "true", "KEK_FILE": str(folder / "kek"), "MLLP_PORT": str(mllp), "PUBLIC_URL": public,
              **kafka, **(settings or {})}

    def process(name: str) -> HubProcess:
        arguments = [name, "--data", str(data), "--http-port", str(at[name])]
        return HubProcess(name, arguments, {**shared, **(users or {}).get(name, {})}, folder, at[name])

    hub = RunningHub(data, shared, {name: process(name) for name in at}, public, f"http://{HOST}:{at['connect']}", mllp, folder)
    if make_topics:
        made = hub.command("topics")
        assert made.code == 0, made.err
    with _started(list(hub.processes.values())):
        yield hub


@contextlib.contextmanager
def _started(processes: Sequence[HubProcess]) -> Iterator[None]:
    """Start all at once, as a machine that boots does, and wait until each is ready."""
    try:
        for process in processes:
            process.start()
        for process in processes:
            process.wait_ready()
        yield
    finally:
        for process in processes:
            process.close()
