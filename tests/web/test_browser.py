"""The pages in a real browser: readable on a phone and a screen, by day and night, by keyboard alone, and up to date by themselves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import groupby
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from hub.plan.plan import SectionView
from tests.conftest import have
from tests.parts import PartMissing
from tests.web.conftest import Clock, Hub, asker, build, loopback, served, subject_of
from tests.web.outside import hub_with_a_provider_elsewhere

pytestmark = pytest.mark.browser

CHROMIUM = Path("/usr/bin/chromium")
ARGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--disable-dev-shm-usage", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
NOOR, LOTTE = subject_of("noor"), subject_of("lotte")
PAGES = [
    ("", "/"), ("", "/mijn/plan"), ("", "/inloggen"), ("noor", "/mijn/plan"), ("noor", "/mijn/wie-zag"), ("noor", "/mijn/delen?bewaard=00700001"),
    ("lotte", "/mijn/plan"), ("marit", "/zorg"), ("marit", f"/zorg/plan/{NOOR}"), ("marit", f"/zorg/plan/{NOOR}/tijdlijn"),
    ("marit", f"/zorg/plan/{LOTTE}"), ("joke", "/zorg"), ("joke", f"/zorg/plan/{NOOR}"), ("tess", "/auditor"), ("tess", "/koppelingen"),
    ("ravi", "/koppelingen"), ("noor", "/nergens"),
]


def chromium_there() -> Path:
    """The browser's program."""
    if not CHROMIUM.exists():
        raise PartMissing("Chromium (apt-get install chromium fonts-noto-core)")
    return CHROMIUM


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """One browser for this module; it finds no host but the loopback."""
    program = have(chromium_there)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=ARGS)
        yield browser
        browser.close()


@pytest.fixture
def open_hub(tmp_path: Path) -> Iterator[Hub]:
    """The pages behind a real server, with a few looks in the trail."""
    sock, base_url = loopback()
    hub = build(tmp_path, base_url, Clock())
    for name in ("marit", "marit", "anna", "joke"):
        hub.client(name).get(f"/zorg/plan/{NOOR}")
    with served(hub, sock) as running:
        yield running


def window(chromium: Browser, hub: Hub, name: str = "", width: int = 1280, *, dark: bool = False, scripts: bool = True) -> BrowserContext:
    """A browser window, logged in as someone or as nobody."""
    context = chromium.new_context(locale="nl-NL", timezone_id="Europe/Amsterdam", viewport={"width": width, "height": 900},
                                   color_scheme="dark" if dark else "light", java_script_enabled=scripts)
    context.set_default_timeout(10_000)
    if name:
        cookie = hub.sessions.seal_session(hub.sessions.begin(asker(name)))
        context.add_cookies([{"name": hub.sessions.cookie, "value": cookie, "url": hub.base_url}])
    return context


def complaints(page: Page) -> list[str]:
    """What a page throws, refuses by its policy or loads from outside, gathered as it happens."""
    found: list[str] = []
    page.on("pageerror", lambda error: found.append(str(error)))
    page.on("console", lambda message: found.append(message.text) if message.type == "error" and "status of 40" not in message.text else None)
    page.on("request", lambda request: None if request.url.startswith("http://127.0.0.1:") else found.append(request.url))
    # What we break off ourselves by going on to the next page did not fail; what the policy of a page refuses is an error of the console.
    page.on("requestfailed", lambda request: found.append(f"{request.url} {request.failure}") if request.failure != "net::ERR_ABORTED" else None)
    return found


@pytest.mark.parametrize(("width", "dark"), [(360, False), (1280, False), (1280, True)])
def test_every_page_passes_axe_and_scrolls_one_way_only(chromium: Browser, open_hub: Hub, width: int, dark: bool) -> None:
    wrong: list[object] = []
    axe = Axe()
    for name, pages in groupby(PAGES, key=lambda one: one[0]):
        with window(chromium, open_hub, name, width, dark=dark) as context:
            page = context.new_page()
            heard = complaints(page)
            for _, path in pages:
                page.goto(open_hub.base_url + path)
                found = axe.run(page, options=RULES).response["violations"]
                wrong += [(name, path, v["id"], v["nodes"][0]["html"][:160]) for v in found]
                if page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"):
                    wrong.append((name, path, "scrolls sideways"))
            wrong += heard
    assert wrong == []


