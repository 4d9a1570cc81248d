"""Her pages: her plan, who saw it, and with whom she shares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from fastapi import APIRouter, Request, Response

from authz.ask import Role
from fhir_profiles.codes import CARE_TEAM, FRONT, HISTORY, MEASUREMENTS, PREGNANCY
from fhir_profiles.errors import Missing
from hub.web import reasons, shape, words
from hub.web.frame import Frame
from hub.web.live import live_stream
from hub.web.ports import TrailLine
from hub.web.tape import tape

ORDER = (PREGNANCY, MEASUREMENTS, HISTORY)
TITLES = {PREGNANCY: "Mijn zwangerschap", MEASUREMENTS: "Metingen en uitslagen", HISTORY: "Mijn gezondheid", CARE_TEAM: "Mijn zorgteam",
          FRONT: "Over mij"}


@dataclass(frozen=True, slots=True)
class Looks:
    """Looks in a row by the same person at the same things: shown once, with how often. `last` and `first` are by time."""

    last: TrailLine
    first: TrailLine
    count: int


def routes(frame: Frame) -> APIRouter:
    """`/mijn/...`: for the woman herself only."""
    router = APIRouter(prefix="/mijn")

    @router.get("/plan")
    async def plan(request: Request) -> Response:
        asker = frame.asker(request, Role.CLIENT)
        version = await frame.site.version(asker.subject, "")
        mine = await frame.site.own_plan(asker)
        sources = await frame.site.sources()
        days = shape.days_pregnant(mine, frame.today)
        return frame.page(request, "plan.html", plan=mine, names=shape.names_of(mine, sources), sources=shape.sources_in(mine, sources),
                          days=days, tape=tape(days), order=ORDER, titles=TITLES, shape=shape, version=version, live="/mijn/live",
                          why=reasons.for_woman)

    @router.get("/live")
    async def live(request: Request) -> Response:
        asker = frame.asker(request, Role.CLIENT)
        changes = await frame.site.follow(asker, asker.subject, "", request.query_params.get("sinds", ""))
        return live_stream(frame, request, changes)

    @router.get("/wie-zag")
    async def trail(request: Request) -> Response:
        asker = frame.asker(request, Role.CLIENT)
        page = await frame.site.trail(asker, _cursor(request))
        days = [(day, together(list(group))) for day, group in groupby(page.lines, key=lambda line: words.day(line.at))]
        return frame.page(request, "wie_zag.html", days=days, gaps=gaps(page.lines), words=words, why=reasons.for_woman, before=page.before,
                          last=page.lines[0].seq if page.lines else 0, first=page.lines[-1].seq if page.lines else 0)

    @router.get("/delen")
    async def sharing(request: Request) -> Response:
        asker = frame.asker(request, Role.CLIENT)
        rows = await frame.site.sharing(asker)
        saved = next((row for row in rows if row.ura == request.query_params.get("bewaard")), None)
        return frame.page(request, "delen.html", rows=rows, saved=saved)

    @router.post("/delen")
    async def answer(request: Request) -> Response:
        asker = frame.asker(request, Role.CLIENT)
        fields = await frame.form(request)
        ura, chosen = fields.get("organisatie", ""), fields.get("antwoord", "")
        if chosen not in ("ja", "nee") or not (ura.isascii() and ura.isdigit() and len(ura) == 8):
            raise Missing("deze keuze kennen wij niet", code="consent-choice")
        await frame.site.answer(asker, ura, chosen == "ja")
        return frame.to(f"/mijn/delen?bewaard={ura}")

    return router


def together(lines: Sequence[TrailLine]) -> list[Looks]:
    """Lines of one day, newest first, with looks in a row by the same person at the same things taken together.

    A page that stayed open belongs to the look before it: it counts only when there is nothing else.
    """
    found = []
    for _, group in groupby(lines, key=_same):
        same = list(group)
        looks = [line for line in same if line.kind != "open"] or same[-1:]
        found.append(Looks(looks[0], looks[-1], len(looks)))
    return found


def _same(line: TrailLine) -> tuple[object, ...]:
    kind = "plan" if line.kind == "open" else line.kind
    return line.who, line.role, line.organisation, line.sections, line.allowed, line.reason, line.purpose, kind


def gaps(lines: Sequence[TrailLine]) -> list[int]:
    """Sequence numbers that are missing between the first and the last line; there should be none."""
    have = {line.seq for line in lines}
    return [seq for seq in range(min(have), max(have)) if seq not in have][:20] if have else []


def _cursor(request: Request) -> int:
    text = request.query_params.get("voor", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else 0
