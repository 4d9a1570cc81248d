"""Which pregnancy each resource of a Bundle belongs to, and what each dossier says of itself.

A dossier is an EpisodeOfCare; without one, a pregnancy Condition stands for it. Its key is the sender's business identifier, else the
day on which it was opened, within this sender and woman: a count or a due date may be corrected, and the dossier stays what it is. Only
where there is no such day it is the number of the pregnancy (gravidity), else the technical id: ids are new at every conversion, so a
dossier known by nothing else cannot be known again, and joining it is left to the matching of pregnancies.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final

from connectors.contract import Dossier
from connectors.formats.days import utc
from connectors.formats.fhir_bundle import Entry, Index
from connectors.formats.fhir_tree import Draft, dicts, start_of, text
from connectors.practice.codes import TECHNICAL_SYSTEMS
from connectors.practice.people import is_maternal, is_pregnancy

_FINISHED = frozenset(("finished", "cancelled", "entered-in-error"))
_ENDED = frozenset(("inactive", "resolved", "remission"))

_BEFORE_DAYS: Final = 300
_AFTER_DAYS: Final = 21
"""A dossier is opened from some days before conception to three weeks after the due date."""


@dataclass(slots=True)
class Dossiers:
    """The dossiers of a Bundle by the entry that holds them; `of_condition` tells the dossier of a pregnancy Condition."""

    index: Index
    local_of: dict[int, str] = field(default_factory=dict)
    of_condition: dict[int, str] = field(default_factory=dict)
    keys: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def of(self, draft: Draft, entry: Entry) -> str:
        """The local name of the dossier of a resource: by context, by what it is about, else the only one; empty when that cannot be
        known."""
        if entry.place in self.local_of:
            return self.local_of[entry.place]
        if entry.place in self.of_condition:
            return self.of_condition[entry.place]
        said = [ref.says for ref in (draft.context, draft.focus) if ref is not None]
        said += [ref.says for ref in draft.refs if ref.to.startswith(("reasonReference", "partOf"))]
        for says in said:
            found = self._by(says, 0)
            if found:
                return found
        if draft.context is None and len(self.keys) == 1:
            return next(iter(self.keys))
        return ""

    def _by(self, says: str, depth: int) -> str:
        entry = self.index.find(says)
        if entry is None or depth > 4:
            return ""
        known = self.local_of.get(entry.place) or self.of_condition.get(entry.place, "")
        if known:
            return known
        onward = [r for name in ("context", "episodeOfCare", "partOf") for r in dicts(entry.resource.get(name))]
        return next((found for r in onward if (found := self._by(text(r.get("reference")), depth + 1))), "")


def find_dossiers(entries: tuple[Entry, ...], index: Index) -> Dossiers:
    """Name the dossiers of a Bundle."""
    found = Dossiers(index)
    for entry in entries:
        if entry.kind == "EpisodeOfCare" and is_maternal(entry.resource):
            found.local_of[entry.place] = f"dossier-{len(found.local_of)}"
    conditions = [e for e in entries if e.kind == "Condition" and is_pregnancy(e.resource)]
    for entry in conditions:
        local = _dossier_of_condition(entry, entries, found)
        if local:
            found.of_condition[entry.place] = local
        elif not found.local_of or entry.resource.get("context") is None:
            found.local_of[entry.place] = f"dossier-{len(found.local_of)}"
    found.keys = dict.fromkeys(found.local_of.values(), ())
    return found


def _dossier_of_condition(condition: Entry, entries: tuple[Entry, ...], found: Dossiers) -> str:
    for reference in dicts(condition.resource.get("context")):
        target = found.index.find(text(reference.get("reference")))
        if target is not None and target.place in found.local_of:
            return found.local_of[target.place]
    for episode in entries:
        for diagnosis in dicts(episode.resource.get("diagnosis")) if episode.place in found.local_of else ():
            for reference in dicts(diagnosis.get("condition")):
                if found.index.find(text(reference.get("reference"))) is condition:
                    return found.local_of[episode.place]
    return ""


@dataclass(slots=True)
class Sayings:
    """What the observations of one dossier say about it."""

    gravidity: set[int] = field(default_factory=set)
    due: list[tuple[int, str, str]] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)

    def hear(self, concept: str, resource: Mapping[str, Any], effective: str) -> None:
        """Take in one observation."""
        number, moment = resource.get("valueInteger"), text(resource.get("valueDateTime"))
        if concept == "gravidity" and isinstance(number, int):
            self.gravidity.add(number)
        elif concept in ("due-date", "due-date-definitive") and moment:
            self.due.append((int(concept == "due-date-definitive"), effective, moment))
        elif concept == "pregnancy-end" and moment:
            self.ended.append(moment)


def dossier_of(local: str, entry: Entry, said: Sayings) -> Dossier:
    """The dossier as the contract asks for it. The due date said definitively, or else last, counts."""
    resource = entry.resource
    gravidity = said.gravidity.copy().pop() if len(said.gravidity) == 1 else None
    is_episode = entry.kind == "EpisodeOfCare"
    finished = text(resource.get("status")) in _FINISHED if is_episode else text(resource.get("clinicalStatus")) in _ENDED
    started, due, ended = start_of(resource.get("period")), max(said.due)[2] if said.due else "", max(said.ended, default="")
    key = _business_key(resource) or _opened_key(started, due or ended, running=not finished) or _count_key(gravidity)
    return Dossier(local, key or ("technical-id", text(resource.get("id"))), "finished" if finished else "active", due=due, gravidity=gravidity,
                   started=started if utc(started) else "", ended=ended)


def _business_key(resource: Mapping[str, Any]) -> tuple[str, ...]:
    for identifier in dicts(resource.get("identifier")):
        system, value = text(identifier.get("system")), text(identifier.get("value"))
        if value and system not in TECHNICAL_SYSTEMS:
            return ("identifier", system, value)
    return ()


def _opened_key(started: str, end: str, *, running: bool) -> tuple[str, ...]:
    """The day on which the dossier was opened, when it lies within the pregnancy that the dossier speaks of.

    An earlier pregnancy that was written down afterwards has the day of writing: two of those, and the present one, may share it. A
    dossier that runs is known by its day also while it tells no due date: one that is left out or waits makes no second dossier.
    """
    opened, last = _day(started), _day(end)
    if opened is not None and last is None and running:
        return ("opened", opened.isoformat())
    if opened is None or last is None or not -_AFTER_DAYS <= (last - opened).days <= _BEFORE_DAYS:
        return ()
    return ("opened", opened.isoformat())


def _count_key(gravidity: int | None) -> tuple[str, ...]:
    return () if gravidity is None else ("gravidity", str(gravidity))


def _day(moment: str) -> date | None:
    try:
        return date.fromisoformat(moment[:10])
    except ValueError:
        return None
