"""PID → who the message is about, and her Patient resource. NK1 → RelatedPerson.

Names follow nl-core NameInformation (R4, zib 2020): own and partner name with their prefixes as extensions, initials marked as such.
The BSN never leaves this module but as `Person.bsn`; the Patient carries a masked place for it.

What is lost: ages and validity of names and addresses, check digits, and the county of an address.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from connectors.contract import Fact, Left, Person
from connectors.formats.days import check_born
from connectors.hix.codes import BSN_AUTHORITIES, BSN_TYPES, GENDERS, OWN_NUMBERS, RELATIONS
from connectors.hix.leftovers import Segment, is_ignored
from connectors.hix.reading import WOMAN, Reading, concept_text, past_in, system_uri
from fhir_profiles.errors import Invalid
from fhir_profiles.identifiers import BSN_SYSTEM, Bsn

_EXT: Final = "http://hl7.org/fhir/StructureDefinition/"
_NAME_PARTS: Final = ("own-prefix", "own-name", "partner-prefix", "partner-name")
_MASKED: Final = "masked"


def read_woman(reading: Reading, body: bytes) -> Segment:
    """Put the one woman of the message in `people` and give her PID; `body` are the bytes of the message.

    Raises `Invalid`: no PID (no-person), none of her numbers (no-identifier), two persons (two-persons), a BSN that does not pass the
    eleven-test (bsn-check).
    """
    segments = [s for s in reading.segments if s.name == "PID"]
    if not segments:
        raise Invalid("the message has no PID segment", path="PID", code="no-person")
    read = [_numbers(reading, s) for s in segments]
    bsns = {bsn for found, _ in read for bsn in found}
    owns = {own for _, found in read for own in found[:1]}
    if len(bsns) > 1 or (len(segments) > 1 and len(owns) > 1):
        raise Invalid("the message is about more than one person", path=segments[-1].path(3), code="two-persons")
    if not bsns and not owns:
        raise Invalid("PID-3 holds no number by which the woman can be known", path=segments[0].path(3), code="no-identifier")
    reading.people.append(Person(WOMAN, "woman", next(iter(bsns), None), read[0][1][0] if read[0][1] else ()))
    for bsn in bsns:
        _set_apart_misplaced(reading, bsn, body)
    return segments[0]


def _set_apart_misplaced(reading: Reading, bsn: Bsn, body: bytes) -> None:
    """Take her BSN out of every field where it does not belong (a note, a name), so that it cannot come into a resource."""
    in_place = sum(s.raw(3).count(bsn.reveal()) for s in reading.segments if s.name == "PID")
    if body.count(bsn.reveal().encode()) <= in_place:
        return
    alone = re.compile(rf"(?<![0-9]){bsn.reveal()}(?![0-9])")
    for segment in reading.segments:
        for number, raw in enumerate(segment.fields):
            if number and not is_ignored(segment.name, number) and (segment.name, number) != ("PID", 3) and alone.search(raw):
                segment.fields = [*segment.fields[:number], "", *segment.fields[number + 1:]]
                reading.refused.append(Left(segment.path(number), "a BSN stands where it does not belong", "bsn-misplaced"))


def _numbers(reading: Reading, pid: Segment) -> tuple[list[Bsn], list[tuple[str, str]]]:
    """The BSNs in PID-3, and the hospital's own numbers as (authority, number), the one to know her by first."""
    bsns: list[Bsn] = []
    own: list[tuple[int, tuple[str, str]]] = []
    raw = pid.raw(3)
    for repetition in reading.words.repetitions(raw) if raw else ():
        number, authority, kind = _identifier(reading, repetition)
        if not number:
            continue
        if _is_bsn(authority, kind):
            bsns.append(_bsn(number, pid))
        else:
            rank = OWN_NUMBERS.index(kind) if kind in OWN_NUMBERS else len(OWN_NUMBERS)
            own.append((rank, (authority, number)))
    return bsns, [pair for _, pair in sorted(own)]


def _identifier(reading: Reading, repetition: str) -> tuple[str, str, str]:
    """Number, assigning authority (its OID when it has one) and type of a CX."""
    words = reading.words
    parts = [*words.components(repetition), "", "", "", ""]
    authority = words.subcomponents(parts[3])
    oid = words.text(authority[1]) if len(authority) > 2 and authority[2].upper() == "ISO" else ""
    return words.text(parts[0]), oid or words.text(authority[0]), words.text(parts[4]).upper()


def _is_bsn(authority: str, kind: str) -> bool:
    return authority.upper().replace("-", "").replace(" ", "") in BSN_AUTHORITIES or kind.replace(" ", "") in BSN_TYPES


def _bsn(number: str, pid: Segment) -> Bsn:
    try:
        return Bsn(number if number.isdigit() else number.replace(".", "").replace(" ", ""))
    except Invalid as refusal:
        # A number that fails is never a hint for anyone else: the whole message waits.
        raise Invalid(refusal.public, path=pid.path(3), code="bsn-check") from None


