"""The SQL of the views: rows of sections, treatment relations, and which generation of them is in use. Nothing here opens a seal.

`hub.api` and `hub.web` may not import this module: the door is the only way in. Statements are plain SQL that SQLite and PostgreSQL
read alike, because these are the hottest statements of the hub.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, CursorResult, bindparam, text

from hub.database import spelt
from hub.upsert import in_parts


class Row(NamedTuple):
    """One leaf of one section: sealed state, keyed hash, and number of events. `leaf` is what stands in column `section`."""

    subject: str
    episode: str
    leaf: str
    etag: bytes
    events: int
    body: bytes


class Relation(NamedTuple):
    """An organisation's treatment relation (behandelrelatie) with one pregnancy. `kind` is dossier or encounter; days, "" when not known.

    `until` is the day on which it ended; how long it still counts after that is not decided here.
    """

    subject: str
    episode: str
    ura: str
    kind: str
    since: str
    until: str


_USED: Final = "SELECT value FROM meta WHERE name = 'generation'"
_LAST: Final = text("SELECT value FROM meta WHERE name = 'generation-made'")
_MADE: Final = text(
    "INSERT INTO meta (name, value) VALUES ('generation-made', :value) ON CONFLICT (name) DO UPDATE SET value = excluded.value"
)
_FIRST: Final = text("INSERT INTO meta (name, value) VALUES ('generation', '1') ON CONFLICT (name) DO NOTHING")


def generation(tx: Connection) -> int:
    """The generation in use; call it first in every transaction that writes views or appends recorded events.

    On PostgreSQL it is held until the transaction ends, so that a rebuild cannot switch between the reading and the writing. On
    SQLite one writer at a time does the same.
    """
    return _generation(tx, "" if tx.dialect.name == "sqlite" else " FOR SHARE")


def hold_generation(tx: Connection) -> int:
    """The generation in use, held alone: waits for every transaction that writes views, and lets none begin until this one ends."""
    return _generation(tx, "" if tx.dialect.name == "sqlite" else " FOR UPDATE")


def _generation(tx: Connection, hold: str) -> int:
    value = tx.exec_driver_sql(_USED + hold).scalar()
    if value is None:
        tx.execute(_FIRST)
        value = tx.exec_driver_sql(_USED + hold).scalar_one()
    return int(value)


def generation_seen(tx: Connection) -> int:
    """The generation in use, for a reader: nothing is held."""
    return int(tx.exec_driver_sql(_USED).scalar() or 1)


def new_generation(tx: Connection) -> int:
    """A number above every generation that was ever begun, for a rebuild; ask for it while the one in use is held."""
    number = max(generation_seen(tx), int(tx.execute(_LAST).scalar() or 1)) + 1
    tx.execute(_MADE, {"value": str(number)})
    return number


def use_generation(tx: Connection, number: int) -> None:
    """Make a generation the one in use."""
    tx.execute(text("UPDATE meta SET value = :value WHERE name = 'generation'"), {"value": str(number)})


_LEAVES: Final = "SELECT subject, episode, section FROM view WHERE generation = ? AND subject IN ({})"
_BODIES: Final = (
    "SELECT subject, episode, section, body FROM view WHERE generation = ? AND (subject, episode, section) IN (VALUES {})"
)
_AT_ONCE: Final = (1, 4, 16, 64, 256)
"""How many keys one query asks for; a key has up to three values."""
_SAVE: Final = (
    "INSERT INTO view (generation, subject, episode, section, etag, events, body) VALUES (?, ?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (generation, subject, episode, section)"
    " DO UPDATE SET etag = excluded.etag, events = excluded.events, body = excluded.body"
)
_DROP: Final = "DELETE FROM view WHERE generation = ? AND subject = ? AND episode = ? AND section = ?"
_FORGET_RELATIONS: Final = text("DELETE FROM relation WHERE generation = :g AND subject = :s")
_SAVE_RELATION: Final = text(
    'INSERT INTO relation (generation, subject, episode, ura, kind, since, "until") VALUES (:g, :s, :e, :u, :k, :f, :t)'
)


def leaves(tx: Connection, number: int, subjects: Iterable[str]) -> list[tuple[str, str, str]]:
    """(subject, episode, leaf) of every row of these women."""
    return list(_asked(tx, _LEAVES, "?", number, [(subject,) for subject in subjects]))


def bodies(tx: Connection, number: int, wanted: Iterable[tuple[str, str, str]]) -> dict[tuple[str, str, str], bytes]:
    """(subject, episode, leaf) → sealed state, for those of the wanted rows that are there."""
    return {(s, e, leaf): bytes(body) for s, e, leaf, body in _asked(tx, _BODIES, "(?, ?, ?)", number, wanted)}


def _asked(tx: Connection, sql: str, place: str, number: int, keys: Iterable[tuple[str, ...]]) -> Iterator[tuple[Any, ...]]:
    """The rows of a query for many keys, with `place` in the text for each of them."""
    for part in in_parts(keys, _AT_ONCE):
        values = [value for key in part for value in key]
        yield from _run(tx, sql.format(", ".join([place] * len(part))), (number, *values)).fetchall()


def save(tx: Connection, number: int, rows: Sequence[Row]) -> None:
    """Write rows, over those that are there."""
    if rows:
        _run(tx, _SAVE, [(number, *row) for row in rows])


def drop(tx: Connection, number: int, gone: Iterable[tuple[str, str, str]]) -> None:
    """Remove rows (subject, episode, leaf): leaves that were split."""
    rows = [(number, *leaf) for leaf in gone]
    if rows:
        _run(tx, _DROP, rows)


def save_relations(tx: Connection, number: int, subject: str, relations: Sequence[Relation]) -> None:
    """Make these the woman's treatment relations, and no others."""
    tx.execute(_FORGET_RELATIONS, {"g": number, "s": subject})
    if relations:
        rows = [{"g": number, "s": r.subject, "e": r.episode, "u": r.ura, "k": r.kind, "f": r.since, "t": r.until} for r in relations]
        tx.execute(_SAVE_RELATION, rows)


