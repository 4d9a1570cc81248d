"""The whole story, as the women, their caregivers and the auditor live it: once on one process, once on Kafka and PostgreSQL.

Nothing is reached around the outside: messages go in as sources send them, people log in with a browser's redirects and cookies, systems
with bearer tokens, operators with commands. One process is killed in the middle of it.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import orjson
import pytest

from connectors.epic.simulator import demo as epic_demo
from connectors.hix import story as hix
from connectors.practice import simulator as practice
from tests.journeys.hub_process import RunningHub, embedded, scaled
from tests.journeys.people import Epic, api, browser, clients_on, control_ids, eventually, leaks, post_bundles, send, settled, words

LEPELAAR, RIJNOEVER, OOSTZOOM = "00700001", "00700002", "00700003"
URA = "http://fhir.nl/fhir/NamingSystem/ura"
PLAN = "http://ooievaar.example/fhir/CodeSystem/plan"
TODAY = datetime.now(UTC).date()

FORMS = [
    pytest.param("embedded", marks=pytest.mark.xdist_group("journeys")),
    pytest.param("scaled", marks=[pytest.mark.kafka, pytest.mark.postgres]),
]


@pytest.fixture(params=FORMS)
def hub(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RunningHub]:
    """A hub that polls an Epic, in one of its two forms."""
    with ExitStack() as stack:
        epic = stack.enter_context(Epic(tmp_path, TODAY).running())
        if request.param == "embedded":
            yield stack.enter_context(embedded(tmp_path, epic))
            return
        broker = request.getfixturevalue("kafka").settings.bootstrap
        topics = {"KAFKA__RECEIVED_TOPIC": f"received-{tmp_path.name}", "KAFKA__RECORDED_TOPIC": f"recorded-{tmp_path.name}", "KAFKA__PARTITIONS": "3"}
        yield stack.enter_context(scaled(tmp_path, request.getfixturevalue("postgres"), {"KAFKA__BOOTSTRAP": broker, **topics}, settings=epic))


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_what_hospitals_and_a_practice_send_reaches_those_who_may_see_it_and_she_sees_who_looked(hub: RunningHub) -> None:
    the_practice_posts_its_dossiers(hub)
    the_hospital_sends_and_is_answered(hub)
    balance = every_message_is_in_the_balance(hub)
    women = the_midwife_opens_her_work_list(hub)
    she_sees_one_plan_out_of_three_sources(hub, women["Noor Verhoeven"])
    what_two_sources_disagree_on_stands_side_by_side(hub, women["Samira Aydin"])
    a_program_reads_the_same_with_source_and_time(hub, women["Noor Verhoeven"])
    the_maternity_nurse_is_refused(hub, women["Noor Verhoeven"])
    the_woman_reads_her_plan_and_sees_who_looked(hub)
    the_auditor_finds_filters_and_exports(hub, women["Noor Verhoeven"])
    nothing_is_new_in_what_is_sent_again(hub, balance)
    the_commands_say_what_outsiders_rely_on(hub)
    a_rebuild_gives_the_same_and_the_hub_goes_on(hub, women["Noor Verhoeven"])
    codes = hub.stop()
    assert set(codes.values()) == {0}, codes
    assert leaks(hub.output()) == []


def test_the_search_for_personal_data_finds_it() -> None:
    assert leaks("all is well\nPID|1||999990019") == ["BSN: PID|1||999990019", "clinical text: PID|1||999990019"]


# Steps, in the order of the story


def the_practice_posts_its_dossiers(hub: RunningHub) -> None:
    answers = post_bundles(hub, practice.story(TODAY))
    assert [answer.status_code for answer in answers] == [200] * 4, [answer.text for answer in answers]
    for bundle, answer in zip(practice.story(TODAY), answers, strict=True):
        told = answer.json()
        assert (told["resourceType"], told["type"]) == ("Bundle", "transaction-response")
        assert len(told["entry"]) == len(bundle["entry"])
        assert all(entry["response"]["status"].startswith("20") for entry in told["entry"])
    nobody = httpx2.post(f"{hub.intake}/fhir-stu3", content=b"{}", headers={"content-type": "application/fhir+json"}, trust_env=False)
    assert nobody.status_code == 401
    assert nobody.json()["resourceType"] == "OperationOutcome"


def the_hospital_sends_and_is_answered(hub: RunningHub) -> None:
    """HiX sends; in the middle the process that maps is killed, and what follows is answered all the same."""
    messages = hix.story(TODAY)
    first, second = messages[:5], messages[5:]
    killed = hub.processes.get("map") or hub.processes["up"]
    answers = send(hub, first)
    killed.kill()
    killed.start()
    killed.wait_ready()
    answers += send(hub, second)
    assert [answer.code for answer in answers] == ["AA"] * len(messages)
    assert [answer.control_id for answer in answers] == control_ids(messages)


def every_message_is_in_the_balance(hub: RunningHub) -> list[dict[str, Any]]:
    eventually(lambda: any(row["source"].startswith("epic/") for row in hub.json("ledger")), "Epic was polled")
    rows = settled(hub, 4 + len(hix.story(TODAY)))
    received = {row["source"]: row["received"] for row in rows}
    assert received[f"practice/{LEPELAAR}"] == 4
    assert received[f"hix/{RIJNOEVER}"] == len(hix.story(TODAY))
    # A08 says what A01 said.
    assert {row["source"]: row["unchanged"] for row in rows}[f"hix/{RIJNOEVER}"] == 1
    assert sum(row["held"] for row in rows) == 0, hub.json("held", code=1)
    return rows


def the_midwife_opens_her_work_list(hub: RunningHub) -> dict[str, str]:
    with browser(hub, "marit") as marit:
        found: dict[str, str] = {}

        def listed() -> bool:
            found.update(clients_on(marit.get("/zorg").text))
            return {"Noor Verhoeven", "Samira Aydin"} <= found.keys()

        eventually(listed, "Noor and Samira stand in the work list")
    assert len(found) == 3
    return found


def she_sees_one_plan_out_of_three_sources(hub: RunningHub, noor: str) -> None:
    with browser(hub, "marit") as marit:
        page = ""

        def whole() -> bool:
            nonlocal page
            page = words(marit.get(f"/zorg/plan/{noor}").text)
            return "gecorrigeerd, was 6" in page and "116/74" in page

        eventually(whole, "the corrected Hb and Epic's blood pressure are in the overview")
        assert "G/P G2P1" in page
        assert f"à terme {dutch(midwife_expects(practice.NOOR))}" in page
        assert re.search(r"Hb 6(,0)? mmol/L 6,6 mmol/L Rijnoever · \d\d-\d\d 09:30 gecorrigeerd, was 6(,0)? mmol/L", page)
        assert re.search(r"7,4 mmol/L De Lepelaar", page)
        assert "Marit Jansen coördineert" in page
        assert "118/76 mmHg Rijnoever" in page
        assert "116/74 mmHg Oostzoom" in page
        # Two sources, two blood groups: both stand there, and neither is called the right one.
        assert "Bloedgroep niet zeker 2 verschillende waarden" in page
        assert re.search(r"O Rijnoever · \d\d-\d\d 09:30 A De Lepelaar", page)
        assert "Allergie Penicilline Rijnoever" in page


def what_two_sources_disagree_on_stands_side_by_side(hub: RunningHub, samira: str) -> None:
    with browser(hub, "marit") as marit:
        page = words(marit.get(f"/zorg/plan/{samira}").text)
    assert "À terme datum 2 verschillende waarden" in page
    midwife, hospital = dutch(midwife_expects(practice.SAMIRA)), dutch(oostzoom_expects())
    assert midwife != hospital
    assert re.search(rf"{hospital} Oostzoom · .{{5,30}} {midwife} De Lepelaar · ", page)
    assert f"Plan rekent met {midwife}" in page
    # Her twins keep the numbers that the hospital gave them.
    assert re.search(r"kind 1 142 /min Rijnoever", page) and re.search(r"kind 2 151 /min Rijnoever", page)


def a_program_reads_the_same_with_source_and_time(hub: RunningHub, noor: str) -> None:
    with api(hub, "marit") as fhir:
        found = fhir.get("/Observation", params={"patient": noor, "_count": 100})
        assert found.status_code == 200, found.text
        seen = [entry["resource"] for entry in found.json()["entry"]]
        assert len({one["id"] for one in seen}) == len(seen)
        for one in seen:
            assert one["performer"][0]["identifier"]["system"] == URA, one
            assert one["performer"][0]["identifier"]["value"] in (LEPELAAR, RIJNOEVER, OOSTZOOM)
            assert datetime.fromisoformat(one["issued"]).tzinfo is not None
        haemoglobin = [one for one in seen if has_code(one, "haemoglobin")]
        hospital = [one for one in haemoglobin if one["performer"][0]["identifier"]["value"] == RIJNOEVER]
        assert sorted((one["valueQuantity"]["value"], one["status"]) for one in hospital) == [(6.6, "corrected")]
        due = {one["performer"][0]["identifier"]["value"]: one["valueDateTime"] for one in seen if has_code(one, "due-date")}
        assert due == {LEPELAAR: midwife_expects(practice.NOOR), RIJNOEVER: rijnoever_expects()}
        plan = fhir.get("/CarePlan", params={"patient": noor}).json()["entry"][0]["resource"]
        team = next(one for one in plan["contained"] if one["resourceType"] == "CareTeam")["participant"]
        coordinator = [one for one in team if any(role.get("text") == "coördinerend zorgverlener" for role in one["role"])]
        assert [one["member"]["display"] for one in coordinator] == ["Marit Jansen"]
        document = fhir.get(f"/Composition/{plan['id']}/$document").json()
        assert (document["type"], document["entry"][0]["resource"]["resourceType"]) == ("document", "Composition")


def the_maternity_nurse_is_refused(hub: RunningHub, noor: str) -> None:
    with browser(hub, "joke") as joke:
        refused = joke.get(f"/zorg/plan/{noor}")
        assert refused.status_code == 403
        page = words(refused.text)
        assert "Dit is niet open voor u" in page
        assert "Verhoeven" not in page
    with api(hub, "joke") as fhir:
        refused = fhir.get("/CarePlan", params={"patient": noor})
        assert refused.status_code == 403
        assert refused.json()["issue"][0]["code"] == "forbidden"


def the_woman_reads_her_plan_and_sees_who_looked(hub: RunningHub) -> None:
    with browser(hub, "noor") as noor:
        plan = words(noor.get("/mijn/plan").text)
        weeks = (280 - (date.fromisoformat(midwife_expects(practice.NOOR)) - TODAY).days) // 7
        assert f"U bent {weeks} weken" in plan
        assert "Er zijn twee datums voor de bevalling" in plan
        assert "IJzer in uw bloed" in plan and "Deze uitslag is verbeterd" in plan
        saw = words(noor.get("/mijn/wie-zag").text)
        assert re.search(r"Marit Jansen, verloskundige Verloskundigenpraktijk De Lepelaar Keek (\S+ keer )?naar: wie u bent", saw)
        assert re.search(r"mocht niet kijken Joke Smit, kraamverzorgende Kraamzorg De Zon Wilde (\S+ keer )?kijken naar: .{20,200}Kreeg niets te zien", saw)
        assert "De lijst is heel" in saw
    with api(hub, "noor") as fhir:
        lines = [entry["resource"] for entry in fhir.get("/AuditEvent").json()["entry"]]
        who = {(one["agent"][0].get("name", ""), one["outcome"]) for one in lines}
        assert {("Marit Jansen", "0"), ("Joke Smit", "4")} <= who


def the_auditor_finds_filters_and_exports(hub: RunningHub, noor: str) -> None:
    with browser(hub, "tess") as tess:
        page = tess.get("/auditor").text
        assert "Marit Jansen" in page and "Joke Smit" in page
        assert "Verhoeven" not in page
        csrf = re.search(r'action="/auditor".*?name="csrf" value="([^"]+)"', page, re.S)
        assert csrf is not None
        only = tess.post("/auditor", data={"csrf": csrf[1], "over": noor, "soort": "geweigerd"}).text
        rows = re.findall(r"<tr><td class=\"num\">(.*?)</tr>", only, re.S)
        assert rows and all("Joke Smit" in row and "geweigerd" in row for row in rows)
        exports = dict(re.findall(r'href="(/auditor/uitvoer/(?:bundle|csv)\?z=([^"]+))"', only))
        bundle, table = (tess.get(address) for address in sorted(exports))
    told = bundle.json()
    assert bundle.headers["content-type"].startswith("application/fhir+json")
    assert {entry["resource"]["resourceType"] for entry in told["entry"]} == {"AuditEvent"}
    assert {entry["resource"]["agent"][0]["name"] for entry in told["entry"]} == {"Joke Smit"}
    lines = list(csv.DictReader(io.StringIO(table.text.lstrip("\ufeff")), delimiter=";"))
    assert len(lines) == len(rows)
    assert {(line["naam"], line["resultaat"], line["client"]) for line in lines} == {("Joke Smit", "refused", noor)}
    # An auditor sees who looked, and not what stands there.
    with api(hub, "tess") as fhir:
        assert fhir.get("/CarePlan", params={"patient": noor}).status_code == 403


def nothing_is_new_in_what_is_sent_again(hub: RunningHub, before: list[dict[str, Any]]) -> None:
    """The same dossiers, converted anew (with other technical ids), and the same messages."""
    assert [answer.status_code for answer in post_bundles(hub, practice.story(TODAY))] == [200] * 4
    assert {answer.code for answer in send(hub, hix.story(TODAY))} == {"AA"}
    after = settled(hub, 2 * (4 + len(hix.story(TODAY))))
    pushed = (f"practice/{LEPELAAR}", f"hix/{RIJNOEVER}")
    made = [{row["source"]: (row["recorded"], row["events"]) for row in rows if row["source"] in pushed} for rows in (before, after)]
    assert made[0] == made[1]


def the_commands_say_what_outsiders_rely_on(hub: RunningHub) -> None:
    as_a_process = hub.command("ledger", "--json")
    assert as_a_process.code == 0
    for row in orjson.loads(as_a_process.out):
        assert list(row) == ["source", "day", "received", "recorded", "unchanged", "ignored", "held", "events"]
    told = hub.json("demo", "info")
    assert list(told) == ["http", "mllp", "senders", "accounts", "women"]
    assert (told["http"], told["mllp"]) == (hub.http, {"host": "127.0.0.1", "port": hub.mllp_port})
    assert told["senders"] == [{"msh3": "HIX", "msh4": "RIJNOEVER"}]
    assert {"name": "marit", "role": "midwife", "organisation": "Verloskundigenpraktijk De Lepelaar"} in told["accounts"]
    assert {"name": "Noor Verhoeven", "bsn": "999990019"} in told["women"]
    assert hub.cli("demo", "token", "niemand").code == 2
    status = hub.json("status")
    assert (status["running"], status["http"], status["backlog"], status["held"]) == (True, hub.http, 0, 0)
    assert {one["source"] for one in status["sources"]} == {f"practice/{LEPELAAR}", f"hix/{RIJNOEVER}", f"epic/{OOSTZOOM}"}
    assert status["residue"] == []
    findings = hub.json("doctor")
    assert all(list(one) == ["check", "ok", "found", "do"] and one["ok"] for one in findings)
    assert hub.json("held") == []
    assert hub.json("explain", "--who", "marit", "--about", "noor")["closed"] == {}
    closed = hub.json("explain", "--who", "joke", "--about", "noor", code=1)
    assert closed["open"] == [] and set(closed["closed"].values()) == {"no-relation"}
    assert hub.cli("explain", "--who", "niemand", "--about", "noor").code == 2
    mapped_files(hub)


def mapped_files(hub: RunningHub) -> None:
    """`map` works on files alone; one JSON object a line a file."""
    files = {"result.hl7": hix.noor(TODAY)[2], "bundle.json": orjson.dumps(practice.story(TODAY)[1]), "letter.txt": b"Beste collega,\n"}
    for name, body in files.items():
        (hub.folder / name).write_bytes(body)
    good = hub.cli("map", "--json", str(hub.folder / "result.hl7"), str(hub.folder / "bundle.json"))
    assert good.code == 0, good.out
    lines = [orjson.loads(line) for line in good.out.splitlines()]
    assert [list(line) for line in lines] == [["file", "kind", "mapping", "resources", "residue", "ignored", "refused"]] * 2
    assert [line["kind"] for line in lines] == ["hl7v2", "fhir-stu3"]
    assert all(line["residue"] == line["refused"] == [] and line["resources"] for line in lines)
    odd = hub.cli("map", "--json", str(hub.folder / "letter.txt"))
    assert odd.code == 1
    assert list(orjson.loads(odd.out)["refused"][0]) == ["path", "reason"]
    assert hub.cli("map", str(hub.folder / "not-there.hl7")).code == 2


def a_rebuild_gives_the_same_and_the_hub_goes_on(hub: RunningHub, noor: str) -> None:
    told = hub.command("rebuild", "--check", "--json")
    assert told.code == 0, told.err
    checked = orjson.loads(told.out)
    assert list(checked) == ["views", "events", "equal", "differences"]
    assert checked["equal"] is True and checked["differences"] == [] and checked["views"] > 0
    switched = hub.command("rebuild", "--json")
    assert switched.code == 0 and orjson.loads(switched.out)["equal"] is True
    at = datetime.combine(TODAY, datetime.min.time())
    late = hix.oru(hix.NOOR, "RIJ-N9", at, order="L700099", taken=at - timedelta(hours=2), results=hix.pressure(121, 79))
    with browser(hub, "marit") as marit:
        with marit.stream("GET", f"/zorg/plan/{noor}/live") as open_page:
            heard = (line for line in open_page.iter_lines() if line.startswith("data:"))
            before = next(heard)
            assert [answer.code for answer in send(hub, [late])] == ["AA"]
            # The open page hears that something changed, and nothing of what.
            assert next(heard) != before
        eventually(lambda: "121/79" in marit.get(f"/zorg/plan/{noor}").text, "a result sent after the rebuild is in the plan")
    assert hub.command("rebuild", "--check").code == 0


# Words


def has_code(resource: dict[str, Any], name: str) -> bool:
    return any(coding == {**coding, "system": PLAN, "code": name} for coding in resource["code"]["coding"])


def midwife_expects(client: practice.Client) -> str:
    """The due date in the Bundle about her present pregnancy."""
    found = [entry["resource"] for bundle in practice.story(TODAY)[1:3] for entry in bundle["entry"] if client.bsn in orjson.dumps(bundle).decode()]
    return str(next(one["valueDateTime"] for one in found if "valueDateTime" in one))


def rijnoever_expects() -> str:
    """The due date in the hospital's ultrasound of Noor."""
    found = re.search(rb"DUE_DATE\|[^|]*\|(\d{4})(\d\d)(\d\d)", hix.noor_differs(TODAY))
    assert found is not None
    return b"-".join(found.groups()).decode()


def oostzoom_expects() -> str:
    """The due date in Samira's dossier at the other hospital."""
    return str(next(one["valueDateTime"] for one in epic_demo(TODAY) if "valueDateTime" in one))


def dutch(day: str) -> str:
    """A day as the caregiver's pages write it."""
    return date.fromisoformat(day).strftime("%d-%m-%Y")
