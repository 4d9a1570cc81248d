"""Bad input at every way in of a running hub: each case has a stated answer and a stated place in the balance, and nothing stops.

The hub is the real program in a process of its own. HL7 v2 comes over MLLP, FHIR over HTTP. After every case a good message must still
get through, and at the end the balance is right and the program's own log repeats nothing of what was sent.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import httpx2
import orjson
import pytest

from connectors.formats.fhir_xml import write_xml
from connectors.formats.mllp_client import MllpClient
from connectors.practice.simulator import NOOR, Client, current_pregnancy
from fhir_profiles.errors import Unavailable
from hub import wiring
from hub.inspection import ledger, opened
from hub.settings import Settings
from tests.parts.ports import free_ports

TODAY = date(2026, 11, 24)
SECRETS = ("999990019", "999990044", "999990018", "Verhoeven", "Geheimnaam", "19940312", "1994-03-12", "Bloedarmoede")

pytestmark = pytest.mark.xdist_group("bad-input")


@dataclass(frozen=True)
class Running:
    """The hub under test."""

    http: str
    mllp: int
    data: Path
    token: str

    def cli(self, *arguments: str) -> Any:
        """One command of the hub, its JSON."""
        done = subprocess.run([sys.executable, "-m", "hub.cli", *arguments, "--data", str(self.data)], capture_output=True, timeout=60, check=False)
        return json.loads(done.stdout)

    def balance(self) -> dict[str, int]:
        """The whole ledger, once nothing waits to be mapped any more."""
        end = time.monotonic() + 20
        while time.monotonic() < end:
            with opened(Settings(data=self.data)) as hub:
                rows, _ = ledger(hub)
            total = {name: sum(row[name] for row in rows) for name in ("received", "recorded", "unchanged", "ignored", "held")}
            if total["received"] == sum(total[name] for name in ("recorded", "unchanged", "ignored", "held")):
                return total
            time.sleep(0.03)
        raise AssertionError(f"the balance does not close: {total}")


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("bad-input")
    data = folder / "data"
    http_port, mllp_port = free_ports(2)
    with open(folder / "log", "wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "hub.cli", "up", "--demo", "--no-simulators", "--data", str(data), "--http-port", str(http_port),
             "--mllp-port", str(mllp_port)],
            stdout=log, stderr=subprocess.STDOUT)
    http = f"http://127.0.0.1:{http_port}"
    try:
        _wait(http, process)
        token = subprocess.run([sys.executable, "-m", "hub.cli", "demo", "token", "praktijk", "--data", str(data)], capture_output=True, text=True,
                               timeout=60, check=True).stdout.strip()
        yield Running(http, mllp_port, data, token)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        process.wait()
    said = (folder / "log").read_text()
    assert not [word for word in SECRETS if word in said]


def _wait(http: str, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        assert process.poll() is None, "the hub ended"
        with contextlib.suppress(httpx2.HTTPError):
            if httpx2.get(f"{http}/ready", timeout=2, trust_env=False).status_code == 200:
                return
        time.sleep(0.1)
    raise AssertionError("the hub does not get ready")


def msh(control: str, *, kind: str = "ORU^R01^ORU_R01", app: str = "HIX", facility: str = "RIJNOEVER", version: str = "2.5", charset: str = "UNICODE UTF-8",
        processing: str = "P", sep: str = r"^~\&") -> str:
    return f"MSH|{sep}|{app}|{facility}|OOIEVAAR|HUB|20261124100000||{kind}|{control}|{processing}|{version}|||AL|NE|NLD|{charset}"


PID = "PID|1||999990019^^^NLMINBIZA^NNNLD||Geheimnaam&&Geheimnaam^Noor||19940312|F"
OBR = "OBR|1||LAB-{n}^LAB|LAB^Lab^L|||20261124090000|||||||||||||||20261124095500||LAB|F"
HB = "OBX|1|NM|718-7^Hb^LN||7.1|mmol/L|||||F|||20261124090000"


def hl7(control: str, *lines: str, head: str = "") -> bytes:
    return ("\r".join([head or msh(control), *lines]) + "\r").encode()


def oru(control: str, *, pid: str = PID, obr: str = "", obx: str = HB, **head: str) -> bytes:
    return hl7(control, pid, obr or OBR.format(n=control), obx, head=msh(control, **head))


# name, bytes, MSA-1, class in the balance ("-": not kept). What the header says is answered at once (AE: to be put right; AR: not for us);
# what a known sender says inside is kept (AA), and what cannot be mapped of it waits.
HL7: list[tuple[str, bytes, str, str]] = [
    ("truncated in the middle of a result", oru("T1")[:-30], "AA", "held"),
    ("truncated before its first result", oru("T1b")[:-60], "AA", "ignored"),
    ("header only", hl7("T2"), "AA", "held"),
    ("no MSH", b"PID|1||999990019\r", "AR", "-"),
    ("empty message", b"", "AR", "-"),
    ("text that is no HL7", b"hello world", "AR", "-"),
    ("NUL bytes inside", oru("T3").replace(b"7.1", b"7\x00.1"), "AE", "-"),
    ("bytes that are not in the declared charset", oru("T4").replace(b"Noor", b"No\xff\xfer"), "AE", "-"),
    ("unknown charset", oru("T5", charset="EBCDIC"), "AE", "-"),
    ("declared 8859/1 and really UTF-8", oru("T6", charset="8859/1").replace(b"Noor", "Noör".encode()), "AA", "recorded"),
    ("unknown sender", oru("T7", app="NOBODY"), "AR", "-"),
    ("known application at another facility", oru("T8", facility="ELSEWHERE"), "AR", "-"),
    ("version 9", oru("T9", version="9.9"), "AR", "-"),
    ("no version", oru("T10", version=""), "AR", "-"),
    ("a processing id that is none", oru("T10b", processing="X"), "AR", "-"),
    ("an acknowledgement as a message", hl7("T10c", "MSA|AA|1", head=msh("T10c", kind="ACK")), "AR", "-"),
    ("no message type", oru("T10d", kind=""), "AE", "-"),
    ("no control id", oru(""), "AE", "-"),
    ("unknown event", hl7("T11", "EVN|Z99", PID, head=msh("T11", kind="ADT^Z99^ADT_A01")), "AA", "held"),
    ("appointment message", hl7("T12", PID, head=msh("T12", kind="SIU^S12^SIU_S12")), "AA", "held"),
    ("merge of persons", hl7("T13", "EVN|A40", PID, "MRG|12345", head=msh("T13", kind="ADT^A40^ADT_A39")), "AA", "held"),
    ("BSN that fails the eleven-test", oru("T14", pid=PID.replace("999990019", "999990018")), "AA", "held"),
    ("BSN of seven digits", oru("T15", pid=PID.replace("999990019", "9999900")), "AA", "held"),
    ("BSN 000000000", oru("T16", pid=PID.replace("999990019", "000000000")), "AA", "held"),
    ("two persons in one message", hl7("T17", PID, PID.replace("999990019", "999990044"), OBR.format(n=17), HB), "AA", "held"),
    ("two BSNs for one person", oru("T18", pid=PID.replace("NNNLD", "NNNLD~999990044^^^NLMINBIZA^NNNLD")), "AA", "held"),
    ("no person at all", hl7("T19", OBR.format(n=19), HB), "AA", "held"),
    ("impossible date", oru("T20", obx=HB.replace("20261124090000", "20260231090000")), "AA", "held"),
    ("wrong unit", oru("T21", obx=HB.replace("mmol/L", "kg")), "AA", "held"),
    ("no unit", oru("T21b", obx=HB.replace("mmol/L", "")), "AA", "held"),
    ("impossible value", oru("T22", obx=HB.replace("|7.1|", "|710|")), "AA", "held"),
    ("text where a number is due", oru("T23", obx=HB.replace("|7.1|", "|veel|")), "AA", "held"),
    ("code in the wrong code system", oru("T24", obx="OBX|1|NM|161732006^Graviditeit^LN||2||||||F"), "AA", "held"),
    ("unknown code", oru("T25", obx="OBX|1|NM|99999-9^Onbekend^LN||2|mmol/L|||||F"), "AA", "held"),
    ("unknown value type", oru("T26", obx=HB.replace("|NM|", "|QQ|")), "AA", "held"),
    ("unknown status", oru("T27", obx=HB.replace("|||||F|", "|||||?|")), "AA", "held"),
    ("segments in another order", hl7("T28", OBR.format(n=28), HB, PID), "AA", "recorded"),
    ("the same segment twice", hl7("T29", PID, OBR.format(n=29), HB, HB), "AA", "recorded"),
    ("five thousand repetitions", oru("T30", pid=PID + "|" + "~".join(["x"] * 5000)), "AA", "held"),
    ("twenty thousand segments", hl7("T31", PID, OBR.format(n=31), *["NTE|1|L|x"] * 20_000), "AA", "held"),
    ("line feeds for carriage returns", oru("T32").replace(b"\r", b"\n"), "AA", "recorded"),
    ("own delimiters", oru("T33").replace(b"|", b"!").replace(b"^", b"@"), "AA", "recorded"),
    ("byte order mark in front", b"\xef\xbb\xbf" + oru("T34"), "AA", "recorded"),
    ("escape without an end", oru("T35", obx=HB + r"|||\F"), "AA", "recorded"),
    ("clinical free text under an unknown code", oru("T36", obx="OBX|1|FT|DIAG^Diagnose^L||Bloedarmoede||||||F"), "AA", "held"),
]


def _class_of(before: dict[str, int], after: dict[str, int]) -> str:
    """In which class of the balance the one message ended; "-" when it was not kept."""
    grown = [name for name in ("recorded", "unchanged", "ignored", "held") for _ in range(after[name] - before[name])]
    assert after["received"] - before["received"] == len(grown) <= 1
    return grown[0] if grown else "-"


async def _mllp(port: int, data: bytes) -> str:
    """Send on a fresh connection; the MSA-1 of the answer."""
    async with MllpClient("127.0.0.1", port, timeout_s=8) as client:
        return (await client.send(data)).code


async def _raw(port: int, data: bytes) -> list[str]:
    """Send bytes as they are; the MSA-1 of every answer that comes within two seconds of the one before."""
    found: list[str] = []
    async with MllpClient("127.0.0.1", port, timeout_s=2) as client:
        await client.write(data)
        with contextlib.suppress(Unavailable):
            while True:
                found.append((await client.answer()).code)
    return found


_number = iter(range(10_000))


def _still_works(hub: Running) -> None:
    n = next(_number)
    assert asyncio.run(_mllp(hub.mllp, oru(f"OK{n}", obr=OBR.format(n=f"OK{n}")))) == "AA"


@pytest.mark.parametrize(("name", "body", "answer", "place"), HL7, ids=[case[0] for case in HL7])
def test_hl7_that_is_not_right_gets_its_answer_and_its_place(hub: Running, name: str, body: bytes, answer: str, place: str) -> None:
    before = hub.balance()
    found = asyncio.run(_mllp(hub.mllp, body))
    assert (found, _class_of(before, hub.balance())) == (answer, place)
    _still_works(hub)


# name, bytes, every MSA-1 that comes back, class in the balance
FRAMES: list[tuple[str, bytes, list[str], str]] = [
    ("junk before the frame", b"junk" + b"\x0b" + oru("F1") + b"\x1c\r", ["AA"], "recorded"),
    ("no start of block", oru("F2") + b"\x1c\r", ["AR"], "-"),
    ("start of block twice", b"\x0b\x0b" + oru("F3") + b"\x1c\r", ["AE", "AA"], "recorded"),
    ("end of block without carriage return", b"\x0b" + oru("F4") + b"\x1c", [], "-"),
    ("21 MB without an end", b"\x0b" + b"MSH|" + b"x" * (21 * 1024 * 1024), ["AR"], "-"),
]


@pytest.mark.parametrize(("name", "data", "answers", "place"), FRAMES, ids=[case[0] for case in FRAMES])
def test_wrong_framing_never_stops_the_hub(hub: Running, name: str, data: bytes, answers: list[str], place: str) -> None:
    before = hub.balance()
    assert asyncio.run(_raw(hub.mllp, data)) == answers
    assert _class_of(before, hub.balance()) == place
    _still_works(hub)


def test_a_connection_that_falls_silent_in_a_frame_does_not_hold_up_another(hub: Running) -> None:
    async def both() -> str:
        async with MllpClient("127.0.0.1", hub.mllp, timeout_s=5) as silent:
            await silent.write(b"\x0b" + oru("S1")[:100])
            return await _mllp(hub.mllp, oru("S2"))

    assert asyncio.run(both()) == "AA"


BUNDLE: dict[str, Any] = current_pregnancy(NOOR, TODAY, 84, gravidity=2, parity=1, seed=7)


def changed(path: str, value: object) -> bytes:
    """The good Bundle with one value changed; a path like "entry.3.resource.status"."""
    bundle: Any = json.loads(json.dumps(BUNDLE))
    *way, last = path.split(".")
    here = bundle
    for step in way:
        here = here[int(step) if step.isdigit() else step]
    here[int(last) if last.isdigit() else last] = value
    return orjson.dumps(bundle)


def at(kind: str, code: str = "") -> int:
    """Where in the Bundle a resource stands."""
    for place, entry in enumerate(BUNDLE["entry"]):
        resource = entry["resource"]
        if resource["resourceType"] == kind and (not code or any(c["code"] == code for c in resource["code"]["coding"])):
            return place
    raise AssertionError(kind)


GOOD = orjson.dumps(BUNDLE)
XML = write_xml(BUNDLE)
JSON_TYPE, XML_TYPE = "application/fhir+json", "application/fhir+xml"
HB_AT, DUE_AT = at("Observation", "718-7"), at("Observation", "11778-8")
PATIENT_AT = at("Patient")
DEEP = b'{"resourceType":"Bundle","type":"transaction","entry":' + b"[" * 5000 + b"]" * 5000 + b"}"

# name, content type, bytes, status, class in the balance. A Bundle that can be read and is about one woman is taken (200), and the parts
# of it that cannot be mapped wait; one that cannot is refused and kept, so that nothing is dropped in silence.
FHIR: list[tuple[str, str, bytes, int, str]] = [
    ("no body", JSON_TYPE, b"", 400, "-"),
    ("not JSON", JSON_TYPE, b"{not json", 400, "held"),
    ("truncated JSON", JSON_TYPE, GOOD[:-200], 400, "held"),
    ("an array", JSON_TYPE, b"[]", 400, "held"),
    ("NaN", JSON_TYPE, GOOD.replace(b'"type":"transaction"', b'"type":"transaction","x":NaN'), 400, "held"),
    ("a key twice", JSON_TYPE, GOOD.replace(b'"type":"transaction"', b'"type":"transaction","type":"transaction"'), 400, "held"),
    ("five thousand levels deep", JSON_TYPE, DEEP, 413, "held"),
    ("bytes that are not UTF-8", JSON_TYPE, GOOD.replace(b"Verhoeven", b"Verh\xffeven"), 400, "held"),
    ("another resource type", JSON_TYPE, b'{"resourceType":"Patient"}', 400, "held"),
    ("a searchset", JSON_TYPE, changed("type", "searchset"), 400, "held"),
    ("an empty transaction", JSON_TYPE, b'{"resourceType":"Bundle","type":"transaction"}', 400, "held"),
    ("an entry without request", JSON_TYPE, changed(f"entry.{HB_AT}.request", None), 400, "held"),
    ("a DELETE", JSON_TYPE, changed(f"entry.{HB_AT}.request.method", "DELETE"), 422, "held"),
    ("BSN that fails the eleven-test", JSON_TYPE, GOOD.replace(b"999990019", b"999990018"), 400, "held"),
    ("wrong content type", "text/plain", GOOD, 415, "-"),
    ("no content type", "", GOOD, 415, "-"),
    ("XML with a DOCTYPE", XML_TYPE, b'<!DOCTYPE x [<!ENTITY a "b">]>' + XML.split(b"?>", 1)[-1], 400, "held"),
    ("XML with an entity bomb", XML_TYPE,
     b'<!DOCTYPE l [<!ENTITY a "aa"><!ENTITY b "&a;&a;&a;">]><Bundle xmlns="http://hl7.org/fhir"><id value="&b;"/></Bundle>', 400, "held"),
    ("XML that asks for a file", XML_TYPE,
     b'<!DOCTYPE l [<!ENTITY a SYSTEM "file:///etc/passwd">]><Bundle xmlns="http://hl7.org/fhir"><id value="&a;"/></Bundle>', 400, "held"),
    ("XML in another namespace", XML_TYPE, XML.replace(b"http://hl7.org/fhir", b"http://example.org/"), 400, "held"),
    ("truncated XML", XML_TYPE, XML[: len(XML) // 2], 400, "held"),
    ("JSON said to be XML", XML_TYPE, GOOD, 400, "held"),
    ("impossible date", JSON_TYPE, changed(f"entry.{DUE_AT}.resource.valueDateTime", "2026-02-30"), 200, "held"),
    ("wrong unit", JSON_TYPE, changed(f"entry.{HB_AT}.resource.valueQuantity.code", "kg"), 200, "held"),
    ("impossible value", JSON_TYPE, changed(f"entry.{HB_AT}.resource.valueQuantity.value", 999), 200, "held"),
    ("a value where a quantity is due", JSON_TYPE, changed(f"entry.{HB_AT}.resource.valueQuantity", "7.4"), 200, "held"),
    ("swapped code systems", JSON_TYPE,
     changed(f"entry.{DUE_AT}.resource.code.coding.0", {"system": "http://snomed.info/sct", "code": "11778-8"}), 200, "held"),
    ("unknown code", JSON_TYPE, changed(f"entry.{HB_AT}.resource.code.coding.0", {"system": "http://loinc.org", "code": "99999-9"}), 200, "held"),
    ("an observation about nobody", JSON_TYPE, changed(f"entry.{HB_AT}.resource.subject", {"reference": "Patient/nobody"}), 200, "held"),
    ("a list where an object is due", JSON_TYPE, changed(f"entry.{PATIENT_AT}.resource.name", "Geheimnaam"), 200, "held"),
]


def post(hub: Running, body: bytes, media: str, token: str | None = None) -> Any:
    bearer = hub.token if token is None else token
    headers = {**({"authorization": f"Bearer {bearer}"} if bearer else {}), **({"content-type": media} if media else {})}
    return httpx2.post(f"{hub.http}/fhir-stu3", content=body, headers=headers, timeout=30, trust_env=False)


@pytest.mark.parametrize(("name", "media", "body", "status", "place"), FHIR, ids=[case[0] for case in FHIR])
def test_fhir_that_is_not_right_gets_its_answer_and_its_place(hub: Running, name: str, media: str, body: bytes, status: int, place: str) -> None:
    before = hub.balance()
    answer = post(hub, body, media)
    assert answer.status_code == status, answer.text[:300]
    assert not [word for word in SECRETS if word in answer.text]
    if answer.status_code != 200:
        assert answer.json()["resourceType"] == "OperationOutcome" if "json" in answer.headers["content-type"] else "OperationOutcome" in answer.text
    assert _class_of(before, hub.balance()) == place
    _still_works(hub)


def test_a_message_of_21_mb_is_refused_before_it_is_read_to_its_end(hub: Running) -> None:
    before = hub.balance()
    with contextlib.suppress(httpx2.HTTPError):
        answer = post(hub, b" " * (21 * 1024 * 1024), JSON_TYPE)
        assert answer.status_code == 413
    assert hub.balance() == before


def test_a_message_of_16_mib_of_json_that_is_just_too_large_names_the_limit_and_is_not_kept(hub: Running) -> None:
    before = hub.balance()
    with contextlib.suppress(httpx2.HTTPError):
        answer = post(hub, b'{"resourceType":"Bundle","type":"transaction","x":"' + b"a" * (16 * 1024 * 1024) + b'"}', JSON_TYPE)
        assert answer.status_code == 413 and "16 MiB" in answer.text
    assert hub.balance() == before


def _forged(claims: dict[str, object]) -> str:
    import base64

    def part(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    return f"{part({'alg': 'none', 'typ': 'JWT'})}.{part(claims)}."


def test_who_is_not_known_may_not_send_and_leaves_nothing(hub: Running) -> None:
    settings = Settings(data=hub.data, demo=True)
    issuer = wiring.demo_issuer(settings, hub.http)
    before = hub.balance()
    foreign = type(issuer)(issuer.issuer, "https://elsewhere.example/fhir", issuer.key).issue("praktijk")
    expired = issuer.issue("praktijk", lifetime_s=-120)
    person = issuer.issue("marit")
    for token, wanted in (("", {401}), ("garbage", {401}), (_forged({"role": "system"}), {401}), (expired, {401}), (foreign, {401}), (person, {403})):
        answer = post(hub, GOOD, JSON_TYPE, token)
        assert answer.status_code in wanted, (token[:10], answer.status_code)
        assert answer.json()["resourceType"] == "OperationOutcome"
    assert hub.balance() == before


def test_the_good_bundle_gets_through_and_a_repeat_changes_nothing(hub: Running) -> None:
    # About a woman of whom no damaged message told.
    bundle = current_pregnancy(Client("999990056", "Femke", "Proef", "1991-05-05"), TODAY, 84, gravidity=2, parity=1, seed=7)
    before = hub.balance()
    first = post(hub, orjson.dumps(bundle), JSON_TYPE)
    assert first.status_code == 200 and first.json()["type"] == "transaction-response"
    assert len(first.json()["entry"]) == len(bundle["entry"])
    between = hub.balance()
    assert post(hub, orjson.dumps(bundle), JSON_TYPE).status_code == 200
    after = hub.balance()
    assert _class_of(before, between) == "recorded"
    assert _class_of(between, after) == "unchanged"


def test_there_are_at_least_sixty_cases_and_each_has_one_answer_and_one_place() -> None:
    assert len({name for name, *_ in HL7} | {f"frame: {name}" for name, *_ in FRAMES} | {f"fhir: {name}" for name, *_ in FHIR}) >= 60
    assert {place for *_, place in (*HL7, *FRAMES, *FHIR)} <= {"recorded", "unchanged", "ignored", "held", "-"}


def test_every_refusal_names_its_reason_without_repeating_what_was_sent(hub: Running) -> None:
    items = hub.cli("held", "--json")
    assert items
    for item in items:
        assert item["reason"] and item["code"]
        assert not [word for word in SECRETS if word in json.dumps(item)]
        assert not re.search(r"\b9999\d{5}\b", json.dumps(item))
