"""From the versions in a state to values to show: the newest of each resource, what it replaced, and whether it came late. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any, Final

from fhir_profiles.codes import BY_NAME
from hub.plan.dutch import item_text, moment_of, sortable
from hub.plan.plan import Value
from hub.plan.relations import order
from hub.plan.state import Version, versions

LATE: Final = timedelta(hours=24)

_STATUSES: Final = {
    "registered": "preliminary", "preliminary": "preliminary", "amended": "corrected", "corrected": "corrected", "cancelled": "cancelled",
    "unknown": "unknown",
}
_STAYS: Final = {
    "IMP": "Opname", "ACUTE": "Opname", "AMB": "Polikliniek", "EMER": "Spoedeisende hulp", "OBSENC": "Observatie", "HH": "Huisbezoek",
}


@dataclass(frozen=True, slots=True)
class Fact:
    """One resource of one source: its newest version and the versions before it, oldest first. `episode` and `section` are the newest's."""

    episode: str
    section: str
    newest: Version
    before: tuple[Version, ...] = ()

    @property
    def concept(self) -> str:
        """The concept that the newest version is about."""
        return self.newest.concept

    @property
    def item(self) -> dict[str, Any]:
        """What the newest version says."""
        return self.newest.item

    @property
    def stands(self) -> bool:
        """Whether the source still stands by it."""
        return not self.newest.withdrawn and self.item.get("status") != "cancelled"

    @property
    def when(self) -> str:
        """The clinical time; where the source gave none, the start of the thing, else the time of recording."""
        return self.newest.effective or str(self.item.get("start") or "") or self.newest.recorded


def facts(states: Mapping[tuple[str, str], bytes]) -> list[Fact]:
    """Every resource in the states, in a fixed order. `states` is (episode, section) → state."""
    found: dict[str, dict[str, tuple[str, str, Version]]] = {}
    for (episode, section), body in states.items():
        for version in versions(body):
            found.setdefault(version.identity, {}).setdefault(version.event, (episode, section, version))
    return [_fact(list(found[identity].values())) for identity in sorted(found)]


def _fact(seen: list[tuple[str, str, Version]]) -> Fact:
    ordered = sorted(seen, key=lambda entry: order(entry[2]))
    episode, section, newest = ordered[-1]
    return Fact(episode, section, newest, tuple(version for _, _, version in ordered[:-1]))


def value_of(fact: Fact) -> Value:
    """The newest value, with the different ones that it replaced; corrected when there are any, or when the source says so."""
    earlier = _replaced(fact) if fact.before else ()
    if fact.newest.withdrawn:
        # A retraction need not repeat the value: then what was retracted is the last one that was said.
        newest = _value(fact.newest)
        text = newest.text or (earlier[-1].text if earlier else "")
        return replace(newest, text=text, status="withdrawn", earlier=tuple(v for v in earlier if v.text != text))
    status = _status(fact.newest)
    # A final result after a preliminary one corrects nothing.
    if status in ("final", "unknown") and any(value.status != "preliminary" for value in earlier):
        status = "corrected"
    return _value(fact.newest, status, earlier)


def _status(version: Version) -> str:
    """What the source says of a result (Observation.status), in the words of `Value.status`."""
    said = str(version.item.get("status", ""))
    known = BY_NAME.get(version.concept)
    return _STATUSES.get(said, "final") if known is not None and known.kind != "resource" else "final"


def _replaced(fact: Fact) -> tuple[Value, ...]:
    """The values before the newest, oldest first, without repeats of the same text one after the other."""
    kept: list[Value] = []
    for version in fact.before:
        value = _value(version, _status(version))
        if value.text and not version.withdrawn and (not kept or kept[-1].text != value.text):
            kept.append(value)
    if kept and kept[-1].text == _value(fact.newest).text:
        kept.pop()
    return tuple(kept)


def _value(version: Version, status: str = "final", earlier: tuple[Value, ...] = ()) -> Value:
    item = version.item
    kind = BY_NAME[version.concept].kind if version.concept in BY_NAME else "text"
    number = item.get("number")
    return Value(
        concept=version.concept, text=_words(kind, version), effective=version.effective, recorded=version.recorded, source=version.source,
        identity=version.identity, event=version.event, number=None if number is None else float(number),
        status=status, earlier=earlier, unit=item.get("unit", ""), code=item.get("code", ""), origin=version.origin,
        path=item.get("path", ""), mapping=version.mapping,
        parts=tuple((name, float(value)) for name, value, _ in item.get("parts", ())),
        iso=str(item.get("text", "")) if kind == "date" else "",
    )


def _words(kind: str, version: Version) -> str:
    item = version.item
    if version.concept == "encounter":
        return str(item.get("text") or item.get("reason") or _STAYS.get(item.get("class", ""), "Contact"))
    # That it is there is all that a presence says; the source's own word for it may be in any language.
    text = "ja" if kind == "presence" else item_text(kind, version.concept, item)
    if not text:
        return ""
    dosage = f", {item['dosage']}" if item.get("dosage") else ""
    return f"{text}{dosage}{' (niet meer actief)' if item.get('inactive') else ''}"


def marked_late(values: Sequence[Value]) -> list[Value]:
    """The values of one element, newest clinical time first; those that came more than a day after a newer one are marked."""
    timed = sorted(((sortable(v.effective or v.recorded), v.recorded, v.event, v) for v in values), key=lambda t: t[:3], reverse=True)
    marked: list[Value] = []
    known: datetime | None = None
    for _, same in groupby(timed, key=lambda t: t[0]):
        heard = [(value, moment_of(value.recorded)) for *_, value in same]
        marked += [replace(v, late=True) if known is not None and at is not None and at - known > LATE else v for v, at in heard]
        known = min([at for _, at in heard if at is not None] + ([known] if known is not None else []), default=None)
    return marked
