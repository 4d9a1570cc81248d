"""The narrative of a resource (`text.div`) is shown to people, so it may hold nothing that acts.

Elements and attributes are on short lists; scripts, event handlers, forms, frames, outside pictures and odd addresses are refused.
Source: FHIR R4 4.0.1, narrative, invariants txt-1 and txt-2; stricter in pictures, which may only be embedded.
"""

from __future__ import annotations

import re
from typing import Final
from xml.parsers import expat

_XHTML: Final = "http://www.w3.org/1999/xhtml"
# Words in a text read better than forty quoted strings, hence the exceptions from SIM905.
_ELEMENTS: Final = frozenset((  # noqa: SIM905
    "a abbr acronym b big blockquote br caption cite code col colgroup dd dfn div dl dt em h1 h2 h3 h4 h5 h6 hr i img li ol p pre q samp"
    " small span strong sub sup table tbody td tfoot th thead tr tt ul var"
).split())
_ATTRIBUTES: Final = frozenset((  # noqa: SIM905
    "abbr align alt axis bgcolor border cellpadding cellspacing char charoff charset cite class colspan compact coords dir frame headers"
    " height href hreflang hspace id lang longdesc name noshade nowrap rel rev rowspan rules scope shape size span src start style summary"
    " tabindex title type valign value vspace width"
).split()) | {"http://www.w3.org/XML/1998/namespace lang", "http://www.w3.org/XML/1998/namespace space"}
_LINK: Final = re.compile(r"(?:https?://|mailto:|tel:|#|[A-Za-z0-9_\-./]+(?:[?#]|$))", re.IGNORECASE)
# Embedded bytes of any kind: as the source of a picture they cannot run, and official Dutch examples name no picture type.
_PICTURE: Final = re.compile(r"data:|#", re.IGNORECASE)
_ACTIVE_STYLE: Final = re.compile(r"url\s*\(|expression\s*\(|javascript:|@import|\\", re.IGNORECASE)

UNSAFE: Final = "a narrative without scripts, event handlers, forms, frames or outside content"
MALFORMED: Final = "a narrative that is well-formed XHTML: one div in its namespace, no DOCTYPE and no named entities of HTML"


class _Unsafe(Exception):
    """Something on no list."""


def narrative_fault(div: str) -> str:
    """What was expected instead, or empty text when the narrative is safe to show. Never repeats the narrative."""
    if not div.lstrip().startswith("<div"):
        return MALFORMED
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.StartElementHandler = _element
    parser.ProcessingInstructionHandler = _refuse
    try:
        parser.Parse(div.strip().encode("utf-8", "replace"), True)
    except _Unsafe:
        return UNSAFE
    except expat.ExpatError:
        return MALFORMED
    return ""


def _element(tag: str, attributes: dict[str, str]) -> None:
    namespace, _, name = tag.rpartition(" ")
    if namespace != _XHTML or name not in _ELEMENTS:
        raise _Unsafe
    for attribute, value in attributes.items():
        if attribute not in _ATTRIBUTES or not _harmless(attribute, value):
            raise _Unsafe


def _harmless(attribute: str, value: str) -> bool:
    if attribute == "src":
        return _PICTURE.match(value) is not None
    if attribute in ("href", "cite", "longdesc"):
        return _LINK.match(value) is not None
    return attribute != "style" or not _ACTIVE_STYLE.search(value)


def _refuse(*_: str) -> None:
    raise _Unsafe
