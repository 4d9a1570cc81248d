"""The log on a Kafka topic: order within a key's partition, durable when every in-sync replica has it.

An idempotent producer without transactions, and ids that make repeats harmless. The client (kafka-python 3.0.12) has faults that
shape this file: an idempotent producer never resolves another future once a batch that was already tried has expired, its `close`
then hangs on the same batch, and a consumer that was idle while a leader moved never finds offsets again. So after any doubt the
client is thrown away: the next append makes a new producer, and a look-up is tried once more with a new consumer.

Records travel uncompressed: their bodies are zstd frames that were encrypted, so compressing again costs time and saves nothing.
The broker's own committed offsets are not used: a reader's place is stored with what it made of the records.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import orjson
import structlog
from kafka import ConsumerRebalanceListener, KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import ACL, ACLOperation, ACLPermissionType, ACLResourcePatternType, ResourcePattern, ResourceType
from kafka.errors import KafkaConnectionError, KafkaError, KafkaTimeoutError, TopicAlreadyExistsError

from fhir_profiles.errors import TooLarge, Unavailable
from hub.log.port import Cursor, Place, Record, Stored

R = TypeVar("R")

log = structlog.get_logger(__name__)

HEADER: Final = "ce"
MAX_RECORD: Final = 24 * 1024 * 1024
"""Largest record in bytes: the largest message that is kept, with room for its attributes. The topics are made to take it."""


@dataclass(frozen=True, slots=True)
class KafkaSettings:
    """How to reach the brokers. `bootstrap` is a comma-separated list of host:port; the times are milliseconds.

    `delivery_timeout_ms` must be longer than the longest outage that an append should sit out: a broker that is killed is missed for
    about 13 seconds with Kafka's own defaults.
    """

    bootstrap: str
    security_protocol: str = "PLAINTEXT"
    sasl_mechanism: str = ""
    username: str = ""
    password: str = field(default="", repr=False)
    cafile: str = ""
    certfile: str = ""
    keyfile: str = ""
    client_id: str = "ooievaar"
    linger_ms: int = 0
    request_timeout_ms: int = 10_000
    delivery_timeout_ms: int = 30_000
    bootstrap_timeout_ms: int = 10_000
    session_timeout_ms: int = 10_000
    reconnect_backoff_max_ms: int = 1_000

    def client(self) -> dict[str, Any]:
        """What every client of the library is told."""
        sasl = {"sasl_mechanism": self.sasl_mechanism, "sasl_plain_username": self.username, "sasl_plain_password": self.password}
        files = {"ssl_cafile": self.cafile or None, "ssl_certfile": self.certfile or None, "ssl_keyfile": self.keyfile or None}
        return {
            "bootstrap_servers": self.bootstrap.split(","), "security_protocol": self.security_protocol, "client_id": self.client_id,
            "request_timeout_ms": self.request_timeout_ms, "bootstrap_timeout_ms": self.bootstrap_timeout_ms,
            "reconnect_backoff_max_ms": self.reconnect_backoff_max_ms,
            **(sasl if self.sasl_mechanism else {}), **(files if self.security_protocol.endswith("SSL") else {}),
        }


class KafkaLog:
    """`hub.log.port.EventLog` on one topic. Safe to use from several threads.

    Raises `Unavailable` at once when no broker answers, or when this user cannot see the topic: the library would wait in silence.
    """

    def __init__(self, topic: str, settings: KafkaSettings) -> None:
        self.topic, self._settings = topic, settings
        self._producer: KafkaProducer | None = None
        self._making = threading.Lock()
        self._reading = threading.Lock()
        self._looker: _Looker | None = None
        self._look(lambda looker: None)

    def append(self, records: Sequence[Record]) -> list[Place]:
        """Store all records, then return their places in the same order.

        Raises `Unavailable` when that cannot be known (some may have been stored; send all again), `TooLarge` before anything is sent.
        """
        if any(len(record.body) + 65_536 > MAX_RECORD for record in records):
            raise TooLarge("the message is larger than the log takes", code="record-too-large")
        if not records:
            return []
        producer = self._ready_producer()
        try:
            return _sent(producer, self.topic, records, self._settings.delivery_timeout_ms / 1000)
        except KafkaError as error:
            self._throw_away(producer)
            raise _away(error) from error

    def read(self, after: Cursor, limit: int) -> list[Stored]:
        """Up to `limit` records later than `after`, in order per partition; empty at the present end."""
        return self._look(lambda looker: looker.read(after, limit))

    def get(self, place: Place) -> Record | None:
        """The record at a place, or None when there is none (any more)."""
        return self._look(lambda looker: looker.get(place))

    def end(self) -> Cursor:
        """The place of the last record of every partition that has one."""
        span = self._look(lambda looker: looker.span())
        return Cursor({tp.partition: end - 1 for tp, (begin, end) in span.items() if end > begin})

    def reader(self, name: str, start: Callable[[int], int]) -> KafkaReader:
        """A member of the consumer group `name`; the members share the partitions.

        `start(partition)` gives the offset last taken, -1 for none, each time a partition is taken on. It is called on the client's own
        thread and must be quick. When it raises, the reader is spent: `poll` raises `Unavailable` from then on.
        """
        with _kafka_faults():
            return KafkaReader(self.topic, self._settings, name, start)

    def close(self) -> None:
        """Wait for what is being sent, within the delivery time-out, and give back connections."""
        with self._making:
            producer, self._producer = self._producer, None
        if producer is not None:
            _end(producer, self._settings.delivery_timeout_ms / 1000)
        with self._reading:
            self._drop_looker()

    def _look(self, job: Callable[[_Looker], R]) -> R:
        with self._reading, _kafka_faults():
            if self._looker is not None:
                try:
                    return job(self._looker)
                except KafkaError as error:
                    log.warning("consumer_replaced", route=self.topic, error_type=type(error).__name__)
                    self._drop_looker()
            self._looker = _Looker(self.topic, self._settings)
            return job(self._looker)

    def _drop_looker(self) -> None:
        looker, self._looker = self._looker, None
        if looker is not None:
            looker.close()

    def _ready_producer(self) -> KafkaProducer:
        with self._making, _kafka_faults():
            if self._producer is None:
                self._producer = _new_producer(self._settings)
            return self._producer

    def _throw_away(self, producer: KafkaProducer) -> None:
        with self._making:
            if self._producer is not producer:  # another thread met the same trouble first
                return
            self._producer = None
        log.warning("producer_replaced", route=self.topic)
        _end(producer, 0)


class KafkaReader:
    """`hub.log.port.Reader`: a member of a consumer group; for one thread. What it takes is not committed to the broker."""

    def __init__(self, topic: str, settings: KafkaSettings, name: str, start: Callable[[int], int]) -> None:
        partitions_of(topic, settings)  # an invisible topic would just stay silent
        self._consumer = _new_consumer(settings, group_id=name, session_timeout_ms=settings.session_timeout_ms,
                                       heartbeat_interval_ms=settings.session_timeout_ms // 4)
        self._taking_on = _TakingOn(self._consumer, name, start)
        self._consumer.subscribe([topic], listener=self._taking_on)

    def poll(self, timeout_s: float, limit: int) -> list[Stored]:
        """Up to `limit` next records of the partitions that this member has; waits up to `timeout_s` for the first.

        Raises `Unavailable` when the group or topic refuses this user, or when a start could not be found: close it and make another.
        While the brokers are away it is just empty.
        """
        if self._taking_on.failed:
            raise Unavailable("where to begin reading is not known", code="position-unknown")
        with _kafka_faults():
            found = self._consumer.poll(timeout_ms=max(0, int(timeout_s * 1000)), max_records=limit)
        if self._taking_on.failed:
            raise Unavailable("where to begin reading is not known", code="position-unknown")
        return _flat(found)

    def partitions(self) -> frozenset[int]:
        """The partitions that this member has now."""
        return frozenset(tp.partition for tp in self._consumer.assignment() or ())

    def close(self) -> None:
        """Leave the group, so that the others take over at once."""
        with contextlib.suppress(KafkaError):
            self._consumer.close(autocommit=False)


class _TakingOn(ConsumerRebalanceListener):  # type: ignore[misc]  # the library is not typed
    """Puts a partition at its stored start each time this member takes it on."""

    def __init__(self, consumer: KafkaConsumer, name: str, start: Callable[[int], int]) -> None:
        self._consumer, self._name, self._start = consumer, name, start
        self.failed = False

    def on_partitions_revoked(self, revoked: Sequence[TopicPartition]) -> None:
        """Nothing to give back: the place is stored by whoever uses the reader."""

    def on_partitions_assigned(self, assigned: Sequence[TopicPartition]) -> None:
        """Seek each to the record after the one last taken."""
        try:
            for tp in assigned:
                self._consumer.seek(tp, self._start(tp.partition) + 1)
        except Exception as error:
            # The library would go on from where the broker thinks; reading from a wrong place must not happen.
            self.failed = True
            log.error("start_not_found", reader=self._name, error_type=type(error).__name__)
        log.info("partitions_taken", reader=self._name, count=len(assigned))


class _Looker:
    """Looks things up in the partitions that the topic has now, without a group; for one thread at a time."""

    def __init__(self, topic: str, settings: KafkaSettings) -> None:
        self._topic, self._patience_s = topic, settings.request_timeout_ms / 1000
        self._at: dict[TopicPartition, int] = {}
        self._partitions = [TopicPartition(topic, partition) for partition in partitions_of(topic, settings)]
        self._consumer = _new_consumer(settings, group_id=None)

    def span(self) -> dict[TopicPartition, tuple[int, int]]:
        """For each partition the offset of the first record, and the one after the last."""
        timeout_ms = int(self._patience_s * 1000)
        begins = self._consumer.beginning_offsets(self._partitions, timeout_ms=timeout_ms)
        ends = self._consumer.end_offsets(self._partitions, timeout_ms=timeout_ms)
        return {tp: (begins[tp], ends[tp]) for tp in self._partitions}

    def read(self, after: Cursor, limit: int) -> list[Stored]:
        """Up to `limit` records later than `after`, up to the end as it is now."""
        span = self.span()
        wanted = {tp: max(begin, after.get(tp.partition, -1) + 1) for tp, (begin, _) in span.items()}
        wanted = {tp: at for tp, at in wanted.items() if at < span[tp][1]}
        found: list[Stored] = []
        self._go(wanted)
        deadline = time.monotonic() + self._patience_s
        while len(found) < limit and any(self._at[tp] < span[tp][1] for tp in wanted):
            more = self._take(limit - len(found))
            found += more
            if more:
                deadline = time.monotonic() + self._patience_s
            elif time.monotonic() > deadline:
                raise KafkaTimeoutError("no records came before the end of the topic")
        return found

    def get(self, place: Place) -> Record | None:
        """The record at the place, when it is there."""
        tp = TopicPartition(self._topic, place.partition)
        begin, end = self.span().get(tp, (0, 0))
        if not begin <= place.offset < end:
            return None
        self._go({tp: place.offset})
        deadline = time.monotonic() + self._patience_s
        while not (found := self._take(1)):
            if time.monotonic() > deadline:
                raise KafkaTimeoutError("no records came before the end of the topic")
        return found[0].record if found[0].place == place else None

    def close(self) -> None:
        """Give back the connections."""
        with contextlib.suppress(KafkaError):
            self._consumer.close(autocommit=False)

    def _go(self, wanted: Mapping[TopicPartition, int]) -> None:
        """Be at these offsets; what was fetched ahead is kept when we are there already."""
        if set(wanted) != set(self._at):
            self._consumer.assign(list(wanted))
            self._at = {}
        for tp, offset in wanted.items():
            if self._at.get(tp) != offset:
                self._consumer.seek(tp, offset)
                self._at[tp] = offset

    def _take(self, limit: int) -> list[Stored]:
        found = _flat(self._consumer.poll(timeout_ms=200, max_records=limit))
        for stored in found:
            self._at[TopicPartition(self._topic, stored.place.partition)] = stored.place.offset + 1
        return found


def _sent(producer: KafkaProducer, topic: str, records: Sequence[Record], patience_s: float) -> list[Place]:
    """Send all, then wait for all; a second more than the client's own limit, for a future that never resolves."""
    deadline = time.monotonic() + patience_s + 1
    futures = [producer.send(topic, key=r.key.encode(), value=r.body, headers=[(HEADER, _header(r))]) for r in records]
    metadata = [future.get(timeout=max(0.0, deadline - time.monotonic())) for future in futures]
    return [Place(m.partition, m.offset) for m in metadata]


