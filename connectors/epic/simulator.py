"""Plays Epic at Ziekenhuis Oostzoom: a small real FHIR R4 server on this machine, with a token endpoint that truly verifies.

Loopback only, one request a connection. Resources can be added and changed while it runs (`put`), and faults can be switched on. The demo
cast: Samira's hospital dossier of her twins, due three days later than her midwife says, and a check-up of Noor.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final
from urllib.parse import parse_qs, urlencode, urlsplit

import orjson
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, KeySet, RSAKey

from fhir_profiles.codes import LOINC, SNOMED, UCUM
from fhir_profiles.identifiers import BSN_SYSTEM

PREFIX: Final = "/fhir"
_LONGEST_ASSERTION_S: Final = 300
_MAX_REQUEST: Final = 64 * 1024
_TOKEN_S: Final = 300
_CLINICAL: Final = "http://terminology.hl7.org/CodeSystem/condition-clinical"


@dataclass
class Faults:
    """What goes wrong, for tests. `statuses` are given to the next requests for data, one each; `slow_s` delays every answer."""

    slow_s: float = 0.0
    statuses: list[int] = field(default_factory=list)
    broken: str = ""
    """Every request for data with this in its address gets 500."""
    next_link: str = ""
    """Stands in for the link to the next page."""


@dataclass
class EpicSimulator:
    """The server. `clock` gives the moment of a change; `page` is how many resources stand on a page."""

    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    page: int = 20
    faults: Faults = field(default_factory=Faults)
    requests: list[str] = field(default_factory=list)
    """Path and query of every request, in order."""
    _resources: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    _keys: dict[str, ECKey | RSAKey] = field(default_factory=dict)
    _tokens: dict[str, datetime] = field(default_factory=dict)
    _used: set[str] = field(default_factory=set)
    _server: asyncio.Server | None = None
    _port: int = 0

    @property
    def base_url(self) -> str:
        """The FHIR base."""
        return f"http://127.0.0.1:{self._port}{PREFIX}"

    @property
    def token_url(self) -> str:
        """The token endpoint."""
        return f"http://127.0.0.1:{self._port}/oauth2/token"

    async def start(self, port: int = 0) -> None:
        """Listen on this machine; port 0 takes a free one."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port)
        self._port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stop listening."""
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    def register(self, client_id: str, key: ECKey | RSAKey) -> None:
        """Let a client in by its public key."""
        self._keys[client_id] = key

    def put(self, *resources: dict[str, Any]) -> None:
        """Add or change resources; each gets the next version and the present moment."""
        for resource in resources:
            place = (resource["resourceType"], resource["id"])
            version = int(self._resources.get(place, {}).get("meta", {}).get("versionId", "0")) + 1
            meta = {"versionId": str(version), "lastUpdated": self.clock().isoformat(timespec="milliseconds")}
            self._resources[place] = {**resource, "meta": meta}

    def expire_tokens(self) -> None:
        """Every token given so far stops working."""
        self._tokens.clear()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(30):
                method, target, headers, body = await _read(reader)
                if self.faults.slow_s:
                    await asyncio.sleep(self.faults.slow_s)
                status, answer, extra = self._answer(method, target, headers, body)
                writer.write(_response(status, answer, extra))
                await writer.drain()
        except (TimeoutError, ConnectionError, asyncio.IncompleteReadError, ValueError):
            pass  # A caller that speaks no HTTP gets no answer.
        finally:
            writer.close()

    def _answer(self, method: str, target: str, headers: dict[str, str], body: bytes) -> tuple[int, Any, dict[str, str]]:
        self.requests.append(target)
        path, query = urlsplit(target).path, parse_qs(urlsplit(target).query)
        if path == f"{PREFIX}/.well-known/smart-configuration":
            return 200, self._smart(), {}
        if path == "/oauth2/token" and method == "POST":
            return self._token(parse_qs(body.decode("ascii", "replace")))
        if path == f"{PREFIX}/metadata":
            return 200, {"resourceType": "CapabilityStatement", "status": "active", "kind": "instance", "fhirVersion": "4.0.1",
                         "format": ["json"],
                         "date": self.clock().date().isoformat()}, {}
        if self.faults.broken and self.faults.broken in target:
            return 500, _outcome("exception"), {}
        if self.faults.statuses:
            status = self.faults.statuses.pop(0)
            return status, _outcome("transient"), {"Retry-After": "0"} if status == 429 else {}
        if not self._may(headers):
            return 401, _outcome("login"), {}
        return self._fhir(path.removeprefix(f"{PREFIX}/").split("/"), query, target)

    def _smart(self) -> dict[str, Any]:
        return {"token_endpoint": self.token_url, "token_endpoint_auth_methods_supported": ["private_key_jwt"],
                "token_endpoint_auth_signing_alg_values_supported": ["ES384", "RS384"], "grant_types_supported": ["client_credentials"],
                "scopes_supported": ["system/*.rs"], "capabilities": ["client-confidential-asymmetric", "permission-v2"]}

    def _token(self, form: dict[str, list[str]]) -> tuple[int, Any, dict[str, str]]:
        try:
            self._verify(form.get("client_assertion", [""])[0])
        except (JoseError, ValueError, KeyError, TypeError):
            return 400, {"error": "invalid_client"}, {}
        if form.get("grant_type") != ["client_credentials"]:
            return 400, {"error": "unsupported_grant_type"}, {}
        token = secrets.token_urlsafe(32)
        self._tokens[token] = self.clock() + timedelta(seconds=_TOKEN_S)
        return 200, {"access_token": token, "token_type": "Bearer", "expires_in": _TOKEN_S, "scope": form.get("scope", [""])[0]}, {}

    def _verify(self, assertion: str) -> None:
        """Signature by the registered key, audience, end and single use. Raises when one of them does not hold."""
        now = int(self.clock().timestamp())
        for client_id, key in self._keys.items():
            try:
                claims = jwt.decode(assertion, KeySet([key]), algorithms=["ES384", "RS384"]).claims
            except JoseError:
                continue
            fits = claims["iss"] == claims["sub"] == client_id and claims["aud"] == self.token_url
            if not fits or not now <= claims["exp"] <= now + _LONGEST_ASSERTION_S or claims["jti"] in self._used:
                raise ValueError("the assertion does not hold")
            self._used.add(claims["jti"])
            return
        raise ValueError("no registered key signed this")

    def _may(self, headers: dict[str, str]) -> bool:
        token = headers.get("authorization", "").removeprefix("Bearer ")
        return token in self._tokens and self.clock() < self._tokens[token]

    def _fhir(self, parts: list[str], query: dict[str, list[str]], target: str) -> tuple[int, Any, dict[str, str]]:
        if len(parts) == 2:
            found = self._resources.get((parts[0], parts[1]))
            return (200, found, {}) if found else (404, _outcome("not-found"), {})
        if len(parts) != 1 or parts[0] not in ("Patient", "Condition", "Observation"):
            return 404, _outcome("not-supported"), {}
        matches = [r for (kind, _), r in sorted(self._resources.items()) if kind == parts[0] and _fits(r, query)]
        start = int(query.get("_page", ["0"])[0])
        page = matches[start: start + self.page]
        entries = [self._entry(resource, "match") for resource in page]
        entries += [self._entry(resource, "include") for resource in self._included(page, query.get("_include", []))]
        links = [{"relation": "self", "url": f"http://127.0.0.1:{self._port}{target}"}]
        if start + self.page < len(matches):
            onward = urlencode({**query, "_page": [str(start + self.page)]}, doseq=True)
            links.append({"relation": "next", "url": self.faults.next_link or f"{self.base_url}/{parts[0]}?{onward}"})
        return 200, {"resourceType": "Bundle", "type": "searchset", "total": len(matches), "link": links, "entry": entries}, {}

    def _entry(self, resource: dict[str, Any], mode: str) -> dict[str, Any]:
        return {"fullUrl": f"{self.base_url}/{resource['resourceType']}/{resource['id']}", "resource": resource, "search": {"mode": mode}}

    def _included(self, page: list[dict[str, Any]], asked: list[str]) -> Iterable[dict[str, Any]]:
        found: dict[tuple[str, str], dict[str, Any]] = {}
        for name in (include.partition(":")[2] for include in asked):
            for resource in page:
                held = resource.get(name, [])
                for reference in held if isinstance(held, list) else [held]:
                    kind, _, identity = reference["reference"].partition("/")
                    if (kind, identity) in self._resources:
                        found[kind, identity] = self._resources[kind, identity]
        return found.values()


def _fits(resource: dict[str, Any], query: dict[str, list[str]]) -> bool:
    changed = datetime.fromisoformat(resource["meta"]["lastUpdated"])
    if any(changed < datetime.fromisoformat(bound.removeprefix("ge")) for bound in query.get("_lastUpdated", [])):
        return False
    patient = query.get("patient", [""])[0]
    return not patient or resource.get("subject", {}).get("reference") == f"Patient/{patient}"


async def _read(reader: asyncio.StreamReader) -> tuple[str, str, dict[str, str], bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ", 2)
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
    length = int(headers.get("content-length", "0"))
    if not 0 <= length <= _MAX_REQUEST:
        raise ValueError("too long")
    return method, target, headers, await reader.readexactly(length)


def _response(status: int, answer: Any, extra: dict[str, str]) -> bytes:
    body = orjson.dumps(answer)
    headers = {"Content-Type": "application/fhir+json", "Content-Length": str(len(body)), "Connection": "close", **extra}
    return f"HTTP/1.1 {status} X\r\n{''.join(f'{n}: {v}' + chr(13) + chr(10) for n, v in headers.items())}\r\n".encode() + body


def _outcome(code: str) -> dict[str, Any]:
    return {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": code}]}


def patient(identity: str, bsn: str, given: str, family: str, birth_date: str) -> dict[str, Any]:
    """A woman as Epic shows her."""
    return {"resourceType": "Patient", "id": identity, "identifier": [{"system": BSN_SYSTEM, "value": bsn},
                                                                      {"system": "urn:oid:1.2.3.4.5", "value": identity}],
            "name": [{"use": "official", "text": f"{given} {family}", "family": family, "given": [given]}], "gender": "female",
            "birthDate": birth_date}


def pregnancy(identity: str, woman: str, onset: date) -> dict[str, Any]:
    """A pregnancy, the dossier of the hospital."""
    return {"resourceType": "Condition", "id": identity, "clinicalStatus": {"coding": [{"system": _CLINICAL, "code": "active"}]},
            "code": {"coding": [{"system": SNOMED, "code": "118185001", "display": "Finding related to pregnancy (finding)"}]},
            "subject": {"reference": f"Patient/{woman}"}, "onsetDateTime": onset.isoformat()}


def observation(identity: str, woman: str, code: tuple[str, str, str], on: date, content: dict[str, Any], *,
                focus: str = "") -> dict[str, Any]:
    """An observation; `content` is its value[x] or components."""
    system, number, display = code
    return {"resourceType": "Observation", "id": identity, "status": "final",
            "code": {"coding": [{"system": system, "code": number, "display": display}]}, "subject": {"reference": f"Patient/{woman}"},
            **({"focus": [{"reference": f"Condition/{focus}"}]} if focus else {}), "effectiveDateTime": on.isoformat(), **content}


def blood_pressure(systolic: int, diastolic: int) -> dict[str, Any]:
    """The components of a blood pressure."""
    def part(code: str, display: str, number: int) -> dict[str, Any]:
        return {"code": {"coding": [{"system": LOINC, "code": code, "display": display}]}, "valueQuantity": _quantity(number, "mm[Hg]")}
    return {"component": [part("8480-6", "Systolic blood pressure", systolic), part("8462-4", "Diastolic blood pressure", diastolic)]}


def _quantity(number: float, unit: str) -> dict[str, Any]:
    return {"value": number, "unit": unit, "system": UCUM, "code": unit}


BLOOD_PRESSURE: Final = (LOINC, "85354-9", "Blood pressure panel")
HB: Final = (LOINC, "59260-0", "Hemoglobin [Moles/volume] in Blood")
DUE: Final = (SNOMED, "161714006", "Estimated date of delivery (observable entity)")
GRAVIDITY: Final = (SNOMED, "161732006", "Gravida (observable entity)")
FETUSES: Final = (SNOMED, "246435002", "Number of fetuses")


def demo(today: date) -> list[dict[str, Any]]:
    """What Ziekenhuis Oostzoom knows of the demo cast. Samira is due three days later here than in the practice's story."""
    due = today + timedelta(days=64)
    seen = today - timedelta(days=6)
    return [
        patient("eSamira", "999990020", "Samira", "Aydin", "1990-11-02"),
        pregnancy("eSamiraPregnancy", "eSamira", due - timedelta(days=266)),
        {"resourceType": "Condition", "id": "eSamiraTwins", "clinicalStatus": {"coding": [{"system": _CLINICAL, "code": "active"}]},
         "code": {"coding": [{"system": SNOMED, "code": "16356006", "display": "Multiple pregnancy (disorder)"}]},
         "subject": {"reference": "Patient/eSamira"}},
        observation("eSamiraDue", "eSamira", DUE, seen, {"valueDateTime": due.isoformat()}, focus="eSamiraPregnancy"),
        observation("eSamiraGravidity", "eSamira", GRAVIDITY, seen, {"valueInteger": 1}, focus="eSamiraPregnancy"),
        observation("eSamiraFetuses", "eSamira", FETUSES, seen, {"valueInteger": 2}, focus="eSamiraPregnancy"),
        observation("eSamiraHb", "eSamira", HB, seen, {"valueQuantity": _quantity(6.8, "mmol/L")}, focus="eSamiraPregnancy"),
        observation("eSamiraPressure", "eSamira", BLOOD_PRESSURE, seen, blood_pressure(122, 78), focus="eSamiraPregnancy"),
        patient("eNoor", "999990019", "Noor", "Verhoeven", "1994-03-12"),
        observation("eNoorPressure", "eNoor", BLOOD_PRESSURE, today - timedelta(days=3), blood_pressure(116, 74)),
    ]
