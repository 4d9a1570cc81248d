"""Dates of R4 are days that exist."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_profiles.dates import day_of, is_date, is_date_time, is_instant, moment_of, runs_backwards
from fhir_profiles.errors import Invalid

zones = st.integers(-13 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
moments = st.datetimes(timezones=zones, min_value=datetime(2, 1, 1), max_value=datetime(9998, 12, 31))


@given(st.integers(0, 9999), st.integers(0, 13), st.integers(0, 32))
def test_a_day_is_a_date_exactly_when_the_calendar_has_it(year: int, month: int, day: int) -> None:
    try:
        exists = bool(date(year, month, day))
    except ValueError:
        exists = False
    text = f"{year:04}-{month:02}-{day:02}"
    assert is_date(text) is is_date_time(text) is exists


@pytest.mark.parametrize("year", [4, 400, 1900, 1996, 2000, 2023, 2024, 2100, 9996])
def test_29_february_exists_in_leap_years_only(year: int) -> None:
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    assert is_date(f"{year:04}-02-29") is leap


@given(moments)
def test_every_moment_that_python_writes_is_an_instant_and_reads_back(moment: datetime) -> None:
    assert is_instant(moment.isoformat()) and is_date_time(moment.isoformat())
    assert moment_of(moment.isoformat()) == moment


def test_a_moment_is_cut_to_microseconds() -> None:
    assert moment_of("2026-03-01T10:05:00.123456789Z") == datetime(2026, 3, 1, 10, 5, 0, 123456, UTC)
    assert moment_of("2026-03-01T10:05:00.5+01:00") == datetime(2026, 3, 1, 9, 5, 0, 500000, UTC)


@pytest.mark.parametrize("text", ["2026", "2026-03", "2026-03-01"])
def test_a_date_time_may_be_imprecise_but_an_instant_may_not(text: str) -> None:
    assert is_date_time(text) and not is_instant(text)


@pytest.mark.parametrize("text", ["", "2026-3-1", "20260301", "2026-03-01T", "2026-03-01T10:05:00", "2026-03-01 10:05:00Z",
                                  "2026-03-01T10:05:00z", "0000-01-01",
                                  "2026-03-01T10:05:00+1", "2026-03-01T10:05:60Z", "٢٠٢٦-03-01", "2026-03-01\n"])
def test_what_is_no_date_time_is_refused(text: str) -> None:
    assert not is_date_time(text)


def test_a_day_is_read_from_a_date_or_a_date_time_and_from_nothing_less() -> None:
    assert day_of("2026-03-01T23:59:00+01:00") == day_of("2026-03-01") == date(2026, 3, 1)
    for text in ("2026", "2026-03", "2026-02-30", "gisteren"):
        with pytest.raises(Invalid) as told:
            day_of(text)
        assert text not in told.value.public


def test_a_time_is_not_read_where_none_is_said() -> None:
    for text in ("2026-03-01", "2026-03-01T10:05:00", "2026-02-30T10:05:00Z"):
        with pytest.raises(Invalid):
            moment_of(text)


@given(moments, moments)
def test_a_period_of_moments_runs_backwards_when_its_start_is_later(start: datetime, end: datetime) -> None:
    assert runs_backwards(start.isoformat(), end.isoformat()) is (start > end)


@pytest.mark.parametrize(
    ("start", "end", "backwards"),
    [("2026-03-14", "2026-03", False), ("2026-03-14", "2026", False), ("2026-04", "2026-03-14", True), ("2026", "2025-12-31", True),
     ("2026-03-14", "2026-03-14T00:00:00Z", False), ("2026-03-15", "2026-03-14T23:00:00Z", True), ("x", "a", False)],
)
def test_imprecise_ends_of_a_period_are_compared_as_far_as_both_are_precise(start: str, end: str, backwards: bool) -> None:
    assert runs_backwards(start, end) is backwards


def test_a_period_at_the_edge_of_the_calendar_is_compared_by_day() -> None:
    assert not runs_backwards("0001-01-01T00:00:00+01:00", "0001-01-01T00:00:00+00:00")
    assert runs_backwards("9999-12-31T23:59:59-01:00", "9999-12-30T00:00:00Z")
