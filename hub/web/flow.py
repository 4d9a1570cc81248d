"""The picture on the demo's start page: sources on the left, what was received and recorded in the middle, who reads it on the right."""

from __future__ import annotations

from datetime import date
from typing import Final

from markupsafe import Markup

from hub.web import words
from hub.web.ports import Pulse, SourceStatus

_MOST: Final = 6
_READERS: Final = (("Haar plan", "in gewone taal"), ("Overzicht", "voor haar zorgverleners"), ("Wie zag het", "ook wat werd geweigerd"))


def flow_picture(pulse: Pulse, today: date) -> Markup:
    """The flow as SVG, with live counts. Its meaning also stands in the text beside it."""
    sources = list(pulse.sources[:_MOST])
    height = max(3, len(sources)) * 58 + 58
    middle = height / 2 - 29
    parts = [_source(i, source, middle, len(sources), height, today) for i, source in enumerate(sources)]
    parts += [_pipe(f"M420 {middle:g}H480", True), _pipe(f"M450 {middle:g}V{height - 35:g}H480", False),
              _node(290, middle - 23, 130, "Ontvangen", f"{words.number(pulse.received)} berichten"),
              _node(480, middle - 23, 130, "Opgenomen", f"{words.number(pulse.recorded)} berichten"),
              _node(480, height - 58, 130, "Vastgehouden", f"{words.number(pulse.held)}, met reden" if pulse.held else "geen", "heldbox" if pulse.held else "")]
    for i, (title, sub) in enumerate(_READERS):
        y = middle + (i - 1) * 58
        parts += [_pipe(f"M610 {middle:g}C650 {middle:g} 650 {y:g} 690 {y:g}", True), _node(690, y - 23, 190, title, sub)]
    head = Markup('<svg class="flowmap" viewBox="-1 0 882 {:g}" role="img" aria-labelledby="fl"><title id="fl">{}</title>').format(
        height, _sentence(pulse))
    return Markup("").join([head, *parts, Markup("</svg>")])


def _sentence(pulse: Pulse) -> str:
    silent = sum(source.state == "silent" for source in pulse.sources)
    return (f"Berichten stromen van {words.counted(len(pulse.sources))} bronnen via ontvangen ({words.number(pulse.received)}) "
            f"en opgenomen ({words.number(pulse.recorded)}) naar het plan. Vastgehouden: {words.counted(pulse.held)}. "
            f"Bronnen die zwijgen: {words.counted(silent)}.")


def _source(i: int, source: SourceStatus, middle: float, count: int, height: float, today: date) -> Markup:
    y = middle + (i - (count - 1) / 2) * 58
    works = source.state == "running"
    sub = _sub(source, today)
    node = _node(0, y - 23, 190, _fitting(source.name), sub)
    return _pipe(f"M190 {y:g}C240 {y:g} 230 {middle:g} 290 {middle:g}", works) + node


def _fitting(name: str) -> str:
    name = name if len(name) <= 22 else words.short_name(name)
    return name if len(name) <= 22 else name[:21] + "…"


def _sub(source: SourceStatus, today: date) -> str:
    if source.state == "never":
        return f"{source.kind} · nog niets"
    if source.state == "silent":
        return f"zwijgt sinds {words.short(source.last, today)}"
    return f"{source.kind} · {words.clock(source.last)}"


def _pipe(path: str, works: bool) -> Markup:
    line = Markup('<path class="pipe{}" d="{}"/>').format("" if works else " bad", path)
    return line + (Markup('<path class="go" d="{}"/>').format(path) if works else Markup(""))


def _node(x: float, y: float, width: float, title: str, sub: str, extra: str = "") -> Markup:
    return Markup('<rect class="node {}" x="{:g}" y="{:g}" width="{:g}" height="46"/><text class="st" x="{:g}" y="{:g}">{}</text>'
                  '<text class="q" x="{:g}" y="{:g}">{}</text>').format(extra, x, y, width, x + 10, y + 19, title, x + 10, y + 36, sub)