def test_from_the_start_page_to_a_plan_by_keyboard_alone(chromium: Browser, open_hub: Hub) -> None:
    with window(chromium, open_hub) as context:
        page = context.new_page()
        page.goto(open_hub.base_url)
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "Naar de inhoud"
        page.keyboard.press("Enter")
        _tab_to(page, "Marit Jansen")
        page.keyboard.press("Enter")
        page.wait_for_url("**/zorg")
        _tab_to(page, "Noor Verhoeven")
        page.keyboard.press("Enter")
        page.wait_for_url("**/zorg/plan/**")
        _tab_to(page, "Tabel")
        page.keyboard.press("Enter")
        expect(page.locator("#tabel-hb table")).to_be_visible()


def test_an_answer_about_sharing_by_keyboard_and_without_scripts(chromium: Browser, open_hub: Hub) -> None:
    with window(chromium, open_hub, "noor", 360, scripts=False) as context:
        page = context.new_page()
        page.goto(open_hub.base_url + "/mijn/delen")
        page.get_by_role("button", name="Nee, niet delen met Kraamzorg De Zon").press("Enter")
        page.wait_for_url("**/mijn/delen?bewaard=00700004")
        expect(page.get_by_text("Kraamzorg De Zon ziet nu niets meer van uw plan.")).to_be_visible()
    assert open_hub.site.answers[NOOR, "00700004"] == "no"


def test_focus_can_be_seen_where_it_is(chromium: Browser, open_hub: Hub) -> None:
    with window(chromium, open_hub, "noor") as context:
        page = context.new_page()
        page.goto(open_hub.base_url + "/mijn/plan")
        for _ in range(3):
            page.keyboard.press("Tab")
        assert page.evaluate("parseFloat(getComputedStyle(document.activeElement).outlineWidth)") >= 3


def test_an_open_page_follows_the_plan_and_keeps_its_place(chromium: Browser, open_hub: Hub) -> None:
    with window(chromium, open_hub, "marit") as context:
        page = context.new_page()
        heard = complaints(page)
        page.goto(f"{open_hub.base_url}/zorg/plan/{NOOR}")
        summary = page.locator("#tabel-rr summary")
        summary.press("Enter")
        page.evaluate("window.scrollTo(0, 200); window.stayed = true")
        before = page.evaluate("window.scrollY")
        plan = open_hub.site.plans[NOOR]
        open_hub.site.plans[NOOR] = replace(plan, woman=replace(plan.woman, name="Noor de Vries"),
                                            sections={**plan.sections, "history": SectionView("history", "5", "Voorgeschiedenis")})
        open_hub.site.ring(NOOR)
        expect(page.get_by_role("heading", level=1)).to_have_text("Noor de Vries")
        assert page.evaluate("window.stayed") is True
        assert page.evaluate("window.scrollY") == before
        assert page.evaluate("document.activeElement.tagName") == "SUMMARY"
        assert page.locator("#tabel-rr").get_attribute("open") is not None
        expect(page.locator("#melding")).to_contain_text("Deze pagina is bijgewerkt om")
        assert heard == []


def test_a_page_that_changes_nothing_is_left_alone(chromium: Browser, open_hub: Hub) -> None:
    with window(chromium, open_hub, "noor") as context:
        page = context.new_page()
        page.goto(open_hub.base_url + "/mijn/plan")
        page.evaluate("document.querySelectorAll('main > *').forEach(part => { part.kept = true })")
        with page.expect_response(lambda response: response.url.endswith("/mijn/plan")):
            open_hub.site.ring(NOOR)
        page.wait_for_timeout(300)
        assert page.locator("#melding").inner_text() == ""
        assert page.evaluate("Array.from(document.querySelectorAll('main > *')).every(part => part.kept)") is True


def test_when_the_session_ended_nothing_stays_on_the_screen(chromium: Browser, open_hub: Hub) -> None:
    with window(chromium, open_hub, "noor") as context:
        page = context.new_page()
        page.goto(open_hub.base_url + "/mijn/plan")
        open_hub.clock.later(open_hub.sessions.idle_s + 1)
        open_hub.site.ring(NOOR)
        expect(page.get_by_role("heading", level=1)).to_have_text("U bent uitgelogd, voor uw veiligheid", timeout=20_000)
        assert "penicilline" not in page.content()


