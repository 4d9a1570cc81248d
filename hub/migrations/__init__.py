"""Alembic migrations of the hub's tables. `HEAD` is the newest revision; a test proves that migrating gives `hub.tables`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from sqlalchemy import Engine

HEAD: Final = "0001"


def upgrade(engine: Engine, groups: Sequence[str]) -> None:
    """Run every missing revision for the named groups of tables, in one transaction; several processes may do so at once."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    with engine.connect() as connection:
        if engine.dialect.name == "postgresql":
            transaction = connection.begin()
            # Two processes that start together must not both create the tables.
            connection.exec_driver_sql("SELECT pg_advisory_xact_lock(7070707)")
        else:
            transaction = None
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        config.attributes["connection"] = connection
        config.attributes["groups"] = tuple(groups)
        command.upgrade(config, "head")
        if transaction is not None:
            transaction.commit()
        else:
            connection.exec_driver_sql("COMMIT")
