"""Rebuild all views from the recorded events, beside the running ones, and prove that both are equal.

Women are shared out over processes; each folds a woman's whole history from nothing and compares it, row by row, with the running view
as it stood in the same snapshot of the database. Events, views and position are written in one transaction, so within a snapshot the
two must be equal, also while the hub runs on. When all is built, what was recorded meanwhile is folded in, and the switch is made in
the transaction that folds the last of it. Repeats do no harm, so the tail may overlap with what a process had already seen.
"""

from __future__ import annotations

import contextlib
import gc
import hashlib
import multiprocessing
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from multiprocessing.pool import Pool
from typing import Any, Final

import orjson
from sqlalchemy import bindparam, text

from fhir_profiles.codes import CARE_TEAM, FRONT
from fhir_profiles.errors import Conflict
from hub.database import Database
from hub.log.envelope import LINKED, UNLINKED, Envelope, unpack
from hub.log.keys import Erased, Keyring
from hub.log.port import Record
from hub.plan import state, store
from hub.plan.project import Projector, etag_of, sealed_row
from hub.plan.relations import relations
from hub.plan.sections import SECTIONS
from hub.plan.state import Lines
from hub.plan.store import Relation, Row

OpenDatabase = Callable[[], tuple[Database, Keyring]]
"""Opens the hub's database and keyring; it is sent to other processes, so it must be a plain function or a partial of one."""

_WOMEN: Final = 20
_TAIL: Final = 400
_CLEAR: Final = 5_000
_MOST_DIFFERENCES: Final = 1_000


@dataclass(frozen=True, slots=True)
class Report:
    """What a rebuild found. `views` rows and `events` were built from what is recorded.

    `differences` are texts "hash of the subject/section: what" without personal data, at most a thousand. `erased` counts women whose
    keys were destroyed, in part or whole: their running rows are not compared, for they may not be built again.
    """

    views: int
    events: int
    equal: bool
    differences: tuple[str, ...]
    erased: int = 0


@dataclass(slots=True)
class _Built:
    """What one process made of some women; rows are empty when they are only compared."""

    women: int
    rows: list[Row] = field(default_factory=list)
    relations: list[Relation] = field(default_factory=list)
    views: int = 0
    events: int = 0
    erased: int = 0
    differences: list[str] = field(default_factory=list)


def rebuild(
    open_database: OpenDatabase, *, processes: int = 2, check: bool = False, progress: Callable[[int, int], None] = lambda done, all_: None,
) -> Report:
    """Build the views of every woman anew; `check` only compares, otherwise the new rows take the place of the running ones.

    `progress(done, all)` counts women. Safe while the hub runs; a rebuild that is stopped half-way leaves the running view as it was.
    Raises `Conflict` when another rebuild switched first, `Unavailable` when the keys cannot be read.
    """
    with _helpers(open_database, processes, check) as helpers:
        database, keyring = open_database()
        try:
            return _rebuild((database, keyring), helpers, check, progress)
        finally:
            database.close()


def _rebuild(here: tuple[Database, Keyring], helpers: Pool | None, check: bool, progress: Callable[[int, int], None]) -> Report:
    database, keyring = here
    with database.write() as tx:
        running = store.hold_generation(tx)
        horizon = int(tx.execute(_END).scalar() or 0)
        women = [row[0] for row in tx.execute(_WOMEN_UP_TO, {"to": horizon})]
        new = running if check else store.new_generation(tx)
    total = _Built(0)
    for built in _built(here, helpers, women, check=check):
        _add(total, built)
        if not check:
            _write(database, new, built)
        progress(total.women, len(women))
    total.differences += _orphans(database, running)
    if not check:
        _switch(database, keyring, (running, new), horizon)
        _clear(database, new)
    differences = tuple(sorted(total.differences)[:_MOST_DIFFERENCES])
    return Report(total.views, total.events, not differences, differences, total.erased)


