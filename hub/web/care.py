"""The caregiver's pages: who she cares for, one woman's overview, and the timeline."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, Request, Response

from authz.ask import CAREGIVERS
from fhir_profiles.codes import HISTORY, MEASUREMENTS, PREGNANCY
from fhir_profiles.errors import Missing
from hub.plan.plan import Plan
from hub.views.timeline import timeline as timeline_of
from hub.web import reasons, shape
from hub.web.frame import Frame
from hub.web.live import live_stream
from hub.web.tape import tape

CHARTED = frozenset({"haemoglobin", "blood-pressure"})
NEWEST = 6


def routes(frame: Frame, cast: Sequence[tuple[str, str]] = ()) -> APIRouter:
    """`/zorg/...`: for caregivers only. The path names a pseudonym, never a person.

    `cast` are name and pseudonym of the women of the demo, to try the door with; empty outside demo mode.
    """
    router = APIRouter(prefix="/zorg")

    @router.get("")
    async def work_list(request: Request) -> Response:
        asker = frame.asker(request, *CAREGIVERS)
        rows = await frame.site.work_list(asker)
        return frame.page(request, "werklijst.html", rows=rows,
                          others=[(name, subject) for name, subject in cast if subject not in {row.subject for row in rows}])

    @router.get("/plan/{subject}")
    async def overview(request: Request, subject: str) -> Response:
        asker, episode = frame.asker(request, *CAREGIVERS), _episode(request)
        version = await frame.site.version(_hex(subject), episode)
        plan = await frame.site.overview(asker, subject, episode)
        live = f"/zorg/plan/{subject}/live" + (f"?zwangerschap={episode}" if episode else "")
        about = await _about(frame, plan)
        return frame.page(request, "overzicht.html", **about, version=version, live=live, at="overview",
                          newest=shape.newest(plan, NEWEST), charts=_charts(frame, plan, about["names"]), charted=CHARTED,
                          order=(PREGNANCY, MEASUREMENTS, HISTORY))

    @router.get("/plan/{subject}/tijdlijn")
    async def timeline(request: Request, subject: str) -> Response:
        asker, episode = frame.asker(request, *CAREGIVERS), _episode(request)
        plan = await frame.site.overview(asker, _hex(subject), episode)
        items = timeline_of(plan.sections, plan.dossiers)
        return frame.page(request, "tijdlijn.html", **await _about(frame, plan), items=items, at="timeline")

    @router.get("/plan/{subject}/live")
    async def live(request: Request, subject: str) -> Response:
        asker = frame.asker(request, *CAREGIVERS)
        changes = await frame.site.follow(asker, _hex(subject), _episode(request), request.query_params.get("sinds", ""))
        return live_stream(frame, request, changes)

    return router


async def _about(frame: Frame, plan: Plan) -> dict[str, Any]:
    """What stands above every page about one woman."""
    sources = await frame.site.sources()
    days = shape.days_pregnant(plan, frame.today)
    return {"plan": plan, "days": days, "tape": tape(days), "shape": shape, "names": shape.names_of(plan, sources),
            "sources": shape.sources_in(plan, sources), "conflicts": shape.conflicts(plan), "gp": shape.gravidity_parity(plan),
            "why": reasons.for_asker, "base": f"/zorg/plan/{plan.subject}", "tail": f"?zwangerschap={plan.episode}" if plan.episode else ""}


def _charts(frame: Frame, plan: Plan, names: shape.Names) -> list[shape.Chart]:
    found = (shape.haemoglobin(plan, names, frame.today), shape.pressure(plan, names, frame.today))
    return [chart for chart in found if chart is not None]


def _hex(text: str) -> str:
    """A pseudonym as it is; `Missing` for anything else, before it reaches the door or its record."""
    if len(text) != 32 or any(letter not in "0123456789abcdef" for letter in text):
        raise Missing("deze pagina is er niet", code="no-such-plan")
    return text


def _episode(request: Request) -> str:
    episode = request.query_params.get("zwangerschap", "")
    return _hex(episode) if episode else ""
