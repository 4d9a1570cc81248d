"""The Kafka log when brokers die, groups change and topics are missing; on real brokers that are really killed."""

from __future__ import annotations

import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from fhir_profiles.errors import TooLarge, Unavailable
from hub.log.kafka import MAX_RECORD, KafkaLog, KafkaReader, KafkaSettings, ensure_topics
from hub.log.port import START, EventLog, Place, Stored
from tests.log.records import Follower, after, by_key, everything, number_of, record, take
from tests.parts.broker import Cluster

pytestmark = pytest.mark.kafka


@dataclass
class Appending:
    """A thread that appends one batch after the other, again until it is acknowledged, as the hub does."""

    log: EventLog
    acknowledged: list[Place] = field(default_factory=list)
    refused: int = 0
    stopping: threading.Event = field(default_factory=threading.Event)
    longest_s: float = 0.0

    def __post_init__(self) -> None:
        self._name = uuid.uuid4().hex[:8]
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def wait_for(self, count: int, timeout_s: float) -> None:
        """Return when so many records more are acknowledged."""
        wanted, deadline = len(self.acknowledged) + count, time.monotonic() + timeout_s
        while len(self.acknowledged) < wanted:
            assert time.monotonic() < deadline, f"{len(self.acknowledged)} of {wanted} acknowledged, {self.refused} times refused"
            time.sleep(0.02)

    def stop(self) -> list[str]:
        """End it; the ids of all that was acknowledged."""
        self.stopping.set()
        self._thread.join(60)
        assert not self._thread.is_alive(), "an append has no end"
        return [f"{self._name}-{n:06d}" for n in range(len(self.acknowledged))]

    def _run(self) -> None:
        while not self.stopping.is_set():
            first = len(self.acknowledged)
            batch = [record(n, key=f"woman-{n % 5}", name=self._name) for n in range(first, first + 20)]
            began = time.monotonic()
            try:
                self.acknowledged += self.log.append(batch)
            except Unavailable:
                self.refused += 1
            self.longest_s = max(self.longest_s, time.monotonic() - began)


@pytest.fixture
def whole_broker(kafka: Cluster) -> Iterator[Cluster]:
    """The one broker, running again after the test whatever happened."""
    yield kafka
    if not kafka.brokers[0].alive():
        kafka.brokers[0].start()
        kafka.brokers[0].wait_ready()


def check_nothing_lost(log: EventLog, acknowledged: list[str], places: list[Place]) -> None:
    """Every acknowledged record is in the log, at the place that was told, in the order of its key, repeats left out."""
    found = everything(log)
    assert set(acknowledged) <= {s.record.id for s in found}
    at = {s.place: s.record.id for s in found}
    assert [at[place] for place in places] == acknowledged
    firsts: dict[str, Stored] = {}
    for stored in found:
        firsts.setdefault(stored.record.id, stored)
    assert all(numbers == sorted(numbers) for numbers in by_key(firsts.values()).values())


def test_nothing_acknowledged_is_lost_when_the_only_broker_is_killed_and_comes_back(whole_broker: Cluster) -> None:
    log = KafkaLog(whole_broker.new_topic(), whole_broker.settings)
    appending = Appending(log)
    appending.wait_for(500, 90)
    whole_broker.brokers[0].kill()
    whole_broker.brokers[0].start()
    whole_broker.brokers[0].wait_ready()
    appending.wait_for(500, 90)
    acknowledged = appending.stop()
    check_nothing_lost(log, acknowledged, appending.acknowledged)
    log.close()


def test_after_an_outage_longer_than_the_delivery_timeout_appending_works_again(whole_broker: Cluster) -> None:
    settings = whole_broker.with_settings(delivery_timeout_ms=2_500, request_timeout_ms=1_500, bootstrap_timeout_ms=1_500)
    log = KafkaLog(whole_broker.new_topic(), settings)
    appending = Appending(log)
    appending.wait_for(100, 90)
    whole_broker.brokers[0].kill()
    deadline = time.monotonic() + 60
    while appending.refused < 2:
        assert time.monotonic() < deadline, "an append without a broker must end"
        time.sleep(0.05)
    whole_broker.brokers[0].start()
    whole_broker.brokers[0].wait_ready()
    appending.wait_for(100, 90)
    acknowledged = appending.stop()
    assert appending.longest_s < 15, "no append takes longer than its time-outs"
    check_nothing_lost(log, acknowledged, appending.acknowledged)
    log.close()