def _header(record: Record) -> bytes:
    return orjson.dumps({**record.attributes, "id": record.id})


def _flat(found: Mapping[TopicPartition, Sequence[Any]]) -> list[Stored]:
    return [_stored(message) for messages in found.values() for message in messages]


def _stored(message: Any) -> Stored:
    attributes = orjson.loads(dict(message.headers)[HEADER])
    return Stored(Place(message.partition, message.offset), Record(attributes["id"], message.key.decode(), attributes, message.value))


def _new_producer(settings: KafkaSettings) -> KafkaProducer:
    return KafkaProducer(
        **settings.client(), acks="all", enable_idempotence=True, compression_type=None, linger_ms=settings.linger_ms, batch_size=262_144,
        max_request_size=MAX_RECORD, delivery_timeout_ms=settings.delivery_timeout_ms, max_block_ms=settings.request_timeout_ms,
        allow_auto_create_topics=False,
    )


def _new_consumer(settings: KafkaSettings, **more: Any) -> KafkaConsumer:
    # Where the stored place is no longer in the topic, what is left is read from its beginning: a repeat is harmless, a gap is not.
    return KafkaConsumer(**settings.client(), enable_auto_commit=False, auto_offset_reset="earliest", allow_auto_create_topics=False,
                         **more)


def partitions_of(topic: str, settings: KafkaSettings) -> list[int]:
    """The partitions of the topic; raises `Unavailable` when it does not exist, is not open to this user, or no broker answers.

    Asked with an admin client, whose waits have an end: a consumer waits for ever. The library may ask a broker that has just died,
    so it is asked again until the request time-out is over.
    """
    deadline = time.monotonic() + settings.request_timeout_ms / 1000
    while True:
        try:
            with contextlib.closing(KafkaAdminClient(**settings.client())) as admin:
                [found] = admin.describe_topics([topic])
            break
        except KafkaConnectionError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
    if found["error_code"] or not found["partitions"]:
        raise Unavailable(f"the topic {topic} does not exist or is not open to this user", code="topic-invisible")
    return sorted(partition["partition_index"] for partition in found["partitions"])


