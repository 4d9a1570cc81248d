"""The poller against a real server on this machine."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from connectors.contract import Source
from connectors.epic.mapping import EpicMapping
from connectors.epic.simulator import EpicSimulator, demo, patient
from connectors.epic.smart import Patience, Smart, new_client, origin_of
from connectors.epic.source import EpicPoller
from fhir_profiles.errors import Forbidden, Invalid, Refused, Unavailable
from fhir_profiles.identifiers import Bsn, Subject, pseudonym_of
from hub.log.received import Incoming

from .build import TODAY, facts, of, samira

QUICK = Patience(timeout_s=2.0, attempts=3, first_pause_s=0.01, longest_pause_s=0.05)
SOURCE = Source("epic", "00700003", "Ziekenhuis Oostzoom", "V4")
KEY = ECKey.generate_key("P-384", {"kid": "hub-1"})


def now() -> str:
    return datetime.now(UTC).isoformat()


class Shelf:
    """A real place to keep messages: a list."""

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


class Note:
    """A real place for the position: one text."""

    def __init__(self) -> None:
        self.text = ""

    def load(self) -> str:
        return self.text

    def store(self, value: str) -> None:
        self.text = value


@pytest.fixture
async def epic() -> AsyncIterator[EpicSimulator]:
    server = EpicSimulator()
    await server.start()
    server.register("ooievaar", KEY)
    server.put(*demo(TODAY))
    yield server
    await server.stop()


def poller(epic: EpicSimulator, shelf: Shelf, note: Note | None = None, key: Any = KEY, patience: Patience = QUICK) -> EpicPoller:
    def pseudonym(bsn: Bsn) -> Subject:
        return pseudonym_of(bsn, b"k" * 32)
    return EpicPoller(shelf, SOURCE, epic.base_url, "ooievaar", key, now, note or Note(), pseudonym, interval_s=0.01, overlap_s=60,
                      patience=patience)


async def once(made: EpicPoller) -> bool:
    async with new_client(made.patience) as http:
        return await made.round(Smart(http, made.base_url, made.client_id, made.key, made.clock, made.patience))


async def test_the_first_round_brings_everything_one_woman_a_page_and_as_it_came(epic: EpicSimulator) -> None:
    shelf = Shelf()
    made = poller(epic, shelf)
    assert await once(made)
    results = [EpicMapping().to_fhir(message.body, facts(now())) for message in shelf.messages]
    assert {p.bsn for result in results for p in result.people} == {Bsn("999990019"), Bsn("999990020")}
    assert all(len(result.people) == 1 and result.people[0].bsn is not None for result in results)
    assert {message.subject for message in shelf.messages} == {pseudonym_of(Bsn(b), b"k" * 32) for b in ("999990019", "999990020")}
    assert {f.identity[-1] for result in results for f in result.facts} >= {"eSamiraDue", "eSamiraTwins", "eNoorPressure", "eNoor"}
    assert made.last_success
    assert made.last_error == ""
    assert all(message.source == "epic/00700003" for message in shelf.messages)


async def test_the_dossier_has_its_due_date_the_first_time_it_is_seen(epic: EpicSimulator) -> None:
    shelf = Shelf()
    await once(poller(epic, shelf))
    dossiers = [d for m in shelf.messages for d in EpicMapping().to_fhir(m.body, facts(now())).dossiers]
    assert dossiers[0].due == "2026-03-10"


async def test_a_second_round_without_change_keeps_nothing(epic: EpicSimulator) -> None:
    shelf, note = Shelf(), Note()
    made = poller(epic, shelf, note)
    await once(made)
    before = len(shelf.messages)
    assert await once(made)
    assert len(shelf.messages) == before


async def test_a_live_change_comes_with_the_next_round(epic: EpicSimulator) -> None:
    shelf, note = Shelf(), Note()
    made = poller(epic, shelf, note)
    await once(made)
    shelf.messages.clear()
    epic.put({**of(samira(), "eSamiraHb"), "status": "corrected"})
    await once(made)
    (message,) = shelf.messages
    assert '"corrected"' in json.dumps(json.loads(message.body))


async def test_after_a_restart_it_goes_on_where_it_was_with_an_overlap(epic: EpicSimulator) -> None:
    note = Note()
    await once(poller(epic, Shelf(), note))
    assert set(json.loads(note.text)["patients"]) == {"eNoor", "eSamira"}
    epic.put({**of(samira(), "eSamiraHb"), "status": "corrected"})
    epic.requests.clear()
    shelf = Shelf()
    await once(poller(epic, shelf, note))
    assert any(b'"corrected"' in m.body for m in shelf.messages)
    first = next(r for r in epic.requests if r.startswith("/fhir/Patient?"))
    since = datetime.fromisoformat(json.loads(note.text)["since"])
    assert "1970" not in first
    assert (datetime.now(UTC) - since).total_seconds() < 60


async def test_pages_are_followed_to_the_end(epic: EpicSimulator) -> None:
    epic.page = 2
    shelf = Shelf()
    await once(poller(epic, shelf))
    identities = {f.identity[-1] for m in shelf.messages for f in EpicMapping().to_fhir(m.body, facts(now())).facts}
    assert identities >= {r["id"] for r in demo(TODAY)}


@pytest.mark.parametrize("link", ["http://127.0.0.1:1/fhir/Observation?_page=2", "https://elsewhere.example/fhir/Observation", "ftp://x/y",
                                  "http://[bad/", "http://127.0.0.1:99999999/fhir"])
async def test_a_link_to_another_server_is_never_followed(epic: EpicSimulator, link: str) -> None:
    epic.page, epic.faults.next_link = 1, link
    made = poller(epic, Shelf())
    assert not await once(made)
    assert made.last_error in ("foreign-origin", "url", "url-plain")


async def test_a_link_outside_the_fhir_base_is_not_followed(epic: EpicSimulator) -> None:
    epic.page, epic.faults.next_link = 1, epic.token_url
    made = poller(epic, Shelf())
    assert not await once(made)
    assert made.last_error == "foreign-origin"


async def test_a_page_that_links_to_itself_ends(epic: EpicSimulator) -> None:
    epic.page, epic.faults.next_link = 1, epic.base_url + "/Patient?_x=1"
    made = poller(epic, Shelf())
    assert not await once(made)
    assert made.last_error == "pages-endless"


async def test_an_expired_token_is_renewed_once(epic: EpicSimulator) -> None:
    made = poller(epic, Shelf())
    async with new_client(QUICK) as http:
        smart = Smart(http, epic.base_url, "ooievaar", KEY, now, QUICK)
        assert await made.round(smart)
        epic.expire_tokens()
        assert await made.round(smart)
    assert sum(1 for r in epic.requests if r == "/oauth2/token") == 2


async def test_a_busy_server_is_asked_again_and_a_broken_one_given_up(epic: EpicSimulator) -> None:
    epic.faults.statuses = [429, 503]
    made = poller(epic, Shelf())
    assert await once(made)
    epic.faults.statuses = [500] * 50
    assert not await once(made)
    assert made.last_error == "source-away"
    assert len(epic.faults.statuses) == 50 - QUICK.attempts


async def test_a_failed_round_does_not_move_the_position(epic: EpicSimulator) -> None:
    note, shelf = Note(), Shelf()
    shelf.away = True
    assert not await once(poller(epic, shelf, note))
    assert note.text == ""
    shelf.away = False
    assert await once(poller(epic, shelf, note))
    assert shelf.messages


async def test_what_could_not_be_kept_is_asked_for_again(epic: EpicSimulator) -> None:
    shelf = Shelf()
    made = poller(epic, shelf)
    shelf.away = True
    await once(made)
    shelf.away = False
    assert await once(made)
    assert len(shelf.messages) >= 4


async def test_a_slow_server_is_not_waited_for_for_ever(epic: EpicSimulator) -> None:
    epic.faults.slow_s = 5.0
    made = poller(epic, Shelf(), patience=Patience(timeout_s=0.1, attempts=2, first_pause_s=0.01, longest_pause_s=0.02))
    async with asyncio.timeout(5):
        assert not await once(made)
    assert made.last_error in ("source-away", "smart-away")


async def test_a_server_that_is_gone_is_a_clear_state() -> None:
    gone = EpicSimulator()
    await gone.start()
    await gone.stop()
    made = poller(gone, Shelf())
    assert not await once(made)
    assert (made.last_success, made.last_error) == ("", "source-away")


async def test_a_client_that_is_not_registered_is_told_so(epic: EpicSimulator) -> None:
    made = poller(epic, Shelf(), key=ECKey.generate_key("P-384"))
    assert not await once(made)
    assert made.last_error == "client-refused"


async def test_rsa_keys_work_too(epic: EpicSimulator) -> None:
    key = RSAKey.generate_key(2048, {"kid": "hub-2"})
    epic.register("ooievaar", key)
    assert await once(poller(epic, Shelf(), key=key))


@pytest.mark.parametrize("claims", [
    {"aud": "https://elsewhere.example"}, {"exp": 1}, {"exp": 9_999_999_999}, {"iss": "someone"}, {"jti": None},
])
async def test_the_token_endpoint_refuses_an_assertion_that_does_not_hold(epic: EpicSimulator, claims: dict[str, Any]) -> None:
    good = {"iss": "ooievaar", "sub": "ooievaar", "aud": epic.token_url, "exp": int(datetime.now(UTC).timestamp()) + 60,
            "jti": "one"} | claims
    assertion = jwt.encode({"alg": "ES384"}, {k: v for k, v in good.items() if v is not None}, KEY, algorithms=["ES384"])
    async with new_client(QUICK) as http:
        response = await http.post(epic.token_url, data={"grant_type": "client_credentials", "client_assertion": assertion})
    assert response.status_code == 400


async def test_an_assertion_is_taken_once_only(epic: EpicSimulator) -> None:
    claims = {"iss": "ooievaar", "sub": "ooievaar", "aud": epic.token_url, "exp": int(datetime.now(UTC).timestamp()) + 60, "jti": "one"}
    assertion = jwt.encode({"alg": "ES384"}, claims, KEY, algorithms=["ES384"])
    async with new_client(QUICK) as http:
        form = {"grant_type": "client_credentials", "client_assertion": assertion}
        assert [(await http.post(epic.token_url, data=form)).status_code for _ in range(2)] == [200, 400]


async def test_the_server_gives_nothing_without_a_token(epic: EpicSimulator) -> None:
    async with new_client(QUICK) as http:
        assert (await http.get(f"{epic.base_url}/Patient")).status_code == 401


async def test_a_woman_whose_pages_fail_does_not_stop_the_others(epic: EpicSimulator) -> None:
    epic.put(patient("eLotte", "999990032", "Lotte", "Brink", "1988-07-25"))
    shelf, note = Shelf(), Note()
    made = poller(epic, shelf, note)
    epic.faults.broken = "eLotte"
    assert not await once(made)
    kept = {p.key for m in shelf.messages for p in EpicMapping().to_fhir(m.body, facts(now())).people}
    assert kept == {("Patient", "eNoor"), ("Patient", "eSamira")}
    assert note.text == ""
    epic.faults.broken = ""
    assert await once(made)
    assert any(b"eLotte" in m.body for m in shelf.messages)


async def test_running_goes_on_until_it_is_cancelled(epic: EpicSimulator) -> None:
    shelf = Shelf()
    made = poller(epic, shelf)
    task = asyncio.create_task(made.run())
    async with asyncio.timeout(10):
        while not made.last_success:
            await asyncio.sleep(0.02)
    kept = len(shelf.messages)
    epic.put({**of(samira(), "eSamiraHb"), "status": "corrected"})
    async with asyncio.timeout(10):
        while len(shelf.messages) == kept:
            await asyncio.sleep(0.02)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("url", ["http://epic.example/fhir", "file:///etc/hostname", "https://user@epic.example", "nonsense", "https://"])
def test_only_protected_addresses_are_taken(url: str) -> None:
    with pytest.raises(Invalid):
        origin_of(url)


async def test_a_token_endpoint_on_another_server_is_refused(epic: EpicSimulator) -> None:
    async with new_client(QUICK) as http:
        smart = Smart(http, epic.base_url, "ooievaar", KEY, now, QUICK)
        with pytest.raises(Forbidden):
            smart.check("https://elsewhere.example/fhir/Patient")
        with pytest.raises(Refused):
            await smart.get(f"{epic.base_url}/Patient/nobody")