def test_a_reader_goes_on_when_the_broker_comes_back(whole_broker: Cluster) -> None:
    log = KafkaLog(whole_broker.new_topic(), whole_broker.settings)
    log.append([record(1)])
    reader = Follower(log, "sits-it-out")
    take(reader, bool)
    whole_broker.brokers[0].kill()
    assert reader.poll(0.5, 10) == []
    whole_broker.brokers[0].start()
    whole_broker.brokers[0].wait_ready()
    log.append([record(2)])
    assert [number_of(s) for s in take(reader, bool, timeout_s=60)] == [2]
    reader.close()
    log.close()


def test_two_readers_of_a_group_share_the_partitions_and_each_goes_on_from_the_stored_place(kafka: Cluster) -> None:
    log = KafkaLog(kafka.new_topic(partitions=4), kafka.settings)
    log.append([record(n, key=f"woman-{n}") for n in range(100)])
    stored = START

    def start(partition: int) -> int:
        return stored.get(partition, -1)

    def poll(*readers: KafkaReader) -> list[Stored]:
        nonlocal stored
        found: list[Stored] = []
        for reader in readers:
            found += reader.poll(0.1, 50)
            stored = after(stored, found)
        return found

    first = log.reader("shared", start)
    found = _until(lambda: poll(first), lambda found: len(found) >= 100)
    assert len(found) == 100 and first.partitions() == {0, 1, 2, 3}

    second = log.reader("shared", start)
    assert _until(lambda: poll(first, second), lambda _: len(first.partitions()) == 2 and len(second.partitions()) == 2) == []
    assert first.partitions() | second.partitions() == {0, 1, 2, 3}

    log.append([record(n, key=f"woman-{n}") for n in range(100, 200)])
    more = _until(lambda: poll(first, second), lambda more: len(more) >= 100)
    assert sorted(number_of(s) for s in more) == list(range(100, 200)), "each record once, and none of the first hundred"

    first.close()
    assert _until(lambda: poll(second), lambda _: len(second.partitions()) == 4) == [], "the other takes over, after what was stored"
    log.append([record(200 + n, key=f"woman-{n}") for n in range(20)])
    last = _until(lambda: poll(second), lambda last: len(last) >= 20)
    assert sorted(number_of(s) for s in last) == list(range(200, 220))
    second.close()
    log.close()


def _until(poll: Callable[[], list[Stored]], enough: Callable[[list[Stored]], bool], timeout_s: float = 60) -> list[Stored]:
    """Poll until it is enough; what came meanwhile."""
    found: list[Stored] = []
    deadline = time.monotonic() + timeout_s
    while not enough(found):
        assert time.monotonic() < deadline, f"{len(found)} records came"
        found += poll()
    return found


def test_a_reader_that_cannot_find_its_start_reads_nothing(kafka: Cluster) -> None:
    log = KafkaLog(kafka.new_topic(), kafka.settings)
    log.append([record(1)])

    def start(partition: int) -> int:
        raise RuntimeError("the database is away")

    reader = log.reader("lost", start)
    with pytest.raises(Unavailable) as caught:
        take(reader, bool)
    assert caught.value.code == "position-unknown"
    with pytest.raises(Unavailable):
        reader.poll(0.1, 10)
    reader.close()
    log.close()


def test_a_stored_place_that_is_no_longer_in_the_topic_leads_to_what_is_left(kafka: Cluster) -> None:
    log = KafkaLog(kafka.new_topic(partitions=1), kafka.settings)
    log.append([record(1), record(2)])
    reader = log.reader("beyond", lambda _: 1_000_000)
    assert [number_of(s) for s in take(reader, lambda found: len(found) == 2)] == [1, 2]
    reader.close()
    log.close()


