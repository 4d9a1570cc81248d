"""The tape: a midwife's tape measure on the edge of every page that shows one woman. Weeks 0–40 and six weeks after.

Decoration only (`aria-hidden`): the weeks always stand in the text as well.
"""

from __future__ import annotations

from typing import Final

from markupsafe import Markup

from hub.web.words import gestation

_TOP, _WEEKS = 2.0, 46
_PHASES: Final = (("t1", 0, 13), ("t2", 13, 28), ("t3", 28, 40), ("t4", 40, 46))


def tape(days: int | None) -> Markup:
    """The tape with today at `days` of pregnancy; without days the thin line that says: nobody in view."""
    if days is None or not 0 <= days <= _WEEKS * 7:
        return Markup('<svg class="tape none" aria-hidden="true" focusable="false"></svg>')
    now = days / 7
    bars = [bar for phase in _PHASES for bar in _phase(*phase, now)]
    marks = [_mark(week, now) for week in range(1, _WEEKS)]
    y = _at(now)
    flag = Markup('<rect class="now" x="0" width="100%" y="{:.2f}%" height="2%"/>'
                  '<text class="now-t" x="50%" text-anchor="middle" y="{:.2f}%" dy=".36em">{}</text>').format(y - 1, y, gestation(days))
    return Markup('<svg class="tape" aria-hidden="true" focusable="false">{}</svg>').format(Markup("").join([*bars, *marks, flag]))


def _at(week: float) -> float:
    """Where a week stands, in percent from the top."""
    return _TOP + week * (100 - 2 * _TOP) / _WEEKS


def _phase(name: str, begin: int, end: int, now: float) -> list[Markup]:
    """The part that is past over the full width, the part to come as a thin edge."""
    top, bottom = (0.0 if begin == 0 else _at(begin)), (100.0 if end == _WEEKS else _at(end))
    cut = min(max(_at(now), top), bottom)
    bar = Markup('<rect class="{}" x="0" width="{}" y="{:.2f}%" height="{:.2f}%"/>')
    past = [bar.format(name, "100%", top, cut - top)] if cut > top else []
    return past + ([bar.format(name, "3", cut, bottom - cut)] if bottom > cut else [])


def _mark(week: int, now: float) -> Markup:
    """A tick for a week, longer and numbered every fourth one up to the due date, unless today's flag would cover the number."""
    y, long = _at(week), week % 4 == 0
    tick = Markup('<line x1="0" x2="{}%" y1="{:.2f}%" y2="{:.2f}%"/>').format(42 if long else 20, y, y)
    numbered = long and week <= 40 and abs(week - now) > 1.1
    return tick + (Markup('<text x="50%" y="{:.2f}%" dy="-.3em">{}</text>').format(y, week) if numbered else Markup(""))
