"""Turns StructureDefinitions into JSON Schemas (draft 4, whose integer is not 2.0): one definition per type and per nested element.

A title on a part of a schema is the sentence that a sender reads when that part fails; `fhir_profiles/explain.py` finds it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from fhir_profiles.generate.definitions import Definitions, Json
from fhir_profiles.generate.invariants import INVARIANTS
from fhir_profiles.generate.primitives import PRIMITIVES, Schema, or_null, reference_pattern

ANY_RESOURCE = "AnyResource"
_FHIRPATH_STRING = "http://hl7.org/fhirpath/System.String"
# Extensions choose among fifty types; the Python walk counts those, since a schema would look for all fifty each time.
_COUNTED_IN_PYTHON = frozenset({"Extension"})
# Naming the others per key grows with the square; the rare types with a wide choice (Task.input, Parameters) list the keys once instead.
_WIDE = 20


@dataclass(frozen=True, slots=True)
class Option:
    """One JSON key that an element may appear under, and what may stand there."""

    key: str
    schema: Schema
    primitive: bool


class SchemaBuilder:
    """Collects the definitions that the wanted types reach, in `made`."""

    def __init__(self, definitions: Definitions, wanted: tuple[str, ...]) -> None:
        self._definitions = definitions
        self.made: dict[str, Schema] = {}
        for name, schema in PRIMITIVES.items():
            self.made[name], self.made[name + "?"] = schema, or_null(schema)
        self.made[ANY_RESOURCE] = {"type": "object", "required": ["resourceType"], "properties": {"resourceType": {"enum": sorted(wanted)}}}
        for name in ("Element", *wanted):
            self._type(name)
        self.made["Element?"] = or_null(self.made["Element"])
        self.made["Reference"]["properties"]["reference"] = {
            "title": "a reference: Type/id, an address, urn:uuid:, urn:oid: or #id",
            "type": "string",
            "pattern": reference_pattern(definitions.resource_types()),
        }

    def _type(self, name: str) -> None:
        if name in self.made:
            return
        self.made[name] = {}
        structure = self._definitions.structures[name]
        children: dict[str, list[Json]] = {}
        for element in structure["snapshot"]["element"][1:]:
            children.setdefault(element["path"].rpartition(".")[0], []).append(element)
        self._element(name, children, structure["kind"] == "resource")

    def _element(self, path: str, children: dict[str, list[Json]], resource: bool = False) -> None:
        """Make the object schema for a type or a nested element."""
        properties: dict[str, Schema] = {"resourceType": {"enum": [path]}} if resource else {}
        required = ["resourceType"] if resource else []
        rules = list(INVARIANTS.get(path, []))
        exclusive: dict[str, Schema] = {}
        for element in children[path]:
            options = list(self._options(element, children, resource))
            properties |= self._properties(element, options)
            if len(options) > _WIDE and path not in _COUNTED_IN_PYTHON:
                rules.append(_one_of(element, options))
                continue
            if element["min"] > 0:
                _require(element, options, required, rules)
            if len(options) > 1 and path not in _COUNTED_IN_PYTHON:
                exclusive |= _at_most_one(element, options)
        if path == "Observation":
            values = [key for key in properties if key.startswith("value")]
            exclusive["dataAbsentReason"] = _none_of("no value beside dataAbsentReason (obs-6)", values)
        schema: Schema = {"type": "object", "minProperties": 1, "properties": properties, "additionalProperties": False}
        self.made[path] = schema | _filled(required=required, allOf=rules, dependencies=exclusive)

    def _options(self, element: Json, children: dict[str, list[Json]], resource: bool) -> Iterator[Option]:
        name = element["path"].rpartition(".")[2]
        if "contentReference" in element:
            yield Option(name, _ref(element["contentReference"].partition("#")[2]), False)
        for kind in element.get("type", []):
            code = "string" if kind["code"] == _FHIRPATH_STRING else kind["code"]
            key = name[:-3] + code[0].upper() + code[1:] if name.endswith("[x]") else name
            if key == "id" and resource and element["path"].count(".") == 1:
                code = "id"
            elif element["path"] == "Extension.url":
                code = "uri"
            # An id and the url of an extension are attributes in XML: they carry no extension of their own.
            extensible = code in PRIMITIVES and code != "xhtml" and kind["code"] != _FHIRPATH_STRING
            yield Option(key, self._value(code, element, children), extensible)

    def _value(self, code: str, element: Json, children: dict[str, list[Json]]) -> Schema:
        if code in PRIMITIVES:
            return self._bound(element) if code == "code" else _ref(code)
        if code == "Resource":
            return _ref(ANY_RESOURCE)
        if element["path"] in children:
            self._element(element["path"], children)
            return _ref(element["path"])
        self._type(code)
        return _ref(code)

    def _bound(self, element: Json) -> Schema:
        """A code: one of a list where the binding is required and can be listed."""
        binding: Json = element.get("binding", {})
        if binding.get("strength") != "required":
            return _ref("code")
        codes = self._definitions.codes(binding["valueSet"])
        return _ref("code") if codes is None else {"enum": codes}

    def _properties(self, element: Json, options: list[Option]) -> dict[str, Schema]:
        many, found = element["max"] != "1", {}
        for option in options:
            found[option.key] = _list_of(_nullable(option.schema) if option.primitive else option.schema) if many else option.schema
            if option.primitive:
                found["_" + option.key] = _list_of(_ref("Element?")) if many else _ref("Element")
        return found


def _ref(name: str) -> Schema:
    return {"$ref": f"#/definitions/{name}"}


def _nullable(schema: Schema) -> Schema:
    return {"$ref": schema["$ref"] + "?"} if "$ref" in schema else or_null(schema)


def _list_of(schema: Schema) -> Schema:
    return {"type": "array", "minItems": 1, "items": schema}


def _keys(option: Option) -> list[str]:
    return [option.key, "_" + option.key] if option.primitive else [option.key]


def _require(element: Json, options: list[Option], required: list[str], rules: list[Schema]) -> None:
    """Add what makes the element mandatory; a primitive may be given by its extension alone."""
    keys = [key for option in options for key in _keys(option)]
    if len(keys) == 1:
        required += keys
    else:
        name = element["path"].rpartition(".")[2]
        rules.append({"title": f"{name} is required", "anyOf": [{"required": [key]} for key in keys]})


def _at_most_one(element: Json, options: list[Option]) -> dict[str, Schema]:
    """For each key of a choice: that no key of another type stands beside it. Looked at only when that key is there."""
    title = f"only one of {element['path'].rpartition('.')[2]}"
    found: dict[str, Schema] = {}
    for i, option in enumerate(options[:-1]):
        others = [key for other in options[i + 1 :] for key in _keys(other)]
        found |= {key: _none_of(title, others) for key in _keys(option)}
    return found


def _one_of(element: Json, options: list[Option]) -> Schema:
    """Exactly one key of a wide choice, or none where the element is optional."""
    parts: list[Schema] = [{"anyOf": [{"required": [key]} for key in _keys(option)]} for option in options]
    none: list[Schema] = [] if element["min"] else [{"not": {"anyOf": parts}}]
    return {"title": f"{'exactly' if element['min'] else 'at most'} one of {element['path'].rpartition('.')[2]}", "oneOf": parts + none}


def _none_of(title: str, keys: list[str]) -> Schema:
    return {"title": title, "not": {"anyOf": [{"required": [key]} for key in keys]}}


def _filled(**parts: Any) -> Schema:
    return {name: part for name, part in parts.items() if part}
