"""An entry that lacks what NEN 7513 demands cannot be built, and what was kept can be read again."""

from __future__ import annotations

from dataclasses import replace

import pytest

from audit.entry import CLIENT_SEARCH, LOG_SEARCH, Entry, from_bytes, to_bytes
from tests.audit.lines import FULL, entry

MANDATORY = ["what.code", "what.action", "what.at", "what.outcome", "what.reason", "what.controls", "who.id", "who.role", "who.purpose",
             "who.ura", "about.subject", "about.release", "about.relation", "about.consent", "where.observer"]


def without(name: str) -> None:
    part, _, field = name.partition(".")
    replace(FULL, **{part: replace(getattr(FULL, part), **{field: ""})})


@pytest.mark.parametrize("name", MANDATORY)
def test_an_entry_without_a_mandatory_field_cannot_be_built(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        without(name)


def test_an_entry_without_an_id_cannot_be_built() -> None:
    with pytest.raises(ValueError, match="id"):
        replace(FULL, id="")


@pytest.mark.parametrize("change", [
    {"what__code": "made-up"}, {"what__action": "X"}, {"what__outcome": "maybe"}, {"what__controls": "TTT"}, {"what__controls": "TTTX"},
    {"what__at": "2026-11-24"}, {"what__at": "2026-11-24T09:31:02+01:00"}, {"subject": "een vrouw"}, {"subject": "a\x00"},
    {"who__ura": "1;2"}, {"what__action": "E"}, {"who__role": "system"},
])
def test_impossible_values_are_refused(change: dict[str, str]) -> None:
    with pytest.raises(ValueError):
        entry(**change)


def test_only_a_search_may_be_about_nobody() -> None:
    for code in (LOG_SEARCH, CLIENT_SEARCH):
        assert entry("", what__code=code, what__action="E", about__query="all").about.subject == ""
    with pytest.raises(ValueError, match=r"about\.subject"):
        entry("")


def test_what_was_kept_is_read_again_whole() -> None:
    assert from_bytes(to_bytes(FULL)) == FULL


def test_an_entry_of_a_newer_version_is_not_guessed_at() -> None:
    with pytest.raises(ValueError, match="newer"):
        from_bytes(to_bytes(FULL).replace(b"[1,", b"[2,", 1))


def test_an_entry_cannot_be_changed() -> None:
    made: Entry = entry()
    with pytest.raises(AttributeError):
        made.what.outcome = "refused"  # type: ignore[misc]  # that is the point
