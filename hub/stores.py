"""Opens what the settings name: databases, keyring and logs. SQLite files for the embedded hub, PostgreSQL and Kafka at scale."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.exc import OperationalError

from audit.protect import protect
from fhir_profiles.errors import Unavailable
from hub.database import Database, open_postgres, open_sqlite
from hub.log.keys import Keyring, holds_keys, load_kek
from hub.log.port import EventLog
from hub.log.sqlite import SqliteLog
from hub.settings import Settings
from hub.tables import received, recorded


@dataclass(frozen=True)
class Stores:
    """The open databases and the keyring. On PostgreSQL all four are one."""

    received: Database
    hub: Database
    audit: Database
    keys: Database
    keyring: Keyring

    def close(self) -> None:
        """Give back every connection."""
        for database in {id(d): d for d in (self.received, self.hub, self.audit, self.keys)}.values():
            database.close()


def open_stores(settings: Settings, *, create: bool = True) -> Stores:
    """Open (and migrate) the databases. With `create=False` nothing is made.

    Raises `Unavailable`: when there is no hub in the folder, and when a database cannot be reached (code "database-away") or opened.
    """
    if not create and not settings.kek.exists() and not (settings.data / "keys.db").exists():
        raise Unavailable(f"there is no hub in {settings.data} (no key at {settings.kek})", code="no-hub")
    try:
        return _opened(settings, create=create)
    except OperationalError as error:
        if not settings.database.get_secret_value():
            raise Unavailable(f"the databases in {settings.data} cannot be opened", code="database-shut") from error
        raise Unavailable("the database cannot be reached", code="database-away") from error


def _opened(settings: Settings, *, create: bool) -> Stores:
    url, data = settings.database.get_secret_value(), settings.data
    keys = open_postgres(url) if url else open_sqlite(data / "keys.db", ["keys"])
    try:
        keyring = _keyring(settings, keys, create=create)
        stores = Stores(keys, keys, keys, keys, keyring) if url else Stores(
            open_sqlite(data / "received.db", ["received"]), open_sqlite(data / "hub.db", ["hub"]), open_sqlite(data / "audit.db", ["audit"]), keys, keyring)
        protect(stores.audit)
    except BaseException:
        keys.close()
        raise
    return stores


def _keyring(settings: Settings, keys: Database, *, create: bool) -> Keyring:
    """The keyring, proved to be the one of this database. A key-encryption key is made only where nothing was ever sealed."""
    if not settings.kek.exists() and holds_keys(keys):
        raise Unavailable(f"the key-encryption key is not at {settings.kek}, and data is sealed under it: put it back from its backup", code="kek-missing")
    keyring = Keyring(keys, load_kek(settings.kek, create=create))
    keyring.prove()
    return keyring


def open_received(settings: Settings, stores: Stores, client_id: str) -> EventLog:
    """The log of messages as they came."""
    if settings.log == "sqlite":
        return SqliteLog(stores.received, received)
    return _kafka(settings, settings.kafka.received_topic, client_id)


def open_recorded(settings: Settings, stores: Stores, client_id: str) -> EventLog:
    """The log of events."""
    if settings.log == "sqlite":
        return SqliteLog(stores.hub, recorded)
    return _kafka(settings, settings.kafka.recorded_topic, client_id)


def _kafka(settings: Settings, topic: str, client_id: str) -> EventLog:
    from hub.log.kafka import KafkaLog

    return KafkaLog(topic, kafka_settings(settings, client_id))


def kafka_settings(settings: Settings, client_id: str):  # type: ignore[no-untyped-def]  # kafka is imported only when it is used
    """The settings of the Kafka client, from those of the process."""
    from hub.log.kafka import KafkaSettings

    k = settings.kafka
    return KafkaSettings(
        bootstrap=k.bootstrap, security_protocol=k.security_protocol, sasl_mechanism=k.sasl_mechanism, username=k.username,
        password=k.password.get_secret_value(), cafile=k.cafile, certfile=k.certfile, keyfile=k.keyfile, client_id=client_id,
    )
