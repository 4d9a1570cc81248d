"""AuditEvent search: a woman sees who looked at her plan, an auditor searches the trail. Reading it is recorded as well.

An auditor may narrow by patient, agent (a person's id, or an organisation by its URA), date and outcome. Pages go by a token: the number
of the last line of the page before, so lines that come in meanwhile shift nothing.
"""

from __future__ import annotations

import asyncio
from typing import Final
from urllib.parse import urlencode

from starlette.responses import Response

from audit.audit_event import to_audit_event
from audit.entry import ERROR, REFUSED, SUCCESS, Line
from audit.trail import Filter
from authz.roles import ACCESS_LOG
from fhir_profiles.errors import Invalid
from fhir_profiles.identifiers import URA_SYSTEM
from hub.api.answers import fhir
from hub.api.caller import Caller
from hub.api.elements import Fhir
from hub.api.match import date_range
from hub.api.ports import Parts
from hub.api.search import MAX_PAGE, PAGE, Query, subject_of, whole

_OUTCOMES: Final = {"0": SUCCESS, "4": REFUSED, "8": ERROR}
_NARROWING: Final = ("agent", "date", "outcome")


async def search(parts: Parts, caller: Caller, query: Query) -> Response:
    """One page of AuditEvents as a searchset. Raises like the door, and `Invalid` for a query that is not taken."""
    own = bool(caller.own)
    if own and any(query.one(name) for name in _NARROWING):
        raise Invalid("your own list takes no other parameters than patient, _count and _page", code="search-parameter")
    subject = subject_of(query, parts.fhir_url) if query.one("patient") else caller.asker.subject
    count = whole(query.one("_count") or str(PAGE), "_count", 1, MAX_PAGE)
    after = whole(query.one("_page") or "0", "_page", 0, 999_999_999)
    ask = caller.ask(subject, (ACCESS_LOG,), "fhir:AuditEvent", action="search", query=query.text)
    opened = await parts.figures.counted(ask.interaction, parts.door.trail_of(ask, _filter(query), limit=count + 1, after=after))
    return await asyncio.to_thread(lambda: fhir(_page(opened.lines, count, own, parts.fhir_url, query)))


def _page(lines: list[Line], count: int, own: bool, base_url: str, query: Query) -> Fhir:
    shown, links = lines[:count], [{"relation": "self", "url": f"{base_url}/AuditEvent" + (f"?{query.text}" if query.text else "")}]
    if len(lines) > count:
        token = shown[-1].subject_seq if own else shown[-1].seq
        pairs = [(name, value) for name, values in query.values.items() for value in values if name != "_page"]
        links.append({"relation": "next", "url": f"{base_url}/AuditEvent?{urlencode([*pairs, ('_page', str(token))])}"})
    entries = [{"fullUrl": f"{base_url}/AuditEvent/{line.entry.id}", "resource": to_audit_event(line), "search": {"mode": "match"}}
               for line in shown]
    return {"resourceType": "Bundle", "type": "searchset", "link": links, **({"entry": entries} if entries else {})}


def _filter(query: Query) -> Filter:
    since, until = _span(query.all("date"))
    system, bar, value = query.one("agent").rpartition("|")
    if bar and not value:
        raise Invalid("an agent is named by an id", code="search-value")
    is_organisation = system == URA_SYSTEM
    outcome = query.one("outcome")
    if outcome and outcome not in _OUTCOMES:
        raise Invalid("outcome is 0, 4 or 8", code="search-value")
    return Filter(who="" if is_organisation else value, ura=value if is_organisation else "", outcome=_OUTCOMES.get(outcome, ""),
                  since=since, until=until)


def _span(wanted: list[str]) -> tuple[str, str]:
    """From the dates to (since, until), UTC, `until` excluded; empty text where nothing bounds."""
    since, until = [], []
    for text in wanted:
        prefix, (low, high) = date_range(text)
        if prefix == "ne":
            raise Invalid("the trail is not searched by what a date is not", code="search-date")
        since += {"eq": [low], "ge": [low], "gt": [high], "sa": [high]}.get(prefix, [])
        until += {"eq": [high], "le": [high], "lt": [low], "eb": [low]}.get(prefix, [])
    return (max(since).isoformat(timespec="microseconds") if since else "", min(until).isoformat(timespec="microseconds") if until else "")
