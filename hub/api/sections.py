"""The hot read, `GET /fhir/CarePlan/{patient}/$sections`: token, door, bytes; nothing is parsed or built on the way.

Answers `{"subject", "episode", "sections": {name: state}, "unplaced": {name: state}, "closed": {name: reason}}`. A state is the hub's own
form of a section (`hub/plan/state.py`): the list of its event versions; `unplaced` holds those that no source tied to a pregnancy. Plain
ASGI, because a framework's route would cost more than the read.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from typing import Final

import orjson
from starlette.types import Receive, Scope, Send

from fhir_profiles.errors import Invalid
from hub.api.answers import WrongMethod
from hub.api.caller import caller_of
from hub.api.ports import Parts
from hub.api.search import accepts, id_of, plan_id_of, query_of
from hub.door import Opened
from hub.plan.sections import SECTIONS

PREFIX: Final = "/fhir/CarePlan/"
SUFFIX: Final = "/$sections"
_ALL: Final = tuple(SECTIONS)


class Sections:
    """The ASGI app of the one route."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; faults are raised, the edge answers them."""
        if scope["method"] != "GET":
            raise WrongMethod("GET")
        accepts(scope["headers"])
        caller = await caller_of(scope, self._parts.tokens)
        subject, episode = plan_id_of(scope["path"][len(PREFIX):-len(SUFFIX)])
        episode, sections = _wanted(scope["query_string"], episode)
        ask = caller.ask(subject, sections, "fhir:$sections", episode=episode)
        body = joined(subject, await self._parts.figures.counted(ask.interaction, self._parts.door.read(ask)))
        etag = b'W/"' + blake2b(body, digest_size=12).hexdigest().encode() + b'"'
        known = any(name == b"if-none-match" and etag in value for name, value in scope["headers"])
        await send({"type": "http.response.start", "status": 304 if known else 200, "headers": [
            (b"content-type", b"application/json"), (b"etag", etag), *(() if known else [(b"content-length", str(len(body)).encode())])]})
        await send({"type": "http.response.body", "body": b"" if known else body})


def _wanted(query: bytes, episode: str) -> tuple[str, tuple[str, ...]]:
    """The pregnancy and the sections that are asked for; all of them when none is named."""
    if not query:
        return episode, _ALL
    asked = query_of(query, ("episode", "section"))
    names = tuple(dict.fromkeys(asked.one("section").split(","))) if asked.one("section") else _ALL
    if not set(names) <= SECTIONS.keys():
        raise Invalid("a section is one of: " + ", ".join(_ALL), code="section")
    return id_of(asked.one("episode")) if asked.one("episode") else episode, names


def joined(subject: str, opened: Opened) -> bytes:
    """The answer, put together from ready bytes."""
    here = ((name, body) for (episode, name), body in opened.sections.items() if episode)
    unplaced = ((name, body) for (episode, name), body in opened.sections.items() if not episode)
    return b"".join((
        b'{"subject":"', subject.encode(), b'","episode":', orjson.dumps(opened.episode), b',"sections":{', *_members(here),
        b'},"unplaced":{', *_members(unplaced), b'},"closed":', orjson.dumps(opened.closed), b"}",
    ))


def _members(states: Iterable[tuple[str, bytes]]) -> Iterable[bytes]:
    comma = b'"'
    for name, body in sorted(states):
        yield comma + name.encode() + b'":'
        yield body
        comma = b',"'
