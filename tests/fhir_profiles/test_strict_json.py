"""JSON that two readers could read differently is refused, quickly and with a reason."""

from __future__ import annotations

import json
from decimal import Decimal

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_profiles.check import MAX_BYTES, MAX_DEPTH, dumps, exact_digits, strict_loads
from fhir_profiles.errors import Invalid, TooLarge

BAD: list[tuple[str, bytes, type[Exception], str, str]] = [
    ("nothing", b"", Invalid, "json-syntax", "1:1"),
    ("half an object", b'{"a": [1,', Invalid, "json-syntax", "1:10"),
    ("something after the end", b"{} {}", Invalid, "json-syntax", "1:4"),
    ("a comma too many", b"[1,]", Invalid, "json-syntax", "1:4"),
    ("single quotes", b"{'a': 1}", Invalid, "json-syntax", "1:2"),
    ("a comment", b'{"a": 1 /* x */}', Invalid, "json-syntax", "1:9"),
    ("a raw line break in text", b'{"a": "x\ny"}', Invalid, "json-syntax", "1:9"),
    ("a raw NUL in text", b'{"a": "x\x00y"}', Invalid, "json-syntax", "1:9"),
    ("a key twice", b'{"status": "final", "status": "amended"}', Invalid, "json-duplicate", "status"),
    ("a key twice, deep down", b'{"code": [{"text": 1, "id": 1, "text": 1}]}', Invalid, "json-duplicate", "text"),
    ("a key twice that is no name of an element", b'{"999990019": 1, "999990019": 2}', Invalid, "json-duplicate", ""),
    ("a key twice, once escaped", b'{"a": 1, "\\u0061": 2}', Invalid, "json-duplicate", "a"),
    ("NaN", b'{"a": NaN}', Invalid, "json-number", ""),
    ("minus infinity", b"[-Infinity]", Invalid, "json-number", ""),
    ("a number with a leading zero", b"[01]", Invalid, "json-syntax", "1:3"),
    ("a number of five thousand digits", b"[" + b"1" * 5000 + b"]", TooLarge, "json-number", ""),
    ("a whole number of 65 bits", b"[9223372036854775808]", TooLarge, "json-number", ""),
    ("a fraction of a hundred digits", b"[0." + b"1" * 100 + b"]", TooLarge, "json-number", ""),
    ("an exponent that fills the memory", b"[1e999999999]", TooLarge, "json-number", ""),
    ("an exponent that no decimal holds", b"[1e99999999999999999999999]", TooLarge, "json-number", ""),
    ("Latin-1", '{"a": "Aydın é"}'.encode().replace("é".encode(), b"\xe9"), Invalid, "json-encoding", ""),
    ("UTF-16", '{"a": 1}'.encode("utf-16"), Invalid, "json-encoding", ""),
    ("half a surrogate pair", b'{"a": "\\ud800"}', Invalid, "json-encoding", ""),
    ("half a surrogate pair in a key", b'{"\\uDC00": 1}', Invalid, "json-encoding", ""),
    ("sixty-five levels", b"[" * 65 + b"]" * 65, TooLarge, "json-depth", ""),
    ("a million levels", b'{"a":' * 1_000_000, TooLarge, "json-depth", ""),
    ("more than the limit", b" " * (MAX_BYTES + 1), TooLarge, "json-size", ""),
]


@pytest.mark.parametrize(("text", "refusal", "code", "path"), [case[1:] for case in BAD], ids=[case[0] for case in BAD])
def test_bad_json_is_refused_with_a_reason(text: bytes, refusal: type[Invalid], code: str, path: str) -> None:
    with pytest.raises(refusal) as told:
        strict_loads(text)
    assert (told.value.code, told.value.path) == (code, path)


def test_a_refusal_repeats_nothing_and_keeps_no_cause_that_does() -> None:
    with pytest.raises(Invalid) as told:
        strict_loads(b'{"name": "Verhoeven" "999990019"}')
    assert "Verhoeven" not in str(told.value) and told.value.__cause__ is None and told.value.__suppress_context__


def test_what_is_clean_is_read_as_the_standard_library_reads_it() -> None:
    text = '{"a": [1, -2.5, 1e3, true, null, "é\\ud83d\\ude00\\n"], "b": {}, "": ""}'
    assert strict_loads(text.encode()) == json.loads(text)
    assert strict_loads(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH)
    assert strict_loads(b'{"a": "' + b"[" * 1000 + b'"}') == {"a": "[" * 1000}


def test_a_byte_order_mark_is_dropped() -> None:
    assert strict_loads(b'\xef\xbb\xbf{"a": 1}') == {"a": 1}


@pytest.mark.parametrize("digits", ["74.50", "7.0", "0.10", "123456789012.123456", "-0.0", "0.000001"])
def test_exact_decimals_keep_their_digits_there_and_back(digits: str) -> None:
    text = f'{{"value":{digits}}}'.encode()
    assert dumps(strict_loads(text, exact=True)) == text
    assert orjson.dumps(strict_loads(text, exact=True), default=exact_digits) == text


@given(st.decimals(allow_nan=False, allow_infinity=False, places=6, min_value=-(10**12), max_value=10**12))
def test_any_exact_decimal_keeps_its_value_and_precision(value: Decimal) -> None:
    text = dumps(value)
    again = strict_loads(text, exact=True)
    assert dumps(again) == text and Decimal(again).as_tuple() == value.as_tuple()


def test_decimals_are_floats_unless_asked_otherwise() -> None:
    assert type(strict_loads(b"7.40")) is float
    assert strict_loads(b"7.40", exact=True) == Decimal("7.40")


def test_what_is_no_json_value_is_not_written() -> None:
    for value in (Decimal("NaN"), Decimal("Infinity"), {1}):
        with pytest.raises(TypeError):
            dumps([value])


@given(st.binary(max_size=60) | st.text(alphabet='{}[]",:0123456789.eE+-\\u\ntfn', max_size=40).map(str.encode))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        value = strict_loads(data)
    except (Invalid, TooLarge):
        return
    assert json.loads(data.decode().removeprefix("\ufeff")) == value
