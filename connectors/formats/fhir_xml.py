"""Strict reading of FHIR XML into the FHIR JSON shape, and back, so that one mapping and one path serve both.

Refused as a whole: other encodings than UTF-8, any DOCTYPE (so no entities), processing instructions, another namespace, text between
elements, more than 20 MB, nesting deeper than 64. An XML comment says nothing in FHIR and is skipped.
The tables of repeating elements follow FHIR STU3 (3.0.2) and R4 for the resource types that the connectors read.
"""

from __future__ import annotations

import math
import re
from typing import Any, Final

from lxml import etree

from connectors.formats.fhir_json import MAX_BYTES, MAX_DEPTH
from fhir_profiles.errors import Invalid, TooLarge

NAMESPACE: Final = "http://hl7.org/fhir"
XHTML: Final = "http://www.w3.org/1999/xhtml"
_HOME: Final = f"{{{NAMESPACE}}}"
_DIV: Final = f"{{{XHTML}}}div"

# Elements that repeat wherever they stand, whatever the parent.
_ALWAYS: Final = frozenset((
    "extension", "modifierExtension", "coding", "given", "prefix", "suffix", "line", "profile", "security", "tag", "contained", "entry",
    "link",
    "section", "component", "referenceRange", "telecom", "address", "statusHistory", "classHistory", "performer", "participant", "note",
    "reasonReference", "reasonCode", "hasMember", "derivedFrom", "basedOn", "evidence", "communication", "qualification", "alias", "issue",
    "specialty", "healthcareService", "availableTime", "notAvailable", "photo", "generalPractitioner", "complication",
    "complicationDetail", "report",
    "followUp", "focalDevice", "usedReference", "usedCode", "account", "episodeOfCare", "reaction", "manifestation", "dosage",
    "dosageInstruction",
    "attester", "event", "endpoint", "referralRequest", "team", "daysOfWeek", "availableStartTimes", "appliesTo", "parameter",
))

# Elements that repeat in one type only: by resource type, or by the name of the element that holds them.
_IN: Final[dict[str, frozenset[str]]] = {
    "Patient": frozenset(("identifier", "name", "contact")),
    "Patient.contact": frozenset(("relationship",)),
    "RelatedPerson": frozenset(("identifier", "name")),
    "Practitioner": frozenset(("identifier", "name")),
    "Practitioner.qualification": frozenset(("identifier",)),
    "PractitionerRole": frozenset(("identifier", "code", "location")),
    "Organization": frozenset(("identifier", "type", "contact")),
    "EpisodeOfCare": frozenset(("identifier", "type", "diagnosis")),
    "Condition": frozenset(("identifier", "category", "bodySite")),
    "Condition.evidence": frozenset(("code", "detail")),
    "Procedure": frozenset(("identifier", "definition", "partOf", "bodySite")),
    "Observation": frozenset(("identifier", "category", "related")),
    "Encounter": frozenset(("identifier", "type", "reason", "diagnosis", "incomingReferral", "location")),
    "Encounter.participant": frozenset(("type",)),
    "AllergyIntolerance": frozenset(("identifier", "category")),
    "MedicationStatement": frozenset(("identifier",)),
    "MedicationRequest": frozenset(("identifier",)),
    "Composition": frozenset(("category", "author")),
    "BodySite": frozenset(("identifier", "qualifier", "image")),
    "OperationOutcome.issue": frozenset(("location", "expression")),
}

