"""The generated definitions, read no further than the types in use reach.

The file has one definition a line, so a line is taken as text and parsed only when it is needed. Measured: Observation reaches 68
definitions; its validator takes about 12 ms and 7 MB to make, each further type about 12 ms and 1.3 MB.
"""

from __future__ import annotations

import json
import re
from functools import cache, lru_cache
from importlib import resources
from typing import Any, Final

import jsonschema_rs

_REFERS_TO: Final = re.compile(r'"#/definitions/([^"]+)"')
_BACKBONE_OR_TYPE: Final = re.compile(r"[A-Z]")

Schema = dict[str, Any]


@lru_cache(maxsize=1)
def _lines() -> dict[str, str]:
    """Definition name → its schema as JSON text."""
    text = resources.files("fhir_profiles").joinpath("generated/r4.json").read_text(encoding="ascii")
    found = {}
    for line in text.splitlines()[1:-1]:
        name, _, schema = line.partition(":")
        found[json.loads(name)] = schema.removesuffix(",")
    return found


@lru_cache(maxsize=1)
def resource_types() -> frozenset[str]:
    """The resource types that the hub takes."""
    return frozenset(definition("AnyResource")["properties"]["resourceType"]["enum"])


@lru_cache(maxsize=1)
def element_names() -> frozenset[str]:
    """Every JSON key that some definition knows: only these are ever repeated in a message."""
    return frozenset(key for name in _lines() if _BACKBONE_OR_TYPE.match(name) for key in definition(name).get("properties", {}))


def definition(name: str) -> Schema:
    """One definition as JSON Schema."""
    schema: Schema = json.loads(_lines()[name])
    return schema


@cache
def validator(resource_type: str) -> jsonschema_rs.Draft4Validator:
    """The compiled schema of one of `resource_types`; made at first use and kept."""
    schema = {"$ref": f"#/definitions/{resource_type}", "definitions": {name: definition(name) for name in _reached(resource_type)}}
    return jsonschema_rs.Draft4Validator(schema, pattern_options=jsonschema_rs.RegexOptions())


def _reached(name: str) -> set[str]:
    found: set[str] = set()
    waiting = [name]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += _REFERS_TO.findall(_lines()[name])
    return found
