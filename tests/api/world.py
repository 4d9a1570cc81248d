"""A whole hub behind the API for tests: real views, rules, consents, door and trail on SQLite; invented people; tokens signed here.

Noor's plan holds values of two sources, one corrected and one that disagrees; Samira has a plan at another practice; Lotte's is unknown.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from joserfc import jwt
from joserfc.jwk import ECKey

from audit.entry import Where
from audit.protect import protect
from audit.trail import Trail
from authz.consents import Consents
from authz.engine import load_policies
from authz.tokens import StaticKeys, Tokens
from fhir_profiles.errors import BirthCareError
from fhir_profiles.identifiers import Bsn, Subject, pseudonym_of
from hub.api.figures import Sample
from hub.api.ports import Parts
from hub.database import open_sqlite
from hub.door import Door
from hub.facts import Views
from hub.log.envelope import Envelope
from tests.plan.cases import EARLIER, HIX, NAMES, NOW, Hub, coded, dossier, encounter, event, observed

PSEUDONYMS = b"p" * 32
NOOR, SAMIRA, LOTTE = (str(pseudonym_of(Bsn(bsn), PSEUDONYMS)) for bsn in ("999990019", "999990020", "999990032"))
CLOCK = datetime(2026, 6, 1, 12, tzinfo=UTC)
BASE = "https://hub.example"
KEY = ECKey.generate_key("P-256")
ISSUER, AUDIENCE = "https://login.example", "https://hub.example/fhir"
OTHER_PRACTICE = "00700009"

PEOPLE: dict[str, dict[str, Any]] = {
    "noor": {"role": "client", "bsn": "999990019", "name": "Noor Verhoeven", "acr": "substantial"},
    "samira": {"role": "client", "bsn": "999990020", "name": "Samira Aydin", "acr": "substantial"},
    "marit": {"role": "midwife", "ura": "00700001", "organisation": "De Lepelaar", "organisation_type": "G3", "name": "Marit Jansen"},
    "anna": {"role": "gynaecologist", "ura": "00700002", "organisation": "Rijnoever", "organisation_type": "V4", "name": "Anna de Wit"},
    "joke": {"role": "maternity-nurse", "ura": "00700004", "organisation": "De Zon", "organisation_type": "K4", "name": "Joke Smit"},
    "tess": {"role": "auditor", "name": "Tess Smeets"},
    "ravi": {"role": "engineer", "ura": "00700002", "name": "Ravi Visser"},
    "praktijk": {"role": "system", "ura": "00700001", "client_id": "praktijk", "name": ""},
}


def token(name: str, **changes: Any) -> str:
    """A bearer token for someone of the cast; `changes` replace or (None) remove claims."""
    claims = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": name,
        "jti": f"jti-{name}",
        "acr": "high",
        "iat": int(CLOCK.timestamp()),
        "exp": int(CLOCK.timestamp()) + 900,
        **PEOPLE[name],
        **changes,
    }
    return jwt.encode({"alg": "ES256", "kid": "k"}, {k: v for k, v in claims.items() if v is not None}, KEY, algorithms=["ES256"])


def bearer(name: str, **changes: Any) -> dict[str, str]:
    """The Authorization header of someone of the cast."""
    return {"authorization": f"Bearer {token(name, **changes)}"}


@dataclass(frozen=True)
class Said:
    """What the intake of the test answers."""

    status: int
    body: bytes
    content_type: str = "application/fhir+json"
    headers: Mapping[str, str] = field(default_factory=dict)


class Letterbox:
    """An intake that remembers what was posted; `fault` makes it refuse."""

    def __init__(self) -> None:
        self.posted: list[tuple[str, bytes, str]] = []
        self.fault: BirthCareError | None = None

    async def post(self, content_type: str, body: bytes, client_id: str, peer: str, trace: str) -> Said:
        if self.fault:
            raise self.fault
        self.posted.append((content_type, body, client_id))
        return Said(200, b'{"resourceType":"Bundle","type":"transaction-response"}')


@dataclass
class World:
    """The parts of the API and what a test needs to look behind it."""

    parts: Parts
    hub: Hub
    trail: Trail
    letterbox: Letterbox


def build(folder: Path) -> World:
    """A hub with the plans of Noor and Samira. The caller stops the trail."""
    hub = Hub(open_sqlite(folder / "hub.db", ("hub",)), open_sqlite(folder / "keys.db", ("keys",)))
    hub.given(*noors_events(), *samiras_events())
    audit = open_sqlite(folder / "audit.db", ("audit",))
    protect(audit)
    trail = Trail(audit, hub.keyring, lambda: datetime.now(UTC))
    trail.start()
    consents = Consents(hub.database, hub.keyring, lambda: CLOCK)
    for ura in ("00700001", "00700002", "00700004"):
        consents.give(Subject(NOOR), ura, by="noor", proof="test")
    views = Views(hub.reader, CLOCK.date)
    door = Door(hub.database, views, consents, trail, views, load_policies(), Where("test"), lambda: CLOCK)
    letterbox = Letterbox()
    keys = StaticKeys({"keys": [{**KEY.as_dict(private=False), "kid": "k", "alg": "ES256"}]})
    tokens = Tokens(ISSUER, AUDIENCE, keys, PSEUDONYMS, lambda: CLOCK.timestamp())
    parts = Parts(
        tokens=tokens,
        door=door,
        base_url=BASE,
        clock=lambda: CLOCK,
        names=NAMES,
        pseudonym=lambda digits: pseudonym_of(Bsn(digits), PSEUDONYMS),
        intake=letterbox,
        clients={"praktijk": "00700001"},
        checks={"database": lambda: True},
        samples=lambda: [
            Sample("ooievaar_received_total", "counter", "Messages received.", 3, {"source": 'a"b\\c\nd'}),
            Sample("ooievaar_backlog", "gauge", "Messages that wait.", 0.5),
        ],
        smart={"issuer": ISSUER, "token_endpoint": ISSUER + "/token", "capabilities": ["client-confidential-asymmetric"]},
    )
    return World(parts, hub, trail, letterbox)


def noors_events() -> list[Envelope]:
    """Every kind of thing that a plan holds, hostile text included."""
    n: dict[str, Any] = {"subject": NOOR}
    hb = {"identity": "hb", "effective": "2026-04-30", **n}
    return [
        event("patient", {"resourceType": "Patient", "name": [{"family": "Verhoeven", "given": ["Noor"]}], "birthDate": "1994-03-12"}, **n),
        dossier(**n),
        encounter(**n),
        dossier(ura="00700004", source="zon/00700004", **n),
        observed("haemoglobin", 6.6, "mmol/L", **hb),
        observed("haemoglobin", 6.9, "mmol/L", status="corrected", version="2026-05-02T10:00:00Z", **hb),
        observed("haemoglobin", 7.1, "mmol/L", effective="2026-05-20T09:30:00+02:00", source=HIX, **n),
        observed("haemoglobin", 8.8, "mmol/L", effective="2024-01-10", episode=EARLIER, **n),
        observed("blood-group", coded("112144000", "A"), source=HIX, **n),
        observed("blood-group", coded("112149005", "B"), **n),
        observed("gravidity", 2, **n),
        observed("parity", 1, **n),
        observed("due-date", "2026-11-02", **n),
        observed("pregnancy", coded("77386006", "zwanger"), **n),
        observed("body-weight", 71.5, "kg", effective="", **n),
        event(
            "blood-pressure",
            {
                "resourceType": "Observation",
                "status": "final",
                "component": [
                    {"code": coded("271649006", "boven"), "valueQuantity": {"value": 118, "unit": "mm[Hg]", "code": "mm[Hg]"}},
                    {"code": coded("271650006", "onder"), "valueQuantity": {"value": 76, "unit": "mm[Hg]", "code": "mm[Hg]"}},
                ],
            },
            effective="2026-05-11",
            **n,
        ),
        event("allergy", {"resourceType": "AllergyIntolerance", "code": {"text": "<script>alert('x')</script> & penicilline"}}, **n),
        event("medication", {"resourceType": "MedicationStatement", "medicationCodeableConcept": {"text": "foliumzuur"}}, **n),
        event("problem", {"resourceType": "Condition", "code": {"text": "astma"}, "clinicalStatus": coded("inactive", "")}, **n),
        event("procedure", {"resourceType": "Procedure", "status": "completed", "code": {"text": "curettage"}}, effective="2020", **n),
        observed("fetal-heart-rate", 140, "/min", about="f" * 32, **n),
        event(
            "care-team",
            {
                "resourceType": "CareTeam",
                "participant": [
                    {"role": [{"text": "verloskundige"}], "member": {"display": "Marit Jansen"}, "period": {"start": "2026-03-01"}}
                ],
            },
            **n,
        ),
    ]


def samiras_events() -> list[Envelope]:
    """A plan of a practice that nobody of the cast works for."""
    return [
        dossier(ura=OTHER_PRACTICE, source=f"practice/{OTHER_PRACTICE}", subject=SAMIRA, episode="5" * 32),
        observed("haemoglobin", 5.5, "mmol/L", subject=SAMIRA, episode="5" * 32, source=f"practice/{OTHER_PRACTICE}"),
    ]


__all__ = ["BASE", "CLOCK", "EARLIER", "LOTTE", "NOOR", "NOW", "SAMIRA", "World", "bearer", "build", "token"]
