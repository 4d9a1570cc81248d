"""A whole embedded hub without its network: real SQLite files, real mappings, the real worker."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from fhir_profiles.codes import SECTIONS
from hub import wiring
from hub.inspection import Hub, ledger
from hub.log.envelope import Envelope, unpack
from hub.log.port import START
from hub.log.received import Incoming, to_record
from hub.log.sqlite import SqliteLog
from hub.loops import Worker
from hub.plan.plan import Plan
from hub.plan.show import show
from hub.settings import Settings
from hub.stores import Stores, open_received, open_recorded, open_stores

HIX, PRACTICE = "hix/00700002", "practice/00700001"


class Bench:
    """Give it messages, let it work, look at what became of them."""

    def __init__(self, settings: Settings, stores: Stores) -> None:
        self.settings, self.stores = settings, stores
        self.received = open_received(settings, stores, "test")
        recorded = open_recorded(settings, stores, "test")
        assert isinstance(recorded, SqliteLog)
        self.recorded = recorded
        self.worker = Worker(self.received, stores.hub, recorded, wiring.build_mapper(settings, stores), wiring.build_projector(stores), lambda _: None, 50)
        self._reader = self.received.reader("map", lambda _: -1)

    def give(self, source: str, body: bytes, media_type: str = "", received_at: str = "2026-11-24T10:00:00.000Z") -> None:
        """Keep one message and let the worker take all that waits."""
        message = Incoming(source.split("/")[0], source, media_type, body, "", received_at)
        self.received.append([to_record(message, self.stores.keyring)])
        while batch := self._reader.poll(0, 50):
            self.worker.step(batch)

    def events(self) -> list[Envelope]:
        """Every event in the log."""
        return [event for stored in self.recorded.read(START, 10_000) for event in unpack(stored.record, self.stores.keyring)]

    def balance(self, source: str) -> dict[str, int]:
        """The ledger of one source over all days."""
        rows, _ = ledger(Hub(self.settings, self.stores))
        mine = [row for row in rows if row["source"] == source]
        return {name: sum(row[name] for row in mine) for name in ("received", "recorded", "unchanged", "ignored", "held", "events")}

    def plan(self, bsn: str) -> Plan:
        """The woman's plan of her present pregnancy, all sections open."""
        subject = wiring.pseudonyms(self.stores)(bsn)
        reader = wiring.build_access(self.settings, self.stores).reader
        episode = next(iter(reader.episodes(subject)), "")
        states = reader.sections(subject, episode, SECTIONS)
        return show(subject, episode, states, date(2026, 11, 24), wiring.names_of(self.settings), {})


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    settings = Settings(data=tmp_path, demo=True)
    stores = open_stores(settings)
    yield Bench(settings, stores)
    stores.close()
