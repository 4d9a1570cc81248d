"""One hub for the reading tests of the API; those that change it build their own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient

from hub.api.create import create_api
from tests.api.world import World, build


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The hub of the cast."""
    made = build(tmp_path_factory.mktemp("api"))
    yield made
    made.trail.stop()


@pytest.fixture(scope="session")
def client(world: World) -> Iterator[TestClient]:
    """A client of the whole API."""
    with TestClient(create_api(world.parts), base_url="https://hub.example") as made:
        yield made
