"""The FHIR R4 API: every route reads through the door, and replies with bytes.

The order of refusals is fixed: what the caller accepts (406), who he is (401), what he asks (400), whether he may (403). An unknown
patient and a forbidden one give one and the same 403, so nobody can find out who has a plan by trying. Making resources takes a
while, so it is done on a thread and never on the event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from typing import Any, Final
from urllib.parse import urlencode

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from fhir_profiles.codes import FRONT
from fhir_profiles.errors import BirthCareError, Missing
from hub.api import audit_events
from hub.api.answers import FHIR_JSON, WrongMethod, answer, fhir
from hub.api.caller import Caller, caller_of
from hub.api.capability import PAGING, capability_statement
from hub.api.care_plan import care_plan, composition_alone, document, search_set
from hub.api.edge import Edge
from hub.api.elements import Fhir
from hub.api.match import matches_code, matches_dates, newest_first
from hub.api.ports import Parts
from hub.api.resources import observations, patient
from hub.api.search import Query, accepts, id_of, page_of, plan_id_of, query_of, resource_id_of, subject_of
from hub.plan.plan import Plan
from hub.plan.sections import SECTIONS
from hub.plan.show import show

ALL: Final = tuple(SECTIONS)
_PATIENT: Final = ("patient", "subject")


def fhir_app(parts: Parts) -> FastAPI:
    """The application under /fhir. Faults of routing become OperationOutcomes like all others."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    app.include_router(create_router(parts), prefix="/fhir")
    app.add_exception_handler(BirthCareError, _fault)
    app.add_exception_handler(HTTPException, _unrouted)
    # Inside the framework's own last resort, which would hand the exception on to the server's log.
    app.add_middleware(Edge, media_type=FHIR_JSON)
    return app


async def _fault(_: Request, error: Exception) -> Response:
    assert isinstance(error, BirthCareError)
    return answer(error)


