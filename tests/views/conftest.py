"""The hub's database, on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hub.database import Database, open_postgres, open_sqlite


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    if request.param == "sqlite":
        made = open_sqlite(tmp_path / "hub.db", ("hub",))
    else:
        made = open_postgres(request.getfixturevalue("postgres"))
    yield made
    made.close()
