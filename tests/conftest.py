"""Real parts as fixtures. What is not on this machine skips its tests, loudly; with CI=true it fails them.

`kafka` one plain broker, `kafka_three` three, `kafka_secure` one with TLS, passwords and rights; each is started once a run and its
tests stay on one xdist worker. `postgres` is the URL of a fresh database with all tables.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import TypeVar

import pytest

from tests.parts import PartMissing
from tests.parts.broker import Cluster, start_plain
from tests.parts.postgres import PostgresCluster
from tests.parts.secure import SecureCluster, start_secure

T = TypeVar("T")
MISSING = "PART MISSING:"


def have(make: Callable[[], T]) -> T:
    """What `make` gives; where a part is missing the test is skipped, or failed in CI."""
    try:
        return make()
    except PartMissing as missing:
        reason = f"{MISSING} {missing}"
        if os.environ.get("CI") == "true":
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options of the crash test (tests/chaos); here, because pytest takes options only from the outermost conftest."""
    parser.addoption("--rounds", type=int, default=30, help="how many processes the crash test kills")
    parser.addoption("--seed", type=int, default=None, help="the seed of a crash test that is to be run again")


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One broker. A test that ends it starts it again."""
    cluster = have(lambda: start_plain(tmp_path_factory.mktemp("kafka"), 1))
    yield cluster
    cluster.stop()


@pytest.fixture(scope="session")
def kafka_three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Three brokers. A test that ends one starts it again."""
    cluster = have(lambda: start_plain(tmp_path_factory.mktemp("kafka3"), 3))
    yield cluster
    cluster.stop()


@pytest.fixture(scope="session")
def kafka_secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureCluster]:
    """One broker with TLS 1.3, SCRAM-SHA-512 and a user with its own rights for each process."""
    secure = have(lambda: start_secure(tmp_path_factory.mktemp("kafkasec")))
    yield secure
    secure.cluster.stop()


@pytest.fixture(scope="session")
def postgres_cluster() -> Iterator[PostgresCluster]:
    """A PostgreSQL server."""
    cluster = have(PostgresCluster)
    try:
        cluster.start()
        cluster.make_template()
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture
def postgres(postgres_cluster: PostgresCluster) -> Iterator[str]:
    """The URL of a fresh PostgreSQL database with all tables of the hub."""
    with postgres_cluster.database() as url:
        yield url


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests on one broker stay together: one worker, one broker."""
    for item in items:
        used = getattr(item, "fixturenames", ())
        group = next((name for name in ("kafka_three", "kafka_secure", "kafka") if name in used or item.get_closest_marker(name)), None)
        if group and not item.get_closest_marker("xdist_group"):
            item.add_marker(pytest.mark.xdist_group(group))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> Iterator[None]:
    """Say loudly, as the last thing, how many tests did not run because a part is missing, and which parts."""
    yield
    reasons = [str(report.longrepr[-1]) for report in terminalreporter.stats.get("skipped", ()) if report.longrepr]
    missing = [reason.partition(MISSING)[2].strip() for reason in reasons if MISSING in reason]
    if not missing:
        return
    terminalreporter.section(f"{len(missing)} TESTS DID NOT RUN: PARTS ARE MISSING", sep="!", red=True, bold=True)
    for part in sorted(set(missing)):
        terminalreporter.write_line(f"{missing.count(part):4} x {part}")
