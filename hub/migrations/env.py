"""Alembic's entry: migrations run on a connection that `hub.migrations.upgrade` hands over, inside its transaction."""

from __future__ import annotations

from alembic import context

from hub.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, transactional_ddl=False)
context.run_migrations()
