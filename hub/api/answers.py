"""How every fault becomes an answer: one table (`fhir_profiles.errors`), one function, one shape (OperationOutcome).

Protocol faults that only HTTP knows are leaves of the same tree:

Unsupported
├── WrongMethod     405  not-supported   this route does not take that verb
└── NotAcceptable   406  not-supported   we answer in FHIR JSON only
TooLarge
└── QueryTooLong    414  too-long        a longer address than we read
Refused
└── TooSlow         408  timeout         the body did not come in time
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final

import orjson
from starlette.responses import Response

from fhir_profiles.errors import BirthCareError, Refused, TooLarge, Unavailable, Unknown, Unsupported

FHIR_JSON: Final = "application/fhir+json; fhirVersion=4.0"
STU3_PREFIX: Final = "/fhir-stu3"
STU3_JSON: Final = "application/fhir+json; fhirVersion=3.0"
REASON_SYSTEM: Final = "http://ooievaar.example/fhir/CodeSystem/reason"
RETRY_AFTER_S: Final = "5"


class WrongMethod(Unsupported):
    """This route does not take that verb; `allow` names those that it does: where there is GET, there is HEAD (`edge.py`)."""

    status = HTTPStatus.METHOD_NOT_ALLOWED

    def __init__(self, allow: str) -> None:
        super().__init__("this route does not take that method")
        self.allow = "GET, HEAD" if allow == "GET" else allow


class NotAcceptable(Unsupported):
    """The caller accepts nothing that we write."""

    status = HTTPStatus.NOT_ACCEPTABLE


class QueryTooLong(TooLarge):
    """The address is longer than we read."""

    status = HTTPStatus.REQUEST_URI_TOO_LONG


class TooSlow(Refused):
    """The body did not come in time."""

    issue, status = "timeout", HTTPStatus.REQUEST_TIMEOUT


def to_operation_outcome(error: BirthCareError) -> dict[str, Any]:
    """The fault as an OperationOutcome; only `public` is told, never the cause."""
    issue: dict[str, Any] = {"severity": "error", "code": error.issue, "diagnostics": error.public}
    if error.code != error.issue:
        issue["details"] = {"coding": [{"system": REASON_SYSTEM, "code": error.code}]}
    if error.path:
        issue["expression"] = [error.path]
    return {"resourceType": "OperationOutcome", "issue": [issue]}


def answer(error: BirthCareError, media_type: str = FHIR_JSON) -> Response:
    """The whole HTTP answer to a fault, with the headers that its status asks for."""
    headers: dict[str, str] = {}
    if isinstance(error, Unknown):
        headers["www-authenticate"] = getattr(error, "challenge", 'Bearer realm="ooievaar"')
    if isinstance(error, WrongMethod):
        headers["allow"] = error.allow
    if isinstance(error, (TooLarge, TooSlow)):
        headers["connection"] = "close"  # what is left of the body is not read
    if isinstance(error, Unavailable):
        headers["retry-after"] = RETRY_AFTER_S
    return Response(orjson.dumps(to_operation_outcome(error)), error.status, headers, media_type)


def fhir(resource: dict[str, Any], media_type: str = FHIR_JSON) -> Response:
    """A resource as an answer."""
    return Response(orjson.dumps(resource), media_type=media_type)
