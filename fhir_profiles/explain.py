"""Turns a fault of the schema into a sentence that helps the sender and repeats nothing of what was sent."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import jsonschema_rs

from fhir_profiles.definitions import definition, element_names
from fhir_profiles.walk import Problem

_SHOWN_CODES: Final = 25

_PRIMITIVES: Final = {
    "base64Binary": "base64 text",
    "boolean": "true or false",
    "canonical": "an address (canonical) without blanks, that runs nothing",
    "code": "a code: text without blanks around or doubled within it",
    "date": "a date that exists: YYYY, YYYY-MM or YYYY-MM-DD",
    "dateTime": "a date that exists: YYYY, YYYY-MM, YYYY-MM-DD, or with a time to the second and a zone",
    "decimal": "a number of at most 18 digits before the point, not text",
    "id": "an id: 1 to 64 letters, digits, - or .",
    "instant": "a moment that exists: YYYY-MM-DDThh:mm:ss with a zone",
    "integer": "a whole number of 32 bits, without a decimal point",
    "markdown": "text of at most 1,048,576 characters, not only blanks, without control characters",
    "oid": "an OID: urn:oid: and numbers",
    "positiveInt": "a whole number from 1, without a decimal point",
    "string": "text of at most 1,048,576 characters, not only blanks, without control characters",
    "time": "a time: hh:mm:ss",
    "unsignedInt": "a whole number from 0, without a decimal point",
    "uri": "an address (uri) without blanks, that runs nothing",
    "url": "an address (url) without blanks, that runs nothing",
    "uuid": "a UUID: urn:uuid: and hexadecimal digits",
    "xhtml": "a narrative of at most 1,048,576 characters",
}
_KINDS: Final = {
    "array": "a list",
    "object": "an object",
    "string": "text",
}
_KEYWORDS: Final = {
    "minItems": "a list with something in it: leave it out when there is nothing",
    "minProperties": "an object with something in it: leave it out when there is nothing",
}


def explained(fault: jsonschema_rs.ValidationError, base: str) -> Iterator[Problem]:
    """The problems that one fault stands for; several when an object has several unknown elements."""
    path = base + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in fault.instance_path)
    kind = fault.kind.as_dict()
    if fault.kind.name == "required":
        yield Problem(f"{path}.{kind['property']}", "this element is required")
    elif fault.kind.name == "additionalProperties":
        yield from _unknown(path, kind["unexpected"])
    else:
        yield Problem(path, _expected(fault.kind.name, [str(step) for step in fault.schema_path]))


def _unknown(path: str, names: list[str]) -> Iterator[Problem]:
    known = sorted(set(names) & element_names())
    for name in known:
        yield Problem(f"{path}.{name}", "no such element here")
    if len(known) < len(names):
        yield Problem(path, "only elements that R4 has")


def _expected(keyword: str, schema_path: list[str]) -> str:
    name = schema_path[1].removesuffix("?")
    if name in _PRIMITIVES:
        return _PRIMITIVES[name]
    title, schema = _at(definition(schema_path[1]), schema_path[2:-1])
    if title:
        return title
    if keyword == "enum":
        return _one_of([code for code in schema["enum"] if code is not None])
    return _KEYWORDS.get(keyword) or _KINDS.get(str(schema.get("type")), "what R4 defines here")


def _at(schema: Any, steps: list[str]) -> tuple[str, Any]:
    """The last title on the way to a part of a schema, and that part."""
    title = ""
    for step in steps:
        schema = schema[int(step)] if isinstance(schema, list) else schema[step]
        if isinstance(schema, dict) and isinstance(schema.get("title"), str):
            title = schema["title"]
    return title, schema


def _one_of(codes: list[str]) -> str:
    more = len(codes) - _SHOWN_CODES
    return "one of " + ", ".join(codes[:_SHOWN_CODES]) + (f" and {more} more" if more > 0 else "")
