"""What the command line asks of a hub in a folder: balance, state, health, reasons. Reads beside a running hub; changes only what is held."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import httpx2
import orjson
from sqlalchemy import func, select, update
from sqlalchemy.exc import SQLAlchemyError

from fhir_profiles.errors import BirthCareError, Missing, Unavailable
from hub.log import position
from hub.log.sqlite import PARTITION
from hub.loops import MAP, backlog
from hub.settings import Settings
from hub.stores import Stores, open_received, open_stores
from hub.tables import freshness, received, received_count, residue
from hub.tables import held as held_table
from hub.tables import ledger as ledger_table
from hub.views import held as held_view

SILENT_AFTER_S: Final = 24 * 3600
_COUNTS: Final = ("received", "recorded", "unchanged", "ignored", "held", "events")


@dataclass(frozen=True)
class Hub:
    """An opened hub."""

    settings: Settings
    stores: Stores


@contextlib.contextmanager
def opened(settings: Settings) -> Iterator[Hub]:
    """Open the hub in the folder of the settings; raises `Unavailable` when there is none."""
    stores = open_stores(settings, create=False)
    try:
        yield Hub(settings, stores)
    finally:
        stores.close()


def ledger(hub: Hub) -> tuple[list[dict[str, Any]], int]:
    """The balance per source and day, and how many messages wait to be mapped.

    Embedded, `received` is counted where the messages were made durable, apart from the mapper that counts the rest. On Kafka the
    mapper counts what it read; what waits behind it is the backlog.
    """
    embedded = hub.settings.log == "sqlite"
    with hub.stores.hub.snapshot() as tx:
        rows = {(r.source, r.day): dict(zip(_COUNTS, (r.received, r.recorded, r.unchanged, r.ignored, r.held, r.events), strict=True))
                for r in tx.execute(select(ledger_table))}
        mapped = position.load(tx, MAP).get(PARTITION, 0)
    waiting = 0
    if embedded:
        # Looked at after the mapper's side, so what comes in meanwhile is waiting, never missing.
        with hub.stores.received.snapshot() as tx:
            for source, day, n in tx.execute(select(received_count)):
                rows.setdefault((source, day), dict.fromkeys(_COUNTS, 0))["received"] = n
            last = tx.execute(select(func.max(received.c.place))).scalar_one_or_none() or 0
        waiting = max(0, last - mapped)
    return [{"source": s, "day": d, **counts} for (s, d), counts in sorted(rows.items())], waiting


def run_file(settings: Settings) -> dict[str, Any] | None:
    """What the running hub wrote about itself, or None when none runs."""
    try:
        told: dict[str, Any] = orjson.loads((settings.data / "run.json").read_bytes())
        os.kill(int(told["pid"]), 0)
    except (OSError, ValueError, KeyError):
        return None
    return told


def address(settings: Settings) -> str:
    """Where the running hub answers, or "" when none runs. At scale no process speaks for all; the one that serves is asked."""
    if settings.log == "sqlite":
        return str((run_file(settings) or {}).get("http", ""))
    try:
        ready = httpx2.get(settings.base_url + "/ready", timeout=3, trust_env=False).status_code == 200
    except httpx2.HTTPError:
        return ""
    return settings.base_url if ready else ""


def status(hub: Hub) -> dict[str, Any]:
    """Backlog, held, sources and residue."""
    running = address(hub.settings)
    log = open_received(hub.settings, hub.stores, "status")
    now = datetime.now(UTC)
    with hub.stores.hub.read() as tx:
        waiting = tx.execute(select(func.count()).select_from(held_table).where(held_table.c.state.in_(("waiting", "again")))).scalar_one()
        sources = [{"source": r.source, "received_at": r.received_at, "mapped_at": r.mapped_at, "state": _state(r.received_at, now)}
                   for r in tx.execute(select(freshness).order_by(freshness.c.source))]
        left = [{"source": r.source, "mapping": r.mapping, "path": r.path, "n": r.n}
                for r in tx.execute(select(residue).order_by(residue.c.n.desc()).limit(50))]
    return {"running": bool(running), "http": running, "backlog": backlog(log, hub.stores.hub), "held": waiting, "sources": sources, "residue": left}


def _state(received_at: str, now: datetime) -> str:
    age = (now - datetime.fromisoformat(received_at)).total_seconds()
    return "silent" if age > SILENT_AFTER_S else "fresh"


def held(hub: Hub) -> list[dict[str, Any]]:
    """What waits for a person, oldest first."""
    names = ("id", "at", "source", "day", "connector", "code", "path", "reason", "state")
    with hub.stores.hub.read() as tx:
        rows = tx.execute(select(*(held_table.c[n] for n in names)).where(held_table.c.state.in_(("waiting", "again"))).order_by(held_table.c.at)).all()
    return [dict(zip(names, row, strict=True)) for row in rows]


def dismiss(hub: Hub, item: str, why: str) -> None:
    """Let an item go, with a reason. Raises `Missing` when it does not wait."""
    if not why:
        raise Unavailable("say why, with --why", code="no-reason")
    with hub.stores.hub.write() as tx:
        held_view.settle(tx, item, why, datetime.now(UTC).isoformat(timespec="milliseconds"))


def send_again(hub: Hub, item: str) -> None:
    """Ask the mapper to map the message of an item again ("all": every one that waits); it does so within a second or two."""
    chosen = held_table.c.state == "waiting" if item == "all" else (held_table.c.state == "waiting") & (held_table.c.id == item)
    with hub.stores.hub.write() as tx:
        if tx.execute(update(held_table).where(chosen).values(state="again")).rowcount == 0 and item != "all":
            raise Missing("nothing waits under this id", code="not-waiting")


@dataclass(frozen=True)
class Finding:
    """One check of the doctor: what was found and what to do."""

    check: str
    ok: bool
    found: str
    do: str = ""


def doctor(settings: Settings) -> list[Finding]:
    """Look at everything that a hub needs; every finding says what to do."""
    findings = [_look("settings", lambda: "read")]
    findings.append(_folder(settings))
    put_back = "put the key back from its own backup; only where nothing was ever kept: start the hub once"
    findings.append(_look("key-encryption key", lambda: _key(settings), put_back))
    if all(f.ok for f in findings):
        findings.extend(_inside(settings))
    findings.append(_running(settings))
    return findings


def _look(check: str, ask: Callable[[], str], do: str = "") -> Finding:
    try:
        return Finding(check, True, ask())
    except BirthCareError as error:
        return Finding(check, False, error.public, do)
    except Exception as error:
        return Finding(check, False, f"{type(error).__name__}", do)


def _folder(settings: Settings) -> Finding:
    if not settings.data.is_dir():
        return Finding("data folder", False, f"{settings.data} is not there", "start the hub once, or give --data")
    free = shutil.disk_usage(settings.data).free
    if not os.access(settings.data, os.W_OK):
        return Finding("data folder", False, f"{settings.data} cannot be written", "give the user of the hub write access")
    make_room = "make room: on a full disk nothing can be made durable, and every sender is told to try later"
    return Finding("data folder", free > 2**30, f"{free / 2**30:.1f} GiB free", make_room)


def _key(settings: Settings) -> str:
    from hub.log.keys import load_kek

    load_kek(settings.kek, create=False)
    mode = settings.kek.stat().st_mode & 0o077
    if mode:
        raise Unavailable(f"others may read {settings.kek}; chmod 600 it", code="kek-mode")
    return "in its own file, readable by its owner only"


def _inside(settings: Settings) -> Iterator[Finding]:
    try:
        with opened(settings) as hub:
            yield Finding("databases", True, "open, and at the present schema")
            yield _look("received log", lambda: f"reachable, {_length(hub)} partition(s) with records", "look at the broker and its rights")
            off = _off(hub)
            yield Finding("balance", off == 0, "received = recorded + unchanged + ignored + held" if off == 0 else f"off by {off}", "ooievaar ledger")
            told = status(hub)
            yield Finding("backlog", told["backlog"] < settings.backlog_limit, f"{told['backlog']} wait to be mapped", "is the mapper running? ooievaar status")
            yield Finding("held", told["held"] == 0, f"{told['held']} wait for a person", "ooievaar held")
            silent = [s["source"] for s in told["sources"] if s["state"] == "silent"]
            heard = f"silent for a day: {', '.join(silent)}" if silent else "all were heard within a day"
            yield Finding("sources", not silent, heard, "call the source's helpdesk")
    except (BirthCareError, SQLAlchemyError) as error:
        yield Finding("databases", False, getattr(error, "public", type(error).__name__), "look at OOIEVAAR_DATABASE and at the log of the database")


def _length(hub: Hub) -> int:
    return len(open_received(hub.settings, hub.stores, "doctor").end())


def _off(hub: Hub) -> int:
    """By how many messages the balance is off, what waits counted in."""
    rows, waiting = ledger(hub)
    return int(sum(r["received"] - r["recorded"] - r["unchanged"] - r["ignored"] - r["held"] for r in rows)) - waiting


def _running(settings: Settings) -> Finding:
    if settings.log != "sqlite":
        found = address(settings)
        return Finding("hub", bool(found), f"answers at {found}" if found else f"does not answer at {settings.base_url}",
                       "is ooievaar serve running, and OOIEVAAR_PUBLIC_URL its address? look at its log")
    told = run_file(settings)
    if told is None:
        return Finding("hub", False, "does not run here", "ooievaar up")
    host, port = told["mllp"]["host"], told["mllp"]["port"]
    try:
        socket.create_connection((host, port), 2).close()
    except OSError:
        return Finding("hub", False, f"runs as {told['pid']} and does not answer on port {port}", "look at its log; restart it: nothing acknowledged is lost")
    return Finding("hub", True, f"runs as {told['pid']}, {told['http']}")


def explain(hub: Hub, who: str, about: str, sections: tuple[str, ...]) -> dict[str, Any]:
    """The decision for this question now, in words. Nothing is read of the plan, and so nothing is recorded.

    Raises `Missing` for someone, a woman or a section that is not known.
    """
    from fhir_profiles.codes import SECTIONS
    from hub.wiring import explanation

    if unknown := [name for name in sections if name not in SECTIONS]:
        raise Missing(f"there is no section {', '.join(unknown)}; there are: {', '.join(SECTIONS)}", code="no-section")
    return explanation(hub.settings, hub.stores, who, about, sections)


def rebuild(settings: Settings, *, processes: int, check: bool, progress: Callable[[int, int], None]) -> Any:
    """Fold the whole log anew (`hub.plan.rebuild`)."""
    from hub.wiring import rebuild_views

    return rebuild_views(settings, processes=processes, check=check, progress=progress)


def demo_info(settings: Settings) -> dict[str, Any]:
    """What an outsider needs to talk to the demo. Raises `Unavailable` where none runs; at scale there is no file that tells."""
    from authz.demo import accounts
    from hub.demo import SOURCES, WOMEN

    told = run_file(settings)
    if told is None and settings.log == "sqlite":
        raise Unavailable(f"no hub runs in {settings.data}: start one with ooievaar up --demo", code="no-hub")
    told = told or {"http": settings.base_url, "mllp": {"host": settings.mllp_host, "port": settings.mllp_port}}
    return {
        "http": told["http"], "mllp": told["mllp"],
        "senders": [{"msh3": app, "msh4": facility} for source in SOURCES for app, facility in source.senders],
        "accounts": [{"name": a.name, "role": a.role.value, "organisation": a.organisation.name} for a in accounts()],
        "women": [{"name": name, "bsn": bsn} for name, bsn in WOMEN],
    }


def demo_token(settings: Settings, name: str) -> str:
    """A bearer token of the demo. Raises `Missing` for a name that is not in the cast, `Unavailable` where no demo was started."""
    from authz.demo import accounts
    from hub.wiring import demo_issuer

    wanted = name.strip().casefold()
    account = next((a for a in accounts() if wanted in (a.name.casefold(), a.person.casefold())), None)
    if account is None:
        raise Missing(f"nobody in the demo is called so; there are: {', '.join(a.name for a in accounts())}", code="no-account")
    if not settings.kek.exists():
        raise Unavailable(f"there is no demo in {settings.data}", code="no-hub")
    return demo_issuer(settings, (run_file(settings) or {"http": settings.base_url})["http"]).issue(account.name)
