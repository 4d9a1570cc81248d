"""A line as FHIR: valid R4, complete for NEN 7513, and after the patterns of IHE BALP."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from fhir.resources.R4B.auditevent import AuditEvent

from audit.audit_event import CONTROLS_EXTENSION, SEQUENCE_EXTENSION, to_audit_event
from audit.entry import LOG_EXPORT, LOG_SEARCH, Entry, Line
from tests.audit.lines import AT, FULL, NOOR, entry

REFUSED = entry(what__outcome="refused", what__reason="no-relation", what__controls="FFFF", about__opened=(), about__relation="none",
                about__consent="unknown", about__consent_event="", about__relation_evidence="")
SEARCH = entry("", what__code=LOG_SEARCH, what__action="E", about__query="ura=00700001 <x>", who__role="auditor", who__ura="",
               who__id="tess")
EXPORT = entry(what__code=LOG_EXPORT, who__role="client", who__id=NOOR, who__name="", who__ura="", who__organisation="", who__network="")
SYSTEM = entry(who__role="system", who__responsible="900000009")


def event_of(made: Entry) -> dict[str, Any]:
    return to_audit_event(Line(48_213, 7, "2026-11-24T09:31:02.100000+00:00", made))


def entity(event: dict[str, Any], code: str) -> dict[str, Any]:
    [found] = [one for one in event["entity"] if one["type"]["code"] == code]
    return found  # type: ignore[no-any-return]


def agent(event: dict[str, Any], code: str) -> dict[str, Any]:
    [found] = [one for one in event["agent"] if one["type"]["coding"][0]["code"] == code]
    return found  # type: ignore[no-any-return]


@pytest.mark.parametrize("made", [FULL, REFUSED, SEARCH, EXPORT, SYSTEM], ids=["full", "refused", "search", "export", "system"])
def test_every_line_is_a_valid_r4_audit_event(made: Entry) -> None:
    event = event_of(made)

    parsed = AuditEvent.model_validate(event)

    assert parsed.outcome == event["outcome"] and parsed.id == made.id
    assert [one["requestor"] for one in event["agent"]].count(True) == 1


def test_every_nen_7513_field_has_its_place() -> None:
    event = event_of(FULL)
    user, organisation = agent(event, "IRCP"), agent(event, "PROV")

    assert (event["type"]["code"], event["action"], event["period"]["start"], event["outcome"]) == ("rest", "R", AT, "0")
    assert [one["code"] for one in event["subtype"]] == ["read", "plan-read"] and event["subtype"][1]["display"] == "page:overview"
    assert event["outcomeDesc"].startswith("care-relation: ")
    assert {one["url"]: one["valueString"] for one in event["extension"]} == {CONTROLS_EXTENSION: "TTTF", SEQUENCE_EXTENSION: "7"}
    assert user["who"]["identifier"]["value"] == "900000001" and user["name"] == "Marit Jansen"
    assert [role["coding"][0]["code"] for role in user["role"]] == ["midwife", "05", "03.000"]
    assert user["policy"] == ["urn:ietf:params:oauth:jti:jti-1"] and user["purposeOfUse"][0]["coding"][0]["code"] == "TREAT"
    assert event["purposeOfEvent"][0]["coding"][0]["code"] == "TREAT"
    assert organisation["who"]["identifier"] == {"system": "http://fhir.nl/fhir/NamingSystem/ura", "value": "00700001"}
    assert organisation["who"]["display"] == "De Lepelaar"
    assert agent(event, "RESP")["who"]["identifier"]["value"] == "900000001"
    assert agent(event, "110152")["network"] == {"address": "192.0.2.7", "type": "2"} and "network" in agent(event, "110153")
    assert agent(event, "110152")["who"]["identifier"]["value"] == "praktijksysteem"
    assert event["source"]["observer"]["identifier"]["value"] == "ooievaar-1" and event["source"]["site"] == "De Lepelaar"


def test_object_protocols_and_consent_are_entities() -> None:
    event = event_of(FULL)
    details = {one["type"]: one["valueString"] for one in entity(event, "2")["detail"]}

    assert entity(event, "1")["what"]["identifier"]["value"] == NOOR
    assert details == {"episode": "c" * 32, "version": "v1", "opened": "front pregnancy", "closed:history": "role-has-no-section"}
    assert entity(event, "policy")["what"]["identifier"]["value"] == "sha256:" + "f" * 64
    assert entity(event, "policy")["detail"] == [{"type": "policy", "valueString": "20-midwife"}]
    assert [one["valueString"] for one in entity(event, "relationship")["detail"]] == ["dossier", "evidence-1"]
    assert entity(event, "consent")["what"]["identifier"]["value"] == "event-1"
    assert entity(event, "XrequestId")["what"]["identifier"]["value"] == "request-1"
    assert entity(event, "traceparent")["what"]["identifier"]["value"].startswith("00-4bf9")


def test_a_search_keeps_the_question_and_turns_the_agents() -> None:
    event = event_of(SEARCH)
    [query] = [one for one in event["entity"] if one.get("role", {}).get("code") == "24"]

    assert base64.b64decode(query["query"]) == b"ura=00700001 <x>"
    assert agent(event, "110153")["who"]["identifier"]["value"] == "praktijksysteem"
    assert not [one for one in event["entity"] if one["type"]["code"] == "1"]


def test_a_refusal_names_the_sections_that_stayed_shut() -> None:
    event = event_of(REFUSED)

    assert event["outcome"] == "4" and {"type": "closed:history", "valueString": "role-has-no-section"} in entity(event, "2")["detail"]


def test_the_woman_is_named_by_her_pseudonym() -> None:
    user = agent(event_of(EXPORT), "IRCP")

    assert user["who"]["identifier"] == {"system": "urn:ooievaar:pseudonym", "value": NOOR} and "name" not in user
