"""The BSN vault: pseudonym → sealed BSN. No other table, log, topic or view holds a BSN.

The pseudonym follows from the BSN (`fhir_profiles.identifiers.pseudonym_of`), so looking one up needs no vault; the vault is for the
day that a message must leave under the woman's own number.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sqlalchemy import Connection, select

from fhir_profiles.identifiers import Bsn, Subject, pseudonym_of
from hub.log.envelope import Seal
from hub.tables import vault
from hub.upsert import insert_new

_KEY: Final = "vault/-/bsn"
_KNOWN: Final = 200_000


class Vault:
    """Remembers BSNs under seal."""

    def __init__(self, seal: Seal, pseudonym_key: bytes) -> None:
        self._seal = seal
        self._pseudonym_key = pseudonym_key
        self._known: set[str] = set()

    def subject(self, bsn: Bsn) -> Subject:
        """The pseudonym for a BSN."""
        return pseudonym_of(bsn, self._pseudonym_key)

    def remember(self, tx: Connection, people: Mapping[str, Bsn]) -> None:
        """Keep the BSN of each subject that the vault does not have yet; two processes may do so at once."""
        new = {subject: bsn for subject, bsn in people.items() if subject not in self._known}
        if not new:
            return
        rows = [{"subject": s, "body": self._seal.seal(_KEY, b.reveal().encode(), s.encode())} for s, b in sorted(new.items())]
        insert_new(tx, vault, rows)
        if len(self._known) > _KNOWN:
            self._known.clear()

    def committed(self, people: Mapping[str, Bsn]) -> None:
        """Tell the vault that the transaction of `remember` is durable: from now on it need not look again."""
        self._known.update(people)

    def reveal(self, tx: Connection, subject: Subject) -> Bsn | None:
        """The BSN behind a pseudonym, or None when the vault has none."""
        body = tx.execute(select(vault.c.body).where(vault.c.subject == subject)).scalar_one_or_none()
        return None if body is None else Bsn(self._seal.open(_KEY, bytes(body), subject.encode()).decode())
