"""How a practice's message comes in: one POST of a STU3 transaction Bundle, answered when its bytes are durable and not before.

The checks here are the ones that the mapping makes of the whole, so what is answered with 200 is never refused as a whole later; parts of
it that cannot be mapped are held, and that is the hub's affair. Bad input from a known sender is kept too, so that nothing is dropped in
silence: it gets its 4xx, and the mapper holds it. Not kept: an unknown sender, another media type, more than 20 MB.

No web framework in here: a plain async function that any server can call.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import orjson
import structlog

from connectors.contract import Source
from connectors.formats.fhir_bundle import Entry
from connectors.formats.fhir_xml import write_xml
from connectors.practice.bundle import Parcel, parcel_of
from connectors.practice.mapping import PracticeMapping
from fhir_profiles.errors import BirthCareError, Invalid, Refused, TooLarge, Unavailable, Unknown, Unsupported
from fhir_profiles.identifiers import Bsn, Subject
from hub.log.received import MAX_MESSAGE, Incoming, Intake

log = structlog.get_logger(__name__)

JSON: Final = "application/fhir+json"
XML: Final = "application/fhir+xml"
CONNECTOR: Final = "practice"
RETRY_AFTER_S: Final = 5

_ID: Final = re.compile(r"[A-Za-z0-9\-.]{1,64}")
_ISSUES: Final = {"login": "login", "too-long": "too-long", "not-supported": "not-supported", "transient": "transient",
                  "invalid": "invalid"}


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back to the sender."""

    status: int
    body: bytes
    content_type: str
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PracticeIntake:
    """Takes prio1 Bundles. `source_of` finds the registered sender by OAuth client id, `pseudonym` names a woman, `clock` gives UTC ISO
    text."""

    intake: Intake
    source_of: Callable[[str], Source | None]
    pseudonym: Callable[[Bsn], Subject]
    clock: Callable[[], str]
    mapping: PracticeMapping = field(default_factory=PracticeMapping)

    async def post(self, content_type: str, body: bytes, client_id: str, peer: str, trace: str) -> Answer:
        """Keep one message and answer it. Never raises a `BirthCareError`: every refusal becomes an OperationOutcome."""
        media = JSON
        try:
            media = media_type_of(content_type)
            source = self._sender(client_id, body)
        except Refused as refusal:
            return _refusal(refusal, media)
        try:
            await self.intake.kept(self._incoming(source, media, body, peer, trace))
        except Unavailable as away:
            return _refusal(away, media)
        try:
            parcel = parcel_of(body, media)
        except Refused as refusal:
            log.info("message_refused", connector=CONNECTOR, source=source.id, code=refusal.code, status=int(refusal.status))
            return _refusal(refusal, media)
        return Answer(200, _write(_response(parcel), media), media)

    def _sender(self, client_id: str, body: bytes) -> Source:
        source = self.source_of(client_id)
        if source is None:
            raise Unknown("this sender is not registered", code="source-unknown")
        if len(body) > MAX_MESSAGE:
            raise TooLarge("the message is larger than 20 MB", code="too-large")
        return source

    def _incoming(self, source: Source, media: str, body: bytes, peer: str, trace: str) -> Incoming:
        digits, subject = self.mapping.peek_bsn(body), ""
        if digits is not None:
            try:
                subject = str(self.pseudonym(Bsn(digits)))
            except Invalid:
                subject = ""  # Not a BSN after all: the mapper says so, and the bytes are sealed under the source's key.
        return Incoming(CONNECTOR, source.id, media, body, subject, self.clock(), {"peer": peer}, trace)


def media_type_of(content_type: str) -> str:
    """The FHIR media type of a header. Raises `Unsupported` for others, for another charset than UTF-8 and another FHIR version than
    3.0."""
    media, *parameters = (part.strip() for part in content_type.lower().split(";"))
    if media not in (JSON, XML):
        raise Unsupported("send application/fhir+json or application/fhir+xml", code="media-type")
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        value = value.strip().strip('"')
        if name.strip() == "charset" and value not in ("utf-8", "utf8"):
            raise Unsupported("FHIR is written in UTF-8", code="charset")
        if name.strip() == "fhirversion" and not value.startswith("3.0"):
            raise Unsupported("this is not FHIR STU3 (3.0.2), which is the version that is taken here", code="fhir-version")
    return media


def _response(parcel: Parcel) -> dict[str, Any]:
    """A transaction-response: one entry for each request, in order."""
    return {"resourceType": "Bundle", "type": "transaction-response", "entry": [{"response": _outcome(entry)} for entry in parcel.entries]}


def _outcome(entry: Entry) -> dict[str, str]:
    # A URL with a condition holds an identifier of the woman, and an id that is a number may be one: neither is sent back.
    path, _, condition = entry.url.partition("?")
    identity = path.partition("/")[2]
    given = entry.method == "PUT" and not condition and _ID.fullmatch(identity) and not identity.isdigit()
    return {"status": "200 OK" if given else "201 Created", "location": f"{entry.kind}/{identity if given else uuid.uuid4()}"}


def _refusal(error: BirthCareError, media: str) -> Answer:
    """An OperationOutcome (STU3) with what the sender may read; it never repeats what was sent."""
    issue: dict[str, Any] = {"severity": "error", "code": _ISSUES.get(error.issue, "processing"),
                             "details": {"coding": [{"system": "http://ooievaar.example/fhir/CodeSystem/reason", "code": error.code}]},
                             "diagnostics": error.public}
    if error.path:
        issue["expression"] = [error.path]
    headers = {"Retry-After": str(RETRY_AFTER_S)} if isinstance(error, Unavailable) else {}
    return Answer(int(error.status), _write({"resourceType": "OperationOutcome", "issue": [issue]}, media), media, headers)


def _write(resource: dict[str, Any], media: str) -> bytes:
    return write_xml(resource) if media == XML else orjson.dumps(resource)
