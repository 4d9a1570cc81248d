"""Open pages hear that something changed, and nothing more."""

from __future__ import annotations

import time

import httpx2
import pytest

from tests.web.conftest import Hub, asker, subject_of

NOOR = subject_of("noor")


def _as(hub: Hub, name: str) -> httpx2.Client:
    cookie = hub.sessions.seal_session(hub.sessions.begin(asker(name)))
    return httpx2.Client(base_url=hub.base_url, cookies={hub.sessions.cookie: cookie}, trust_env=False, timeout=10)


@pytest.mark.parametrize(("name", "path"), [("noor", "/mijn/live"), ("marit", f"/zorg/plan/{NOOR}/live")])
def test_a_change_is_told_without_content(live_hub: Hub, name: str, path: str) -> None:
    with _as(live_hub, name) as client, client.stream("GET", f"{path}?sinds=1") as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        lines = stream.iter_lines()
        assert next(lines) == "retry: 3000"
        live_hub.site.ring(NOOR)
        told = [next(lines) for _ in range(4)]
    assert [line for line in told if line] == ["event: changed", "data: 2"]


def test_what_changed_between_page_and_stream_is_told_at_once(live_hub: Hub) -> None:
    live_hub.site.ring(NOOR)
    with _as(live_hub, "noor") as client, client.stream("GET", "/mijn/live?sinds=1") as stream:
        lines = stream.iter_lines()
        assert "data: 2" in [next(lines) for _ in range(4)]


def test_the_door_decides_before_anything_is_told(live_hub: Hub) -> None:
    with _as(live_hub, "joke") as client:
        assert client.get(f"/zorg/plan/{NOOR}/live").status_code == 403
    refused = live_hub.site.lines[-1][2]
    assert (refused.allowed, refused.kind) == (False, "open")


def test_a_stream_ends_when_the_hub_stops(live_hub: Hub) -> None:
    with _as(live_hub, "noor") as client, client.stream("GET", "/mijn/live?sinds=1") as stream:
        lines = stream.iter_lines()
        next(lines)
        live_hub.stopping[0] = True
        begun = time.monotonic()
        assert list(lines) in ([""], [])
        assert time.monotonic() - begun < 5


def test_a_stream_ends_with_the_session(live_hub: Hub) -> None:
    with _as(live_hub, "noor") as client:
        live_hub.clock.later(live_hub.sessions.idle_s - 1)
        begun = time.monotonic()
        assert client.get("/mijn/live?sinds=1").status_code == 200
        assert time.monotonic() - begun < 6
        live_hub.clock.later(2)
        assert client.get("/mijn/live?sinds=1").status_code == 401


def test_the_page_names_the_version_it_was_made_of(hub: Hub) -> None:
    hub.site.ring(NOOR)
    assert 'data-live="/mijn/live" data-version="2"' in hub.client("noor").get("/mijn/plan").text


def test_a_refresh_gets_the_main_part_alone(hub: Hub) -> None:
    part = hub.client("noor").get("/mijn/plan", headers={"X-Fragment": "main"}).text
    assert part.strip().startswith("<main")
    assert part.strip().endswith("</main>")
