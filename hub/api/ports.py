"""What the API asks of the hub besides the door, and nothing more. `hub.wiring` hands it the parts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

from hub.api.figures import DoorFigures, Sample

if TYPE_CHECKING:  # a process that only tells its figures loads neither
    from authz.tokens import Tokens
    from hub.door import Door


class Answer(Protocol):
    """What the intake says to a sender."""

    @property
    def status(self) -> int:
        """The HTTP status."""

    @property
    def body(self) -> bytes:
        """The bytes of the answer."""

    @property
    def content_type(self) -> str:
        """Its media type."""

    @property
    def headers(self) -> Mapping[str, str]:
        """Further headers."""


class Intake(Protocol):
    """Where a practice's message goes. `client_id` comes from the token and alone tells which organisation sends."""

    async def post(self, content_type: str, body: bytes, client_id: str, peer: str, trace: str) -> Answer:
        """Keep the message durably, then answer. Raises a `BirthCareError` for what is not taken."""


@dataclass(frozen=True, kw_only=True)
class Operated:
    """What every process tells an operator's machines: each of `checks` tells whether a part is ready (it may block a little); `samples`
    gives the figures of this moment; `figures` counts what the door answers.
    """

    checks: Mapping[str, Callable[[], bool]] = field(default_factory=dict)
    samples: Callable[[], Iterable[Sample]] = tuple
    figures: DoorFigures = field(default_factory=DoorFigures)


@dataclass(frozen=True, kw_only=True)
class IntakeParts(Operated):
    """What the way in for practices needs. `base_url` is where callers reach the hub, without /fhir; `clients` is client id → URA of the
    systems that may send.
    """

    tokens: Tokens
    base_url: str
    clock: Callable[[], datetime]
    intake: Intake | None = None
    clients: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Parts(IntakeParts):
    """Everything that the API needs.

    `pseudonym` is from the digits of a BSN to her pseudonym; it raises `Invalid` for what is no BSN, and does not repeat it.
    `names` gives source id → organisation name. `smart` is the SMART configuration, None without a login provider.
    """

    door: Door
    names: Mapping[str, str]
    pseudonym: Callable[[str], str]
    smart: Mapping[str, Any] | None = None

    @property
    def fhir_url(self) -> str:
        """The base of the FHIR R4 API."""
        return f"{self.base_url.rstrip('/')}/fhir"
