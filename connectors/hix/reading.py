"""One message while it is being mapped: its segments, who it is about, and what has come out so far."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from connectors.contract import Dossier, Fact, Facts, Left, Mapped, Person
from connectors.formats.days import day_after, not_after
from connectors.formats.hl7v2 import Message, Words
from connectors.formats.hl7v2_time import Moment, moment
from connectors.hix.codes import SYSTEMS
from connectors.hix.leftovers import Segment, segments_of, sort_out
from fhir_profiles.errors import Invalid, Refused
from fhir_profiles.identifiers import URA_SYSTEM

WOMAN = "woman"


@dataclass(slots=True)
class Reading:
    """Mutable, and never seen outside one call of `to_fhir`.

    `version` is the time of the message in UTC, `latest` the last day on which something in it can have happened.
    """

    words: Words
    known: Facts
    segments: list[Segment]
    version: str
    latest: str
    people: list[Person] = field(default_factory=list)
    dossiers: list[Dossier] = field(default_factory=list)
    facts: list[Fact] = field(default_factory=list)
    refused: list[Left] = field(default_factory=list)

    def refuse(self, segment: Segment, number: int, refusal: Refused) -> None:
        """One field cannot be taken and its whole segment waits; the rest of the message goes on."""
        self.refused.append(Left(segment.path(number) if number else segment.paths[0], refusal.public, refusal.code))
        segment.rest = "waits-with-part"
        segment.used = 1 << number

    def refuse_field(self, segment: Segment, number: int, refusal: Refused) -> None:
        """One field cannot be taken; the rest of its segment goes on."""
        self.refused.append(Left(segment.path(number), refusal.public, refusal.code))
        segment.used |= 1 << number

    def organisation(self) -> dict[str, Any]:
        """The hospital, as a reference by its URA."""
        return {"identifier": {"system": URA_SYSTEM, "value": self.known.ura}, "display": self.known.organisation}

    def local_system(self, what: str) -> str:
        """A system for numbers and codes that this hospital gives out itself."""
        return f"urn:ooievaar:local:{self.known.ura}:{what}"

    def mapped(self, about: str) -> Mapped:
        """All that came out, and all that was left over. `about` is visit, person or result: what the message is for."""
        residue, ignored = sort_out(self.segments, about)
        return Mapped(tuple(self.people), tuple(self.dossiers), tuple(self.facts), residue, ignored, tuple(self.refused))


def reading_of(message: Message, known: Facts) -> Reading:
    """Begin to read. A message without a usable time of its own has the time at which it was received."""
    stamp = message.words.part(message.header.time, 1)
    try:
        version = moment(stamp).utc if stamp else ""
    except Invalid:
        version = ""
    tomorrow = day_after(known.received_at, 1)
    if not version or version[:10] > tomorrow:
        # A clock that runs far ahead would block what follows.
        version = known.received_at
    return Reading(message.words, known, segments_of(message), version, min(tomorrow, day_after(version, 1)))


def moment_in(reading: Reading, segment: Segment, number: int) -> Moment | None:
    """The moment in a field, None when the field is empty. Raises `Invalid` with the path when there is no such moment."""
    stamp = reading.words.part(segment.raw(number), 1)
    if not stamp:
        return None
    segment.used |= 1 << number
    try:
        return moment(stamp)
    except Invalid as refusal:
        raise Invalid(refusal.public, path=segment.path(number), code=refusal.code) from None


def past_in(reading: Reading, segment: Segment, number: int) -> Moment | None:
    """The moment in a field of something that has happened. Raises `Invalid` with the path also when it lies after the message."""
    found = moment_in(reading, segment, number)
    if found is not None:
        not_after(found.day, reading.latest, segment.path(number))
    return found


def codings_of(reading: Reading, raw: str, local: str) -> list[dict[str, str]]:
    """Both triplets of a coded element (CE, CWE); a code without a standard system gets the hospital's own system `local`."""
    parts = reading.words.texts(reading.words.repetitions(raw)[0])
    found = []
    for code, display, system in ((*parts, "", "", "", "", "", "")[i:i + 3] for i in (0, 3)):
        if code:
            coding = {"system": system_uri(system, reading.local_system(local)), "code": " ".join(code.split())}
            found.append({**coding, "display": display} if display else coding)
    return found


def system_uri(name: str, local: str) -> str:
    """The URI for a coding system named in HL7 v2 (table 0396); `local` for one that is nobody's but the sender's."""
    if "." in name and name.isascii() and name.replace(".", "").isdigit():
        return f"urn:oid:{name}"
    return SYSTEMS.get(name.upper(), local)


def concept_text(reading: Reading, raw: str) -> str:
    """What a reader would call a coded element: its text, else its code."""
    words = reading.words
    return words.part(raw, 2) or words.part(raw, 9) or words.part(raw, 5) or words.part(raw, 1)


def as_concept(reading: Reading, raw: str, local: str) -> dict[str, Any]:
    """A coded element as a CodeableConcept; text alone when there is no code. Empty when there is neither."""
    codings, text = codings_of(reading, raw, local), concept_text(reading, raw)
    return {**({"coding": codings} if codings else {}), **({"text": text} if text else {})}
