"""The FHIR R4 API: every route reads through the door, and replies with bytes. `reading.py` has the order of refusals."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from fhir_profiles.codes import FRONT
from fhir_profiles.errors import BirthCareError, Missing
from hub.api import audit_events, patients
from hub.api.answers import FHIR_JSON, WrongMethod, answer, fhir
from hub.api.capability import PATIENT, capability_statement, taken
from hub.api.care_plan import care_plan, composition_alone, document, search_set
from hub.api.edge import Edge
from hub.api.elements import Fhir
from hub.api.match import matches_code, matches_dates, newest_first
from hub.api.ports import Parts
from hub.api.reading import Reading, self_link
from hub.api.resources import observations, patient
from hub.api.search import Query, accepts, id_of, page_of, query_of, resource_id_of, subject_of
from hub.plan.plan import Plan


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


async def _unrouted(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 405:
        # Not what the framework found: `_search` also looks like an id to it.
        return answer(WrongMethod("POST" if request.scope["path"].endswith("/_search") else "GET"))
    return answer(Missing("there is nothing here; see /fhir/metadata"))


def create_router(parts: Parts) -> APIRouter:
    """Every R4 route. The hot `$sections` is not among them: it is plain ASGI (`sections.py`)."""
    router = APIRouter()
    _add_metadata(router, parts)
    _add_plans(router, parts)
    _add_facts(router, parts)

    async def audit_event_search(request: Request) -> Response:
        caller, query = await Reading(parts, request).begin(taken("AuditEvent"))
        return await audit_events.search(parts, caller, query)

    async def patient_search(request: Request) -> Response:
        return await patients.search(Reading(parts, request))

    _add_search(router, "AuditEvent", audit_event_search)
    _add_search(router, PATIENT, patient_search)
    return router


def _add_search(router: APIRouter, kind: str, search: Callable[[Request], Awaitable[Response]]) -> None:
    """A search by GET, and the same by POST with its parameters in the body."""
    router.add_api_route(f"/{kind}", search, methods=["GET"])
    router.add_api_route(f"/{kind}/_search", search, methods=["POST"])


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

    async def care_plan_search(request: Request) -> Response:
        return await Reading(parts, request).found("CarePlan", care_plan)

    async def composition_search(request: Request) -> Response:
        return await Reading(parts, request).found("Composition", lambda plan: composition_alone(plan, now()))

    _add_search(router, "CarePlan", care_plan_search)
    _add_search(router, "Composition", composition_search)

    @router.get("/CarePlan/{plan_id}")
    async def care_plan_read(request: Request, plan_id: str) -> Response:
        return await Reading(parts, request).one("fhir:CarePlan", plan_id, care_plan)

    @router.get("/Composition/{plan_id}/$document")
    async def composition_document(request: Request, plan_id: str) -> Response:
        return await Reading(parts, request).one("fhir:$document", plan_id, lambda plan: document(plan, parts.fhir_url, now()))


def _add_facts(router: APIRouter, parts: Parts) -> None:
    @router.get("/Patient/{subject}")
    async def patient_read(request: Request, subject: str) -> Response:
        reading = Reading(parts, request)
        caller, _ = await reading.begin()
        return fhir(patient(await reading.plan(caller, id_of(subject), "fhir:Patient", sections=(FRONT,))))

    @router.get("/Observation/{resource_id}")
    async def observation_read(request: Request, resource_id: str) -> Response:
        reading = Reading(parts, request)
        caller, _ = await reading.begin()
        plan = await reading.plan(caller, resource_id_of(resource_id)[:32], "fhir:Observation")
        made = await asyncio.to_thread(observations, plan)
        found = next((resource for resource, _ in made if resource["id"] == resource_id), None)
        if found is None:
            raise Missing("there is no such observation, or it is not open to you")
        return fhir(found)

    async def observation_search(request: Request) -> Response:
        reading = Reading(parts, request)
        caller, query = await reading.begin(taken("Observation"))
        subject, make = subject_of(query, parts.fhir_url, caller.own), _observation_page(parts.fhir_url, query)
        plan = await reading.plan(caller, subject, "fhir:Observation", query=query.text)
        return await asyncio.to_thread(lambda: fhir(make(plan)))

    _add_search(router, "Observation", observation_search)


def _observation_page(base_url: str, query: Query) -> Callable[[Plan], Fhir]:
    """A page of the Observations that fit, as a function of the plan: a fault in the query is told before the door is tried."""
    has_code = matches_code(query.one("code")) if query.one("code") else lambda resource: True
    in_time, sort, (first, count) = matches_dates(query.all("date")), query.one("_sort"), page_of(query)
    newest_first([], sort)

    def page(plan: Plan) -> Fhir:
        fitting = newest_first([(r, when) for r, when in observations(plan) if in_time(when) and has_code(r)], sort)
        shown = fitting[first:first + count]
        following = _next(base_url, query) if count and first + count < len(fitting) else ""
        return search_set(shown, base_url, self_link(base_url, "Observation", query), len(fitting), following)

    return page


def _next(base_url: str, query: Query) -> str:
    pairs: list[tuple[str, Any]] = [(name, value) for name, values in query.values.items() for value in values if name != "_page"]
    return f"{base_url}/Observation?{urlencode([*pairs, ('_page', int(query.one('_page') or '1') + 1)])}"