def test_a_withdrawn_yes_closes_the_page_of_who_has_it_open(chromium: Browser, open_hub: Hub) -> None:
    with window(chromium, open_hub, "marit") as context:
        page = context.new_page()
        page.goto(f"{open_hub.base_url}/zorg/plan/{NOOR}")
        open_hub.site.answers[NOOR, "00700001"] = "no"
        open_hub.site.ring(NOOR)
        expect(page.get_by_role("heading", level=1)).to_have_text("Dit is niet open voor u", timeout=20_000)


def test_a_print_has_the_words_and_neither_tape_nor_buttons(chromium: Browser, open_hub: Hub) -> None:
    with window(chromium, open_hub, "noor") as context:
        page = context.new_page()
        page.goto(open_hub.base_url + "/mijn/plan")
        page.emulate_media(media="print")
        expect(page.locator(".tape")).to_be_hidden()
        expect(page.get_by_role("link", name="Hulp")).to_be_hidden()
        expect(page.get_by_text("penicilline")).to_be_visible()
        assert page.pdf(format="A4", tagged=True)[:4] == b"%PDF"


def _tab_to(page: Page, words: str) -> None:
    """Press Tab until what has focus says this; not more than a page can hold."""
    for _ in range(60):
        page.keyboard.press("Tab")
        if str(page.evaluate("document.activeElement.textContent")).strip().startswith(words):
            return
    raise AssertionError(f"no way to {words} by keyboard")


def test_one_logs_in_and_out_at_a_provider_elsewhere(chromium: Browser, tmp_path: Path) -> None:
    with hub_with_a_provider_elsewhere(tmp_path) as (hub, address), window(chromium, hub) as context:
        page = context.new_page()
        found = complaints(page)
        page.goto(hub.base_url)
        page.get_by_role("link", name="Inloggen").click()
        page.wait_for_url(f"{address}/**")
        page.get_by_role("link", name="Ik ben Noor").click()
        page.wait_for_url(f"{hub.base_url}/mijn/plan")
        page.get_by_role("button", name="Uitloggen").click()
        page.wait_for_url(f"{hub.base_url}/?uit")
        assert page.get_by_role("heading", level=1).inner_text() == "U bent uitgelogd"
        assert page.goto(f"{hub.base_url}/mijn/plan") is not None
        assert page.get_by_role("link", name="Inloggen").is_visible()
        assert found == []

BROKEN = r"""() => {
  const found = [], walk = document.createTreeWalker(document.querySelector('main'), NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const node = walk.currentNode;
    if (node.parentElement.closest('svg, .vh, code, .mono')) continue;
    for (const part of node.data.matchAll(/\p{L}{3,}/gu)) {
      const range = document.createRange();
      // The box of a letter after a soft hyphen holds the hyphen too, on the line before.
      range.setStart(node, part.index + (node.data[part.index - 1] === '\u00ad' ? 1 : 0)); range.setEnd(node, part.index + part[0].length);
      if (new Set([...range.getClientRects()].map((box) => Math.round(box.top))).size > 1) found.push(part[0]);
    }
  }
  return found;
}"""
"""Parts of words that do not stand on one line; a word may break at its soft hyphens only."""


@pytest.mark.parametrize("width", [360, 1280])
def test_no_word_breaks_but_between_its_parts(chromium: Browser, open_hub: Hub, width: int) -> None:
    section = open_hub.site.plans[NOOR].sections["pregnancy"]
    long = replace(section, lines=(*section.lines, *(replace(section.lines[0], title_nl=title) for title in ("Zwangerschapsduur", "Meerlingzwangerschap"))))
    open_hub.site.plans[NOOR] = replace(open_hub.site.plans[NOOR], sections={**open_hub.site.plans[NOOR].sections, "pregnancy": long})
    for name, path in PAGES:
        with window(chromium, open_hub, name, width) as context:
            page = context.new_page()
            page.goto(open_hub.base_url + path)
            assert page.evaluate(BROKEN) == [], path
