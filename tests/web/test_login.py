"""Logging in: a real code flow over the loopback, and every way in which it must not succeed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx2
import pytest
from joserfc import jwt
from joserfc.jwk import OctKey

from authz.ask import Role
from authz.demo import DemoIssuer, account, signing_key
from fhir_profiles.errors import Unavailable, Unknown
from hub.web.demo_provider import CLIENT_ID
from hub.web.login import OidcLogin, Provider, asker_of
from tests.web.conftest import KEY, Clock, Hub, build, subject_of
from tests.web.outside import hub_with_a_provider_elsewhere


@pytest.fixture
def browser(live_hub: Hub) -> Iterator[httpx2.Client]:
    """A browser that keeps cookies and does not follow by itself."""
    with httpx2.Client(base_url=live_hub.base_url, trust_env=False, timeout=10) as client:
        yield client


def go(browser: httpx2.Client, address: str, steps: int) -> httpx2.Response:
    """Follow this many redirects."""
    answer = browser.get(address)
    for _ in range(steps):
        answer = browser.get(answer.headers["location"])
    return answer


@pytest.mark.parametrize(("name", "home"), [("noor", "/mijn/plan"), ("marit", "/zorg"), ("tess", "/auditor"), ("ravi", "/koppelingen")])
def test_one_click_logs_in_through_the_whole_code_flow(browser: httpx2.Client, live_hub: Hub, name: str, home: str) -> None:
    back = go(browser, f"/inloggen?als={name}", 2)
    assert (back.status_code, back.headers["location"]) == (303, home)
    assert browser.get(home).status_code == 200
    session = live_hub.sessions.read(browser.cookies[live_hub.sessions.cookie])
    assert session is not None
    assert session.asker.name == account(name).person


def test_without_a_name_the_provider_asks_who_one_wants_to_be(browser: httpx2.Client) -> None:
    page = go(browser, "/inloggen", 1)
    assert "Wie wilt u zijn?" in page.text
    assert 'value="samira"' in page.text
    assert "praktijk" not in re.findall(r'name="login_hint" value="([^"]+)"', page.text)
    fields = dict(re.findall(r'type="hidden" name="([^"]+)" value="([^"]+)"', page.text))
    back = browser.get("/demo/oidc/authorize?" + urlencode({**fields, "login_hint": "samira"}))
    assert browser.get(back.headers["location"]).headers["location"] == "/mijn/plan"


def test_the_session_of_a_woman_holds_her_pseudonym_and_never_her_bsn(browser: httpx2.Client, live_hub: Hub) -> None:
    go(browser, "/inloggen?als=noor", 2)
    session = live_hub.sessions.read(browser.cookies[live_hub.sessions.cookie])
    assert session is not None
    assert (session.asker.subject, session.asker.id) == (subject_of("noor"), subject_of("noor"))
    assert account("noor").bsn not in str(session)


def test_the_cookie_of_the_session_cannot_be_read_by_scripts_or_sent_from_other_sites(browser: httpx2.Client) -> None:
    back = go(browser, "/inloggen?als=noor", 2)
    kept = [c for c in back.headers.get_list("set-cookie") if c.startswith("ooievaar=")]
    assert len(kept) == 1
    assert "HttpOnly" in kept[0]
    assert "SameSite=lax" in kept[0]


def test_a_new_login_makes_a_new_session_and_ends_the_old(browser: httpx2.Client, live_hub: Hub) -> None:
    go(browser, "/inloggen?als=noor", 2)
    old = browser.cookies[live_hub.sessions.cookie]
    go(browser, "/inloggen?als=marit", 2)
    assert browser.cookies[live_hub.sessions.cookie] != old
    assert live_hub.sessions.read(old) is None


@pytest.mark.parametrize(("wanted", "lands"), [
    ("/mijn/wie-zag", "/mijn/wie-zag"), ("/zorg", "/mijn/plan"), ("//evil.example/mijn", "/mijn/plan"),
    ("https://evil.example/mijn", "/mijn/plan"),
    ("/mijnen", "/mijn/plan"), ("/mijn/\\evil.example", "/mijn/plan"), ("", "/mijn/plan"), ("/mijn/plan\nX: y", "/mijn/plan"),
])
def test_a_login_ends_at_a_page_of_ones_own_and_nowhere_else(browser: httpx2.Client, wanted: str, lands: str) -> None:
    assert go(browser, "/inloggen?" + urlencode({"als": "noor", "naar": wanted}), 2).headers["location"] == lands


def test_a_state_that_is_not_ours_is_refused(browser: httpx2.Client, live_hub: Hub) -> None:
    at_provider = go(browser, "/inloggen?als=noor", 1)
    query = parse_qs(urlsplit(at_provider.headers["location"]).query)
    answer = browser.get("/inloggen/terug?" + urlencode({"code": query["code"][0], "state": "another"}))
    assert answer.status_code == 401
    assert live_hub.sessions.cookie not in browser.cookies


def test_a_login_begun_in_another_browser_is_refused(browser: httpx2.Client) -> None:
    back = go(browser, "/inloggen?als=noor", 1).headers["location"]
    with httpx2.Client(trust_env=False) as victim:
        answer = victim.get(back)
    assert answer.status_code == 401
    assert "Inloggen is niet gelukt" in answer.text


def test_a_login_that_took_too_long_is_refused(browser: httpx2.Client, live_hub: Hub) -> None:
    back = go(browser, "/inloggen?als=noor", 1).headers["location"]
    live_hub.clock.later(601)
    assert browser.get(back).status_code == 401


def test_a_code_works_once_and_for_a_minute(browser: httpx2.Client, live_hub: Hub) -> None:
    back = go(browser, "/inloggen?als=noor", 1).headers["location"]
    login_cookie = browser.cookies[live_hub.sessions.login_cookie]
    assert browser.get(back).status_code == 303
    browser.cookies.set(live_hub.sessions.login_cookie, login_cookie)
    assert browser.get(back).status_code == 401
    late = go(browser, "/inloggen?als=noor", 1).headers["location"]
    live_hub.clock.later(61)
    assert browser.get(late).status_code == 401


def test_a_verifier_that_does_not_fit_the_challenge_gets_no_token(browser: httpx2.Client, live_hub: Hub) -> None:
    at_provider = go(browser, "/inloggen?als=noor", 1)
    code = parse_qs(urlsplit(at_provider.headers["location"]).query)["code"][0]
    form = {"grant_type": "authorization_code", "code": code, "client_id": CLIENT_ID, "redirect_uri": f"{live_hub.base_url}/inloggen/terug"}
    answer = browser.post("/demo/oidc/token", data={**form, "code_verifier": "x" * 64})
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")


async def test_a_pkce_mismatch_is_refused_by_the_login_as_well(live_hub: Hub) -> None:
    note, query = await _at_the_provider(live_hub)
    with pytest.raises(Unknown):
        await live_hub.login.finish({**note, "verifier": "y" * 64}, query)


async def test_a_nonce_mismatch_is_refused(live_hub: Hub) -> None:
    note, query = await _at_the_provider(live_hub)
    with pytest.raises(Unknown) as refusal:
        await live_hub.login.finish({**note, "nonce": "another"}, query)
    assert refusal.value.code == "login-token"


async def test_the_right_note_is_taken(live_hub: Hub) -> None:
    note, query = await _at_the_provider(live_hub)
    assert (await live_hub.login.finish(note, query)).role is Role.CLIENT


async def test_a_provider_that_says_no_is_a_refusal(live_hub: Hub) -> None:
    note, query = await _at_the_provider(live_hub)
    with pytest.raises(Unknown):
        await live_hub.login.finish(note, {"error": "access_denied", "state": query["state"]})


async def _at_the_provider(hub: Hub) -> tuple[dict[str, object], dict[str, str]]:
    started = await hub.login.start("", "noor")
    async with httpx2.AsyncClient(trust_env=False) as client:
        answer = await client.get(started.url)
    return started.note, {name: values[0] for name, values in parse_qs(urlsplit(answer.headers["location"]).query).items()}


class Forged(OidcLogin):
    """A login that gets this ID token from the provider, whatever the code."""

    token: str

    async def _token(self, code: str, verifier: str) -> dict[str, object]:
        return {"id_token": self.token}


@pytest.mark.parametrize("fault", ["other key", "alg none", "hmac", "other audience", "other issuer", "expired", "no nonce", "garbage",
                                   "good"])
async def test_an_id_token_is_taken_only_when_everything_fits(live_hub: Hub, tmp_path: Path, fault: str) -> None:
    known = signing_key(tmp_path / "demo-key.json")
    issuer = f"{live_hub.base_url}/demo/oidc"
    maker = DemoIssuer(issuer, "", known, live_hub.clock.seconds)
    login = Forged(live_hub.login.provider, KEY, live_hub.clock.seconds)
    note = (await login.start("", "")).note
    nonce = str(note["nonce"])
    at = int(live_hub.clock.seconds())
    claims = {**account("noor").claims(), "iss": issuer, "aud": CLIENT_ID, "nonce": nonce, "iat": at, "exp": at + 60}
    tokens: dict[str, Callable[[], str]] = {
        "other key": lambda: replace(maker, key=signing_key(tmp_path / "other.json")).id_token("noor", CLIENT_ID, nonce),
        "alg none": lambda: "eyJhbGciOiJub25lIn0." + maker.id_token("noor", CLIENT_ID, nonce).split(".")[1] + ".",
        "hmac": lambda: jwt.encode({"alg": "HS256", "kid": known.kid}, claims, OctKey.import_key(b"k" * 32), algorithms=["HS256"]),
        "other audience": lambda: maker.id_token("noor", "another-client", nonce),
        "other issuer": lambda: replace(maker, issuer="https://evil.example").id_token("noor", CLIENT_ID, nonce),
        "expired": lambda: replace(maker, now=lambda: at - 4000).id_token("noor", CLIENT_ID, nonce),
        "no nonce": lambda: maker.issue("noor"),
        "garbage": lambda: "not.a.token",
        "good": lambda: maker.id_token("noor", CLIENT_ID, nonce),
    }
    login.token = tokens[fault]()
    if fault == "good":
        assert (await login.finish(note, {"code": "c", "state": str(note["state"])})).subject == subject_of("noor")
        return
    with pytest.raises(Unknown):
        await login.finish(note, {"code": "c", "state": str(note["state"])})


@pytest.mark.parametrize("claims", [
    {}, {"role": "queen"}, {"role": "client"}, {"role": "client", "bsn": "123456789"}, {"role": "midwife"}, {"role": "midwife", "ura": "1"},
    {"role": "midwife", "ura": "00700001", "bsn": "999990019"}, {"role": "system", "ura": "00700001"}, {"role": ["client"]},
    {"role": "auditor", "name": "x" * 300}, {"role": "auditor", "name": "a\nb"}, {"role": "auditor", "sub": ""},
])
def test_an_account_that_does_not_fit_is_nobody_and_its_words_are_not_repeated(claims: dict[str, object]) -> None:
    with pytest.raises(Unknown) as refusal:
        asker_of({"sub": "s", **claims}, KEY)
    assert refusal.value.code == "login-account"
    assert "999990019" not in f"{refusal.value} {refusal.value.__cause__}"


async def test_a_provider_that_is_away_is_said_and_not_hung_upon() -> None:
    login = OidcLogin(Provider("http://127.0.0.1:9/oidc", "c", "http://127.0.0.1:9/back"), KEY, timeout_s=2)
    with pytest.raises(Unavailable):
        await login.start("")


def test_when_the_provider_is_away_the_page_says_to_try_again(hub: Hub) -> None:
    hub.login.provider = replace(hub.login.provider, issuer="http://127.0.0.1:9/oidc")
    answer = hub.client().get("/inloggen")
    assert answer.status_code == 503
    assert "Dit lukt nu even niet" in answer.text


def test_under_another_name_the_browser_is_sent_to_the_one_address_first(hub: Hub) -> None:
    answer = hub.client().get("/inloggen?als=noor", headers={"Host": "localhost:1234"})
    assert answer.headers["location"] == "http://testserver/inloggen?als=noor"


@pytest.mark.parametrize("path", ["/demo/oidc/.well-known/openid-configuration", "/demo/oidc/jwks", "/demo/oidc/authorize",
                                  "/demo/oidc/token"])
def test_outside_demo_mode_there_is_no_demo_provider(plain_hub: Hub, path: str) -> None:
    client = plain_hub.client()
    assert client.get(path).status_code == 404
    assert client.post(path, data={}).status_code == 404


@pytest.mark.parametrize("change", [
    {"redirect_uri": "https://evil.example/"}, {"client_id": "another"}, {"code_challenge_method": "plain"}, {"code_challenge": "short"},
    {"response_type": "token"}, {"state": ""}, {"nonce": ""},
])
def test_the_demo_provider_redirects_nowhere_for_a_question_that_is_not_ours(hub: Hub, change: dict[str, str]) -> None:
    good = {"client_id": CLIENT_ID, "redirect_uri": "http://testserver/inloggen/terug", "response_type": "code",
            "code_challenge_method": "S256", "code_challenge": "c" * 43, "state": "s", "nonce": "n", "login_hint": "noor"}
    client = hub.client()
    assert client.get("/demo/oidc/authorize?" + urlencode(good)).status_code == 302
    answer = client.get("/demo/oidc/authorize?" + urlencode({**good, **change}))
    assert answer.status_code == 400
    assert "location" not in answer.headers


def test_two_hubs_do_not_take_each_others_sessions(tmp_path: Path, hub: Hub) -> None:
    other = build(tmp_path / "other", "http://testserver", Clock())
    other.sessions.key = b"another key of thirty-two bytes!!"
    assert other.sessions.read(hub.client("noor").cookies[hub.sessions.cookie]) is None


def test_who_logs_out_is_sent_on_to_log_out_at_the_provider_too(tmp_path: Path) -> None:
    with hub_with_a_provider_elsewhere(tmp_path) as (hub, address):
        noor = hub.client("noor")
        answer = noor.post("/uitloggen", data={"csrf": hub.csrf(noor)})
        place, _, asked = answer.headers["refresh"].removeprefix("0; url=").partition("?")
        assert (answer.status_code, place) == (200, f"{address}/demo/oidc/end")
        assert parse_qs(asked) == {"client_id": [CLIENT_ID], "post_logout_redirect_uri": [f"{hub.base_url}/?uit"]}
        assert "U bent uitgelogd bij de Ooievaar" in answer.text and place in answer.text
        assert f'{hub.sessions.cookie}="";' in answer.headers["set-cookie"] and noor.get("/mijn/plan").status_code == 401


def test_logging_out_works_when_the_provider_is_away_or_has_no_place_for_it(hub: Hub, live_hub: Hub) -> None:
    hub.login.provider = replace(hub.login.provider, issuer="http://127.0.0.1:9/oidc")
    for one in (hub, live_hub):
        noor = one.client("noor")
        answer = noor.post("/uitloggen", data={"csrf": one.csrf(noor)})
        assert (answer.status_code, answer.headers["location"]) == (303, "/?uit")
        assert f'{one.sessions.cookie}="";' in answer.headers["set-cookie"] and noor.get("/mijn/plan").status_code == 401
