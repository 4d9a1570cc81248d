"""Dutch dates, weeks and numbers, hers and the caregiver's."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.web import words
from hub.web.tape import tape

TODAY = date(2026, 11, 24)


@pytest.mark.parametrize(("iso", "hers", "short"), [
    ("2026-11-24T09:40:00+01:00", "vandaag, 9.40 uur", "09:40"),
    ("2026-11-23T23:30:00Z", "vandaag, 0.30 uur", "00:30"),
    ("2026-11-23", "gisteren", "23-11"),
    ("2026-11-18T11:40:00.000Z", "18 november, 12.40 uur", "18-11 12:40"),
    ("2026-07-02T12:00:00", "2 juli, 12.00 uur", "02-07 12:00"),
    ("2025-03-12", "12 maart 2025", "12-03-2025"),
    ("2019-05", "mei 2019", "05-2019"),
    ("2019", "2019", "2019"),
    ("", "", ""),
    ("onzin", "onzin", "onzin"),
])
def test_a_time_keeps_the_precision_it_came_with(iso: str, hers: str, short: str) -> None:
    assert words.for_her(iso, TODAY) == hers
    assert words.short(iso, TODAY) == short


@pytest.mark.parametrize(("iso", "hers"), [
    ("2026-11-24", "24 november"), ("2027-01-27", "27 januari"), ("2026-10-13", "13 oktober"), ("2026-10-12", "12 oktober 2026"),
    ("2026-03-07", "7 maart 2026"), ("2025-11-24", "24 november 2025"), ("2027-11-25", "25 november 2027"), ("2027-12", "december 2027"),
])
def test_an_expected_date_says_its_year_unless_it_is_the_one_that_comes(iso: str, hers: str) -> None:
    assert words.due_for_her(iso, TODAY) == hers


@given(st.text(max_size=40))
def test_no_text_from_a_source_breaks_a_date(text: str) -> None:
    for say in (words.for_her, words.short, words.short_day, words.weekday_for_her, words.due_for_her):
        assert isinstance(say(text, TODAY), str)
    assert isinstance(words.full_short(text), str)
    assert isinstance(words.iso_of(text), str)


@pytest.mark.parametrize(("days", "hers", "clinical"), [
    (221, "31 weken en 4 dagen", "31+4"), (7, "1 week", "1+0"), (280, "40 weken", "40+0"), (85, "12 weken en 1 dag", "12+1"),
])
def test_weeks_in_words_and_as_caregivers_write_them(days: int, hers: str, clinical: str) -> None:
    assert (words.gestation_for_her(days), words.gestation(days)) == (hers, clinical)


@given(st.integers(min_value=0, max_value=280))
def test_the_due_date_is_forty_weeks(days: int) -> None:
    assert words.gestation_days(TODAY, TODAY + timedelta(days=280 - days)) == days


def test_a_silent_source_is_named_by_weekday_within_a_week() -> None:
    assert words.weekday_for_her("2026-11-20T15:10:00Z", TODAY) == "vrijdag"
    assert words.weekday_for_her("2026-11-10T15:10:00Z", TODAY) == "10 november, 16.10 uur"


def test_an_enumeration_reads_as_a_sentence() -> None:
    assert [words.enumeration(list("abc")[:n]) for n in range(4)] == ["", "a", "a en b", "a, b en c"]


def test_numbers_have_a_gap_between_thousands() -> None:
    assert (words.number(6353), words.counted(3), words.counted(11)) == ("6 353", "drie", "11")


def test_an_organisation_has_a_short_name_and_a_name_for_her() -> None:
    name = "Verloskundigenpraktijk De Lepelaar"
    assert (words.short_name(name), words.name_for_her(name)) == ("De Lepelaar", "praktijk De Lepelaar")
    assert words.name_for_her("Ziekenhuis Rijnoever") == "Ziekenhuis Rijnoever"


@pytest.mark.parametrize(("word", "parts"), [
    ("Zwangerschapsduur", ["Zwangerschaps", "duur"]), ("Verloskundigenpraktijk De Lepelaar", ["Verloskundigen", "praktijk De Lepelaar"]),
    ("Einde van de zwangerschap", ["Einde van de zwangerschap"]), ("duur van de menstruatie", ["duur van de menstruatie"]),
])
def test_a_long_word_breaks_between_its_parts_and_never_before_a_word_of_its_own(word: str, parts: list[str]) -> None:
    assert words.soft(word).split("\u00ad") == parts


@given(st.integers(min_value=-50, max_value=400))
def test_the_tape_shows_today_within_its_weeks_and_nobody_outside(days: int) -> None:
    drawn = str(tape(days))
    assert (words.gestation(days) in drawn) == (0 <= days <= 322)
    assert ("tape none" in drawn) == (not 0 <= days <= 322)


def test_no_woman_in_view_is_a_thin_line() -> None:
    assert "tape none" in str(tape(None))
