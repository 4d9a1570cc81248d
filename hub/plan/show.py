"""The plan as it is shown, from the states of its sections. Pure: the door hands over bytes, this makes a `Plan` of them.

Newest version of each resource, what it replaced beside it; one line an element (and a child); where sources disagree, a voice each.
Facts that sources tied to no pregnancy are taken in only where they fall within this one, or hold for the woman as such.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from itertools import count
from typing import Final

from fhir_profiles.codes import BY_NAME
from hub.plan.dutch import sortable
from hub.plan.facts import Fact, facts, marked_late, value_of
from hub.plan.phase import Course, course
from hub.plan.plan import Line, Plan, SectionView
from hub.plan.rules import rule_for
from hub.plan.section import Section
from hub.plan.sections import SECTIONS
from hub.plan.team import directory, dossiers, team, woman

_ELEMENT: Final = {"due-date-definitive": "due-date"}
"""Concepts that together are one element of the plan."""

_EACH: Final = frozenset({"allergy", "medication", "problem", "procedure", "related-person"})
"""Concepts of which a woman has several at a time: each thing is a line."""

_NO_LINE: Final = frozenset({"patient", "dossier", "care-team", "organization", "practitioner", "practitioner-role"})
"""Concepts that the plan shows elsewhere: the woman, her dossiers, her team."""

_Key = tuple[str, str, str]
"""Element, about, and which thing it is where there are several."""


def show(
    subject: str, episode: str, states: Mapping[tuple[str, str], bytes], today: date, names: Mapping[str, str], closed: Mapping[str, str],
) -> Plan:
    """The plan of one pregnancy as far as it is open. `states` is (episode, section) → state; `names` source id → organisation name;
    `closed` section → reason code, for sections that stay shut (their states are not looked at)."""
    everything = facts({key: body for key, body in states.items() if key[1] not in closed})
    own = [fact for fact in everything if fact.episode == episode]
    how = course(own, today)
    kept = [fact for fact in everything if fact.episode == episode or (fact.episode == "" and how.holds(fact))]
    known = directory(kept, names)
    return Plan(
        subject=subject, episode=episode, phase=how.phase, due=how.due, woman=woman(kept), dossiers=dossiers(kept, known),
        team=team(kept, known),
        sections={name: _view(section, kept) for name, section in SECTIONS.items() if name not in closed},
        closed=dict(closed), updated=max((fact.newest.recorded for fact in kept), default=""),
    )


def phase_of(states: Mapping[tuple[str, str], bytes], episode: str, today: date) -> Course:
    """The course of one pregnancy, for lists that show no more than that."""
    return course((fact for fact in facts(states) if fact.episode == episode), today)


def _view(section: Section, kept: Iterable[Fact]) -> SectionView:
    groups: dict[_Key, list[Fact]] = {}
    children = _children(kept)
    for fact in kept:
        if fact.section == section.name and fact.concept not in _NO_LINE:
            groups.setdefault(_key(fact), []).append(fact)
    order = {concept: at for at, concept in enumerate(section.concepts)}
    keys = sorted(groups, key=lambda key: (order.get(key[0], len(order)), children.get(key[1], 0), key[2]))
    lines = (_line(key, groups[key], children) for key in keys)
    return SectionView(section.name, section.number, section.title_nl, tuple(line for line in lines if line is not None))


def _key(fact: Fact) -> _Key:
    concept, item = fact.concept, fact.item
    thing = str(item.get("code") or item.get("text") or item.get("name") or fact.newest.identity).casefold() if concept in _EACH else ""
    return _ELEMENT.get(concept, concept), fact.newest.about, thing


def _children(kept: Iterable[Fact]) -> dict[str, int]:
    """Fetus or child → its number in this plan: the one that its source gave, else the next free one, by when anything was first known of it."""
    first: dict[str, tuple[str, str]] = {}
    given: dict[str, int] = {}
    for fact in kept:
        about = fact.newest.about
        if about:
            first[about] = min(first.get(about, ("~", about)), (sortable(fact.when), about))
            if number := fact.item.get("fetus"):
                given[about] = min(given.get(about, number), number)
    free = (number for number in count(1) if number not in given.values())
    return {about: given.get(about) or next(free) for about in sorted(first, key=lambda about: first[about])}


def _line(key: _Key, group: list[Fact], children: Mapping[str, int]) -> Line | None:
    element, about, _ = key
    values = [value for fact in group if (value := value_of(fact)).text]
    if not values:
        return None
    concept = BY_NAME.get(element)
    title, plain = (concept.title_nl, concept.plain_nl) if concept else (element, element)
    rule = rule_for(element, measured=concept is not None and concept.kind in ("quantity", "coded", "count", "components", "date"))
    history = marked_late(values)
    told = [value for value in history if value.status != "withdrawn"]
    # A result that could not be had takes no place of one that there is.
    standing = [value for value in told if value.status != "cancelled"] or told
    child = f" – kind {children[about]}" if about else ""
    return Line(
        concept=element, title_nl=title + child, plain_nl=plain + child, sensitivity=max(fact.newest.sensitivity for fact in group),
        shown=rule.choose(standing), rule=rule.name, history=tuple(history), voices=rule.voices(standing), about=about,
    )
