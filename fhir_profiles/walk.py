"""One walk over a resource for what the schema cannot say; it runs before the schema, whose engine has no limit on depth.

Looks at depth, values that JSON does not have, extensions (ext-1), periods (per-1), lists of primitives beside their extensions, and
narratives; and collects resources within the resource, and local references, for the rules that need the whole.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from fhir_profiles.dates import runs_backwards
from fhir_profiles.definitions import element_names
from fhir_profiles.narrative import narrative_fault
from fhir_profiles.strict_json import MAX_DEPTH

Json = dict[str, Any]

_SCALARS: Final = frozenset({bool, int, float, Decimal, type(None)})
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
    """What was found. Paths are put together while the walk returns, so a clean resource pays nothing for them."""

    problems: list[Problem] = field(default_factory=list)
    inner: list[Inner] = field(default_factory=list)
    local_references: bool = False

    def node(self, node: Json, depth: int) -> None:
        """Look at one JSON object and all under it. `depth` counts levels of JSON, the resource itself being 1."""
        if depth > MAX_DEPTH:
            self.fault("", f"at most {MAX_DEPTH} levels")
            return
        for key, value in node.items():
            kind = type(value)
            if kind is str:
                continue
            if kind is dict:
                known = len(self.problems), len(self.inner)
                self.node(value, depth + 1)
                if key in _HOLD_RESOURCES and "resourceType" in value:
                    self.inner.append(Inner("", value))
                if known != (len(self.problems), len(self.inner)):
                    self._under(known, key)
            elif kind is list:
                self._list(node, key, value, depth + 1)
            elif kind not in _SCALARS:
                self.fault("", "JSON values only")
        if "end" in node:
            self._period(node)
        if "div" in node:
            self._narrative(node)
        if "reference" in node:
            reference = node["reference"]
            self.local_references |= type(reference) is str and reference[:1] == "#"

    def fault(self, path: str, expected: str) -> None:
        """Note a fault at a path below the object at hand."""
        self.problems.append(Problem(path, expected))

    def _list(self, node: Json, key: str, values: list[Any], depth: int) -> None:
        has_null, extensions = False, key == "extension" or key == "modifierExtension"
        for i, value in enumerate(values):
            kind = type(value)
            if kind is dict:
                known = len(self.problems), len(self.inner)
                self.node(value, depth + 1)
                if extensions:
                    self._extension(value)
                elif key in _HOLD_RESOURCES and "resourceType" in value:
                    self.inner.append(Inner("", value))
                if known != (len(self.problems), len(self.inner)):
                    self._under(known, key, i)
            elif value is None:
                has_null = True
            elif kind is not str and kind not in _SCALARS:
                self.fault(_named(key), "no list within a list")
        if has_null or (type(key) is str and key[:1] == "_"):
            self._beside(node, key, values)

    def _under(self, known: tuple[int, int], key: str, index: int | None = None) -> None:
        """Put a key before the paths of all that was found under it."""
        step = _named(key) + ("" if index is None else f"[{index}]")
        problems, inner = self.problems, self.inner
        problems[known[0] :] = [Problem(_joined(step, p.path), p.expected) for p in problems[known[0] :]]
        for found in inner[known[1] :]:
            found.path = _joined(step, found.path)

    def _extension(self, extension: Json) -> None:
        values = {key.removeprefix("_") for key in extension if type(key) is str and key.startswith(_SUFFIXES)}
        if len(values) + ("extension" in extension) != 1:
            self.fault("", "either one value or further extensions (ext-1)")

    def _period(self, node: Json) -> None:
        start, end = node.get("start"), node["end"]
        if type(start) is str and type(end) is str and runs_backwards(start, end):
            self.fault("end", "an end that is not before the start (per-1)")

    def _narrative(self, node: Json) -> None:
        if type(node["div"]) is str and (expected := narrative_fault(node["div"])):
            self.fault("div", expected)

    def _beside(self, node: Json, key: str, values: list[Any]) -> None:
        """Null in a list holds the place of a value that only its extension tells, or the other way round."""
        if type(key) is not str:
            return
        other = node.get(key[1:] if key[:1] == "_" else "_" + key)
        if type(other) is not list:
            if None in values or other is not None:
                self.fault(_named(key), "null only where an extension, or a value, stands in its place")
        elif len(other) != len(values):
            self.fault(_named(key), "as many items as in the list beside it, with null for none")
        elif any(a is None and b is None for a, b in zip(values, other, strict=True)):
            self.fault(_named(key), "a value or an extension for each item")


def walked(resource: Json) -> Walk:
    """The outcome of the walk over a resource."""
    walk = Walk()
    walk.node(resource, 1)
    return walk


def _named(key: Any) -> str:
    """The key when R4 knows it; a name that nobody knows might be anything, also a person's."""
    return key if type(key) is str and key in element_names() else "?"


def _joined(step: str, path: str) -> str:
    return f"{step}.{path}" if path else step


Rule = Callable[[Json], list[Problem]]
