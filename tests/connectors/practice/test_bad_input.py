"""Bad input, each with the outcome that it must have: the whole message refused, or one part that waits while the rest goes on."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from connectors.formats.fhir_xml import write_xml
from connectors.practice.simulator import SAMIRA, Writer, current_pregnancy
from fhir_profiles.errors import Invalid, Refused, TooLarge, Unsupported

from .build import MAPPING, TODAY, Json, add, again, body_of, current, earlier, facts, mapped, one, resource, unexplained

XML = write_xml(current())
BODY = body_of(current())
DEEP = b'{"resourceType":"Bundle","type":"transaction","entry":' + b"[" * 200 + b"]" * 200 + b"}"


def changed(change: Callable[[Json], Any], bundle: Json | None = None) -> bytes:
    bundle = bundle or current()
    change(bundle)
    return body_of(bundle)


def first(**changes: Any) -> bytes:
    """Noor's bundle with its first entry changed."""
    return changed(lambda b: b["entry"][0].update(changes))


def two_women() -> bytes:
    def both(bundle: Json) -> None:
        other = current_pregnancy(SAMIRA, TODAY, 61, gravidity=1, parity=0, seed=50)
        bundle["entry"] += other["entry"]
    return changed(both)


def stranger() -> bytes:
    return changed(lambda b: add(b, {"resourceType": "Patient", "id": "x", "identifier": [{"system": "http://fhir.nl/fhir/NamingSystem/bsn",
                                                                                        "value": "999990044"}]}))


def bsn(digits: str) -> bytes:
    return BODY.replace(b"999990019", digits.encode())


def patient_gone() -> bytes:
    def gone(bundle: Json) -> None:
        bundle["entry"] = [e for e in bundle["entry"] if e["resource"]["resourceType"] != "Patient"]
    return changed(gone)


