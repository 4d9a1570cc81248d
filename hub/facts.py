"""What the door asks, answered out of the views and the register of consent: one statement, and so one state of both."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date

from sqlalchemy import Connection

from authz import consents
from hub.door import Looked, Related
from hub.plan.read import PlanReader, relation_of


@dataclass(frozen=True)
class Views:
    """Plans, treatment relations and consent for the door, as of the day that `today` gives."""

    reader: PlanReader
    today: Callable[[], date]

    def look(self, subject: str, episode: str, ura: str, *, whole: bool) -> Looked:
        """What stands about a woman's pregnancy (the present one when none is named) and an organisation."""
        seen, (said,) = self.reader.see(subject, consents.question(subject, ura), whole=whole)
        episode = episode or next(iter(seen.episodes()), "")
        relation, evidence = relation_of(seen.relations, episode, ura, self.today())
        answer, event = consents.answer_in(said)
        return Looked(episode, relation, evidence, answer, event, seen.version(), seen.content(episode))

    def subjects_of(self, tx: Connection, ura: str) -> Sequence[Related]:
        """Every pregnancy with which an organisation has a relation now, the newest first."""
        today = self.today()
        found = ((s, e, *self.reader.relation(tx, s, e, ura, today)) for s, e in self.reader.clients(ura, today, tx))
        return [Related(*one) for one in sorted(found, key=lambda one: one[3], reverse=True)]
