"""What the woman said about each organisation (toestemming): yes or no, as events that are never deleted, and what counts now.

Every change appends one sealed event to `governance` and moves the present answer in `consent`, in one transaction: the next decision,
in whatever process, goes by it. Nothing here is remembered between two questions. Not having been asked is its own answer, `unknown`.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Final

import orjson
from sqlalchemy import Connection, insert, select

from fhir_profiles.errors import Invalid
from fhir_profiles.identifiers import Subject
from hub.database import Database, Question
from hub.log.keys import Keyring
from hub.tables import consent, governance
from hub.upsert import replace

GIVEN: Final = "consent-given"
REFUSED: Final = "consent-refused"
WITHDRAWN: Final = "consent-withdrawn"
YES: Final = "yes"
NO: Final = "no"
UNKNOWN: Final = "unknown"
_ASK: Final = "SELECT decision, event, '', '', '', CAST(NULL AS BYTEA), CAST(NULL AS BYTEA) FROM consent WHERE subject = ? AND ura = ?"


@dataclass(frozen=True, slots=True)
class Answer:
    """What counts now for one organisation: decision yes or no, since when (UTC), and the event that said so."""

    ura: str
    decision: str
    since: str
    event: str


@dataclass(frozen=True, slots=True)
class ConsentEvent:
    """One change: who wrote it down (`by`, a person's or account's id) and on what ground (`proof`: form, tick, oral note)."""

    id: str
    kind: str
    at: str
    ura: str
    by: str
    proof: str


class Consents:
    """The register of consent. Safe to use from several threads and processes."""

    def __init__(self, database: Database, keyring: Keyring, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._database, self._keyring, self._clock = database, keyring, clock

    def give(self, subject: Subject, ura: str, by: str, proof: str) -> str:
        """She says yes to the organisation; returns the id of the event. Raises `Invalid` when `ura`, `by` or `proof` is missing."""
        return self._change(GIVEN, YES, subject, ura, by, proof)

    def refuse(self, subject: Subject, ura: str, by: str, proof: str) -> str:
        """She says no before she ever said yes; returns the id of the event."""
        return self._change(REFUSED, NO, subject, ura, by, proof)

    def withdraw(self, subject: Subject, ura: str, by: str, proof: str) -> str:
        """She takes her yes back; returns the id of the event. No decision after this commit goes by the old answer."""
        return self._change(WITHDRAWN, NO, subject, ura, by, proof)

    def of(self, subject: str, ura: str) -> tuple[str, str]:
        """Her present answer about one organisation (yes, no or unknown) and the id of the event that gave it ("" when unknown)."""
        return answer_in(self._database.fetch(*question(subject, ura)))

    def about(self, ura: str, tx: Connection) -> dict[str, tuple[str, str]]:
        """The present answer and its event of every woman who said something about one organisation, by pseudonym."""
        rows = tx.execute(select(consent.c.subject, consent.c.decision, consent.c.event).where(consent.c.ura == ura))
        return {row.subject: (row.decision, row.event) for row in rows}

    def all_of(self, subject: str) -> dict[str, Answer]:
        """Her present answers by the URA of the organisation; one that is not there was not asked about."""
        with self._database.read() as tx:
            rows = tx.execute(select(consent).where(consent.c.subject == subject).order_by(consent.c.ura)).all()
        return {row.ura: Answer(row.ura, row.decision, row.since, row.event) for row in rows}

    def history(self, subject: str) -> list[ConsentEvent]:
        """Every change she made, oldest first."""
        mine = (governance.c.subject == subject) & governance.c.kind.in_((GIVEN, REFUSED, WITHDRAWN))
        with self._database.read() as tx:
            rows = tx.execute(select(governance).where(mine).order_by(governance.c.seq)).all()
        return [ConsentEvent(**orjson.loads(self._keyring.open(_key(subject), row.body, row.id.encode()))) for row in rows]

    def _change(self, kind: str, decision: str, subject: str, ura: str, by: str, proof: str) -> str:
        if not (subject and ura and by and proof):
            raise Invalid("consent names the woman, the organisation, who wrote it down and on what ground", code="consent-incomplete")
        event = ConsentEvent(uuid.uuid4().hex, kind, self._clock().astimezone(UTC).isoformat(), ura, by, proof)
        # Sealed before the transaction: making a key is a write of its own.
        body = self._keyring.seal(_key(subject), orjson.dumps(asdict(event)), event.id.encode())
        with self._database.write() as tx:
            # The row of the present answer comes first: it is the lock that puts the events of two processes in one order.
            replace(tx, consent, [{"subject": subject, "ura": ura, "decision": decision, "since": event.at, "event": event.id}])
            tx.execute(insert(governance).values(id=event.id, kind=kind, subject=subject, at=event.at, body=body))
        return event.id


def question(subject: str, ura: str) -> Question:
    """What to ask the database for her answer about one organisation, beside the other facts of a decision; `answer_in` reads the rows."""
    return _ASK, (subject, ura)


def answer_in(rows: Sequence[tuple[Any, ...]]) -> tuple[str, str]:
    """The answer (yes, no or unknown) and its event in the rows that came for `question`."""
    return (rows[0][0], rows[0][1]) if rows else (UNKNOWN, "")


def _key(subject: str) -> str:
    return f"consent/{subject}"
