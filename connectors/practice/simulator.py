"""Plays the system of Verloskundigenpraktijk De Lepelaar: prio1 Bundles of the demo cast, in JSON and XML, relative to a day.

The traps of real vendors are in it on purpose: ids that are new at every conversion, references by condition without a system, several
spellings of one extension, counts without a unit, a weight in "gram", an organisation without a system.
"""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import date, timedelta
from random import Random
from typing import Any, Final

import orjson

from connectors.formats.fhir_xml import write_xml
from connectors.practice.source import JSON, XML
from fhir_profiles.codes import LOINC, SNOMED, UCUM
from fhir_profiles.identifiers import BSN_SYSTEM, URA_SYSTEM

Post = Callable[[str, bytes], Awaitable[Any]]
"""Sends (content type, body)."""

_FOCUS: Final = ("observation-focusSTU3", "Observation-focusSTU3", "Observation-focus-stu3")
_NICTIZ: Final = "http://nictiz.nl/fhir/StructureDefinition/"
_NAME: Final = "http://hl7.org/fhir/StructureDefinition/humanname-own-"
TERM_DAYS: Final = 280
"""Days from the first day of the last menstruation to the due date (à terme datum)."""


@dataclass(frozen=True, slots=True)
class Client:
    """One invented woman."""

    bsn: str
    given: str
    family: str
    birth_date: str


NOOR: Final = Client("999990019", "Noor", "Verhoeven", "1994-03-12")
SAMIRA: Final = Client("999990020", "Samira", "Aydin", "1990-11-02")
LOTTE: Final = Client("999990032", "Lotte", "Brink", "1988-07-25")


@dataclass
class Writer:
    """Builds one Bundle. Every writer makes new ids, as a conversion does; `seed` makes them the same again for a test."""

    client: Client
    written: str
    seed: int | None = None
    entries: list[dict[str, Any]] = field(default_factory=list)
    _random: Random = field(init=False)

    def __post_init__(self) -> None:
        self._random = Random(self.seed)

    def identity(self) -> str:
        """A new technical id."""
        return str(uuid.UUID(int=self._random.getrandbits(128), version=4))

    def add(self, resource: dict[str, Any], url: str = "") -> str:
        """Add a resource and give the reference to it."""
        kind, identity = resource["resourceType"], resource.get("id", "")
        url = url or f"{kind}/{identity}"
        self.entries.append({"fullUrl": f"urn:uuid:{self.identity()}", "resource": resource, "request": {"method": "PUT", "url": url}})
        return url

    def woman(self) -> str:
        """The Patient, and the reference by condition without a system that vendors send."""
        patient = {
            "resourceType": "Patient", "identifier": [{"use": "official", "system": BSN_SYSTEM, "value": self.client.bsn}], "active": True,
            "name": [{"use": "official", "family": self.client.family,
                      "_family": {"extension": [{"url": _NAME + "name", "valueString": self.client.family}]},
                      "given": [self.client.given]}],
            "gender": "female", "birthDate": self.client.birth_date,
        }
        return self.add(patient, f"Patient?identifier={self.client.bsn}")

    def practice(self) -> tuple[str, str]:
        """The practice and its midwife: references to both."""
        organisation = self.add({"resourceType": "Organization", "id": "lepelaar", "identifier": [{"system": URA_SYSTEM,
                                                                                                   "value": "00700001"}],
                                 "name": "Verloskundigenpraktijk De Lepelaar", "telecom": [{"system": "phone", "value": "020 555 01 01"}]})
        midwife = self.add({"resourceType": "Practitioner", "id": self.identity(),
                            "identifier": [{"system": "http://fhir.nl/fhir/NamingSystem/uzi-nr-pers", "value": "900700011"}],
                            "name": [{"family": "Jansen", "given": ["Marit"]}]})
        self.add({"resourceType": "PractitionerRole", "id": self.identity(), "practitioner": {"reference": midwife},
                  "organization": {"reference": organisation, "display": "Verloskundigenpraktijk De Lepelaar"},
                  "specialty": [{"coding": [{"system": "urn:oid:2.16.840.1.113883.2.4.15.111", "code": "03.000",
                                             "display": "Verloskundige"}]}]})
        return organisation, midwife

    def dossier(self, woman: str, organisation: str, midwife: str, *, status: str = "active", start: str = "",
                end: str = "") -> tuple[str, str]:
        """The maternal record and the pregnancy: references to both."""
        identity, condition = self.identity(), self.identity()
        pregnancy = {"coding": [{"system": SNOMED, "code": "364320009", "display": "Pregnancy observable (observable entity)"}]}
        period = {key: value for key, value in (("start", start), ("end", end)) if value}
        episode = self.add({
            "resourceType": "EpisodeOfCare", "id": identity, "status": status, "type": [pregnancy],
            "diagnosis": [{"condition": {"reference": f"Condition/{condition}"}}], "patient": {"reference": woman},
            "managingOrganization": {"reference": organisation}, **({"period": period} if period else {}),
            "careManager": {"reference": midwife},
        })
        self.add({"resourceType": "Condition", "id": condition, "clinicalStatus": "active" if status == "active" else "inactive",
                  "code": pregnancy, "subject": {"reference": woman}, "context": {"reference": episode}})
        return episode, f"Condition/{condition}"

    def observation(self, subject: str, episode: str, code: tuple[str, str, str], value: dict[str, Any], *, focus: str = "",
                    on: str = "") -> str:
        """One observation; the spelling of the focus extension changes from one to the next, as it does in the field."""
        resource: dict[str, Any] = {"resourceType": "Observation", "id": self.identity()}
        if focus:
            resource["extension"] = [{"url": _NICTIZ + _FOCUS[len(self.entries) % 3], "valueReference": {"reference": focus}}]
        system, number, display = code
        resource |= {"status": "final", "code": {"coding": [{"system": system, "code": number, "display": display}]},
                     "subject": {"reference": subject}, "context": {"reference": episode}}
        return self.add(resource | ({"effectiveDateTime": on} if on else {}) | value)

    def bundle(self, title: str, woman: str, midwife: str) -> dict[str, Any]:
        """The transaction, with its Composition in front."""
        composition = {
            "resourceType": "Composition", "id": self.identity(), "status": "final",
            "type": {"coding": [{"system": LOINC, "code": "15508-5", "display": "Labor and delivery records"}]},
            "subject": {"reference": woman},
            "date": self.written, "author": [{"reference": midwife}], "title": title,
            "section": [{"entry": [{"reference": entry["request"]["url"]} for entry in self.entries]}],
        }
        self.add(composition)
        return {"resourceType": "Bundle", "id": self.identity(), "type": "transaction", "entry": [self.entries[-1], *self.entries[:-1]]}


