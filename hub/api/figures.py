"""Figures for /metrics: what one looks like, and the API's own count of what the door answered. Never anything about a person."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from authz.reasons import REASONS
from fhir_profiles.errors import Forbidden, Unavailable

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Sample:
    """One figure for /metrics. `kind` is counter or gauge; labels never hold anything about a person."""

    name: str
    kind: str
    help: str
    value: float
    labels: Mapping[str, str] = field(default_factory=dict)


class DoorFigures:
    """How often the door opened by kind of route, stayed shut by reason code, or could not answer by fault code.

    Counted on the event loop and read on any thread. Labels are names of ours: routes and codes, so their number is bounded.
    """

    def __init__(self) -> None:
        self._opened: Counter[str] = Counter()
        # Every reason stands there from the start: a rate needs a zero to begin at.
        self._refused: Counter[str] = Counter({code: 0 for code, reason in REASONS.items() if not reason.opens})
        self._failed: Counter[str] = Counter()

    async def counted(self, route: str, answer: Awaitable[T]) -> T:
        """What the door answers to a question by this kind of route ("fhir:CarePlan"), counted."""
        try:
            opened = await answer
        except Forbidden as refusal:
            self._refused[refusal.code] += 1
            raise
        except Unavailable as fault:
            self._failed[fault.code] += 1
            raise
        self._opened[route] += 1
        return opened

    def samples(self) -> Iterable[Sample]:
        """The figures of this moment."""
        yield Sample("ooievaar_door_permits_total", "counter", "questions by FHIR for which the door opened", self._opened.total())
        for name, label, words, counts in (
            ("reads", "route", "the same by kind of route", self._opened),
            ("refusals", "reason", "questions by FHIR that were refused, by reason code", self._refused),
            ("faults", "code", "questions by FHIR that could not be answered, by fault code", self._failed),
        ):
            for value, count in sorted(counts.copy().items()):
                yield Sample(f"ooievaar_door_{name}_total", "counter", words, count, {label: value})
