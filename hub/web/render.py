"""Templates to HTML: Jinja2 with escaping always on and no forgotten names, and the words as filters."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined, pass_context
from jinja2.runtime import Context
from markupsafe import Markup, escape

from hub.web import words
from hub.web.ports import ClientRow

HERE: Final = Path(__file__).parent


class Templates:
    """The pages' templates. `assets` gives the address of each static file."""

    def __init__(self, assets: Mapping[str, str]) -> None:
        self._env = Environment(loader=FileSystemLoader(HERE / "templates"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
                                lstrip_blocks=True, auto_reload=False)
        self._env.globals.update(asset=lambda name: assets[name], icon=icon, weeks=words.gestation_for_her, term=words.gestation,
                                 her_date=_her_date, full_date=_full_date, term_of=_term_of)
        self._env.filters.update(_FILTERS)

    def render(self, template: str, **context: object) -> str:
        """The page as text."""
        return self._env.get_template(template).render(context)


def icon(name: str, extra: str = "") -> Markup:
    """One of the icons of the sheet, for decoration beside its word."""
    return Markup('<svg class="i {}" aria-hidden="true" viewBox="0 0 16 16"><use href="#i-{}"/></svg>').format(escape(extra), escape(name))


@pass_context
def _for_her(context: Context, text: str) -> str:
    return words.for_her(text, context["today"])


@pass_context
def _weekday(context: Context, text: str) -> str:
    return words.weekday_for_her(text, context["today"])


@pass_context
def _short(context: Context, text: str) -> str:
    return words.short(text, context["today"])


@pass_context
def _short_day(context: Context, text: str) -> str:
    return words.short_day(text, context["today"])


@pass_context
def _her_date(context: Context, text: str) -> str:
    """A date that stands as text in a value, in her words; anything else as it is."""
    return words.due_for_her(words.iso_of(text), context["today"])


def _full_date(text: str) -> str:
    when = words.day(text)
    return words.full_day(when) if when else text


@pass_context
def _term_of(context: Context, row: ClientRow) -> str:
    """How far a client of the work list is: 31+5, or "" when no weeks are counted."""
    due = words.day(row.due)
    if row.phase != "pregnant" or due is None:
        return ""
    days = words.gestation_days(context["today"], due)
    return words.gestation(days) if 0 <= days <= 46 * 7 else ""


_FILTERS: Final = {
    "for_her": _for_her, "weekday": _weekday, "short": _short, "short_day": _short_day, "full_short": words.full_short,
    "clock": words.clock, "clock_for_her": words.clock_for_her, "count": words.number, "counted": words.counted,
    "soft": words.soft, "short_name": words.short_name, "role_nl": words.role_nl,
    "purpose_for_her": words.purpose_for_her, "purpose_short": words.purpose_short, "sections_for_her": words.sections_for_her,
    "sections_short": words.sections_short, "capital": words.capital, "small": lambda text: text[:1].lower() + text[1:],
    "term_for_her": words.term_for_her,
}
