"""Strict JSON: what two readers could read differently is refused.

Refused: text that is not UTF-8, a key that stands twice in one object, NaN and Infinity, half a surrogate pair, numbers that no clinical
value needs, more than 64 levels and more than `MAX_BYTES`. A byte order mark in UTF-8 is dropped (RFC 8259 lets a reader do so, and .NET
senders write one).

Decimals: by default a `float`, which every part of the hub can write again; 7.4 stays 7.4 and 7.0 stays 7.0. What a float cannot say
(74.50, more than 17 digits) is in the bytes received. With `exact=True` each decimal is a `Decimal` with the digits as sent, and
`dumps`, or any `orjson.dumps(..., default=exact_digits)`, writes those digits back.
"""

from __future__ import annotations

import json
import re
from decimal import Decimal, DecimalException
from typing import Any, Final

import orjson

from fhir_profiles.errors import Invalid, TooLarge

MAX_DEPTH: Final = 64
MAX_BYTES: Final = 16 * 1024 * 1024
_MAX_DIGITS: Final = 64
_MAX_EXPONENT: Final = 300
_ELEMENT_NAME: Final = re.compile(r"_?[A-Za-z]{1,40}")
_SURROGATE: Final = re.compile(rb"\\u[dD][89a-fA-F]")


def strict_loads(data: bytes, *, exact: bool = False) -> Any:
    """The value that the bytes stand for: dict, list, str, int, bool, None and float, or `Decimal` when `exact`.

    Raises `TooLarge` (bytes, depth, digits) or `Invalid`; `path` is the repeated key where that looks like the name of an element, or
    `line:column` for a fault in the grammar. No message repeats what was sent.
    """
    if len(data) > MAX_BYTES:
        raise TooLarge(f"more than {MAX_BYTES} bytes", code="json-size")
    value = _parsed(_text(data), exact)
    if data.count(b"{") + data.count(b"[") > MAX_DEPTH:
        _refuse_depth(value)
    if _SURROGATE.search(data):
        _refuse_surrogates(value)
    return value


def dumps(value: Any) -> bytes:
    """Compact JSON in UTF-8 in which each `Decimal` keeps its digits."""
    return orjson.dumps(value, default=exact_digits)


def exact_digits(value: object) -> orjson.Fragment:
    """The `default` for `orjson.dumps` that writes a `Decimal` digit by digit. Raises `TypeError` for anything else, as orjson expects."""
    if not isinstance(value, Decimal) or not value.is_finite():
        raise TypeError("not a JSON value")
    return orjson.Fragment(str(value))


def _text(data: bytes) -> str:
    try:
        return data.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError:
        raise Invalid("JSON must be in UTF-8", code="json-encoding") from None


def _parsed(text: str, exact: bool) -> Any:
    try:
        return (_EXACT if exact else _PLAIN).decode(text)
    except json.JSONDecodeError as fault:
        raise Invalid("this is not JSON", path=f"{fault.lineno}:{fault.colno}", code="json-syntax") from None
    except RecursionError:
        raise TooLarge(f"more than {MAX_DEPTH} levels", code="json-depth") from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        repeated = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]  # add gives None
        raise Invalid("a key stands twice in one object", path=repeated if _ELEMENT_NAME.fullmatch(repeated) else "", code="json-duplicate")
    return found


def _refuse_constant(_: str) -> Any:
    raise Invalid("NaN and Infinity are not JSON", code="json-number")


def _bounded(text: str) -> Decimal:
    try:
        value = Decimal(text)
    except DecimalException:
        raise TooLarge("a number that no decimal can hold", code="json-number") from None
    if len(text) > _MAX_DIGITS or not -_MAX_EXPONENT < value.adjusted() < _MAX_EXPONENT:
        raise TooLarge("a number with too many digits", code="json-number")
    return value


def _int(text: str) -> int:
    """Within 64 bits: what is larger cannot be written again by the rest of the hub, and counts nothing in birth care."""
    if len(text) > 20 or not -(2**63) <= (value := int(text)) < 2**63:
        raise TooLarge("a whole number of more than 64 bits", code="json-number")
    return value


def _float(text: str) -> float:
    if len(text) < 20 and "e" not in text and "E" not in text:
        return float(text)
    return float(_bounded(text))


_PLAIN: Final = json.JSONDecoder(object_pairs_hook=_once, parse_constant=_refuse_constant, parse_float=_float, parse_int=_int)
_EXACT: Final = json.JSONDecoder(object_pairs_hook=_once, parse_constant=_refuse_constant, parse_float=_bounded, parse_int=_int)


def _refuse_depth(value: Any) -> None:
    """Level by level, so that depth costs no recursion."""
    level, depth = [value], 0
    while level:
        depth += 1
        level = [
            child
            for node in level
            for child in (node.values() if type(node) is dict else node if type(node) is list else ())
            if type(child) is dict or type(child) is list
        ]
        if depth == MAX_DEPTH and level:
            raise TooLarge(f"more than {MAX_DEPTH} levels", code="json-depth")


def _refuse_surrogates(value: Any) -> None:
    try:
        json.dumps(value, ensure_ascii=False, default=str).encode()
    except UnicodeEncodeError:
        raise Invalid("half a surrogate pair is not text", code="json-encoding") from None
