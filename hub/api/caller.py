"""Who calls: the asker from the bearer token, and the facts of the request that go into the question and so into the trail.

Nothing here is read from path or body: the acting person and organisation come from the token alone.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, Final

from starlette.types import Scope

from authz.ask import Ask, Asker, Purpose, Role
from authz.tokens import BadToken, NoToken, Tokens

_PURPOSES: Final = {Role.CLIENT: Purpose.PATIENT_REQUEST, Role.AUDITOR: Purpose.AUDIT}


@dataclass(frozen=True, slots=True)
class Caller:
    """The asker of one request with its network address, request id and trace."""

    asker: Asker
    network: str
    request_id: str
    trace: str

    @property
    def own(self) -> str:
        """The caller's own pseudonym when she is the woman herself, else empty."""
        return self.asker.subject if self.asker.role is Role.CLIENT else ""

    def ask(self, subject: str, sections: tuple[str, ...], interaction: str, *,
            episode: str = "", action: str = "read", query: str = "") -> Ask:
        """The question for the door."""
        purpose = _PURPOSES.get(self.asker.role, Purpose.TREATMENT)
        return Ask(self.asker, subject, sections, purpose, episode, action, interaction, query, self.network, self.trace, self.request_id)


async def caller_of(scope: Scope, tokens: Tokens) -> Caller:
    """Who calls. Raises `NoToken` or `BadToken`. A token seen before costs microseconds; a new one is verified off the event loop."""
    bearer = _bearer(scope["headers"])
    asker = tokens.known(bearer)
    if asker is None:
        asker = await asyncio.to_thread(tokens.asker, bearer)
    peer = scope.get("client")
    return Caller(asker, peer[0] if peer else "", scope["request_id"], scope["trace"])


def _bearer(headers: Any) -> str:
    """The one bearer token of a request; two Authorization headers, or another scheme, are none."""
    found = [value for name, value in headers if name == b"authorization"]
    if not found:
        raise NoToken("this needs an access token")
    scheme, _, token = found[0].partition(b" ")
    if len(found) > 1 or scheme.lower() != b"bearer" or not token:
        raise BadToken("scheme")
    return str(token.strip().decode("latin-1"))
