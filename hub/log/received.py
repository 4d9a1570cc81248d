"""What a source sent, byte for byte, and how it becomes a record of the `received` log.

Appending it *is* the commit: a sender gets its answer when this record is durable, and not before. The bytes are sealed under the
woman's key when the connector could see whose they are at a glance, else under a key of the source.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

from hub.log.envelope import Seal, that_say, woman_key
from hub.log.port import Record
from hub.log.zstd import ZSTD

MAX_MESSAGE: Final = 20 * 1024 * 1024
"""Largest message that is kept, in bytes; anything larger is refused before it is read to its end."""



@dataclass(frozen=True, slots=True)
class Incoming:
    """One message as it came. `subject` is the woman's pseudonym, empty when it cannot be seen without mapping.

    `connector` names the folder under `connectors/` that maps it; `source` is that name and the sender's URA (`hix/00700002`).
    `transport` holds facts of the transport (peer, path, control id is not among them): never personal data.
    """

    connector: str
    source: str
    media_type: str
    body: bytes
    subject: str
    received_at: str
    transport: Mapping[str, str] = field(default_factory=dict)
    trace: str = ""


class Intake(Protocol):
    """Where connectors hand over what came in."""

    def keep(self, message: Incoming, done: Callable[[BaseException | None], None]) -> None:
        """Queue the message; `done(None)` is called on the event loop once it is durable, `done(error)` when it is not.

        Raises `Unavailable` at once when the backlog is past its limit.
        """

    async def kept(self, message: Incoming) -> None:
        """The same for a caller that can wait: returns once the message is durable."""


def received_key(message: Incoming) -> str:
    """The data key that a message is sealed under: the woman's when it is known whose it is, else the source's."""
    return woman_key(message.subject) if message.subject else f"source:{message.source}/received"


def to_record(message: Incoming, seal: Seal) -> Record:
    """The sealed record. Its id begins with the time, so that indexes on it grow at one end."""
    record_id = f"{time.time_ns():016x}{os.urandom(8).hex()}"
    key = received_key(message)
    attributes = {  # the id stands beside them in the record
        "type": "message-received", "connector": message.connector, "source": message.source,
        "time": message.received_at, "mediatype": message.media_type, "subject": message.subject, "key": key,
        "size": str(len(message.body)), "traceparent": message.trace, **{f"transport-{k}": v for k, v in message.transport.items()},
    }
    body = seal.seal(key, ZSTD.compress.compress(message.body), record_id.encode())
    return Record(record_id, message.subject or message.source, that_say(attributes), body)


def to_incoming(record: Record, seal: Seal) -> Incoming:
    """The message that `to_record` kept. Raises `Erased` when its key was destroyed."""
    a = record.attributes
    body = ZSTD.expand.decompress(seal.open(a["key"], record.body, record.id.encode()), max_output_size=MAX_MESSAGE + 1)
    transport = {k.removeprefix("transport-"): v for k, v in a.items() if k.startswith("transport-")}
    return Incoming(a["connector"], a["source"], a.get("mediatype", ""), body, a.get("subject", ""), a["time"], transport, a.get("traceparent", ""))
