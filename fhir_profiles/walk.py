"""One walk over a resource for what the schema cannot say; it runs before the schema, whose engine has no limit on depth.

Looks at depth, values that JSON does not have, extensions (ext-1), periods (per-1), lists of primitives beside their extensions, and
narratives; and collects resources within the resource, and local references, for the rules that need the whole.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from fhir_profiles.dates import runs_backwards
from fhir_profiles.definitions import element_names
from fhir_profiles.narrative import narrative_fault
from fhir_profiles.strict_json import MAX_DEPTH

Json = dict[str, Any]

MAX_PROBLEMS: Final = 50

_SCALARS: Final = frozenset({bool, int, float, Decimal, type(None)})
_EXTENSIONS: Final = frozenset({"extension", "modifierExtension"})
_HOLD_RESOURCES: Final = frozenset({"contained", "resource", "outcome"})
_SUFFIXES: Final = ("value", "_value")


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault: where (`Observation.component[0].code`), and what R4 expects there. Never a value or an unknown name from the resource."""

    path: str
    expected: str


@dataclass(slots=True)
class Inner:
    """A resource within the resource, and the path to it from the resource that was walked."""

    path: str
    resource: Json


@dataclass(slots=True)
class Walk:
    """What was found, in `found`. Paths are put together while the walk returns, so a clean resource pays nothing for them."""

    found: list[Problem | Inner] = field(default_factory=list)
    faults: int = 0
    complete: bool = True
    local_references: bool = False

    def problems(self) -> list[Problem]:
        """The faults. When the walk is not `complete` there are some, and what it did not see may be too deep for the schema."""
        return [found for found in self.found if isinstance(found, Problem)]

    def inner(self) -> list[Inner]:
        """The resources within this one, at any depth."""
        return [found for found in self.found if isinstance(found, Inner)]

    def node(self, node: Json, depth: int) -> None:
        """Look at one JSON object and all under it. `depth` counts levels of JSON, the resource itself being 1."""
        found = self.found
        if depth > MAX_DEPTH:
            self._broken("", f"at most {MAX_DEPTH} levels")
            return
        for key, value in node.items():
            kind = type(value)
            if kind is str:
                continue
            if kind is list:
                self._list(node, key, value, depth + 1)
            elif kind is dict:
                before = len(found)
                self.node(value, depth + 1)
                if key in _HOLD_RESOURCES and "resourceType" in value:
                    found.append(Inner("", value))
                if len(found) != before:
                    self._under(before, _named(key))
                    if self.faults >= MAX_PROBLEMS:
                        self.complete = False
                        return
            elif kind not in _SCALARS:
                self._broken("", "JSON values only")
        if "end" in node:
            self._period(node)
        if "div" in node:
            self._narrative(node)
        if "reference" in node:
            reference = node["reference"]
            self.local_references |= type(reference) is str and reference[:1] == "#"

    def _list(self, node: Json, key: str, values: list[Any], depth: int) -> None:
        found, has_null = self.found, False
        extensions, resources = key in _EXTENSIONS, key in _HOLD_RESOURCES
        for i, value in enumerate(values):
            kind = type(value)
            if kind is dict:
                before = len(found)
                self.node(value, depth + 1)
                if extensions:
                    self._extension(value)
                elif resources and "resourceType" in value:
                    found.append(Inner("", value))
                if len(found) != before:
                    self._under(before, f"{_named(key)}[{i}]")
                    if self.faults >= MAX_PROBLEMS:  # More would tell nothing new, and a hostile sender would make millions.
                        self.complete = False
                        return
            elif value is None:
                has_null = True
            elif kind is not str and kind not in _SCALARS:
                self._broken(_named(key), "JSON values only, and no list within a list")
                return
        if has_null or (type(key) is str and key[:1] == "_"):
            self._beside(node, key, values)

    def _under(self, before: int, step: str) -> None:
        """Put a step before the paths of all that was found under it."""
        for i in range(before, len(self.found)):
            found = self.found[i]
            path = f"{step}.{found.path}" if found.path else step
            self.found[i] = Problem(path, found.expected) if isinstance(found, Problem) else Inner(path, found.resource)

    def _broken(self, path: str, expected: str) -> None:
        self.complete = False
        self._fault(path, expected)

    def _fault(self, path: str, expected: str) -> None:
        self.faults += 1
        self.found.append(Problem(path, expected))

    def _extension(self, extension: Json) -> None:
        values = {key.removeprefix("_") for key in extension if type(key) is str and key.startswith(_SUFFIXES)}
        if len(values) + ("extension" in extension) != 1:
            self._fault("", "either one value or further extensions (ext-1)")

    def _period(self, node: Json) -> None:
        start, end = node.get("start"), node["end"]
        if type(start) is str and type(end) is str and runs_backwards(start, end):
            self._fault("end", "an end that is not before the start (per-1)")

    def _narrative(self, node: Json) -> None:
        if type(node["div"]) is str and (expected := narrative_fault(node["div"])):
            self._fault("div", expected)

    def _beside(self, node: Json, key: str, values: list[Any]) -> None:
        """Null in a list holds the place of a value that only its extension tells, or the other way round."""
        if type(key) is not str:
            return
        other = node.get(key[1:] if key[:1] == "_" else "_" + key)
        if type(other) is not list:
            if None in values or other is not None:
                self._fault(_named(key), "null only where an extension, or a value, stands in its place")
        elif len(other) != len(values):
            self._fault(_named(key), "as many items as in the list beside it, with null for none")
        elif any(a is None and b is None for a, b in zip(values, other, strict=True)):
            self._fault(_named(key), "a value or an extension for each item")


def walked(resource: Json) -> Walk:
    """The outcome of the walk over a resource."""
    walk = Walk()
    walk.node(resource, 1)
    return walk


def _named(key: Any) -> str:
    """The key when R4 knows it; a name that nobody knows might be anything, also a person's."""
    return key if type(key) is str and key in element_names() else "?"

