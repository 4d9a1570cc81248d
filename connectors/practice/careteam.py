"""The care team of a dossier (zorgteam), as an EpisodeOfCare tells it: the organisation that keeps it, and who coordinates.

The organisation is always the sender itself, by the URA it is registered with: what a Bundle claims about other organisations opens no
door.
"""

from __future__ import annotations

import copy
from typing import Any

from connectors.contract import Fact, Facts
from connectors.formats.fhir_bundle import Entry, Index
from connectors.formats.fhir_tree import Draft, absent, dicts, start_of, text
from connectors.practice.codes import COORDINATOR
from fhir_profiles.identifiers import URA_SYSTEM


def care_team(episode: Draft, entry: Entry, entries: tuple[Entry, ...], index: Index, locals_of: dict[int, str], facts: Facts,
              version: str, dossier: str) -> Fact:
    """The R4 CareTeam of one dossier, in the words of its EpisodeOfCare. Identity and dossier are the episode's own."""
    finished = episode.resource.get("status") in ("finished", "cancelled", "entered-in-error")
    own = {"identifier": {"system": URA_SYSTEM, "value": facts.ura}, "display": facts.organisation}
    team: dict[str, Any] = {
        "resourceType": "CareTeam", "status": "inactive" if finished else "active", "managingOrganization": [own],
        "participant": [{"member": {**own, "type": "Organization"}}],
    }
    paths = {"status": f"{entry.at}.status"}
    links: dict[str, str] = {}
    if "period" in episode.resource:
        team["period"] = copy.deepcopy(episode.resource["period"])
        paths.update({p: at for p, at in episode.paths.items() if p.startswith("period.")})
    for reference in dicts(entry.resource.get("careManager")):
        manager = index.find(text(reference.get("reference")))
        team["participant"].append(_coordinator(manager, reference, entries, index, own, paths, f"{entry.at}.careManager"))
        if manager is not None and manager.place in locals_of:
            links["participant.1.member"] = locals_of[manager.place]
            paths["participant.1.member.reference"] = f"{entry.at}.careManager.reference"
    effective = start_of(team.get("period"))
    return Fact(team, "woman", ("care-team", dossier), version, "care-team", effective, links=links, paths=paths)


def _coordinator(manager: Entry | None, reference: dict[str, Any], entries: tuple[Entry, ...], index: Index, own: dict[str, Any],
                 paths: dict[str, str], at: str) -> dict[str, Any]:
    name, name_at = (name_of(manager) if manager is not None else ("", ""))
    said = text(reference.get("display"))
    if said and not name:
        name, name_at = said, f"{at}.display"
    member: dict[str, Any] = {"type": "Practitioner"}
    if name:
        member["display"] = name
        paths["participant.1.member.display"] = name_at
    else:
        member["_display"] = absent("unknown")
    roles = [{"coding": [dict(COORDINATOR)]}]
    for role, role_at in _roles_of(manager, entries, index):
        paths[f"participant.1.role.{len(roles)}"] = role_at
        roles.append(role)
    paths["participant.1.role.0"] = f"{at}.reference"
    return {"role": roles, "member": member, "onBehalfOf": own}


def name_of(entry: Entry) -> tuple[str, str]:
    """How a person is called on a page, and where that stands: given names and family name, or the text; empty when there is no name."""
    for place, name in enumerate(dicts(entry.resource.get("name"))):
        given = [g for g in name.get("given", []) if isinstance(g, str)] if isinstance(name.get("given"), list) else []
        parts = [*given, text(name.get("family"))]
        made = text(name.get("text")) or " ".join(part for part in parts if part)
        if made:
            leaf = "text" if text(name.get("text")) else "family" if text(name.get("family")) else "given[0]"
            return made, f"{entry.at}.name[{place}].{leaf}"
    return "", ""


def _roles_of(manager: Entry | None, entries: tuple[Entry, ...], index: Index) -> list[tuple[dict[str, Any], str]]:
    """What the practitioner is, from each PractitionerRole that names her."""
    found: list[tuple[dict[str, Any], str]] = []
    for entry in entries if manager is not None else ():
        if entry.kind != "PractitionerRole":
            continue
        if any(index.find(text(r.get("reference"))) is manager for r in dicts(entry.resource.get("practitioner"))):
            found += [({"coding": [c for c in dicts(role.get("coding")) if text(c.get("code"))]}, f"{entry.at}.{name}[{place}]")
                      for name in ("code", "specialty") for place, role in enumerate(dicts(entry.resource.get(name)))]
    return [(role, at) for role, at in found if role["coding"]]
