"""Every table of the hub, for SQLite and PostgreSQL alike, in groups.

The embedded hub keeps each group in a file of its own, so that no two writers meet in one file; on PostgreSQL all stand in one
database. Columns hold pseudonyms, times and counts; whatever says something about a person is in a sealed `body`.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, MetaData, Table, Text, UniqueConstraint
from sqlalchemy.schema import SchemaItem

metadata = MetaData()

# Only INTEGER PRIMARY KEY counts by itself in SQLite; PostgreSQL needs the wide one.
_Serial = BigInteger().with_variant(Integer(), "sqlite")


def _log(name: str, *more: SchemaItem) -> Table:
    return Table(
        name, metadata,
        Column("place", _Serial, primary_key=True, autoincrement=True),
        Column("id", Text, nullable=False),
        Column("key", Text, nullable=False),
        Column("attributes", LargeBinary, nullable=False),
        Column("body", LargeBinary, nullable=False),
        *more,
        sqlite_autoincrement=True,
    )


# received: the messages as they came (embedded), and how many of each source and day
received = _log("received")
received_count = Table(
    "received_count", metadata,
    Column("source", Text, primary_key=True), Column("day", Text, primary_key=True), Column("n", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# hub: recorded events by woman (the log itself when embedded, the archive of the Kafka topic otherwise) and all that is made of them
recorded = _log("recorded", Column("partition", Integer), Column("offset", BigInteger), Index("recorded_by_key", "key", "place"))
position = Table(
    "position", metadata,
    Column("reader", Text, primary_key=True), Column("partition", Integer, primary_key=True), Column("offset", BigInteger, nullable=False),
)
seen = Table(
    "seen", metadata,
    Column("identity", LargeBinary(16), primary_key=True), Column("marks", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)
held = Table(
    "held", metadata,
    Column("id", Text, primary_key=True),
    Column("message", Text, nullable=False), Column("partition", Integer, nullable=False), Column("offset", BigInteger, nullable=False),
    Column("source", Text, nullable=False), Column("day", Text, nullable=False), Column("connector", Text, nullable=False),
    Column("code", Text, nullable=False), Column("reason", Text, nullable=False), Column("path", Text, nullable=False),
    Column("at", Text, nullable=False), Column("state", Text, nullable=False), Column("settled_at", Text), Column("settled_why", Text),
    Index("held_by_message", "message"), Index("held_by_state", "state", "at"),
)
ledger = Table(
    "ledger", metadata,
    Column("source", Text, primary_key=True), Column("day", Text, primary_key=True),
    *(Column(name, BigInteger, nullable=False, server_default="0") for name in ("received", "recorded", "unchanged", "ignored", "held", "events")),
)
freshness = Table(
    "freshness", metadata,
    Column("source", Text, primary_key=True), Column("connector", Text, nullable=False),
    Column("received_at", Text, nullable=False), Column("mapped_at", Text, nullable=False),
)
residue = Table(
    "residue", metadata,
    Column("source", Text, primary_key=True), Column("mapping", Text, primary_key=True), Column("path", Text, primary_key=True),
    Column("n", BigInteger, nullable=False),
)
vault = Table("vault", metadata, Column("subject", Text, primary_key=True), Column("body", LargeBinary, nullable=False))
woman = Table("woman", metadata, Column("subject", Text, primary_key=True), Column("body", LargeBinary, nullable=False))
view = Table(
    "view", metadata,
    Column("generation", Integer, primary_key=True), Column("subject", Text, primary_key=True),
    Column("episode", Text, primary_key=True), Column("section", Text, primary_key=True),
    Column("etag", LargeBinary(16), nullable=False), Column("events", BigInteger, nullable=False), Column("body", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)
relation = Table(
    "relation", metadata,
    Column("generation", Integer, primary_key=True), Column("subject", Text, primary_key=True), Column("episode", Text, primary_key=True),
    Column("ura", Text, primary_key=True), Column("kind", Text, nullable=False), Column("since", Text, nullable=False), Column("until", Text, nullable=False),
    Index("relation_by_ura", "generation", "ura"), sqlite_with_rowid=False,
)
governance = Table(
    "governance", metadata,
    Column("seq", _Serial, primary_key=True, autoincrement=True),
    Column("id", Text, nullable=False, unique=True), Column("kind", Text, nullable=False), Column("subject", Text, nullable=False),
    Column("at", Text, nullable=False), Column("body", LargeBinary, nullable=False), sqlite_autoincrement=True,
)
consent = Table(
    "consent", metadata,
    Column("subject", Text, primary_key=True), Column("ura", Text, primary_key=True),
    Column("decision", Text, nullable=False), Column("since", Text, nullable=False), Column("event", Text, nullable=False),
)
meta = Table("meta", metadata, Column("name", Text, primary_key=True), Column("value", Text, nullable=False))

# keys: the wrapped data keys
client_key = Table("client_key", metadata, Column("name", Text, primary_key=True), Column("wrapped", LargeBinary, nullable=False))

# audit: who looked, append-only
audit_entry = Table(
    "audit_entry", metadata,
    Column("seq", _Serial, primary_key=True, autoincrement=True),
    Column("id", Text, nullable=False), Column("at", Text, nullable=False), Column("kind", Text, nullable=False), Column("outcome", Text, nullable=False),
    Column("subject", Text, nullable=False), Column("subject_seq", BigInteger, nullable=False),
    Column("ura", Text, nullable=False), Column("actor", Text, nullable=False), Column("body", LargeBinary, nullable=False),
    UniqueConstraint("subject", "subject_seq"), Index("audit_by_time", "at"), Index("audit_by_ura", "ura", "at"), sqlite_autoincrement=True,
)
audit_head = Table("audit_head", metadata, Column("subject", Text, primary_key=True), Column("seq", BigInteger, nullable=False))

GROUPS: Final[dict[str, tuple[Table, ...]]] = {
    "received": (received, received_count),
    "hub": (recorded, position, seen, held, ledger, freshness, residue, vault, woman, view, relation, governance, consent, meta),
    "keys": (client_key,),
    "audit": (audit_entry, audit_head),
}