OF_WOMAN: Final = (
    'SELECT subject, episode, ura, kind, since, "until" FROM relation'
    " WHERE generation = COALESCE((SELECT CAST(value AS INTEGER) FROM meta WHERE name = 'generation'), 1)"
    " AND subject = ? ORDER BY episode, ura"
)
_OF_ORGANISATION: Final = (
    'SELECT subject, episode, ura, kind, since, "until" FROM relation'
    " WHERE generation = COALESCE((SELECT CAST(value AS INTEGER) FROM meta WHERE name = 'generation'), 1)"
    " AND ura = ? ORDER BY subject, episode"
)


def relations(tx: Connection, subject: str) -> list[Relation]:
    """A woman's treatment relations in the generation in use."""
    return [Relation(*row) for row in fetched(tx, OF_WOMAN, (subject,))]


def relations_of(tx: Connection, ura: str) -> list[Relation]:
    """An organisation's treatment relations in the generation in use."""
    return [Relation(*row) for row in fetched(tx, _OF_ORGANISATION, (ura,))]


def _run(tx: Connection, sql: str, values: Any) -> CursorResult[Any]:
    """One of the statements with `?` places that run for every batch, not compiled anew each time. A list of tuples runs it for each."""
    return tx.exec_driver_sql(spelt(sql, tx.dialect.name), values)


def fetched(tx: Connection, sql: str, values: tuple[str, ...]) -> list[tuple[Any, ...]]:
    """All rows of a query with `?` places. Straight to the driver: on the door's path SQLAlchemy's layers cost more than the read."""
    driver: Any = tx.connection.driver_connection
    rows: list[tuple[Any, ...]] = driver.execute(spelt(sql, tx.dialect.name), values).fetchall()
    return rows


def still(relation: Relation, today: date, tail_days: int) -> bool:
    """Whether a relation counts on a day: not over, or over for no more than the tail. A day that cannot be read counts as long over."""
    if not relation.until:
        return True
    try:
        return (today - date.fromisoformat(relation.until[:10])).days <= tail_days
    except ValueError:
        return False


_COMPARED: Final = text(
    "SELECT subject, episode, section, etag, events FROM view WHERE generation = :g AND subject IN :s"
).bindparams(bindparam("s", expanding=True))
_RELATED: Final = text(
    'SELECT subject, episode, ura, kind, since, "until" FROM relation WHERE generation = :g AND subject IN :s'
).bindparams(bindparam("s", expanding=True))


def etags(tx: Connection, number: int, subjects: Sequence[str]) -> dict[tuple[str, str, str], bytes]:
    """(subject, episode, leaf) → etag, for comparing generations."""
    return {(s, e, leaf): bytes(etag) for s, e, leaf, etag, _ in tx.execute(_COMPARED, {"g": number, "s": list(subjects)})}


def relations_among(tx: Connection, number: int, subjects: Sequence[str]) -> set[Relation]:
    """The treatment relations of several women in one generation."""
    return {Relation(*row) for row in tx.execute(_RELATED, {"g": number, "s": list(subjects)})}


_NEXT_OLD: Final = text("SELECT generation, subject FROM view WHERE generation < :g ORDER BY generation, subject LIMIT 1 OFFSET :n")
_CLEAR: Final = tuple(text(sql) for sql in (
    "DELETE FROM view WHERE generation = :g AND subject <= :to", "DELETE FROM relation WHERE generation = :g AND subject <= :to",
))
_CLEAR_BELOW: Final = tuple(text(sql) for sql in ("DELETE FROM view WHERE generation < :g", "DELETE FROM relation WHERE generation < :g"))


def clear_some(tx: Connection, used: int, limit: int) -> bool:
    """Remove about `limit` rows of generations below the one in use; False when none is left."""
    end = tx.execute(_NEXT_OLD, {"g": used, "n": limit}).first()
    if end is None:
        for statement in _CLEAR_BELOW:
            tx.execute(statement, {"g": used})
        return False
    for statement in (*_CLEAR_BELOW, *_CLEAR):
        tx.execute(statement, {"g": end[0], "to": end[1]} if statement in _CLEAR else {"g": end[0]})
    return True
