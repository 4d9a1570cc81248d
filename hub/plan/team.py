"""Who cares for her: people and organisations in the care team, each with its role, and the dossiers of this pregnancy. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from hub.plan.facts import Fact
from hub.plan.plan import Carer, DossierLine, Woman
from hub.plan.relations import order, organisation_of

_KINDS: Final = {
    "G3": "Verloskundigenpraktijk", "V4": "Ziekenhuis", "V5": "Ziekenhuis", "V6": "Ziekenhuis", "K4": "Kraamzorg",
    "JGZ": "Jeugdgezondheidszorg", "H1": "Huisarts", "Z3": "Huisartsenpraktijk", "A1": "Apotheek", "P4": "Polikliniek",
}
_COORDINATOR: Final = ("coördin", "coordin", "casemanager", "case manager")

COORDINATOR_NL: Final = "Coördinerend zorgverlener"


@dataclass(frozen=True, slots=True)
class Directory:
    """Who stands behind a reference: resources by id, URAs of organisations, and the names of those that are known to the hub."""

    by_id: Mapping[str, Mapping[str, Any]]
    uras: Mapping[str, str]
    names: Mapping[str, str]

    def organisation(self, org: Any, source: str) -> tuple[str, str]:
        """(name, URA) of a reference to an organisation; of the sender when nothing is named, ("", "") when it cannot be known."""
        ura = organisation_of(org, dict(self.uras), source)
        said = self.by_id.get(org[0], {}).get("name") or org[2] if org else ""
        return str(said or self.names.get(ura, "")), ura

    def person(self, who: Any) -> Mapping[str, Any]:
        """What is known of a person, role or organisation behind a reference; at least the name that was displayed."""
        found = self.by_id.get(who[0], {}) if who else {}
        if "person" in found:
            return {**self.person(found["person"]), **{k: v for k, v in found.items() if k in ("type", "org", "phone")}}
        return found or ({"name": who[2]} if who else {})


def directory(facts: Iterable[Fact], names: Mapping[str, str]) -> Directory:
    """The directory of a plan. `names` is source id → organisation name; the newest fact wins where two have one id."""
    ordered = sorted((fact for fact in facts if fact.stands), key=lambda fact: order(fact.newest))
    by_id = {fact.item["id"]: fact.item for fact in ordered if fact.item.get("id")}
    by_ura = {source.rpartition("/")[2]: name for source, name in names.items()}
    named = {str(i["ura"]): str(i["name"]) for i in by_id.values() if "ura" in i and "name" in i}
    return Directory(by_id, {key: str(i["ura"]) for key, i in by_id.items() if "ura" in i}, {**named, **by_ura})


def woman(facts: Iterable[Fact]) -> Woman:
    """Who the plan is about, as the newest source says. Patients that are a child of hers are not she."""
    mine = [fact for fact in facts if fact.concept == "patient" and fact.stands and not fact.newest.about]
    newest = max(mine, key=lambda fact: (fact.newest.recorded, fact.newest.event), default=None)
    if newest is None:
        return Woman()
    item = newest.item
    return Woman(item.get("name", ""), item.get("given", ""), item.get("birth", ""), newest.newest.source, newest.newest.recorded)


def dossiers(facts: Iterable[Fact], known: Directory) -> tuple[DossierLine, ...]:
    """Each organisation's record of this pregnancy, the earliest first."""
    lines = [
        DossierLine(fact.newest.source, known.organisation(fact.item.get("org"), fact.newest.source)[0], fact.item.get("status", ""),
                    fact.item.get("start", "")[:10], fact.item.get("end", "")[:10], fact.newest.recorded)
        for fact in facts if fact.concept == "dossier" and fact.stands
    ]
    return tuple(sorted(lines, key=lambda line: (line.started, line.source, line.recorded)))


def team(facts: Iterable[Fact], known: Directory) -> tuple[Carer, ...]:
    """The care team: the coordinator first, then those who care now, then those who did. One line a person or organisation and role."""
    found: dict[tuple[str, str, str], Carer] = {}
    for carer in _all(list(facts), known):
        key = (carer.name, carer.ura, "" if carer.coordinator else carer.role_nl)
        if carer.name and (key not in found or found[key].recorded < carer.recorded):
            found[key] = carer
    people = _without_doubles(_one_coordinator(found.values()))
    ordered = sorted(people, key=lambda c: (c.since, c.recorded), reverse=True)
    return tuple(sorted(ordered, key=lambda c: (bool(c.until), not c.coordinator, c.name)))


def _without_doubles(carers: list[Carer]) -> list[Carer]:
    """Who coordinates is listed once, also when a team lists the same person with another role; an organisation is no person as well."""
    leads = {carer.name for carer in carers if carer.coordinator}
    organisations = {carer.name for carer in carers if carer.role_nl in _KINDS.values() or carer.role_nl == "Organisatie"}
    return [carer for carer in carers
            if carer.coordinator or (carer.name not in leads and not (carer.role_nl == "Zorgverlener" and carer.name in organisations))]


def _one_coordinator(carers: Iterable[Carer]) -> list[Carer]:
    """There is one coördinerend zorgverlener at a time: who was named last. An earlier one stays in the team as such."""
    everyone = list(carers)
    leads = [c for c in everyone if c.coordinator and not c.until]
    last = max(leads, key=lambda c: (c.since, c.recorded, c.name), default=None)
    return [replace(c, coordinator=c is last) if c in leads else c for c in everyone]


def _all(facts: list[Fact], known: Directory) -> Iterable[Carer]:
    for fact in facts:
        if not fact.stands:
            continue
        if fact.concept == "care-team":
            yield from _members(fact, known)
        if fact.concept in ("care-team", "dossier", "encounter"):
            yield _organisation(fact, known)
        if fact.concept == "dossier" and fact.item.get("manager"):
            yield _person(fact, fact.item["manager"], {"type": COORDINATOR_NL, **_period(fact)}, known, coordinator=True)


def _members(fact: Fact, known: Directory) -> Iterable[Carer]:
    for member in fact.item.get("members", ()):
        role = f"{member.get('type', '')} {member.get('code', '')}".casefold()
        leads = any(word in role for word in _COORDINATOR)
        yield _person(fact, member.get("who"), {**_period(fact), **member}, known, coordinator=leads)


def _period(fact: Fact) -> dict[str, str]:
    return {key: fact.item[key] for key in ("start", "end") if key in fact.item}


def _person(fact: Fact, who: Any, said: Mapping[str, Any], known: Directory, *, coordinator: bool) -> Carer:
    person = known.person(who)
    name, ura = known.organisation(said.get("org") or person.get("org") or fact.item.get("org"), fact.newest.source)
    if "ura" in person:
        name, ura = str(person.get("name", "")), str(person["ura"])
    role = said.get("type") or person.get("type") or "Zorgverlener"
    return Carer(str(person.get("name", "")), _KINDS.get(role, role), name, ura, str(person.get("phone", "")), coordinator,
                 str(said.get("start", ""))[:10], str(said.get("end", ""))[:10], fact.newest.source, fact.newest.recorded)


def _organisation(fact: Fact, known: Directory) -> Carer:
    org = fact.item.get("org")
    name, ura = known.organisation(org, fact.newest.source)
    found = known.by_id.get(org[0], {}) if org else next((i for i in known.by_id.values() if ura and i.get("ura") == ura), {})
    role = _KINDS.get(str(found.get("type", "")), "Organisatie")
    return Carer(name, role, name, ura, str(found.get("phone", "")), False, str(fact.item.get("start", ""))[:10],
                 str(fact.item.get("end", ""))[:10], fact.newest.source, fact.newest.recorded)
