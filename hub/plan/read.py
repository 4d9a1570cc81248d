"""The reading side of the views, as the door needs it: what stands about a woman at one moment, and sealed rows opened for her.

Nothing here decides who may read. Rows of pregnancy "" hold facts that belong to no known pregnancy; they come with those of the
pregnancy that was asked for, and `show.py` takes what falls within it.

One statement asks for rows and relations together, so a `Seen` is of one state, its contents too. A row that was opened before is known by
its etag; where one is not in memory, `see(whole=True)` asks for everything again, with the bodies.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from datetime import date
from typing import Any, Final

from sqlalchemy import Connection

from hub.database import Database, Question
from hub.log.keys import Erased, Keyring
from hub.plan import state, store
from hub.plan.opened import OpenedRows
from hub.plan.project import opened_row, view_key
from hub.plan.store import Relation, still

TAIL_DAYS: Final = 42
"""A treatment relation counts for six weeks after its end (kraamtijd); the outer bound, authz may be stricter."""

_REMEMBERED: Final = 16 * 1024 * 1024
_NOTHING: Final = b"[]"

_Key = tuple[str, str]
_Row = tuple[str, str, bytes, bytes | None]
"""Pregnancy, leaf, etag, and the sealed body when it was asked for."""

_OF_HER: Final = " WHERE generation = COALESCE((SELECT CAST(value AS INTEGER) FROM meta WHERE name = 'generation'), 1) AND subject = ?"
_ROWS: Final = "SELECT episode, section, '', '', '', etag, {body} FROM view{of_her}"
_WHOLE: Final = _ROWS.format(body="body", of_her=_OF_HER)
_OUTLINE: Final = _ROWS.format(body="CAST(NULL AS BYTEA)", of_her=_OF_HER)
_RELATED: Final = f'SELECT episode, ura, kind, since, "until", CAST(NULL AS BYTEA), CAST(NULL AS BYTEA) FROM relation{_OF_HER}'  # noqa: S608  # texts of ours


class PlanReader:
    """Opens views for the door. Safe to use from several threads. Keeps at most `remember` bytes of opened rows in memory."""

    def __init__(self, database: Database, keyring: Keyring, remember: int = _REMEMBERED) -> None:
        self._database, self._keyring = database, keyring
        self.opened = OpenedRows(remember)

    def see(self, subject: str, *beside: Question, whole: bool = False) -> tuple[Seen, list[list[tuple[Any, ...]]]]:
        """What stands about a woman now, with its sealed bodies when `whole`; and the rows of questions that are asked `beside`, of the same state.

        Those have five columns of text and two of bytes. Her key is asked for with them, or afterwards: what was erased before the call is
        not opened.
        """
        key = self._keyring.question(view_key(subject), self._database)
        rows, related, *others = self._database.together((_WHOLE if whole else _OUTLINE, (subject,)), (_RELATED, (subject,)), *beside,
                                                         *((key,) if key else ()))
        wrapped = others.pop() if key else None
        mark = self._keyring.mark(view_key(subject), wrapped) if rows else b""
        found = sorted((episode, leaf, etag if type(etag) is bytes else bytes(etag), body) for episode, leaf, _, _, _, etag, body in rows)
        return Seen(self, subject, mark, found, [Relation(subject, *row[:5]) for row in related]), others

    def sections(self, subject: str, episode: str, names: Collection[str]) -> dict[_Key, bytes]:
        """(episode, section) → state, as it stands now; see `Content.sections`."""
        return self.see(subject, whole=True)[0].content(episode).sections(names)

    def episodes(self, subject: str) -> list[str]:
        """Her pregnancies, the present one first."""
        return self.see(subject)[0].episodes()

    def version(self, subject: str) -> str:
        """A short text that changes whenever anything in her plan does: for live pages and ETags. It tells nothing of the content."""
        return self.see(subject)[0].version()

    def relation(self, tx: Connection | None, subject: str, episode: str, ura: str, today: date) -> tuple[str, str]:
        """The organisation's treatment relation with the pregnancy on a day; see `relation_of`."""
        return relation_of(store.relations(tx, subject) if tx is not None else self.see(subject)[0].relations, episode, ura, today)

    def clients(self, ura: str, today: date, tx: Connection | None = None) -> list[tuple[str, str]]:
        """(subject, episode) of every pregnancy with which the organisation has a treatment relation on a day."""
        with self._database.read() as own:
            at = tx or own
            subjects = {r.subject for r in store.relations_of(at, ura) if still(r, today, TAIL_DAYS)}
            return [(subject, episode) for subject in sorted(subjects) for episode in self._of(at, subject, ura, today)]

    def open(self, subject: str, mark: bytes, row: _Row) -> bytes:
        """The plain state of a row, remembered for the next reader; nothing (an empty state) when its key was destroyed.

        Raises `Unavailable` when it does not open.
        """
        episode, leaf, etag, body = row
        assert body is not None, "a row is opened when its body was asked for"
        try:
            plain = opened_row(self._keyring, subject, episode, leaf, bytes(body))
        except Erased:
            return _NOTHING
        self.opened.keep(subject, mark, (episode, leaf), etag, plain)
        return plain

    def _of(self, tx: Connection, subject: str, ura: str, today: date) -> list[str]:
        relations = store.relations(tx, subject)
        episodes = sorted({r.episode for r in relations if r.episode}) or [""]
        return [episode for episode in episodes if _counts(relations, episode, ura, today)]


