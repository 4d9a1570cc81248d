"""A real PostgreSQL cluster of our own, from Debian's packages, on a free loopback port; never the machine's own `main`."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg

from hub.database import open_postgres
from tests.parts import PartMissing
from tests.parts.ports import dies_with_us, free_ports

TEMPLATE = "ooievaar_template"
_PREFIX = "ooi-pg-"


def postgres_programs() -> Path:
    """The folder with the newest installed `initdb` and `postgres`; raises `PartMissing`."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if not found:
        raise PartMissing("PostgreSQL (apt-get install postgresql, or run deploy/parts.sh)")
    return found[-1].parent


class PostgresCluster:
    """A running server whose template database has all tables of the hub."""

    def __init__(self) -> None:
        self._programs = postgres_programs()
        _sweep()
        # Short, because a socket path has at most 107 bytes, and where the user postgres may enter.
        self._folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir="/tmp"))
        (self._folder / "owner").write_text(str(os.getpid()))
        # PostgreSQL refuses to run as root.
        self._user = "postgres" if os.geteuid() == 0 else None
        if self._user:
            shutil.chown(self._folder, self._user, self._user)
        subprocess.run([self._programs / "initdb", "-D", self._folder / "data", "-U", "ooievaar", "-A", "trust", "-E", "UTF8",
                        "--locale=C.UTF-8", "--no-sync"], cwd="/", user=self._user, check=True, stdin=subprocess.DEVNULL,
                       stdout=subprocess.DEVNULL, timeout=60)
        self._process: subprocess.Popen[bytes] | None = None
        [self.port] = free_ports(1)

    def start(self) -> None:
        """Start the server and wait until it answers."""
        options = {"listen_addresses": "127.0.0.1", "port": self.port, "unix_socket_directories": self._folder, "shared_buffers": "64MB",
                   "fsync": "on", "max_connections": "200"}
        with (self._folder / "log").open("ab") as out:
            self._process = subprocess.Popen(
                [self._programs / "postgres", "-D", self._folder / "data", *(f"--{name}={value}" for name, value in options.items())],
                cwd="/", user=self._user, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
                preexec_fn=dies_with_us(signal.SIGQUIT))
        self._wait_ready(time.monotonic() + 30)

    def kill(self) -> None:
        """End the server and all its backends at once, as a crash does; what was committed is there after `start`.

        Killing the postmaster alone would leave backends that may still commit beside the server that is started next: no crash does that.
        """
        assert self._process is not None, "start it first"
        self._process.send_signal(signal.SIGQUIT)
        self._process.wait(20)

    def stop(self) -> None:
        """End the server at once and remove its files."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(10)
        shutil.rmtree(self._folder, ignore_errors=True)

    def make_template(self) -> None:
        """A database with all tables, from which each test gets a copy."""
        self._admin(f"CREATE DATABASE {TEMPLATE}")
        open_postgres(self.url(TEMPLATE)).close()

    @contextlib.contextmanager
    def database(self) -> Iterator[str]:
        """The URL of a fresh database with all tables, dropped afterwards."""
        name = f"t_{uuid.uuid4().hex[:12]}"
        self._admin(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}")
        try:
            yield self.url(name)
        finally:
            self._admin(f"DROP DATABASE {name} WITH (FORCE)")

    def url(self, database: str = "postgres") -> str:
        """How to reach a database."""
        return f"postgresql://ooievaar@127.0.0.1:{self.port}/{database}"

    def _admin(self, statement: str) -> None:
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(statement.encode())

    def _wait_ready(self, deadline: float) -> None:
        while True:
            try:
                psycopg.connect(self.url(), connect_timeout=2).close()
                return
            except psycopg.OperationalError:
                assert self._process is not None
                if time.monotonic() > deadline or self._process.poll() is not None:
                    raise RuntimeError("PostgreSQL is not ready:\n" + (self._folder / "log").read_text()[-3000:]) from None
                time.sleep(0.02)


def _sweep() -> None:
    """Remove folders of test runs that were killed; their servers ended with them."""
    for folder in Path("/tmp").glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError, ValueError):
            if not Path(f"/proc/{int((folder / 'owner').read_text())}").exists():
                shutil.rmtree(folder, ignore_errors=True)