def count(number: int) -> dict[str, Any]:
    """A count as practices send it: a quantity without a unit."""
    return {"valueQuantity": {"value": number}}


def quantity(number: float, unit: str, code: str) -> dict[str, Any]:
    """A measurement; the label of the unit is the vendor's own."""
    return {"valueQuantity": {"value": number, "unit": unit, "system": UCUM, "code": code}}


def coded(system: str, code: str, display: str) -> dict[str, Any]:
    """A coded value."""
    return {"valueCodeableConcept": {"coding": [{"system": system, "code": code, "display": display}]}}


GRAVIDITY: Final = (LOINC, "11996-6", "Gravidity")
PARITY: Final = (LOINC, "11977-6", "Parity")
DUE: Final = (LOINC, "11778-8", "Deliv date Clin est")
HB: Final = (LOINC, "718-7", "Hemoglobin (Bld) [Mass/Vol]")
BLOOD_GROUP: Final = (LOINC, "883-9", "ABO group [Type] in Blood")
RHESUS_D: Final = (LOINC, "1305-2", "D Ag [Presence] in Blood")
END_DATE: Final = (SNOMED, "118951000146109", "Date of end of pregnancy (observable entity)")
END_WAY: Final = ("urn:oid:2.16.840.1.113883.2.4.4.13", "EindeZw", "Wijze einde zwangerschap")
END_WAYS: Final = "urn:oid:2.16.840.1.113883.2.4.4.13.46"


def current_pregnancy(client: Client, today: date, due_in: int, *, gravidity: int, parity: int, hb: float = 7.4, group: str = "A",
                      fetuses: int = 1, seed: int | None = None) -> dict[str, Any]:
    """A running pregnancy of a client, due in so many days."""
    due = today + timedelta(days=due_in)
    started, taken = due - timedelta(days=TERM_DAYS - 56), today - timedelta(days=9)
    writer = Writer(client, f"{today.isoformat()}T08:15:00+01:00", seed)
    woman = writer.woman()
    organisation, midwife = writer.practice()
    episode, pregnancy = writer.dossier(woman, organisation, midwife, start=min(started, today).isoformat())
    for code, value in ((GRAVIDITY, count(gravidity)), (PARITY, count(parity)), (DUE, {"valueDateTime": due.isoformat()})):
        writer.observation(woman, episode, code, value, focus=pregnancy)
    writer.observation(woman, episode, HB, quantity(hb, "mmol/l", "mmol/L"), on=taken.isoformat())
    snomed_group = {"A": "112144000", "B": "112149005", "AB": "165743006", "O": "58460004"}[group]
    writer.observation(woman, episode, BLOOD_GROUP, coded(SNOMED, snomed_group, group))
    writer.observation(woman, episode, RHESUS_D, coded(SNOMED, "165747007", "Rh D Positief"))
    if fetuses > 1:
        writer.add({"resourceType": "Condition", "id": writer.identity(), "clinicalStatus": "active",
                    "code": {"coding": [{"system": SNOMED, "code": "16356006", "display": "Multiple pregnancy (disorder)"}]},
                    "subject": {"reference": woman}, "context": {"reference": episode}})
        writer.observation(woman, episode, (SNOMED, "246435002", "Number of fetuses"), count(fetuses), focus=pregnancy)
    return writer.bundle("Samenvatting huidige zwangerschap", woman, midwife)


