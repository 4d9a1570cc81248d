"""The state of a section: the set of event versions that it has seen, as lines of JSON. So a fold is a set union.

Order of arrival, repeats and restarts cannot change a union. A line is one event; its first text is its *place in the set*, eight
hexadecimal characters that follow from the message, then the event id. The state is the JSON array of its lines, sorted: the same
set always gives the same bytes.

A row that grows without end would be rewritten whole by every message. So a state is kept in *leaves*: the row of a section splits in
two by the next bit of the place, as soon as it holds more than `LEAF` events. Which leaves there are follows from the set alone, so
order still does not matter; and the events of one message stay together in one leaf.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterable
from typing import Final, NamedTuple
from zlib import crc32

import orjson

from hub.log.envelope import WITHDRAWN, Envelope
from hub.plan.section import Item

LEAF: Final = 64
"""Events in a leaf before it splits. Measured: larger leaves cost each message more, smaller ones cost each read more."""

_DEEPEST: Final = 20
_END: Final = 2 + 8 + 32
"""Where the place in the set ends in a line: it stands behind a bracket and a quote, and both its parts have a fixed length."""

_BETWEEN: Final = b",\n"

Lines = dict[bytes, bytes]
"""Place in the set → line."""

_Whole = tuple[list[int], list[tuple[bytes, bytes]], dict[str, Lines]]
"""What is cut into leaves: the places as numbers, the lines in that order, and the leaves found so far."""


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
    """The event's place in the set: eight hexadecimal characters of its message, then its id."""
    return b"%08x%b" % (crc32(event.origin.message.encode()), event.id.encode())


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
    return [Version(row[0][8:], *row[1:]) for row in orjson.loads(body)]


def section_of(leaf: str) -> str:
    """The section that a row belongs to."""
    return leaf.partition("/")[0]


def leaf_of(section: str, place: bytes, leaves: Collection[str]) -> str:
    """Which leaf of a section holds a place, given the names of the leaves that have rows; an empty leaf has none."""
    name, path = section, [section]
    for bit in _bits(place):
        if name in leaves:
            return name
        name = _below(name, bit)
        path.append(name)
    # No row on the way: the place belongs to the first node that no leaf lies under.
    return next(node for node in path if node in leaves or not any(leaf.startswith(node) for leaf in leaves))


def split(leaf: str, lines: Lines) -> dict[str, Lines]:
    """A leaf as it must be kept: itself, or the leaves it falls into. Empty leaves are not kept."""
    if len(lines) <= LEAF:
        return {leaf: lines}
    ordered = sorted(lines.items())
    places = [int(place[:8], 16) for place, _ in ordered]
    found: dict[str, Lines] = {}
    bits = leaf.partition("/")[2]
    _cut(leaf, len(bits), int(bits.ljust(32, "0"), 2), (0, len(ordered)), (places, ordered, found))
    return found


def _cut(leaf: str, depth: int, low: int, span: tuple[int, int], whole: _Whole) -> None:
    """Keep a span of the ordered lines as one leaf, or cut it where the next bit turns; `low` is the leaf's lowest place."""
    (start, stop), (places, ordered, found) = span, whole
    if stop - start <= LEAF or depth >= _DEEPEST:
        if stop > start:
            found[leaf] = dict(ordered[start:stop])
        return
    high = low | 1 << (31 - depth)
    turn = bisect_left(places, high, start, stop)
    _cut(_below(leaf, "0"), depth + 1, low, (start, turn), whole)
    _cut(_below(leaf, "1"), depth + 1, high, (turn, stop), whole)


def _bits(place: bytes) -> str:
    return format(int(place[:8], 16), "032b")[:_DEEPEST]


def _below(name: str, bit: str) -> str:
    return f"{name}{bit}" if "/" in name else f"{name}/{bit}"