def _end(producer: KafkaProducer, timeout_s: float) -> None:
    """Close it, whatever state it is in. Its sender thread is told to drop what it holds, because `close` alone waits for a batch
    that may never resolve and then leaves the thread running; the library has no public way to do this."""
    with contextlib.suppress(KafkaError):
        if timeout_s > 0:
            producer.close(timeout=timeout_s)
            return
    producer._sender.force_close()
    producer._sender.join(1)
    with contextlib.suppress(KafkaError):
        producer.close(timeout=0)


@contextlib.contextmanager
def _kafka_faults() -> Iterator[None]:
    """Whatever the library raises, as `Unavailable`."""
    try:
        yield
    except KafkaError as error:
        raise _away(error) from error


def _away(error: KafkaError) -> Unavailable:
    log.warning("kafka_failed", error_type=type(error).__name__)
    code = "log-forbidden" if "Authorization" in f"{type(error).__name__} {error}" else "log-away"
    return Unavailable("the log cannot be reached; send it again later", code=code)


# For the operator: topics and rights.

RIGHTS: Final[Mapping[str, tuple[tuple[ResourceType, str, ACLOperation], ...]]] = {
    "connect": ((ResourceType.TOPIC, "received", ACLOperation.WRITE),),
    "map": (
        (ResourceType.TOPIC, "received", ACLOperation.READ), (ResourceType.GROUP, "map", ACLOperation.READ),
        (ResourceType.TOPIC, "recorded", ACLOperation.WRITE),
    ),
    "project": ((ResourceType.TOPIC, "recorded", ACLOperation.READ), (ResourceType.GROUP, "project", ACLOperation.READ)),
    "serve": ((ResourceType.TOPIC, "received", ACLOperation.DESCRIBE), (ResourceType.TOPIC, "recorded", ACLOperation.DESCRIBE)),
}
"""What each process may do, and no more: `map` may read `received` in groups whose name begins with `map`, and so on."""


