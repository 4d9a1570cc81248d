"""Dutch text for values and dates."""

from __future__ import annotations

from datetime import date

import pytest

from hub.plan.dutch import clinical_date, day_of, gestation_days, number_text, plain_date, sortable, weeks_and_days, with_unit


def test_the_due_date_is_day_280_and_weeks_are_counted_from_it() -> None:
    assert gestation_days(date(2026, 10, 21), date(2026, 10, 21)) == 280
    assert weeks_and_days(gestation_days(date(2026, 8, 23), date(2026, 10, 21))) == "31+4"


@pytest.mark.parametrize(("number", "text"), [(6.6, "6,6"), (118.0, "118,0"), (118, "118"), (0.05, "0,05"), (7, "7"), (-1.5, "-1,5")])
def test_numbers_have_a_decimal_comma(number: float, text: str) -> None:
    assert number_text(number) == text


def test_the_unit_does_not_break_off() -> None:
    assert with_unit(76, "mm[Hg]") == "76\u00a0mmHg"
    assert with_unit(9, "") == "9"


@pytest.mark.parametrize(("iso", "clinical", "plain"), [
    ("2026-01-21", "21-01-2026", "21 januari"),
    ("2026-01", "01-2026", "01-2026"),
    ("2026", "2026", "2026"),
    ("2026-06-30T22:30:00Z", "01-07-2026 00:30", "1 juli"),
    ("2026-01-21T10:00:00", "21-01-2026 10:00", "21 januari"),
    ("onbekend", "onbekend", "onbekend"),
    ("2026-02-31", "31-02-2026", "31-02-2026"),
])
def test_dates_for_caregivers_and_for_her(iso: str, clinical: str, plain: str) -> None:
    assert clinical_date(iso) == clinical
    assert plain_date(iso) == plain


def test_the_year_is_told_when_asked() -> None:
    assert plain_date("2026-01-21", year=True) == "21 januari 2026"
    assert day_of("2026-13-01") is None


def test_times_sort_by_moment_whatever_the_offset() -> None:
    assert sortable("2026-05-20T09:00:00+02:00") < sortable("2026-05-20T08:00:00Z")
    assert sortable("2026-05-20") < sortable("2026-05-20T08:00:00Z") < sortable("2026-05-21")
