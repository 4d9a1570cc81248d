"""One request about one woman's plan: who calls, what is asked, and the plan as far as it opens.

The order of refusals is fixed: what the caller accepts (406), who he is (401), what he asks (400, 413, 415), whether he may (403). An
unknown patient and a forbidden one give one and the same 403, so nobody can find out who has a plan by trying. Making resources takes a
while, so it is done on a thread and never on the event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from fhir_profiles.errors import Invalid, Missing
from hub.api.answers import fhir
from hub.api.body import form_of
from hub.api.caller import Caller, caller_of
from hub.api.capability import taken
from hub.api.care_plan import search_set
from hub.api.elements import Fhir
from hub.api.ports import Parts
from hub.api.search import Query, accepts, plan_id_of, query_of, subject_of
from hub.door import Opened
from hub.plan.plan import Plan
from hub.plan.sections import SECTIONS
from hub.plan.show import show

ALL: Final = tuple(SECTIONS)
IDENTIFIER: Final = "identifier"


class Reading:
    """One request, read step by step."""

    def __init__(self, parts: Parts, request: Request) -> None:
        self.parts, self._request = parts, request

    async def begin(self, allowed: Collection[str] = ()) -> tuple[Caller, Query]:
        """Who calls and what he asks; a search by POST may say it in address and body. Raises in the fixed order of refusals."""
        scope = self._request.scope
        accepts(scope["headers"])
        caller = await caller_of(scope, self.parts.tokens)
        address = query_of(scope["query_string"], allowed)
        if address.one(IDENTIFIER):
            # Addresses end up in logs and histories of machines that are not ours.
            raise Invalid("an identifier does not belong in an address: use POST [base]/Patient/_search, with it in the body", code="use-post")
        if scope["method"] != "POST":
            return caller, address
        body = await form_of(scope["headers"], self._request.receive)
        return caller, query_of(b"&".join(part for part in (scope["query_string"], body) if part), allowed)

    async def plan(self, caller: Caller, subject: str, interaction: str, *, episode: str = "", query: str | None = None,
                   sections: tuple[str, ...] = ALL) -> Plan:
        """The plan through the door; `query` is a search's, for the trail.

        Raises `Forbidden`, and `Missing` when a pregnancy was named that is not hers.
        """
        action = "read" if query is None else "search"
        ask = caller.ask(subject, sections, interaction, episode=episode, action=action, query=query or "")
        opened = await self.parts.figures.counted(interaction, self.parts.door.read(ask))
        if episode and not any(key[0] == episode for key in opened.sections):
            raise Missing("there is no such plan")
        return await asyncio.to_thread(self.shown, subject, opened, sections)

    def shown(self, subject: str, opened: Opened, sections: tuple[str, ...] = ALL) -> Plan:
        """What the door handed over, as a plan; `sections` were asked for."""
        shut = {name: "not-asked" for name in ALL if name not in sections} | opened.closed
        return show(subject, opened.episode, opened.sections, self.parts.clock().date(), self.parts.names, shut)

    async def one(self, interaction: str, plan_id: str, make: Callable[[Plan], Fhir]) -> Response:
        """A resource made of the plan with this id."""
        caller, _ = await self.begin()
        subject, episode = plan_id_of(plan_id)
        plan = await self.plan(caller, subject, interaction, episode=episode)
        return await asyncio.to_thread(lambda: fhir(make(plan)))

    async def found(self, kind: str, make: Callable[[Plan], Fhir]) -> Response:
        """A searchset with the one resource of this type that is made of a woman's present plan."""
        caller, query = await self.begin(taken(kind))
        plan = await self.plan(caller, subject_of(query, self.parts.fhir_url, caller.own), f"fhir:{kind}", query=query.text)
        link = self_link(self.parts.fhir_url, kind, query)
        return await asyncio.to_thread(lambda: fhir(search_set([make(plan)], self.parts.fhir_url, link, 1)))


def self_link(base_url: str, kind: str, query: Query) -> str:
    """The address that gives the same answer; of a search by POST too."""
    return f"{base_url}/{kind}" + (f"?{query.text}" if query.text else "")
