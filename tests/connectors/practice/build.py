"""Building and reading messages for the tests of this connector. All people are invented."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from datetime import date
from typing import Any

from connectors.contract import Facts, Left, Mapped
from connectors.practice.mapping import PracticeMapping
from connectors.practice.simulator import NOOR, current_pregnancy, earlier_pregnancy
from fhir_profiles import check
from hub.mapper.finish import finish, identity_of, names_of

TODAY = date(2026, 1, 5)
MAPPING = PracticeMapping()
Json = dict[str, Any]


def facts(media: str = "application/fhir+json", received_at: str = "2026-01-05T10:00:00Z") -> Facts:
    return Facts("practice/00700001", "00700001", "Verloskundigenpraktijk De Lepelaar", media, received_at)


def current(seed: int = 1) -> Json:
    """Noor's running pregnancy as the practice sends it."""
    return current_pregnancy(NOOR, TODAY, 84, gravidity=2, parity=1, seed=seed)


def earlier(seed: int = 1) -> Json:
    """Noor's earlier pregnancy, with delivery, birth and child."""
    return earlier_pregnancy(NOOR, TODAY, date(2023, 10, 8), gravidity=1, parity=1, seed=seed)


def body_of(bundle: Json) -> bytes:
    return json.dumps(bundle).encode()


def mapped(bundle: Json, received_at: str = "2026-01-05T10:00:00Z") -> Mapped:
    return MAPPING.to_fhir(body_of(bundle), facts(received_at=received_at))


def resource(bundle: Json, kind: str, code: str = "") -> Json:
    """The first resource of a type, with a code when one is given; to be changed in place."""
    for entry in bundle["entry"]:
        found: Json = entry["resource"]
        if found["resourceType"] == kind and (not code or code in json.dumps(found["code"])):
            return found
    raise LookupError(kind)


def add(bundle: Json, added: Json, url: str = "") -> Json:
    """Put one more resource in a bundle."""
    request = {"method": "PUT", "url": url or f"{added['resourceType']}/{added['id']}"}
    bundle["entry"].append({"fullUrl": f"urn:uuid:extra-{len(bundle['entry'])}", "resource": added, "request": request})
    return added


def again(bundle: Json, kind: str, code: str, /, **changes: Any) -> Json:
    """Add a changed copy of a resource under an id of its own."""
    made = {**copy.deepcopy(resource(bundle, kind, code)), "id": f"copy-{len(bundle['entry'])}", **changes}
    return add(bundle, made)


def concepts(result: Mapped) -> list[str]:
    return [fact.concept for fact in result.facts]


def one(result: Mapped, concept: str) -> Any:
    (found,) = [fact for fact in result.facts if fact.concept == concept]
    return found


def leaf_paths(value: Any, path: str) -> Iterator[str]:
    """Every leaf of a parsed message, told apart from the way the connector does it."""
    if isinstance(value, dict):
        for key, below in value.items():
            yield from leaf_paths(below, f"{path}.{key}")
    elif isinstance(value, list):
        for place, below in enumerate(value):
            yield from leaf_paths(below, f"{path}[{place}]")
    elif value is not None:
        yield path


def unexplained(tree: Json, result: Mapped) -> set[str]:
    """The leaves that are in no fact, under no named rule, in no residue and in no part that waits."""
    taken = {at for fact in result.facts for at in fact.paths.values()}
    taken |= {left.path for left in result.residue}
    below = tuple(left.path for left in result.ignored) + tuple(_whole(left) for left in result.refused)
    rest = {p for p in leaf_paths(tree, tree["resourceType"]) if p not in taken and not p.endswith(".resourceType")}
    return {p for p in rest if not any(p == b or p.startswith((b + ".", b + "[")) for b in below)}


def _whole(left: Left) -> str:
    head, _, _ = left.path.partition(".resource")
    return f"{head}.resource" if ".resource" in left.path else left.path


def faults(result: Mapped) -> list[str]:
    """What the R4 check says of every finished resource."""
    kinds = {person.local: person.kind for person in result.people}
    names = names_of("test/1", "0" * 32, {person.local: f"{n:032x}" for n, person in enumerate(result.people)}, kinds, result.facts)
    finished = [finish(fact, identity_of("test/1", "0" * 32, fact), names) for fact in result.facts]
    return [f"{problem.path}: {problem.expected}" for made in finished for problem in check.problems(made)]


def plain(result: Mapped) -> Json:
    """The result as JSON for a golden case; a BSN shows only that it is there."""
    return {
        "people": [[p.local, p.kind, p.bsn is not None, list(p.key)] for p in result.people],
        "dossiers": [[d.local, list(d.key), d.status, d.due, d.gravidity, d.started, d.ended] for d in result.dossiers],
        "facts": [{"concept": f.concept, "about": f.about, "identity": list(f.identity), "version": f.version, "effective": f.effective,
                   "dossier": f.dossier, "local": f.local, "links": dict(f.links), "withdrawn": f.withdrawn, "resource": f.resource,
                   "paths": dict(sorted(f.paths.items()))} for f in result.facts],
        "residue": [[left.path, left.value] for left in result.residue],
        "ignored": sorted({left.why for left in result.ignored}),
        "refused": [[left.path, left.code] for left in result.refused],
    }
