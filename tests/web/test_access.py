"""Who may open what, how long a session lasts, and what a form must carry."""

from __future__ import annotations

import re

import pytest

from hub.web.sessions import Sessions
from tests.web.conftest import KEY, Hub, asker, subject_of

NOOR = subject_of("noor")
PAGES = {
    "client": ["/mijn/plan", "/mijn/wie-zag", "/mijn/delen", "/mijn/live"],
    "care": ["/zorg", f"/zorg/plan/{NOOR}", f"/zorg/plan/{NOOR}/tijdlijn", f"/zorg/plan/{NOOR}/live"],
    "audit": ["/auditor", "/auditor/uitvoer/csv", "/auditor/uitvoer/bundle"],
    "sources": ["/koppelingen"],
}
MAY = {"noor": {"client"}, "marit": {"care"}, "anna": {"care"}, "joke": {"care"}, "tess": {"audit", "sources"}, "ravi": {"sources"}}
CLOSED = [(who, path) for who, areas in MAY.items() for area, paths in PAGES.items() for path in paths if area not in areas]


@pytest.mark.parametrize(("who", "path"), CLOSED)
def test_a_page_of_another_role_stays_closed(hub: Hub, who: str, path: str) -> None:
    answer = hub.client(who).get(path)
    assert answer.status_code == 403
    assert "mmol" not in answer.text
    assert "12-03-1994" not in answer.text


@pytest.mark.parametrize("path", [path for paths in PAGES.values() for path in paths])
def test_without_a_login_every_page_asks_for_one(hub: Hub, path: str) -> None:
    answer = hub.client().get(path)
    assert answer.status_code == 401
    assert "Verhoeven" not in answer.text


@pytest.mark.parametrize("name", ["marit", "tess", "ravi", "noor"])
def test_a_session_is_of_one_woman_or_role_only(hub: Hub, name: str) -> None:
    assert hub.client(name).get(f"/zorg/plan/{subject_of('samira')}").status_code in (403, 404)


def test_a_session_ends_after_a_time_without_requests(hub: Hub) -> None:
    noor = hub.client("noor")
    hub.clock.later(hub.sessions.idle_s - 5)
    assert noor.get("/mijn/plan").status_code == 200
    hub.clock.later(hub.sessions.idle_s - 5)
    assert noor.get("/mijn/plan").status_code == 200
    hub.clock.later(hub.sessions.idle_s + 5)
    answer = noor.get("/mijn/plan")
    assert answer.status_code == 401
    assert "U bent uitgelogd, voor uw veiligheid" in answer.text


