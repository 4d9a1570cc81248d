r"""HL7 v2 in its bar-and-caret form: from bytes to segments, fields, repetitions and components, with escapes decoded.

Own splitting, because every Python parser that was measured is slower by a factor of five to a thousand, or wrong on escapes. The
whole message is split into segments and fields at once; repetitions and components are split when a mapping asks for them.

`MSH-n` is `message.segments[0][n]` and `OBX-n` is `segment[n]`: the numbers of the standard are the numbers in the lists.

Source: HL7 v2.5.1 chapter 2 (2.5 delimiters, 2.7 escapes), chapter 2 table 0211 (character sets).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NamedTuple

from fhir_profiles.errors import Invalid, TooLarge, Unsupported
from hub.log.received import MAX_MESSAGE

MEDIA_TYPE: Final = "x-application/hl7-v2+er7"
MAX_SEGMENTS: Final = 10_000
MAX_FIELDS: Final = 1_000
MAX_REPETITIONS: Final = 1_000
MAX_COMPONENTS: Final = 1_000
NULL: Final = '""'
"""An explicit "this is empty now" (HL7 v2.5.1, 2.5.3): not a value, and not silence."""

_BOM: Final = b"\xef\xbb\xbf"
_LONGEST_MSH: Final = 8_192
_CONTROLS: Final = bytes(c for c in range(32) if c not in (9, 10, 13)) + b"\x7f"
_UNFIT_CONTROL: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_SEGMENT_NAME: Final = re.compile(r"[A-Z][A-Z0-9]{2}")
_USUAL: Final = frozenset({"PID", "PV1", "OBR", "OBX", "NTE", "ORC", "EVN", "AL1", "DG1", "NK1"})
_CHARSETS: Final = {
    "": "utf-8", "ASCII": "utf-8", "UNICODE UTF-8": "utf-8", "UTF-8": "utf-8", "UNICODE": "utf-8",
    "8859/1": "cp1252", "8859/15": "iso8859_15", "ISO-8859-1": "cp1252", "ISO-8859-15": "iso8859_15",
}


class Header(NamedTuple):
    """The fields of MSH that decide how a message is answered and read; text as it stood, bytes above 127 as Latin-1."""

    separator: str
    encoding: str
    sending_application: str
    sending_facility: str
    receiving_application: str
    receiving_facility: str
    time: str
    type: str
    trigger: str
    control_id: str
    processing_id: str
    version: str
    accept_acknowledgement: str
    application_acknowledgement: str
    charset: str


def unframed(body: bytes) -> bytes:
    """The message without byte-order mark and without MLLP framing, which files cut from a wire often still hold."""
    if body[:1] == b"\x0b":
        body = body[1:]
    if body.startswith(_BOM):
        body = body[3:]
    end = body.rfind(b"\x1c", len(body) - 3) if body else -1
    return body[:end] if end >= 0 and not body[end + 1:].strip(b"\r\n") else body


def peek(body: bytes) -> Header:
    """Read MSH and nothing else; a few microseconds whatever the size. Raises `Invalid` when there is no usable MSH."""
    body = unframed(body) if body[:3] != b"MSH" else body
    if body[:3] != b"MSH":
        raise Invalid("the message does not begin with an MSH segment", path="MSH", code="no-msh")
    return _header(body[:_LONGEST_MSH].split(b"\r", 1)[0].split(b"\n", 1)[0].decode("latin-1"))


def _header(line: str) -> Header:
    """The header in an MSH segment. Raises `Invalid` when it does not name its delimiters."""
    separator = line[3:4]
    fields = line.split(separator, 18) if separator else [line]
    encoding = fields[1] if len(fields) > 1 else ""
    _check_delimiters(separator, encoding)
    fields += [""] * (18 - len(fields))
    component, repetition = encoding[0], encoding[1]
    kind = fields[8].split(component, 2)
    return Header(
        separator, encoding, fields[2].split(component, 1)[0].strip(), fields[3].split(component, 1)[0].strip(),
        fields[4], fields[5], fields[6], kind[0].strip(), kind[1].strip() if len(kind) > 1 else "",
        fields[9].strip(), fields[10].split(component, 1)[0].strip(), fields[11].split(component, 1)[0].strip(),
        fields[14].strip(), fields[15].strip(), fields[17].split(repetition, 1)[0].strip().upper(),
    )


def _check_delimiters(separator: str, encoding: str) -> None:
    every = separator + encoding
    if every in ("|^~\\&", "|^~\\&#"):
        return
    if len(encoding) not in (4, 5) or len(set(every)) != len(every) or any(c.isalnum() or not "!" <= c <= "~" for c in every):
        raise Invalid("MSH-1 and MSH-2 must name five different delimiters", path="MSH-2", code="delimiters")


def charset_fits(body: bytes, charset: str) -> bool:
    """Whether the bytes can be read in the declared character set (MSH-18); quick for plain ASCII. False for one that is not taken."""
    codec = _CHARSETS.get(charset)
    if codec is None or b"\x00" in body:
        return False
    if body.isascii():
        return True
    try:
        _decoded(body, codec)
    except UnicodeDecodeError:
        return False
    return True


def _decoded(body: bytes, codec: str) -> tuple[str, str]:
    """The text, and the codec that really fitted: senders declare 8859/1 and send UTF-8."""
    try:
        return body.decode("utf-8"), "utf-8"
    except UnicodeDecodeError:
        if codec == "utf-8":
            raise
        return body.decode(codec), codec


class Words:
    """How one sender writes: its delimiters, its escapes, its character set. Splits fields and decodes their leaves.

    Shared by all messages that are written alike, so that what is learnt from a field can be kept by (words, field).
    """

    __slots__ = ("_component", "_delimiters", "_escape", "_repetition", "_sub", "charset")

    def __init__(self, separator: str, encoding: str, charset: str) -> None:
        self._component, self._repetition, self._escape, self._sub = encoding[0], encoding[1], encoding[2], encoding[3]
        self.charset = charset
        self._delimiters = {"F": separator, "S": self._component, "T": self._sub, "R": self._repetition, "E": self._escape,
                            "P": encoding[4:] or "#", "H": "", "N": ""}

    def repetitions(self, raw: str) -> list[str]:
        """The repetitions of a field."""
        return raw.split(self._repetition)

    def components(self, raw: str) -> list[str]:
        """The components of a repetition, still escaped."""
        return raw.split(self._component)

    def subcomponents(self, raw: str) -> list[str]:
        """The subcomponents of a component, still escaped."""
        return raw.split(self._sub)

    def text(self, raw: str) -> str:
        """A leaf as a reader would see it: escapes decoded, blanks at the ends gone. An explicit null is no text."""
        if raw.isalnum():
            return raw  # No delimiter is a letter or digit (`_check_delimiters`), so most leaves need no other look.
        if raw == NULL:
            return ""
        return (self._unescaped(raw) if self._escape in raw else raw).strip()

    def texts(self, raw: str) -> list[str]:
        """The components of a repetition as a reader would see them."""
        parts = raw.split(self._component)
        plain = self._escape not in raw and NULL not in raw
        return [part.strip() for part in parts] if plain else [self.text(part) for part in parts]

    def part(self, raw: str, number: int) -> str:
        """Component `number` (from 1) of the first repetition, as a reader would see it; "" when it is not there."""
        if raw.isalnum():
            return raw if number == 1 else ""
        if not raw:
            return ""
        if self._component not in raw and self._repetition not in raw:
            return self.text(raw) if number == 1 else ""
        parts = raw.split(self._repetition, 1)[0].split(self._component)
        return self.text(parts[number - 1]) if number <= len(parts) else ""

    def _unescaped(self, raw: str) -> str:
        """Decode the escapes that close; a lone escape character is text (senders write a backslash without thinking)."""
        out: list[str] = []
        at = 0
        while (begin := raw.find(self._escape, at)) >= 0 and (end := raw.find(self._escape, begin + 1)) >= 0:
            meaning = self._meaning(raw[begin + 1:end])
            if meaning is None:
                # Not an escape: the second character may open a real one.
                out.append(raw[at:end])
                at = end
            else:
                out += (raw[at:begin], meaning)
                at = end + 1
        out.append(raw[at:])
        return "".join(out)

    def _meaning(self, escape: str) -> str | None:
        kind = escape[:1]
        if len(escape) == 1:
            return self._delimiters.get(kind)
        if kind == "X" and len(escape) % 2 and re.fullmatch(r"X[0-9A-Fa-f]+", escape):
            return _UNFIT_CONTROL.sub("�", bytes.fromhex(escape[1:]).decode(self.charset, "replace"))
        if kind == "." and escape[1:3] in ("br", "sp", "fi", "nf", "in", "ti", "sk", "ce"):
            return " " if escape[1:3] == "sk" else "" if escape[1:3] in ("fi", "nf", "in", "ti") else "\n"
        return None


words_of = lru_cache(maxsize=64)(Words)


@dataclass(frozen=True, slots=True)
class Message:
    """One message, split. `segments[i][n]` is field n of the i-th segment as it stood, `segments[i][0]` its name.

    `words` reads its fields, `notes` tell what was put right (field path, short code), `nulls` whether an explicit null occurs anywhere.
    """

    header: Header
    segments: list[list[str]]
    words: Words
    notes: tuple[tuple[str, str], ...]
    nulls: bool


def parse(body: bytes) -> Message:
    """Split a whole message. Segments may end in CR, LF or both.

    Raises `TooLarge` past the limits above, `Unsupported` for a character set or a batch, and `Invalid` for anything that is not
    a message: control characters, text that does not fit its character set, a line that is no segment, a second MSH.
    """
    if len(body) > MAX_MESSAGE:
        raise TooLarge("the message is larger than the hub takes", code="too-large")
    body = unframed(body)
    if body[:3] in (b"FHS", b"BHS"):
        raise Unsupported("batch files are not taken: send each message by itself", path=body[:3].decode(), code="batch")
    header = peek(body)
    text, charset, notes = _text(body, header)
    words = words_of(header.separator, header.encoding, charset)
    return Message(header, _segments(text, header), words, notes, NULL in text)


def _text(body: bytes, header: Header) -> tuple[str, str, tuple[tuple[str, str], ...]]:
    codec = _CHARSETS.get(header.charset)
    if codec is None:
        raise Unsupported("the character set in MSH-18 is not taken: use UNICODE UTF-8, 8859/1 or 8859/15", path="MSH-18", code="charset")
    if len(body.translate(None, _CONTROLS)) != len(body):
        raise Invalid("the message holds control characters", code="control-character")
    if body.isascii():
        return body.decode("ascii"), codec, ()
    try:
        text, used = _decoded(body, codec)
    except UnicodeDecodeError:
        raise Invalid("the bytes do not fit the character set in MSH-18", path="MSH-18", code="charset") from None
    return text, used, (("MSH-18", "declared-otherwise"),) if used != codec else ()


def _segments(text: str, header: Header) -> list[list[str]]:
    if text.count("\r") + text.count("\n") > 3 * MAX_SEGMENTS:
        raise TooLarge(f"more than {MAX_SEGMENTS} segments", code="too-many-segments")
    separator = header.separator
    segments = [line.split(separator) for line in text.replace("\n", "\r").split("\r") if line]
    if len(segments) > MAX_SEGMENTS:
        raise TooLarge(f"more than {MAX_SEGMENTS} segments", code="too-many-segments")
    segments[0].insert(1, separator)
    for number, fields in enumerate(segments, 1):
        name = fields[0]
        if name not in _USUAL and ((name == "MSH" and number > 1) or not _SEGMENT_NAME.fullmatch(name)):
            raise _not_a_segment(name, number)
    _check_limits(text, segments, header)
    return segments


def _not_a_segment(name: str, number: int) -> Invalid:
    if name == "MSH":
        return Invalid("a second message begins within the message", path=f"segment {number}", code="two-messages")
    return Invalid("a line does not begin with the name of a segment", path=f"segment {number}", code="segment-name")


def _check_limits(text: str, segments: list[list[str]], header: Header) -> None:
    """Refuse what would only cost time. The whole text is counted first: an ordinary message needs no look at its fields."""
    if len(text) < MAX_FIELDS:
        return
    component, repetition, sub = header.encoding[0], header.encoding[1], header.encoding[3]
    if text.count(header.separator) < MAX_FIELDS and all(text.count(d) < MAX_REPETITIONS for d in (component, repetition, sub)):
        return
    limits = (
        (repetition, MAX_REPETITIONS, "repetitions"), (component, MAX_COMPONENTS, "components"), (sub, MAX_COMPONENTS, "subcomponents"),
    )
    for fields in segments:
        if len(fields) > MAX_FIELDS:
            raise TooLarge(f"more than {MAX_FIELDS} fields in one segment", path=fields[0], code="too-many-fields")
        for delimiter, limit, word in limits:
            if fields[0] != "MSH" and any(raw.count(delimiter) >= limit for raw in fields):
                raise TooLarge(f"more than {limit} {word} in one field", path=fields[0], code=f"too-many-{word}")
