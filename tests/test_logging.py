"""Logs tell operators what happened and never about whom."""

from __future__ import annotations

import asyncio
import json
import logging
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fhir_profiles.errors import Invalid
from fhir_profiles.identifiers import Bsn
from hub.logging import ALLOWED_KEYS, configure

NOOR = "999990019"
NAME = "Verhoeven"


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """Configure for the test, then give the test run its own logging back."""
    root, hooks = logging.getLogger(), (sys.excepthook, threading.excepthook, sys.unraisablehook)
    handlers, level, known = root.handlers[:], root.level, {name: _state(name) for name in logging.root.manager.loggerDict}
    configure("map", "info")
    yield
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()
    logging.captureWarnings(False)
    logging.raiseExceptions = True
    root.handlers, root.level = handlers, level
    sys.excepthook, threading.excepthook, sys.unraisablehook = hooks
    for name, (handlers, level, propagate, disabled) in known.items():
        library = logging.getLogger(name)
        library.handlers, library.level, library.propagate, library.disabled = handlers, level, propagate, disabled


def _state(name: str) -> tuple[Any, int, bool, bool]:
    library = logging.getLogger(name)
    return library.handlers[:], library.level, library.propagate, library.disabled


class Told:
    """What stood on stderr since the last look."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def lines(self) -> list[dict[str, Any]]:
        captured = self._capsys.readouterr()
        assert captured.out == ""
        return [json.loads(line) for line in captured.err.split("\n") if line]

    def line(self) -> dict[str, Any]:
        (line,) = self.lines()
        return line


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str]) -> Told:
    return Told(capsys)


def test_a_line_is_json_with_time_level_process_and_logger(told: Told) -> None:
    structlog.get_logger("hub.mapper").info("message_mapped", connector="hix", count=3)
    line = told.line()
    assert line.pop("timestamp").endswith("Z")
    assert line == {"event": "message_mapped", "level": "info", "process": "map", "logger": "hub.mapper", "connector": "hix", "count": 3}


def test_what_is_bound_stands_in_every_line(told: Told) -> None:
    structlog.contextvars.bind_contextvars(request_id="r-1", patient=NAME)
    structlog.get_logger().info("plan_read")
    structlog.get_logger().warning("plan_refused")
    assert [(line["event"], line["request_id"]) for line in told.lines()] == [("plan_read", "r-1"), ("plan_refused", "r-1")]


def test_a_key_that_nobody_allowed_is_dropped(told: Told) -> None:
    structlog.get_logger().info("message_held", reason="bsn-check", name=NAME, bsn=NOOR, body={"family": NAME})
    line = told.line()
    assert line["reason"] == "bsn-check" and line.keys() <= ALLOWED_KEYS
    assert NAME not in str(line)


@pytest.mark.parametrize("event", [f"Could not read {NAME}", f"{NAME}", "", f"bsn {NOOR}", 3, None, {"name": NAME}, "x" * 80])
def test_a_sentence_is_no_event(told: Told, event: Any) -> None:
    structlog.get_logger().info(event)
    assert told.line()["event"] == "event_withheld"


@pytest.mark.parametrize("text", [NOOR, f"PID-3 {NOOR}", f"Patient?identifier={NOOR}", f"x{NOOR}y", f"{NOOR},999990020"])
def test_a_bsn_is_masked_in_whatever_is_left(told: Told, text: str) -> None:
    structlog.get_logger().info("message_refused", path=text, reason=int(NOOR))
    written = json.dumps(told.line())
    assert NOOR not in written and "999990020" not in written and "*********" in written


def test_nine_digits_that_are_no_bsn_and_digests_and_counts_stay(told: Told) -> None:
    digest = "a" + NOOR + "bcdef0123456789abcdef0"
    assert len(digest) == 32
    structlog.get_logger().info("record_read", path="123456789", event_id=digest, offset=int(NOOR), source="practice/00700001")
    line = told.line()
    assert (line["path"], line["event_id"], line["offset"], line["source"]) == ("123456789", digest, int(NOOR), "practice/00700001")


def test_a_value_that_is_no_scalar_becomes_its_type(told: Told) -> None:
    structlog.get_logger().info("message_refused", path=["name", NAME], reason=Bsn(NOOR), code={"a": NAME}, source=NOOR.encode())
    line = told.line()
    assert (line["path"], line["reason"], line["code"], line["source"]) == ("list", "Bsn", "dict", "bytes")


def test_a_long_text_is_cut(told: Told) -> None:
    structlog.get_logger().info("message_refused", reason="x" * 5000)
    assert len(told.line()["reason"]) == 200


def test_of_an_exception_types_and_places_stay_and_nothing_else(told: Told) -> None:
    def fails(patient: str) -> None:
        try:
            raise KeyError(patient)
        except KeyError as cause:
            raise RuntimeError(f"no plan for {patient} {NOOR}") from cause

    try:
        fails(NAME)
    except RuntimeError:
        structlog.get_logger().exception("loop_failed", reader="plan")
    line = told.line()
    assert line["error_type"] == "RuntimeError < KeyError"
    assert line["trace"].startswith("tests.test_logging:") and " > " in line["trace"]
    assert NAME not in str(line) and NOOR not in str(line) and "/" not in line["trace"]


def test_an_exception_given_by_itself_is_reduced_too(told: Told) -> None:
    structlog.get_logger().error("loop_failed", exc_info=ValueError(NAME))
    assert told.line()["error_type"] == "ValueError"


@pytest.mark.parametrize("name", ["kafka.client", "sqlalchemy.engine", "alembic.runtime", "uvicorn.error", "asyncio", "anything"])
def test_of_a_library_only_logger_level_and_error_type_stay(told: Told, name: str) -> None:
    try:
        raise ValueError(NAME)
    except ValueError:
        logging.getLogger(name).error("parameters: %s", {"name": NAME}, exc_info=True, extra={"bsn": NOOR})
    line = told.line()
    assert (line["event"], line["level"], line["logger"], line["error_type"]) == ("library_message", "error", name, "ValueError")
    assert NAME not in str(line) and "reason" not in line


def test_libraries_tell_warnings_and_worse(told: Told) -> None:
    logging.getLogger("kafka").info("x")
    chatty = logging.getLogger("chatty.library")
    chatty.setLevel(logging.DEBUG)
    chatty.info("x")
    logging.getLogger("kafka").warning("x")
    assert told.line()["level"] == "warning"


def test_uvicorn_may_say_that_it_started_but_not_what_it_was_asked(told: Told) -> None:
    logging.getLogger("uvicorn.error").info("Uvicorn running on %s://%s:%d (Press CTRL+C to quit)", "http", NAME, 8080)
    logging.getLogger("uvicorn.access").warning('"GET /plan?bsn=%s"', NOOR)
    line = told.line()
    assert line["reason"] == "Uvicorn running on" and NAME not in str(line)


def test_a_handler_that_a_library_brought_is_taken_away(told: Told) -> None:
    noisy = logging.getLogger("noisy.library")
    noisy.addHandler(logging.StreamHandler())
    noisy.propagate = False
    configure("map", "info")
    noisy.error(NAME)
    assert told.line()["event"] == "library_message"


def test_a_warning_of_python_is_reduced(told: Told) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(True)
        warnings.warn(f"odd value {NAME}", stacklevel=1)
    assert NAME not in str(told.lines())


def test_below_the_level_nothing_is_written(told: Told) -> None:
    configure("map", "warning")
    structlog.get_logger().info("message_mapped")
    assert told.lines() == []


def test_a_level_that_does_not_exist_is_refused() -> None:
    with pytest.raises(Invalid):
        configure("map", "loud")


def test_what_a_thread_or_a_task_does_not_catch_is_reduced(told: Told) -> None:
    def fails() -> None:
        raise ValueError(NAME)

    thread = threading.Thread(target=fails)
    thread.start()
    thread.join()

    async def forgotten() -> None:
        task = asyncio.create_task(asyncio.to_thread(fails))
        await asyncio.wait([task])

    asyncio.run(forgotten())
    lines = told.lines()
    assert [line["event"] for line in lines] == ["thread_failed", "library_message"]
    assert all(line["error_type"] == "ValueError" and NAME not in str(line) for line in lines)


def test_what_a_process_does_not_catch_is_one_line_without_its_text() -> None:
    program = f"from hub.logging import configure; configure('serve', 'info'); raise ValueError({NAME!r} + {NOOR!r})"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=Path(__file__).parents[1], timeout=60)
    line = json.loads(ended.stderr)
    assert (ended.returncode, line["event"], line["error_type"]) == (1, "process_failed", "ValueError")
    assert NAME not in ended.stderr and NOOR not in ended.stderr


def test_a_closed_stderr_does_not_stop_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    class Closed:
        def write(self, _: str) -> int:
            raise ValueError("I/O operation on closed file")

    monkeypatch.setattr(sys, "stderr", Closed())
    structlog.get_logger().info("message_mapped")


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12) | st.binary(max_size=5)


names = st.sampled_from(sorted(ALLOWED_KEYS - {"event"})) | st.text(min_size=1, max_size=8)


@given(st.dictionaries(names, scalars | st.lists(scalars), max_size=5), st.text(max_size=9))
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_line_is_json_with_allowed_keys_and_no_bsn(told: Told, keys: dict[str, Any], text: str) -> None:
    around = "".join(c for c in text if not c.isdigit())
    keys["reason"] = f"{around}{NOOR}{around}"
    line = structlog.get_logger()
    line.info("message_refused", **{key: value for key, value in keys.items() if key not in ("self", "event", "exc_info")})
    written = told.line()
    assert written.keys() <= ALLOWED_KEYS and NOOR not in json.dumps(written)
