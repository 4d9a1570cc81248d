"""What a command that cannot run says: one sentence on standard error, exit code 2, no trace."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from hub.cli import main
from tests.journeys.hub_process import ROOT, RunningHub, embedded, environment
from tests.parts.ports import free_ports

pytestmark = pytest.mark.xdist_group("commands")


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of whoever runs the tests."""
    for name in [name for name in os.environ if name.startswith("OOIEVAAR_")]:
        monkeypatch.delenv(name)


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    """A running demo without messages."""
    with embedded(tmp_path_factory.mktemp("cli")) as running:
        yield running


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    """Exit code and standard error of a command, which must be one line."""
    code = main(arguments)
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "Traceback" not in said
    return code, said


def again(hub: RunningHub) -> subprocess.CompletedProcess[str]:
    """A second `up` on the same folder, on ports of its own."""
    http, mllp = free_ports(2)
    command = [sys.executable, "-m", "hub.cli", "up", "--demo", "--no-simulators", "--data", str(hub.data), "--http-port", str(http), "--mllp-port", str(mllp)]
    return subprocess.run(command, cwd=ROOT, env=environment({}), capture_output=True, text=True, timeout=60, check=False)


def test_a_second_hub_does_not_start_in_a_folder_where_one_runs_and_leaves_the_first_as_it_is(hub: RunningHub) -> None:
    first = hub.processes["up"].pid
    second = again(hub)
    assert (second.returncode, second.stdout) == (2, "")
    assert second.stderr.count("\n") == 1 and str(hub.data) in second.stderr and f"process {first}" in second.stderr
    assert orjson.loads((hub.data / "run.json").read_bytes())["pid"] == first
    assert hub.json("status")["http"] == hub.http


def test_a_hub_that_was_killed_leaves_no_lock_behind(tmp_path: Path) -> None:
    with embedded(tmp_path) as hub:
        up = hub.processes["up"]
        os.kill(up.pid, signal.SIGKILL)
        up.kill()
        up.start()
        up.wait_ready()
        assert up.stop() == 0 and not (hub.data / "run.json").exists()


@pytest.mark.parametrize("command", ["up", "connect", "serve"])
def test_a_folder_that_cannot_be_made_is_named_in_one_sentence(command: str) -> None:
    # Processes of their own: they set up the log of the whole process before they find out.
    done = subprocess.run([sys.executable, "-m", "hub.cli", command, "--data", "/proc/x"], cwd=ROOT, env=environment({}), capture_output=True, text=True,
                          timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1) and "/proc/x" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize("option", ["--http-port", "--mllp-port"])
@pytest.mark.parametrize("port", ["99999", "-1", "http", "65536"])
def test_a_port_that_cannot_be_is_refused_before_anything_starts(option: str, port: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["up", f"{option}={port}"])
    assert ended.value.code == 2 and "a port is a number from 0 to 65535" in capsys.readouterr().err


def test_a_port_in_the_environment_that_cannot_be_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    monkeypatch.setenv("OOIEVAAR_HTTP_PORT", "99999")
    code, said = told(capsys, "up", "--data", str(tmp_path))
    assert code == 2 and "http_port" in said and "99999" not in said


def test_the_demo_is_told_about_only_where_it_runs(hub: RunningHub, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert hub.json("demo", "info")["http"] == hub.http
    code, said = told(capsys, "demo", "info", "--data", str(tmp_path))
    assert code == 2 and str(tmp_path) in said


@pytest.mark.parametrize(("about", "sections", "words"), [
    ("zzz", [], "no woman"), ("a" * 32, [], "no woman"), ("noor", ["--section", "nope"], "front, care-team"),
    ("noor", ["--section", "front", "--section", "nope"], "no section nope"),
])
def test_explaining_about_what_is_not_known_is_no_answer_of_the_rules(hub: RunningHub, about: str, sections: list[str], words: str) -> None:
    said = hub.cli("explain", "--who", "marit", "--about", about, *sections)
    assert (said.code, said.out) == (2, "") and words in said.err and said.err.count("\n") == 1
    assert hub.cli("explain", "--who", "joke", "--about", "noor").code == 1


def test_mapping_as_a_kind_that_nobody_sends_names_the_kinds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "letter.txt").write_text("Beste collega,")
    code, said = told(capsys, "map", "--source", "bogus", str(tmp_path / "letter.txt"))
    assert code == 2 and all(kind in said for kind in ("hl7v2", "fhir-stu3", "fhir-r4"))
    assert main(["map", "--source", "hl7v2", str(tmp_path / "letter.txt")]) == 1


def test_mapping_a_folder_without_files_is_nothing_done(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "below").mkdir()
    code, said = told(capsys, "map", str(tmp_path))
    assert code == 2 and "no files" in said
