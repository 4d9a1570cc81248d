"""Which value is shown when there are several, one written rule an element; the others always stay visible.

Two general rules: never average, never choose in silence (domain notes, g). Each rule has a reason and a place for the clinical owner:
the person of the federation who answers for it. None has signed yet, and the field says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from hub.plan.dutch import day_of, sortable
from hub.plan.plan import Value

NO_OWNER: Final = "nog niet vastgesteld"


@dataclass(frozen=True, slots=True)
class Rule:
    """How one element is shown: `choose` takes one of the values that stand (newest, none withdrawn), `voices` those that differ."""

    name: str
    reason_nl: str
    choose: Callable[[Sequence[Value]], Value | None]
    voices: Callable[[Sequence[Value]], tuple[Value, ...]]
    owner: str = NO_OWNER


def by_time(value: Value) -> tuple[str, str, str]:
    """Order of clinical time, then of recording; the event id makes it the same everywhere."""
    return sortable(value.effective or value.recorded), value.recorded, value.event


def newest(values: Iterable[Value]) -> Value | None:
    """The value with the latest clinical time."""
    return max(values, key=by_time, default=None)


def _definitive_first(values: Sequence[Value]) -> Value | None:
    definitive = [value for value in values if value.concept == "due-date-definitive"]
    return newest(definitive or values)


def _never(values: Sequence[Value]) -> Value | None:
    return None if len({_said(value) for value in values}) > 1 else newest(values)


def _said(value: Value) -> str:
    """What a value says, for comparing: its code, number or day, else its words."""
    if value.number is not None:
        return f"{value.number}{value.unit}"
    day = day_of(value.iso) if value.iso else None
    return day.isoformat() if day else value.code or value.text.casefold()


def _no_voices(values: Sequence[Value]) -> tuple[Value, ...]:
    return ()


def _a_voice_each(choose: Callable[[Sequence[Value]], Value | None]) -> Callable[[Sequence[Value]], tuple[Value, ...]]:
    """One value a source, by the same choice; empty when the sources agree."""
    def voices(values: Sequence[Value]) -> tuple[Value, ...]:
        chosen = [choose([v for v in values if v.source == source]) for source in sorted({v.source for v in values})]
        found = tuple(value for value in chosen if value is not None)
        return found if len({_said(value) for value in found}) > 1 else ()
    return voices


def _every_answer(values: Sequence[Value]) -> tuple[Value, ...]:
    """The newest of each different answer of each source; empty when there is one answer only."""
    answers = {(value.source, _said(value)): value for value in sorted(values, key=by_time)}
    found = tuple(answers[key] for key in sorted(answers))
    return found if len({_said(value) for value in found}) > 1 else ()


def _same_moment(values: Sequence[Value]) -> tuple[Value, ...]:
    """Values of the newest moment that sources tell differently; measurements of different moments are no conflict."""
    last = newest(values)
    if last is None or "T" not in last.effective:
        return ()
    at = [value for value in values if sortable(value.effective) == sortable(last.effective)]
    return _a_voice_each(newest)(at)


NEWEST: Final = Rule("newest-effective", "De meting met de laatste klinische tijd.", newest, _same_moment)
ITEM: Final = Rule("newest-effective", "De laatste opgave van dit onderdeel.", newest, _no_voices)
COUNT: Final = Rule("newest-effective", "De laatste telling; verschillen tussen bronnen staan ernaast.", newest, _a_voice_each(newest))
DUE_DATE: Final = Rule(
    "definitive-over-estimate",
    "De definitieve à terme datum (landelijk protocol datering) gaat voor een schatting; daarbinnen de laatst bepaalde.",
    _definitive_first, _a_voice_each(_definitive_first),
)
NEVER: Final = Rule(
    "never-choose", "Bij tegenspraak wordt niets gekozen: opnieuw bepalen. Transfusie altijd op eigen kruisproef.", _never, _every_answer,
)

RULES: Final[dict[str, Rule]] = {
    "due-date": DUE_DATE,
    "blood-group": NEVER,
    "rhesus-d": NEVER,
    "rhesus-c": NEVER,
    "gravidity": COUNT,
    "parity": COUNT,
    "fetus-count": COUNT,
    "last-menstruation": COUNT,
    "pregnancy-end": COUNT,
    "pregnancy-end-way": COUNT,
}
"""Concept → rule. The two due-date concepts are one element, `due-date`."""


def rule_for(concept: str, *, measured: bool) -> Rule:
    """The rule of an element; those without a line of their own show the newest."""
    return RULES.get(concept) or (NEWEST if measured else ITEM)