def add_patient(reading: Reading, pid: Segment) -> None:
    """The Patient resource of the woman, as this message shows her."""
    paths: dict[str, str] = {}
    resource: dict[str, Any] = {"resourceType": "Patient", "identifier": _identifiers(reading, pid), "active": True}
    paths["identifier"] = pid.path(3)
    _put(resource, paths, pid, 5, "name", _names(reading, pid.raw(5)))
    _put(resource, paths, pid, 8, "gender", _checked(reading, pid, 8, _gender))
    _put(resource, paths, pid, 7, "birthDate", _checked(reading, pid, 7, _birth_day))
    _put(resource, paths, pid, 11, "address", _addresses(reading, pid.raw(11)))
    _put_telecoms(reading, resource, paths, pid)
    _put_language(reading, resource, paths, pid)
    _put_death(reading, resource, paths, pid)
    if pid.raw(24) in ("Y", "N"):
        _put(resource, paths, pid, 24, "multipleBirthBoolean", pid.raw(24) == "Y")
    reading.facts.append(Fact(resource, WOMAN, ("patient",), reading.version, "patient", local="patient", paths=paths))


def _put(resource: dict[str, Any], paths: dict[str, str], segment: Segment, number: int, element: str, value: Any) -> None:
    """Set an element and remember where it came from; nothing happens for an empty value."""
    if value is not None and value != [] and value != "":
        resource[element] = value
        paths[element] = segment.path(number)
        segment.used |= 1 << number


def _checked(reading: Reading, segment: Segment, number: int, read: Callable[[Reading, Segment, int], str]) -> str:
    """A value, or "" with the field set apart when it cannot be taken."""
    if not segment.raw(number):
        return ""
    try:
        return read(reading, segment, number)
    except Invalid as refusal:
        reading.refuse_field(segment, number, refusal)
        return ""


def _gender(reading: Reading, segment: Segment, number: int) -> str:
    gender = GENDERS.get(reading.words.part(segment.raw(number), 1).lower())
    if gender is None:
        raise Invalid("not a known word for a sex", code="gender-unknown")
    return gender


def _birth_day(reading: Reading, segment: Segment, number: int) -> str:
    found = past_in(reading, segment, number)
    if found is None:
        return ""
    check_born(found.day, reading.latest, segment.path(number))
    return found.day


def _identifiers(reading: Reading, pid: Segment) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    pid.used |= 1 << 3
    for repetition in reading.words.repetitions(pid.raw(3)):
        number, authority, kind = _identifier(reading, repetition)
        if not number:
            continue
        if _is_bsn(authority, kind):
            slot = {"system": BSN_SYSTEM, "_value": {"extension": [{"url": _EXT + "data-absent-reason", "valueCode": _MASKED}]}}
            if slot not in found:
                found.append(slot)
        else:
            found.append({"system": system_uri(authority, reading.local_system("patient")), "value": number})
    return found


def _names(reading: Reading, raw: str) -> list[dict[str, Any]]:
    return [name for repetition in reading.words.repetitions(raw) if raw and (name := _name(reading, repetition))]


def _name(reading: Reading, repetition: str) -> dict[str, Any]:
    """One XPN as a HumanName; empty when there is nothing in it."""
    words = reading.words
    parts = [*words.components(repetition), *[""] * 7]
    family, *own = [words.text(s) for s in words.subcomponents(parts[0])]
    given = [word for part in parts[1:3] for word in words.text(part).split()]
    prefix, suffix = words.text(parts[4]), words.text(parts[3])
    if not family or own[1:2] == [family]:
        # Some senders leave the prefix to its own place: "Brink&van den&Brink".
        family = " ".join(filter(None, own[:2]))
    text = " ".join(filter(None, (prefix, *given, family, suffix)))
    if not text:
        return {}
    kind = words.text(parts[6]).upper()
    name: dict[str, Any] = {"use": {"M": "maiden", "N": "usual", "D": "usual"}.get(kind, "official"), "text": text}
    if family:
        name["family"] = family
        pieces = zip(_NAME_PARTS, own, strict=False)
        extensions = [{"url": f"{_EXT}humanname-{part}", "valueString": value} for part, value in pieces if value]
        if extensions:
            name["_family"] = {"extension": extensions}
    if given:
        name["given"] = given
        name["_given"] = [{"extension": [{"url": _EXT + "iso21090-EN-qualifier", "valueCode": _qualifier(word)}]} for word in given]
    return {**name, **({"prefix": [prefix]} if prefix else {}), **({"suffix": [suffix]} if suffix else {})}


def _qualifier(word: str) -> str:
    """IN for an initial, BR for a name as it stands in the register."""
    return "IN" if len(word) == 1 or "." in word else "BR"


