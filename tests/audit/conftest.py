"""A trail on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from audit.protect import protect
from audit.trail import Trail
from hub.database import Database, open_postgres, open_sqlite
from hub.log.keys import Keyring
from hub.tables import GROUPS
from tests.audit.lines import now

KEK = b"k" * 32


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    if request.param == "sqlite":
        opened = open_sqlite(tmp_path / "audit.db", tuple(GROUPS))
    else:
        opened = open_postgres(request.getfixturevalue("postgres"))
    protect(opened)
    yield opened
    opened.close()


@pytest.fixture
def trail(database: Database) -> Iterator[Trail]:
    kept = Trail(database, Keyring(database, KEK), now)
    kept.start()
    yield kept
    kept.stop()