_END: Final = text("SELECT max(place) FROM recorded")
_WOMEN_UP_TO: Final = text("SELECT DISTINCT key FROM recorded WHERE place <= :to ORDER BY key")
_HISTORY: Final = text(
    "SELECT key, id, attributes, body FROM recorded WHERE key IN :keys ORDER BY key, place"
).bindparams(bindparam("keys", expanding=True))
_AFTER: Final = text("SELECT place, key, id, attributes, body FROM recorded WHERE place > :after ORDER BY place LIMIT :n")
_ORPHANS: Final = text(
    "SELECT DISTINCT subject FROM view WHERE generation = :g"
    " AND NOT EXISTS (SELECT 1 FROM recorded WHERE recorded.key = view.subject) LIMIT 1000"
)


# --- sharing out -----------------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _helpers(open_database: OpenDatabase, processes: int, check: bool) -> Iterator[Pool | None]:
    """The processes that share the work; None when this one does it alone. Made before this process opens its database.

    A process with one thread and nothing open is forked, which saves each helper a second of loading code. Otherwise they are spawned: a
    forked helper would share connections, or a lock that another thread held.
    """
    if processes <= 1:
        yield None
        return
    context = multiprocessing.get_context("fork" if threading.active_count() == 1 else "spawn")
    with context.Pool(processes, _begin, (open_database, check)) as pool:
        yield pool


def _built(here: tuple[Database, Keyring], helpers: Pool | None, women: Sequence[str], *, check: bool) -> Iterator[_Built]:
    """What the processes made, as it comes; without helpers the work is done here."""
    rest = iter(women)
    shares = iter(lambda: list(islice(rest, _WOMEN)), [])
    if helpers is None:
        yield from (_build(here[0], here[1], share, check=check) for share in shares)
    else:
        yield from helpers.imap_unordered(_build_share, shares)


_mine: dict[str, Any] = {}


def _begin(open_database: OpenDatabase, check: bool) -> None:
    _mine["open"] = open_database()
    _mine["check"] = check
    # Parsing makes very many short-lived objects; collecting after every few hundred of them costs a third of the time.
    gc.freeze()
    gc.set_threshold(50_000, 50, 1_000)


def _build_share(women: list[str]) -> _Built:
    database, keyring = _mine["open"]
    return _build(database, keyring, women, check=_mine["check"])


def _add(total: _Built, built: _Built) -> None:
    total.women += built.women
    total.views += built.views
    total.events += built.events
    total.erased += built.erased
    total.differences += built.differences[:_MOST_DIFFERENCES]


# --- folding and comparing -------------------------------------------------------------------------------------------------------


def _build(database: Database, keyring: Keyring, women: list[str], *, check: bool) -> _Built:
    """Fold some women from nothing and compare them with their running rows, in one snapshot."""
    secret, built = keyring.secret("views"), _Built(len(women))
    with database.snapshot() as tx:
        running = store.generation_seen(tx)
        history = tx.execute(_HISTORY, {"keys": women}).all()
        etags = store.etags(tx, running, women)
        related = store.relations_among(tx, running, women)
    for woman, records in _by_woman(history):
        leaves, erased = _fold(keyring, records)
        built.erased += erased
        rows = {key: (state.encode(lines), len(lines)) for key, lines in leaves.items()}
        shown = relations(woman, _evidence(woman, rows))
        if not erased:
            theirs = {key: etag for key, etag in etags.items() if key[0] == woman}
            built.differences += _differences(rows, theirs, secret)
            if set(shown) != {relation for relation in related if relation.subject == woman}:
                built.differences.append(f"{_masked(woman)}/treatment relations: differ")
        built.views += len(rows)
        built.events += sum(events for _, events in rows.values())
        if not check:
            built.rows += [sealed_row(keyring, secret, *key, plain, events) for key, (plain, events) in rows.items()]
            built.relations += shown
    return built


def _by_woman(history: Sequence[Any]) -> Iterator[tuple[str, list[Record]]]:
    women: dict[str, dict[str, Record]] = {}
    for key, record_id, attributes, body in history:
        women.setdefault(key, {}).setdefault(record_id, Record(record_id, key, orjson.loads(attributes), bytes(body)))
    yield from ((woman, list(records.values())) for woman, records in women.items())


