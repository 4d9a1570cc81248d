"""The state of a section: the set of event versions that it has seen, as lines of JSON. So a fold is a set union.

Order of arrival, repeats and restarts cannot change a union. A line is one event; its first text is its *place in the set*: the time at
which its message was heard, eight hexadecimal characters that follow from the message, and the event id. The state is the JSON array
of its lines, sorted: the same set always gives the same bytes.

A row that grows without end would be rewritten whole by every message. So a state is kept in *leaves*: a row that holds more than `LEAF`
events splits in two by the first bit in which their places differ, and a leaf is named after the bits that lead to it. Which leaves there
are follows from the set alone, so order still does not matter; and the events of one message stay together in one leaf. A place begins
with the time, so a leaf is a stretch of time: new messages meet the newest leaf, and the others need not be read or written again.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final, NamedTuple
from zlib import crc32

import orjson

from hub.log.envelope import WITHDRAWN, Envelope
from hub.plan.section import Item

LEAF: Final = 64
"""Events in a leaf before it splits. Measured: larger leaves cost each message more, smaller ones cost each read more."""

_STAMP: Final = 11
"""Characters of the time in a place: milliseconds since 1970 in 44 bits, enough until the year 2527."""

MESSAGE: Final = _STAMP + 8
"""Characters that all events of one message share at the beginning of their places."""

_BITS: Final = 4 * MESSAGE
_END: Final = 2 + MESSAGE + 32
"""Where the place in the set ends in a line: it stands behind a bracket and a quote, and all its parts have a fixed length."""

_BETWEEN: Final = b",\n"

Lines = dict[bytes, bytes]
"""Place in the set → line."""


class Version(NamedTuple):
    """One event of a state: one version of one resource, as its source sent it."""

    event: str
    identity: str
    version: str
    withdrawn: bool
    recorded: str
    source: str
    about: str
    effective: str
    concept: str
    sensitivity: str
    origin: str
    mapping: str
    item: Item


def place_of(event: Envelope) -> bytes:
    """The event's place in the set: when its message was heard, eight hexadecimal characters of the message, then its own id."""
    origin = event.origin
    return _message_place(origin.heard, origin.message) + event.id.encode()


@lru_cache(maxsize=1024)
def _message_place(heard: str, message: str) -> bytes:
    """The part of the place that the events of one message share. Both come from the received record, so a repeat gives the same."""
    return b"%011x%08x" % (_milliseconds(heard), crc32(message.encode()))


def _milliseconds(heard: str) -> int:
    """A UTC time as milliseconds since 1970; 0 where there is none or it cannot be read, so that the place is fixed all the same."""
    try:
        at = datetime.fromisoformat(heard)
    except ValueError:
        return 0
    since = (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    return min(max(round(since * 1000), 0), (1 << 4 * _STAMP) - 1)


def line_of(place: bytes, event: Envelope, item: Item) -> bytes:
    """The event as one line of JSON. `about` is left empty where it is the woman herself."""
    origin = event.origin
    line = orjson.dumps([
        place.decode(), event.identity, event.version, event.type == WITHDRAWN or item.get("status") == "entered-in-error",
        event.recorded, event.source, "" if event.about == event.subject else event.about, event.effective, event.concept,
        event.sensitivity,
        origin.place, origin.mapping, item,
    ])
    # orjson hands out its whole buffer, 4 kB for any small text; lines are kept by the thousand, so we keep a copy of the right size.
    return bytes(memoryview(line))


def add(lines: Lines, place: bytes, line: bytes) -> bool:
    """Put a line into the set; False when nothing changed. Of two lines for one event the smaller stays, whichever came first.

    Two lines differ only in the time of recording, when a mapper was stopped between producing and remembering.
    """
    known = lines.get(place)
    if known is not None and known <= line:
        return False
    lines[place] = line
    return True


def encode(lines: Lines) -> bytes:
    """The bytes of a state or leaf: a JSON array, one event a line."""
    return b"[" + _BETWEEN.join(sorted(lines.values())) + b"]"


def decode(body: bytes) -> Lines:
    """The lines of a state, without parsing them: JSON never holds a bare newline, so the separator is certain."""
    inner = body[1:-1]
    return {line[2:_END]: line for line in inner.split(_BETWEEN)} if inner else {}


def join(leaves: Iterable[bytes]) -> bytes:
    """Several leaves as the one state that they make together."""
    return b"[" + _BETWEEN.join(inner for leaf in leaves if (inner := leaf[1:-1])) + b"]"


def versions(body: bytes) -> list[Version]:
    """The parsed events of a state."""
    return [Version(row[0][MESSAGE:], *row[1:]) for row in orjson.loads(body)]


def section_of(leaf: str) -> str:
    """The section that a row belongs to."""
    return leaf.partition("/")[0]


def leaf_of(section: str, place: bytes, leaves: Sequence[str]) -> str:
    """Which leaf of a section holds a place, given the sorted names of the leaves of that section that have rows; an empty leaf has none."""
    whole = f"{section}/{_bits(int(place[:MESSAGE], 16), _BITS)}"
    at = bisect_right(leaves, whole)
    # No leaf lies under another, so the one that leads to the place, if there is one, sorts right before it.
    if at and whole.startswith(leaves[at - 1]):
        return leaves[at - 1]
    if not leaves:
        return section
    # Else the place belongs to the first node on its way that no leaf lies under: one bit beyond what it shares with its neighbours.
    return whole[:1 + max(_shared(whole, leaf) for leaf in leaves[max(at - 1, 0):at + 1])]


def split(leaf: str, lines: Lines) -> dict[str, Lines]:
    """A leaf as it must be kept: itself, or the leaves it falls into. Empty leaves are not kept."""
    if len(lines) <= LEAF:
        return {leaf: lines}
    ordered = sorted(lines.items())
    found: dict[str, Lines] = {}
    _cut(leaf, ordered, [int(place[:MESSAGE], 16) for place, _ in ordered], found)
    return found


def _cut(leaf: str, ordered: list[tuple[bytes, bytes]], places: list[int], found: dict[str, Lines]) -> None:
    """Keep ordered lines, whose places are given as numbers too, as one leaf, or cut them at the first bit in which places differ."""
    below = (places[0] ^ places[-1]).bit_length() - 1
    if len(ordered) <= LEAF or below < 0:  # what one message says stays together, however much that is
        found[leaf] = dict(ordered)
        return
    turn = bisect_left(places, places[-1] >> below << below)
    for half in (slice(0, turn), slice(turn, None)):
        name = f"{section_of(leaf)}/{_bits(places[half][0] >> below, _BITS - below)}"
        _cut(name, ordered[half], places[half], found)


def _bits(number: int, width: int) -> str:
    return format(number, f"0{width}b")


def _shared(one: str, two: str) -> int:
    """How many characters two texts share at their beginning."""
    return next((n for n, (a, b) in enumerate(zip(one, two, strict=False)) if a != b), min(len(one), len(two)))
