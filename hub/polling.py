"""The pull side: polls the FHIR R4 server of a hospital, and keeps the place where it was, sealed, in the database."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import orjson
import structlog
from joserfc.jwk import ECKey, RSAKey
from sqlalchemy import select

from connectors.contract import Source
from connectors.epic.source import EpicPoller
from fhir_profiles.errors import Unavailable
from fhir_profiles.identifiers import pseudonym_of
from hub import wiring
from hub.log.received import Intake
from hub.settings import Settings
from hub.stores import Stores
from hub.tables import meta
from hub.upsert import replace

log = structlog.get_logger(__name__)

_KEY: Final = "hub/-/polling"


class Since:
    """Where the poller was, in table `meta`, sealed: it holds the source's own ids of patients."""

    def __init__(self, stores: Stores, source: str) -> None:
        self._stores, self._name = stores, f"since:{source}"

    def load(self) -> str:
        """The text last stored; empty when there is none."""
        with self._stores.hub.read() as tx:
            value = tx.execute(select(meta.c.value).where(meta.c.name == self._name)).scalar_one_or_none()
        return self._stores.keyring.open(_KEY, bytes.fromhex(value), self._name.encode()).decode() if value else ""

    def store(self, value: str) -> None:
        """Keep the text."""
        sealed = self._stores.keyring.seal(_KEY, value.encode(), self._name.encode()).hex()
        with self._stores.hub.write() as tx:
            replace(tx, meta, [{"name": self._name, "value": sealed}])


def load_key(path: Path) -> ECKey | RSAKey:
    """The private key (JWK) with which the hub logs in at a hospital. Raises `Unavailable` when it cannot be used."""
    try:
        found = orjson.loads(path.read_bytes())
        return ECKey.import_key(found) if found.get("kty") == "EC" else RSAKey.import_key(found)
    except (OSError, ValueError) as error:
        raise Unavailable("the key for the FHIR server that is polled cannot be read", code="epic-key") from error


def poller(settings: Settings, stores: Stores, intake: Intake, *, base_url: str, key: ECKey | RSAKey, interval_s: float) -> EpicPoller:
    """The poller for the registered Epic source. Raises `Unavailable` when none is registered."""
    source = next((s for s in wiring.sources_of(settings).values() if s.connector == "epic"), None)
    if source is None:
        raise Unavailable("no source with connector epic is registered", code="source-unknown")
    return _poller(settings, stores, intake, source, base_url, key, interval_s)


def _poller(settings: Settings, stores: Stores, intake: Intake, source: Source, base_url: str, key: ECKey | RSAKey, interval_s: float) -> EpicPoller:
    secret = wiring.pseudonym_key(stores)
    return EpicPoller(intake, source, base_url, settings.epic.client_id, key, wiring.utc_now, Since(stores, source.id), lambda bsn: pseudonym_of(bsn, secret),
                      interval_s=interval_s, overlap_s=settings.epic.overlap_s)


async def poll(settings: Settings, stores: Stores, intake: Intake) -> None:
    """Poll the server that the settings name until cancelled."""
    key = load_key(Path(settings.epic.key_file))
    await poller(settings, stores, intake, base_url=settings.epic.base_url, key=key, interval_s=settings.epic.interval_s).run()