_BOOLEANS: Final = frozenset((
    "valueBoolean", "active", "multipleBirthBoolean", "deceasedBoolean", "userSelected", "preferred", "notDone", "allDay",
    "abatementBoolean",
    "preferredBoolean", "doNotPerform", "reportedBoolean", "asNeededBoolean",
))
_NUMBERS: Final = frozenset((
    "valueInteger", "valueDecimal", "valuePositiveInt", "valueUnsignedInt", "multipleBirthInteger", "rank", "total", "sequence", "size",
))
_QUANTITIES: Final = frozenset(("low", "high", "numerator", "denominator", "length", "rateQuantity"))
# An element without a value but with extensions stands under "_name" in JSON when it is a primitive.
_PRIMITIVES: Final = frozenset((
    "value", "system", "unit", "display", "given", "family", "prefix", "suffix", "line", "city", "postalCode", "country", "gender",
    "status",
    "start", "end", "issued", "birthDate", "active", "reference",
))
_PRIMITIVE_TYPES: Final = ("DateTime", "String", "Integer", "Boolean", "Date", "Code", "Decimal", "Uri", "Instant")
_NUMBER: Final = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_DOCTYPE: Final = re.compile(r"<!(DOCTYPE|ENTITY)", re.IGNORECASE)


def read_xml(body: bytes) -> dict[str, Any]:
    """The resource in `body` in the FHIR JSON shape. Raises `Invalid` or `TooLarge`, never repeating what was sent."""
    root = _parse(body)
    if not isinstance(root.tag, str) or not root.tag.startswith(_HOME):
        raise Invalid("the message is not in the FHIR namespace", code="namespace")
    return _resource(root, 1)


def _parse(body: bytes) -> Any:
    if len(body) > MAX_BYTES:
        raise TooLarge("the message is larger than 20 MB", code="too-large")
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Invalid("the message is not UTF-8", code="encoding") from error
    # FHIR has no use for either, and both are ways to make a reader fetch or grow.
    if _DOCTYPE.search(text):
        raise Invalid("a DOCTYPE is not accepted", code="doctype")
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, dtd_validation=False, huge_tree=False,
                             remove_comments=True, encoding="utf-8")
    try:
        root = etree.fromstring(text.encode(), parser)
    except etree.XMLSyntaxError as error:
        too_deep = "depth" in str(error.msg).lower()
        raise (TooLarge(f"the message nests deeper than {MAX_DEPTH} levels", code="too-deep") if too_deep
               else Invalid("the message is not well-formed XML", code="not-well-formed")) from error
    if root.getroottree().docinfo.internalDTD is not None:
        raise Invalid("a DOCTYPE is not accepted", code="doctype")
    return root


def _name(element: Any) -> str:
    tag = element.tag
    if not isinstance(tag, str):
        raise Invalid("a processing instruction or entity is not accepted", code="not-well-formed")
    if not tag.startswith(_HOME):
        raise Invalid("an element is not in the FHIR namespace", code="namespace")
    return tag[len(_HOME):]


def _resource(element: Any, depth: int) -> dict[str, Any]:
    kind = _name(element)
    return {"resourceType": kind, **_content(element, kind, kind, depth)}


def _content(element: Any, kind: str, name: str, depth: int) -> dict[str, Any]:
    """The children of an element. `name` is what holds them: the type itself, or type and element."""
    if depth > MAX_DEPTH:
        raise TooLarge(f"the message nests deeper than {MAX_DEPTH} levels", code="too-deep")
    if (element.text or "").strip():
        raise Invalid("there is text between elements", code="not-well-formed")
    out: dict[str, Any] = {k: v for k, v in element.attrib.items() if k in ("id", "url")}
    repeating = _IN.get(name, frozenset())
    for child in element:
        if (child.tail or "").strip():
            raise Invalid("there is text between elements", code="not-well-formed")
        if child.tag == _DIV:
            out["div"] = " ".join("".join(child.itertext()).split())
            continue
        key = _name(child)
        _add(out, key, child, kind, name, depth, key in _ALWAYS or key in repeating)
    return out


