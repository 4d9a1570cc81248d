"""An entry with every field filled in, and variations of it."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from audit.entry import PLAN_READ, SUCCESS, About, Entry, What, Where, Who

NOOR, SAMIRA = "a" * 32, "b" * 32
AT = "2026-11-24T09:31:02.000000+00:00"

FULL = Entry(
    "e" * 32,
    What(PLAN_READ, "R", AT, SUCCESS, "care-relation", "TTTF", "page:overview", "Uw organisatie heeft een behandelrelatie."),
    Who("900000001", "midwife", "TREAT", "Marit Jansen", "00700001", "De Lepelaar", "G3", "high", "jti-1", "praktijksysteem", "192.0.2.7"),
    About(NOOR, "f" * 64, "dossier", "yes", "c" * 32, "v1", ("front", "pregnancy"), (("history", "role-has-no-section"),), ("20-midwife",),
          "evidence-1", "event-1", "", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "request-1"),
    Where("ooievaar-1", "De Lepelaar"),
)


def entry(subject: str = NOOR, **changes: Any) -> Entry:
    """A new entry about a woman; `what__outcome="refused"` changes a field of a part."""
    parts: dict[str, dict[str, Any]] = {}
    for name, value in {**changes, "about__subject": subject}.items():
        part, _, field = name.partition("__")
        parts.setdefault(part, {})[field] = value
    return replace(FULL, id=uuid.uuid4().hex, **{part: replace(getattr(FULL, part), **fields) for part, fields in parts.items()})


def now() -> datetime:
    """The clock of the tests that do not care."""
    return datetime.now(UTC)
