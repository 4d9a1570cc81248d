"""Invented events for tests of the plan: builders with sensible defaults that name only what matters to the case."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterable, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import Connection, insert, select

from fhir_profiles.codes import BY_NAME, UCUM
from fhir_profiles.identifiers import URA_SYSTEM, digest
from hub.database import Database, open_postgres, open_sqlite
from hub.log.envelope import RECORDED, WITHDRAWN, Envelope, Origin, pack
from hub.log.keys import Keyring
from hub.plan import store
from hub.plan.plan import Line, Plan
from hub.plan.project import Projector
from hub.plan.read import PlanReader
from hub.plan.sections import SECTIONS
from hub.plan.show import show
from hub.tables import recorded, relation, view

PRACTICE, HIX = "practice/00700001", "hix/00700002"
NAMES = {PRACTICE: "Verloskundigenpraktijk De Lepelaar", HIX: "Ziekenhuis Rijnoever"}
NOOR, SAMIRA, LOTTE = (digest("test", name) for name in ("noor", "samira", "lotte"))
NOW, EARLIER = digest("pregnancy", "now"), digest("pregnancy", "earlier")
TODAY = date(2026, 6, 1)
KEK = b"k" * 32


def event(
    concept: str, resource: dict[str, Any], *, source: str = PRACTICE, subject: str = NOOR, episode: str = NOW, effective: str = "",
    version: str = "2026-05-01T10:00:00Z", recorded: str = "2026-05-01T10:00:05Z", identity: str = "", about: str = "",
    withdrawn: bool = False, message: str = "", heard: str = "", paths: dict[str, str] | None = None, section: str = "",
) -> Envelope:
    """One event. The identity follows from concept, source and clinical time, the id from everything, as in the mapper."""
    known = BY_NAME[concept]
    identity = digest("identity", source, concept, subject, identity or effective, about)
    event_id = digest("event", identity, version, orjson.dumps([resource, withdrawn], option=orjson.OPT_SORT_KEYS).decode())
    return Envelope(
        event_id, WITHDRAWN if withdrawn else RECORDED, source, subject, about or subject, episode, recorded, effective, identity, version,
        concept, section or known.section, known.sensitivity, Origin("0-1", message or f"message-{event_id[:6]}", "test@1", paths or {}, heard),
        {"id": identity, **resource},
    )


def observed(concept: str, value: Any, unit: str = "", *, status: str = "final", **more: Any) -> Envelope:
    """An Observation: a number with a unit, a whole number, a date or text, or a CodeableConcept."""
    coding = BY_NAME[concept].codings[0]
    resource: dict[str, Any] = {"resourceType": "Observation", "status": status, "code": {"coding": [coding.fhir()]}}
    if isinstance(value, dict):
        resource["valueCodeableConcept"] = value
    elif unit:
        resource["valueQuantity"] = {"value": value, "unit": unit, "system": UCUM, "code": unit}
    elif isinstance(value, int):
        resource["valueInteger"] = value
    elif value is not None:
        resource["valueDateTime"] = value
    more.setdefault("effective", "2026-04-30")
    return event(concept, resource, **more)


def coded(code: str, display: str, system: str = "http://snomed.info/sct") -> dict[str, Any]:
    """A CodeableConcept."""
    return {"coding": [{"system": system, "code": code, "display": display}]}


def dossier(*, status: str = "active", start: str = "2026-03-01", end: str = "", ura: str = "00700001", **more: Any) -> Envelope:
    """An EpisodeOfCare that names its organisation by URA; none when `ura` is empty."""
    period = {"start": start, **({"end": end} if end else {})}
    resource: dict[str, Any] = {"resourceType": "EpisodeOfCare", "status": status, "period": period}
    if ura:
        resource["managingOrganization"] = {"identifier": {"system": URA_SYSTEM, "value": ura}, "display": NAMES.get(f"practice/{ura}", "")}
    if manager := more.pop("manager", ""):
        resource["careManager"] = {"display": manager}
    return event("dossier", resource, **{"identity": "dossier", "effective": start, **more})


def encounter(*, status: str = "in-progress", start: str = "2026-05-10", end: str = "", ura: str = "00700002", **more: Any) -> Envelope:
    """A stay at the hospital."""
    period = {"start": start, **({"end": end} if end else {})}
    resource = {
        "resourceType": "Encounter", "status": status, "class": {"code": "IMP"}, "period": period,
        "serviceProvider": {"identifier": {"system": URA_SYSTEM, "value": ura}},
    }
    return event("encounter", resource, **{"source": HIX, "identity": "stay", "effective": start, **more})


class Hub:
    """A database, its keyring and a projector, as one process of the hub has them."""

    def __init__(self, database: Database, keys: Database) -> None:
        self.database, self.keys, self.keyring = database, keys, Keyring(keys, KEK)
        self.reader = PlanReader(database, self.keyring)
        self.restart()

    def close(self) -> None:
        """Give back every connection."""
        self.database.close()
        self.keys.close()

    def restart(self) -> None:
        """Begin anew with nothing in memory."""
        self.projector = Projector(self.keyring, SECTIONS)

    def record(self, *events: Envelope) -> None:
        """Append the events to the archive, a record for each message and key, without folding them."""
        with self.database.write() as tx:
            self._append(tx, events)

    def _append(self, tx: Connection, events: Sequence[Envelope]) -> None:
        by_message = itertools.groupby(events, key=lambda e: e.origin.message)
        records = [record for _, some in by_message for record in pack(some, self.keyring)]
        rows = [{"id": r.id, "key": r.key, "attributes": orjson.dumps(dict(r.attributes)), "body": r.body} for r in records]
        tx.execute(insert(recorded), rows)

    def fold(self, *events: Envelope) -> set[Any]:
        """Fold the events in one transaction."""
        with self.database.write() as tx:
            return set(self.projector.apply(tx, store.generation(tx), events))

    def given(self, *events: Envelope) -> None:
        """Record and fold, in one transaction, as a worker of the hub does."""
        with self.database.write() as tx:
            used = store.generation(tx)
            self._append(tx, events)
            self.projector.apply(tx, used, events)

    def plan(self, subject: str = NOOR, episode: str = NOW, today: date = TODAY) -> Plan:
        """The plan as it is shown."""
        return show(subject, episode, self.reader.sections(subject, episode, SECTIONS), today, NAMES, {})

    def rows(self) -> dict[tuple[Any, ...], bytes]:
        """(subject, episode, leaf, number of events) → etag, of the generation in use."""
        with self.database.read() as tx:
            used = store.generation_seen(tx)
            found = tx.execute(select(view).where(view.c.generation == used)).all()
        return {(row.subject, row.episode, row.section, row.events): bytes(row.etag) for row in found}

    def relations(self) -> list[Any]:
        """All treatment relations of the generation in use: (subject, episode, ura, kind, since, until)."""
        with self.database.read() as tx:
            used = store.generation_seen(tx)
            columns = (relation.c.subject, relation.c.episode, relation.c.ura, relation.c.kind, relation.c.since, relation.c.until)
            return [tuple(row) for row in tx.execute(select(*columns).where(relation.c.generation == used).order_by(*columns))]


def sqlite_hub(folder: Path) -> Hub:
    """A hub on SQLite files in a folder."""
    return Hub(*_files(folder))


def postgres_hub(url: str) -> Hub:
    """A hub on a PostgreSQL database."""
    database = open_postgres(url)
    return Hub(database, database)


def _files(folder: Path) -> tuple[Database, Database]:
    return open_sqlite(folder / "hub.db", ("hub",)), open_sqlite(folder / "keys.db", ("keys",))


def opener(where: Path | str) -> Callable[[], tuple[Database, Keyring]]:
    """What a rebuild opens, in this process and in those that it starts."""
    return functools.partial(_open_files, where) if isinstance(where, Path) else functools.partial(_open_url, where)


def _open_files(folder: Path) -> tuple[Database, Keyring]:
    database, keys = _files(folder)
    return database, Keyring(keys, KEK)


def _open_url(url: str) -> tuple[Database, Keyring]:
    database = open_postgres(url)
    return database, Keyring(database, KEK)


def line(plan: Plan, concept: str, about: str = "") -> Line:
    """The one line of a concept (and child)."""
    [found] = [line for view in plan.sections.values() for line in view.lines if line.concept == concept and line.about == about]
    return found


def texts(values: Iterable[Any]) -> list[str]:
    """What the values say."""
    return [value.text for value in values]
