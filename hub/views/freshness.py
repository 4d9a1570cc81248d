"""How fresh each source is: when its last message came in and was mapped, and whether it has fallen silent."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, select

from hub.tables import freshness

SILENT: Final = timedelta(hours=24)
"""A source that sent nothing for longer than this gets a banner (domain notes, g.3)."""


@dataclass(frozen=True, slots=True)
class SourceFreshness:
    """One source. Times are UTC text, "" when it never sent anything; `age_s` is seconds since the last message, None then."""

    source: str
    connector: str
    received_at: str
    mapped_at: str
    age_s: int | None
    silent: bool


def sources(tx: Connection, now: datetime, registered: Iterable[str] = ()) -> list[SourceFreshness]:
    """Every source that ever sent something and every registered one, by name. `now` is an aware time."""
    found = {row.source: _fresh(row.source, row.connector, row.received_at, row.mapped_at, now) for row in tx.execute(select(freshness))}
    for source in registered:
        found.setdefault(source, SourceFreshness(source, source.partition("/")[0], "", "", None, True))
    return [found[source] for source in sorted(found)]


def _fresh(source: str, connector: str, received_at: str, mapped_at: str, now: datetime) -> SourceFreshness:
    # A clock that stepped back must not make a source younger than nothing.
    age = max(now - datetime.fromisoformat(received_at), timedelta(0))
    return SourceFreshness(source, connector, received_at, mapped_at, int(age.total_seconds()), age > SILENT)
