"""What waits: parts of messages that could not be mapped, each with its reason, until someone settles it.

A message counts as held while any part of it waits. With its last part it moves in the balance: to recorded when it made events, else
to ignored. The move and the settling are one transaction, so the balance always closes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from sqlalchemy import Connection, LargeBinary, Row, bindparam, func, select, text, update

from fhir_profiles.errors import Conflict, Missing
from hub.tables import held, ledger

WAITING: Final = "waiting"


@dataclass(frozen=True, slots=True)
class HeldItem:
    """One part of one message that waits or waited. `path` points into the message; `reason` never repeats what stood there."""

    id: str
    message: str
    place: str
    source: str
    day: str
    code: str
    reason: str
    path: str
    at: str
    state: str


@dataclass(frozen=True, slots=True)
class HeldGroup:
    """Parts of one source that wait for the same reason at the same kind of place; `oldest` is UTC text."""

    source: str
    code: str
    reason: str
    path: str
    count: int
    oldest: str


def items(tx: Connection, *, state: str = WAITING, limit: int = 200) -> list[HeldItem]:
    """Held parts in a state, the oldest first."""
    query = select(held).where(held.c.state == state).order_by(held.c.at, held.c.id).limit(limit)
    return [_item(row) for row in tx.execute(query)]


def groups(tx: Connection) -> list[HeldGroup]:
    """What waits, grouped by source, reason and path; the largest group first."""
    keys = (held.c.source, held.c.code, held.c.reason, held.c.path)
    query = select(*keys, func.count(), func.min(held.c.at)).where(held.c.state == WAITING).group_by(*keys)
    found = [HeldGroup(*row) for row in tx.execute(query)]
    return sorted(found, key=lambda group: (-group.count, group.source, group.code, group.path))


def settle(tx: Connection, item_id: str, why: str, at: str, *, outcome: Literal["settled", "dismissed"] = "dismissed") -> HeldItem:
    """End the waiting of one part; `why` is the reason of the person who does it, `at` UTC text.

    Raises `Missing` when there is no such part, `Conflict` when it does not wait any more.
    """
    row = tx.execute(select(held).where(held.c.id == item_id)).first()
    if row is None:
        raise Missing("no such held part", code="held-missing")
    # Held in one order, so that of two people who settle the last two parts of a message one sees that the other was first.
    tx.execute(select(held.c.id).where(held.c.message == row.message).order_by(held.c.id).with_for_update()).all()
    # The condition on the state decides between two people who settle at the same moment.
    ended = tx.execute(
        update(held).where(held.c.id == item_id, held.c.state == WAITING).values(state=outcome, settled_at=at, settled_why=why)
    ).rowcount
    if ended != 1:
        raise Conflict("someone has settled this already", code="held-settled")
    item = replace(_item(row), state=outcome)
    if not _waits(tx, row.message):
        _move(tx, item)
    return item


def _item(row: Row[Any]) -> HeldItem:
    place = f"{row.partition}-{row.offset}"
    return HeldItem(row.id, row.message, place, row.source, row.day, row.code, row.reason, row.path, row.at, row.state)


def _waits(tx: Connection, message: str) -> bool:
    return bool(tx.execute(select(func.count()).where(held.c.message == message, held.c.state == WAITING)).scalar_one())


def _move(tx: Connection, item: HeldItem) -> None:
    to = ledger.c.recorded if made_events(tx, item.place) else ledger.c.ignored
    row = (ledger.c.source == item.source) & (ledger.c.day == item.day)
    tx.execute(update(ledger).where(row).values({ledger.c.held: ledger.c.held - 1, to: to + 1}))


_IN: Final[dict[str, str]] = {"sqlite": "instr(attributes, :origin) > 0", "postgresql": "position(:origin in attributes) > 0"}
_MADE: Final = {
    dialect: text("SELECT 1 FROM recorded WHERE " + found + " LIMIT 1").bindparams(bindparam("origin", type_=LargeBinary))  # noqa: S608 constants
    for dialect, found in _IN.items()
}


def made_events(tx: Connection, place: str) -> bool:
    """Whether a message (by its place in `received`) made any event. Reads all recorded events: settling is rare, an index would not be."""
    return tx.execute(_MADE[tx.dialect.name], {"origin": b'"origin":"' + place.encode() + b'"'}).first() is not None


def waiting(tx: Connection) -> int:
    """How many parts wait."""
    return int(tx.execute(select(func.count()).where(held.c.state == WAITING)).scalar_one())


def of_message(tx: Connection, message: str) -> Sequence[HeldItem]:
    """All held parts of one message, whatever their state."""
    query = select(held).where(held.c.message == message).order_by(held.c.path, held.c.id)
    return [_item(row) for row in tx.execute(query)]