def _fold(keyring: Keyring, records: Sequence[Record]) -> tuple[dict[tuple[str, str, str], Lines], bool]:
    """(subject, episode, leaf) → lines, and whether some of it has been erased."""
    sections: dict[tuple[str, str, str], Lines] = {}
    erased = False
    for record in records:
        try:
            events = unpack(record, keyring)
        except Erased:
            erased = True
            continue
        for event in events:
            _put(sections, event)
    return {(subject, episode, leaf): lines for (subject, episode, section), whole in sections.items()
            for leaf, lines in state.split(section, whole).items()}, erased


def _put(sections: dict[tuple[str, str, str], Lines], event: Envelope) -> None:
    section = SECTIONS.get(event.section)
    if section is None or event.type in (LINKED, UNLINKED):
        return
    key = (event.subject, event.episode, event.section)
    lines = sections.get(key)
    if lines is None:
        lines = sections[key] = {}
    place = state.place_of(event)
    state.add(lines, place, state.line_of(place, event, section.item(event)))


def _evidence(woman: str, rows: Mapping[tuple[str, str, str], tuple[bytes, int]]) -> Iterator[tuple[str, state.Version]]:
    for (_, episode, leaf), (plain, _) in rows.items():
        if state.section_of(leaf) in (FRONT, CARE_TEAM):
            yield from ((episode, version) for version in state.versions(plain))


def _differences(rows: Mapping[tuple[str, str, str], tuple[bytes, int]], running: Mapping[tuple[str, str, str], bytes],
                 secret: bytes) -> list[str]:
    found = []
    for key in sorted(rows.keys() | running.keys()):
        if key not in running:
            found.append(f"{_named(key)}: missing in the running view")
        elif key not in rows:
            found.append(f"{_named(key)}: only in the running view")
        elif etag_of(rows[key][0], secret) != running[key]:
            found.append(f"{_named(key)}: differs")
    return found


def _named(key: tuple[str, str, str]) -> str:
    return f"{_masked(key[0])}/{key[2]}"


def _masked(subject: str) -> str:
    return hashlib.blake2b(subject.encode(), digest_size=6).hexdigest()


def _orphans(database: Database, running: int) -> list[str]:
    """Women with running rows of whom nothing is recorded."""
    with database.read() as tx:
        return [f"{_masked(row[0])}/all sections: only in the running view" for row in tx.execute(_ORPHANS, {"g": running})]


# --- writing and switching -------------------------------------------------------------------------------------------------------


def _write(database: Database, new: int, built: _Built) -> None:
    with database.write() as tx:
        store.save(tx, new, built.rows)
        of: dict[str, list[Relation]] = {}
        for relation in built.relations:
            of.setdefault(relation.subject, []).append(relation)
        for subject, found in of.items():
            store.save_relations(tx, new, subject, found)


def _switch(database: Database, keyring: Keyring, generations: tuple[int, int], horizon: int) -> None:
    """Fold what was recorded since the horizon, and make the new generation the one in use once nothing is left."""
    projector, (running, new) = Projector(keyring, SECTIONS), generations
    while True:
        with database.write() as tx:
            if store.hold_generation(tx) != running:
                raise Conflict("another rebuild switched the views first", code="generation-moved")
            rows = tx.execute(_AFTER, {"after": horizon, "n": _TAIL}).all()
            projector.apply(tx, new, _events(keyring, rows))
            if len(rows) < _TAIL:
                store.use_generation(tx, new)
                return
        horizon = rows[-1][0]


def _events(keyring: Keyring, rows: Sequence[Any]) -> list[Envelope]:
    events: list[Envelope] = []
    for _, key, record_id, attributes, body in rows:
        with contextlib.suppress(Erased):
            events += unpack(Record(record_id, key, orjson.loads(attributes), bytes(body)), keyring)
    return events


def _clear(database: Database, used: int) -> None:
    """Remove what is older than the generation in use, a part at a time, so that nobody waits long."""
    more = True
    while more:
        with database.write() as tx:
            more = store.clear_some(tx, used, _CLEAR)
