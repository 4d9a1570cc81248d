"""Group commit: nothing is answered before it is durable, everything is answered once, and pressure slows instead of piling up."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import pytest

from fhir_profiles.errors import Unavailable
from hub.database import Database, open_sqlite
from hub.log.group import LONGEST_DELAY_S, Batcher, GroupCommit
from hub.log.keys import Keyring
from hub.log.port import START, Place, Record
from hub.log.received import Incoming, to_incoming
from hub.log.sqlite import SqliteLog
from hub.tables import received


class Gate:
    """A write that waits until it is let through, and keeps what it was given."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.open = threading.Event()
        self.entered = threading.Semaphore(0)

    def __call__(self, items: list[int]) -> None:
        self.entered.release()
        assert self.open.wait(10)
        self.batches.append(items)


def batcher(write: Callable[[list[int]], None], *, max_batch: int = 100, limit: int = 1000) -> Batcher[int]:
    """A started batcher."""
    made = Batcher(write, max_batch=max_batch, limit=limit, name="test")
    made.start()
    return made


def test_what_waits_while_a_write_runs_goes_into_the_next_one() -> None:
    gate = Gate()
    answers: list[BaseException | None] = []
    made = batcher(gate, max_batch=6)
    made.submit(0, answers.append, None)
    assert gate.entered.acquire(timeout=5)
    for item in range(1, 10):
        made.submit(item, answers.append, None)
    assert answers == [] and made.depth() == 10
    gate.open.set()
    made.stop()
    assert gate.batches == [[0], [1, 2, 3, 4, 5, 6], [7, 8, 9]]
    assert answers == [None] * 10 and made.depth() == 0


def test_more_than_the_limit_is_refused_at_once_and_the_rest_is_kept() -> None:
    gate = Gate()
    answers: list[BaseException | None] = []
    made = batcher(gate, limit=5)
    for item in range(5):
        made.submit(item, answers.append, None)
    with pytest.raises(Unavailable) as caught:
        made.submit(5, answers.append, None)
    assert caught.value.code == "backlog-full"
    gate.open.set()
    made.stop()
    assert sorted(item for batch in gate.batches for item in batch) == [0, 1, 2, 3, 4]
    assert answers == [None] * 5


def test_a_write_that_fails_is_told_to_its_batch_and_the_next_batch_goes_on() -> None:
    fault = Unavailable("the disk is full")
    seen: list[list[int]] = []

    def write(items: list[int]) -> None:
        seen.append(items)
        if len(seen) == 1:
            raise fault

    answers: list[BaseException | None] = []
    made = batcher(write)
    made.submit(1, answers.append, None)
    while not answers:
        time.sleep(0.001)
    made.submit(2, answers.append, None)
    made.stop()
    assert answers == [fault, None] and seen == [[1], [2]]


def test_one_caller_that_fails_does_not_keep_the_answer_from_the_others() -> None:
    gate = Gate()
    answers: list[BaseException | None] = []
    made = batcher(gate)

    def fails(_: BaseException | None) -> None:
        raise ValueError("a fault in the caller")

    made.submit(0, fails, None)
    made.submit(1, answers.append, None)
    gate.open.set()
    made.stop()
    assert answers == [None]


def test_stopping_writes_all_that_was_taken_and_takes_nothing_more() -> None:
    answers: list[BaseException | None] = []
    made = batcher(lambda items: time.sleep(0.01), max_batch=3)
    for item in range(20):
        made.submit(item, answers.append, None)
    made.stop()
    assert answers == [None] * 20
    with pytest.raises(Unavailable):
        made.submit(21, answers.append, None)
    made.stop()


def test_a_write_that_never_ends_does_not_hold_up_stopping_for_ever() -> None:
    gate = Gate()
    answers: list[BaseException | None] = []
    made = batcher(gate, max_batch=1)
    made.submit(0, answers.append, None)
    assert gate.entered.acquire(timeout=5)
    made.submit(1, answers.append, None)
    made.stop(timeout_s=0.1)
    assert [type(answer) for answer in answers] == [Unavailable], "the one that never began is answered; the other may still be kept"
    gate.open.set()


