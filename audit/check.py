"""Is the trail whole? Looks for missing numbers and for entries that do not open; `ooievaar doctor` and the auditor ask it."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import func, select

from audit.trail import Filter, Trail
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
    changed = erased = entries = 0
    after = 0
    while seqs := _page(database, after):
        for seq in seqs:
            try:
                trail.search(Filter(), 1, below=seq + 1)
            except Erased:
                erased += 1
            except (BirthCareError, ValueError, TypeError, KeyError):
                changed += 1
        entries, after = entries + len(seqs), seqs[-1]
    return Checked(entries, _holes(database), changed, erased)


def _page(database: Database, after: int) -> list[int]:
    with database.read() as tx:
        query = select(audit_entry.c.seq).where(audit_entry.c.seq > after).order_by(audit_entry.c.seq).limit(1_000)
        return list(tx.execute(query).scalars())


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
