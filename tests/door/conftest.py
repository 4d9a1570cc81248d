"""A house in which Noor said yes to her practice and the hospital."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.door.house import House


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    built = House(tmp_path)
    built.trail.start()
    built.agree()
    yield built
    built.close()