WHOLE: list[tuple[str, bytes, str, type[Refused], str]] = [
    ("nothing at all", b"", "json", Invalid, "json-syntax"),
    ("truncated JSON", BODY[:2000], "json", Invalid, "json-syntax"),
    ("truncated XML", XML[:2000], "xml", Invalid, "not-well-formed"),
    ("something after the end", BODY + b"{}", "json", Invalid, "json-syntax"),
    ("NUL bytes", BODY.replace(b"Noor", b"No\x00r"), "json", Invalid, "json-syntax"),
    ("an escaped NUL", BODY.replace(b"Noor", b"No\\u0000r"), "json", Invalid, "control-character"),
    ("half a surrogate", BODY.replace(b"Noor", b"No\\ud800r"), "json", Invalid, "json-encoding"),
    ("JSON in latin-1", BODY.replace(b"Noor", b"No\xebl"), "json", Invalid, "json-encoding"),
    ("XML in latin-1", XML.replace(b"Noor", b"No\xebl"), "xml", Invalid, "encoding"),
    ("XML in UTF-16", XML.decode().replace("UTF-8", "UTF-16").encode("utf-16"), "xml", Invalid, "media-mismatch"),
    ("a key twice", BODY.replace(b'"type": "transaction"', b'"type": "transaction", "type": "batch"', 1), "json", Invalid,
     "json-duplicate"),
    ("NaN", BODY.replace(b"7.4", b"NaN"), "json", Invalid, "json-number"),
    ("a number without end", BODY.replace(b"7.4", b"1e999"), "json", TooLarge, "json-number"),
    ("nested too deep", DEEP, "json", TooLarge, "json-depth"),
    ("XML nested too deep", b'<Bundle xmlns="http://hl7.org/fhir">' + b"<a>" * 100 + b"</a>" * 100 + b"</Bundle>", "xml", TooLarge,
     "too-deep"),
    ("XML nested far too deep", b'<Bundle xmlns="http://hl7.org/fhir">' + b"<a>" * 9000 + b"</a>" * 9000 + b"</Bundle>", "xml", TooLarge,
     "too-deep"),
    ("20 MB", b'{"resourceType":"Bundle","x":"' + b"x" * (20 * 1024 * 1024) + b'"}', "json", TooLarge, "too-large"),
    ("20 MB of XML", b"<Bundle>" + b" " * (20 * 1024 * 1024) + b"</Bundle>", "xml", TooLarge, "too-large"),
    ("a DOCTYPE", b'<!DOCTYPE x [<!ENTITY a "b">]>' + XML.split(b"?>", 1)[1], "xml", Invalid, "doctype"),
    ("an external entity",
     b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/hostname">]><Bundle xmlns="http://hl7.org/fhir"><id value="&a;"/></Bundle>', "xml",
     Invalid, "doctype"),
    ("an unknown entity", XML.replace(b"Noor", b"&lol;"), "xml", Invalid, "not-well-formed"),
    ("no namespace", XML.replace(b' xmlns="http://hl7.org/fhir"', b""), "xml", Invalid, "namespace"),
    ("another namespace", XML.replace(b"http://hl7.org/fhir\"", b"urn:hl7-org:v3\"", 1), "xml", Invalid, "namespace"),
    ("a foreign element inside", XML.replace(b"<type ", b'<x xmlns="urn:x"/><type ', 1), "xml", Invalid, "namespace"),
    ("text between elements", XML.replace(b"<entry>", b"<entry>hello", 1), "xml", Invalid, "not-well-formed"),
    ("a processing instruction", XML.replace(b"<entry>", b"<entry><?php x ?>", 1), "xml", Invalid, "not-well-formed"),
    ("a boolean that is none", XML.replace(b'<active value="true"', b'<active value="yes"'), "xml", Invalid, "not-well-formed"),
    ("a number with a comma", XML.replace(b'<value value="7.4"', b'<value value="7,4"'), "xml", Invalid, "not-a-number"),
    ("XML under JSON", XML, "json", Invalid, "media-mismatch"),
    ("JSON under XML", BODY, "xml", Invalid, "media-mismatch"),
    ("a list", b"[]", "json", Invalid, "not-a-resource"),
    ("no resource type", b"{}", "json", Invalid, "not-a-resource"),
    ("one resource", body_of(resource(current(), "Patient")), "json", Invalid, "not-a-bundle"),
    ("a searchset", changed(lambda b: b.update(type="searchset")), "json", Invalid, "not-a-transaction"),
    ("a batch", changed(lambda b: b.update(type="batch")), "json", Invalid, "not-a-transaction"),
    ("an empty bundle", changed(lambda b: b.update(entry=[])), "json", Invalid, "bundle-shape"),
    ("entries that are no list", changed(lambda b: b.update(entry={"resource": {}})), "json", Invalid, "bundle-shape"),
    ("an entry that is text", changed(lambda b: b["entry"].append("x")), "json", Invalid, "bundle-shape"),
    ("an entry without a resource", first(resource=None), "json", Invalid, "bundle-shape"),
    ("an entry without a request", first(request=None), "json", Invalid, "bundle-shape"),
    ("a DELETE", first(request={"method": "DELETE", "url": "Composition/1"}), "json", Unsupported, "method"),
    ("an unknown method", first(request={"method": "MERGE", "url": "Composition/1"}), "json", Invalid, "bundle-shape"),
    ("a URL of another type", first(request={"method": "PUT", "url": "Patient/1"}), "json", Invalid, "bundle-shape"),
    ("one fullUrl twice", changed(lambda b: b["entry"][1].update(fullUrl=b["entry"][0]["fullUrl"])), "json", Invalid, "bundle-shape"),
    ("too many entries", changed(lambda b: b.update(entry=b["entry"] * 600)), "json", TooLarge, "too-many-entries"),
    ("a BSN that fails the eleven-test", bsn("999990018"), "json", Invalid, "bsn-check"),
    ("a BSN of letters", bsn("99999001A"), "json", Invalid, "bsn-format"),
    ("a BSN of zeros", bsn("000000000"), "json", Invalid, "bsn-check"),
    ("two women", two_women(), "json", Invalid, "two-persons"),
    ("a stranger with a BSN", stranger(), "json", Invalid, "two-persons"),
    ("no woman", patient_gone(), "json", Invalid, "no-person"),
    ("R4: an encounter", changed(lambda b: resource(b, "Observation")["code"] and resource(b, "Observation").update(encounter={})), "json",
     Unsupported,
     "fhir-version"),
    ("R4: a clinical status as a concept", changed(lambda b: resource(b, "Condition").update(clinicalStatus={"coding": []})), "json",
     Unsupported,
     "fhir-version"),
    ("R4: a type that STU3 has not", changed(lambda b: add(b, {"resourceType": "ServiceRequest", "id": "s"})), "json", Unsupported,
     "fhir-version"),
]


