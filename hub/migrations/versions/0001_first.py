"""The tables of the first release."""

from __future__ import annotations

from alembic import context, op

from hub.tables import GROUPS, metadata

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create the tables of the groups that this database holds."""
    groups = context.config.attributes["groups"]
    metadata.create_all(op.get_bind(), tables=[table for group in groups for table in GROUPS[group]])


def downgrade() -> None:
    """Drop them again."""
    groups = context.config.attributes["groups"]
    metadata.drop_all(op.get_bind(), tables=[table for group in groups for table in GROUPS[group]])