def ensure_topics(settings: KafkaSettings, names: Sequence[str], partitions: int, replication: int, min_isr: int) -> list[str]:
    """Make the topics that are not there yet, kept for ever; returns which. One that exists is left as it is."""
    configs = {"retention.ms": "-1", "cleanup.policy": "delete", "min.insync.replicas": str(min_isr), "max.message.bytes": str(MAX_RECORD),
               "compression.type": "producer", "unclean.leader.election.enable": "false"}
    made = []
    with _admin(settings) as admin:
        for name in names:
            wanted = {name: {"num_partitions": partitions, "replication_factor": replication, "configs": configs}}
            try:
                admin.create_topics(wanted, wait_for_metadata=True)
            except TopicAlreadyExistsError:
                continue
            made.append(name)
    return made


def ensure_rights(settings: KafkaSettings, users: Mapping[str, str]) -> None:
    """Give the user of each process (`{"map": "User:map", …}`) the rights in `RIGHTS`. Doing so again changes nothing.

    Raises `Unavailable` when the broker does not take all of them.
    """
    rights = [_right(user, *right) for process, user in users.items() for right in RIGHTS[process]]
    with _admin(settings) as admin:
        failed = admin.create_acls(rights)["failed"]
    if failed:
        raise Unavailable("the broker did not take all rights", code="rights-refused")


def _right(user: str, kind: ResourceType, name: str, operation: ACLOperation) -> ACL:
    pattern = ACLResourcePatternType.PREFIXED if kind is ResourceType.GROUP else ACLResourcePatternType.LITERAL
    return ACL(user, "*", operation, ACLPermissionType.ALLOW, ResourcePattern(kind, name, pattern))


@contextlib.contextmanager
def _admin(settings: KafkaSettings) -> Iterator[KafkaAdminClient]:
    """A fresh client for each job: a long-lived one keeps asking a controller that is gone."""
    with _kafka_faults(), contextlib.closing(KafkaAdminClient(**settings.client())) as admin:
        yield admin
