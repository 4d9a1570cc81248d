"""Which pregnancy a dossier or a dated fact belongs to."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hub.identity.pregnancies import Pregnancy, WomanState, episode_on, join

HER = "a" * 32


def said(status: str = "active", due: str = "", gravidity: int | None = None, started: str = "", ended: str = "") -> Pregnancy:
    return Pregnancy("", status, due, gravidity, started, ended)


def test_two_dossiers_of_one_pregnancy_join_though_their_due_dates_differ_by_days() -> None:
    first = join(WomanState(), HER, "practice", said(due="2027-01-21", gravidity=2))
    second = join(first.state, HER, "hospital", said(due="2027-01-24", gravidity=2))
    assert second.episode == first.episode
    assert len(second.state.pregnancies) == 1
    assert second.why == "expected dates 3 days apart"


def test_an_earlier_pregnancy_of_the_same_woman_stays_apart() -> None:
    earlier = join(WomanState(), HER, "practice-1", said("finished", gravidity=1, ended="2024-02-03"))
    present = join(earlier.state, HER, "practice-2", said(due="2027-01-21", gravidity=2))
    assert present.episode != earlier.episode


def test_gravidity_that_differs_by_one_does_not_part_what_the_dates_join() -> None:
    first = join(WomanState(), HER, "practice", said(due="2027-01-21", gravidity=3))
    second = join(first.state, HER, "hospital", said(due="2027-01-20", gravidity=4))
    assert second.episode == first.episode


def test_a_dossier_that_fits_two_pregnancies_is_not_guessed() -> None:
    state = WomanState((Pregnancy("e1", "active", "2027-01-01"), Pregnancy("e2", "active", "2027-02-05")))
    outcome = join(state, HER, "third", said(due="2027-01-18"))
    assert outcome.episode not in ("e1", "e2")
    assert outcome.why == "several pregnancies fit"


def test_the_same_dossier_comes_back_to_its_pregnancy_whatever_it_says_now() -> None:
    first = join(WomanState(), HER, "practice", said(due="2027-01-21"))
    again = join(first.state, HER, "practice", said("finished", due="2025-05-05", ended="2026-07-01"))
    assert again.episode == first.episode
    assert again.state.pregnancies[0].status == "finished"


def test_a_dated_fact_without_a_dossier_goes_to_the_pregnancy_that_holds_its_day() -> None:
    state = WomanState((Pregnancy("old", "finished", "2024-02-10", 1, "", "2024-02-03"), Pregnancy("now", "active", "2027-01-21", 2)))
    assert episode_on(state, "2026-11-18T09:12:00+01:00") == "now"
    assert episode_on(state, "2023-11-18") == "old"
    assert episode_on(state, "2025-06-01") == ""


def test_a_fact_without_a_date_goes_to_the_only_running_pregnancy_or_to_none() -> None:
    running = WomanState((Pregnancy("now", "active", "2027-01-21"),))
    over = WomanState((Pregnancy("old", "finished", "2024-02-10"),))
    assert episode_on(running, "") == "now"
    assert episode_on(over, "") == ""


@given(st.permutations([("a", said(due="2027-01-21", gravidity=2)), ("b", said(due="2027-01-24", gravidity=2)), ("c", said(due="2027-01-19", gravidity=3))]))
def test_dossiers_of_one_pregnancy_join_in_whichever_order_they_come(order: list[tuple[str, Pregnancy]]) -> None:
    state = WomanState()
    episodes = set()
    for dossier, words in order:
        outcome = join(state, HER, dossier, words)
        state = outcome.state
        episodes.add(outcome.episode)
    assert len(episodes) == 1


def test_the_state_survives_its_own_storage() -> None:
    state = join(WomanState(), HER, "practice", said(due="2027-01-21", gravidity=2)).state
    assert WomanState.from_json(state.to_json()) == state