def earlier_pregnancy(client: Client, today: date, born: date, *, gravidity: int, parity: int, grams: int = 3480,
                      seed: int | None = None) -> dict[str, Any]:
    """A pregnancy that ended in the birth of one child."""
    writer = Writer(client, f"{today.isoformat()}T08:10:00+01:00", seed)
    woman = writer.woman()
    organisation, midwife = writer.practice()
    begun, at = (born - timedelta(days=TERM_DAYS - 56)).isoformat(), born.isoformat()
    episode, pregnancy = writer.dossier(woman, organisation, midwife, status="finished", start=begun,
                                        end=(born + timedelta(days=42)).isoformat())
    child = writer.add({"resourceType": "Patient", "id": writer.identity(), "birthDate": at})
    delivery = writer.add(_procedure(writer, "236973005", "Delivery procedure (procedure)", woman, episode, pregnancy,
                                     f"{at}T06:41:00+01:00"))
    birth = writer.add({**_procedure(writer, "3950001", "Birth (finding)", child, episode, pregnancy, f"{at}T14:12:00+01:00"),
                        "partOf": [{"reference": delivery}]})
    for code, value in ((GRAVIDITY, count(gravidity)), (PARITY, count(parity)), (END_WAY, coded(END_WAYS, "1", "Partus")),
                        (END_DATE, {"valueDateTime": at})):
        writer.observation(woman, episode, code, value, focus=pregnancy)
    writer.observation(woman, episode, (SNOMED, "364332008", "Blood loss in labour"), quantity(350, "ml", "ml"), focus=delivery)
    writer.observation(woman, episode, (SNOMED, "364297003", "Female perineum observable"), coded(SNOMED, "289854007", "Gaaf"),
                       focus=delivery)
    writer.observation(woman, episode, (SNOMED, "364336006", "Pattern of delivery"), coded(SNOMED, "177184002", "Spontaan"), focus=birth)
    writer.observation(child, episode, (LOINC, "9274-2", "5 minute Apgar Score"), count(9))
    writer.observation(child, episode, (LOINC, "8339-4", "Birth weight Measured"), quantity(grams, "gram", "g"))
    return writer.bundle("Samenvatting vorige zwangerschap", woman, midwife)


def lost_pregnancy(client: Client, today: date, ended: date, *, gravidity: int, parity: int, seed: int | None = None) -> dict[str, Any]:
    """A pregnancy that ended early: a finished dossier with the date and the way, and nothing that speaks of a birth."""
    writer = Writer(client, f"{today.isoformat()}T09:05:00+01:00", seed)
    woman = writer.woman()
    organisation, midwife = writer.practice()
    episode, pregnancy = writer.dossier(woman, organisation, midwife, status="finished", start=(ended - timedelta(days=30)).isoformat(),
                                        end=ended.isoformat())
    due = {"valueDateTime": (ended + timedelta(days=TERM_DAYS - 77)).isoformat()}
    way = coded(END_WAYS, "2", "Spontane abortus")
    for code, value in ((GRAVIDITY, count(gravidity)), (PARITY, count(parity)), (DUE, due), (END_WAY, way),
                        (END_DATE, {"valueDateTime": ended.isoformat()})):
        writer.observation(woman, episode, code, value, focus=pregnancy)
    return writer.bundle("Samenvatting zwangerschap", woman, midwife)


def _procedure(writer: Writer, code: str, display: str, subject: str, episode: str, pregnancy: str, at: str) -> dict[str, Any]:
    return {
        "resourceType": "Procedure", "id": writer.identity(), "status": "completed",
        "category": {"coding": [{"system": SNOMED, "code": "386637004", "display": "Obstetric procedure (procedure)"}]},
        "code": {"coding": [{"system": SNOMED, "code": code, "display": display}]}, "subject": {"reference": subject},
        "context": {"reference": episode}, "performedPeriod": {"start": at}, "reasonReference": [{"reference": pregnancy}],
    }


def story(today: date, seed: int | None = None) -> list[dict[str, Any]]:
    """The Bundles that the practice sends about the demo cast, in order."""
    born = today - timedelta(days=820)
    return [
        earlier_pregnancy(NOOR, today, born, gravidity=1, parity=1, seed=seed),
        current_pregnancy(NOOR, today, 84, gravidity=2, parity=1, hb=7.4, group="A", seed=seed),
        current_pregnancy(SAMIRA, today, 61, gravidity=1, parity=0, hb=6.9, group="O", fetuses=2, seed=seed),
        lost_pregnancy(LOTTE, today, today - timedelta(days=12), gravidity=2, parity=0, seed=seed),
    ]


@dataclass(frozen=True, slots=True)
class PracticeSimulator:
    """The practice's system: sends the story of the day, in JSON and XML by turns."""

    today: date

    async def play(self, post: Post) -> list[Any]:
        """Send every Bundle, one after the other; gives back what `post` gave."""
        answers = []
        for place, bundle in enumerate(story(self.today)):
            media = XML if place % 2 else JSON
            answers.append(await post(media, write_xml(bundle) if media == XML else orjson.dumps(bundle)))
        return answers
