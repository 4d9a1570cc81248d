"""Searching: dates, codes and pages by the rules of FHIR, over what is open; and no garbage breaks it."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from hub.api.elements import date_time_of, instant_of, moments, text_of
from hub.api.match import matches_dates
from tests.api.world import NOOR, World, bearer


def search(client: TestClient, query: str, who: str = "marit") -> dict[str, Any]:
    answer = client.get(f"/fhir/Observation?patient={NOOR}&{query}", headers=bearer(who))
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def ids(bundle: dict[str, Any]) -> list[str]:
    return [entry["resource"]["id"] for entry in bundle.get("entry", [])]


@pytest.mark.parametrize(
    ("wanted", "effective", "fits"),
    [
        ("2026-04-30", "2026-04-30", True),
        ("2026-04", "2026-04-30", True),
        ("2026", "2026-04-30T10:00:00+02:00", True),
        ("2026-04-30", "2026-04", False),
        ("ne2026-04-30", "2026-04", True),
        ("2026-04-29", "2026-04-30", False),
        ("ge2026-04-30", "2026-04-30", True),
        ("gt2026-04-30", "2026-04-30", False),
        ("gt2026-04-30", "2026-04", False),
        ("gt2026-04-29", "2026-04", True),
        ("lt2026-04-30", "2026-04", True),
        ("le2026-04-30", "2026-04-30", True),
        ("lt2026-04-30", "2026-04-30", False),
        ("sa2026-04-29", "2026-04-30", True),
        ("eb2026-05", "2026-04", True),
        ("sa2026-04", "2026-04", False),
        ("ge2026-05-20T09:30:00+02:00", "2026-05-20T07:30:00Z", True),
        ("gt2026-05-20T09:30:00+02:00", "2026-05-20T07:30:00Z", False),
        ("2026", "", False),
        ("2026", "onbekend", False),
        ("2026", "9999", False),
        ("le9998", "0001", True),
    ],
)
def test_dates_fit_as_ranges(wanted: str, effective: str, fits: bool) -> None:
    assert matches_dates([wanted])(effective) is fits


def test_two_dates_make_a_period(client: TestClient) -> None:
    assert search(client, "date=ge2026-05-01&date=lt2026-05-15")["total"] == 1


def test_codes_find_by_system_by_code_and_by_either(client: TestClient) -> None:
    assert search(client, "code=http://loinc.org|59260-0")["total"] == 2
    assert search(client, "code=38082009")["total"] == 2
    assert search(client, "code=38082009,29463-7")["total"] == 3
    assert search(client, "code=http://snomed.info/sct|59260-0")["total"] == 0
    assert search(client, "code=2.16.840.1.113883.6.1|59260-0")["total"] == 2
    assert search(client, "code=|59260-0")["total"] == 0
    assert "entry" not in search(client, "code=|59260-0")


def test_the_newest_comes_first_and_what_has_no_date_last(client: TestClient) -> None:
    found = search(client, "_sort=-date")["entry"]
    times = [entry["resource"].get("effectiveDateTime", "") for entry in found]
    assert times[0] == "2026-05-20T09:30:00+02:00" and times[1] == "2026-05-11" and times[-1] == ""


def test_pages_hold_everything_once_and_say_the_whole_number(client: TestClient) -> None:
    whole, seen, link = search(client, "_sort=-date"), [], f"/fhir/Observation?patient={NOOR}&_sort=-date&_count=3"
    while link:
        page = client.get(link.removeprefix("https://hub.example"), headers=bearer("marit")).json()
        assert page["total"] == whole["total"] and len(ids(page)) <= 3
        seen += ids(page)
        link = next((ln["url"] for ln in page["link"] if ln["relation"] == "next"), "")
    assert seen == ids(whole) and len(seen) == whole["total"]


def test_a_count_of_nothing_gives_the_number_alone(client: TestClient) -> None:
    found = search(client, "_count=0")
    assert found["total"] > 5 and "entry" not in found and [ln["relation"] for ln in found["link"]] == ["self"]


def test_the_number_counts_only_what_is_open(client: TestClient) -> None:
    everything, hers = search(client, "_count=0"), search(client, "_count=0", "joke")
    assert hers["total"] == 3 < everything["total"]
    assert search(client, "code=718-7", "joke")["total"] == 0


def test_a_patient_may_be_named_in_three_ways(client: TestClient) -> None:
    for name in (NOOR, f"Patient/{NOOR}", f"https://hub.example/fhir/Patient/{NOOR}"):
        assert client.get("/fhir/CarePlan", params={"patient": name}, headers=bearer("noor")).json()["total"] == 1
    assert (
        client.get("/fhir/CarePlan", params={"patient": f"https://evil.example/fhir/Patient/{NOOR}"}, headers=bearer("noor")).status_code
        == 400
    )


ROUTES = [
    "/fhir/Observation",
    "/fhir/CarePlan",
    "/fhir/Composition",
    "/fhir/AuditEvent",
    f"/fhir/CarePlan/{NOOR}/$sections",
    "/fhir/metadata",
    f"/fhir/Patient/{NOOR}",
    "/fhir-stu3/metadata",
]
NAMES = st.sampled_from(
    ["patient", "subject", "code", "date", "_count", "_sort", "_page", "agent", "outcome", "section", "episode", "_format", "_has", ""]
)
VALUES = st.one_of(
    st.text(max_size=30),
    st.sampled_from(
        [
            NOOR,
            f"Patient/{NOOR}",
            "ge2026",
            "0001",
            "9999-12-31",
            "-date",
            "5",
            "0",
            "|",
            "a|b,c",
            "front",
            "9" * 40,
            "gt0001-01-01T00:00:00+14:00",
            "9999-12-31T23:59:59-14:00",
            "json",
        ]
    ),
)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(ROUTES), st.lists(st.tuples(NAMES, VALUES), max_size=5), st.sampled_from(["noor", "marit", "tess"]))
def test_no_query_at_all_gives_a_fault_of_ours(client: TestClient, route: str, pairs: list[tuple[str, str]], who: str) -> None:
    query = "&".join(f"{quote(name)}={quote(value)}" for name, value in pairs)
    answer = client.get(f"{route}?{query}", headers=bearer(who))
    assert answer.status_code in (200, 400, 403, 404, 406, 414), (answer.status_code, answer.text)
    if answer.status_code != 200:
        assert answer.json()["resourceType"] == "OperationOutcome"


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.text(st.characters(codec="utf-8"), max_size=80),
    st.sampled_from(["/fhir/", "/fhir/CarePlan/", "/fhir/Observation/", "/fhir-stu3/", "/"]),
)
def test_no_path_at_all_gives_a_fault_of_ours(client: TestClient, path: str, prefix: str) -> None:
    answer = client.get(prefix + quote(path), headers=bearer("marit"))
    assert answer.status_code in (200, 400, 403, 404, 405, 406, 414, 503)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200))
def test_no_raw_query_and_no_header_gives_a_fault_of_ours(world: World, raw: bytes) -> None:
    import anyio

    from hub.api.create import create_api

    app, sent = create_api(world.parts), list[Any]()

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    for path in ("/fhir/Observation", f"/fhir/CarePlan/{NOOR}/$sections", "/fhir-stu3"):
        sent.clear()
        headers = [(b"authorization", b"Bearer " + raw), (b"x-request-id", raw), (b"traceparent", raw), (b"accept", raw)]
        scope = {
            "type": "http",
            "method": "GET",
            "path": path,
            "query_string": raw,
            "headers": headers,
            "client": None,
            "http_version": "1.1",
            "scheme": "http",
            "raw_path": path.encode(),
            "root_path": "",
            "server": ("x", 1),
        }
        anyio.run(app, scope, receive, send)
        assert sent[0]["status"] in (400, 401, 405, 406)


@given(st.text(max_size=40))
def test_dates_out_of_any_text_are_fhir_dates_or_nothing(text: str) -> None:
    from fhir_profiles.dates import is_date_time, is_instant

    assert not date_time_of(text) or is_date_time(date_time_of(text))
    assert not instant_of(text) or is_instant(instant_of(text))
    span = moments(text)
    assert span is None or span[0] < span[1]
    assert text_of(text_of(text)) == text_of(text)
