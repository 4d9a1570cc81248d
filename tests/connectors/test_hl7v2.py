"""The HL7 v2 parser: the numbers of the standard, escapes, character sets, ends of lines, and limits."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.formats import hl7v2
from connectors.formats.hl7v2 import parse, peek
from connectors.formats.hl7v2_time import moment
from fhir_profiles.errors import BirthCareError, Invalid, TooLarge, Unsupported
from hub.log.received import MAX_MESSAGE

MSH = "MSH|^~\\&|HIX|RIJNOEVER|HUB|GZ|20261120141500||ADT^A01^ADT_A01|C1|P|2.5.1"


def with_text(raw: str, charset: str = "UNICODE UTF-8") -> bytes:
    """A message with one note."""
    return f"{MSH}||||||{charset}\rNTE|1||{raw}\r".encode()


def note(body: bytes) -> str:
    """The note as a reader sees it."""
    message = parse(body)
    return message.words.text(message.segments[1][3])


def test_fields_have_the_numbers_of_the_standard() -> None:
    message = parse(f"{MSH}\rPID|1||12^^^A&B&C^PI~34||Berg^Anna\r".encode())
    msh, pid = message.segments
    assert (msh[1], msh[2], msh[9], msh[10]) == ("|", "^~\\&", "ADT^A01^ADT_A01", "C1")
    words = message.words
    assert pid[0] == "PID" and words.repetitions(pid[3]) == ["12^^^A&B&C^PI", "34"]
    assert words.subcomponents(words.components(pid[3])[3]) == ["A", "B", "C"]
    assert words.part(pid[5], 2) == "Anna" and words.part(pid[5], 9) == "" and words.part(pid[3], 1) == "12"


@pytest.mark.parametrize("end", ["\r", "\n", "\r\n", "\r\r", "\n\r"])
def test_segments_may_end_in_cr_lf_or_both(end: str) -> None:
    assert [s[0] for s in parse(end.join((MSH, "EVN|A01", "PID|1", "")).encode()).segments] == ["MSH", "EVN", "PID"]


def test_a_byte_order_mark_and_framing_around_a_message_are_no_part_of_it() -> None:
    assert parse(b"\xef\xbb\xbf" + MSH.encode()).segments == parse(MSH.encode()).segments
    assert parse(b"\x0b" + MSH.encode() + b"\r\x1c\r").segments == parse(MSH.encode()).segments


def test_a_sender_may_choose_its_own_delimiters() -> None:
    message = parse(b"MSH#!%$@#HIX#R#HUB#GZ#2026##ADT!A01#C1#P#2.5\rPID#1##1!!!X%2#a|b^c$F$d\r")
    pid = message.segments[1]
    assert message.header.type == "ADT" and message.header.trigger == "A01"
    assert message.words.repetitions(pid[3]) == ["1!!!X", "2"]
    assert message.words.text(pid[4]) == "a|b^c#d"


@pytest.mark.parametrize(("raw", "text"), [
    (r"a\F\b\S\c\T\d\R\e\E\f", "a|b^c&d~e\\f"),
    (r"een\.br\twee", "een\ntwee"),
    (r"een\.sp\twee\.sp2\drie", "een\ntwee\ndrie"),
    (r"\H\vet\N\ gewoon", "vet gewoon"),
    (r"zo\XC3AB\ kan het", "zoë kan het"),
    (r"\X41\\X42\ ", "AB"),
    (r"\X00\ ", "�"),
    (r"\X4\ blijft staan", r"\X4\ blijft staan"),
    (r"c:\temp zonder einde", r"c:\temp zonder einde"),
    (r"a \ b \ c", r"a \ b \ c"),
    (r"a \ b \T\ c", r"a \ b & c"),
    (r"\Zlokaal\ ", r"\Zlokaal\ ".strip()),
    (r"\\", r"\\"),
    ('""', ""),
    ("  rand  ", "rand"),
    (r"\.in+4\tekst\.ti-2\ ", "tekst"),
])
def test_escapes_are_decoded_once_and_what_is_no_escape_is_text(raw: str, text: str) -> None:
    assert note(with_text(raw)) == text


@pytest.mark.parametrize(("charset", "codec"), [
    ("UNICODE UTF-8", "utf-8"), ("8859/1", "latin-1"), ("8859/15", "iso8859_15"), ("", "utf-8"), ("8859/1~UNICODE UTF-8", "latin-1"),
    ("ASCII", "utf-8"),
])
def test_text_is_read_in_the_character_set_that_msh_18_names(charset: str, codec: str) -> None:
    assert note(with_text("zoë en renée", charset).decode().encode(codec)) == "zoë en renée"


def test_the_euro_sign_shows_which_latin_it_is() -> None:
    assert note(with_text("5 €", "8859/15").decode().encode("iso8859_15")) == "5 €"


def test_text_that_is_declared_latin_but_is_utf_8_is_read_as_utf_8_and_noted() -> None:
    message = parse(with_text("zoë", "8859/1"))
    assert message.words.text(message.segments[1][3]) == "zoë"
    assert message.notes == (("MSH-18", "declared-otherwise"),)
    assert parse(with_text("zoe", "8859/1")).notes == ()


MANY = hl7v2.MAX_SEGMENTS + 1
BAD: list[tuple[str, bytes, type[BirthCareError], str]] = [
    ("empty", b"", Invalid, "no-msh"),
    ("blank", b"\r\r", Invalid, "no-msh"),
    ("no MSH", b"PID|1\r", Invalid, "no-msh"),
    ("MSH in small letters", MSH.lower().encode(), Invalid, "no-msh"),
    ("MSH alone", b"MSH", Invalid, "delimiters"),
    ("MSH cut in its delimiters", b"MSH|^~", Invalid, "delimiters"),
    ("delimiters twice", b"MSH|^^\\&|A|B\r", Invalid, "delimiters"),
    ("a letter as delimiter", b"MSHa^~\\&aHIX\r", Invalid, "delimiters"),
    ("a NUL byte", with_text("a\x00b"), Invalid, "control-character"),
    ("a control character", with_text("a\x07b"), Invalid, "control-character"),
    ("a vertical tab within", with_text("a\x0bb"), Invalid, "control-character"),
    ("UTF-16", MSH.encode("utf-16"), Invalid, "no-msh"),
    ("an unknown character set", with_text("a", "8859/7"), Unsupported, "charset"),
    ("Shift-JIS", with_text("a", "ISO IR87"), Unsupported, "charset"),
    ("Latin bytes declared as UTF-8", with_text("zoë").decode().encode("latin-1"), Invalid, "charset"),
    ("Latin bytes without a declaration", with_text("zoë", "").decode().encode("latin-1"), Invalid, "charset"),
    ("bytes that are in no Latin", with_text("zo", "8859/1").replace(b"zo", b"\x81\x8d"), Invalid, "charset"),
    ("a second MSH", f"{MSH}\rPID|1\r{MSH}\r".encode(), Invalid, "two-messages"),
    ("a line that is no segment", f"{MSH}\rNTE|1||een\ntwee\r".encode(), Invalid, "segment-name"),
    ("a segment name in small letters", f"{MSH}\rpid|1\r".encode(), Invalid, "segment-name"),
    ("a batch", b"BHS|^~\\&|A\rMSH|^~\\&|A\r", Unsupported, "batch"),
    ("a file of batches", b"FHS|^~\\&|A\r", Unsupported, "batch"),
    ("too many segments", MSH.encode() + b"\rNTE|1" * MANY, TooLarge, "too-many-segments"),
    ("only line ends", MSH.encode() + b"\r" * 3 * MANY, TooLarge, "too-many-segments"),
    ("deep repetition", f"{MSH}\rPID|1||{'~'.join(['1'] * 200_000)}\r".encode(), TooLarge, "too-many-repetitions"),
    ("too many components", f"{MSH}\rPID|1||{'^' * 2_000}\r".encode(), TooLarge, "too-many-components"),
    ("too many subcomponents", f"{MSH}\rPID|1||{'&' * 2_000}\r".encode(), TooLarge, "too-many-subcomponents"),
    ("too many fields", f"{MSH}\rPID{'|' * 2_000}\r".encode(), TooLarge, "too-many-fields"),
    ("more than 20 MB", MSH.encode() + b"\rNTE|1||" + b"x" * MAX_MESSAGE, TooLarge, "too-large"),
]


@pytest.mark.parametrize(("body", "kind", "code"), [row[1:] for row in BAD], ids=[row[0] for row in BAD])
def test_what_is_no_message_is_refused_with_a_code(body: bytes, kind: type[BirthCareError], code: str) -> None:
    with pytest.raises(kind) as refusal:
        parse(body)
    assert refusal.value.code == code


def test_a_field_of_nearly_20_mb_is_read() -> None:
    size = MAX_MESSAGE - 200
    assert len(parse(MSH.encode() + b"\rOBX|1|ED|X||" + b"A" * size + b"\r").segments[1][5]) == size


def test_limits_are_counted_per_field_and_not_per_message() -> None:
    rows = "\r".join(f"PID|{n}||{'1~' * 500}" for n in range(20))
    assert len(parse(f"{MSH}\r{rows}\r".encode()).segments) == 21


def test_peek_reads_the_header_and_nothing_else() -> None:
    header = peek(f"{MSH}||||||8859/1~X\r".encode() + b"\x00 nonsense")
    assert (header.sending_application, header.sending_facility, header.control_id, header.version) == ("HIX", "RIJNOEVER", "C1", "2.5.1")
    assert (header.type, header.trigger, header.processing_id, header.charset) == ("ADT", "A01", "P", "8859/1")


@given(st.binary(max_size=300))
def test_any_bytes_are_parsed_or_refused(body: bytes) -> None:
    for data in (body, MSH.encode() + b"\r" + body):
        try:
            assert parse(data).segments
        except BirthCareError:
            pass


@given(st.randoms(use_true_random=False))
def test_a_damaged_message_is_parsed_or_refused(chance: random.Random) -> None:
    body = bytearray(with_text(r"zoë \T\ wat\.br\meer"))
    for _ in range(chance.randrange(1, 6)):
        body[chance.randrange(len(body))] = chance.randrange(256)
    try:
        message = parse(bytes(body))
    except BirthCareError:
        return
    assert all(message.words.text(raw) is not None for segment in message.segments for raw in segment)


@given(st.text(st.characters(exclude_categories=("Cc", "Cs"), max_codepoint=0x2FFF), max_size=60))
def test_any_text_survives_escaping_and_decoding(text: str) -> None:
    escaped = text.replace("\\", "\\E\\")
    for character, letter in (("|", "F"), ("^", "S"), ("&", "T"), ("~", "R")):
        escaped = escaped.replace(character, f"\\{letter}\\")
    assert escaped == '""' or note(with_text(escaped)) == text.strip()


@pytest.mark.parametrize(("stamp", "fhir", "utc"), [
    ("2026", "2026", "2025-12-31T23:00:00.000Z"),
    ("202603", "2026-03", "2026-02-28T23:00:00.000Z"),
    ("20260301", "2026-03-01", "2026-02-28T23:00:00.000Z"),
    ("20260301000000", "2026-03-01", "2026-02-28T23:00:00.000Z"),
    ("202603011011", "2026-03-01T10:11:00+01:00", "2026-03-01T09:11:00.000Z"),
    ("20260701101112", "2026-07-01T10:11:12+02:00", "2026-07-01T08:11:12.000Z"),
    ("20260301101112.25", "2026-03-01T10:11:12.250+01:00", "2026-03-01T09:11:12.250Z"),
    ("20260301101112+0000", "2026-03-01T10:11:12+00:00", "2026-03-01T10:11:12.000Z"),
    ("20260301101112-0230", "2026-03-01T10:11:12-02:30", "2026-03-01T12:41:12.000Z"),
    ("20261025023000", "2026-10-25T02:30:00+02:00", "2026-10-25T00:30:00.000Z"),
    ("20240229", "2024-02-29", "2024-02-28T23:00:00.000Z"),
])
def test_a_moment_is_as_precise_as_given_and_local_time_gets_its_offset(stamp: str, fhir: str, utc: str) -> None:
    assert (moment(stamp).fhir, moment(stamp).utc) == (fhir, utc)


@pytest.mark.parametrize("stamp", [
    "", "nu", "20260231", "20261301", "20260001", "2026030124", "202603011060", "20260301101161", "0000", "1200", "9999", "20250229",
    "2026-03-01", "20260301101112+9900", "20260301101112+0199", "2026030", "20260301 1011", "２０２６",
])
def test_an_impossible_moment_is_refused_without_repeating_it(stamp: str) -> None:
    with pytest.raises(Invalid) as refusal:
        moment(stamp)
    assert refusal.value.code == "date-impossible" and (not stamp or stamp not in refusal.value.public)


@given(st.text(max_size=20))
def test_any_text_is_a_moment_or_is_refused(text: str) -> None:
    try:
        assert moment(text).utc.endswith("Z")
    except Invalid:
        pass
