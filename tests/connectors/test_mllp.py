"""The MLLP server on real sockets: an answer means durable, answers keep their order, and no peer can hang it, fill it or end it."""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from connectors.contract import Source
from connectors.formats.hl7v2_ack import Ack
from connectors.formats.mllp import MllpServer
from connectors.formats.mllp_client import MllpClient
from connectors.formats.mllp_frames import Fault, Frame, Framer, framed
from connectors.hix import story
from connectors.hix.source import listener
from fhir_profiles.errors import Unavailable
from fhir_profiles.identifiers import Bsn, pseudonym_of
from hub.database import open_sqlite
from hub.log.group import GroupCommit
from hub.log.keys import Keyring
from hub.log.port import START
from hub.log.received import Incoming, Intake, to_incoming
from hub.log.sqlite import SqliteLog
from hub.tables import received
from tests.connectors.hix.build import NOOR, OBR, PID, WRONG_BSN, message, msh, obx, oru

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
RIJNOEVER = Source("hix", "00700002", "Ziekenhuis Rijnoever", "V4", senders=(("HIX", "RIJNOEVER"),))
GOOD = oru(obx("718-7^Hemoglobine^LN", "6.6", "mmol/l"))


def pseudonym(digits: str) -> str:
    """As wiring does it."""
    return pseudonym_of(Bsn(digits), b"k" * 32)


def server_for(intake: Intake, **options: Any) -> MllpServer:
    """A listener for Rijnoever on a free port of the loopback."""
    server = listener(intake, [RIJNOEVER], pseudonym, lambda: NOW, host="127.0.0.1", port=0)
    for name, value in options.items():
        assert hasattr(server, name)
        setattr(server, name, value)
    return server


@dataclass
class Kept:
    """A real log behind a real group commit."""

    log: SqliteLog
    keyring: Keyring
    intake: GroupCommit

    def messages(self) -> list[Incoming]:
        """What is durable."""
        return [to_incoming(stored.record, self.keyring) for stored in self.log.read(START, 10_000)]


@dataclass
class Slow:
    """An intake whose writes end when the test says so."""

    taken: list[Incoming] = field(default_factory=list)
    dones: list[Callable[[BaseException | None], None]] = field(default_factory=list)
    refuse: bool = False

    def keep(self, message: Incoming, done: Callable[[BaseException | None], None]) -> None:
        """Hold on to it."""
        if self.refuse:
            raise Unavailable("too much is waiting", code="backlog-full")
        self.taken.append(message)
        self.dones.append(done)

    async def kept(self, message: Incoming) -> None:
        """Not used by MLLP."""
        raise NotImplementedError


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    database = open_sqlite(tmp_path / "hub.db", ["received", "keys"])
    keyring = Keyring(database, b"k" * 32)
    log = SqliteLog(database, received)
    yield Kept(log, keyring, GroupCommit(log, keyring))
    database.close()


@pytest.fixture
async def server(kept: Kept) -> AsyncIterator[MllpServer]:
    kept.intake.start(asyncio.get_running_loop())
    made = server_for(kept.intake)
    await made.start()
    yield made
    await made.stop()
    await asyncio.to_thread(kept.intake.stop)


@pytest.fixture
async def slow() -> AsyncIterator[tuple[Slow, MllpServer]]:
    intake = Slow()
    made = server_for(intake, window=8, frame_timeout_s=0.4, ack_timeout_s=30.0)
    await made.start()
    yield intake, made
    await made.stop(0.1)


