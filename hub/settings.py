"""Everything that may differ between two installations. Each field is explained in deploy/README.md; a test compares the two.

Read once, in `hub.cli`; from there plain values travel as arguments. Environment: `OOIEVAAR_HTTP_PORT=8080`,
`OOIEVAAR_KAFKA__BOOTSTRAP=…`. The defaults run on a laptop without Kafka and without PostgreSQL; secrets have no default.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from connectors.contract import Source
from fhir_profiles.errors import Unavailable


class KafkaPart(BaseModel):
    """How to reach Kafka."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    bootstrap: str = "127.0.0.1:9092"
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: str = "SCRAM-SHA-512"
    username: str = ""
    password: SecretStr = SecretStr("")
    cafile: str = ""
    certfile: str = ""
    keyfile: str = ""
    received_topic: str = "received"
    recorded_topic: str = "recorded"
    partitions: int = 6
    replication: int = 1
    min_insync: int = 1


class LoginPart(BaseModel):
    """Where people and systems log in, and what a token must say."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    issuer: str = ""
    client_id: str = "ooievaar-web"
    client_secret: SecretStr = SecretStr("")
    audience: str = "https://ooievaar.example/fhir"


class EpicPart(BaseModel):
    """The FHIR R4 server that is polled; nothing is polled when `base_url` is empty."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    base_url: str = ""
    client_id: str = "ooievaar"
    key_file: str = ""
    interval_s: float = 30.0
    overlap_s: float = 120.0


class Settings(BaseSettings):
    """The settings of one process."""

    model_config = SettingsConfigDict(env_prefix="OOIEVAAR_", env_nested_delimiter="__", frozen=True, extra="ignore")

    data: Path = Path("data")
    log: Literal["sqlite", "kafka"] = "sqlite"
    database: SecretStr = SecretStr("")
    kek_file: Path | None = None
    sources_file: Path | None = None
    http_host: str = "127.0.0.1"
    http_port: int = Field(default=8080, ge=0, le=65535)
    mllp_host: str = "127.0.0.1"
    mllp_port: int = Field(default=2575, ge=0, le=65535)
    mllp_certfile: str = ""
    mllp_keyfile: str = ""
    public_url: str = ""
    help_line: str = ""
    demo: bool = False
    simulators: bool = True
    backlog_limit: int = 20_000
    batch: int = 150
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    kafka: KafkaPart = Field(default_factory=KafkaPart)
    login: LoginPart = Field(default_factory=LoginPart)
    epic: EpicPart = Field(default_factory=EpicPart)

    @model_validator(mode="after")
    def _one_form(self) -> Settings:
        """SQLite logs go with SQLite views, Kafka with PostgreSQL: there is no half-way form."""
        if (self.log == "kafka") != bool(self.database.get_secret_value()):
            raise ValueError("log=kafka and a database (PostgreSQL) go together")
        return self

    @property
    def kek(self) -> Path:
        """The file of the key-encryption key: outside the databases, and to be backed up apart from them."""
        return self.kek_file or self.data / "keys" / "kek"

    @property
    def base_url(self) -> str:
        """The address under which browsers reach the hub."""
        return self.public_url or f"http://{'127.0.0.1' if self.http_host == '0.0.0.0' else self.http_host}:{self.http_port}"  # noqa: S104


def load_sources(path: Path) -> tuple[Source, ...]:
    """The registered senders from a TOML file with `[[source]]` tables. Raises `Unavailable` with what is wrong."""
    try:
        rows = tomllib.loads(path.read_text()).get("source", [])
        return tuple(
            Source(str(r["connector"]), str(r["ura"]), str(r["organisation"]), str(r["organisation_type"]),
                   tuple((str(app), str(facility)) for app, facility in r.get("senders", [])), str(r.get("client_id", "")))
            for r in rows
        )
    except OSError as error:
        raise Unavailable(f"the file with sources cannot be read: {path}", code="sources-missing") from error
    except (tomllib.TOMLDecodeError, KeyError, TypeError, ValueError) as error:
        raise Unavailable(f"the file with sources is not right: {path}", code="sources-wrong") from error
