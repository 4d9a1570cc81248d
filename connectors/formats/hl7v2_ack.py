"""The answer to an HL7 v2 message: which messages are let in at all, and the ACK that says so.

Original acknowledgement mode: one answer, AA, AE or AR. AA means that the message is stored durably and nothing more; what it says
is looked at afterwards. A text in an answer never repeats what was sent; only the identifiers in MSH are mirrored.

MSH-15 and MSH-16 are followed in so far that a sender who wants no answer gets none (NE), or only one on an error (ER) or on success
(SU). Where both are empty, or either wants it, there is an answer.

Source: HL7 v2.5.1 2.9 (message control), 2.15.5 (ERR), tables 0008, 0103, 0155 and 0357.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from connectors.formats import hl7v2
from connectors.formats.hl7v2 import Header
from fhir_profiles.errors import BirthCareError, Invalid, TooLarge, Unavailable, Unknown, Unsupported

VERSIONS: Final = frozenset({"2.2", "2.3", "2.3.1", "2.4", "2.5", "2.5.1", "2.6", "2.7", "2.7.1", "2.8", "2.8.1", "2.8.2"})
NOBODY: Final = Header("|", "^~\\&", "", "", "", "", "", "ACK", "", "", "P", "2.5", "", "", "")
"""Stands for the header of something that has none: an answer can still be given, to nobody by name."""

_WANTS: Final = {"AL": (True, True), "NE": (False, False), "ER": (False, True), "SU": (True, False)}

# Table 0357, by the code of the refusal; 207 (application internal error) for all else.
_CONDITIONS: Final = {
    "no-msh": (100, "Segment sequence error"),
    "framing": (100, "Segment sequence error"),
    "delimiters": (102, "Data type error"),
    "charset": (102, "Data type error"),
    "field-missing": (101, "Required field missing"),
    "sender-unknown": (103, "Table value not found"),
    "message-type": (200, "Unsupported message type"),
    "processing-id": (202, "Unsupported processing id"),
    "version": (203, "Unsupported version id"),
}
_INTERNAL: Final = (207, "Application internal error")


def admit(header: Header, body: bytes, processing: frozenset[str]) -> None:
    """Let the message in, or raise what is wrong with its header; what it says inside is not looked at here."""
    if not header.control_id:
        raise Invalid("MSH-10 (message control id) is empty", path="MSH-10", code="field-missing")
    if not header.type:
        raise Invalid("MSH-9 (message type) is empty", path="MSH-9", code="field-missing")
    if header.type == "ACK":
        raise Unsupported("an acknowledgement is not taken as a message", path="MSH-9", code="message-type")
    if header.version not in VERSIONS:
        raise Unsupported("MSH-12: versions 2.2 to 2.8.2 are taken", path="MSH-12", code="version")
    if header.processing_id not in processing:
        raise Unsupported(f"MSH-11: only {', '.join(sorted(processing))} is taken here", path="MSH-11", code="processing-id")
    if not hl7v2.charset_fits(body, header.charset):
        public = "the bytes do not fit the character set in MSH-18 (UNICODE UTF-8, 8859/1 and 8859/15 are taken)"
        raise Invalid(public, path="MSH-18", code="charset")


def wanted(header: Header, *, error: bool) -> bool:
    """Whether the sender asked for an answer (MSH-15, MSH-16)."""
    asked = [a for a in (header.accept_acknowledgement, header.application_acknowledgement) if a]
    return not asked or any(_WANTS.get(a, (True, True))[error] for a in asked)


def code_of(error: BirthCareError) -> str:
    """AE when sending again may help (later, or put right), AR when this message is not for us."""
    if isinstance(error, Unavailable):
        return "AE"
    refused = isinstance(error, Unknown | Unsupported | TooLarge) or error.code in ("no-msh", "framing", "delimiters")
    return "AR" if refused else "AE"


def acknowledgement(header: Header, control_id: str, at: str, error: BirthCareError | None = None) -> bytes:
    """The ACK, unframed. `control_id` is our own (MSH-10), `at` an HL7 time stamp."""
    bar, component = header.separator, header.encoding[0]
    kind = component.join(("ACK", header.trigger, "ACK")) if header.trigger else "ACK"
    version = header.version if header.version in VERSIONS else NOBODY.version
    processing = header.processing_id if header.processing_id.isalpha() else "P"
    code = "AA" if error is None else code_of(error)
    msa = ["MSA", code, header.control_id] if error is None else ["MSA", code, header.control_id, _plain(error.public, header)]
    lines = [
        bar.join(("MSH", header.encoding, header.receiving_application, header.receiving_facility, header.sending_application,
                  header.sending_facility, at, "", kind, control_id, processing, version)),
        bar.join(msa),
    ]
    if error is not None:
        lines.append(_err(header, error))
    return ("\r".join(lines) + "\r").encode("latin-1", "replace")


def _err(header: Header, error: BirthCareError) -> str:
    component = header.encoding[0]
    number, name = _CONDITIONS.get(error.code, _INTERNAL)
    segment, _, field = error.path.partition("-")
    location = component.join((segment, "1", field)) if field.isdigit() else ""
    condition = component.join((str(number), name, "HL70357"))
    return header.separator.join(("ERR", "", location, condition, "E", _plain(error.code, header), "", "", _plain(error.public, header)))


def _plain(text: str, header: Header) -> str:
    """Our own words without any character that this sender uses as a delimiter."""
    every = header.separator + header.encoding
    return "".join(" " if c in every or not " " <= c <= "~" else c for c in text)


@dataclass(frozen=True, slots=True)
class Ack:
    """An acknowledgement as its receiver reads it. `condition` is the number of table 0357, `text` the user message."""

    code: str
    control_id: str
    condition: str = ""
    application_code: str = ""
    text: str = ""
    body: bytes = b""


def read_ack(body: bytes) -> Ack:
    """Read an ACK. Raises `Invalid` when it is none."""
    message = hl7v2.parse(body)
    rows = {segment[0]: [*segment, *[""] * (10 - len(segment))] for segment in message.segments}
    if "MSA" not in rows:
        raise Invalid("the answer holds no MSA", code="no-msa")
    msa, err = rows["MSA"], rows.get("ERR", [""] * 10)
    words = message.words
    return Ack(msa[1], words.text(msa[2]), words.part(err[3], 1), words.text(err[5]), words.text(err[8]), body)
