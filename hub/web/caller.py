"""From where the present request came, for the audit trail: set around each request, read where the question for the door is made."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Caller:
    """The address of the access point, and an id for this request."""

    network: str = ""
    request_id: str = ""


CALLER: Final[ContextVar[Caller]] = ContextVar("caller", default=Caller())  # noqa: B039  # frozen: nobody can change the default
