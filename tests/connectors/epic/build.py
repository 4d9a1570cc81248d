"""Building pages for the tests of this connector. All people are invented."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from typing import Any

from connectors.contract import Facts, Mapped
from connectors.epic.mapping import EpicMapping
from connectors.epic.simulator import demo

TODAY = date(2026, 1, 5)
MAPPING = EpicMapping()
NOW = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
Json = dict[str, Any]


def facts(received_at: str = "2026-01-05T10:00:00Z") -> Facts:
    return Facts("epic/00700003", "00700003", "Ziekenhuis Oostzoom", "application/fhir+json", received_at)


def stamped(resource: Json, version: str = "1", at: str = "2026-01-05T09:00:00.000+00:00") -> Json:
    return {**resource, "meta": {"versionId": version, "lastUpdated": at}}


def samira() -> list[Json]:
    """All that the hospital knows of Samira, her Patient last."""
    hers = [stamped(r) for r in demo(TODAY) if r["id"].startswith("eSamira")]
    return [*hers[1:], hers[0]]


def page(*resources: Json, kind: str = "searchset") -> Json:
    return {"resourceType": "Bundle", "type": kind, "total": len(resources), "link": [{"relation": "self",
                                                                                       "url": "https://epic.example/fhir/x"}],
            "entry": [{"fullUrl": f"https://epic.example/fhir/{r['resourceType']}/{r.get('id')}", "resource": r,
                       "search": {"mode": "match"}}
                      for r in resources]}


def body_of(tree: Json) -> bytes:
    return json.dumps(tree).encode()


def mapped(tree: Json) -> Mapped:
    return MAPPING.to_fhir(body_of(tree), facts())


def one(result: Mapped, concept: str) -> Any:
    (found,) = [fact for fact in result.facts if fact.concept == concept]
    return found


def of(resources: list[Json], identity: str) -> Json:
    return next(r for r in resources if r["id"] == identity)
