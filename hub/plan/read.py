"""The reading side of the views, as the door needs it: sealed rows opened for one woman, her pregnancies, and treatment relations.

Nothing here decides who may read. Rows of pregnancy "" hold facts that belong to no known pregnancy; they come with those of the
pregnancy that was asked for, and `show.py` takes what falls within it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from datetime import date
from typing import Any, Final

from sqlalchemy import Connection

from hub.database import Database
from hub.log.keys import Erased, Keyring
from hub.plan import state, store
from hub.plan.project import opened_row
from hub.plan.store import Relation, still

TAIL_DAYS: Final = 42
"""A treatment relation counts for six weeks after its end (kraamtijd); the outer bound, authz may be stricter."""

_Key = tuple[str, str]


_SECTIONS: Final = (
    "SELECT episode, section, body FROM view"
    " WHERE generation = COALESCE((SELECT CAST(value AS INTEGER) FROM meta WHERE name = 'generation'), 1)"
    " AND subject = ? AND episode IN (?, '') ORDER BY section"
)
_VERSION: Final = (
    "SELECT episode, section, etag FROM view"
    " WHERE generation = COALESCE((SELECT CAST(value AS INTEGER) FROM meta WHERE name = 'generation'), 1)"
    " AND subject = ? ORDER BY episode, section"
)
_EPISODES: Final = (
    "SELECT DISTINCT episode FROM view"
    " WHERE generation = COALESCE((SELECT CAST(value AS INTEGER) FROM meta WHERE name = 'generation'), 1)"
    " AND subject = ? AND episode <> ''"
)


class PlanReader:
    """Opens views for the door. Safe to use from several threads."""

    def __init__(self, database: Database, keyring: Keyring) -> None:
        self._database = database
        self._keyring = keyring

    def sections(self, subject: str, episode: str, names: Collection[str], tx: Connection | None = None) -> dict[_Key, bytes]:
        """(episode, section) → state, for those of the named sections that hold anything. Only what was named is opened.

        Raises `Unavailable` when a row does not open; a row whose key was destroyed is left out.
        """
        wanted = set(names)
        leaves: dict[_Key, list[bytes]] = {}
        for row_episode, leaf, body in self._rows(_SECTIONS, (subject, episode), tx):
            section = state.section_of(leaf)
            if section in wanted:
                leaves.setdefault((row_episode, section), []).append(self._open(subject, row_episode, leaf, bytes(body)))
        return {key: found[0] if len(found) == 1 else state.join(found) for key, found in leaves.items()}

    def episodes(self, subject: str) -> list[str]:
        """Her pregnancies, the present one first: what runs goes before what is over, what began later before what began earlier."""
        known = [row[0] for row in self._rows(_EPISODES, (subject,), None)]
        if len(known) < 2:
            return known
        relations = self._relations(None, subject)

        def rank(episode: str) -> tuple[bool, str, str]:
            mine = [r for r in relations if r.episode == episode]
            return any(not r.until for r in mine), max((r.since for r in mine), default=""), episode

        return sorted(known, key=rank, reverse=True)

    def relation(self, tx: Connection | None, subject: str, episode: str, ura: str, today: date) -> tuple[str, str]:
        """The organisation's treatment relation with the pregnancy on a day: (dossier or encounter, evidence), or ("none", "").

        The evidence is an ISO interval, "2026-05-01/" while it runs. One that ended counts `TAIL_DAYS` more. A contact that its source
        tied to no pregnancy counts for a pregnancy that runs now, and for none that is over.
        """
        if not ura:
            return "none", ""
        found = _counts(self._relations(tx, subject), episode, ura, today)
        return (found.kind, f"{found.since}/{found.until}") if found is not None else ("none", "")

    def clients(self, ura: str, today: date, tx: Connection | None = None) -> list[tuple[str, str]]:
        """(subject, episode) of every pregnancy with which the organisation has a treatment relation on a day."""
        with self._database.read() as own:
            at = tx or own
            subjects = {r.subject for r in store.relations_of(at, ura) if still(r, today, TAIL_DAYS)}
            return [(subject, episode) for subject in sorted(subjects) for episode in self._of(at, subject, ura, today)]

    def version(self, subject: str) -> str:
        """A short text that changes whenever anything in her plan does: for live pages and ETags. It tells nothing of the content."""
        hasher = hashlib.blake2b(digest_size=16)
        for episode, leaf, etag in self._rows(_VERSION, (subject,), None):
            hasher.update(f"{episode}/{leaf}:".encode() + bytes(etag))
        return hasher.hexdigest()

    def _of(self, tx: Connection, subject: str, ura: str, today: date) -> list[str]:
        relations = store.relations(tx, subject)
        episodes = sorted({r.episode for r in relations if r.episode}) or [""]
        return [episode for episode in episodes if _counts(relations, episode, ura, today)]

    def _relations(self, tx: Connection | None, subject: str) -> list[Relation]:
        if tx is not None:
            return store.relations(tx, subject)
        return [Relation(*row) for row in self._database.fetch(store.OF_WOMAN, (subject,))]

    def _rows(self, sql: str, values: tuple[str, ...], tx: Connection | None) -> list[tuple[Any, ...]]:
        return self._database.fetch(sql, values) if tx is None else store.fetched(tx, sql, values)

    def _open(self, subject: str, episode: str, leaf: str, body: bytes) -> bytes:
        try:
            return opened_row(self._keyring, subject, episode, leaf, body)
        except Erased:
            return b"[]"


def _counts(relations: list[Relation], episode: str, ura: str, today: date) -> Relation | None:
    """The relation by which an organisation may be said to treat a woman in a pregnancy on a day, None when there is none."""
    mine = [r for r in relations if r.ura == ura and still(r, today, TAIL_DAYS)]
    direct = next((r for r in mine if r.episode == episode), None)
    if direct is not None:
        return direct
    runs = any(r.episode == episode and r.kind == "dossier" and not r.until for r in relations)
    return next((r for r in mine if r.episode == "" and r.kind == "encounter"), None) if runs else None
