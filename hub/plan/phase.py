"""Where a pregnancy stands: its due date, whether it runs, and which facts of no known pregnancy fall within it. Pure.

The phase decides what the woman is shown: after a loss all counting of weeks stops at once. So a loss is taken from what sources say
(way of ending), or from an end long before the due date without any birth.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from hub.plan.dutch import day_of
from hub.plan.facts import Fact, value_of
from hub.plan.plan import Value
from hub.plan.rules import DUE_DATE

BEFORE_DUE: Final = timedelta(days=300)
AFTER_DUE: Final = timedelta(days=60)
VIABLE: Final = timedelta(days=112)
"""An end more than 16 weeks before the due date is before 24 weeks: without a birth it is a loss."""

OVERDUE: Final = timedelta(days=21)
"""Longer than this after the due date no pregnancy runs on; that nobody told how it ended is then what we say."""

TIMELESS: Final = frozenset({
    "patient", "organization", "practitioner", "practitioner-role", "related-person", "blood-group", "rhesus-d", "rhesus-c", "body-height",
    "allergy", "medication", "problem", "procedure",
})
"""Concepts that hold for the woman, whichever pregnancy it is."""

_BIRTH: Final = frozenset({"delivery", "birth", "birth-weight", "delivery-type", "apgar-5"})
_OVER: Final = frozenset({"finished", "inactive", "ended"})
_LOSS_WORDS: Final = ("miskraam", "abortus", "apla", "eug", "extra-uterien", "buitenbaarmoederlijk", "mola", "zwangerschapsafbreking")
_BIRTH_WORDS: Final = ("partus", "bevalling", "geboorte", "sectio", "keizersnede")


@dataclass(frozen=True, slots=True)
class Course:
    """How one pregnancy goes. `due` and `ended` are ISO days, "" when not known; `first` and `last` bound the facts that belong to it."""

    phase: str
    due: str
    ended: str
    first: date | None
    last: date | None

    def holds(self, fact: Fact) -> bool:
        """Whether a fact of no known pregnancy belongs to this one. Without a day of its own, or without bounds, a fact is left out."""
        if fact.concept in TIMELESS:
            return True
        day = day_of(fact.when)
        return day is not None and self.first is not None and self.last is not None and self.first <= day <= self.last


def course(own: Iterable[Fact], today: date) -> Course:
    """The course of a pregnancy from its own facts (those that sources tied to it)."""
    standing = [fact for fact in own if fact.stands]
    due = due_day(standing)
    ended, way = _end(standing), _way(standing)
    phase = _phase(standing, due, ended, way, today)
    first, last = _bounds(standing, due, ended, phase)
    return Course(phase, due.isoformat() if due else "", ended.isoformat() if ended else "", first, last)


def due_day(standing: Iterable[Fact]) -> date | None:
    """The due date (à terme datum) that the plan reckons with, by the written rule."""
    values: list[Value] = [value_of(fact) for fact in standing if fact.concept in ("due-date", "due-date-definitive")]
    chosen = DUE_DATE.choose([value for value in values if day_of(value.iso)])
    return day_of(chosen.iso) if chosen else None


def _phase(standing: list[Fact], due: date | None, ended: date | None, way: str, today: date) -> str:
    if way:
        return way
    if any(fact.concept in _BIRTH for fact in standing):
        return "ended"
    if ended is not None:
        return "loss" if due is not None and ended < due - VIABLE else "ended"
    if due is not None:
        return "pregnant" if today <= due + OVERDUE else "unknown"
    return "pregnant" if any(_runs(fact) for fact in standing) else "unknown"


def _runs(fact: Fact) -> bool:
    if fact.concept == "dossier":
        return fact.item.get("status") == "active"
    return fact.concept == "pregnancy" and not fact.item.get("inactive")


def _way(standing: list[Fact]) -> str:
    """loss or ended, as the newest way of ending says; "" when no source said, or in words that we do not know."""
    ways = sorted((fact for fact in standing if fact.concept == "pregnancy-end-way"), key=lambda fact: fact.newest.recorded)
    if not ways:
        return ""
    words, code = str(ways[-1].item.get("text", "")).casefold(), str(ways[-1].item.get("code", ""))
    if any(word in words for word in _LOSS_WORDS):
        return "loss"
    # WijzeEindeZwangerschap (2.16.840.1.113883.2.4.4.13.46): 1 partus; 2x miscarriage, 3x abortion, 4 ectopic, 5 mola.
    if code in ("1", "21", "22", "23", "2", "3", "31", "32", "4", "5"):
        return "ended" if code == "1" else "loss"
    return "ended" if any(word in words for word in _BIRTH_WORDS) else ""


def _end(standing: list[Fact]) -> date | None:
    """The day on which the pregnancy ended: what a source says of it, else when every dossier is closed."""
    said = [day for fact in standing if fact.concept == "pregnancy-end" and (day := day_of(str(fact.item.get("text", ""))))]
    if said:
        return max(said)
    resolved = [fact for fact in standing if fact.concept == "pregnancy" and fact.item.get("inactive")]
    over = [day for fact in resolved if (day := day_of(str(fact.item.get("end", ""))))]
    if over:
        return max(over)
    dossiers = [fact for fact in standing if fact.concept == "dossier"]
    if not dossiers or any(fact.item.get("status") not in _OVER for fact in dossiers):
        return None
    return max((day for fact in dossiers if (day := day_of(str(fact.item.get("end") or fact.newest.recorded)))), default=None)


def _bounds(standing: list[Fact], due: date | None, ended: date | None, phase: str) -> tuple[date | None, date | None]:
    middle = due or _reckoned_due(standing)
    if middle is None:
        return None, ended
    if ended is None:
        return middle - BEFORE_DUE, middle + AFTER_DUE
    # After a loss a new pregnancy may begin within weeks; after a birth the weeks of kraamtijd belong to this one.
    return middle - BEFORE_DUE, ended if phase == "loss" else ended + AFTER_DUE


def _reckoned_due(standing: list[Fact]) -> date | None:
    """Without a due date: as if the earliest dossier or fact was made at eight weeks."""
    days = [day for fact in standing if (day := day_of(fact.when))]
    return min(days) + timedelta(days=280 - 56) if days else None
