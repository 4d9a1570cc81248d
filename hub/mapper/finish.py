"""A mapped fact becomes a whole R4 resource: its id, its subject and its links to others are put in.

Pure. The id follows from source and identity, so every version of a resource carries the same one.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from connectors.contract import Fact
from fhir_profiles.identifiers import PSEUDONYM_SYSTEM, digest

EPISODE_EXTENSION: Final = "http://hl7.org/fhir/StructureDefinition/workflow-episodeOfCare"

_SUBJECT_ELEMENT: Final = {
    "AllergyIntolerance": "patient", "EpisodeOfCare": "patient", "RelatedPerson": "patient", "BodyStructure": "patient", "Immunization": "patient",
    **dict.fromkeys(("Observation", "Condition", "Procedure", "CareTeam", "CarePlan", "Encounter", "MedicationStatement", "MedicationRequest",
                     "DiagnosticReport", "ServiceRequest", "Goal"), "subject"),
}


@dataclass(frozen=True, slots=True)
class Names:
    """The ids behind the local names of one message: people, and facts that others refer to."""

    people: Mapping[str, str]
    kinds: Mapping[str, str]
    facts: Mapping[str, tuple[str, str]]


def names_of(source: str, subject: str, people: Mapping[str, str], kinds: Mapping[str, str], facts: tuple[Fact, ...]) -> Names:
    """Gather the names before any resource is finished, so that the order of facts does not matter."""
    return Names(people, kinds, {f.local: (str(f.resource["resourceType"]), identity_of(source, subject, f)) for f in facts if f.local})


def identity_of(source: str, subject: str, fact: Fact) -> str:
    """What knows the resource again: the sender, the woman, the kind and the sender's own way to tell it apart. 32 hexadecimal characters.

    The woman is part of it, so that two women whose sender numbers things alike ("second pregnancy") never share a resource.
    """
    return digest(source, subject, str(fact.resource["resourceType"]), fact.concept, *fact.identity)


def finish(fact: Fact, identity: str, names: Names) -> dict[str, Any]:
    """The resource as it is recorded. The fact's own resource is not changed."""
    resource = dict(fact.resource)
    kind = str(resource["resourceType"])
    if kind == "Patient":
        resource["id"] = names.people[fact.about]
        resource["identifier"] = [*resource.get("identifier", []), {"system": PSEUDONYM_SYSTEM, "value": resource["id"]}]
    else:
        resource["id"] = identity
        element = _SUBJECT_ELEMENT.get(kind)
        if element is not None:
            resource[element] = {"reference": _person(names, fact.about)}
    if fact.dossier in names.facts and fact.dossier != fact.local and kind in ("Observation", "Condition", "Procedure"):
        target, target_id = names.facts[fact.dossier]
        link = {"url": EPISODE_EXTENSION, "valueReference": {"reference": f"{target}/{target_id}"}}
        resource["extension"] = [*resource.get("extension", []), link]
    for path, local in fact.links.items():
        reference = _reference(names, local)
        if reference is not None:
            _put(resource, path.split("."), {"reference": reference})
    return resource


def _person(names: Names, local: str) -> str:
    # An unborn child is no Patient yet: the fact is about the woman, and the fetus is named by Observation.focus or bodySite.
    if names.kinds.get(local) == "fetus":
        woman = next((name for name, kind in names.kinds.items() if kind == "woman"), local)
        return f"Patient/{names.people[woman]}"
    return f"Patient/{names.people[local]}"


def _reference(names: Names, local: str) -> str | None:
    if local in names.facts:
        kind, identity = names.facts[local]
        return f"Patient/{names.people[local]}" if kind == "Patient" and local in names.people else f"{kind}/{identity}"
    return _person(names, local) if local in names.people else None


def _put(resource: dict[str, Any], path: list[str], value: dict[str, Any]) -> None:
    """Set a value at a path, copying what lies on the way; a number is a place in a list, made when it is the next one."""
    here: Any = resource
    for step, after in itertools.pairwise(path):
        here = _step(here, step, [] if after.isdigit() else {}, lambda held: list(held) if isinstance(held, list) else dict(held))
    _step(here, path[-1], {}, lambda held: dict(held))
    last = here[int(path[-1])] if path[-1].isdigit() else here[path[-1]]
    last.update(value)


def _step(here: Any, step: str, empty: Any, copy: Callable[[Any], Any]) -> Any:
    if step.isdigit():
        place = int(step)
        if place == len(here):
            here.append(empty)
        here[place] = copy(here[place])
        return here[place]
    here[step] = copy(here[step]) if step in here else empty
    return here[step]
