"""Every fault is an OperationOutcome with the status of the one table, and none tells more than it should."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from http import HTTPStatus
from typing import Any

import pytest
from starlette.testclient import TestClient

from fhir_profiles.check import problems
from fhir_profiles.errors import BirthCareError
from hub.api.answers import answer, to_operation_outcome
from hub.api.create import create_api
from hub.log.keys import Erased
from tests.api.world import CLOCK, LOTTE, NOOR, NOW, SAMIRA, World, bearer

AT = int(CLOCK.timestamp())


def whole_tree(root: type[BirthCareError] = BirthCareError) -> Iterator[type[BirthCareError]]:
    yield root
    for leaf in root.__subclasses__():
        yield from whole_tree(leaf)


def test_no_error_class_is_without_an_answer() -> None:
    """The tree of `fhir_profiles.errors`, the leaves that only HTTP knows (`hub.api.answers`), and `Erased`, which lives in `hub.log.keys`."""
    for kind in whole_tree():
        error = kind.__new__(kind)
        BirthCareError.__init__(error, "words for the caller", path="Bundle.entry[0]", code="a-code")
        error.__dict__.update({"allow": "GET", "challenge": "Bearer"})
        reply = answer(error)
        assert reply.status_code == kind.status and 400 <= reply.status_code < 600
        assert not problems(to_operation_outcome(error)), kind
        assert (reply.status_code == 401) is ("www-authenticate" in reply.headers)


def test_what_was_erased_on_purpose_is_gone_and_that_is_no_fault_of_ours() -> None:
    assert Erased in set(whole_tree())
    reply = answer(Erased("this has been erased"))
    assert reply.status_code == HTTPStatus.GONE
    assert to_operation_outcome(Erased("this has been erased"))["issue"][0]["code"] == "not-found"


def outcome(client: TestClient, method: str, path: str, status: int, headers: dict[str, str] | None = None) -> dict[str, Any]:
    reply = client.request(method, path, headers=headers)
    assert reply.status_code == status, (path, reply.status_code, reply.text)
    assert reply.headers["content-type"].startswith("application/fhir+json")
    assert reply.headers["cache-control"] == "no-store" and reply.headers["x-content-type-options"] == "nosniff"
    found: dict[str, Any] = reply.json()
    assert found["resourceType"] == "OperationOutcome" and not problems(found)
    return found


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/fhir", 404),
        ("GET", "/fhir/", 404),
        ("GET", "/fhir/Practitioner", 404),
        ("GET", "/fhir/CarePlan/", 404),
        ("GET", f"/fhir/CarePlan/{NOOR}/$everything", 404),
        ("GET", "/fhir/metadata/", 404),
        ("GET", "/elsewhere", 404),
        ("GET", "/fhirx", 404),
        ("POST", "/fhir/CarePlan", 405),
        ("DELETE", f"/fhir/CarePlan/{NOOR}", 405),
        ("PUT", "/fhir/metadata", 405),
        ("POST", "/fhir/AuditEvent", 405),
        ("POST", f"/fhir/CarePlan/{NOOR}/$sections", 405),
        ("OPTIONS", "/fhir/Observation", 405),
        ("GET", "/fhir/Observation?" + "a" * 3000, 414),
        ("GET", "/fhir/" + "a" * 3000, 414),
    ],
)
def test_what_is_not_there_has_an_answer(client: TestClient, method: str, path: str, status: int) -> None:
    outcome(client, method, path, status, bearer("noor"))


@pytest.mark.parametrize(("method", "path", "allow"), [
    ("POST", "/fhir/CarePlan", "GET, HEAD"),
    ("DELETE", f"/fhir/Patient/{NOOR}", "GET, HEAD"),
    ("PUT", f"/fhir/CarePlan/{NOOR}/$sections", "GET, HEAD"),
    ("DELETE", "/fhir/Patient/_search", "POST"),
    ("PUT", "/fhir/Observation/_search", "POST"),
    ("GET", "/fhir-stu3", "POST"),
    ("HEAD", "/fhir-stu3", "POST"),
    ("POST", "/fhir-stu3/metadata", "GET, HEAD"),
    ("POST", "/metrics", "GET, HEAD"),
])
def test_a_wrong_method_names_the_right_ones(client: TestClient, method: str, path: str, allow: str) -> None:
    reply = client.request(method, path, headers=bearer("noor"))
    assert (reply.status_code, reply.headers["allow"]) == (405, allow)


@pytest.mark.parametrize("path", ["/fhir/metadata", "/fhir-stu3/metadata", "/fhir/CarePlan", f"/fhir/CarePlan/{NOOR}", f"/fhir/CarePlan/{NOOR}/$sections",
                                  f"/fhir/CarePlan/{LOTTE}", "/fhir/Observation?_count=1", "/fhir/AuditEvent?_count=1", "/fhir/nothing", "/health"])
def test_head_is_answered_and_recorded_as_get_is_without_the_body(client: TestClient, world: World, path: str) -> None:
    def asked(method: str) -> tuple[Any, int]:
        before = world.trail.of_subject(NOOR, 1)[0].subject_seq if world.trail.of_subject(NOOR, 1) else 0
        reply = client.request(method, path, headers=bearer("noor"))
        return reply, (world.trail.of_subject(NOOR, 1)[0].subject_seq if world.trail.of_subject(NOOR, 1) else 0) - before

    (full, recorded), (bare, recorded_too) = asked("GET"), asked("HEAD")
    assert (bare.status_code, bare.headers["content-type"], recorded_too) == (full.status_code, full.headers["content-type"], recorded)
    assert full.content and not bare.content and bare.headers["x-request-id"]
    if path == f"/fhir/CarePlan/{NOOR}":
        assert recorded == 1


@pytest.mark.parametrize(
    "path",
    [
        "/fhir/CarePlan/abc",
        f"/fhir/CarePlan/{NOOR.upper()}",
        f"/fhir/CarePlan/{NOOR}0",
        f"/fhir/Observation/{NOOR}",
        "/fhir/Patient/999990019",
        "/fhir/CarePlan/999990019/$sections",
        "/fhir/CarePlan?patient=abc",
        "/fhir/CarePlan",
        f"/fhir/CarePlan?patient={NOOR}&subject={NOOR}",
        f"/fhir/CarePlan?patient={NOOR}&patient={NOOR}",
        f"/fhir/CarePlan/{NOOR}/$sections?section=secrets",
        f"/fhir/CarePlan/{NOOR}/$sections?episode=x",
        f"/fhir/CarePlan/{NOOR}/$sections?why=not",
        f"/fhir/CarePlan/{NOOR}?_elements=id",
        f"/fhir/Observation?patient={NOOR}&date=gisteren",
        f"/fhir/Observation?patient={NOOR}&date=2026-02-30",
        f"/fhir/Observation?patient={NOOR}&date=ap2026",
        f"/fhir/Observation?patient={NOOR}&date=9999",
        f"/fhir/Observation?patient={NOOR}&date=2026-03-12T10:00",
        f"/fhir/Observation?patient={NOOR}&date=2026-03-12x",
        f"/fhir/Observation?patient={NOOR}&_sort=date",
        f"/fhir/Observation?patient={NOOR}&_count=-1",
        f"/fhir/Observation?patient={NOOR}&code=|",
        f"/fhir/Observation?patient={NOOR}&code=",
        f"/fhir/Observation?patient={NOOR}&%ff=1",
        f"/fhir/Observation?patient={NOOR}&code=%00",
        f"/fhir/Observation?patient={NOOR}&_page=0",
        "/fhir/AuditEvent?outcome=9",
        "/fhir/AuditEvent?date=ne2026",
        "/fhir/AuditEvent?agent=x|",
    ],
)
def test_what_cannot_be_read_is_400(client: TestClient, path: str) -> None:
    outcome(client, "GET", path, 400, bearer("tess" if "AuditEvent" in path else "marit"))


@pytest.mark.parametrize(
    "parameter",
    [
        "_has:Observation:patient:code=718-7",
        "patient.name=Noor",
        "patient.identifier=999990019",
        "_include=*",
        "_revinclude=*",
        "_filter=code eq x",
        "code:text=Hb",
        "_summary=count",
        "_elements=code",
        "_id=1",
        "_lastUpdated=gt2026",
        "value-quantity=gt5",
        "_total=accurate",
        "_contained=true",
        "_query=x",
        "_text=hb",
        "unknown=1",
        "_sort=value",
        "code:missing=true",
        "subject:Patient=1",
    ],
)
def test_a_search_parameter_that_is_not_listed_is_refused_and_never_ignored(client: TestClient, parameter: str) -> None:
    found = outcome(client, "GET", f"/fhir/Observation?patient={NOOR}&{parameter}", 400, {**bearer("marit"), "prefer": "handling=lenient"})
    assert "999990019" not in str(found)


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        ("application/xml", 406),
        ("application/fhir+xml", 406),
        ("text/html", 406),
        ("application/fhir+json;q=0", 406),
        ("image/png, text/xml", 406),
        ("*/*", 200),
        ("application/json", 200),
        ("text/html, */*;q=0.1", 200),
        ("application/fhir+json; fhirVersion=4.0", 200),
        ("", 200),
    ],
)
def test_only_json_is_written(client: TestClient, accept: str, status: int) -> None:
    for path in ("/fhir/metadata", f"/fhir/CarePlan/{NOOR}/$sections", f"/fhir/CarePlan/{NOOR}"):
        assert client.get(path, headers={**bearer("noor"), "accept": accept}).status_code == status
    assert client.get("/fhir/metadata?_format=xml").status_code == 406
    assert client.get("/fhir/metadata?_format=json").status_code == 200


READS = [
    f"/fhir/CarePlan/{NOOR}",
    f"/fhir/CarePlan/{NOOR}/$sections",
    f"/fhir/CarePlan?patient={NOOR}",
    f"/fhir/Composition?patient={NOOR}",
    f"/fhir/Composition/{NOOR}/$document",
    f"/fhir/Observation?patient={NOOR}",
    f"/fhir/Observation/{NOOR}{NOW}",
    f"/fhir/Patient/{NOOR}",
    "/fhir/AuditEvent",
]


@pytest.mark.parametrize("path", READS)
def test_nobody_without_a_good_token_gets_anywhere(client: TestClient, path: str) -> None:
    for headers in (
        {},
        {"authorization": "Basic bWFyaXQ6eA=="},
        {"authorization": "Bearer"},
        {"authorization": "Bearer x.y.z"},
        bearer("noor", aud="another"),
        bearer("noor", exp=AT - 1, iat=AT - 600),
        bearer("noor", iss="https://evil.example"),
        bearer("marit", ura=None),
    ):
        found = outcome(client, "GET", path, 401, headers)
        reply = client.get(path, headers=headers)
        assert reply.headers["www-authenticate"].startswith("Bearer")
        assert headers.get("authorization", "nothing").split(" ")[-1] not in str(found)


def test_two_tokens_at_once_are_none(client: TestClient) -> None:
    pairs = [("authorization", bearer("noor")["authorization"]), ("authorization", bearer("samira")["authorization"])]
    assert client.get(f"/fhir/CarePlan/{NOOR}", headers=pairs).status_code == 401


FOREIGN = [path.replace(NOOR, SAMIRA) for path in READS if "AuditEvent" not in path] + [f"/fhir/AuditEvent?patient={SAMIRA}"]


@pytest.mark.parametrize("who", ["noor", "marit", "anna", "joke", "ravi", "praktijk"])
@pytest.mark.parametrize("path", FOREIGN)
def test_naming_someone_else_in_path_or_query_opens_nothing(client: TestClient, who: str, path: str) -> None:
    outcome(client, "GET", path, 403, bearer(who))


@pytest.mark.parametrize("who", ["noor", "marit", "tess", "praktijk"])
@pytest.mark.parametrize("path", [p for p in FOREIGN if "AuditEvent" not in p])
def test_an_unknown_woman_and_a_closed_plan_give_the_same_answer(client: TestClient, who: str, path: str) -> None:
    known, unknown = client.get(path, headers=bearer(who)), client.get(path.replace(SAMIRA, LOTTE), headers=bearer(who))
    assert (known.status_code, known.content) == (unknown.status_code, unknown.content) == (403, known.content)


def test_anothers_pregnancy_under_ones_own_name_opens_nothing(client: TestClient) -> None:
    outcome(client, "GET", f"/fhir/CarePlan/{NOOR}{'5' * 32}", 404, bearer("noor"))
    assert "5.5" not in client.get(f"/fhir/CarePlan/{NOOR}/$sections?episode={'5' * 32}", headers=bearer("noor")).text


def test_a_fault_of_our_own_tells_nothing_and_is_logged_by_type_alone(
    world: World, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    class Broken:
        async def read(self, ask: object) -> object:
            raise KeyError("Noor Verhoeven 999990019")

    app = create_api(replace(world.parts, door=Broken()))  # type: ignore[arg-type]  # a door that breaks is the point
    with caplog.at_level(logging.DEBUG), TestClient(app) as client:
        for path in (f"/fhir/CarePlan/{NOOR}", f"/fhir/CarePlan/{NOOR}/$sections"):
            found = outcome(client, "GET", path, HTTPStatus.INTERNAL_SERVER_ERROR, bearer("noor"))
            assert found["issue"][0]["diagnostics"] == "something went wrong here"
    said = caplog.text + capsys.readouterr().out
    assert "request_failed" in said and "KeyError" in said
    assert "Verhoeven" not in said and "999990019" not in said


def test_when_the_trail_cannot_be_written_nothing_is_shown(tmp_path_factory: pytest.TempPathFactory) -> None:
    from tests.api.world import build

    world = build(tmp_path_factory.mktemp("silent"))
    world.trail.stop()
    with TestClient(create_api(world.parts)) as client:
        for path in READS:
            reply = client.get(path, headers=bearer("noor"))
            assert reply.status_code == 503 and reply.headers["retry-after"]
            assert "mmol" not in reply.text


@pytest.mark.parametrize(
    ("sent", "kept"),
    [("a" * 16, True), ("4bf92f35-77b3-4da6-a3ce-929d0e0e4736", True), ("999990019", False), ("a b" * 9, False), ("x" * 65, False)],
)
def test_a_request_id_is_kept_when_it_is_one(client: TestClient, sent: str, kept: bool) -> None:
    assert (client.get("/fhir/metadata", headers={"x-request-id": sent}).headers["x-request-id"] == sent) is kept


def test_a_trace_goes_on_and_a_broken_one_is_begun_anew(client: TestClient) -> None:
    good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    assert client.get("/fhir/metadata", headers={"traceparent": good}).headers["traceparent"] == good
    for bad in ("00-" + "0" * 32 + "-00f067aa0ba902b7-01", "garbage", good.upper()):
        assert client.get("/fhir/metadata", headers={"traceparent": bad}).headers["traceparent"] not in ("", bad)
