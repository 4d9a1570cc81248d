"""The parts themselves do what the other tests lean on."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import inspect

from hub.database import open_postgres
from hub.tables import metadata
from tests.conftest import have
from tests.parts import PartMissing, broker
from tests.parts.postgres import PostgresCluster


@pytest.mark.postgres
def test_each_test_gets_a_postgres_database_with_all_tables_and_nothing_in_it(postgres: str) -> None:
    database = open_postgres(postgres)
    with database.read() as tx:
        assert set(metadata.tables) <= set(inspect(tx).get_table_names())
        assert tx.exec_driver_sql("SELECT count(*) FROM position").scalar() == 0
    database.close()


@pytest.mark.postgres
def test_what_postgres_committed_is_there_after_a_kill(postgres_cluster: PostgresCluster, postgres: str) -> None:
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute("INSERT INTO meta (name, value) VALUES ('kept', 'yes')")
    postgres_cluster.kill()
    postgres_cluster.start()
    with psycopg.connect(postgres) as connection:
        assert connection.execute("SELECT value FROM meta").fetchall() == [("yes",)]


@pytest.mark.parametrize(("jar", "said"), [(None, "run deploy/parts.sh"), (b"not a jar", "a good copy")])
def test_a_jar_that_is_missing_or_not_the_right_one_is_a_missing_part(
        monkeypatch: pytest.MonkeyPatch, tmp_path: Path, jar: bytes | None, said: str) -> None:
    (tmp_path / "lib").mkdir()
    (tmp_path / "jars.sha256").write_text(f"{'0' * 64}  a.jar\n")
    if jar is not None:
        (tmp_path / "lib" / "a.jar").write_bytes(jar)
    monkeypatch.setattr(broker, "KAFKA", tmp_path)
    monkeypatch.setattr(shutil, "which", lambda _: "/usr/bin/java")
    with pytest.raises(PartMissing, match=said):
        broker.check_jars()


def absent() -> None:
    """A part that is not here."""
    raise PartMissing("a part of this test")


def test_a_missing_part_fails_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="PART MISSING: a part of this test"):
        have(absent)


def test_a_missing_part_skips_elsewhere_and_is_said_loudly(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text("from tests.conftest import *\n")
    (tmp_path / "test_it.py").write_text(
        "from tests.conftest import have\nfrom tests.parts.test_parts import absent\n\n\ndef test_it():\n    have(absent)\n")
    root = str(Path(__file__).parents[2])
    ran = subprocess.run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)], cwd=tmp_path, capture_output=True,
                         text=True, timeout=120, env={**os.environ, "CI": "", "PYTHONPATH": root})
    assert ran.returncode == 0
    assert "1 TESTS DID NOT RUN: PARTS ARE MISSING" in ran.stdout and "1 x a part of this test" in ran.stdout
