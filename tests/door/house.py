"""A house with a door: a real trail, real consents and real policies on SQLite; plans and relations from memory."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from sqlalchemy import Connection

from audit.entry import Line, Where
from audit.trail import Filter, Trail
from authz.consents import Consents
from authz.engine import load_policies
from fhir_profiles.codes import SECTIONS
from fhir_profiles.identifiers import Subject
from hub.database import Database, open_sqlite
from hub.door import Content, Door, Looked, Related, SectionBytes
from hub.log.keys import Keyring
from tests.audit.lines import now
from tests.authz.cast import EARLIER, LEPELAAR, NOOR, PREGNANCY, RIJNOEVER, SAMIRA

KEK = b"k" * 32


@dataclass
class MemoryRelations:
    """The practice looks after Noor and Samira, the hospital saw Noor; both in this pregnancy only."""

    rows: list[tuple[str, str, str, str]] = field(default_factory=lambda: [
        (NOOR, PREGNANCY, LEPELAAR, "dossier"), (SAMIRA, PREGNANCY, LEPELAAR, "dossier"), (NOOR, PREGNANCY, RIJNOEVER, "encounter")])

    def of(self, subject: str, episode: str, ura: str) -> tuple[str, str]:
        """The relation and its evidence."""
        return next(((kind, "evidence-1") for s, e, u, kind in self.rows if (s, e, u) == (subject, episode, ura)), ("none", ""))

    def subjects_of(self, tx: Connection, ura: str) -> Sequence[Related]:
        return [Related(s, e, kind, "evidence-1") for s, e, u, kind in self.rows if u == ura]


class MemoryContent:
    """A section's bytes say whose and which it is. Gives more than was asked for."""

    def __init__(self, subject: str) -> None:
        self.subject = subject

    def lacks(self, names: Collection[str]) -> bool:
        return False

    def sections(self, names: Collection[str]) -> SectionBytes:
        return {(e, name): f"{self.subject}/{e}/{name}".encode() for e in (PREGNANCY, EARLIER, "") for name in SECTIONS}


class MemoryPlans:
    """Every woman has this pregnancy and an earlier one; relations and consent are those of the house."""

    def __init__(self, relations: MemoryRelations, consents: Consents) -> None:
        self.relations, self.consents = relations, consents

    def look(self, subject: str, episode: str, ura: str, *, whole: bool) -> Looked:
        episode = episode or (PREGNANCY if subject in (NOOR, SAMIRA) else "")
        return Looked(episode, *self.relations.of(subject, episode, ura), *self.consents.of(subject, ura), "v1", self.content(subject))

    def content(self, subject: str) -> Content:
        return MemoryContent(subject)


class House:
    """The door and what stands around it."""

    def __init__(self, folder: Path) -> None:
        self.keys = open_sqlite(folder / "keys.db", ["keys"])
        self.database: Database = open_sqlite(folder / "hub.db", ["hub"])
        self.audit = open_sqlite(folder / "audit.db", ["audit"])
        keyring = Keyring(self.keys, KEK)
        self.consents = Consents(self.database, keyring)
        self.trail = Trail(self.audit, keyring, now)
        self.relations = MemoryRelations()
        self.plans = MemoryPlans(self.relations, self.consents)
        self.door = Door(self.database, self.relations, self.consents, self.trail, self.plans, load_policies(), Where("ooievaar-1"), now)

    def with_(self, **parts: object) -> Door:
        """The same door with other parts."""
        return replace(self.door, **parts)  # type: ignore[arg-type]  # the tests hand in faulty parts on purpose

    def agree(self, subject: str = NOOR, *uras: str) -> None:
        """She says yes to the practice and the hospital, or to those named."""
        for ura in uras or (LEPELAAR, RIJNOEVER):
            self.consents.give(Subject(subject), ura, "noor", "vinkje")

    def entries(self) -> list[Line]:
        """All entries, oldest first."""
        return self.trail.search(Filter(), 2_000)[::-1]

    def last(self) -> Line:
        """The newest entry."""
        return self.entries()[-1]

    def close(self) -> None:
        """Stop writing and give back the databases."""
        self.trail.stop()
        for database in (self.database, self.audit, self.keys):
            database.close()
