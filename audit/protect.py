"""Triggers that make the database itself refuse to change or remove what stands in the trail.

They stop mistakes and ordinary accounts, not the owner of the database; whoever has to let entries go after the retention period (five
years from writing) drops them on purpose, an act that can be seen. Works in SQLite and PostgreSQL 14+; running it again is harmless.
"""

from __future__ import annotations

from typing import Final

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
    "CREATE OR REPLACE TRIGGER audit_entry_unchanged BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_entry"
    " FOR EACH STATEMENT EXECUTE FUNCTION audit_append_only()",
    "CREATE OR REPLACE TRIGGER audit_head_kept BEFORE DELETE OR TRUNCATE ON audit_head"
    " FOR EACH STATEMENT EXECUTE FUNCTION audit_append_only()",
    "CREATE OR REPLACE TRIGGER audit_head_forward BEFORE UPDATE ON audit_head FOR EACH ROW"
    " WHEN (NEW.seq <= OLD.seq OR NEW.subject <> OLD.subject) EXECUTE FUNCTION audit_append_only()",
)


def protect(database: Database) -> None:
    """Install the triggers, once and for all processes that use this database."""
    with database.write() as tx:
        for statement in _SQLITE if database.is_sqlite else _POSTGRES:
            tx.exec_driver_sql(statement)