@pytest.mark.parametrize(("body", "media", "kind", "code"), [case[1:] for case in WHOLE], ids=[case[0] for case in WHOLE])
def test_a_message_that_cannot_be_taken_is_refused_as_a_whole(body: bytes, media: str, kind: type[Refused], code: str) -> None:
    with pytest.raises(kind) as refusal:
        MAPPING.to_fhir(body, facts(f"application/fhir+{media}"))
    assert refusal.value.code == code
    assert "99999" not in refusal.value.public + refusal.value.path


def hb(**changes: Any) -> Callable[[Json], None]:
    def change(bundle: Json) -> None:
        made = resource(bundle, "Observation", "718-7")
        for name, value in changes.items():
            made.pop(name, None)
            if value is not None:
                made[name] = value
    return change


def quantity(**content: Any) -> Callable[[Json], None]:
    return hb(valueQuantity=content)


def coding(number: str, **content: Any) -> Callable[[Json], None]:
    def change(bundle: Json) -> None:
        resource(bundle, "Observation", number)["valueCodeableConcept"] = {"coding": [content]}
    return change


SCT = "http://snomed.info/sct"
LOINC = "http://loinc.org"

PARTS: list[tuple[str, Callable[[Json], Any], str, str]] = [
    ("an unknown code", hb(code={"coding": [{"system": LOINC, "code": "99999-9"}]}), "code-unknown", "code"),
    ("a code without a system", hb(code={"coding": [{"code": "718-7"}]}), "code-unknown", "code"),
    ("a post-coordinated code", hb(code={"coding": [{"system": SCT, "code": "421060004+2748008"}]}), "code-unknown", "code"),
    ("a code in words only", hb(code={"text": "Hb"}), "code-unknown", "code"),
    ("no code", hb(code=None), "code-missing", ""),
    ("gravidity as LOINC 161714006", hb(code={"coding": [{"system": LOINC, "code": "161714006"}]}), "code-swapped", "code"),
    ("the due date as SNOMED 11996-6", hb(code={"coding": [{"system": SCT, "code": "11996-6"}]}), "code-swapped", "code"),
    ("codes of two things", hb(code={"coding": [{"system": LOINC, "code": "718-7"}, {"system": LOINC, "code": "883-9"}]}),
     "code-contradict", "code"),
    ("a unit that fits nothing", quantity(value=7.4, unit="mm", code="mm"), "unit-unknown", "valueQuantity.code"),
    ("no unit", quantity(value=7.4), "unit-missing", "valueQuantity"),
    ("grams under a code of moles", hb(code={"coding": [{"system": LOINC, "code": "93846-4"}]},
                                       valueQuantity={"value": 6.7, "code": "g/dL"}),
     "unit-contradicts-code", "valueQuantity.code"),
    ("Hb of 66 mmol/L", quantity(value=66, code="mmol/L"), "value-impossible", "valueQuantity.value"),
    ("a negative Hb", quantity(value=-7.4, code="mmol/L"), "value-impossible", "valueQuantity.value"),
    ("a number as text", quantity(value="7.4", code="mmol/L"), "value-type", "valueQuantity"),
    ("a boolean as number", quantity(value=True, code="mmol/L"), "value-type", "valueQuantity"),
    ("a coded Hb", hb(valueQuantity=None, valueCodeableConcept={"text": "laag"}), "value-type", "valueCodeableConcept"),
    ("no value and no reason", hb(valueQuantity=None), "value-missing", ""),
    ("30 February", hb(effectiveDateTime="2025-02-30"), "date-impossible", "effectiveDateTime"),
    ("a date of HL7 v3", hb(effectiveDateTime="20251120"), "date-format", "effectiveDateTime"),
    ("a time without a zone", hb(effectiveDateTime="2025-11-20T10:00:00"), "date-format", "effectiveDateTime"),
    ("a placeholder for a date", hb(effectiveDateTime="${DATE, T, D, -146}"), "date-format", "effectiveDateTime"),
    ("a date that is a number", hb(effectiveDateTime=20251120), "date-format", "effectiveDateTime"),
    ("a measurement of tomorrow's year", hb(effectiveDateTime="2027-01-01"), "date-impossible", "effectiveDateTime"),
    ("a date of long ago", hb(effectiveDateTime="0001-01-01"), "date-impossible", "effectiveDateTime"),
    ("no status", hb(status=None), "status-unknown", "status"),
    ("an invented status", hb(status="done"), "status-unknown", "status"),
    ("a modifier", hb(modifierExtension=[{"url": "x", "valueBoolean": True}]), "modifier", "modifierExtension"),
    ("nobody as subject", hb(subject=None), "person-unknown", ""),
    ("another person as subject", hb(subject={"reference": "Patient/other"}), "person-unknown", ""),
    ("positive labelled negative", coding("1305-2", system=SCT, code="165747007", display="Rh D Negatief"), "code-display-contradict",
     "valueCodeableConcept.coding[0].display"),
    ("blood group A labelled AB", coding("883-9", system=SCT, code="112144000", display="AB"), "code-display-contradict",
     "valueCodeableConcept.coding[0].display"),
    ("a value code in the wrong system", coding("1305-2", system=LOINC, code="165747007"), "code-swapped", "valueCodeableConcept"),
    ("a blood group as Rhesus D", coding("1305-2", system=SCT, code="112144000"), "value-unknown", "valueCodeableConcept"),
    ("a blood group that is none", coding("883-9", system=SCT, code="1234"), "value-unknown", "valueCodeableConcept"),
    ("half a pregnancy", lambda b: resource(b, "Observation", "11996-6").update(valueQuantity={"value": 2.5}), "value-impossible",
     "valueQuantity.value"),
    ("forty pregnancies", lambda b: resource(b, "Observation", "11996-6").update(valueQuantity={"value": 40}), "value-impossible",
     "valueQuantity.value"),
    ("pregnancies in grams", lambda b: resource(b, "Observation", "11996-6").update(valueQuantity={"value": 2, "code": "g"}),
     "unit-unknown",
     "valueQuantity.code"),
    ("more than two pregnancies", lambda b: resource(b, "Observation", "11996-6").update(valueQuantity={"value": 2, "comparator": ">"}),
     "value-type",
     "valueQuantity.comparator"),
    ("a due date in ten years", lambda b: resource(b, "Observation", "11778-8").update(valueDateTime="2036-01-01"), "date-impossible",
     "valueDateTime"),
    ("a due date in words", lambda b: (resource(b, "Observation", "11778-8").pop("valueDateTime"),
                                       resource(b, "Observation",
                                                "11778-8").update(valueString="eind maart")), "value-type", "valueString"),
    ("a birth date that does not exist", lambda b: resource(b, "Patient").update(birthDate="1994-02-29"), "date-impossible", "birthDate"),
    ("a birth still to come", lambda b: resource(b, "Patient").update(birthDate="2090-02-01"), "date-impossible", "birthDate"),
    ("older than anyone", lambda b: resource(b, "Patient").update(birthDate="1899-02-01"), "date-impossible", "birthDate"),
    ("a type that is not taken", lambda b: add(b, {"resourceType": "Basic", "id": "basic"}), "resource-unknown", ""),
    ("an unknown clinical status", lambda b: resource(b, "Condition").update(clinicalStatus="so-so"), "status-unknown", "clinicalStatus"),
]