async def test_a_coroutine_waits_until_its_item_is_durable_and_gets_its_error() -> None:
    def write(items: list[int]) -> None:
        if 13 in items:
            raise Unavailable("no")

    made = batcher(write, max_batch=1)
    await asyncio.wait_for(made.done(1), 5)
    with pytest.raises(Unavailable):
        await asyncio.wait_for(made.done(13), 5)
    made.stop()


async def test_what_is_handed_in_within_one_turn_of_the_loop_is_written_together() -> None:
    batches: list[list[int]] = []
    made = Batcher(batches.append, max_batch=50, limit=100, name="test")
    made.start()
    await asyncio.gather(*(made.done(number) for number in range(40)))
    await asyncio.to_thread(made.stop)
    assert batches == [list(range(40))]


async def test_a_coroutine_that_was_cancelled_does_not_disturb_the_batch() -> None:
    gate = Gate()
    made = batcher(gate)
    first, second = asyncio.ensure_future(made.done(1)), asyncio.ensure_future(made.done(2))
    await asyncio.sleep(0.01)
    first.cancel()
    gate.open.set()
    await asyncio.wait_for(second, 5)
    assert first.cancelled()
    made.stop()


def test_a_loop_that_was_closed_does_not_end_the_writer() -> None:
    gate = Gate()
    answers: list[BaseException | None] = []
    made = batcher(gate)
    loop = asyncio.new_event_loop()
    made.submit(1, answers.append, loop)
    loop.close()
    made.submit(2, answers.append, None)
    gate.open.set()
    made.stop()
    assert answers == [None]
    assert sorted(item for batch in gate.batches for item in batch) == [1, 2]


def message(number: int, *, subject: str = "a" * 32, size: int = 20) -> Incoming:
    """An invented message."""
    return Incoming("hix", "hix/00700002", "x-application/hl7-v2+er7", f"{number}|".encode().ljust(size, b"."), subject,
                    "2026-11-24T10:00:00Z", {"peer": "127.0.0.1"})


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """Logs and keys in one file."""
    made = open_sqlite(tmp_path / "hub.db", ["received", "keys"])
    yield made
    made.close()


@pytest.fixture
def keyring(database: Database) -> Keyring:
    """Keys of the test."""
    return Keyring(database, b"k" * 32)


@pytest.fixture
def log(database: Database) -> SqliteLog:
    """The received log."""
    return SqliteLog(database, received)


async def test_an_answer_comes_after_the_message_is_in_the_log(log: SqliteLog, keyring: Keyring) -> None:
    intake = GroupCommit(log, keyring)
    intake.start(asyncio.get_running_loop())
    answered: list[int] = []

    def done(error: BaseException | None) -> None:
        assert error is None
        answered.append(log.end()[0])

    for number in range(50):
        intake.keep(message(number), done)
    await asyncio.wait_for(intake.kept(message(50)), 10)
    assert len(answered) == 50 and all(end >= at for at, end in enumerate(answered, 1))
    await asyncio.to_thread(intake.stop)
    stored = [to_incoming(s.record, keyring).body for s in log.read(START, 100)]
    assert stored == [message(number).body for number in range(51)]
    assert intake.depth() == 0


async def test_many_messages_share_a_commit(log: SqliteLog, keyring: Keyring) -> None:
    batches: list[int] = []

    class Counting(SqliteLog):
        def append(self, records: Sequence[Record], tx: object = None) -> list[Place]:
            batches.append(len(records))
            return super().append(records)

    intake = GroupCommit(Counting(log._database, received), keyring, max_batch=200)
    intake.start(asyncio.get_running_loop())
    await asyncio.gather(*(intake.kept(message(number)) for number in range(500)))
    await asyncio.to_thread(intake.stop)
    assert sum(batches) == 500 and len(batches) < 50 and max(batches) <= 200