def _add(out: dict[str, Any], key: str, child: Any, kind: str, name: str, depth: int, repeats: bool) -> None:
    if not len(child) and child.text is None and child.attrib.keys() == ["value"]:
        # Most elements are no more than a value; this is a short way to the same end.
        _put(out, key, _primitive(child.attrib["value"], key, child), {}, repeats)
        return
    holds_resource = key in ("resource", "contained", "outcome") and len(child) == 1 and _name(child[0])[:1].isupper()
    if holds_resource:
        value: Any = _resource(child[0], depth + 2)
        beside: dict[str, Any] = {}
    else:
        # An element of a profile's own types never has the name of a resource, so the path by type and element is enough.
        beside = _content(child, kind, f"{kind}.{key}" if name == kind else name, depth + 1)
        value = _primitive(child.attrib["value"], key, child) if "value" in child.attrib else None
    if value is None and not _is_primitive(key):
        value, beside = beside, {}
    _put(out, key, value, beside, repeats)


def _is_primitive(key: str) -> bool:
    return key in _PRIMITIVES or key.endswith(_PRIMITIVE_TYPES)


def _put(out: dict[str, Any], key: str, value: Any, beside: dict[str, Any], repeats: bool) -> None:
    if key not in out and not repeats:
        if value is not None:
            out[key] = value
        if beside:
            out["_" + key] = beside
        return
    # Twice where the table says once: keep both, so that nothing is lost before the mapping has judged it.
    held = out.get(key)
    values = held if isinstance(held, list) else [] if held is None else [held]
    out[key] = [*values, value]
    if beside or "_" + key in out:
        others = out.get("_" + key, [])
        others = others if isinstance(others, list) else [others]
        out["_" + key] = [*others, *[None] * (len(values) - len(others)), beside or None]


def _primitive(text: str, key: str, element: Any) -> Any:
    if key in _BOOLEANS:
        if text not in ("true", "false"):
            raise Invalid("a boolean is true or false", code="not-well-formed")
        return text == "true"
    if key in _NUMBERS or (key == "value" and _is_quantity(element.getparent())):
        return _decimal(text)
    return text


def _is_quantity(parent: Any) -> bool:
    name = _name(parent)
    return name.endswith("Quantity") or name in _QUANTITIES or name.endswith(("Age", "Duration"))


def _decimal(text: str) -> int | float:
    if len(text) > 40 or not _NUMBER.fullmatch(text):
        raise Invalid("a number is not written as FHIR asks", code="not-a-number")
    value = float(text)
    if not math.isfinite(value):
        raise Invalid("a number is too large", code="not-a-number")
    return int(text) if text.lstrip("-").isdigit() else value


def write_xml(resource: dict[str, Any]) -> bytes:
    """A resource as FHIR XML in UTF-8; elements in the order of the keys."""
    root = etree.Element(_HOME + str(resource["resourceType"]), nsmap={None: NAMESPACE})
    _write(root, resource)
    return bytes(etree.tostring(root, xml_declaration=True, encoding="UTF-8"))


def _write(parent: Any, value: dict[str, Any]) -> None:
    for key, held in value.items():
        if key == "resourceType" or (key.startswith("_") and key[1:] in value):
            continue
        if key in ("id", "url") and parent.tag[len(_HOME):] == "extension":
            parent.set(key, held)
            continue
        name, beside = key.lstrip("_"), value.get("_" + key)
        items = held if isinstance(held, list) else [held]
        others = beside if isinstance(beside, list) else [beside]
        for place, item in enumerate(items):
            _element(parent, name, item, others[place] if place < len(others) else None)


def _element(parent: Any, name: str, item: Any, beside: Any) -> None:
    if item is None and not beside:
        return
    if name == "div":
        etree.SubElement(parent, _DIV, nsmap={None: XHTML}).text = str(item)
        return
    element = etree.SubElement(parent, _HOME + name)
    if isinstance(item, dict):
        inner = etree.SubElement(element, _HOME + str(item["resourceType"])) if "resourceType" in item else element
        _write(inner, item)
    elif item is not None:
        element.set("value", str(item).lower() if isinstance(item, bool) else str(item))
    if isinstance(beside, dict):
        _write(element, beside)