async def _unrouted(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 405:
        return answer(WrongMethod((error.headers or {}).get("Allow", "GET")))
    return answer(Missing("there is nothing here; see /fhir/metadata"))


class Reading:
    """One request about one plan: who calls, what the query says, and the plan as far as it opens."""

    def __init__(self, parts: Parts, request: Request) -> None:
        self._parts, self._request = parts, request

    async def begin(self, allowed: Collection[str]) -> tuple[Caller, Query]:
        """Who calls and what he asks; raises in the fixed order of refusals."""
        scope = self._request.scope
        accepts(scope["headers"])
        caller = await caller_of(scope, self._parts.tokens)
        return caller, query_of(scope["query_string"], allowed)

    async def plan(self, caller: Caller, subject: str, interaction: str, *, episode: str = "", query: str = "",
                   sections: tuple[str, ...] = ALL) -> Plan:
        """The plan through the door. Raises `Forbidden`, and `Missing` when a pregnancy was named that is not hers."""
        ask = caller.ask(subject, sections, interaction, episode=episode, action="search" if query else "read", query=query)
        opened = await self._parts.door.read(ask)
        if episode and not any(key[0] == episode for key in opened.sections):
            raise Missing("there is no such plan")
        today = self._parts.clock().date()
        shut = {name: "not-asked" for name in ALL if name not in sections} | opened.closed
        return await asyncio.to_thread(show, subject, opened.episode, opened.sections, today, self._parts.names, shut)

    async def one(self, interaction: str, plan_id: str, make: Callable[[Plan], Fhir]) -> Response:
        """A resource made of the plan with this id."""
        caller, _ = await self.begin(())
        subject, episode = plan_id_of(plan_id)
        plan = await self.plan(caller, subject, interaction, episode=episode)
        return await asyncio.to_thread(lambda: fhir(make(plan)))

    async def found(self, interaction: str, make: Callable[[Plan], Fhir]) -> Response:
        """A searchset with the one resource made of a woman's present plan."""
        caller, query = await self.begin(_PATIENT)
        plan = await self.plan(caller, subject_of(query, self._parts.fhir_url), interaction, query=query.text)
        link = f"{self._parts.fhir_url}{self._request.scope['path'].removeprefix('/fhir')}?{query.text}"
        return await asyncio.to_thread(lambda: fhir(search_set([make(plan)], self._parts.fhir_url, link, 1)))


def create_router(parts: Parts) -> APIRouter:
    """Every R4 route. The hot `$sections` is not among them: it is plain ASGI (`sections.py`)."""
    router = APIRouter()
    _add_metadata(router, parts)
    _add_plans(router, parts)
    _add_facts(router, parts)

    @router.get("/AuditEvent")
    async def audit_event_search(request: Request) -> Response:
        reading = Reading(parts, request)
        caller, query = await reading.begin((*audit_events.PARAMETERS, *PAGING))
        return await audit_events.search(parts, caller, query)

    return router


def _add_metadata(router: APIRouter, parts: Parts) -> None:
    statement = capability_statement(parts.fhir_url, parts.clock().isoformat(timespec="seconds"))

    @router.get("/metadata")
    async def metadata(request: Request) -> Response:
        accepts(request.scope["headers"])
        query_of(request.scope["query_string"], ())
        return Response(statement, media_type=FHIR_JSON)

    @router.get("/.well-known/smart-configuration")
    async def smart() -> Response:
        if parts.smart is None:
            raise Missing("this server has no login of its own")
        return fhir(dict(parts.smart), "application/json")


def _add_plans(router: APIRouter, parts: Parts) -> None:
    def now() -> str:
        return parts.clock().isoformat(timespec="seconds")

    @router.get("/CarePlan")
    async def care_plan_search(request: Request) -> Response:
        return await Reading(parts, request).found("fhir:CarePlan", care_plan)

    @router.get("/CarePlan/{plan_id}")
    async def care_plan_read(request: Request, plan_id: str) -> Response:
        return await Reading(parts, request).one("fhir:CarePlan", plan_id, care_plan)

    @router.get("/Composition")
    async def composition_search(request: Request) -> Response:
        return await Reading(parts, request).found("fhir:Composition", lambda plan: composition_alone(plan, now()))

    @router.get("/Composition/{plan_id}/$document")
    async def composition_document(request: Request, plan_id: str) -> Response:
        return await Reading(parts, request).one("fhir:$document", plan_id, lambda plan: document(plan, parts.fhir_url, now()))


def _add_facts(router: APIRouter, parts: Parts) -> None:
    @router.get("/Patient/{subject}")
    async def patient_read(request: Request, subject: str) -> Response:
        reading = Reading(parts, request)
        caller, _ = await reading.begin(())
        return fhir(patient(await reading.plan(caller, id_of(subject), "fhir:Patient", sections=(FRONT,))))

    @router.get("/Observation/{resource_id}")
    async def observation_read(request: Request, resource_id: str) -> Response:
        reading = Reading(parts, request)
        caller, _ = await reading.begin(())
        plan = await reading.plan(caller, resource_id_of(resource_id)[:32], "fhir:Observation")
        made = await asyncio.to_thread(observations, plan)
        found = next((resource for resource, _ in made if resource["id"] == resource_id), None)
        if found is None:
            raise Missing("there is no such observation, or it is not open to you")
        return fhir(found)

    @router.get("/Observation")
    async def observation_search(request: Request) -> Response:
        reading = Reading(parts, request)
        caller, query = await reading.begin((*_PATIENT, "code", "date", "_sort", *PAGING))
        subject, make = subject_of(query, parts.fhir_url), _observation_page(parts.fhir_url, query)
        plan = await reading.plan(caller, subject, "fhir:Observation", query=query.text)
        return await asyncio.to_thread(lambda: fhir(make(plan)))


def _observation_page(base_url: str, query: Query) -> Callable[[Plan], Fhir]:
    """A page of the Observations that fit, as a function of the plan: a fault in the query is told before the door is tried."""
    has_code = matches_code(query.one("code")) if query.one("code") else lambda resource: True
    in_time, sort, (first, count) = matches_dates(query.all("date")), query.one("_sort"), page_of(query)
    newest_first([], sort)

    def page(plan: Plan) -> Fhir:
        fitting = newest_first([(r, when) for r, when in observations(plan) if in_time(when) and has_code(r)], sort)
        shown = fitting[first:first + count]
        following = _next(base_url, query) if count and first + count < len(fitting) else ""
        return search_set(shown, base_url, f"{base_url}/Observation?{query.text}", len(fitting), following)

    return page


def _next(base_url: str, query: Query) -> str:
    pairs: list[tuple[str, Any]] = [(name, value) for name, values in query.values.items() for value in values if name != "_page"]
    return f"{base_url}/Observation?{urlencode([*pairs, ('_page', int(query.one('_page') or '1') + 1)])}"
