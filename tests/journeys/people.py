"""What people and systems do in a journey: log in with a browser, post, send, look, and read what a page says."""

from __future__ import annotations

import asyncio
import html
import re
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import httpx2
import orjson
from joserfc.jwk import ECKey

from connectors.epic import simulator as epic
from connectors.formats.hl7v2_ack import Ack
from connectors.formats.mllp_client import MllpClient
from connectors.practice.source import JSON
from tests.journeys.hub_process import HOST, RunningHub

SETTLED_S = 40.0


def eventually(holds: Callable[[], bool], what: str, timeout_s: float = SETTLED_S, pause_s: float = 0.25) -> None:
    """Wait until it holds; fail with `what` when it does not in time."""
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline, f"not within {timeout_s} s: {what}"
        time.sleep(pause_s)


@contextmanager
def browser(hub: RunningHub, name: str) -> Iterator[httpx2.Client]:
    """Someone of the cast at the pages, after the whole login: pages → provider → pages, by redirects and cookies alone."""
    with httpx2.Client(base_url=hub.http, follow_redirects=True, trust_env=False, timeout=20) as client:
        landed = client.get("/inloggen", params={"als": name})
        assert landed.status_code == 200, landed.text
        assert [answer.url.path for answer in landed.history] == ["/inloggen", "/demo/oidc/authorize", "/inloggen/terug"]
        yield client


def api(hub: RunningHub, name: str) -> httpx2.Client:
    """Someone of the cast at the FHIR API, with a bearer token."""
    headers = {"authorization": f"Bearer {hub.token(name)}", "accept": "application/fhir+json"}
    return httpx2.Client(base_url=hub.http + "/fhir", headers=headers, trust_env=False, timeout=20)


def words(page: str) -> str:
    """What a page says: its text without scripts, pictures and markup, in one line."""
    bare = re.sub(r"(?s)<(script|style|svg|head)\b.*?</\1>", " ", page)
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", bare)).replace("\u00ad", ""))


def clients_on(page: str) -> dict[str, str]:
    """The work list: name → pseudonym."""
    found = re.findall(r'href="/zorg/plan/([0-9a-f]{32})[^"]*"[^>]*>(.*?)</a>', page, re.S)
    return {words(name).strip(): subject for subject, name in found}


def post_bundles(hub: RunningHub, bundles: list[dict[str, Any]]) -> list[httpx2.Response]:
    """The practice's system posts prio1 Bundles, one after the other."""
    headers = {"authorization": f"Bearer {hub.token('praktijk')}", "content-type": JSON}
    with httpx2.Client(trust_env=False, timeout=30) as client:
        return [client.post(f"{hub.intake}/fhir-stu3", content=orjson.dumps(bundle), headers=headers) for bundle in bundles]


def send(hub: RunningHub, messages: list[bytes]) -> list[Ack]:
    """HiX sends messages over one MLLP connection, each after the answer to the one before."""
    async def body() -> list[Ack]:
        async with MllpClient(HOST, hub.mllp_port) as client:
            return [await client.send(message) for message in messages]

    # On a thread of its own: a test with a browser has a loop running already.
    with ThreadPoolExecutor(1) as other:
        return other.submit(asyncio.run, asyncio.wait_for(body(), 60)).result()


def control_ids(messages: list[bytes]) -> list[str]:
    """MSH-10 of every message."""
    return [message.split(b"\r", 1)[0].split(b"|")[9].decode() for message in messages]


class Epic:
    """Epic at Ziekenhuis Oostzoom: a real FHIR server on a thread, in which the hub's key is registered."""

    def __init__(self, folder: Path, today: date) -> None:
        self._key = ECKey.generate_key("P-384", auto_kid=True)
        self._file = folder / "epic-key.jwk"
        self._file.write_bytes(orjson.dumps(self._key.as_dict(private=True)))
        self._file.chmod(0o600)
        self._today, self._loop = today, asyncio.new_event_loop()
        self.simulator = epic.EpicSimulator()

    @contextmanager
    def running(self) -> Iterator[dict[str, str]]:
        """The settings with which a hub polls it."""
        thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        thread.start()
        self._do(self.simulator.start())
        self.simulator.register("ooievaar-proef", self._key)
        self.simulator.put(*epic.demo(self._today))
        try:
            yield {"EPIC__BASE_URL": self.simulator.base_url, "EPIC__CLIENT_ID": "ooievaar-proef", "EPIC__KEY_FILE": str(self._file),
                   "EPIC__INTERVAL_S": "1"}
        finally:
            self._do(self.simulator.stop())
            self._loop.call_soon_threadsafe(self._loop.stop)
            thread.join(5)

    def _do(self, job: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(job, self._loop).result(15)


BALANCED = ("recorded", "unchanged", "ignored", "held")


def settled(hub: RunningHub, received: int) -> list[dict[str, Any]]:
    """The ledger once so many messages of those who push are in it and nothing waits; fails when that does not come."""
    rows: list[dict[str, Any]] = []

    def done() -> bool:
        rows[:] = hub.json("ledger")
        pushed = sum(row["received"] for row in rows if not row["source"].startswith("epic/"))
        return pushed >= received and all(row["received"] == sum(row[c] for c in BALANCED) for row in rows)

    eventually(done, f"{received} messages in the ledger, in balance")
    return rows


SECRETS = {
    "BSN": ("999990019", "999990020", "999990032"),
    "name": ("Verhoeven", "Aydin", "Brink", "Samira", "Noor", "Lotte", "Daan"),
    "birth date": ("1994-03-12", "19940312", "12-03-1994", "1990-11-02", "19901102", "02-11-1990", "1988-07-25", "19880725", "25-07-1988"),
    "clinical text": ("Penicilline", "huiduitslag", "mmol", "Spontane abortus", "verwisseling", "Bloedgroep", "meerling", "Hemoglobin", "Pregnancy",
                      "OBX|", "PID|", "resourceType"),
    "address or telephone": ("Havenweg", "1234AB", "1234CD", "0612345678", "0687654321"),
}
"""What the journeys send and no log may hold."""


def leaks(output: str) -> list[str]:
    """The kinds of personal data that stand in the output, with the line; empty when there are none."""
    lines = output.splitlines()
    return [f"{kind}: {line[:200]}" for kind, secrets in SECRETS.items() for secret in secrets for line in lines if secret.casefold() in line.casefold()]

