"""Logs for operators, in which no person can be found.

One chain for the hub's own lines (structlog) and for those of libraries (logging): JSON lines on stderr, or colours on a terminal. What
nobody thought of cannot get out:

- a key outside `ALLOWED_KEYS` is dropped, and a value that is no number, truth or text becomes the name of its type;
- an event is a short name; a sentence in its place is dropped, since a sentence is where names get in;
- of an exception only the types and the places in the code stay, never its text or the variables around it;
- of a library's message only the logger, the level and the type of the error stay; its text only where we know it beforehand;
- a number of nine digits that passes the eleven-test of the BSN is masked, wherever it stands.

A log may be lost. Who looked at what is in the audit trail, which may not.
"""

from __future__ import annotations

import logging
import re
import sys
import threading
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Final

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from fhir_profiles.errors import Invalid
from fhir_profiles.identifiers import Bsn

ALLOWED_KEYS: Final = frozenset(
    "code connector count error_type event event_id level logger ms offset partition path port process reader reason record_id"  # noqa: SIM905
    " request_id role route source status timestamp trace version".split()
)
_COUNTS: Final = frozenset({"count", "ms", "offset", "partition", "port", "status", "version"})
_EVENT: Final = re.compile(r"[a-z][a-z0-9_.-]{0,63}")
_DIGEST: Final = re.compile(r"[0-9a-f]{32}|[0-9a-f]{64}")
_NINE_DIGITS: Final = re.compile(r"(?<![0-9])[0-9]{9}(?![0-9])")
_LONGEST: Final = 200
_FRAMES: Final = 12
_CAUSES: Final = 4

# What uvicorn says when it starts and stops: constants, so they may be told. All else of a library is reduced.
_KNOWN_MESSAGES: Final = {
    "uvicorn.error": (
        "Started server process", "Waiting for application startup", "Application startup complete", "Uvicorn running on", "Shutting down",
        "Waiting for application shutdown", "Application shutdown complete", "Finished server process", "Application startup failed",
    )
}


def configure(process: str, level: str) -> None:
    """Set up logging for this process: `process` is its name in every line, `level` the least that the hub itself tells.

    Libraries tell warnings and worse. What nobody catches is logged in the same way and not printed. Calling it again replaces the set-up.
    Raises `Invalid` for a level that does not exist.
    """
    least = logging.getLevelNamesMapping().get(level.upper())
    if least is None:
        raise Invalid("a log level is debug, info, warning, error or critical", code="log-level")
    structlog.configure(
        processors=[structlog.contextvars.merge_contextvars, *_chain(process)],
        wrapper_class=structlog.make_filtering_bound_logger(least),
        logger_factory=_Stderr,
        cache_logger_on_first_use=False,
    )
    _route_libraries()
    _route_uncaught()


def _chain(process: str) -> list[Processor]:
    def named(logger: WrappedLogger, _: str, line: EventDict) -> EventDict:
        line["process"] = process
        line.setdefault("logger", getattr(logger, "name", ""))
        return line

    renderer: Processor = structlog.dev.ConsoleRenderer() if sys.stderr.isatty() else structlog.processors.JSONRenderer(ensure_ascii=False)
    stamp = structlog.processors.TimeStamper(fmt="iso", utc=True)
    return [structlog.processors.add_log_level, stamp, named, _failure, _allowed, _scrubbed, renderer]


class _Stderr:
    """Writes each line whole to whatever stderr is now."""

    _lock = threading.Lock()

    def __init__(self, name: str = "") -> None:
        self.name = name

    def msg(self, line: str) -> None:
        """Write one line; a closed stderr loses it, since a log may be lost and the work may not."""
        with self._lock:
            try:
                sys.stderr.write(line + "\n")
                sys.stderr.flush()
            except (OSError, ValueError):
                pass

    debug = info = warn = warning = error = critical = fatal = exception = log = msg


# The chain


