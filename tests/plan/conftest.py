"""A hub on SQLite for every test, and one on each database for what must hold on both."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.plan.cases import Hub, postgres_hub, sqlite_hub


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    made = sqlite_hub(tmp_path)
    yield made
    made.close()


@pytest.fixture(params=["sqlite", "postgres"])
def either(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Hub, Path | str]]:
    """A hub and where its database is, on SQLite and on PostgreSQL."""
    where: Path | str = tmp_path if request.param == "sqlite" else request.getfixturevalue("postgres")
    made = sqlite_hub(where) if isinstance(where, Path) else postgres_hub(where)
    yield made, where
    made.close()
