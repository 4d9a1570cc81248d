"""FHIR XML to FHIR JSON by a small walk along the generated definitions; for the official examples, which come as XML."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from lxml import etree

from fhir_profiles.definitions import definition
from tests.fhir_profiles.samples import Json

_FHIR = "{http://hl7.org/fhir}"
_NUMBERS: dict[str, Callable[[str], object]] = {
    "decimal": float, "integer": int, "positiveInt": int, "unsignedInt": int, "boolean": lambda text: text == "true",
}


def read(path: Path) -> Json:
    """The resource in an XML file as JSON."""
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, remove_comments=True, remove_pis=True)
    root = etree.parse(str(path), parser).getroot()
    return {"resourceType": _name(root), **_object(root, _name(root))}


def _name(node: Any) -> str:
    return str(etree.QName(node).localname)


def _object(node: Any, kind: str) -> Json:
    properties: Json = definition(kind)["properties"]
    found: Json = {key: node.get(key) for key in ("id", "url") if node.get(key) is not None}
    for child in node:
        key = _name(child)
        if key == "div":
            found["div"] = etree.tostring(child, encoding="unicode", with_tail=False)
            continue
        schema = properties.get(key, {})
        many = schema.get("type") == "array"
        value, extra = _value(child, schema["items"] if many else schema)
        if many:
            _append(found, key, value, extra)
        else:
            found |= {name: part for name, part in ((key, value), ("_" + key, extra)) if part is not None}
    return found


def _append(found: Json, key: str, value: Any, extra: Any) -> None:
    """Add to a list, and to the list of extensions beside it, which is there only when some item has one."""
    values, extras = found.setdefault(key, []), found.pop("_" + key, None) or [None] * len(found[key])
    values.append(value)
    extras.append(extra)
    if any(item is not None for item in extras):
        found["_" + key] = extras


def _value(node: Any, schema: Json) -> tuple[Any, Any]:
    """The value of an element and, for a primitive, its extensions."""
    kind = schema.get("$ref", "#/definitions/code").rpartition("/")[2].removesuffix("?")
    if kind == "AnyResource":
        return {"resourceType": _name(node[0]), **_object(node[0], _name(node[0]))}, None
    if kind[0].isupper():
        return _object(node, kind), None
    text = node.get("value")
    value = None if text is None else _NUMBERS[kind](text) if kind in _NUMBERS else text
    return value, _object(node, "Element") or None
