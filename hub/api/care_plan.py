"""The plan as a FHIR R4 CarePlan, and as a document Bundle: one Composition section for every section of the plan.

A section that stays shut is there and says so (`emptyReason` withheld); one about which nothing came says that too (unavailable). An
empty section never means "none".
"""

from __future__ import annotations

from typing import Final

from fhir_profiles.codes import CARE_TEAM, FRONT, LOINC
from hub.api.elements import Fhir, concept, date_time_of, instant_of, paragraph, table
from hub.api.resources import built, care_team, observation_ids, patient, resources_of, values_of
from hub.plan.plan import Plan
from hub.plan.sections import SECTIONS

TITLE: Final = "Geboortezorgplan"
SECTION_SYSTEM: Final = "http://ooievaar.example/fhir/CodeSystem/plan-section"
_EMPTY: Final = "http://terminology.hl7.org/CodeSystem/list-empty-reason"
_STATUSES: Final = {"pregnant": "active", "ended": "completed", "loss": "completed"}


def plan_id(plan: Plan) -> str:
    """The id of CarePlan and Composition: pseudonym and pregnancy (64 characters), or the pseudonym when no pregnancy is known.

    With the pseudonym in it, a refused read of a plan stands in the list of the woman whose plan it is.
    """
    return plan.subject + plan.episode


def care_plan(plan: Plan) -> Fhir:
    """The plan as a CarePlan with its team inside and references to the Observations that the asker may see."""
    started = min((s for line in plan.dossiers if (s := date_time_of(line.started))), default="")
    ended = max((e for line in plan.dossiers if (e := date_time_of(line.ended))), default="")
    team = care_team(plan, "team") if CARE_TEAM in plan.sections else None
    return built({
        "resourceType": "CarePlan", "id": plan_id(plan), "meta": {"lastUpdated": instant_of(plan.updated)},
        "text": table(TITLE, ("Onderdeel", "Gegeven", "Waarde"), _rows(plan)),
        "contained": [team] if team else [], "careTeam": [{"reference": "#team"}] if team else [],
        "status": _STATUSES.get(plan.phase, "unknown"), "intent": "plan", "title": TITLE,
        "subject": {"reference": f"Patient/{plan.subject}"}, "period": {"start": started, "end": ended if ended >= started else ""},
        "supportingInfo": [{"reference": f"Observation/{found}"} for found in observation_ids(plan)],
        "note": [{"text": f"Onderdeel niet open voor u: {_title(name)}"} for name in sorted(plan.closed)],
    })


def document(plan: Plan, base_url: str, now: str) -> Fhir:
    """The plan as a document Bundle, Composition first. `now` is the moment of writing (UTC), `base_url` ends in /fhir."""
    parts: dict[str, list[Fhir]] = {name: _entries(plan, name) for name in plan.sections}
    inside = {(r["resourceType"], r["id"]): r for resources in parts.values() for r in resources}
    # The Composition is about her: even when the front page is shut she is there, by pseudonym alone.
    about = inside.pop(("Patient", plan.subject), None) or built({"resourceType": "Patient", "id": plan.subject, "active": True})
    everything = [composition(plan, parts, now), about, *inside.values()]
    return built({
        "resourceType": "Bundle", "type": "document", "timestamp": now,
        "identifier": {"system": "urn:ooievaar:document", "value": f"{plan_id(plan)}-{now}"},
        "entry": [{"fullUrl": f"{base_url}/{r['resourceType']}/{r['id']}", "resource": r} for r in everything],
    })


def composition(plan: Plan, parts: dict[str, list[Fhir]], now: str) -> Fhir:
    """The Composition over the resources of each open section (`parts`), with the shut sections after them."""
    shut = [_shut(name) for name in sorted(plan.closed) if name not in plan.sections]
    return built({
        "resourceType": "Composition", "id": plan_id(plan), "status": "final", "title": TITLE, "date": now,
        "type": {**concept(LOINC, "18776-5", "Plan of care note"), "text": TITLE},
        "subject": {"reference": f"Patient/{plan.subject}"}, "author": [{"display": "Ooievaar, hub voor de geboortezorg"}],
        "section": [*(_section(plan, name, parts[name]) for name in plan.sections), *shut],
    })


def composition_alone(plan: Plan, now: str) -> Fhir:
    """The Composition without the document around it."""
    return composition(plan, {name: _entries(plan, name) for name in plan.sections}, now)


def _entries(plan: Plan, name: str) -> list[Fhir]:
    whole = {FRONT: lambda: [patient(plan)], CARE_TEAM: lambda: [care_team(plan, plan_id(plan))]}
    return [*whole.get(name, list)(), *resources_of(plan, name)]


def _section(plan: Plan, name: str, entries: list[Fhir]) -> Fhir:
    section = plan.sections[name]
    references = [{"reference": f"{r['resourceType']}/{r['id']}"} for r in entries]
    return {
        "title": section.title_nl, "code": concept(SECTION_SYSTEM, name, section.title_nl), "text": _told(plan, name), "entry": references,
        "emptyReason": {} if references else concept(_EMPTY, "unavailable", "Unavailable"),
    }


def _shut(name: str) -> Fhir:
    title = _title(name)
    return {"title": title, "code": concept(SECTION_SYSTEM, name, title), "text": paragraph(title, "Dit onderdeel is niet open voor u."),
            "emptyReason": concept(_EMPTY, "withheld", "Information Withheld")}


def _title(name: str) -> str:
    return SECTIONS[name].title_nl if name in SECTIONS else name


def _told(plan: Plan, name: str) -> Fhir:
    title = plan.sections[name].title_nl
    if name == FRONT:
        return table(title, ("Naam", "Geboren"), [(plan.woman.name, plan.woman.birth_date)] if plan.woman.name else [])
    if name == CARE_TEAM:
        return table(title, ("Naam", "Rol", "Organisatie"), [(c.name, c.role_nl, c.organisation) for c in plan.team])
    return table(title, ("Gegeven", "Waarde", "Datum", "Bron"),
                 [(line.title_nl, v.text, v.effective, v.source) for line, v in values_of(plan, name)])


def _rows(plan: Plan) -> list[tuple[str, str, str]]:
    return [(plan.sections[name].title_nl, line.title_nl, line.shown.text) for name in plan.sections for line in plan.sections[name].lines
            if line.shown]


def search_set(resources: list[Fhir], base_url: str, self_link: str, total: int | None, next_link: str = "") -> Fhir:
    """A searchset. `total` counts only what the asker may see; None leaves it out."""
    links = [{"relation": "self", "url": self_link}, *([{"relation": "next", "url": next_link}] if next_link else [])]
    entries = [{"fullUrl": f"{base_url}/{r['resourceType']}/{r['id']}", "resource": r, "search": {"mode": "match"}} for r in resources]
    counted = {} if total is None else {"total": total}
    return {"resourceType": "Bundle", "type": "searchset", **counted, "link": links, **({"entry": entries} if entries else {})}
