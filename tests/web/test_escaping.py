"""Whatever a source sends is text on a page, never markup or script."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import escape

from hub.plan.plan import Carer, DossierLine, Line, Plan, SectionView, Value, Woman
from hub.web import charts, ports
from tests.web import sample
from tests.web.conftest import Hub, subject_of

EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"
NOOR = subject_of("noor")


def _evil_plan() -> Plan:
    """A plan in which every text that a source can choose is an attack."""
    value = Value(EVIL, EVIL, "2026-11-18", "2026-11-18T11:00:00Z", EVIL, EVIL, EVIL, status="corrected", number=6.5, unit="mmol/L",
                  code=EVIL, earlier=(Value(EVIL, EVIL, EVIL, EVIL, EVIL, EVIL, EVIL),), origin=EVIL, path=EVIL, mapping=EVIL,
                  parts=(("systolic", 120.0), ("diastolic", 70.0)))
    other = replace(value, identity="other", event="other", source=EVIL + "2", status="withdrawn")
    kinds = (("haemoglobin", ()), ("blood-pressure", ()), ("blood-group", (value, other)), ("x", (value, other, value)), (EVIL, ()))
    lines = tuple(Line(concept, EVIL, EVIL, "C1", value, EVIL, history=(value, other), voices=voices) for concept, voices in kinds)
    sections = {name: SectionView(name, "9", EVIL, lines) for name in ("pregnancy", "measurements", "history", "front", "care-team")}
    carer = Carer(EVIL, EVIL, EVIL, EVIL, EVIL, True, EVIL, "", EVIL, EVIL)
    return replace(sample.noor(NOOR), woman=Woman(EVIL, EVIL, EVIL, EVIL, EVIL), updated=EVIL, sections=sections, closed={EVIL: EVIL},
                   team=(carer, replace(carer, coordinator=False, until=EVIL)), dossiers=(DossierLine(EVIL, EVIL, EVIL, EVIL, EVIL, EVIL),))


@pytest.mark.parametrize(("who", "path"), [("noor", "/mijn/plan"), ("marit", f"/zorg/plan/{NOOR}"),
                                           ("marit", f"/zorg/plan/{NOOR}/tijdlijn"), ("marit", "/zorg")])
@pytest.mark.parametrize("phase", ["pregnant", "loss", "ended", "unknown"])
def test_a_plan_full_of_attacks_is_shown_as_text(hub: Hub, who: str, path: str, phase: str) -> None:
    hub.site.plans[NOOR] = replace(_evil_plan(), phase=phase)
    answer = hub.client(who).get(path)
    assert answer.status_code == 200
    _is_harmless(answer.text)
    assert str(escape("<script>alert(1)")) in answer.text


@pytest.mark.parametrize(("who", "path"), [("noor", "/mijn/wie-zag"), ("tess", "/auditor")])
def test_a_trail_full_of_attacks_is_shown_as_text(hub: Hub, who: str, path: str) -> None:
    line = ports.TrailLine(1, EVIL, EVIL, EVIL, EVIL, (EVIL,), EVIL, False, EVIL)
    hub.site.lines.append((NOOR, hub.site.lines, line))  # type: ignore[arg-type]  # who asked does not matter to the page
    answer = hub.client(who).get(path)
    assert answer.status_code == 200
    _is_harmless(answer.text)


def test_a_search_is_given_back_as_text(hub: Hub) -> None:
    tess = hub.client("tess")
    where = tess.post("/auditor", data={"csrf": hub.csrf(tess), "wie": EVIL}).headers["location"]
    _is_harmless(tess.get(where).text)


@pytest.mark.parametrize("path", [f"/{EVIL}", f"/zorg/plan/{EVIL}", f"/inloggen/terug?state={EVIL}&error={EVIL}",
                                  f"/mijn/delen?bewaard={EVIL}", f"/auditor?z={EVIL}", f"/?naar={EVIL}"])
def test_an_address_is_not_repeated_as_markup(hub: Hub, path: str) -> None:
    for who in ("", "noor", "marit", "tess"):
        _is_harmless(hub.client(who).get(path).text)


def _is_harmless(html: str) -> None:
    assert "<script>" not in html
    assert "<img" not in html
    assert " onerror=alert" not in html.replace("&gt;&lt;img src=x onerror=alert", "")


names = st.text(min_size=1, max_size=12)
readings = st.floats(min_value=0.5, max_value=300, allow_nan=False, allow_infinity=False)


@given(st.lists(st.tuples(st.floats(min_value=0, max_value=46), readings, names), min_size=1, max_size=8), names)
def test_a_line_chart_never_breaks_out_of_its_picture(points: list[tuple[float, float, str]], title: str) -> None:
    spots = [charts.Point(x, (y,), label, i) for i, (x, y, label) in enumerate(sorted(points))]
    picture = str(charts.line_chart("hb", title + EVIL, spots, charts.week_axis([p.x for p in spots])))
    assert picture.startswith("<svg ")
    assert picture.endswith("</svg>")
    assert picture.count("<svg") == picture.count("</svg") == 1
    assert "<script" not in picture
    assert "nan" not in picture.replace(str(escape(title)), "")


@given(st.lists(st.tuples(st.floats(min_value=0, max_value=400), readings, readings), min_size=1, max_size=8))
def test_every_caret_of_a_pressure_chart_lies_inside_the_picture(points: list[tuple[float, float, float]]) -> None:
    days = sorted(points)
    spots = [charts.Point(x, (max(a, b), min(a, b)), "") for x, a, b in days]
    picture = str(charts.pressure_chart("rr", "Bloeddruk", spots, charts.day_axis([p.x for p in spots], str), ((140, "grens"),)))
    heights = [float(part.split('"')[0]) for part in picture.split('y1="')[1:]]
    assert all(0 <= height <= 204 for height in heights)