def test_a_topic_that_does_not_exist_is_said_at_once(kafka: Cluster) -> None:
    began = time.monotonic()
    with pytest.raises(Unavailable) as caught:
        KafkaLog("no-such-topic", kafka.settings)
    assert caught.value.code == "topic-invisible" and "no-such-topic" in caught.value.public
    assert time.monotonic() - began < 5


def test_no_broker_is_said_within_the_bootstrap_timeout() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # accepts, and says nothing
        settings = KafkaSettings(f"127.0.0.1:{silent.getsockname()[1]}", bootstrap_timeout_ms=1_000, request_timeout_ms=1_000)
        began = time.monotonic()
        with pytest.raises(Unavailable):
            KafkaLog("received", settings)
        assert time.monotonic() - began < 10


def test_a_record_that_no_topic_takes_is_refused_before_anything_is_sent(kafka: Cluster) -> None:
    log = KafkaLog(kafka.new_topic(), kafka.settings)
    with pytest.raises(TooLarge):
        log.append([record(1), record(2, body=bytes(MAX_RECORD))])
    assert log.end() == START
    assert len(log.append([record(3)])) == 1
    log.close()


def test_making_topics_again_changes_nothing(kafka: Cluster) -> None:
    name = f"t-{uuid.uuid4().hex[:12]}"
    assert ensure_topics(kafka.settings, [name], 2, 1, 1) == [name]
    assert ensure_topics(kafka.settings, [name], 5, 1, 1) == []
    log = KafkaLog(name, kafka.settings)
    places = log.append([record(n, key=f"woman-{n}") for n in range(50)])
    assert {place.partition for place in places} == {0, 1}
    log.close()


def test_a_producer_that_is_thrown_away_leaves_no_thread_behind(whole_broker: Cluster) -> None:
    settings = whole_broker.with_settings(delivery_timeout_ms=1_500, request_timeout_ms=1_000, bootstrap_timeout_ms=1_000)
    log = KafkaLog(whole_broker.new_topic(), settings)
    log.append([record(1)])
    whole_broker.brokers[0].kill()
    for _ in range(3):
        with pytest.raises(Unavailable):
            log.append([record(2)])
    deadline = time.monotonic() + 30
    while any("network-thread" in thread.name for thread in threading.enumerate()):
        assert time.monotonic() < deadline, [thread.name for thread in threading.enumerate()]
        time.sleep(0.1)
    log.close()


def test_with_one_of_three_brokers_killed_appending_and_reading_go_on_and_nothing_acknowledged_is_lost(kafka_three: Cluster) -> None:
    log = KafkaLog(kafka_three.new_topic(), kafka_three.settings)
    reader = Follower(log, "goes-on")
    appending = Appending(log)
    appending.wait_for(500, 90)
    kafka_three.brokers[0].kill()
    appending.wait_for(500, 90)
    kafka_three.brokers[0].start()
    kafka_three.brokers[0].wait_ready()
    appending.wait_for(200, 90)
    acknowledged = set(appending.stop())
    check_nothing_lost(log, sorted(acknowledged), appending.acknowledged)
    read: set[str] = set()
    deadline = time.monotonic() + 60
    while not acknowledged <= read:
        assert time.monotonic() < deadline, f"{len(read)} of {len(acknowledged)} read"
        read |= {s.record.id for s in reader.poll(0.5, 500)}
    reader.close()
    log.close()


def test_looking_up_goes_on_when_the_leader_moved_while_nothing_was_asked(kafka_three: Cluster) -> None:
    log = KafkaLog(kafka_three.new_topic(partitions=6), kafka_three.settings)
    places = log.append([record(n, key=f"woman-{n}") for n in range(30)])
    kafka_three.brokers[1].kill()
    writer = KafkaLog(log.topic, kafka_three.settings)
    appending = Appending(writer)
    appending.wait_for(200, 90)
    kafka_three.brokers[1].start()
    kafka_three.brokers[1].wait_ready()
    appending.stop()
    assert [number_of(Stored(place, found)) for place in places if (found := log.get(place))] == list(range(30))
    assert log.end() == writer.end() and len(everything(log)) >= 230
    log.close()
    writer.close()
