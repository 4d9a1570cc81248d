"""What a primitive value may look like, as JSON Schema (draft 4).

Tighter than the regular expressions in the definitions, which take days that do not exist and text of blanks only. Two variants of each:
`date`, and `date?` for a place in a list, where null may stand beside an extension.

Source: FHIR R4 4.0.1, datatypes.
"""

from __future__ import annotations

from typing import Any, Final

from fhir_profiles import dates

Schema = dict[str, Any]

_INT_MAX: Final = 2**31 - 1
_DECIMAL_MAX: Final = 10**18 - 1  # R4 asks for 18 digits; more cannot be written as JSON by every part of the hub.
_TEXT: Final = r"^[\t\n\r ]*[^\x00-\x20][^\x00-\x08\x0B\x0C\x0E-\x1F]*$"
_URI: Final = r"^[^\x00-\x20\xA0]+$"
_BASE64: Final = r"^(?:\s*[0-9A-Za-z+/]{4})*\s*(?:[0-9A-Za-z+/]{4}|[0-9A-Za-z+/]{2}==|[0-9A-Za-z+/]{3}=)\s*$"
_TEXT_MAX: Final = 1_048_576
_ACTIVE: Final = r"^(?:[jJ][aA][vV][aA]|[vV][bB])[sS][cC][rR][iI][pP][tT]:"
_ACTIVE_OR_HTML: Final = _ACTIVE[:-1] + r"|^[dD][aA][tT][aA]:[^,]*[hH][tT][mM][lL]"

_PATTERNS: Final[dict[str, str]] = {
    "base64Binary": _BASE64,
    "code": r"^[^\x00-\x20]+(?:[\t\n\r ][^\x00-\x20]+)*$",
    "date": f"^(?:{dates.DATE})$",
    "dateTime": f"^(?:{dates.DATE_TIME})$",
    "id": r"^[A-Za-z0-9\-.]{1,64}$",
    "instant": f"^(?:{dates.INSTANT})$",
    "oid": r"^urn:oid:[0-2](?:\.(?:0|[1-9][0-9]*))+$",
    "time": f"^(?:{dates.TIME})$",
    "uuid": r"^urn:uuid:[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$",
}

PRIMITIVES: Final[dict[str, Schema]] = {
    "boolean": {"type": "boolean"},
    "decimal": {"type": "number", "minimum": -_DECIMAL_MAX, "maximum": _DECIMAL_MAX},
    "integer": {"type": "integer", "minimum": -(2**31), "maximum": _INT_MAX},
    "positiveInt": {"type": "integer", "minimum": 1, "maximum": _INT_MAX},
    "unsignedInt": {"type": "integer", "minimum": 0, "maximum": _INT_MAX},
    "string": {"type": "string", "maxLength": _TEXT_MAX, "pattern": _TEXT},
    "markdown": {"type": "string", "maxLength": _TEXT_MAX, "pattern": _TEXT},
    "xhtml": {"type": "string", "maxLength": _TEXT_MAX, "pattern": _TEXT},
    "uri": {"type": "string", "pattern": _URI, "not": {"pattern": _ACTIVE}},
    "url": {"type": "string", "pattern": _URI, "not": {"pattern": _ACTIVE_OR_HTML}},
    "canonical": {"type": "string", "pattern": _URI, "not": {"pattern": _ACTIVE}},
    **{name: {"type": "string", "pattern": pattern} for name, pattern in _PATTERNS.items()},
}


def or_null(schema: Schema) -> Schema:
    """The same, where null may stand: its other keywords do not look at null."""
    if "enum" in schema:
        return {**schema, "enum": [*schema["enum"], None]}
    return {**schema, "type": [schema["type"], "null"]}


def reference_pattern(resource_types: list[str]) -> str:
    """What `Reference.reference` may be: `Type/id`, an absolute address, `urn:`, `#contained`, or `Type?query` in a transaction."""
    types = "|".join(resource_types)
    one = r"[A-Za-z0-9\-.]{1,64}"
    return (
        rf"^(?:(?:{types})/{one}(?:/_history/{one})?|(?:{types})\?[^\x00-\x20]+|#(?:{one})?"
        r"|https?://[^\x00-\x20#]+(?:#[^\x00-\x20#]*)?|urn:(?:uuid|oid):[0-9A-Za-z\-.]+)$"
    )