@pytest.mark.parametrize(("change", "code", "where"), [case[1:] for case in PARTS], ids=[case[0] for case in PARTS])
def test_a_part_that_cannot_be_true_waits_and_the_rest_goes_on(change: Callable[[Json], Any], code: str, where: str) -> None:
    bundle = current()
    good = len(mapped(bundle).facts)
    change(bundle)
    result = mapped(bundle)
    (left,) = result.refused
    assert left.code == code
    assert left.path.split(".resource", 1)[1].lstrip(".").startswith(where)
    assert len(result.facts) >= good - 1
    assert unexplained(bundle, result) == set()


def test_one_person_described_twice_in_different_words_is_not_guessed_at() -> None:
    bundle = current()
    add(bundle, {**resource(bundle, "Patient"), "id": "again", "birthDate": "1995-01-01"}, "Patient?identifier=999990019")
    (left,) = mapped(bundle).refused
    assert left.code == "patient-twice"


def test_a_woman_without_a_bsn_is_known_by_her_number_at_the_sender() -> None:
    bundle = current()
    resource(bundle, "Patient")["identifier"] = [{"system": "urn:oid:1.2.3.4", "value": "P77"}]
    (woman,) = mapped(json.loads(body_of(bundle).replace(b"Patient?identifier=999990019", b"Patient?identifier=P77"))).people
    assert (woman.bsn, woman.key) == (None, ("urn:oid:1.2.3.4", "P77"))


