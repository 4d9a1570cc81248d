"""From a plan to what a page says."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hub.plan.plan import Carer
from hub.web import shape
from hub.web.words import capital, term_for_her
from tests.web import sample
from tests.web.sample import TODAY, amount, line, noor, value

NOOR = noor("n" * 32)


@pytest.mark.parametrize(("sent", "said"), [("Multiple pregnancy (disorder)", "ja"), ("nee", "nee"), ("onbekend (niet gevraagd)", "onbekend (niet gevraagd)")])
def test_a_fact_that_is_its_own_answer_says_yes_in_dutch(sent: str, said: str) -> None:
    one = value("multiple-pregnancy", sent, sample.PRACTICE, "2026-07-02")
    assert shape.text_of(line("multiple-pregnancy", "Meerling", "Meerling", one), one) == said


def test_the_team_names_everyone_once_and_the_coordinator_first() -> None:
    practice = Carer(sample.LEPELAAR, "Organisatie", sample.LEPELAAR, "00700001", "020 555 01 01", False, "2026-05-07", "", sample.PRACTICE, "")
    plan = replace(NOOR, team=(practice, replace(practice, phone=""), sample.ANNA, sample.MARIT, replace(sample.MARIT, name="Els", until="2026-06-01")))
    assert [carer.name for carer in shape.team_now(plan)] == ["Marit Jansen", sample.LEPELAAR, "Anna de Wit"]
    assert shape.phone_of(plan, replace(sample.MARIT, phone="")) == "020 555 01 01"
    assert shape.phone_of(plan, sample.ANNA) == ""


def test_values_of_a_line_stand_once_and_in_order_of_their_own_time() -> None:
    late, early = amount("haemoglobin", 6.0, "mmol/L", sample.HIX, "2026-11-18T12:40:00+01:00"), amount("haemoglobin", 7.0, "mmol/L", sample.HIX, "2026-05")
    found = shape.all_values(replace(line("haemoglobin", "Hb", "Hb", early, late), voices=(late,)))
    assert [one.text for one in found] == ["7 mmol/L", "6 mmol/L"]


def test_weeks_are_counted_only_while_a_pregnancy_goes_on() -> None:
    assert shape.days_pregnant(NOOR, TODAY) == 222
    for phase in ("loss", "ended", "unknown"):
        assert shape.days_pregnant(replace(NOOR, phase=phase), TODAY) is None
    for due in ("", "2027", "2020-01-01", "2030-01-01", "onzin"):
        assert shape.days_pregnant(replace(NOOR, due=due), TODAY) is None


def test_gravidity_is_not_given_while_sources_disagree_on_it() -> None:
    assert shape.gravidity_parity(NOOR) == "G2P1"
    pregnancy = NOOR.sections["pregnancy"]
    parity = amount("parity", 0, "", sample.HIX, "2026-05-07")
    lines = tuple(replace(one, voices=(parity, parity)) if one.concept == "parity" else one for one in pregnancy.lines)
    assert shape.gravidity_parity(replace(NOOR, sections={"pregnancy": replace(pregnancy, lines=lines)})) == "G2"


def test_a_withdrawn_value_is_in_the_table_and_not_in_the_picture() -> None:
    gone = amount("haemoglobin", 2.0, "mmol/L", sample.HIX, "2026-10-01", status="withdrawn")
    measured = NOOR.sections["measurements"]
    lines = tuple(replace(one, history=(*one.history, gone)) if one.concept == "haemoglobin" else one for one in measured.lines)
    chart = shape.haemoglobin(replace(NOOR, sections={"measurements": replace(measured, lines=lines)}), shape.Names({}), TODAY)
    assert chart is not None
    assert [row.text for row in chart.rows if row.withdrawn] == ["2 mmol/L"]
    assert "3 metingen" in str(chart.picture)


def test_a_value_without_a_day_is_in_the_table_and_not_in_the_picture() -> None:
    vague = line("haemoglobin", "Hb", "Hb", amount("haemoglobin", 7.0, "mmol/L", sample.HIX, "2026"))
    plan = replace(NOOR, sections={"measurements": replace(NOOR.sections["measurements"], lines=(vague,))})
    chart = shape.haemoglobin(plan, shape.Names({}), TODAY)
    assert chart is not None
    assert (chart.picture, [row.when for row in chart.rows]) == (None, ["2026"])


def test_after_a_loss_charts_and_conflicts_know_no_weeks() -> None:
    lost = sample.lotte("l" * 32)
    chart = shape.haemoglobin(lost, shape.Names({}), TODAY)
    assert chart is not None
    assert not chart.weeks
    assert "due-date" not in {one.concept for one in shape.conflicts(lost)}


def test_a_duration_is_put_in_words_and_other_text_left_alone() -> None:
    assert [term_for_her(text) for text in ("19+0", "31+4", "onbekend", "+", "1+x")] == ["19 weken", "31 weken en 4 dagen", "onbekend", "+", "1+x"]


def test_a_sentence_begins_with_one_capital() -> None:
    assert [capital(word) for word in ("één", "twee", "")] == ["Eén", "Twee", ""]
