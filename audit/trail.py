"""The audit trail: append-only, durable before an answer leaves, numbered for each woman without holes.

Nothing here can change or remove an entry, and the database refuses it too (`protect`). Entries are sealed under the key
`audit/<subject>`; what stands in the clear beside them (times, pseudonyms, outcome) is bound into the seal, so a changed column shows as
a seal that does not open. Many entries share one commit; the number of an entry is taken in the transaction that stores it.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import structlog
from sqlalchemy import ColumnElement, Connection, Row, Select, select

from audit.entry import SUCCESS, Entry, Line, from_bytes, to_bytes
from fhir_profiles.errors import BirthCareError, Unavailable
from hub.database import Database
from hub.log.group import Batcher
from hub.log.keys import Erased, Keyring
from hub.tables import audit_entry

_MAX_BATCH: Final = 200
_LIMIT: Final = 5_000
_PAGE: Final = 500
_COLUMNS: Final = ("id", "at", "kind", "outcome", "subject", "subject_seq", "ura", "actor", "body")
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Recorded:
    """The entry is durable: its id, its number in the whole trail and its number for this woman (1, 2, 3 … without holes)."""

    id: str
    seq: int
    subject_seq: int


@dataclass(frozen=True, slots=True)
class Filter:
    """What an auditor looks for; an empty field does not narrow.

    `who` is a person's id, `name` a part of a person's name (slower: names are sealed, so every line must be opened). `outcome` is success,
    refused, error, or "closed" for the last two. `since` ≤ time of writing < `until`, UTC in ISO form.
    """

    who: str = ""
    name: str = ""
    ura: str = ""
    kind: str = ""
    outcome: str = ""
    subject: str = ""
    since: str = ""
    until: str = ""

    def query(self) -> str:
        """The filter as one line of text, for the entry about the search itself."""
        return "&".join(f"{name}={getattr(self, name)}" for name in self.__slots__ if getattr(self, name)) or "all"


EVERYTHING: Final = Filter()


class _Waiting:
    """One entry in the queue, and what became of it."""

    __slots__ = ("body", "entry", "recorded")

    def __init__(self, entry: Entry) -> None:
        self.entry = entry
        # Written out here, so that an entry that cannot be written fails alone and not with the batch it is in.
        self.body = to_bytes(entry)
        self.recorded: Recorded | None = None


class Trail:
    """The trail in one database. `clock` gives the time of writing (UTC). Several trails may write to one database at once."""

    def __init__(self, database: Database, keyring: Keyring, clock: Callable[[], datetime]) -> None:
        self._database, self._keyring, self._clock = database, keyring, clock
        self._actor_key = keyring.secret("audit-actor")
        self._batcher: Batcher[_Waiting] = Batcher(self._write, max_batch=_MAX_BATCH, limit=_LIMIT, name="audit")

    def start(self) -> None:
        """Start the writer thread that `record` and `begin` need."""
        self._batcher.start()

    def stop(self) -> None:
        """Write all that was handed in, and take nothing more."""
        self._batcher.stop()

    def depth(self) -> int:
        """How many entries wait to be durable."""
        return self._batcher.depth()

    def begin(self, entry: Entry) -> asyncio.Future[Recorded]:
        """Hand the entry to the writer now, and await the result later. The future raises `Unavailable` when it could not be kept."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Recorded] = loop.create_future()
        waiting = _Waiting(entry)
        self._batcher.submit(waiting, lambda error: _settle(future, waiting, error), loop)
        return future

    async def record(self, entry: Entry) -> Recorded:
        """Keep one entry; it is durable when this returns. Raises `Unavailable` when it is not, and then nothing may be shown."""
        return await self.begin(entry)

    async def record_all(self, entries: Sequence[Entry]) -> list[Recorded]:
        """Keep several entries, in one commit as far as they fit; all are durable when this returns."""
        return list(await asyncio.gather(*[self.begin(entry) for entry in entries]))

    def record_now(self, entry: Entry) -> Recorded:
        """The same for a caller without an event loop, in a transaction of its own."""
        waiting = _Waiting(entry)
        try:
            self._write([waiting])
        except Exception as error:
            raise _away(error) from error
        return _result(waiting)

    def of_subject(self, subject: str, limit: int = 100, after: int = 0) -> list[Line]:
        """Who looked at this woman's data, newest first; `after` is the `subject_seq` of the last line the caller has, 0 to begin."""
        mine = select(audit_entry).where(audit_entry.c.subject == subject).order_by(audit_entry.c.subject_seq.desc()).limit(limit)
        return self._opened(self._rows(mine.where(audit_entry.c.subject_seq < after) if after else mine))

    def search(self, wanted: Filter, limit: int = 100, after: int = 0) -> list[Line]:
        """The lines that fit, newest first; `after` is the `seq` of the last line the caller has, 0 to begin."""
        return list(itertools.islice(self.walk(wanted, below=after, page=_PAGE if wanted.name else limit), limit))

    def walk(self, wanted: Filter, *, below: int = 0, page: int = _PAGE) -> Iterator[Line]:
        """All lines that fit, newest first, page by page; `below` keeps out what was written from that `seq` on (0: nothing)."""
        name = wanted.name.casefold()
        query = select(audit_entry).where(*self._conditions(wanted)).order_by(audit_entry.c.seq.desc()).limit(page)
        while rows := self._rows(query.where(audit_entry.c.seq < below) if below else query):
            yield from (line for line in self._opened(rows) if name in line.entry.who.name.casefold())
            below = rows[-1].seq

    def actor(self, person: str) -> str:
        """The keyed hash of a person's id that stands in the `actor` column, so that one can search without the ids in the clear."""
        return hmac.digest(self._actor_key, person.encode(), "sha256").hex()[:32]

    def _conditions(self, wanted: Filter) -> list[ColumnElement[bool]]:
        c = audit_entry.c
        pairs = ((c.ura, wanted.ura), (c.kind, wanted.kind), (c.subject, wanted.subject),
                 (c.actor, self.actor(wanted.who) if wanted.who else ""))
        exact: list[ColumnElement[bool]] = [column == value for column, value in pairs if value]
        outcome = {"": [], "closed": [c.outcome != SUCCESS]}.get(wanted.outcome, [c.outcome == wanted.outcome])
        since = [c.at >= _time(wanted.since)] if wanted.since else []
        until = [c.at < _time(wanted.until)] if wanted.until else []
        return [*exact, *outcome, *since, *until]

    def _rows(self, query: Select[Any]) -> Sequence[Row[Any]]:
        with self._database.read() as tx:
            return tx.execute(query).all()

    def _opened(self, rows: Sequence[Row[Any]]) -> list[Line]:
        """The lines in the rows, without those whose key was destroyed on purpose after their retention; `audit.check` counts them."""
        lines = []
        for row in rows:
            with contextlib.suppress(Erased):
                lines.append(self.line_of(row))
        return lines

    def line_of(self, row: Row[Any]) -> Line:
        """The line in a row of `audit_entry`.

        Raises `Unavailable` when the row was changed, and `Erased` when the woman's audit key was destroyed.
        """
        bound = _bound(row.id, row.at, row.kind, row.outcome, row.subject, row.subject_seq, row.ura, row.actor)
        return Line(row.seq, row.subject_seq, row.at, from_bytes(self._keyring.open(_key(row.subject), row.body, bound)))

    def _write(self, batch: list[_Waiting]) -> None:
        """All entries of the batch in one transaction, numbered in the order in which they came."""
        at = self._clock().isoformat(timespec="microseconds")
        counts = Counter(waiting.entry.about.subject for waiting in batch)
        for subject in counts:
            # Makes the woman's key if she has none: a write of its own, so before the transaction.
            self._keyring.seal(_key(subject), b"", b"")
        with self._database.write() as tx:
            last = self._numbers(tx, counts)
            rows = []
            for waiting in batch:
                last[waiting.entry.about.subject] += 1
                rows.append(self._row(waiting, at, last[waiting.entry.about.subject]))
            stored = self._insert(tx, "audit_entry", _COLUMNS, rows, "RETURNING id, seq, subject_seq")
        kept = {row[0]: Recorded(row[0], row[1], row[2]) for row in stored}
        for waiting in batch:
            waiting.recorded = kept[waiting.entry.id]

    def _numbers(self, tx: Connection, counts: Mapping[str, int]) -> dict[str, int]:
        """Take as many numbers as each woman has entries in the batch; returns the number before her first."""
        # Sorted, so that two processes take the rows of the same women in the same order and never wait in a circle.
        heads = self._insert(tx, "audit_head", ("subject", "seq"), sorted(counts.items()),
                             "ON CONFLICT (subject) DO UPDATE SET seq = audit_head.seq + excluded.seq RETURNING subject, seq")
        return {subject: seq - counts[subject] for subject, seq in heads}

    def _insert(self, tx: Connection, table: str, columns: Sequence[str], rows: Sequence[tuple[object, ...]], rest: str) -> Sequence[Any]:
        """One statement for all rows, straight to the driver: this runs at every read of a plan, and building costs more than doing."""
        row = f"({', '.join(['?' if self._database.is_sqlite else '%s'] * len(columns))})"
        statement = f"INSERT INTO {table} ({', '.join(columns)}) VALUES {', '.join([row] * len(rows))} {rest}"  # noqa: S608  # names of ours
        return tx.exec_driver_sql(statement, tuple(itertools.chain.from_iterable(rows))).fetchall()

    def _row(self, waiting: _Waiting, at: str, subject_seq: int) -> tuple[object, ...]:
        entry = waiting.entry
        what, subject, ura, actor = entry.what, entry.about.subject, entry.who.ura, self.actor(entry.who.id)
        clear = (entry.id, at, what.code, what.outcome, subject, subject_seq, ura, actor)
        return *clear, self._keyring.seal(_key(subject), waiting.body, _bound(*clear))


def _time(text: str) -> str:
    """Times are compared as text, so a bound ends where its digits end."""
    return text.removesuffix("Z").removesuffix("+00:00")


def _key(subject: str) -> str:
    return f"audit/{subject or '-'}"


def _bound(*columns: object) -> bytes:
    return "\x1f".join(map(str, columns)).encode()


def _settle(future: asyncio.Future[Recorded], waiting: _Waiting, error: BaseException | None) -> None:
    if future.done():  # its caller was cancelled; the entry stands all the same
        return
    if error is not None:
        future.set_exception(_away(error))
    else:
        future.set_result(_result(waiting))


def _result(waiting: _Waiting) -> Recorded:
    if waiting.recorded is None:
        raise AssertionError("an entry that was written has its numbers")
    return waiting.recorded


def _away(error: BaseException) -> BirthCareError:
    """Whatever kept the entry from being durable has one meaning for the asker: not now."""
    log.error("audit_not_written", error_type=type(error).__name__)
    if isinstance(error, Unavailable):
        return error
    away = Unavailable("het logboek is niet bereikbaar; probeer het later opnieuw", code="audit-away")
    away.__cause__ = error
    return away