def test_a_page_that_refreshes_itself_does_not_keep_the_session_alive(hub: Hub) -> None:
    noor = hub.client("noor")
    for _ in range(4):
        hub.clock.later(hub.sessions.idle_s // 3)
        last = noor.get("/mijn/plan", headers={"X-Fragment": "main"})
    assert last.status_code == 401
    assert last.text == ""


def test_a_session_ends_for_certain_however_busy_it_is(hub: Hub) -> None:
    noor = hub.client("noor")
    for _ in range(hub.sessions.absolute_s // 600 - 1):
        hub.clock.later(600)
        assert noor.get("/mijn/delen").status_code == 200
    hub.clock.later(601)
    assert noor.get("/mijn/delen").status_code == 401


@pytest.mark.parametrize("change", [lambda c: c[:-4] + "AAAA", lambda c: "", lambda c: "x" * 400, lambda c: c[::-1], lambda c: "é"])
def test_a_cookie_that_is_not_ours_is_nobody(hub: Hub, change: object) -> None:
    good = hub.sessions.seal_session(hub.sessions.begin(asker("noor")))
    assert hub.sessions.read(good) is not None
    assert hub.sessions.read(change(good)) is None  # type: ignore[operator]  # a function, as pytest hands it over


def test_a_sealed_note_of_another_purpose_is_no_session(hub: Hub) -> None:
    note = hub.sessions.unseal("session", hub.sessions.seal_session(hub.sessions.begin(asker("noor"))), 60)
    assert note is not None
    assert hub.sessions.read(hub.sessions.seal("search", note[0])) is None


def test_a_cookie_tells_nothing_to_who_reads_it(hub: Hub) -> None:
    cookie = hub.sessions.seal_session(hub.sessions.begin(asker("noor")))
    for secret in (NOOR, "Noor", "client", "999990019"):
        assert secret not in cookie


def test_a_key_that_is_too_short_is_refused() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        Sessions(b"short", secure=False)


def test_logging_out_ends_the_session_even_for_a_copied_cookie(hub: Hub) -> None:
    noor = hub.client("noor")
    copy = noor.cookies[hub.sessions.cookie]
    answer = noor.post("/uitloggen", data={"csrf": hub.csrf(noor)})
    assert (answer.status_code, answer.headers["location"]) == (303, "/?uit")
    thief = hub.client()
    thief.cookies.set(hub.sessions.cookie, copy)
    assert thief.get("/mijn/plan").status_code == 401


@pytest.mark.parametrize("path", ["/mijn/delen", "/uitloggen", "/auditor"])
@pytest.mark.parametrize("token", [None, "", "0" * 64, "é"])
def test_a_form_without_the_token_of_this_session_does_nothing(hub: Hub, path: str, token: str | None) -> None:
    who = hub.client("tess" if path == "/auditor" else "noor")
    before = dict(hub.site.answers)
    fields = {"organisatie": "00700004", "antwoord": "ja", **({"csrf": token} if token is not None else {})}
    assert who.post(path, data=fields).status_code == 403
    assert hub.site.answers == before
    assert hub.sessions.read(who.cookies[hub.sessions.cookie]) is not None


def test_the_token_of_another_session_does_not_fit(hub: Hub) -> None:
    one, other = hub.client("noor"), hub.client("noor")
    fields = {"csrf": hub.csrf(other), "organisatie": "00700004", "antwoord": "ja"}
    assert one.post("/mijn/delen", data=fields).status_code == 403


def test_a_form_sent_from_another_site_is_refused_even_with_the_token(hub: Hub) -> None:
    noor = hub.client("noor")
    fields = {"csrf": hub.csrf(noor), "organisatie": "00700004", "antwoord": "ja"}
    assert noor.post("/mijn/delen", data=fields, headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403


def test_every_page_carries_the_headers_that_protect_it(hub: Hub) -> None:
    for who, path in (("", "/"), ("noor", "/mijn/plan"), ("noor", "/nergens"), ("marit", "/mijn/plan"), ("", "/static/look.css")):
        headers = hub.client(who).get(path).headers
        assert headers["content-security-policy"].startswith("default-src 'none'; style-src 'self'; script-src 'self'")
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert path.startswith("/static") or headers["cache-control"] == "no-store"


def test_no_page_has_script_or_style_inside(hub: Hub) -> None:
    for who, path in (("", "/"), ("noor", "/mijn/plan"), ("marit", f"/zorg/plan/{NOOR}"), ("tess", "/auditor"), ("ravi", "/koppelingen")):
        html = hub.client(who).get(path).text
        assert not re.search(r"\sstyle=|\son[a-z]+=|<style|<script(?! src=\"/static/pages\.js)", html)
        assert not re.search(r"(?:src|href|action)=\"(?:https?:)?//", html)


def test_static_files_are_kept_when_named_by_their_content(hub: Hub) -> None:
    html = hub.client().get("/").text
    address = re.search(r"/static/pages\.js\?v=[0-9a-f]+", html)
    assert address is not None
    script = hub.client().get(address[0])
    assert "immutable" in script.headers["cache-control"]
    assert len(script.content) <= 5 * 1024
    assert hub.client().get("/static/pages.js", headers={"If-None-Match": script.headers["etag"]}).status_code == 304


def test_a_fault_of_ours_is_said_in_words_and_tells_nothing(hub: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    async def broken(_: object) -> object:
        raise RuntimeError("Noor Verhoeven 999990019")

    hub.site.own_plan = broken  # type: ignore[assignment,method-assign]  # a part that breaks
    answer = hub.client("noor").get("/mijn/plan")
    assert answer.status_code == 500
    assert "Er ging iets mis" in answer.text
    told = answer.text + "".join(capsys.readouterr())
    assert "Verhoeven" not in told
    assert "999990019" not in told


def test_over_https_the_cookies_are_bound_to_this_host_and_secure(hub: Hub) -> None:
    sessions = Sessions(KEY, secure=True, now=hub.clock.seconds)
    assert sessions.cookie.startswith("__Host-")
    assert sessions.login_cookie.startswith("__Host-")
