"""kill -9 at any moment, of any process, under load: nothing acknowledged is lost, nothing counts twice, no answer goes unrecorded."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import pytest

from connectors.practice.simulator import NOOR
from fhir_profiles.identifiers import Bsn, pseudonym_of
from hub import wiring
from hub.settings import Settings
from hub.stores import Stores, open_stores
from tests.chaos import proof
from tests.chaos.senders import Addresses, Outside
from tests.journeys.hub_process import HubProcess, RunningHub, embedded, scaled
from tests.parts.broker import Broker, Cluster
from tests.parts.postgres import PostgresCluster

pytestmark = pytest.mark.slow

CAUGHT_UP_S = 90.0
"""By when all that was sent is acknowledged, mapped and folded again: a group of readers misses a killed member for ten seconds."""


@dataclass
class Chaos:
    """One run: a hub under load, and the means to look into it."""

    hub: RunningHub
    settings: Settings
    outside: Outside
    random: Random
    seed: int
    killed: list[str] = field(default_factory=list)

    def kill(self, process: HubProcess) -> None:
        """SIGKILL it and start it again, at once or a moment later."""
        process.kill()
        self.killed.append(process.name)
        time.sleep(self.random.choice((0.0, self.random.uniform(0.0, 0.4))))
        process.start()

    def round(self, number: int, victim: Callable[[], HubProcess | None]) -> None:
        """Kill at some moment of the next seconds: often the victim of the last round is at work again, sometimes it has only half started."""
        time.sleep(self.random.uniform(0.05, 2.0))
        process = victim()
        if process is None:
            return
        self.kill(process)
        if number % 3 == 2:
            process.wait_ready()


@contextlib.contextmanager
def under_load(hub: RunningHub, seed: int, rate: float, monkeypatch: pytest.MonkeyPatch) -> Iterator[Chaos]:
    """The hub with everyone talking to it."""
    for name, value in hub.settings.items():
        monkeypatch.setenv(f"OOIEVAAR_{name}", value)
    settings = Settings(data=hub.data, demo=True)
    with contextlib.closing(open_stores(settings, create=False)) as stores:
        subject = pseudonym_of(Bsn(NOOR.bsn), wiring.pseudonym_key(stores))
    issuer = wiring.demo_issuer(settings, hub.http)
    tokens = {name: issuer.issue(name) for name in ("praktijk", "marit", "noor")}
    outside = Outside(Addresses(hub.mllp_port, hub.intake, hub.http), tokens, subject, rate, seed)
    outside.start()
    try:
        yield Chaos(hub, settings, outside, Random(seed), seed)
    finally:
        outside.close()


def prove(chaos: Chaos, folder: Path, rounds: int, told: str) -> None:
    """Let everything come to rest, end all processes in order, and hold what is there against what the outside saw."""
    chaos.outside.finish(CAUGHT_UP_S)
    for process in chaos.hub.processes.values():
        process.wait_ready()
    with contextlib.closing(open_stores(chaos.settings, create=False)) as stores:
        proof.wait_until_quiet(chaos.settings, stores, CAUGHT_UP_S)
        assert set(chaos.hub.stop().values()) == {0}, "a process did not end in order"
        truth = proof.read_truth(chaos.settings, stores)
        answers = _hold_against(chaos, stores, truth, folder)
    tally, killed = chaos.outside.tally, {name: chaos.killed.count(name) for name in sorted(set(chaos.killed))}
    print(f"\nchaos {told}: seed {chaos.seed}, {rounds} rounds, killed {killed}, {len(tally.sent)} messages sent {tally.sent.total()} times, "
          f"{tally.acked.total()} acknowledged, {len(truth.received)} durable, {len(truth.events)} events, {answers} answers with data, "
          f"{tally.later} asked to send later")
    assert answers and len(tally.acked) > rounds, "the load was too small to prove anything"


def _hold_against(chaos: Chaos, stores: Stores, truth: proof.Truth, folder: Path) -> int:
    """Hold what is there against what the outside saw; returns how many answers with data were given."""
    proof.assert_nothing_acknowledged_is_lost(truth, chaos.outside.tally)
    proof.assert_nothing_counts_twice(truth, chaos.hub)
    proof.assert_the_events_are_those_of_the_messages(truth, chaos.settings, stores, folder)
    if chaos.settings.log == "kafka":
        proof.assert_the_archive_is_the_log(truth, chaos.settings, stores)
    proof.assert_the_views_equal_a_rebuild(chaos.hub)
    return proof.assert_every_answer_is_in_the_trail(chaos.outside.tally, stores)


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """The seed given, or a new one; printed with the outcome."""
    given: int | None = request.config.getoption("--seed")
    made = given if given is not None else int.from_bytes(os.urandom(4))
    print(f"\nchaos: --seed {made}")
    return made


@pytest.fixture
def rounds(request: pytest.FixtureRequest) -> int:
    """How many processes are killed over both forms of the hub."""
    return int(request.config.getoption("--rounds"))


def test_the_embedded_hub_loses_and_doubles_nothing_when_it_is_killed(
    tmp_path: Path, seed: int, rounds: int, monkeypatch: pytest.MonkeyPatch,
) -> None:
    with embedded(tmp_path) as hub, under_load(hub, seed, 200, monkeypatch) as chaos:
        for number in range(rounds - rounds // 2):
            chaos.round(number, lambda: hub.processes["up"])
        prove(chaos, tmp_path, rounds - rounds // 2, "embedded")


def test_the_hub_on_kafka_and_postgresql_loses_and_doubles_nothing_when_any_part_is_killed(
    tmp_path: Path, seed: int, rounds: int, kafka: Cluster, postgres: str, postgres_cluster: PostgresCluster, monkeypatch: pytest.MonkeyPatch,
) -> None:
    with scaled(tmp_path, postgres, _topics(kafka, 1)) as hub, under_load(hub, seed, 100, monkeypatch) as chaos:
        parts = {4: lambda: _kill_broker(kafka.brokers[0], chaos), 9: lambda: _kill_postgres(postgres_cluster, chaos)}
        for number in range(rounds // 2):
            part = parts.get(number % 15)
            chaos.round(number, part if part is not None else lambda: chaos.random.choice(list(hub.processes.values())))
        prove(chaos, tmp_path, rounds // 2, "Kafka and PostgreSQL")


def test_the_flow_goes_on_and_nothing_is_lost_when_one_broker_of_three_is_killed(
    tmp_path: Path, seed: int, kafka_three: Cluster, postgres: str, monkeypatch: pytest.MonkeyPatch,
) -> None:
    with scaled(tmp_path, postgres, _topics(kafka_three, 3)) as hub, under_load(hub, seed, 60, monkeypatch) as chaos:
        time.sleep(2)
        broker = chaos.random.choice(kafka_three.brokers)
        broker.kill()
        chaos.killed.append("broker")
        try:
            _wait_for_more(chaos, 300)
        finally:
            broker.start()
            broker.wait_ready()
        prove(chaos, tmp_path, 1, "one broker of three")


def _wait_for_more(chaos: Chaos, messages: int) -> None:
    """Return when so many more messages were acknowledged."""
    before, deadline = len(chaos.outside.tally.acked), time.monotonic() + 45
    while len(chaos.outside.tally.acked) < before + messages:
        assert time.monotonic() < deadline, "the flow does not go on with two brokers of three"
        time.sleep(0.1)


def _topics(kafka: Cluster, replicas: int) -> dict[str, str]:
    """Topics of this test's own on the brokers, as settings."""
    mine = os.urandom(4).hex()
    return {"KAFKA__BOOTSTRAP": kafka.settings.bootstrap, "KAFKA__RECEIVED_TOPIC": f"received-{mine}", "KAFKA__RECORDED_TOPIC": f"recorded-{mine}",
            "KAFKA__PARTITIONS": "3", "KAFKA__REPLICATION": str(replicas), "KAFKA__MIN_INSYNC": "2" if replicas == 3 else "1"}


def _kill_broker(broker: Broker, chaos: Chaos) -> None:
    """The only broker; started again at once."""
    chaos.killed.append("broker")
    broker.kill()
    broker.start()


def _kill_postgres(server: PostgresCluster, chaos: Chaos) -> None:
    """The whole server; it starts again as soon as its own orphans are gone."""
    chaos.killed.append("postgres")
    server.kill()
    for attempt in range(20):
        try:
            server.start()
            return
        except RuntimeError:
            assert attempt < 19, "PostgreSQL does not start again"
            time.sleep(0.2)
