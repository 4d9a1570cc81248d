"""A process loads what it uses: four of them start at once on two cores, and each library that none of its work needs makes all of them late."""

from __future__ import annotations

import subprocess
import sys

import pytest

_PAGES = ("fastapi", "jinja2", "hub.web")
_MAPPING = ("hub.mapper", "jsonschema_rs", "fhir_profiles.check")
_ACCESS = ("cedarpy", "joserfc", "hub.door")
_LATER = ("authlib", "httpx2", "fhir.resources", "alembic", "kafka", "psycopg")


@pytest.mark.parametrize(("process", "unused"), [
    ("hub.connecting", (*_PAGES, *_MAPPING, "cedarpy", "hub.door", "hub.plan.project", *_LATER)),
    ("hub.looping", (*_PAGES, *_MAPPING, *_ACCESS, *_LATER)),
    ("hub.serving", (*_MAPPING, "hub.plan.project", "connectors.hix", *_LATER)),
    ("hub.embedded", _LATER),
])
def test_a_process_starts_without_what_it_does_not_use(process: str, unused: tuple[str, ...]) -> None:
    ask = f"import sys, {process}; print(*[name for name in {unused!r} if name in sys.modules])"
    told = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, timeout=60, check=True)
    assert told.stdout.split() == []
