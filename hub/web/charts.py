"""Charts as SVG, drawn on the server: no script, no library, and the same picture on paper.

Each takes points and gives `Markup`; all text is escaped. Everything a chart shows also stands in the table under it.
The horizontal axis is a number (weeks of pregnancy, or days) with a function that names its ticks.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from markupsafe import Markup

_LEFT, _RIGHT, _TOP, _BOTTOM = 36.0, 534.0, 12.0, 178.0
MARKS: Final = 4
"""How many shapes there are to tell sources apart: dot, square, diamond, triangle."""


@dataclass(frozen=True, slots=True)
class Point:
    """One measurement: where on the axis, its value (a pair for a blood pressure, high first), the words for its label, its shape."""

    x: float
    y: tuple[float, ...]
    label: str
    mark: int = 0


@dataclass(frozen=True, slots=True)
class Axis:
    """The horizontal axis: its range, the step between ticks and how a tick is called."""

    low: float
    high: float
    step: float
    name: Callable[[float], str]

    def at(self, x: float) -> float:
        """Where a value stands in the picture."""
        return _LEFT + (x - self.low) / (self.high - self.low) * (_RIGHT - _LEFT)

    def ticks(self) -> list[float]:
        """The values with a tick."""
        return [self.low + i * self.step for i in range(int((self.high - self.low) / self.step + 1e-6) + 1)]


@dataclass(frozen=True, slots=True)
class _Scale:
    low: float
    high: float
    step: float

    def at(self, y: float) -> float:
        return _BOTTOM - (y - self.low) / (self.high - self.low) * (_BOTTOM - _TOP)


def line_chart(name: str, title: str, points: Sequence[Point], axis: Axis) -> Markup:
    """One quantity over time (Hb): a line with a mark a point, the last one with its value."""
    scale = _scale([point.y[0] for point in points], fewest=4)
    spots = [(axis.at(p.x), scale.at(p.y[0]), p) for p in points]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y, _ in spots)
    drawn = [Markup('<polyline class="ln" points="{}"/>').format(line), *(_mark(x, y, p.mark) for x, y, p in spots)]
    x, y, last = spots[-1]
    drawn.append(_label(x, y - 10 if y > _TOP + 14 else y + 18, last.label))
    return _picture(name, title, axis, scale, drawn)


def pressure_chart(name: str, title: str, points: Sequence[Point], axis: Axis, limits: Sequence[tuple[float, str]]) -> Markup:
    """Blood pressure as hospital carets: ▼ systolic, ▲ diastolic, joined; limits dashed and named at the line."""
    scale = _scale([value for point in points for value in point.y] + [value for value, _ in limits], fewest=4)
    drawn = [_limit(scale.at(value), words) for value, words in limits]
    for point in points:
        drawn += _carets(axis.at(point.x), scale.at(point.y[0]), scale.at(point.y[1]))
    last = points[-1]
    x = axis.at(last.x) + 9
    drawn += [_label(x, scale.at(last.y[0]) - 5, f"{last.y[0]:g}", "start"), _label(x, scale.at(last.y[1]) + 14, f"{last.y[1]:g}", "start")]
    return _picture(name, title, axis, scale, drawn)


def week_axis(weeks: Sequence[float]) -> Axis:
    """An axis in weeks around these values, never more than nine ticks."""
    low, high = math.floor((min(weeks) - 0.5) / 2) * 2, math.ceil((max(weeks) + 0.5) / 2) * 2
    high = max(high, low + 4)
    step = next(s for s in (1, 2, 4, 8, 16) if (high - low) / s <= 9)
    return Axis(low, low + math.ceil((high - low) / step) * step, step, lambda week: f"{week:g}")


def day_axis(days: Sequence[float], name: Callable[[float], str]) -> Axis:
    """An axis in days around these values, never more than seven ticks."""
    low, high = min(days), max(max(days), min(days) + 6)
    # Some room to the right, for the label of the last point.
    step = math.ceil((high - low) * 1.06 / 6)
    return Axis(low, low + 6 * step, step, name)


def _scale(values: Sequence[float], fewest: int) -> _Scale:
    """A vertical scale in round steps that holds all values with some air."""
    low, high = min(values), max(values)
    span = max(high - low, abs(high) * 0.1, 1e-6)
    rough = span / fewest
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(m * size for m in (1, 2, 5, 10) if m * size >= rough * (1 - 1e-9))
    bottom, top = math.floor((low - span * 0.08) / step) * step, math.ceil((high + span * 0.08) / step) * step
    return _Scale(bottom, top, step)


def _picture(name: str, title: str, axis: Axis, scale: _Scale, drawn: Sequence[Markup]) -> Markup:
    head = Markup('<svg viewBox="0 0 600 204" role="img" aria-labelledby="{0}-t"><title id="{0}-t">{1}</title>').format(name, title)
    steps = round((scale.high - scale.low) / scale.step)
    grid = [_grid(scale, scale.low + i * scale.step) for i in range(steps + 1)]
    base = Markup('<line class="axis" x1="{:g}" x2="{:g}" y1="{:g}" y2="{:g}"/>').format(_LEFT, _RIGHT, _BOTTOM, _BOTTOM)
    ticks = [_tick(axis.at(tick), axis.name(tick)) for tick in axis.ticks()]
    return Markup("").join([head, *grid, base, *ticks, *drawn, Markup("</svg>")])


def _grid(scale: _Scale, value: float) -> Markup:
    y, words = scale.at(value), f"{value:.10g}".replace(".", ",")
    return Markup('<line class="grid" x1="{:g}" x2="{:g}" y1="{:.1f}" y2="{:.1f}"/>'
                  '<text x="{:g}" y="{:.1f}" dy=".35em" text-anchor="end">{}</text>').format(_LEFT, _RIGHT, y, y, _LEFT - 6, y, words)


def _tick(x: float, words: str) -> Markup:
    return Markup('<line class="axis" x1="{:.1f}" x2="{:.1f}" y1="{:g}" y2="{:g}"/>'
                  '<text x="{:.1f}" y="{:g}" text-anchor="middle">{}</text>').format(x, x, _BOTTOM, _BOTTOM + 4, x, _BOTTOM + 17, words)


def _carets(x: float, high: float, low: float) -> list[Markup]:
    return [Markup('<line class="ln" x1="{:.1f}" x2="{:.1f}" y1="{:.1f}" y2="{:.1f}"/>').format(x, x, high, low),
            Markup('<path class="pt" d="M{:.1f} {:.1f}h9L{:.1f} {:.1f}Z"/>').format(x - 4.5, high - 5, x, high + 3),
            Markup('<path class="pt" d="M{:.1f} {:.1f}h9L{:.1f} {:.1f}Z"/>').format(x - 4.5, low + 5, x, low - 3)]


def _mark(x: float, y: float, mark: int) -> Markup:
    match mark % MARKS:
        case 1:
            return Markup('<rect class="pt" x="{:.1f}" y="{:.1f}" width="8" height="8"/>').format(x - 4, y - 4)
        case 2:
            return Markup('<path class="pt" d="M{:.1f} {:.1f}l6 6l-6 6l-6 -6Z"/>').format(x, y - 6)
        case 3:
            return Markup('<path class="pt" d="M{:.1f} {:.1f}l6 10h-12Z"/>').format(x, y - 6)
        case _:
            return Markup('<circle class="pt" cx="{:.1f}" cy="{:.1f}" r="4.5"/>').format(x, y)


def key_mark(mark: int) -> Markup:
    """The same shape for the line under the chart."""
    return Markup('<svg class="key" viewBox="0 0 14 14" aria-hidden="true">{}</svg>').format(_mark(7, 7, mark))


def _label(x: float, y: float, words: str, anchor: str = "middle") -> Markup:
    return Markup('<text class="txt" x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text>').format(x, y, anchor, words)


def _limit(y: float, words: str) -> Markup:
    return Markup('<line class="lim" x1="{:g}" x2="{:g}" y1="{:.1f}" y2="{:.1f}"/>'
                  '<text class="lim-t" x="{:g}" y="{:.1f}" dy=".35em">{}</text>').format(_LEFT, _RIGHT, y, y, _RIGHT + 5, y, words)
