"""Triggers that make the database itself refuse to change or remove what stands in the trail.

They stop mistakes and ordinary accounts, not the owner of the database; whoever has to let entries go after the retention period (five
years from writing) drops them on purpose, an act that can be seen. Works in SQLite and PostgreSQL 14+; running it again is harmless.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection

from hub.database import Database

_SQLITE: Final = (
    "CREATE TRIGGER IF NOT EXISTS audit_entry_kept BEFORE DELETE ON audit_entry BEGIN SELECT RAISE(ABORT, 'append-only'); END",
    "CREATE TRIGGER IF NOT EXISTS audit_entry_unchanged BEFORE UPDATE ON audit_entry BEGIN SELECT RAISE(ABORT, 'append-only'); END",
    "CREATE TRIGGER IF NOT EXISTS audit_head_kept BEFORE DELETE ON audit_head BEGIN SELECT RAISE(ABORT, 'append-only'); END",
    "CREATE TRIGGER IF NOT EXISTS audit_head_forward BEFORE UPDATE ON audit_head WHEN NEW.seq <= OLD.seq OR NEW.subject <> OLD.subject"
    " BEGIN SELECT RAISE(ABORT, 'append-only'); END",
)
_POSTGRES: Final = (
    "SELECT pg_advisory_xact_lock(7070708)",  # two processes that start together must not both replace the function
    "CREATE OR REPLACE FUNCTION audit_append_only() RETURNS trigger LANGUAGE plpgsql AS"
    " $$ BEGIN RAISE EXCEPTION 'append-only'; END $$",
    # The tables in the order in which a writer of the trail takes them, or the two could wait for each other.
    "CREATE OR REPLACE TRIGGER audit_head_kept BEFORE DELETE OR TRUNCATE ON audit_head"
    " FOR EACH STATEMENT EXECUTE FUNCTION audit_append_only()",
    "CREATE OR REPLACE TRIGGER audit_head_forward BEFORE UPDATE ON audit_head FOR EACH ROW"
    " WHEN (NEW.seq <= OLD.seq OR NEW.subject <> OLD.subject) EXECUTE FUNCTION audit_append_only()",
    "CREATE OR REPLACE TRIGGER audit_entry_unchanged BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_entry"
    " FOR EACH STATEMENT EXECUTE FUNCTION audit_append_only()",
)
_THERE: Final = {
    True: ("SELECT count(*) FROM sqlite_master WHERE type = 'trigger' AND tbl_name IN ('audit_entry', 'audit_head')", 4),
    False: ("SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal AND tgrelid IN ('audit_entry'::regclass, 'audit_head'::regclass)", 3),
}
"""By whether it is SQLite: how to count the triggers, and how many there are when all are."""


def protect(database: Database) -> None:
    """Install the triggers, once and for all processes that use this database; where they stand, nothing is locked."""
    with database.read() as tx:
        if _protected(tx, database.is_sqlite):
            return
    with database.write() as tx:
        for statement in _SQLITE if database.is_sqlite else _POSTGRES:
            tx.exec_driver_sql(statement)


def _protected(tx: Connection, is_sqlite: bool) -> bool:
    count, wanted = _THERE[is_sqlite]
    return bool(tx.exec_driver_sql(count).scalar() == wanted)
