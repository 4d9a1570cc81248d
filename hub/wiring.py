"""The one place that names concrete parts and puts them together: the embedded hub, and each process of the hub at scale."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Awaitable, Callable, Mapping as Dict, Sequence
from datetime import UTC, datetime
from typing import Any

import orjson
import structlog

from authz.consents import Consents
from connectors.contract import Mapping, Source
from connectors.epic.mapping import EpicMapping
from connectors.hix.mapping import HixMapping
from connectors.practice.mapping import PracticeMapping
from fhir_profiles.errors import Invalid, Unavailable
from fhir_profiles.identifiers import Bsn, pseudonym_of
from hub.changes import Changes, Watched
from hub.identity.people import Identities
from hub.identity.vault import Vault
from hub.log.group import GroupCommit
from hub.log.port import EventLog
from hub.log.sqlite import SqliteLog
from hub.logging import configure
from hub.loops import Loop, MapLoop, ProjectLoop, Worker, backlog, calm_garbage_collector
from hub.mapper.mapper import Mapper
from hub.plan.project import Projector
from hub.plan.read import PlanReader
from hub.settings import Settings, load_sources
from hub.stores import Stores, open_received, open_recorded, open_stores

log = structlog.get_logger(__name__)


def utc_now() -> str:
    """The present moment, UTC, ISO 8601 to the millisecond. The one clock of the hub; pure parts get its text."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def all_mappings() -> list[Mapping]:
    """Every mapping, in the order in which `ooievaar map` asks them."""
    return [HixMapping(), PracticeMapping(), EpicMapping()]


def sources_of(settings: Settings) -> dict[str, Source]:
    """The registered senders by id: those of the demo, or those in the file that the settings name."""
    from hub.demo import SOURCES

    path = settings.sources_file or settings.data / "sources.toml"
    found = SOURCES if settings.demo else load_sources(path) if path.exists() or settings.sources_file else ()
    return {source.id: source for source in found}


def pseudonym_key(stores: Stores) -> bytes:
    """The key under which a BSN becomes a pseudonym."""
    return stores.keyring.secret("pseudonym")


def build_mapper(settings: Settings, stores: Stores) -> Mapper:
    """The mapper with every mapping and registered source."""
    key = pseudonym_key(stores)
    identities = Identities(Vault(stores.keyring, key), stores.keyring, stores.keyring.secret("identity"))
    return Mapper({m.name: m for m in all_mappings()}, sources_of(settings), identities, stores.keyring, stores.keyring.secret("memory"), utc_now)


def peeking(stores: Stores, mapping: Mapping) -> Callable[[bytes], str]:
    """From the bytes of a message to the pseudonym of its woman, at a glance; empty when it cannot be seen."""
    key = pseudonym_key(stores)

    def peek(body: bytes) -> str:
        digits = mapping.peek_bsn(body)
        if not digits:
            return ""
        try:
            return pseudonym_of(Bsn(digits), key)
        except Invalid:
            return ""

    return peek
