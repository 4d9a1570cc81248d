"""Strict reading of FHIR JSON: what two readers could understand differently is refused.

Refused as a whole: other encodings than UTF-8, duplicate keys, NaN and infinite numbers, control characters, lone surrogates,
nesting deeper than `MAX_DEPTH`, anything after the end, and anything that is not one object with a `resourceType`.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, Final

from fhir_profiles.errors import Invalid, TooLarge

MAX_BYTES: Final = 20 * 1024 * 1024
MAX_DEPTH: Final = 64

# FHIR strings hold no control characters but tab, newline and return; written out or escaped makes no difference.
_ESCAPED: Final = re.compile(rb"\\u(?:00[01]|d[89a-f])", re.IGNORECASE)
_CONTROL: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff]")


def read_json(body: bytes) -> dict[str, Any]:
    """The resource in `body` (UTF-8, with or without a byte order mark). Raises `Invalid` or `TooLarge`, never repeating what was sent."""
    if len(body) > MAX_BYTES:
        raise TooLarge("the message is larger than 20 MB", code="too-large")
    try:
        tree = json.loads(body.decode("utf-8-sig"), object_pairs_hook=_object, parse_constant=_constant, parse_float=_number)
    except UnicodeDecodeError as error:
        raise Invalid("the message is not UTF-8", code="encoding") from error
    except RecursionError as error:
        raise TooLarge(f"the message nests deeper than {MAX_DEPTH} levels", code="too-deep") from error
    except ValueError as error:
        raise Invalid("the message is not well-formed JSON", code="not-well-formed") from error
    if not isinstance(tree, dict) or not isinstance(tree.get("resourceType"), str):
        raise Invalid("the message is not one FHIR resource", code="not-a-resource")
    check_depth(tree)
    if _ESCAPED.search(body):
        _check_text(tree)
    return tree


def check_depth(tree: Any) -> None:
    """Refuse a tree that nests deeper than `MAX_DEPTH`; walks level by level, so depth costs no stack."""
    level = [tree]
    for _ in range(MAX_DEPTH):
        level = [below for value in level for below in _below(value) if isinstance(below, (dict, list))]
        if not level:
            return
    raise TooLarge(f"the message nests deeper than {MAX_DEPTH} levels", code="too-deep")


def _below(value: Any) -> Any:
    return value.values() if isinstance(value, dict) else value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Invalid("an object names the same key twice", code="duplicate-key")
    return found


def _constant(_: str) -> float:
    raise Invalid("NaN and Infinity are not numbers in FHIR", code="not-a-number")


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise Invalid("a number is too large", code="not-a-number")
    return value


def _check_text(value: Any) -> None:
    if isinstance(value, str):
        if _CONTROL.search(value):
            raise Invalid("a text holds a control character", code="control-character")
    elif isinstance(value, dict):
        for key, below in value.items():
            _check_text(key)
            _check_text(below)
    elif isinstance(value, list):
        for below in value:
            _check_text(below)
