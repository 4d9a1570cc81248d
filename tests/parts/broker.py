"""Real Apache Kafka brokers in KRaft mode, one or three, from the jars in `deploy/kafka/lib`."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import hashlib
import os
import shutil
import signal
import socket
import subprocess
import time
import uuid
from collections.abc import Mapping
from pathlib import Path

from kafka import KafkaAdminClient

from hub.log.kafka import KafkaSettings, ensure_topics
from tests.parts import PartMissing
from tests.parts.ports import dies_with_us, free_ports

KAFKA = Path(__file__).parents[2] / "deploy" / "kafka"
_JVM = ("-Xms64m", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Djava.awt.headless=true",
        f"-Dlog4j2.configurationFile={KAFKA / 'log4j2.properties'}", "-cp", f"{KAFKA / 'lib'}/*")

# Waits short enough for tests: after a kill -9 a node may not register again until its old session has run out (9 s by default).
_QUICK = {"broker.session.timeout.ms": "3000", "broker.heartbeat.interval.ms": "400", "group.initial.rebalance.delay.ms": "0"}
_QUICK_QUORUM = {"controller.quorum.election.timeout.ms": "700", "controller.quorum.fetch.timeout.ms": "1500"}


def check_jars() -> None:
    """Raises `PartMissing` unless Java is here and the jars are exactly those of `jars.sha256`."""
    if shutil.which("java") is None:
        raise PartMissing("java (apt-get install default-jre-headless)")
    for line in (KAFKA / "jars.sha256").read_text().splitlines():
        wanted, name = line.split()
        jar = KAFKA / "lib" / name
        if not jar.exists():
            raise PartMissing(f"Kafka's {name} (run deploy/parts.sh)")
        if hashlib.sha256(jar.read_bytes()).hexdigest() != wanted:
            raise PartMissing(f"a good copy of Kafka's {name} (delete deploy/kafka/lib and run deploy/parts.sh)")


class Broker:
    """One node. `client` is what an admin client needs besides the address."""

    def __init__(self, home: Path, settings: Mapping[str, str], cluster: str, address: str, *,
                 client: Mapping[str, object] | None = None, format_options: tuple[str, ...] = ()) -> None:
        self.home, self.address, self._client = home, address, dict(client or {})
        self._file = home / "server.properties"
        self._process: subprocess.Popen[bytes] | None = None
        home.mkdir(parents=True)
        self._file.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
        self._file.chmod(0o600)
        # "=": a cluster id may begin with a dash.
        made = subprocess.run(["java", *_JVM, "kafka.tools.StorageTool", "format", f"--cluster-id={cluster}", "-c", str(self._file),
                               *format_options], capture_output=True, text=True, timeout=60)
        if made.returncode:
            raise RuntimeError(made.stdout + made.stderr)

    def start(self) -> None:
        """Start the node; it is not ready yet."""
        with (self.home / "broker.log").open("ab") as out:
            self._process = subprocess.Popen(["java", *_JVM, "kafka.Kafka", str(self._file)], cwd=self.home, stdin=subprocess.DEVNULL,
                                             stdout=out, stderr=subprocess.STDOUT, preexec_fn=dies_with_us(signal.SIGKILL))

    def wait_ready(self, timeout_s: float = 60) -> None:
        """Return when the node answers an admin client; raises RuntimeError with the end of its log when it does not."""
        deadline, last = time.monotonic() + timeout_s, ""
        while time.monotonic() < deadline and self.alive():
            last = self._ask()
            if not last:
                return
            time.sleep(0.05)
        code = self._running().poll()
        self.kill()
        raise RuntimeError(f"kafka is not ready (exit {code}, {last}):\n" + (self.home / "broker.log").read_text()[-3000:])

    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def terminate(self) -> None:
        """Ask it to end."""
        self._running().terminate()

    def stop(self, grace_s: float = 10) -> None:
        """End it in order; a node that has lost its quorum never does so by itself, and is killed."""
        if not self.alive():
            return
        self.terminate()
        try:
            self._running().wait(grace_s)
        except subprocess.TimeoutExpired:
            self.kill()

    def _running(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "start it first"
        return self._process

    def _ask(self) -> str:
        """Empty when the node answers, else what went wrong."""
        host, port = self.address.rsplit(":", 1)
        try:
            socket.create_connection((host, int(port)), 0.2).close()
            admin = KafkaAdminClient(bootstrap_servers=self.address, bootstrap_timeout_ms=2000, request_timeout_ms=2000, **self._client)
            with contextlib.closing(admin):
                return "" if admin.describe_cluster()["brokers"] else "no brokers"
        except Exception as error:
            return repr(error)


@dataclasses.dataclass
class Cluster:
    """Brokers that belong together, and settings with which a hub reaches them quickly enough for a test."""

    brokers: list[Broker]
    settings: KafkaSettings

    def new_topic(self, partitions: int = 3) -> str:
        """A topic nobody else uses."""
        name = f"t-{uuid.uuid4().hex[:12]}"
        replicas = len(self.brokers)
        ensure_topics(self.settings, [name], partitions, replicas, 2 if replicas == 3 else 1)
        return name

    def with_settings(self, **changes: object) -> KafkaSettings:
        """The settings with some changed."""
        return dataclasses.replace(self.settings, **changes)  # type: ignore[arg-type]  # names and types are KafkaSettings' own

    def stop(self) -> None:
        """Ask all at once, then wait: the last of three alone would wait for a quorum that never comes."""
        for broker in self.brokers:
            if broker.alive():
                broker.terminate()
        for broker in self.brokers:
            broker.stop(5)


def new_cluster_id() -> str:
    """A random cluster id in the form that Kafka takes."""
    return base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")


def node_settings(node: int, nodes: int, voters: str, data: Path) -> dict[str, str]:
    """Settings of one of one or three nodes that hold whatever the listeners are."""
    least = "1" if nodes == 1 else "2"
    internal = {name: str(nodes) for name in (
        "offsets.topic.replication.factor", "offsets.topic.num.partitions", "transaction.state.log.replication.factor",
        "transaction.state.log.num.partitions", "share.coordinator.state.topic.replication.factor", "default.replication.factor")}
    return {
        "process.roles": "broker,controller", "node.id": str(node), "controller.quorum.voters": voters, "log.dirs": str(data),
        "controller.listener.names": "CONTROLLER", "auto.create.topics.enable": "false", "unclean.leader.election.enable": "false",
        "min.insync.replicas": least, "transaction.state.log.min.isr": least, "share.coordinator.state.topic.min.isr": "1",
        "log.cleaner.dedupe.buffer.size": "2097152", **internal, **_QUICK, **(_QUICK_QUORUM if nodes > 1 else {}),
    }


def start_plain(home: Path, nodes: int) -> Cluster:
    """One or three ready brokers without encryption; tries again when a port was taken meanwhile."""
    check_jars()
    for attempt in range(3):
        cluster = _plain(home / f"try{attempt}", nodes)
        try:
            for broker in cluster.brokers:
                broker.start()
            for broker in cluster.brokers:
                broker.wait_ready()
        except RuntimeError as error:
            cluster.stop()
            if attempt == 2 or "Address already in use" not in str(error):
                raise
        else:
            return cluster
    raise AssertionError("unreachable")


def _plain(home: Path, nodes: int) -> Cluster:
    ports = free_ports(2 * nodes)
    outside, inside, cluster_id = ports[:nodes], ports[nodes:], new_cluster_id()
    voters = ",".join(f"{node}@127.0.0.1:{port}" for node, port in enumerate(inside, 1))
    brokers = []
    for node, (port, control) in enumerate(zip(outside, inside, strict=True), 1):
        folder = home / f"node{node}"
        settings = node_settings(node, nodes, voters, folder / "data") | {
            "listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{control}",
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}",
        }
        brokers.append(Broker(folder, settings, cluster_id, f"127.0.0.1:{port}"))
    return Cluster(brokers, quick_settings(",".join(broker.address for broker in brokers)))


def quick_settings(bootstrap: str) -> KafkaSettings:
    """Waits that suit a test."""
    return KafkaSettings(bootstrap, request_timeout_ms=5_000, delivery_timeout_ms=20_000, bootstrap_timeout_ms=5_000,
                         session_timeout_ms=6_000, reconnect_backoff_max_ms=500, client_id=f"test-{os.getpid()}")
