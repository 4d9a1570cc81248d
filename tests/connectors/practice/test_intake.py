"""Taking a message in: what the sender hears, and what is kept."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from connectors.contract import Source
from connectors.formats.fhir_xml import read_xml, write_xml
from connectors.practice.simulator import PracticeSimulator
from connectors.practice.source import JSON, XML, Answer, PracticeIntake
from fhir_profiles.errors import Unavailable
from fhir_profiles.identifiers import Bsn, Subject, pseudonym_of
from hub.log.received import Incoming

from .build import TODAY, Json, add, body_of, current, facts, resource

SOURCE = Source("practice", "00700001", "Verloskundigenpraktijk De Lepelaar", "G3", client_id="praktijk")
KEY = b"k" * 32


class Shelf:
    """A real place to keep messages: a list. `away` makes it as good as full."""

    def __init__(self) -> None:
        self.messages: list[Incoming] = []
        self.away = False

    def keep(self, message: Incoming, done: Callable[[BaseException | None], None]) -> None:
        self.messages.append(message)
        done(None)

    async def kept(self, message: Incoming) -> None:
        if self.away:
            raise Unavailable("the backlog is full", code="backlog")
        self.messages.append(message)


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def intake(shelf: Shelf) -> PracticeIntake:
    def pseudonym(bsn: Bsn) -> Subject:
        return pseudonym_of(bsn, KEY)
    return PracticeIntake(shelf, {"praktijk": SOURCE}.get, pseudonym, lambda: "2026-01-05T10:00:00Z")


async def post(intake: PracticeIntake, body: bytes, media: str = JSON, client: str = "praktijk") -> Answer:
    return await intake.post(media, body, client, "127.0.0.1", "00-1-2-01")


def said(answer: Answer) -> Json:
    read: Json = read_xml(answer.body) if answer.content_type == XML else json.loads(answer.body)
    return read


async def test_a_good_bundle_is_kept_as_it_came_and_answered_entry_by_entry(intake: PracticeIntake, shelf: Shelf) -> None:
    bundle = current()
    answer = await post(intake, body_of(bundle))
    response = said(answer)
    assert (answer.status, response["type"], len(response["entry"])) == (200, "transaction-response", len(bundle["entry"]))
    (message,) = shelf.messages
    assert (message.body, message.source, message.media_type) == (body_of(bundle), "practice/00700001", JSON)
    assert message.subject == pseudonym_of(Bsn("999990019"), KEY)
    for entry, outcome in zip(bundle["entry"], response["entry"], strict=True):
        assert outcome["response"]["status"] in ("200 OK", "201 Created")
        assert outcome["response"]["location"].startswith(entry["resource"]["resourceType"] + "/")


async def test_a_put_by_id_is_answered_with_that_id(intake: PracticeIntake) -> None:
    response = said(await post(intake, body_of(current())))
    locations = [entry["response"]["location"] for entry in response["entry"]]
    assert "Organization/lepelaar" in locations


async def test_xml_is_answered_in_xml(intake: PracticeIntake) -> None:
    answer = await post(intake, write_xml(current()), "application/fhir+xml; charset=UTF-8")
    assert (answer.status, answer.content_type) == (200, XML)
    assert read_xml(answer.body)["type"] == "transaction-response"


async def test_no_answer_repeats_what_was_sent(intake: PracticeIntake) -> None:
    bundle = current()
    add(bundle, {"resourceType": "Basic", "id": "999990019"})
    wrong = body_of(bundle).replace(b"999990019", b"999990018")
    for body in (body_of(bundle), wrong, body_of(bundle)[:500]):
        answer = await post(intake, body)
        assert b"99999" not in answer.body
        assert b"Verhoeven" not in answer.body


BAD: list[tuple[str, bytes, str, str, int, bool]] = [
    ("another media type", b"{}", "text/plain", "praktijk", 415, False),
    ("plain JSON", b"{}", "application/json", "praktijk", 415, False),
    ("no media type", b"{}", "", "praktijk", 415, False),
    ("another charset", b"{}", "application/fhir+json; charset=iso-8859-1", "praktijk", 415, False),
    ("another version in the header", b"{}", 'application/fhir+json; fhirVersion="4.0"', "praktijk", 415, False),
    ("an unknown sender", body_of(current()), JSON, "iemand", 401, False),
    ("too much", b"x" * (20 * 1024 * 1024 + 1), JSON, "praktijk", 413, False),
    ("nothing", b"", JSON, "praktijk", 400, True),
    ("half a bundle", body_of(current())[:900], JSON, "praktijk", 400, True),
    ("XML as JSON", write_xml(current()), JSON, "praktijk", 400, True),
    ("a DOCTYPE", b"<!DOCTYPE x><Bundle/>", XML, "praktijk", 400, True),
    ("a failed eleven-test", body_of(current()).replace(b"999990019", b"999990018"), JSON, "praktijk", 400, True),
    ("another FHIR version inside", body_of({"resourceType": "Bundle", "type": "transaction", "entry": [
        {"resource": {"resourceType": "ServiceRequest"},
         "request": {"method": "PUT", "url": "ServiceRequest/1"}}]}), JSON, "praktijk", 415, True),
    ("one resource", body_of(resource(current(), "Patient")), JSON, "praktijk", 400, True),
]


@pytest.mark.parametrize(("body", "media", "client", "status", "kept"), [case[1:] for case in BAD], ids=[case[0] for case in BAD])
async def test_bad_input_gets_a_clear_answer(intake: PracticeIntake, shelf: Shelf, body: bytes, media: str, client: str, status: int,
                                             kept: bool) -> None:
    answer = await post(intake, body, media, client)
    outcome = said(answer)
    assert (answer.status, outcome["resourceType"], outcome["issue"][0]["severity"]) == (status, "OperationOutcome", "error")
    assert outcome["issue"][0]["diagnostics"]
    assert [m.body for m in shelf.messages] == ([body] if kept else [])


async def test_what_cannot_be_kept_is_not_acknowledged(intake: PracticeIntake, shelf: Shelf) -> None:
    shelf.away = True
    answer = await post(intake, body_of(current()))
    assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
    assert said(answer)["issue"][0]["code"] == "transient"


async def test_a_bundle_with_a_part_that_waits_is_taken(intake: PracticeIntake, shelf: Shelf) -> None:
    bundle = current()
    resource(bundle, "Observation", "718-7")["effectiveDateTime"] = "2025-02-30"
    assert (await post(intake, body_of(bundle))).status == 200
    assert len(shelf.messages) == 1


async def test_what_was_answered_with_200_is_never_refused_as_a_whole_later(intake: PracticeIntake, shelf: Shelf) -> None:
    async def send(media: str, body: bytes) -> Any:
        return await post(intake, body, media)
    answers = await PracticeSimulator(TODAY).play(send)
    assert [answer.status for answer in answers] == [200] * 4
    for message in shelf.messages:
        assert intake.mapping.to_fhir(message.body, facts(message.media_type)).refused == ()
