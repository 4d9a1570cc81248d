"""Is the trail whole? Looks for missing numbers and for entries that do not open; `ooievaar doctor` and the auditor ask it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, func, select

from audit.trail import Trail
from fhir_profiles.errors import BirthCareError
from hub.database import Database
from hub.log.keys import Erased
from hub.tables import audit_entry, audit_head


@dataclass(frozen=True, slots=True)
class Checked:
    """How many entries stand in the trail, for how many women numbers are missing, and how many entries were changed or erased."""

    entries: int
    subjects_with_holes: int
    changed: int
    erased: int

    @property
    def whole(self) -> bool:
        """Nothing missing and nothing changed; what was erased with its key on purpose does not count against it."""
        return not self.subjects_with_holes and not self.changed


def check(database: Database, trail: Trail) -> Checked:
    """Read the whole trail once."""
    entries = changed = erased = after = 0
    while rows := _page(database, after):
        kinds = [_state(trail, row) for row in rows]
        entries, changed, erased = entries + len(rows), changed + kinds.count("changed"), erased + kinds.count("erased")
        after = rows[-1].seq
    return Checked(entries, _holes(database), changed, erased)


def _page(database: Database, after: int) -> Sequence[Row[Any]]:
    with database.read() as tx:
        return tx.execute(select(audit_entry).where(audit_entry.c.seq > after).order_by(audit_entry.c.seq).limit(1_000)).all()


def _state(trail: Trail, row: Row[Any]) -> str:
    try:
        trail.line_of(row)
    except Erased:
        return "erased"
    except (BirthCareError, ValueError, TypeError, KeyError):
        return "changed"
    return "whole"


def _holes(database: Database) -> int:
    """Women whose entries are not exactly 1 … the number that was handed out last."""
    c = audit_entry.c
    counted = select(c.subject, func.count().label("n"), func.max(c.subject_seq).label("last")).group_by(c.subject).subquery()
    whole = (counted.c.n == audit_head.c.seq) & (counted.c.last == audit_head.c.seq)
    joined = audit_head.outerjoin(counted, counted.c.subject == audit_head.c.subject)
    with database.read() as tx:
        heads = tx.execute(select(func.count()).select_from(audit_head)).scalar_one()
        good = tx.execute(select(func.count()).select_from(joined).where(whole)).scalar_one()
        headless = tx.execute(select(func.count(c.subject.distinct())).where(c.subject.not_in(select(audit_head.c.subject)))).scalar_one()
    return heads - good + headless
