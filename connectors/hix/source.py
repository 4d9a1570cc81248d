"""HiX as a source: its messages come in over MLLP, and `HixMapping` says what they mean.

The listener takes every registered sender of HL7 v2, not only HiX: which connector maps a message follows from its MSH-3 and MSH-4.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Final

from connectors.contract import Source
from connectors.formats.mllp import MllpServer
from connectors.hix.mapping import HixMapping
from hub.log.received import MAX_MESSAGE, Intake

CONNECTOR: Final = "hix"


def senders_of(sources: Iterable[Source]) -> Callable[[str, str], Source | None]:
    """Finds the source that sends under an MSH-3 and MSH-4; compared without regard to case, None for a stranger."""
    known = {(application.upper(), facility.upper()): source for source in sources for application, facility in source.senders}
    return lambda application, facility: known.get((application.upper(), facility.upper()))


def listener(
    intake: Intake, sources: Iterable[Source], pseudonym: Callable[[str], str], clock: Callable[[], datetime], *, host: str, port: int,
    max_message: int = MAX_MESSAGE, window: int = 64, processing: frozenset[str] = frozenset({"P"}), tls: ssl.SSLContext | None = None,
) -> MllpServer:
    """The MLLP server for these sources, not yet started: `await server.start()`, and `await server.stop()` in the end.

    `processing` are the values of MSH-11 that are taken: an installation that is in use takes P (production) and nothing else.
    """
    return MllpServer(
        intake, senders_of(sources), HixMapping().peek_bsn, pseudonym, clock, host=host, port=port, max_message=max_message,
        window=window, processing=processing, tls=tls,
    )
