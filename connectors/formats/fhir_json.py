"""Strict reading of FHIR JSON: one resource, on top of `fhir_profiles.strict_json`.

Refused as a whole, besides what is not strict JSON: control characters in a text, and anything that is not one object with a
`resourceType`.
"""

from __future__ import annotations

import re
from typing import Any, Final

from fhir_profiles.errors import Invalid, TooLarge
from fhir_profiles.strict_json import MAX_DEPTH, strict_loads

MAX_BYTES: Final = 20 * 1024 * 1024
__all__ = ["MAX_BYTES", "MAX_DEPTH", "read_json"]

_ESCAPED: Final = re.compile(rb"\\u00[01]", re.IGNORECASE)
# FHIR strings hold no control characters but tab, newline and return.
_CONTROL: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f]")


def read_json(body: bytes) -> dict[str, Any]:
    """The resource in `body` (UTF-8, with or without a byte order mark). Raises `Invalid` or `TooLarge`, never repeating what was sent."""
    if len(body) > MAX_BYTES:
        raise TooLarge("the message is larger than 20 MB", code="too-large")
    tree = strict_loads(body)
    if not isinstance(tree, dict) or not isinstance(tree.get("resourceType"), str):
        raise Invalid("the message is not one FHIR resource", code="not-a-resource")
    if _ESCAPED.search(body):
        _refuse_control(tree)
    return tree


def _refuse_control(value: Any) -> None:
    if isinstance(value, str):
        if _CONTROL.search(value):
            raise Invalid("a text holds a control character", code="control-character")
    elif isinstance(value, dict):
        for key, below in value.items():
            _refuse_control(key)
            _refuse_control(below)
    elif isinstance(value, list):
        for below in value:
            _refuse_control(below)