class Seen:
    """Rows and treatment relations of one woman, all of one moment."""

    __slots__ = ("_mark", "_reader", "_rows", "_subject", "relations")

    def __init__(self, reader: PlanReader, subject: str, mark: bytes, rows: list[_Row], relations: list[Relation]) -> None:
        self._reader, self._subject, self._mark, self._rows, self.relations = reader, subject, mark, rows, relations

    def episodes(self) -> list[str]:
        """Her pregnancies, the present one first; empty when the hub knows none."""
        return in_order({row[0] for row in self._rows if row[0]}, self.relations)

    def version(self) -> str:
        """A digest of the etags of all rows."""
        return hashlib.blake2b(b"".join([f"{episode}/{leaf}:".encode() + etag for episode, leaf, etag, _ in self._rows]), digest_size=16).hexdigest()

    def content(self, episode: str) -> Content:
        """The rows of one pregnancy, and of none."""
        rows = {row[:2]: row for row in self._rows if row[0] == episode or not row[0]}
        if not self._mark:  # her key was destroyed: there is nothing left to open
            return Content(self._reader, self._subject, b"", rows, dict.fromkeys(rows, _NOTHING))
        plain = self._reader.opened.of(self._subject, self._mark, {key: row[2] for key, row in rows.items()})
        return Content(self._reader, self._subject, self._mark, rows, plain)


class Content:
    """The sections of one pregnancy as they stood at one moment. Nothing is opened before it is asked for."""

    __slots__ = ("_mark", "_plain", "_reader", "_rows", "_subject")

    def __init__(self, reader: PlanReader, subject: str, mark: bytes, rows: dict[_Key, _Row], plain: dict[_Key, bytes]) -> None:
        self._reader, self._subject, self._mark, self._rows, self._plain = reader, subject, mark, rows, plain

    def lacks(self, names: Collection[str]) -> bool:
        """Whether rows of these sections are neither in memory nor came along: ask for the whole."""
        return any(row[3] is None and key not in self._plain and state.section_of(row[1]) in names for key, row in self._rows.items())

    def sections(self, names: Collection[str]) -> dict[_Key, bytes]:
        """(episode, section) → state, for those of the named sections that hold anything. Only what was named is opened.

        Raises `Unavailable` when a row does not open; one whose key was destroyed is empty.
        """
        leaves: dict[_Key, list[bytes]] = {}
        for key, row in self._rows.items():
            section = state.section_of(row[1])
            if section in names:
                plain = self._plain.get(key)
                leaves.setdefault((row[0], section), []).append(self._reader.open(self._subject, self._mark, row) if plain is None else plain)
        return {key: found[0] if len(found) == 1 else state.join(found) for key, found in leaves.items()}


def in_order(episodes: Collection[str], relations: Collection[Relation]) -> list[str]:
    """Pregnancies, the present one first: what runs goes before what is over, what began later before what began earlier."""
    if len(episodes) < 2:
        return list(episodes)

    def rank(episode: str) -> tuple[bool, str, str]:
        mine = [r for r in relations if r.episode == episode]
        return any(not r.until for r in mine), max((r.since for r in mine), default=""), episode

    return sorted(episodes, key=rank, reverse=True)


def relation_of(relations: Collection[Relation], episode: str, ura: str, today: date) -> tuple[str, str]:
    """An organisation's treatment relation with a pregnancy on a day: (dossier or encounter, evidence), or ("none", "").

    The evidence is an ISO interval, "2026-05-01/" while it runs. One that ended counts `TAIL_DAYS` more. A contact that its source
    tied to no pregnancy counts for a pregnancy that runs now, and for none that is over.
    """
    found = _counts(relations, episode, ura, today) if ura else None
    return (found.kind, f"{found.since}/{found.until}") if found is not None else ("none", "")


def _counts(relations: Collection[Relation], episode: str, ura: str, today: date) -> Relation | None:
    """The relation by which an organisation may be said to treat a woman in a pregnancy on a day, None when there is none."""
    mine = [r for r in relations if r.ura == ura and still(r, today, TAIL_DAYS)]
    direct = next((r for r in mine if r.episode == episode), None)
    if direct is not None:
        return direct
    runs = any(r.episode == episode and r.kind == "dossier" and not r.until for r in relations)
    return next((r for r in mine if r.episode == "" and r.kind == "encounter"), None) if runs else None
