"""Reads the official R4 StructureDefinitions, ValueSets and CodeSystems from a folder."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Definitions:
    """The base definitions by type name, and value sets and code systems by url."""

    structures: dict[str, Json]
    value_sets: dict[str, Json]
    code_systems: dict[str, Json]

    @classmethod
    def read(cls, folder: Path) -> Definitions:
        """What the folder holds; profiles on a type (SimpleQuantity, vital signs) are left out."""
        structures = {
            r["type"]: r
            for r in [*_resources(folder / "profiles-types.json"), *_resources(folder / "profiles-resources.json")]
            if r["resourceType"] == "StructureDefinition" and r.get("derivation") != "constraint"
        }
        terminology = [*_resources(folder / "valuesets.json"), *_resources(folder / "v3-codesystems.json")]
        return cls(structures, _by_url(terminology, "ValueSet"), _by_url(terminology, "CodeSystem"))

    def resource_types(self) -> list[str]:
        """Every concrete resource type of R4, sorted."""
        return sorted(name for name, sd in self.structures.items() if sd["kind"] == "resource" and not sd["abstract"])

    def codes(self, value_set: str) -> list[str] | None:
        """The codes of a value set, sorted; None where it cannot be listed (filters, exclusions, SNOMED CT, LOINC)."""
        found = self._codes(value_set, frozenset())
        return None if found is None else sorted(found)

    def _codes(self, value_set: str, above: frozenset[str]) -> set[str] | None:
        url = value_set.split("|")[0]
        compose = self.value_sets.get(url, {}).get("compose")
        if not compose or compose.get("exclude") or url in above:
            return None
        found: set[str] = set()
        for include in compose["include"]:
            part = self._included(include, above | {url})
            if part is None:
                return None
            found |= part
        return found

    def _included(self, include: Json, above: frozenset[str]) -> set[str] | None:
        if include.get("filter"):
            return None
        found: set[str] = set()
        if include.get("concept"):
            found |= {concept["code"] for concept in include["concept"]}
        elif include.get("system"):
            system = self.code_systems.get(include["system"])
            if not system or not system.get("concept") or system.get("content") != "complete":
                return None
            found |= set(_all_codes(system["concept"]))
        for value_set in include.get("valueSet", []):
            part = self._codes(value_set, above)
            if part is None:
                return None
            found |= part
        return found


def _resources(path: Path) -> list[Json]:
    bundle: Json = json.loads(path.read_text(encoding="utf-8"))
    return [entry["resource"] for entry in bundle["entry"]]


def _by_url(resources: list[Json], kind: str) -> dict[str, Json]:
    found: dict[str, Json] = {}
    for resource in resources:
        if resource["resourceType"] == kind and "url" in resource:
            found.setdefault(resource["url"], resource)
    return found


def _all_codes(concepts: list[Json]) -> list[str]:
    found, waiting = [], list(concepts)
    while waiting:
        concept = waiting.pop()
        found.append(concept["code"])
        waiting += concept.get("concept", [])
    return found
