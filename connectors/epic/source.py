"""How Epic's data comes in: the hub asks, page by page, for what changed since it last asked, with an overlap.

One round: which patients changed (`Patient?_lastUpdated=ge…`), then for each of them and of those known before,
the Patient as it is and the
changed Observations and Conditions, each with its Patient beside it, so that every page that is kept is about one woman and says who she
is.
A page is kept exactly as it came. A page without a version that was not seen is skipped; after a restart the overlap brings some again, and
the mapper knows them. The position moves only after a whole round, so what a broken round missed comes in the next.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, Protocol
from urllib.parse import quote, urlencode

import orjson
import structlog
from joserfc.jwk import ECKey, RSAKey

from connectors.contract import Source
from connectors.epic.mapping import EpicMapping
from connectors.epic.smart import Patience, Smart, joined, new_client, read_page
from connectors.formats.fhir_tree import dicts, text
from fhir_profiles.errors import BirthCareError, Invalid, Refused, Unavailable
from fhir_profiles.identifiers import Bsn, Subject
from hub.log.received import Incoming, Intake

log = structlog.get_logger(__name__)

CONNECTOR: Final = "epic"
MEDIA_TYPE: Final = "application/fhir+json"
MAX_PAGES: Final = 500
"""Pages of one question; a server that links on and on is stopped there."""
_QUESTIONS: Final = (("Observation", ("Observation:subject", "Observation:focus")), ("Condition", ("Condition:subject",)))
"""What is asked of each woman. Her Patient is included, for a page without it would not say who she is; so is the pregnancy in focus.

