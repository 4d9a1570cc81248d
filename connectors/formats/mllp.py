"""The way in for HL7 v2: a server for MLLP connections that answers a message when, and only when, it is durable.

Reading, keeping and answering are callbacks on one event loop: no task, no copy and no parse per message. Only MSH is looked at
here; whatever is wrong inside a message is for the mapper to say, after the sender has its answer.

What a caller may rely on: answers leave in the order of arrival per connection; a connection holds at most `window` unanswered
messages and a bounded number of bytes, after which it is not read until answers leave; no wait is without end; a fault of one
connection never touches another.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import ssl
from collections import deque
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Final, Protocol, cast

import structlog

from connectors.contract import Source
from connectors.formats import hl7v2, hl7v2_ack
from connectors.formats.hl7v2 import Header
from connectors.formats.mllp_frames import Fault, Frame, Framer, framed
from fhir_profiles.errors import BirthCareError, Invalid, Refused, TooLarge, Unavailable, Unknown
from hub.log.received import MAX_MESSAGE, Incoming, Intake

log = structlog.get_logger(__name__)

_TICK_S: Final = 0.5
_LATER: Final = "the hub could not store the message now; send it again later"


class _Peek(Protocol):
    def __call__(self, body: bytes, /) -> str | None: ...


class MllpServer:
    """Listens on one port for every sender that is registered by its MSH-3 and MSH-4.

    `senders` gives the source for such a pair or None; `mapping_peek` the digits of a BSN that can be seen without parsing, only
    to choose the key that the bytes are sealed under; `pseudonym` turns those into a subject (it may raise `Refused`); `clock` gives
    the present time with a zone. Port 0 takes a free one: `port` tells it after `start`.
    """

    def __init__(
        self, intake: Intake, senders: Callable[[str, str], Source | None], mapping_peek: _Peek, pseudonym: Callable[[str], str],
        clock: Callable[[], datetime], *, host: str, port: int, max_message: int = MAX_MESSAGE, window: int = 64,
        frame_timeout_s: float = 30.0, idle_timeout_s: float = 3600.0, ack_timeout_s: float = 30.0, max_connections: int = 256,
        processing: frozenset[str] = frozenset({"P"}), tls: ssl.SSLContext | None = None,
    ) -> None:
        self.intake, self.senders, self.peek_bsn, self.pseudonym, self.clock = intake, senders, mapping_peek, pseudonym, clock
        self.host, self.port, self.tls, self.processing = host, port, tls, processing
        self.max_message, self.window, self.max_connections = max_message, window, max_connections
        self.frame_timeout_s, self.idle_timeout_s, self.ack_timeout_s = frame_timeout_s, idle_timeout_s, ack_timeout_s
        self.connections: set[_Connection] = set()
        self._ids = itertools.count(1)
        self._prefix = os.urandom(4).hex().upper()
        self._server: asyncio.Server | None = None
        self._ticking: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to listen. Raises `OSError` when the port is taken."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(partial(_Connection, self), self.host, self.port, ssl=self.tls, backlog=256)
        self.port = self._server.sockets[0].getsockname()[1]
        self._ticking = loop.create_task(self._tick())
        log.info("mllp_listening", port=self.port)

    async def stop(self, grace_s: float = 5.0) -> None:
        """Take no more, give the answers that are still due within `grace_s`, and close."""
        if self._server is None:
            return
        self._server.close()
        for connection in list(self.connections):
            connection.finish()
        end = asyncio.get_running_loop().time() + grace_s
        while self.connections and asyncio.get_running_loop().time() < end:  # noqa: ASYNC110 - a short wait with an end
            await asyncio.sleep(0.01)
        for connection in list(self.connections):
            connection.abort()
        if self._ticking is not None:
            self._ticking.cancel()
        self._server = None

    def answer(self, header: Header, error: BirthCareError | None = None) -> bytes:
        """The framed acknowledgement; empty when the sender asked for none."""
        if not hl7v2_ack.wanted(header, error=error is not None):
            return b""
        control_id = f"{self._prefix}{next(self._ids)}"
        return framed(hl7v2_ack.acknowledgement(header, control_id, self.clock().strftime("%Y%m%d%H%M%S%z"), error))

    def incoming(self, header: Header, body: bytes, peer: str) -> Incoming:
        """The message as it is kept. Raises `Refused` when it is not let in."""
        source = self.senders(header.sending_application, header.sending_facility)
        if source is None:
            raise Unknown("the sender in MSH-3 and MSH-4 is not registered", path="MSH-3", code="sender-unknown")
        hl7v2_ack.admit(header, body, self.processing)
        received_at = self.clock().isoformat(timespec="microseconds").replace("+00:00", "Z")
        transport = {"peer": peer, "protocol": "mllp"}
        return Incoming(source.connector, source.id, hl7v2.MEDIA_TYPE, body, self._subject(body), received_at, transport)

    def _subject(self, body: bytes) -> str:
        digits = self.peek_bsn(body)
        try:
            return self.pseudonym(digits) if digits else ""
        except Refused:
            # A BSN that does not hold is the mapper's to refuse: the message is kept first.
            return ""

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(min(_TICK_S, self.frame_timeout_s / 4, self.ack_timeout_s / 4))
            now = asyncio.get_running_loop().time()
            for connection in list(self.connections):
                connection.look_at_clock(now)


class _Due:
    """The answer to one message: `answer` is None while the message is not durable."""

    __slots__ = ("answer", "header", "since", "size")

    def __init__(self, header: Header, size: int, since: float, answer: bytes | None = None) -> None:
        self.header, self.size, self.since, self.answer = header, size, since, answer


class _Connection(asyncio.Protocol):
    """One sender's connection."""

    def __init__(self, server: MllpServer) -> None:
        self._server = server
        self._framer = Framer(server.max_message)
        self._due: deque[_Due] = deque()
        self._bytes = 0
        self._loop = asyncio.get_running_loop()
        self._heard = self._loop.time()
        self._frame_since = 0.0
        self._reading = self._writable = True
        self._advancing = self._finishing = self._ended = False
        self._peer = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        peer = transport.get_extra_info("peername")
        self._peer = str(peer[0]) if peer else ""
        self._server.connections.add(self)
        if len(self._server.connections) > self._server.max_connections:
            log.warning("connection_refused", code="too-many-connections", port=self._server.port)
            busy = Unavailable("too many connections; try again later", code="too-busy")
            self._transport.write(self._server.answer(hl7v2_ack.NOBODY, busy))
            self.finish()

    def connection_lost(self, exc: Exception | None) -> None:
        self._server.connections.discard(self)
        self._due.clear()

    def data_received(self, data: bytes) -> None:
        self._heard = self._loop.time()
        if not self._finishing:
            self._framer.feed(data)
            self._advance()

    def eof_received(self) -> bool:
        self._ended = True
        self._advance()
        # Half-closed: answers that are still due can be given, but TLS cannot do that.
        return self._server.tls is None

    def pause_writing(self) -> None:
        self._writable = False

    def resume_writing(self) -> None:
        self._writable = True
        self._advance()

    def finish(self) -> None:
        """Take nothing more; close once the answers that are due have left."""
        self._finishing = True
        self._advance()

    def abort(self) -> None:
        """Close at once."""
        self._transport.abort()

    def look_at_clock(self, now: float) -> None:
        """End what waited too long: an answer, the rest of a frame, or a silent peer."""
        server = self._server
        if self._due and self._due[0].answer is None and now - self._due[0].since > server.ack_timeout_s:
            self._due[0].answer = server.answer(self._due[0].header, Unavailable(_LATER, code="too-slow"))
            self._advance()
        if self._frame_since and self._reading and now - self._frame_since > server.frame_timeout_s:
            self._nak_unfinished(f"the frame did not end within {server.frame_timeout_s:g} seconds")
            self.finish()
        elif not self._due and now - self._heard > server.idle_timeout_s:
            self.finish()

    def _advance(self) -> None:
        """Take frames while there is room for their answers, give the answers whose turn it is; stop reading when there is no room."""
        if self._advancing:
            return
        self._advancing = True
        while self._take_some() or self._give_some():
            pass
        if self._ended and self._room() and not self._finishing:
            self._nak_unfinished("the connection ended within a frame")
            self._finishing = True
            self._give_some()
        self._advancing = False
        self._read_on(self._room())
        if self._finishing and not self._due and not self._transport.is_closing():
            self._transport.close()

    def _take_some(self) -> bool:
        taken = False
        while self._room() and not self._finishing and (frame := self._framer.take()) is not None:
            taken = True
            self._take(frame)
        if not self._framer.unfinished:
            self._frame_since = 0.0
        elif taken or not self._frame_since:
            self._frame_since = self._loop.time()
        return taken

    def _give_some(self) -> bool:
        ready: list[bytes] = []
        while self._due and (answer := self._due[0].answer) is not None:
            self._bytes -= self._due.popleft().size
            ready.append(answer)
        if ready and not self._transport.is_closing():
            self._transport.write(b"".join(ready))
        return bool(ready)

    def _room(self) -> bool:
        return self._writable and len(self._due) < self._server.window and self._bytes <= self._server.max_message

    def _read_on(self, on: bool) -> None:
        if on != self._reading and not self._transport.is_closing():
            self._reading = on
            if on:
                self._transport.resume_reading()
                # The time that we did not read is not the sender's.
                self._frame_since = self._loop.time() if self._frame_since else 0.0
            else:
                self._transport.pause_reading()

    def _take(self, frame: Frame) -> None:
        due = _Due(hl7v2_ack.NOBODY, len(frame.body), self._loop.time())
        self._due.append(due)
        self._bytes += due.size
        try:
            if frame.fault is not Fault.NONE:
                due.header = _header(frame.body)
                raise _misframed(frame.fault, self._server.max_message)
            due.header = hl7v2.peek(frame.body)
            self._server.intake.keep(self._server.incoming(due.header, frame.body, self._peer), partial(self._kept, due))
        except BirthCareError as error:
            self._refuse(due, error)

    def _kept(self, due: _Due, error: BaseException | None) -> None:
        if due.answer is not None:
            return
        if error is None:
            due.answer = self._server.answer(due.header)
        else:
            log.warning("message_not_kept", error_type=type(error).__name__, port=self._server.port)
            due.answer = self._server.answer(due.header, Unavailable(_LATER, code="not-stored"))
        if self._due and due is self._due[0]:
            self._advance()

    def _refuse(self, due: _Due, error: BirthCareError) -> None:
        log.warning("message_refused", code=error.code, port=self._server.port)
        due.answer = self._server.answer(due.header, error)

    def _nak_unfinished(self, public: str) -> None:
        rest = self._framer.unfinished
        if not rest or self._finishing:
            return
        due = _Due(_header(rest), 0, self._loop.time())
        self._due.append(due)
        self._frame_since = 0.0
        self._refuse(due, Invalid(public, code="cut"))


def _header(body: bytes) -> Header:
    """The header of something that will be refused anyway; nobody's when MSH was cut, because half a control id names another message."""
    try:
        return hl7v2.peek(body.lstrip(b"\x0b")) if b"\r" in body or b"\n" in body else hl7v2_ack.NOBODY
    except Refused:
        return hl7v2_ack.NOBODY


def _misframed(fault: Fault, limit: int) -> BirthCareError:
    if fault is Fault.TOO_LARGE:
        return TooLarge(f"{fault.value}: {limit} bytes", code="too-large")
    return Invalid(fault.value, code="cut" if fault is Fault.CUT else "framing")
