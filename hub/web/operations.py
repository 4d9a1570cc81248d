"""How the hub itself is doing, for the pages of those who watch over it: sources, balance, what is held, the last messages. Counts only.

Reads the views and the attributes of records, which hold pseudonyms and times; nothing sealed is opened here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

import orjson
from sqlalchemy import Connection, select

from hub.database import Database
from hub.tables import held as held_table
from hub.tables import received_count, recorded
from hub.views import freshness, held, ledger
from hub.web.ports import HeldRow, LedgerRow, Load, Message, Pulse, SourceStatus

LATEST: Final = 6
_LOOK_BACK: Final = 120
"""Records that are looked at to find the latest messages: each message makes a few."""

SPEAKS: Final = {"hix": "HL7 v2", "practice": "FHIR STU3", "epic": "FHIR R4"}

WAITS: Final = {
    "bsn-check": "BSN klopt niet",
    "bsn-format": "BSN heeft niet negen cijfers",
    "charset": "Tekens zijn niet te lezen",
    "code-missing": "Een uitslag zonder code",
    "code-swapped": "Code staat in het verkeerde codestelsel",
    "date": "Een datum die niet te lezen is",
    "date-impossible": "Een datum die niet kan",
    "field-missing": "Een verplicht veld ontbreekt",
    "mapping-fault": "Fout in de ooievaar zelf",
    "merge-not-yet": "Samenvoegen van dossiers wacht op een mens",
    "no-person": "Geen persoon in het bericht",
    "not-well-formed": "Het bericht is niet heel",
    "person-unknown": "Niet duidelijk over wie het gaat",
    "segment-missing": "Een deel van het bericht ontbreekt",
    "source-unknown": "Onbekende bron",
    "status-unknown": "Onbekende status",
    "two-persons": "Twee personen in één bericht",
    "unit-missing": "Een meting zonder eenheid",
    "unit-unfit": "Eenheid past niet bij deze meting",
    "value-contradicts": "Twee waarden spreken elkaar tegen",
    "value-impossible": "Waarde kan niet",
    "value-missing": "Een meting zonder waarde",
    "value-unfit": "Waarde past niet bij deze meting",
}
"""Codes of reasons in Dutch; another code is shown with its own words."""


@dataclass(frozen=True)
class Operations:
    """Answers from the databases. `received` holds the embedded log's own counts, None where the log is elsewhere (Kafka).

    `names` is source id → organisation, for every registered source; `load` says how busy the intake is; `now` gives an aware time.
    """

    hub: Database
    received: Database | None
    names: Mapping[str, str]
    load: Callable[[], Load]
    now: Callable[[], datetime]

    def sources(self) -> list[SourceStatus]:
        """Every registered source and every one that ever sent something."""
        today = self.now().date().isoformat()
        rows = {row.source: row.received for row in self.ledger() if row.day == today}
        with self.hub.read() as tx:
            waiting: Counter[str] = Counter()
            for group in held.groups(tx):
                waiting[group.source] += group.count
            # A source is connector/URA; the names may hold bare URAs as well.
            found = freshness.sources(tx, self.now(), [name for name in self.names if "/" in name])
        return [SourceStatus(one.source, *self._who(one.source), _state(one), one.received_at, rows.get(one.source, 0), waiting[one.source])
                for one in found]

    def ledger(self) -> list[LedgerRow]:
        """The balance per source and day, newest day first."""
        with self.hub.read() as tx:
            return [LedgerRow(row.source, row.day, row.received, row.recorded, row.unchanged, row.ignored, row.held)
                    for row in ledger.rows(tx, self._received())]

    def held(self) -> list[HeldRow]:
        """What waits, grouped."""
        with self.hub.read() as tx:
            groups = held.groups(tx)
        return [HeldRow(one.source, one.code, WAITS.get(one.code, one.reason), one.path, one.count, one.oldest) for one in groups]

    def pulse(self) -> Pulse:
        """Counts over all days, and the last messages that made facts or wait."""
        rows = self.ledger()
        with self.hub.read() as tx:
            messages = sorted([*self._recorded(tx), *self._waiting(tx)], key=lambda message: message.at, reverse=True)[:LATEST]
        return Pulse(sum(row.received for row in rows), sum(row.recorded for row in rows), sum(row.held for row in rows),
                     tuple(self.sources()), tuple(messages))

    def _received(self) -> dict[tuple[str, str], int] | None:
        if self.received is None:
            return None
        with self.received.read() as tx:
            return {(row.source, row.day): row.n for row in tx.execute(select(received_count))}

    def _recorded(self, tx: Connection) -> list[Message]:
        """The latest messages that made events: the records of one message share its place."""
        found: dict[str, Message] = {}
        for raw in tx.execute(select(recorded.c.attributes).order_by(recorded.c.place.desc()).limit(_LOOK_BACK)).scalars():
            about = orjson.loads(raw)
            facts = int(about.get("events", "0")) + (found[about["origin"]].facts if about["origin"] in found else 0)
            found[about["origin"]] = Message(about.get("heard") or about["time"], *self._who(about["source"]), "recorded", facts)
        return list(found.values())

    def _waiting(self, tx: Connection) -> list[Message]:
        query = select(held_table.c.source, held_table.c.at).where(held_table.c.state == held.WAITING)
        return [Message(row.at, *self._who(row.source), "held") for row in tx.execute(query.order_by(held_table.c.at.desc()).limit(LATEST))]

    def _who(self, source: str) -> tuple[str, str]:
        connector = source.partition("/")[0]
        return self.names.get(source, source), SPEAKS.get(connector, connector)


def _state(one: freshness.SourceFreshness) -> Literal["running", "silent", "never"]:
    return "never" if not one.received_at else "silent" if one.silent else "running"
