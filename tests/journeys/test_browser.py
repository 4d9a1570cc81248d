"""The demo as a visitor meets it: a real browser at a real `ooievaar up --demo`, with the sources telling their story meanwhile.

On a phone and on a screen: every page passes axe-core, none scrolls sideways, none complains or loads anything from elsewhere. What a single
page does is tested in `tests/web`; here people walk.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from connectors.hix import story as hix
from tests.conftest import have
from tests.journeys.hub_process import RunningHub, embedded
from tests.journeys.people import browser, clients_on, eventually, leaks, send, words
from tests.web.test_browser import ARGS, chromium_there

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.xdist_group("journeys_browser"), pytest.mark.timeout(150)]

RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22a", "wcag22aa"]}
PHONE, SCREEN = (360, 800), (1280, 900)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """One browser; it finds no host but the loopback."""
    program = have(chromium_there)
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=program, args=ARGS)
        yield found
        found.close()


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    """The demo with its simulators, once the story has been told."""
    with embedded(tmp_path_factory.mktemp("demo"), simulators=True) as hub:
        with browser(hub, "anna") as anna:
            def told() -> bool:
                noor = clients_on(anna.get("/zorg").text).get("Noor Verhoeven")
                page = words(anna.get(f"/zorg/plan/{noor}").text) if noor else ""
                return "gecorrigeerd" in page and "2 verschillende waarden" in page and "Oostzoom" in page

            eventually(told, "the simulators told their story", timeout_s=80, pause_s=1.0)
        yield hub
        assert leaks(hub.output()) == []


@contextmanager
def window(chromium: Browser, hub: RunningHub, size: tuple[int, int] = SCREEN) -> Iterator[tuple[Page, list[str]]]:
    """A fresh window at the start page, and what its pages complain of, gathered as it happens."""
    width, height = size
    context: BrowserContext = chromium.new_context(locale="nl-NL", timezone_id="Europe/Amsterdam", viewport={"width": width, "height": height})
    context.set_default_timeout(20_000)
    page, heard = context.new_page(), []
    page.on("pageerror", lambda error: heard.append(str(error)))
    page.on("console", lambda said: heard.append(said.text) if said.type == "error" and "status of 403" not in said.text else None)
    page.on("request", lambda request: None if request.url.startswith(hub.http + "/") else heard.append(request.url))
    # A stream or a refresh that is under way when the visitor goes on is cut off, and that is no fault.
    page.on("requestfailed", lambda request: None if "ABORTED" in str(request.failure) else heard.append(f"{request.url} {request.failure}"))
    page.goto(hub.http + "/")
    try:
        yield page, heard
    finally:
        context.close()


def faults(page: Page) -> list[str]:
    """What axe-core finds on the page, and whether it scrolls sideways."""
    found = [f"{page.url}: {one['id']}: {one['nodes'][0]['html'][:160]}" for one in Axe().run(page, options=RULES).response["violations"]]
    sideways = page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")
    return [*found, *([f"{page.url}: scrolls sideways"] if sideways else [])]


@pytest.mark.parametrize("size", [PHONE, SCREEN], ids=["phone", "screen"])
def test_the_woman_walks_from_the_start_page_to_who_saw_her_data(chromium: Browser, demo: RunningHub, size: tuple[int, int]) -> None:
    with window(chromium, demo, size) as (page, heard):
        wrong = faults(page)
        page.get_by_role("link", name="Noor Verhoeven").click()
        page.wait_for_url("**/mijn/plan")
        expect(page.get_by_role("heading", name="Mijn plan")).to_be_visible()
        expect(page.get_by_text("Deze uitslag is verbeterd").first).to_be_visible()
        wrong += faults(page)
        page.get_by_role("link", name="Wie zag mijn gegevens").first.click()
        page.wait_for_url("**/mijn/wie-zag")
        expect(page.get_by_text("Anna de Wit").first).to_be_visible()
        expect(page.get_by_text("De lijst is heel").first).to_be_visible()
        wrong += faults(page)
        page.get_by_role("link", name="Delen en toestemming").first.click()
        page.wait_for_url("**/mijn/delen")
        wrong += faults(page)
    assert wrong + heard == []


@pytest.mark.parametrize("size", [PHONE, SCREEN], ids=["phone", "screen"])
def test_the_midwife_walks_from_the_start_page_to_an_overview(chromium: Browser, demo: RunningHub, size: tuple[int, int]) -> None:
    with window(chromium, demo, size) as (page, heard):
        page.get_by_role("link", name="Marit Jansen").click()
        page.wait_for_url("**/zorg")
        wrong = faults(page)
        page.get_by_role("link", name="Noor Verhoeven").click()
        page.wait_for_url("**/zorg/plan/**")
        expect(page.get_by_role("heading", level=1)).to_have_text("Noor Verhoeven")
        expect(page.get_by_text("gecorrigeerd, was").first).to_be_visible()
        wrong += faults(page)
        page.get_by_role("link", name="Tijdlijn").click()
        page.wait_for_url("**/tijdlijn**")
        wrong += faults(page)
    assert wrong + heard == []


@pytest.mark.parametrize("size", [PHONE, SCREEN], ids=["phone", "screen"])
def test_the_maternity_nurse_is_told_no_and_the_auditor_sees_it(chromium: Browser, demo: RunningHub, size: tuple[int, int]) -> None:
    with window(chromium, demo, size) as (page, heard):
        page.get_by_role("link", name="Joke Smit").click()
        page.wait_for_url("**/zorg")
        wrong = faults(page)
        page.get_by_role("link", name="Noor Verhoeven").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Dit is niet open voor u")
        wrong += faults(page)
    with window(chromium, demo, size) as (page, complaints):
        page.get_by_role("link", name="Tess Smeets").click()
        page.wait_for_url("**/auditor")
        expect(page.get_by_role("row").filter(has_text="Joke Smit").filter(has_text="geweigerd").first).to_be_visible()
        wrong += faults(page)
        page.get_by_role("link", name="Koppelingen").click()
        page.wait_for_url("**/koppelingen")
        expect(page.get_by_text("Ziekenhuis Rijnoever").first).to_be_visible()
        wrong += faults(page)
    assert wrong + heard + complaints == []


def test_the_way_to_her_list_and_to_an_overview_goes_by_keyboard_alone(chromium: Browser, demo: RunningHub) -> None:
    with window(chromium, demo) as (page, heard):
        follow(page, "Noor Verhoeven", "**/mijn/plan")
        follow(page, "Wie zag mijn gegevens", "**/mijn/wie-zag")
        expect(page.get_by_text("De lijst is heel").first).to_be_visible()
    with window(chromium, demo) as (page, complaints):
        follow(page, "Marit Jansen", "**/zorg")
        follow(page, "Noor Verhoeven", "**/zorg/plan/**")
        expect(page.get_by_role("heading", level=1)).to_have_text("Noor Verhoeven")
    assert heard + complaints == []


def test_a_result_that_comes_in_reaches_the_open_page_by_itself(chromium: Browser, demo: RunningHub) -> None:
    today = datetime.combine(datetime.now(UTC).date(), datetime.min.time())
    with window(chromium, demo) as (page, heard):
        page.get_by_role("link", name="Marit Jansen").click()
        page.get_by_role("link", name="Noor Verhoeven").click()
        page.wait_for_url("**/zorg/plan/**")
        page.evaluate("window.stayed = true")
        assert "131/84" not in page.content()
        late = hix.oru(hix.NOOR, "RIJ-LIVE", today, order="L700777", taken=today - timedelta(hours=1), results=hix.pressure(131, 84))
        assert [answer.code for answer in send(demo, [late])] == ["AA"]
        expect(page.get_by_text("131/84").first).to_be_visible(timeout=5_000)
        assert page.evaluate("window.stayed") is True
    assert heard == []


def follow(page: Page, words_of_link: str, url: str) -> None:
    """Tab to the link with these words and press Enter; not more Tabs than a page can hold."""
    for _ in range(60):
        page.keyboard.press("Tab")
        if str(page.evaluate("document.activeElement.textContent")).strip().startswith(words_of_link):
            page.keyboard.press("Enter")
            page.wait_for_url(url)
            return
    raise AssertionError(f"no way to {words_of_link} by keyboard")