def _failure(_: WrappedLogger, __: str, line: EventDict) -> EventDict:
    """Of an exception keep its type, the types that caused it, and where it came by."""
    told = line.pop("exc_info", None)
    error = told if isinstance(told, BaseException) else told[1] if isinstance(told, tuple) else sys.exc_info()[1] if told else None
    if error is not None:
        line["error_type"] = " < ".join(type(cause).__name__ for cause in _causes(error))
        line["trace"] = " < ".join(_places(cause.__traceback__) for cause in _causes(error))
    return line


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The exception, what caused it, and so on; not without end."""
    found: BaseException | None = error
    for _ in range(_CAUSES):
        if found is None:
            return
        yield found
        found = found.__cause__ or (None if found.__suppress_context__ else found.__context__)


def _places(traceback: TracebackType | None) -> str:
    """`module:line` from the outermost call to the fault, the last dozen."""
    places = []
    while traceback is not None:
        places.append(f"{traceback.tb_frame.f_globals.get('__name__', '?')}:{traceback.tb_lineno}")
        traceback = traceback.tb_next
    return " > ".join(places[-_FRAMES:])


def _allowed(_: WrappedLogger, __: str, line: EventDict) -> EventDict:
    """Drop every key that is not on the list, and what does not look like an event."""
    event = line.get("event")
    line["event"] = event if isinstance(event, str) and _EVENT.fullmatch(event) else "event_withheld"
    return {key: value for key, value in line.items() if key in ALLOWED_KEYS and value != ""}


def _scrubbed(_: WrappedLogger, __: str, line: EventDict) -> EventDict:
    return {key: _clean(key, value) for key, value in line.items()}


def _clean(key: str, value: object) -> object:
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int):
        return int(value) if key in _COUNTS else _masked(str(int(value)), int(value))
    if not isinstance(value, str):
        return type(value).__name__
    text = str(value)
    # An id of the hub is a digest; nine digits within it are chance. A trace holds no values at all.
    return text if key == "trace" or _DIGEST.fullmatch(text) else _masked(text[:_LONGEST], text[:_LONGEST])


def _masked(text: str, otherwise: object) -> object:
    """The text with every possible BSN masked, or `otherwise` when there is none."""
    masked = _NINE_DIGITS.sub(lambda digits: "*" * 9 if _may_be_bsn(digits[0]) else digits[0], text)
    return otherwise if masked == text else masked


def _may_be_bsn(digits: str) -> bool:
    try:
        Bsn(digits)
    except Invalid:
        return False
    return True


# Libraries, and what nobody catches


class _Library(logging.Handler):
    """Hands what a library logs to the chain, reduced."""

    def emit(self, record: logging.LogRecord) -> None:
        """Never raises: `logging` would print the record, message and all."""
        keys: dict[str, Any] = {"logger": record.name}
        if record.exc_info and record.exc_info[1] is not None:
            keys["exc_info"] = record.exc_info
        template = record.msg if isinstance(record.msg, str) else ""
        known = next((text for text in _KNOWN_MESSAGES.get(record.name, ()) if template.startswith(text)), "")
        if record.levelno < logging.WARNING and not known:
            return
        structlog.get_logger().log(record.levelno if record.levelno in _LEVELS else logging.ERROR, "library_message", reason=known, **keys)


_LEVELS: Final = frozenset({logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR, logging.CRITICAL})


def _route_libraries() -> None:
    """One handler at the root, and nothing anywhere else: uvicorn and alembic bring handlers of their own."""
    logging.raiseExceptions = False
    logging.captureWarnings(True)
    logging.basicConfig(handlers=[_Library()], level=logging.WARNING, force=True)
    for name in [name for name in logging.root.manager.loggerDict if isinstance(logging.getLogger(name), logging.Logger)]:
        library = logging.getLogger(name)
        library.handlers, library.propagate = [], True
    for name in _KNOWN_MESSAGES:
        logging.getLogger(name).setLevel(logging.INFO)
    logging.getLogger("uvicorn.access").disabled = True  # Paths and queries; our own line per request says what may be said.


def _route_uncaught() -> None:
    log = structlog.get_logger(__name__)

    def uncaught(_: type[BaseException], error: BaseException, __: TracebackType | None) -> None:
        if isinstance(error, KeyboardInterrupt):
            log.info("process_interrupted")
        else:
            log.critical("process_failed", exc_info=error)

    def uncaught_in_thread(told: threading.ExceptHookArgs) -> None:
        if told.exc_value is not None:
            log.critical("thread_failed", exc_info=told.exc_value)

    def unraisable(told: Any) -> None:
        log.error("error_ignored", exc_info=told.exc_value)

    sys.excepthook = uncaught
    threading.excepthook = uncaught_in_thread
    sys.unraisablehook = unraisable
