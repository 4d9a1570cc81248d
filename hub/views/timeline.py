"""The timeline: all that a plan shows, as dated entries, newest first by clinical time. Pure.

It is made of a plan that is already cut to what the asker may see, so it can show nothing more. An entry that came in well after newer
facts stands at its own time and says that it came later.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol
from zoneinfo import ZoneInfo

_AMSTERDAM = ZoneInfo("Europe/Amsterdam")


class Said(Protocol):
    """A value as the plan shows it."""

    @property
    def text(self) -> str: ...
    @property
    def effective(self) -> str: ...
    @property
    def recorded(self) -> str: ...
    @property
    def source(self) -> str: ...
    @property
    def event(self) -> str: ...
    @property
    def status(self) -> str: ...
    @property
    def earlier(self) -> Sequence[Said]: ...
    @property
    def late(self) -> bool: ...
    @property
    def origin(self) -> str: ...
    @property
    def path(self) -> str: ...
    @property
    def mapping(self) -> str: ...


class Topic(Protocol):
    """A line of the plan: one element, and every value of it."""

    @property
    def title_nl(self) -> str: ...
    @property
    def history(self) -> Sequence[Said]: ...


class Chapter(Protocol):
    """A section of the plan."""

    @property
    def lines(self) -> Sequence[Topic]: ...


class Record(Protocol):
    """One organisation's dossier."""

    @property
    def source(self) -> str: ...
    @property
    def organisation(self) -> str: ...
    @property
    def started(self) -> str: ...
    @property
    def ended(self) -> str: ...
    @property
    def recorded(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that happened, at its own time (`effective`, as precise as the source gave it; else the time of recording).

    `earlier` are the texts that this one replaced, oldest first. `status` as in `hub.plan.plan.Value`.
    """

    effective: str
    recorded: str
    title: str
    text: str
    source: str
    section: str = ""
    status: str = "final"
    earlier: tuple[str, ...] = ()
    late: bool = False
    origin: str = ""
    path: str = ""
    mapping: str = ""


def timeline(sections: Mapping[str, Chapter], dossiers: Iterable[Record] = ()) -> list[Entry]:
    """Every value of the sections and the beginning and end of every dossier, newest first."""
    entries = [_entry(name, line, value) for name, section in sections.items() for line in section.lines for value in line.history]
    entries += [entry for dossier in dossiers for entry in _dossier(dossier)]
    return sorted(entries, key=lambda e: (_when(e.effective or e.recorded), e.recorded, e.title, e.text), reverse=True)


def _entry(section: str, line: Topic, value: Said) -> Entry:
    return Entry(
        value.effective, value.recorded, line.title_nl, value.text, value.source, section, value.status,
        tuple(earlier.text for earlier in value.earlier), value.late, value.origin, value.path, value.mapping,
    )


def _dossier(dossier: Record) -> Iterable[Entry]:
    if dossier.started:
        yield Entry(dossier.started, dossier.recorded, "Dossier begonnen", dossier.organisation, dossier.source, "front")
    if dossier.ended:
        yield Entry(dossier.ended, dossier.recorded, "Dossier gesloten", dossier.organisation, dossier.source, "front")


def _when(iso: str) -> str:
    """Text that sorts by moment, whatever offset the source used; a day without a time stands before the times of that day."""
    if "T" not in iso:
        return iso
    try:
        moment = datetime.fromisoformat(iso)
    except ValueError:
        return iso
    moment = moment if moment.tzinfo else moment.replace(tzinfo=_AMSTERDAM)
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")
