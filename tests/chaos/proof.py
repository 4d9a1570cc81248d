"""What must hold after any number of kills, read from the stores of a hub that stands still, and compared with what the outside saw."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import orjson
from sqlalchemy import select

from audit.check import check
from audit.entry import ERROR, REFUSED, SUCCESS
from audit.trail import EVERYTHING, Trail
from connectors.formats.hl7v2 import MEDIA_TYPE, peek
from hub import wiring
from hub.database import open_sqlite
from hub.log import position
from hub.log.envelope import Envelope, unpack
from hub.log.port import START, Cursor, EventLog, Record, Stored
from hub.log.received import to_incoming
from hub.loops import PROJECT, backlog
from hub.settings import Settings
from hub.stores import Stores, open_received, open_recorded
from hub.tables import recorded
from tests.chaos.senders import Tally
from tests.journeys.hub_process import RunningHub

RESULTS: Final = 4
"""Results in one message of the hospital; each makes one event, however often the message came."""

_PAGE: Final = 1_000
_BATCH: Final = 150


@dataclass(frozen=True)
class Truth:
    """What the stores hold. `messages`: per received record the control id (or Bundle id); `copies`: how often each of those stands in the log."""

    received: list[Stored]
    messages: dict[str, str]
    copies: Counter[str]
    events: list[Envelope]


def all_of(log: EventLog) -> list[Stored]:
    """Every record of a log, in order per partition, a record that stands in it twice once."""
    found: dict[str, Stored] = {}
    at = Cursor(dict(START))
    while page := log.read(at, _PAGE):
        for stored in page:
            found.setdefault(stored.record.id, stored)
            at[stored.place.partition] = max(stored.place.offset, at.get(stored.place.partition, -1))
    return list(found.values())


def wait_until_quiet(settings: Settings, stores: Stores, timeout_s: float) -> None:
    """Return when nothing waits to be mapped or to be folded."""
    received, events = open_received(settings, stores, "chaos"), open_recorded(settings, stores, "chaos")
    deadline = time.monotonic() + timeout_s
    try:
        while (left := backlog(received, stores.hub)) or (unfolded := _unfolded(settings, stores, events)):
            waits = f"{left} messages wait to be mapped" if left else f"{unfolded} records wait to be folded"
            assert time.monotonic() < deadline, f"after {timeout_s} s {waits}"
            time.sleep(0.1)
    finally:
        received.close()
        events.close()


def _unfolded(settings: Settings, stores: Stores, events: EventLog) -> int:
    if settings.log == "sqlite":
        return 0  # one transaction maps and folds
    with stores.hub.read() as tx:
        at = position.load(tx, PROJECT)
    return sum(last - at.get(partition, -1) for partition, last in events.end().items())


def read_truth(settings: Settings, stores: Stores) -> Truth:
    """Read and open all that the stores hold."""
    log = open_received(settings, stores, "chaos")
    kept = all_of(log)
    log.close()
    messages = {stored.record.id: _named(stored.record, stores) for stored in kept}
    records = list(_archived(stores))
    events = [event for record in records for event in unpack(record, stores.keyring)]
    return Truth(kept, messages, Counter(messages.values()), events)


def _named(record: Record, stores: Stores) -> str:
    incoming = to_incoming(record, stores.keyring)
    return peek(incoming.body).control_id if incoming.media_type == MEDIA_TYPE else str(orjson.loads(incoming.body)["id"])


def _archived(stores: Stores) -> Iterator[Record]:
    """The recorded events by woman in the database, each record once."""
    with stores.hub.read() as tx:
        rows = tx.execute(select(recorded.c.id, recorded.c.key, recorded.c.attributes, recorded.c.body).order_by(recorded.c.place)).all()
    seen: set[str] = set()
    for record_id, key, attributes, body in rows:
        if record_id not in seen:
            seen.add(record_id)
            yield Record(record_id, key, orjson.loads(attributes), bytes(body))


def assert_nothing_acknowledged_is_lost(truth: Truth, tally: Tally) -> None:
    """Each control id stands in `received` at least as often as it was acknowledged, and never more often than it was sent."""
    assert not tally.wrong, tally.wrong[:5]
    lost = {name: n for name, n in tally.acked.items() if truth.copies[name] < n}
    assert not lost, f"{len(lost)} messages were acknowledged and are not there: {list(lost.items())[:5]}"
    invented = {name for name, n in truth.copies.items() if n > tally.sent[name]}
    assert not invented, f"{len(invented)} messages stand in the log more often than they were sent: {sorted(invented)[:5]}"


def assert_nothing_counts_twice(truth: Truth, hub: RunningHub) -> None:
    """No event stands there twice, each message of the hospital made exactly its results, and the ledger says just that."""
    ids = Counter(event.id for event in truth.events)
    twice = [event for event, n in ids.items() if n > 1]
    assert not twice, f"{len(twice)} events are recorded twice"
    made = Counter(truth.messages[event.origin.message] for event in truth.events)
    other = {name: made[name] for name in truth.copies if name.startswith("B0") and made[name] != RESULTS}
    assert not other, f"{len(other)} messages did not make {RESULTS} events: {list(other.items())[:5]}"
    rows = hub.json("ledger")
    off = [row for row in rows if row["received"] != row["recorded"] + row["unchanged"] + row["ignored"] + row["held"]]
    assert not off, f"the balance is off: {off}"
    assert sum(row["received"] for row in rows) == len(truth.received), "the ledger counts other messages than the log holds"
    assert sum(row["events"] for row in rows) == len(truth.events), "the ledger counts other events than are recorded"


def assert_the_events_are_those_of_the_messages(truth: Truth, settings: Settings, stores: Stores, folder: Path) -> None:
    """Mapping every received message once, from nothing and without a crash, gives the same events."""
    fresh = open_sqlite(folder / "again.db", ["hub"])
    mapper = wiring.build_mapper(settings, stores)
    wanted: set[str] = set()
    for start in range(0, len(truth.received), _BATCH):
        with fresh.write() as tx:
            wanted.update(event.id for event in mapper.take(tx, truth.received[start:start + _BATCH]).events)
        mapper.committed()
    fresh.close()
    found = {event.id for event in truth.events}
    assert found == wanted, f"{len(wanted - found)} events are missing, {len(found - wanted)} should not be there"


def assert_the_archive_is_the_log(truth: Truth, settings: Settings, stores: Stores) -> None:
    """Every record of the log of events is in the database, and nothing else is."""
    log = open_recorded(settings, stores, "chaos")
    told = {stored.record.id for stored in all_of(log)}
    log.close()
    kept = {record.id for record in _archived(stores)}
    assert told == kept, f"{len(told - kept)} records are not in the archive, {len(kept - told)} are only there"


def assert_the_views_equal_a_rebuild(hub: RunningHub) -> None:
    """Byte for byte, by the command that an operator uses."""
    report = hub.json("rebuild", "--check")
    assert report["equal"] is True, report["differences"][:5]


def assert_every_answer_is_in_the_trail(tally: Tally, stores: Stores) -> int:
    """Each answer with data has its entry, each refusal too; every woman's numbers run on without a hole. Returns how many answers gave data."""
    trail = Trail(stores.audit, stores.keyring, wiring.now)
    entries = {line.entry.about.request_id: line.entry.what.outcome for line in trail.walk(EVERYTHING)}
    wanted = {200: (SUCCESS,), 403: (REFUSED, ERROR)}
    asked = {request_id: status for request_id, status in tally.answers.items() if status in wanted}
    missing = {request_id: status for request_id, status in asked.items() if entries.get(request_id) not in wanted[status]}
    assert not missing, f"{len(missing)} of {len(asked)} answers are not in the trail as given: {[(s, entries.get(r)) for r, s in missing.items()]}"
    odd = Counter(status for status in tally.answers.values() if status not in (*wanted, 503))
    assert not odd, f"answers with other statuses: {odd}"
    checked = check(stores.audit, trail)
    assert checked.whole, f"the trail is not whole: {checked}"
    return list(asked.values()).count(200)