class BrokenFor:
    """The real keyring, which cannot make a key for one woman."""

    def __init__(self, keyring: Keyring, subject: str) -> None:
        self._keyring, self._subject = keyring, subject

    def ensure(self, names: Iterable[str]) -> None:
        self._keyring.ensure(names)

    def seal(self, name: str, plain: bytes, bound: bytes) -> bytes:
        if self._subject in name:
            raise Unavailable("a data key does not fit", code="kek-wrong")
        return self._keyring.seal(name, plain, bound)

    def open(self, name: str, sealed: bytes, bound: bytes) -> bytes:
        return self._keyring.open(name, sealed, bound)


async def test_a_message_that_cannot_be_sealed_does_not_hold_up_the_others(log: SqliteLog, keyring: Keyring) -> None:
    intake = GroupCommit(log, BrokenFor(keyring, "b" * 32))
    intake.start(asyncio.get_running_loop())
    answers = await asyncio.gather(intake.kept(message(1)), intake.kept(message(2, subject="b" * 32)), intake.kept(message(3)),
                                   return_exceptions=True)
    await asyncio.to_thread(intake.stop)
    assert [type(answer) for answer in answers] == [type(None), Unavailable, type(None)]
    assert len(log.read(START, 10)) == 2


async def test_a_full_queue_refuses_by_number_and_by_size(log: SqliteLog, keyring: Keyring) -> None:
    few = GroupCommit(log, keyring, limit=2)
    small = GroupCommit(log, keyring, limit_bytes=1000)
    for intake in (few, small):  # not started: nothing leaves the queue
        intake.keep(message(1, size=600), lambda _: None)
    few.keep(message(2), lambda _: None)
    small.keep(message(2, size=400), lambda _: None)
    for intake in (few, small):
        with pytest.raises(Unavailable) as caught:
            intake.keep(message(3), lambda _: None)
        assert caught.value.code == "backlog-full"
        intake.start(asyncio.get_running_loop())
        await asyncio.to_thread(intake.stop)
    assert len(log.read(START, 10)) == 4


async def test_one_message_fits_however_large_and_room_comes_back(log: SqliteLog, keyring: Keyring) -> None:
    intake = GroupCommit(log, keyring, limit_bytes=1000)
    intake.start(asyncio.get_running_loop())
    for number in range(5):
        await asyncio.wait_for(intake.kept(message(number, size=5000)), 5)
    await asyncio.to_thread(intake.stop)
    assert len(log.read(START, 10)) == 5


async def test_pressure_holds_answers_back_within_bounds_and_lets_go_when_it_falls(log: SqliteLog, keyring: Keyring) -> None:
    pressure = [0.5]
    intake = GroupCommit(log, keyring, pressure=lambda: pressure[0])
    intake.start(asyncio.get_running_loop())

    async def time_of_one(number: int) -> float:
        began = time.monotonic()
        await intake.kept(message(number))
        return time.monotonic() - began

    # How long it took at least is a promise; how long at most is the machine's affair.
    await time_of_one(1)
    assert intake.slowed() == 0
    pressure[0] = 1.4
    assert await time_of_one(2) >= 0.4 * LONGEST_DELAY_S
    assert intake.slowed() == pytest.approx(0.4 * LONGEST_DELAY_S)
    pressure[0] = 50.0
    assert await time_of_one(3) >= LONGEST_DELAY_S
    assert intake.slowed() == LONGEST_DELAY_S
    pressure[0] = 0.0
    await time_of_one(4)
    assert intake.slowed() == 0
    await asyncio.to_thread(intake.stop)


async def test_not_knowing_the_pressure_does_not_stop_the_answers(log: SqliteLog, keyring: Keyring) -> None:
    def broken() -> float:
        raise ZeroDivisionError

    intake = GroupCommit(log, keyring, pressure=broken)
    intake.start(asyncio.get_running_loop())
    await asyncio.wait_for(intake.kept(message(1)), 5)
    await asyncio.wait_for(intake.kept(message(2)), 5)
    await asyncio.to_thread(intake.stop)
