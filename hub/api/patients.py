"""Patient search: from a BSN to the id by which the hub knows her, her own record for the woman, and a caregiver's work list (werklijst).

A BSN comes in the body of a POST and goes no further than the pseudonym that is made of it: no answer, log or line of the trail holds it.
A BSN that nobody has and one that is closed to the caller give the same 403.
"""

from __future__ import annotations

import asyncio
from typing import Final
from urllib.parse import urlencode

from starlette.responses import Response

from authz.ask import Role
from fhir_profiles.codes import FRONT
from fhir_profiles.errors import Invalid
from fhir_profiles.identifiers import BSN_SYSTEM, BSN_SYSTEMS
from hub.api.answers import fhir
from hub.api.caller import Caller
from hub.api.capability import PATIENT, taken
from hub.api.care_plan import search_set
from hub.api.elements import Fhir
from hub.api.reading import IDENTIFIER, Reading, self_link
from hub.api.resources import patient
from hub.api.search import MAX_PAGE, PAGE, Query, id_of, whole
from hub.door import Client

_INTERACTION: Final = f"fhir:{PATIENT}"
_RECORDED: Final = f"{IDENTIFIER}={BSN_SYSTEM}|*"
"""How a search by BSN stands in the trail; whom it was about stands there by pseudonym."""


async def search(reading: Reading) -> Response:
    """A searchset of Patients. Raises like the door, and `Invalid` for a query that is not taken."""
    caller, query = await reading.begin(taken(PATIENT))
    base_url = reading.parts.fhir_url
    if query.one(IDENTIFIER):
        subject = reading.parts.pseudonym(_bsn(query))
        # The address that would give the same answer holds her BSN, so it is not told.
        return await _one(reading, caller, subject, _RECORDED, f"{base_url}/{PATIENT}/_search")
    if caller.asker.role is Role.CLIENT:
        if query.values:
            raise Invalid("your own record is found without parameters", code="search-parameter")
        return await _one(reading, caller, caller.own, query.text, self_link(base_url, PATIENT, query))
    return await _clients(reading, caller, query)


def _bsn(query: Query) -> str:
    """The digits out of `identifier`, which stands alone. What is no BSN is left to the pseudonym to refuse."""
    if len(query.values) > 1:
        raise Invalid("an identifier is searched for alone", code="search-parameter")
    system, bar, value = query.one(IDENTIFIER).rpartition("|")
    if bar and system not in BSN_SYSTEMS:
        raise Invalid(f"the only identifier to search by is a BSN ({BSN_SYSTEM})", code="identifier-system")
    return value


async def _one(reading: Reading, caller: Caller, subject: str, recorded: str, link: str) -> Response:
    plan = await reading.plan(caller, subject, _INTERACTION, query=recorded, sections=(FRONT,))
    return await asyncio.to_thread(lambda: fhir(search_set([patient(plan)], reading.parts.fhir_url, link, 1)))


async def _clients(reading: Reading, caller: Caller, query: Query) -> Response:
    """The work list in the order of ids, page by page: only the women of this page are recorded as looked at."""
    count = whole(query.one("_count") or str(PAGE), "_count", 1, MAX_PAGE)
    after = id_of(query.one("_page")) if query.one("_page") else ""
    ask = caller.ask("", (FRONT,), _INTERACTION, action="search", query=query.text)
    clients = await reading.parts.figures.counted(ask.interaction, reading.parts.door.clients_of(ask, limit=count, after=after))
    return await asyncio.to_thread(lambda: fhir(_page(reading, clients, count, query)))


def _page(reading: Reading, clients: list[Client], count: int, query: Query) -> Fhir:
    """One Patient a woman, whichever of her pregnancies the relation is with. A full page has a next one, which may be empty."""
    opened = {client.related.subject: client.opened for client in reversed(clients)}
    resources = [patient(reading.shown(subject, one, (FRONT,))) for subject, one in sorted(opened.items())]
    base_url, following = reading.parts.fhir_url, ""
    if len(clients) == count:
        pairs = [(name, value) for name, values in query.values.items() for value in values if name != "_page"]
        following = f"{base_url}/{PATIENT}?{urlencode([*pairs, ('_page', clients[-1].related.subject)])}"
    return search_set(resources, base_url, self_link(base_url, PATIENT, query), None, following)
