"""Pages of those who watch over the hub: who looked (auditor), and how the sources are doing (auditor and engineer).

Neither shows a word of anyone's plan.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from datetime import date
from typing import Final, Literal
from urllib.parse import quote

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse

from authz.ask import Role
from fhir_profiles.errors import Invalid, Missing
from hub.web import reasons
from hub.web.frame import Frame
from hub.web.ports import AuditFilter, HeldRow, LedgerRow
from hub.web.sessions import SEARCH_S

_FORMS: Final = {"bundle": ("application/fhir+json; charset=utf-8", "inzage.json"), "csv": ("text/csv; charset=utf-8", "inzage.csv")}


def routes(frame: Frame) -> APIRouter:
    """`/auditor` and `/koppelingen`."""
    router = APIRouter()

    @router.get("/auditor")
    async def search(request: Request) -> Response:
        asker = frame.asker(request, Role.AUDITOR)
        sealed = request.query_params.get("z", "")
        wanted = _opened(frame, sealed)
        found = await frame.site.audit_search(asker, wanted)
        onward = frame.sessions.seal("search", asdict(replace(wanted, before=found.before))) if found.before else ""
        about = {row.about: quote(_sealed(frame, AuditFilter(about=row.about))) for row in found.rows if row.about}
        return frame.page(request, "auditor.html", about=about, wanted=wanted, found=found, sealed=quote(sealed or _sealed(frame, wanted)),
                          onward=quote(onward), why=reasons.for_asker)

    @router.post("/auditor")
    async def ask(request: Request) -> Response:
        frame.asker(request, Role.AUDITOR)
        fields = await frame.form(request)
        # Names may be searched for, and names do not belong in an address: the search goes into it sealed.
        return frame.to(f"/auditor?z={quote(_sealed(frame, _wanted(fields)))}")

    @router.get("/auditor/uitvoer/{form}")
    async def export(request: Request, form: str) -> Response:
        asker = frame.asker(request, Role.AUDITOR)
        if form not in _FORMS:
            raise Missing("deze uitvoer is er niet")
        kind: Literal["bundle", "csv"] = "csv" if form == "csv" else "bundle"
        media_type, name = _FORMS[form]
        wanted = _opened(frame, request.query_params.get("z", ""))
        chunks = await frame.site.audit_export(asker, replace(wanted, before=0), kind)
        return StreamingResponse(chunks, media_type=media_type, headers={"content-disposition": f'attachment; filename="{name}"'})

    @router.get("/koppelingen")
    async def sources(request: Request) -> Response:
        asker = frame.asker(request, Role.AUDITOR, Role.ENGINEER)
        statuses, ledger, held = await frame.site.sources(), await frame.site.ledger(), await frame.site.held()
        mine = [row for row in held if asker.role is Role.AUDITOR or _of(row, asker.ura)]
        return frame.page(request, "koppelingen.html", sources=statuses, names={s.source: s.name for s in statuses}, days=per_day(ledger),
                          rows=ledger, held=mine, elsewhere=sum(r.count for r in held) - sum(r.count for r in mine),
                          load=await frame.site.load())

    return router


def per_day(rows: Iterable[LedgerRow]) -> list[LedgerRow]:
    """The balance of all sources together, a row a day, newest first."""
    days: dict[str, LedgerRow] = {}
    for row in rows:
        old = days.get(row.day, LedgerRow("", row.day, 0, 0, 0, 0, 0))
        days[row.day] = LedgerRow("", row.day, old.received + row.received, old.recorded + row.recorded, old.unchanged + row.unchanged,
                                  old.ignored + row.ignored, old.held + row.held)
    return sorted(days.values(), key=lambda row: row.day, reverse=True)


def _of(row: HeldRow, ura: str) -> bool:
    """Whether a source belongs to an organisation: its name ends with the URA."""
    return bool(ura) and row.source.endswith("/" + ura)


def _sealed(frame: Frame, wanted: AuditFilter) -> str:
    return frame.sessions.seal("search", asdict(wanted))


def _opened(frame: Frame, sealed: str) -> AuditFilter:
    """The search in the address; everything when there is none or it is too old to open."""
    found = frame.sessions.unseal("search", sealed, SEARCH_S) if sealed else None
    return AuditFilter(**found[0]) if found else AuditFilter()  # type: ignore[arg-type]  # sealed by us from the same class


def _wanted(fields: Mapping[str, str]) -> AuditFilter:
    get = fields.get
    since, until = _day(get("van", "")), _day(get("tot", ""))
    if since and until and since > until:
        raise Invalid("de eerste dag ligt na de laatste", code="audit-days")
    kind: Literal["all", "refused"] = "refused" if get("soort") == "geweigerd" else "all"
    if not re.fullmatch(r"[0-9a-f]{0,64}", get("over", "").strip()):
        raise Invalid("een pseudoniem bestaat uit cijfers en de letters a tot en met f", code="audit-about")
    return AuditFilter(who=get("wie", "").strip()[:100], about=get("over", "").strip()[:64], kind=kind, since=since, until=until)


def _day(text: str) -> str:
    if not text:
        return ""
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        raise Invalid("een dag schrijft u als 2026-11-24", code="audit-days") from None