@pytest.mark.parametrize("identifiers", [
    [], None, [{"system": "urn:oid:2.16.840.1.113883.2.4.3.11.999.7.6", "value": "1"}], [{"value": ""}],
], ids=["none", "no element", "an id of test material", "an empty one"])
def test_a_bundle_whose_woman_has_no_number_waits_as_a_whole(identifiers: Any) -> None:
    bundle = current()
    who = resource(bundle, "Patient")
    who.pop("identifier")
    if identifiers is not None:
        who["identifier"] = identifiers
    with pytest.raises(Invalid) as refusal:
        mapped(bundle)
    assert (refusal.value.code, refusal.value.path) == ("no-identifier", "Bundle.entry[1].resource.identifier")


BSN = "http://fhir.nl/fhir/NamingSystem/bsn"


@pytest.mark.parametrize("request_", [
    {"method": "PUT", "url": "Patient?identifier=999990020"}, {"method": "PUT", "url": f"Patient?identifier={BSN}|999990020"},
    {"method": "PUT", "url": "Patient?identifier=http%3A%2F%2Ffhir.nl%2Ffhir%2FNamingSystem%2Fbsn%7C999990020"},
    {"method": "POST", "url": "Patient", "ifNoneExist": f"identifier={BSN}|999990020"},
    {"method": "POST", "url": "Patient", "ifNoneExist": "Patient?identifier=999990020"},
])
def test_an_entry_that_is_addressed_to_another_woman_than_it_holds_is_refused(request_: dict[str, str]) -> None:
    bundle = current()
    bundle["entry"][1]["request"] = request_
    with pytest.raises(Invalid) as refusal:
        mapped(bundle)
    assert (refusal.value.code, refusal.value.path) == ("two-persons", "Bundle.entry[1].request")


def test_an_entry_that_is_addressed_by_the_number_of_the_sender_is_taken() -> None:
    bundle = current()
    resource(bundle, "Patient")["identifier"].append({"system": "urn:oid:1.2.3.4", "value": "999990020"})
    bundle["entry"][1]["request"]["url"] = "Patient?identifier=999990020"
    assert mapped(bundle).refused == ()


def test_a_clinical_part_is_never_dropped_when_its_dossier_is_unknown() -> None:
    bundle = current()
    again(bundle, "Observation", "718-7", context={"reference": "EpisodeOfCare/elsewhere"}, effectiveDateTime="2025-10-01")
    lost = next(f for f in mapped(bundle).facts if f.effective == "2025-10-01")
    assert lost.dossier == ""


def test_a_bundle_about_a_child_alone_has_no_woman() -> None:
    bundle = earlier()
    bundle["entry"] = [e for e in bundle["entry"] if "9274-2" in json.dumps(e) and e["resource"]["resourceType"] == "Observation"]
    with pytest.raises(Invalid) as refusal:
        mapped(bundle)
    assert refusal.value.code == "no-person"


def test_a_writer_with_a_seed_writes_the_same_again() -> None:
    assert Writer(SAMIRA, "2026-01-05", 3).identity() == Writer(SAMIRA, "2026-01-05", 3).identity()
    assert one(mapped(current()), "haemoglobin").resource["valueQuantity"]["value"] == 7.4