def client(server: MllpServer, timeout_s: float = 5.0) -> MllpClient:
    """A sender that does not wait long."""
    return MllpClient("127.0.0.1", server.port, timeout_s=timeout_s)


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something that must come."""
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.005)


async def test_an_answer_means_that_the_message_is_in_the_log_byte_for_byte(server: MllpServer, kept: Kept) -> None:
    async with client(server) as sender:
        answer = await sender.send(GOOD)
    assert (answer.code, answer.control_id) == ("AA", "C1")
    (found,) = kept.messages()
    assert found.body == GOOD
    assert (found.connector, found.source, found.subject) == ("hix", "hix/00700002", pseudonym(NOOR))
    assert found.received_at == "2026-11-24T12:00:00.000000Z" and found.transport == {"peer": "127.0.0.1", "protocol": "mllp"}


async def test_the_answer_mirrors_the_header(server: MllpServer) -> None:
    async with client(server) as sender:
        answer = await sender.send(GOOD)
    head, msa, _ = answer.body.decode().split("\r")
    fields = head.split("|")
    assert fields[2:6] == ["OOIEVAAR", "GZ", "HIX", "RIJNOEVER"] and fields[8] == "ACK^R01^ACK" and fields[10:12] == ["P", "2.5.1"]
    assert fields[6] == "20261124120000+0000" and fields[9] and msa == "MSA|AA|C1"


async def test_a_message_is_not_answered_before_it_is_durable(slow: tuple[Slow, MllpServer]) -> None:
    intake, server = slow
    async with client(server, 0.2) as sender:
        await sender.write(framed(GOOD))
        with pytest.raises(Unavailable):
            await sender.answer()
        intake.dones[0](None)
        assert (await sender.answer()).code == "AA"


async def test_answers_leave_in_the_order_of_arrival_whatever_is_durable_first(slow: tuple[Slow, MllpServer]) -> None:
    intake, server = slow
    async with client(server) as sender:
        await sender.write(b"".join(framed(oru(head=msh(control_id=f"C{n}"))) for n in range(4)))
        await until(lambda: len(intake.dones) == 4)
        for number in (3, 1, 0, 2):
            intake.dones[number](None)
        assert [(await sender.answer()).control_id for _ in range(4)] == ["C0", "C1", "C2", "C3"]


async def test_what_cannot_be_stored_is_answered_with_try_again_later(slow: tuple[Slow, MllpServer]) -> None:
    intake, server = slow
    async with client(server) as sender:
        await sender.write(framed(GOOD))
        await until(lambda: bool(intake.dones))
        intake.dones[0](OSError("disk full"))
        answer = await sender.answer()
        assert (answer.code, answer.condition, answer.control_id) == ("AE", "207", "C1")
        intake.refuse = True
        answer = await sender.send(GOOD)
        assert (answer.code, answer.condition, answer.application_code) == ("AE", "207", "backlog-full")


async def test_a_write_that_never_ends_does_not_leave_the_sender_waiting(slow: tuple[Slow, MllpServer]) -> None:
    intake, server = slow
    server.ack_timeout_s = 0.1
    async with client(server) as sender:
        answer = await sender.send(GOOD)
        assert (answer.code, answer.condition) == ("AE", "207")
        intake.dones[0](None)
        intake.refuse = True
        assert (await sender.send(oru(head=msh(control_id="C2")))).control_id == "C2", "the late outcome gives no second answer"


async def test_a_connection_that_sends_more_than_its_window_is_not_read_until_answers_leave(slow: tuple[Slow, MllpServer]) -> None:
    intake, server = slow
    async with client(server) as sender:
        await sender.write(b"".join(framed(oru(head=msh(control_id=f"C{n}"))) for n in range(100)))
        await until(lambda: len(intake.taken) == 8)
        await asyncio.sleep(0.05)
        assert len(intake.taken) == 8
        for number in range(100):
            await until(lambda number=number: len(intake.dones) > number)  # type: ignore[misc]  # the default binds the loop's value
            assert len(intake.dones) <= number + 8
            intake.dones[number](None)
        assert [(await sender.answer()).control_id for _ in range(100)] == [f"C{n}" for n in range(100)]


async def test_many_messages_at_once_from_many_senders_are_all_kept_once(server: MllpServer, kept: Kept) -> None:
    async def send(name: int) -> list[Ack]:
        async with client(server, 20) as sender:
            return await sender.send_all([oru(head=msh(control_id=f"{name}-{n}")) for n in range(50)])

    answers = await asyncio.gather(*(send(name) for name in range(8)))
    assert [[a.control_id for a in row] for row in answers] == [[f"{name}-{n}" for n in range(50)] for name in range(8)]
    assert all(a.code == "AA" for row in answers for a in row)
    assert len({m.body for m in kept.messages()}) == len(kept.messages()) == 400


@pytest.mark.parametrize("size", [1, 7, 64])
async def test_a_message_may_come_in_pieces(server: MllpServer, kept: Kept, size: int) -> None:
    data = framed(GOOD) + framed(GOOD)
    async with client(server) as sender:
        for start in range(0, len(data), size):
            await sender.write(data[start:start + size])
            if size > 1 or start % 50 == 0:
                await asyncio.sleep(0)
        assert [(await sender.answer()).code for _ in range(2)] == ["AA", "AA"]
    assert len(kept.messages()) == 2


GUARD: list[tuple[str, bytes, str, str, str]] = [
    # what is sent, code of the answer, condition (table 0357), control id that it names
    ("no start block", GOOD + b"\x1c\r", "AR", "100", "C1"),
    ("an empty frame", b"\x0b\x1c\r", "AR", "100", ""),
    ("no MSH in the frame", framed(b"PID|1\r"), "AR", "100", ""),
    ("FS without CR", b"\x0b" + GOOD + b"\x1c\n", "AR", "100", "C1"),
    ("a frame within a frame", b"\x0b" + GOOD[:120] + framed(GOOD), "AE", "207", "C1"),
    ("an end block alone", b"\x1c\r", "AR", "100", ""),
    ("an unknown sender", framed(oru(head=msh(sender="EPIC|ELDERS"))), "AR", "103", "C1"),
    ("no sender", framed(oru(head=msh(sender="|"))), "AR", "103", "C1"),
    ("version 2.1", framed(oru(head=msh(version="2.1"))), "AR", "203", "C1"),
    ("version 2.9", framed(oru(head=msh(version="2.9"))), "AR", "203", "C1"),
    ("no version", framed(oru(head=msh(version=""))), "AR", "203", "C1"),
    ("a test message (T)", framed(oru(head=msh(processing="T"))), "AR", "202", "C1"),
    ("no processing id", framed(oru(head=msh(processing=""))), "AR", "202", "C1"),
    ("no control id", framed(oru(head=msh(control_id=""))), "AE", "101", ""),
    ("no message type", framed(oru(head=msh(kind=""))), "AE", "101", "C1"),
    ("an acknowledgement", framed(message(msh("ACK^R01^ACK"), "MSA|AA|1")), "AR", "200", "C1"),
    ("an unknown character set", framed(oru(head=msh(charset="ISO IR87"))), "AE", "102", "C1"),
    ("bytes that do not fit UTF-8", framed(GOOD.replace(b"Test", b"Zo\xeb")), "AE", "102", "C1"),
    ("a NUL byte", framed(GOOD.replace(b"Test", b"Te\x00st")), "AE", "102", "C1"),
    ("delimiters that are none", framed(b"MSH|^^^^|HIX|RIJNOEVER\r"), "AR", "102", ""),
]


@pytest.mark.parametrize(("data", "code", "condition", "control_id"), [row[1:] for row in GUARD], ids=[row[0] for row in GUARD])
async def test_what_is_not_let_in_gets_a_clear_answer_and_the_connection_goes_on(
    server: MllpServer, kept: Kept, data: bytes, code: str, condition: str, control_id: str,
) -> None:
    async with client(server) as sender, client(server) as other:
        await sender.write(data)
        answer = await sender.answer()
        assert (answer.code, answer.condition, answer.control_id) == (code, condition, control_id)
        assert answer.text and answer.application_code
        assert NOOR.encode() not in answer.body and b"Proef" not in answer.body, "an answer never repeats what was sent"
        kept_already = 1 if data.endswith(framed(GOOD)) else 0
        if kept_already:
            assert (await sender.answer()).code == "AA"
        for again in (sender, other):
            assert (await again.send(GOOD)).code == "AA"
    assert len(kept.messages()) == 2 + kept_already


KEPT: list[tuple[str, bytes]] = [
    ("a BSN that fails the eleven-test", oru(pid=PID.replace(NOOR, WRONG_BSN))),
    ("two persons", message(msh(), PID, PID.replace(NOOR, "999990020"), OBR)),
    ("an unknown event", message(msh("SIU^S12^SIU_S12"), PID)),
    ("no PID at all", message(msh("ADT^A01^ADT_A01"))),
    ("a declared Latin that is UTF-8", oru(head=msh(charset="8859/1")).replace(b"Test", "Zoë".encode())),
    ("deep repetition", oru(pid=PID + "|" + "~" * 5_000)),
    ("line feeds", GOOD.replace(b"\r", b"\n")),
    ("version 2.2", oru(head=msh(version="2.2"))),
    ("version 2.8.2 with a list of identifiers", oru(head=msh(version="2.8.2^NLD^x"))),
]


@pytest.mark.parametrize("body", [row[1] for row in KEPT], ids=[row[0] for row in KEPT])
async def test_what_is_wrong_inside_a_message_is_kept_first(server: MllpServer, kept: Kept, body: bytes) -> None:
    async with client(server) as sender:
        assert (await sender.send(body)).code == "AA"
    assert [m.body for m in kept.messages()] == [body]


async def test_junk_between_messages_is_skipped(server: MllpServer, kept: Kept) -> None:
    async with client(server) as sender:
        await sender.write(b"\r\n\r\n" + framed(GOOD) + b"\r\nhallo" + framed(GOOD))
        assert [(await sender.answer()).code for _ in range(2)] == ["AA", "AA"]
    assert len(kept.messages()) == 2


async def test_half_a_frame_and_then_silence_is_answered_and_closed(slow: tuple[Slow, MllpServer]) -> None:
    _, server = slow
    async with client(server) as sender:
        await sender.write(framed(GOOD)[:-20])
        answer = await sender.answer()
        assert (answer.code, answer.control_id, answer.application_code) == ("AE", "C1", "cut")
        with pytest.raises(Unavailable):
            await sender.answer()


async def test_a_frame_that_drips_does_not_hold_a_connection_for_ever(slow: tuple[Slow, MllpServer]) -> None:
    _, server = slow
    async with client(server, 0.1) as sender:
        await sender.write(framed(GOOD)[:60])
        for _ in range(100):
            try:
                await sender.write(b"x")
                answer = await sender.answer()
                break
            except Unavailable:
                continue
        assert answer.application_code == "cut"


async def test_a_silent_connection_is_closed_in_the_end(slow: tuple[Slow, MllpServer]) -> None:
    _, server = slow
    server.idle_timeout_s = 0.2
    async with client(server) as sender:
        with pytest.raises(Unavailable, match="closed"):
            await sender.answer()


async def test_a_connection_that_is_dropped_within_a_frame_keeps_nothing_and_disturbs_nobody(server: MllpServer, kept: Kept) -> None:
    async with client(server) as other:
        for _ in range(20):
            sender = client(server)
            await sender.connect()
            await sender.write(framed(GOOD)[:-1])
            await sender.close()
        assert (await other.send(GOOD)).code == "AA"
        await until(lambda: len(server.connections) == 1)
    assert len(kept.messages()) == 1


async def test_a_sender_that_has_said_all_still_gets_its_answers(slow: tuple[Slow, MllpServer]) -> None:
    intake, server = slow
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(framed(GOOD) * 20 + framed(GOOD)[:150])
    writer.write_eof()
    for number in range(20):
        await until(lambda number=number: len(intake.dones) > number)  # type: ignore[misc]  # the default binds the loop's value
        intake.dones[number](None)
    answers = await asyncio.wait_for(reader.read(), 5)
    assert answers.count(b"MSA|AA|C1") == 20 and answers.count(b"MSA|AE|C1") == 1
    writer.close()


async def test_a_message_larger_than_the_limit_is_refused_before_its_end_and_the_connection_goes_on(kept: Kept) -> None:
    kept.intake.start(asyncio.get_running_loop())
    server = server_for(kept.intake, max_message=100_000)
    await server.start()
    async with client(server) as sender:
        await sender.write(b"\x0b" + msh().encode() + b"\r" + b"x" * 200_000)
        answer = await sender.answer()
        assert (answer.code, answer.control_id, answer.application_code) == ("AR", "C1", "too-large")
        assert "100000 bytes" in answer.text
        await sender.write(b"y" * 500_000 + b"\x1c\r" + framed(GOOD))
        assert (await sender.answer()).code == "AA"
    await server.stop()
    await asyncio.to_thread(kept.intake.stop)
    assert [m.body for m in kept.messages()] == [GOOD]


async def test_a_message_of_nearly_20_mb_is_kept(server: MllpServer, kept: Kept) -> None:
    body = GOOD + b"NTE|1||" + b"x" * (20 * 1024 * 1024 - len(GOOD) - 10) + b"\r"
    async with client(server, 30) as sender:
        assert (await sender.send(body)).code == "AA"
    assert kept.messages()[0].body == body


async def test_more_connections_than_the_limit_are_refused_with_an_answer(slow: tuple[Slow, MllpServer]) -> None:
    _, server = slow
    server.max_connections = 2
    async with client(server), client(server):
        await until(lambda: len(server.connections) == 2)
        async with client(server) as third:
            assert (await third.answer()).application_code == "too-busy"
        await until(lambda: len(server.connections) == 2)


@pytest.mark.parametrize(("acks", "good", "bad"), [
    ("|", True, True), ("AL|AL", True, True), ("AL|NE", True, True), ("NE|AL", True, True), ("NE|NE", False, False), ("NE|ER", False, True),
    ("ER|", False, True), ("SU|", True, False), ("XX|", True, True),
])
async def test_who_wants_no_answer_gets_none(slow: tuple[Slow, MllpServer], acks: str, good: bool, bad: bool) -> None:
    intake, server = slow
    async with client(server, 0.2) as sender:
        await sender.write(framed(oru(head=msh(acks=acks))))
        await until(lambda: bool(intake.dones))
        intake.dones[0](None)
        assert await _answered(sender) is good
        await sender.write(framed(oru(head=msh(acks=acks, version="3.0"))))
        assert await _answered(sender) is bad


async def _answered(sender: MllpClient) -> bool:
    try:
        await sender.answer()
    except Unavailable:
        return False
    return True


async def test_a_sender_with_its_own_delimiters_is_answered_in_them(server: MllpServer) -> None:
    body = b"MSH#!%$@#HIX#RIJNOEVER#HUB#GZ#20261120##ADT!A01!ADT_A01#C7#P#9.9\r"
    async with client(server) as sender:
        await sender.write(framed(body))
        frame = await asyncio.wait_for(sender._streams[0].readuntil(b"\x1c\r"), 5) if sender._streams else b""
    lines = frame[1:-2].decode().split("\r")
    assert lines[0].startswith("MSH#!%$@#HUB#GZ#HIX#RIJNOEVER#") and lines[1].startswith("MSA#AR#C7#")
    assert lines[2].startswith("ERR##MSH!1!12#203!Unsupported version id!HL70357#E#version#")


async def test_stopping_gives_the_answers_that_are_due_and_takes_nothing_more(slow: tuple[Slow, MllpServer]) -> None:
    intake, server = slow
    async with client(server) as sender:
        await sender.write(framed(GOOD))
        await until(lambda: bool(intake.dones))
        stopping = asyncio.ensure_future(server.stop(2))
        await asyncio.sleep(0.02)
        intake.dones[0](None)
        assert (await sender.answer()).code == "AA"
        await stopping
    with pytest.raises(Unavailable):
        await client(server, 1).connect()


async def test_the_story_over_tls_is_taken_whole(kept: Kept, tmp_path: Path) -> None:
    kept.intake.start(asyncio.get_running_loop())
    theirs, ours = _contexts(tmp_path)
    server = listener(kept.intake, [RIJNOEVER], pseudonym, lambda: NOW, host="127.0.0.1", port=0, tls=ours)
    await server.start()
    async with MllpClient("127.0.0.1", server.port, tls=theirs, timeout_s=5) as sender:
        answers = await sender.send_all(story.story(NOW.date()))
    assert {a.code for a in answers} == {"AA"}
    await server.stop()
    await asyncio.to_thread(kept.intake.stop)
    assert [m.body for m in kept.messages()] == story.story(NOW.date())


def _contexts(tmp_path: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A client's and a server's context around a fresh certificate for the loopback."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    certificate = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
        .not_valid_before(now - timedelta(hours=1)).not_valid_after(now + timedelta(hours=1)).add_extension(address, critical=False)
        .sign(key, hashes.SHA256())
    )
    (tmp_path / "c.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (tmp_path / "k.pem").write_bytes(key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    ours = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ours.load_cert_chain(tmp_path / "c.pem", tmp_path / "k.pem")
    return ssl.create_default_context(cafile=str(tmp_path / "c.pem")), ours


def taken(framer: Framer, pieces: list[bytes]) -> list[Frame]:
    """All frames in these pieces."""
    found = []
    for piece in pieces:
        framer.feed(piece)
        while (frame := framer.take()) is not None:
            found.append(frame)
    return found


@given(st.lists(st.binary(max_size=40).map(lambda b: b.translate(None, b"\x0b\x1c")), max_size=8), st.data())
def test_frames_do_not_depend_on_how_the_bytes_are_cut(bodies: list[bytes], data: st.DataObject) -> None:
    wire = b"".join(map(framed, bodies))
    cuts = sorted(data.draw(st.sets(st.integers(0, len(wire)), max_size=10)))
    pieces = [wire[a:b] for a, b in zip([0, *cuts], [*cuts, len(wire)], strict=True)]
    assert taken(Framer(100), pieces) == [Frame(body) for body in bodies]


@given(st.lists(st.sampled_from([b"\x0b", b"\x1c", b"\r", b"\n", b"MSH|", b"x" * 30]) | st.binary(max_size=8), max_size=60))
def test_any_bytes_leave_the_framer_bounded_and_a_frame_after_them_is_found(pieces: list[bytes]) -> None:
    framer = Framer(100)
    for frame in taken(framer, pieces):
        assert len(frame.body) <= 64 * 1024
    assert len(framer._held) <= 64 * 1024
    found = taken(framer, [b"\x1c\r", framed(b"last one")])
    assert found[-1] == Frame(b"last one", Fault.NONE)
