"""What became of every field: mapped, ignored by a named rule, waiting, or residue. Nothing is dropped in silence.

The mapping marks the fields that it used; this walks over all others. A field that no rule names is residue, so a new field of a
sender is seen by itself.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from connectors.contract import Left
from connectors.formats.hl7v2 import NULL, Message

RULES: Final = {
    "transport": "how the message travels, not what it says",
    "structure": "holds the message together: set ids, types of values",
    "identity": "used to know the record again; the value itself is not shown",
    "order-logistics": "how a test was ordered and handled, not its outcome",
    "told-by-results": "the name of the order; each result carries its own",
    "told-by-adt": "her own data and her visits are taken from the ADT messages that are about them",
    "repeated": "another segment of the message says the same",
    "said-twice": "another field of the segment says the same",
    "administration": "administration of the hospital (insurance, billing, bed types)",
    "not-needed": "personal data that the plan does not need (GDPR article 5: religion, race, nationality, civil number fields)",
    "explicit-null": "the sender says that the field is empty",
    "ends-with-discharge": "the end of a visit counts in a discharge (A03) only",
    "withdrawn": "belongs to a value that the source took back",
    "no-value": "belongs to a result without a value",
    "joined": "taken together with the other half of a blood pressure",
    "waits-with-part": "belongs to a part that waits",
}

SINGLE: Final = frozenset({"MSH", "EVN", "PID", "PD1", "PV1", "PV2", "MRG"})
"""Segments that occur once: their first occurrence is written without a number (PID-5, not PID[1]-5)."""

_EVERY: Final = range(1, 60)
_OBX_ROOM: Final = 18
_SHARED: Final = 64
"""Segments of one name up to this number share their paths and answers; a longer message makes its own."""

_IGNORED: Final[dict[str, dict[int, str]]] = {
    "MSH": dict.fromkeys(_EVERY, "transport"),
    "SFT": dict.fromkeys(_EVERY, "transport"),
    "EVN": dict.fromkeys(_EVERY, "transport"),
    "PID": {1: "structure", 2: "identity", 4: "identity", **dict.fromkeys((10, 12, 17, 18, 19, 20, 21, 22, 26, 27, 28), "not-needed"),
            30: "said-twice", **dict.fromkeys((33, 34), "transport")},
    "PD1": dict.fromkeys(_EVERY, "administration"),
    "PV1": {1: "structure", 4: "administration", 5: "identity", 6: "administration", **dict.fromkeys(range(11, 19), "administration"),
            45: "ends-with-discharge", **dict.fromkeys(range(20, 44), "administration"), **dict.fromkeys(range(46, 60), "administration")},
    "PV2": dict.fromkeys(_EVERY, "administration"),
    "IN1": dict.fromkeys(_EVERY, "administration"),
    "IN2": dict.fromkeys(_EVERY, "administration"),
    "GT1": dict.fromkeys(_EVERY, "administration"),
    "ROL": dict.fromkeys(_EVERY, "administration"),
    "ORC": dict.fromkeys(_EVERY, "order-logistics"),
    "TQ1": dict.fromkeys(_EVERY, "order-logistics"),
    "OBR": {1: "structure", 2: "identity", 3: "identity", 4: "told-by-results", 7: "identity", 22: "identity",
            **dict.fromkeys((5, 6, 8, 10, 11, 14, 16, 17, 18, 19, 20, 21, 23, 24, 25, 26, 27, 28, 36, 37), "order-logistics")},
    "OBX": {1: "structure", 2: "structure", 4: "identity", 11: "joined", 14: "joined", 12: "order-logistics", 13: "order-logistics", 15: "order-logistics",
            18: "order-logistics", 19: "order-logistics", 21: "identity", 23: "order-logistics", 24: "order-logistics"},
    "NTE": {1: "structure", 2: "structure", 4: "structure"},
    "AL1": {1: "structure"},
    "DG1": {1: "structure", 2: "structure", 6: "structure", 20: "identity", 21: "structure"},
    "NK1": {1: "structure"},
}
# What is not read in a message that is not about it: the visit in A08, person and visit in a result.
_ELSEWHERE: Final[dict[str, dict[str, dict[int, str]]]] = {
    "visit": {},
    "person": {"PV1": dict.fromkeys(_EVERY, "told-by-adt")},
    "result": {"PV1": dict.fromkeys(_EVERY, "told-by-adt"), "PID": {**dict.fromkeys(_EVERY, "told-by-adt"), 3: "identity"}},
}


def is_ignored(name: str, number: int) -> bool:
    """Whether a rule ignores a field in every message."""
    return number in _IGNORED.get(name, {})


class Segment:
    """One segment while it is mapped. `number` counts segments of its name from 1; `used` has bit n set when field n became something.

    An explicit null counts as nothing in `fields`; `nulls` lists those fields. `rest` names the rule for all fields that became nothing,
    where the segment as a whole has one (it waits, or its value was taken back).
    """

    __slots__ = ("fields", "name", "nulls", "number", "paths", "rest", "used")

    def __init__(self, fields: list[str], number: int, nulls: bool) -> None:
        self.nulls = [n for n, raw in enumerate(fields) if raw == NULL] if nulls else []
        self.name = fields[0]
        self.fields = ["" if raw == NULL else raw for raw in fields] if self.nulls else fields
        if self.name == "OBX" and len(fields) < _OBX_ROOM:
            # The one segment that is read by place instead of by asking, because there are many of them.
            self.fields = self.fields + [""] * (_OBX_ROOM - len(fields))
        self.number = number
        self.paths = paths_of(self.name, number)
        self.used = 0
        self.rest = ""

    def raw(self, number: int) -> str:
        """Field `number` as it stood; "" when the segment is shorter."""
        fields = self.fields
        return fields[number] if number < len(fields) else ""

    def path(self, number: int) -> str:
        """Where field `number` stands in the message: OBX[2]-5."""
        return self.paths[number] if number < len(self.paths) else f"{self.paths[0]}-{number}"

    def take(self, number: int) -> str:
        """The field as it stood, marked as used when there is something in it."""
        value = self.raw(number)
        if value:
            self.used |= 1 << number
        return value


def _paths(name: str, number: int) -> tuple[str, ...]:
    head = name if number == 1 and name in SINGLE else f"{name}[{number}]"
    return (head, *(f"{head}-{n}" for n in range(1, 60)))


_shared_paths = lru_cache(maxsize=512)(_paths)


def paths_of(name: str, number: int) -> tuple[str, ...]:
    """Where a segment and its fields stand: ("OBX[2]", "OBX[2]-1", …)."""
    return _shared_paths(name, number) if number <= _SHARED else _paths(name, number)


def segments_of(message: Message) -> list[Segment]:
    """The segments of a message, each counted within its name."""
    counts: dict[str, int] = {}
    out = []
    for fields in message.segments:
        name = fields[0]
        number = counts[name] = counts.get(name, 0) + 1
        out.append(Segment(fields, number, message.nulls))
    return out


def _answers(name: str, number: int, about: str, used: int, filled: tuple[bool, ...]) -> tuple[tuple[Left, ...], tuple[int, ...]]:
    """For the filled fields of one segment that became nothing: those that a rule ignores, and the numbers of the others."""
    table = _ELSEWHERE[about].get(name) or _IGNORED.get(name, {})
    paths = paths_of(name, number)
    fields = _open(used, filled)
    return tuple(Left(paths[n], RULES[table[n]], table[n]) for n in fields if n in table), tuple(n for n in fields if n not in table)


# The same objects for every message: segments of one sender are filled in alike, and most of their fields are always ignored.
_shared_answers = lru_cache(maxsize=4096)(_answers)


def sort_out(segments: list[Segment], about: str) -> tuple[tuple[Left, ...], tuple[Left, ...]]:
    """Residue and ignored fields, in the order of the message, which is about a visit, a person or a result."""
    residue: list[Left] = []
    ignored: list[Left] = []
    for segment in segments:
        if segment.nulls:
            ignored += [_left(segment, n, "explicit-null") for n in segment.nulls]
        filled = tuple(map(bool, segment.fields))
        if segment.rest:
            ignored += [_left(segment, n, segment.rest) for n in _open(segment.used, filled)]
        else:
            answers = _shared_answers if segment.number <= _SHARED else _answers
            by_rule, rest = answers(segment.name, segment.number, about, segment.used, filled)
            ignored += by_rule
            if rest:
                residue += [Left(segment.path(n), "no rule for this field", "residue", segment.fields[n]) for n in rest]
    return tuple(residue), tuple(ignored)


def _open(used: int, filled: tuple[bool, ...]) -> list[int]:
    """The fields that hold something and became nothing."""
    used |= 1
    return [n for n, something in enumerate(filled) if something and not used >> n & 1]


def _left(segment: Segment, number: int, rule: str) -> Left:
    return Left(segment.path(number), RULES[rule], rule)