def _addresses(reading: Reading, raw: str) -> list[dict[str, Any]]:
    return [address for repetition in reading.words.repetitions(raw) if raw and (address := _address(reading, repetition))]


def _address(reading: Reading, repetition: str) -> dict[str, Any]:
    """One XAD as an Address, with street and house number apart when the sender keeps them apart."""
    words = reading.words
    parts = [*words.components(repetition), *[""] * 8]
    whole, *split = [words.text(s) for s in words.subcomponents(parts[0])]
    street, house = [*split, "", ""][:2]
    more = words.text(parts[1])
    line = " ".join(filter(None, (whole or f"{street} {house}".strip(), more)))
    address: dict[str, Any] = {"use": {"B": "work", "O": "work", "C": "temp", "BA": "old"}.get(words.text(parts[6]).upper(), "home")}
    if line:
        address["line"] = [line]
        pieces = (("streetName", street), ("houseNumber", house), ("buildingNumberSuffix", more if street else ""))
        extensions = [{"url": f"{_EXT}iso21090-ADXP-{part}", "valueString": value} for part, value in pieces if value]
        if extensions:
            address["_line"] = [{"extension": extensions}]
    for element, number in (("city", 2), ("state", 3), ("postalCode", 4), ("country", 5)):
        if value := words.text(parts[number]):
            address[element] = value
    return address if len(address) > 1 else {}


def _telecoms(reading: Reading, raw: str, use: str) -> list[dict[str, Any]]:
    words = reading.words
    found: list[dict[str, Any]] = []
    for repetition in words.repetitions(raw) if raw else ():
        parts = [*words.texts(repetition), *[""] * 12]
        phone = parts[0] or "".join(parts[5:8]) or parts[11]
        mobile = parts[2].upper() == "CP"
        if phone and "@" not in phone:
            found.append({"system": "phone", "value": phone, "use": "mobile" if mobile else use})
        email = parts[3] or (phone if "@" in phone else "")
        if email:
            found.append({"system": "email", "value": email, "use": use})
    return found


def _put_telecoms(reading: Reading, resource: dict[str, Any], paths: dict[str, str], pid: Segment) -> None:
    found: list[dict[str, Any]] = []
    for number, use in ((13, "home"), (14, "work")):
        if more := _telecoms(reading, pid.raw(number), use):
            paths[f"telecom.{len(found)}"] = pid.path(number)
            pid.take(number)
            found += more
    if found:
        resource["telecom"] = found


def _put_language(reading: Reading, resource: dict[str, Any], paths: dict[str, str], pid: Segment) -> None:
    raw = pid.raw(15)
    text = concept_text(reading, raw) if raw else ""
    if text:
        code = reading.words.part(raw, 1).lower()
        coding = {"coding": [{"system": "urn:ietf:bcp:47", "code": code}]} if len(code) == 2 and code.isascii() and code.isalpha() else {}
        _put(resource, paths, pid, 15, "communication", [{"language": {**coding, "text": text}}])


def _put_death(reading: Reading, resource: dict[str, Any], paths: dict[str, str], pid: Segment) -> None:
    if pid.raw(29):
        try:
            found = past_in(reading, pid, 29)
        except Invalid as refusal:
            reading.refuse_field(pid, 29, refusal)
            return
        _put(resource, paths, pid, 29, "deceasedDateTime", found.fhir if found else "")
    elif pid.raw(30) in ("Y", "N"):
        _put(resource, paths, pid, 30, "deceasedBoolean", pid.raw(30) == "Y")


def add_related(reading: Reading, nk1: Segment) -> None:
    """A person close to the woman (contactpersoon)."""
    resource: dict[str, Any] = {"resourceType": "RelatedPerson", "active": True}
    paths: dict[str, str] = {}
    names = _names(reading, nk1.raw(2))
    if not names:
        raise Invalid("NK1-2 holds no name", path=nk1.path(2), code="field-missing")
    _put(resource, paths, nk1, 2, "name", names)
    relation, said = reading.words.part(nk1.raw(3), 1).upper(), concept_text(reading, nk1.raw(3))
    if said:
        code, display = RELATIONS.get(relation, ("", ""))
        system = "http://terminology.hl7.org/CodeSystem/v3-RoleCode"
        coding = {"coding": [{"system": system, "code": code, "display": display}]} if code else {}
        _put(resource, paths, nk1, 3, "relationship", [{**coding, "text": said}])
    _put(resource, paths, nk1, 4, "address", _addresses(reading, nk1.raw(4)))
    _put(resource, paths, nk1, 5, "telecom", _telecoms(reading, nk1.raw(5), "home"))
    # NK1 has no number of its own that stays: the relation and the name know the person again (an identity is only stored as a digest).
    identity = ("related-person", relation, str(names[0]["text"]).lower())
    reading.facts.append(Fact(resource, WOMAN, identity, reading.version, "related-person", paths=paths))
