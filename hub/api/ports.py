"""What the API asks of the hub, and nothing more. `hub.wiring` hands it the parts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from authz.ask import Ask


class Opened(Protocol):
    """What the door handed over: the states of open sections by (pregnancy, section), and the reason of every shut one."""

    @property
    def sections(self) -> Mapping[tuple[str, str], bytes]: ...
    @property
    def closed(self) -> Mapping[str, str]: ...


class Door(Protocol):
    """The one way to a plan: decides, records, and only then hands over. Raises `Forbidden` when nothing opens."""

    async def read(self, ask: Ask) -> Opened: ...


class Answer(Protocol):
    """What the intake says to a sender."""

    @property
    def status(self) -> int: ...
    @property
    def body(self) -> bytes: ...
    @property
    def content_type(self) -> str: ...


class Intake(Protocol):
    """Where a practice's message goes: kept durably, then answered."""

    async def post(self, content_type: str, body: bytes, client_id: str, peer: str, trace: str) -> Answer: ...


@dataclass(frozen=True, slots=True)
class Sample:
    """One figure for /metrics. `kind` is counter or gauge; labels never hold anything about a person."""

    name: str
    kind: str
    help: str
    value: float
    labels: Mapping[str, str] = field(default_factory=dict)
