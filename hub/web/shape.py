"""From a `Plan` to what a page says: names for sources, values in order of time, conflicts, what is newest, and the two charts.

Nothing is judged here: no value is called good or bad. Where a picture has a limit line, the page says that it is an example.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date

from markupsafe import Markup

from fhir_profiles.codes import BY_NAME, MEASUREMENTS, PREGNANCY
from hub.plan.plan import Carer, Line, Plan, Value
from hub.plan.rules import ITEM, NEWEST, RULES
from hub.web import charts, words
from hub.web.ports import SourceStatus

BLOOD = frozenset({"blood-group", "rhesus-d", "rhesus-c"})
"""Concepts of which she reads only that they are being checked (plan.md g.4): no group is ever chosen for her."""

DUE = frozenset({"due-date", "due-date-definitive"})
COUNTS_WEEKS = DUE | {"gestational-age", "last-menstruation"}
"""What stops at once when a pregnancy ended in loss."""

HUSHED = COUNTS_WEEKS | {"pregnancy", "multiple-pregnancy", "fetus-count", "fetal-heart-rate", "fundal-height"}
"""What her own page leaves out after a loss, and says that it does: her caregiver can show it to her."""

NONE_WORDS = ("nee", "geen", "bekend: nee", "nooit")
NONE_CODES = ("373067005",)
"""SNOMED CT: nee (kwalificatiewaarde)."""


@dataclass(frozen=True)
class Names:
    """What sources are called: by their dossier in this plan, else as registered, else as they are."""

    known: dict[str, str]

    def of(self, source: str) -> str:
        """The name of a source, in full."""
        return self.known.get(source, source)

    def short(self, source: str) -> str:
        """The same for a source tag of a professional: De Lepelaar, Rijnoever."""
        return words.short_name(self.of(source))

    def for_her(self, source: str) -> str:
        """The same in her words: praktijk De Lepelaar, Ziekenhuis Rijnoever."""
        return words.name_for_her(self.of(source))


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the table under a chart."""

    term: str
    when: str
    text: str
    was: tuple[str, ...]
    withdrawn: bool
    source: str


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart with its sentence, the marks of its sources and its table."""

    name: str
    title: str
    sentence: str
    picture: Markup | None
    unit: str
    weeks: bool
    marks: tuple[tuple[Markup, str], ...]
    rows: tuple[Row, ...]


def names_of(plan: Plan, sources: Iterable[SourceStatus]) -> Names:
    """Names for every source that the plan may mention."""
    return Names({**{s.source: s.name for s in sources}, **{d.source: d.organisation for d in plan.dossiers if d.organisation}})


def days_pregnant(plan: Plan, today: date) -> int | None:
    """Completed days of pregnancy today; None unless a pregnancy goes on and its due date is known."""
    due = words.day(plan.due)
    if plan.phase != "pregnant" or due is None:
        return None
    days = words.gestation_days(today, due)
    return days if 0 <= days <= 280 + words.LATE_DAYS else None


def different(line: Line) -> int:
    """How many different values a line on which sources disagree has; one source may have said two, and two the same."""
    return max(2, len({value.text.casefold() for value in line.voices}))


def long_past(plan: Plan, line: Line, value: Value, today: date) -> bool:
    """Whether a due date is so long past that it cannot be that of the pregnancy that goes on."""
    due = words.day(value.iso) if line.concept in DUE and plan.phase == "pregnant" else None
    return due is not None and (today - due).days > words.LATE_DAYS


def conflicts(plan: Plan) -> list[Line]:
    """Every line on which sources disagree; after a loss no longer about when she is due."""
    lines = [line for section in plan.sections.values() for line in section.lines if line.conflict]
    return [line for line in lines if plan.phase != "loss" or line.concept not in COUNTS_WEEKS]


def line_of(plan: Plan, section: str, concept: str) -> Line | None:
    """One line, when the asker may see its section and it is there."""
    view = plan.sections.get(section)
    return next((line for line in view.lines if line.concept == concept and not line.about), None) if view else None


def said(line: Line) -> Value | None:
    """What a line shows: the value that its rule chose, or what was withdrawn last when all was. None: nobody said anything."""
    return line.shown or next(reversed(all_values(line)), None)


def text_of(line: Line, value: Value) -> str:
    """What a value says. Where the fact itself is the answer (there is a twin pregnancy) that is yes, in whatever words it was sent."""
    concept = BY_NAME.get(line.concept)
    return "ja" if concept is not None and concept.kind == "presence" and not says_none(value) and not is_gap(value) else value.text


def team_now(plan: Plan) -> list[Carer]:
    """Who cares for her now, each name once, who coordinates first."""
    once: dict[str, Carer] = {}
    for carer in sorted((c for c in plan.team if not c.until), key=lambda c: not c.coordinator):
        name = carer.name or carer.organisation
        once[name] = replace(once[name], phone=once[name].phone or carer.phone) if name in once else carer
    return list(once.values())


def phone_of(plan: Plan, carer: Carer) -> str:
    """Where to call someone: the own number, else that of the organisation; "" when no source gave one."""
    return carer.phone or next((c.phone for c in plan.team if c.ura and c.ura == carer.ura and c.phone and not c.until), "")


def rule_words(line: Line) -> str:
    """The rule by which the value is shown, in Dutch."""
    return next((rule.reason_nl for rule in (NEWEST, ITEM, *RULES.values()) if rule.name == line.rule), "")


def gravidity_parity(plan: Plan) -> str:
    """G2P1, as far as both are known and undisputed."""
    def part(letter: str, concept: str) -> str:
        line = line_of(plan, PREGNANCY, concept)
        known = line is not None and line.shown is not None and not line.conflict
        return f"{letter}{line.shown.text}" if known and line and line.shown else ""

    return part("G", "gravidity") + part("P", "parity")


def all_values(line: Line) -> list[Value]:
    """Every value of a line once, oldest first by its own time. Replaced values stay inside the one that replaced them."""
    once: dict[tuple[str, str, str], Value] = {}
    for value in (line.shown, *line.history, *line.voices):
        if value is not None:
            once.setdefault((value.identity or value.event, value.effective, value.text), value)
    return sorted(once.values(), key=lambda v: (_order(v.effective), v.recorded, v.event))


def newest(plan: Plan, most: int) -> list[tuple[Line, Value]]:
    """The values that came in last, newest first."""
    found = [(line, value) for section in plan.sections.values() for line in section.lines for value in all_values(line)]
    found.sort(key=lambda pair: (_order(pair[1].recorded), pair[1].event), reverse=True)
    return found[:most]


def says_none(value: Value) -> bool:
    """Whether a value is a known "none" (bekend: nee), which is a value and not a gap."""
    return value.text.strip().lower() in NONE_WORDS or value.code in NONE_CODES


def is_gap(value: Value) -> bool:
    """Whether a source said that it does not know, and why (dataAbsentReason)."""
    return value.text.startswith("onbekend (")


def sources_in(plan: Plan, sources: Iterable[SourceStatus]) -> list[SourceStatus]:
    """The status of the sources that this plan is made of."""
    mentioned = {d.source for d in plan.dossiers} | {c.source for c in plan.team} | {
        value.source for section in plan.sections.values() for line in section.lines for value in all_values(line)}
    return [status for status in sources if status.source in mentioned]


def haemoglobin(plan: Plan, names: Names, today: date) -> Chart | None:
    """The Hb chart; None when there is no Hb. Only values in mmol/L are drawn, every one stands in the table."""
    line = line_of(plan, MEASUREMENTS, "haemoglobin")
    values = [v for v in all_values(line) if v.number is not None] if line else []
    if not values:
        return None
    drawn = [v for v in values if v.unit in ("", "mmol/L")]
    last = values[-1]
    was = f" (gecorrigeerd, was {last.earlier[-1].text})" if last.status == "corrected" and last.earlier else ""
    return _chart(plan, "hb", "Hb", f"Laatste {_with_doubt(last)}{was}, {_at(plan, last, today)}.", "mmol/L", values,
                  [(v, (v.number or 0.0,), f"{v.number:g}".replace(".", ",")) for v in drawn], names, today)


def pressure(plan: Plan, names: Names, today: date) -> Chart | None:
    """The blood pressure chart; None when there is none."""
    line = line_of(plan, MEASUREMENTS, "blood-pressure")
    values = [v for v in all_values(line) if {"systolic", "diastolic"} <= dict(v.parts).keys()] if line else []
    if not values:
        return None
    pairs = [(v, (dict(v.parts)["systolic"], dict(v.parts)["diastolic"]), v.text) for v in values]
    highest, (high, low), _ = max((p for p in pairs if p[0].status != "withdrawn"), key=lambda p: p[1], default=pairs[-1])
    return _chart(plan, "rr", "Bloeddruk", f"Hoogste {high:g}/{low:g}, {_at(plan, highest, today)}.", "mmHg", values, pairs, names, today)


def _with_doubt(value: Value) -> str:
    return f"{value.text} (voorlopig)" if value.status == "preliminary" else value.text


def _chart(plan: Plan, name: str, title: str, sentence: str, unit: str, values: Sequence[Value],
           spots: Sequence[tuple[Value, tuple[float, ...], str]], names: Names, today: date) -> Chart:
    due = words.day(plan.due) if plan.phase != "loss" else None
    order = list(dict.fromkeys(v.source for v, _, _ in spots))
    points = [charts.Point(_x(when, due), numbers, label, order.index(v.source))
              for v, numbers, label in spots if v.status != "withdrawn" and (when := words.day(v.effective)) is not None]
    picture = _picture(name, title, points, due) if points else None
    rows = tuple(Row(_at(plan, v, today) if due else "", words.short(v.effective, today), _with_doubt(v), tuple(e.text for e in v.earlier),
                     v.status == "withdrawn", names.short(v.source)) for v in reversed(values))
    marks = tuple((charts.key_mark(i), names.short(source)) for i, source in enumerate(order)) if name == "hb" and len(order) > 1 else ()
    return Chart(name, title, sentence, picture, unit, due is not None, marks, rows)


def _picture(name: str, title: str, points: list[charts.Point], due: date | None) -> Markup:
    points = sorted(points, key=lambda p: p.x)
    where = [p.x for p in points]
    axis = charts.week_axis(where) if due else charts.day_axis(where, lambda x: f"{date.fromordinal(int(x)):%d-%m}")
    words_title = f"{title}, {len(points)} {'meting' if len(points) == 1 else 'metingen'}"
    if name == "rr":
        return charts.pressure_chart(name, words_title, points, axis, ((140, "grens 140"), (90, "grens 90")))
    return charts.line_chart(name, words_title, points, axis)


def _x(when: date, due: date | None) -> float:
    return words.gestation_days(when, due) / 7 if due else float(when.toordinal())


def _at(plan: Plan, value: Value, today: date) -> str:
    """When, in weeks while the plan counts them, else as a day."""
    due, when = words.day(plan.due), words.day(value.effective)
    if due is None or when is None or plan.phase == "loss":
        return ("vandaag " if when == today else "") + words.short(value.effective, today)
    return words.gestation(words.gestation_days(when, due))


def _order(text: str) -> str:
    at = words.moment(text)
    # Two times are compared in UTC; text that is only a day or less sorts before the hours of that day.
    return at.astimezone(UTC).isoformat() if at else text