Observations come first: with the due date beside it, a pregnancy that is new finds its match among the other dossiers at once.
"""
_IN_A_ROW: Final = 3
_SEEN: Final = 200_000
_PATIENTS: Final = 50_000
_EPOCH: Final = "1970-01-01T00:00:00+00:00"


class Since(Protocol):
    """Where the poller keeps its place between runs. The text holds ids of patients at the source: keep it as closely as the views."""

    def load(self) -> str:
        """The text last stored, empty when there is none."""

    def store(self, value: str) -> None:
        """Keep the text."""


@dataclass
class EpicPoller:
    """Polls one Epic. `clock` gives UTC ISO text, `pseudonym` names a woman so that her pages are sealed under her own key."""

    intake: Intake
    source: Source
    base_url: str
    client_id: str
    key: ECKey | RSAKey
    clock: Callable[[], str]
    since: Since
    pseudonym: Callable[[Bsn], Subject]
    interval_s: float = 30.0
    overlap_s: float = 120.0
    patience: Patience = field(default_factory=Patience)
    last_success: str = ""
    """When a whole round last succeeded, UTC; empty when none did since the start."""
    last_error: str = ""
    """The code of what went wrong in the last round; empty when nothing did."""
    kept: int = 0
    """Pages kept since the start."""
    _seen: OrderedDict[tuple[str, str, str], None] = field(default_factory=OrderedDict)
    _mapping: EpicMapping = field(default_factory=EpicMapping)

    async def run(self) -> None:
        """Poll until cancelled. A round that fails is logged by code and tried again after the interval, or a longer pause."""
        failed = 0
        async with new_client(self.patience) as http:
            smart = Smart(http, self.base_url, self.client_id, self.key, self.clock, self.patience)
            while True:
                failed = 0 if await self.round(smart) else failed + 1
                await asyncio.sleep(max(self.interval_s, self.patience.pause(min(failed, 8), "") if failed else 0.0))

    async def round(self, smart: Smart) -> bool:
        """Ask once for all that changed; tells whether everything came."""
        begun = self.clock()
        try:
            since, known = await asyncio.to_thread(self._load)
            after = _earlier(since, self.overlap_s)
            changed = await self._changed(smart, after)
            if not await self._all(smart, changed, known, after):
                return False
            patients = list(dict.fromkeys([*known, *changed]))[-_PATIENTS:]
            await asyncio.to_thread(self.since.store, orjson.dumps({"since": begun, "patients": patients}).decode())
        except BirthCareError as error:
            self._failed(error)
            return False
        self.last_success, self.last_error = self.clock(), ""
        return True

    async def _all(self, smart: Smart, changed: list[str], known: list[str], after: str) -> bool:
        """Ask for each patient; one whose pages fail does not stop the others, three in a row do."""
        whole, failures = True, 0
        for patient in dict.fromkeys([*changed, *known]):
            # Of someone new all counts, however long ago it changed.
            came = await self._patient(smart, patient, after if patient in known else _EPOCH, as_a_whole=patient in changed)
            whole, failures = whole and came, 0 if came else failures + 1
            if failures == _IN_A_ROW:
                return False
        return whole

    async def _changed(self, smart: Smart, after: str) -> list[str]:
        """The ids of the patients whose own record changed. These pages are about many women and are not kept: each is read alone."""
        found: list[str] = []
        async for page, _ in self._pages(smart, "Patient", {"_lastUpdated": f"ge{after}"}):
            found += [text(resource.get("id")) for resource in _resources(page) if resource.get("resourceType") == "Patient"]
        return [patient for patient in dict.fromkeys(found) if patient]

    async def _patient(self, smart: Smart, patient: str, after: str, *, as_a_whole: bool) -> bool:
        """Everything new of one woman; a fault stays hers, and the others go on."""
        try:
            if as_a_whole:
                body = await smart.get(f"{smart.base_url}/Patient/{quote(patient, safe='')}")
                await self._keep(read_page(body), body)
            for kind, includes in _QUESTIONS:
                question = {"patient": patient, "_lastUpdated": f"ge{after}", "_include": includes}
                async for page, body in self._pages(smart, kind, question):
                    await self._keep(page, body)
        except BirthCareError as error:
            self._failed(error)
            return False
        return True

    async def _pages(self, smart: Smart, kind: str, question: Mapping[str, object]) -> AsyncIterator[tuple[dict[str, Any], bytes]]:
        """The pages of a search, following `next` within the same server only."""
        url = f"{smart.base_url}/{kind}?{urlencode(question, doseq=True)}"
        asked: set[str] = set()
        while url:
            if url in asked or len(asked) >= MAX_PAGES:
                raise Refused("the pages of the FHIR server do not end", code="pages-endless")
            asked.add(url)
            body = await smart.get(url)
            page = read_page(body)
            if page["resourceType"] != "Bundle":
                raise Invalid("the FHIR server answered a search with something else", code="not-a-bundle")
            yield page, body
            onward = next((text(link.get("url")) for link in dicts(page.get("link")) if link.get("relation") == "next"), "")
            url = joined(smart.base_url, onward) if onward else ""

    async def _keep(self, page: dict[str, Any], body: bytes) -> None:
        versions = [_version(resource) for resource in _resources(page)]
        new = [version for version in versions if version not in self._seen or not version[2]]
        if not new:
            return
        await self.intake.kept(self._incoming(body))
        self.kept += 1
        # Only after it is durable: a page that was not kept must be asked for again.
        for version in versions:
            self._seen[version] = None
            self._seen.move_to_end(version)
        while len(self._seen) > _SEEN:
            self._seen.popitem(last=False)

    def _incoming(self, body: bytes) -> Incoming:
        digits, subject = self._mapping.peek_bsn(body), ""
        if digits is not None:
            try:
                subject = str(self.pseudonym(Bsn(digits)))
            except Invalid:
                subject = ""  # Not a BSN after all: the mapper says so, and the bytes are sealed under the source's key.
        return Incoming(CONNECTOR, self.source.id, MEDIA_TYPE, body, subject, self.clock(), {"peer": "poll"})

    def _load(self) -> tuple[str, list[str]]:
        held = self.since.load()
        if not held:
            return _EPOCH, []
        place = orjson.loads(held)
        return str(place["since"]), [str(patient) for patient in place["patients"]]

    def _failed(self, error: BirthCareError) -> None:
        self.last_error = error.code
        log.warning("poll_failed", connector=CONNECTOR, source=self.source.id, code=error.code,
                    status=int(error.status), reason="away" if isinstance(error, Unavailable) else "refused")


def _resources(page: dict[str, Any]) -> list[dict[str, Any]]:
    if page["resourceType"] != "Bundle":
        return [page]
    return [entry["resource"] for entry in dicts(page.get("entry")) if isinstance(entry.get("resource"), dict)]


def _version(resource: dict[str, Any]) -> tuple[str, str, str]:
    meta = resource.get("meta")
    version = (text(meta.get("versionId")) or text(meta.get("lastUpdated"))) if isinstance(meta, dict) else ""
    return text(resource.get("resourceType")), text(resource.get("id")), version


def _earlier(since: str, seconds: float) -> str:
    moment = datetime.fromisoformat(since)
    return max(moment - timedelta(seconds=seconds), datetime.fromisoformat(_EPOCH)).isoformat()
