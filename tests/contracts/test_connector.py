"""The contract of a mapping, tried on every folder under `connectors/` that has one. A new source is found by itself.

A folder brings its messages with it: `tests/connectors/<name>/cases/*/message.*`.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import json
import pkgutil
from collections import Counter
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import connectors
from connectors.contract import Facts, Mapped, Mapping
from connectors.formats import hl7v2
from fhir_profiles import check, codes
from fhir_profiles.errors import BirthCareError, Refused
from hub.mapper.finish import finish, identity_of, names_of

CASES = Path(__file__).parents[1] / "connectors"
MEDIA_TYPES = {
    ".hl7": "x-application/hl7-v2+er7", ".json": "application/fhir+json", ".xml": "application/fhir+xml",
}


def _mapping_of(name: str) -> Mapping | None:
    """The mapping of a folder, or None when it has none (yet)."""
    if importlib.util.find_spec(f"connectors.{name}.mapping") is None:
        return None
    module = importlib.import_module(f"connectors.{name}.mapping")
    own = (c for _, c in inspect.getmembers(module, inspect.isclass) if c.__module__ == module.__name__)
    classes = [c for c in own if c.__name__.endswith("Mapping")]
    assert len(classes) == 1, f"connectors.{name}.mapping holds one class whose name ends in Mapping"
    made: Mapping = classes[0]()  # type: ignore[assignment]  # what the class is, the tests below find out
    return made


FOLDERS = [module.name for module in pkgutil.iter_modules(connectors.__path__) if module.ispkg and module.name != "formats"]
MAPPINGS = {name: mapping for name in FOLDERS if (mapping := _mapping_of(name)) is not None}
MESSAGES = [(name, path) for name in MAPPINGS for path in sorted((CASES / name / "cases").glob("*/message.*"))]
IDS = [f"{name}:{path.parent.name}" for name, path in MESSAGES]
every_mapping = pytest.mark.parametrize("name", MAPPINGS)
every_message = pytest.mark.parametrize(("name", "path"), MESSAGES, ids=IDS)


def facts(name: str, path: Path | None = None) -> Facts:
    """What a mapping may know."""
    media_type = MEDIA_TYPES[path.suffix] if path else "application/fhir+json"
    return Facts(f"{name}/00700009", "00700009", "Een Organisatie", media_type, "2026-11-24T12:00:00Z")


@lru_cache(maxsize=256)
def outcome(name: str, path: Path) -> Mapped | Refused:
    """What the message of a case becomes."""
    try:
        return MAPPINGS[name].to_fhir(path.read_bytes(), facts(name, path))
    except Refused as refusal:
        return refusal


def test_hix_is_found() -> None:
    assert "hix" in MAPPINGS and any(name == "hix" for name, _ in MESSAGES)


@every_mapping
def test_a_mapping_has_a_name_a_version_and_a_kind(name: str) -> None:
    mapping = MAPPINGS[name]
    assert mapping.name == name and isinstance(mapping.version, int) and mapping.version >= 1
    assert mapping.kind in ("hl7v2", "fhir-stu3", "fhir-r4")


@every_message
def test_a_mapping_recognises_its_own_messages_and_no_other_kind_does(name: str, path: Path) -> None:
    body = path.read_bytes()
    assert MAPPINGS[name].recognises(body)
    others = [other for other, mapping in MAPPINGS.items() if mapping.kind != MAPPINGS[name].kind and mapping.recognises(body)]
    assert others == []


@every_message
def test_the_same_message_always_becomes_the_same(name: str, path: Path) -> None:
    first = outcome(name, path)
    if isinstance(first, Refused):
        with pytest.raises(type(first)) as again:
            MAPPINGS[name].to_fhir(path.read_bytes(), facts(name, path))
        assert (again.value.code, again.value.path) == (first.code, first.path)
    else:
        assert MAPPINGS[name].to_fhir(path.read_bytes(), facts(name, path)) == first


@every_message
def test_facts_name_known_concepts_and_people_of_the_message_and_say_where_they_came_from(name: str, path: Path) -> None:
    found = outcome(name, path)
    if isinstance(found, Refused):
        return
    people, local = {p.local for p in found.people}, {f.local for f in found.facts if f.local}
    assert len([p for p in found.people if p.kind == "woman"]) == (1 if found.facts else len(people))
    for fact in found.facts:
        assert fact.concept in codes.BY_NAME and fact.about in people and fact.identity and fact.version
        assert not fact.dossier or fact.dossier in {d.local for d in found.dossiers}
        assert set(fact.links.values()) <= people | local
        assert fact.paths and all(fact.paths.values())


@every_message
def test_every_reason_has_a_path_and_a_name_and_no_bsn(name: str, path: Path) -> None:
    found = outcome(name, path)
    if isinstance(found, Refused):
        assert found.code and found.public
        return
    assert all(left.path and left.why for left in (*found.residue, *found.ignored, *found.refused))
    assert all(left.code for left in found.refused)
    digits = MAPPINGS[name].peek_bsn(path.read_bytes())
    assert not digits or digits not in repr((found.people, found.facts, found.dossiers, found.refused, found.ignored))


@every_message
def test_every_resource_is_fhir_r4_once_its_ids_are_put_in(name: str, path: Path) -> None:
    found = outcome(name, path)
    if isinstance(found, Refused):
        return
    people = {p.local: f"{n:032x}" for n, p in enumerate(found.people)}
    names = names_of("a/1", "s", people, {p.local: p.kind for p in found.people}, found.facts)
    for fact in found.facts:
        assert check.problems(finish(fact, identity_of("a/1", "s", fact), names)) == []


@every_message
def test_everything_in_a_message_has_become_something(name: str, path: Path) -> None:
    found = outcome(name, path)
    if isinstance(found, Refused) or path.suffix == ".xml":
        return  # An XML message is read into the same tree as a JSON one.
    told = {place for fact in found.facts for place in fact.paths.values()}
    told |= {left.path for left in (*found.residue, *found.ignored, *found.refused)}
    leaves = _fields(path.read_bytes()) if path.suffix == ".hl7" else _leaves(json.loads(path.read_bytes()))
    assert leaves
    assert [leaf for leaf in leaves if not _covered(leaf, told)] == []


def _fields(body: bytes) -> list[str]:
    """Every HL7 v2 field that holds something, written both ways: PID-5 and PID[1]-5 name the same."""
    counts: Counter[str] = Counter()
    found = []
    for fields in hl7v2.parse(body).segments:
        counts[fields[0]] += 1
        found += [f"{fields[0]}[{counts[fields[0]]}]-{n}" for n, raw in enumerate(fields) if n and raw]
    return found


def _leaves(value: Any, path: str = "") -> list[str]:
    """Every leaf of a JSON document; its resource types apart."""
    if isinstance(value, dict):
        head = path or str(value.get("resourceType", ""))
        return [leaf for key, inner in value.items() if key != "resourceType" for leaf in _leaves(inner, f"{head}.{key}")]
    if isinstance(value, list):
        return [leaf for n, inner in enumerate(value) for leaf in _leaves(inner, f"{path}[{n}]")]
    return [path]


def _covered(leaf: str, told: set[str]) -> bool:
    """Whether a leaf, or something that it lies in, was told."""
    steps = [n for n, character in enumerate(leaf) if character in ".[-"]
    return any(leaf[:n] in told for n in (*steps, len(leaf))) or leaf.replace("[1]-", "-") in told


@every_message
def test_two_facts_of_one_message_are_never_versions_of_one_another(name: str, path: Path) -> None:
    found = outcome(name, path)
    if not isinstance(found, Refused):
        identities = [identity_of("a/1", "s", fact) for fact in found.facts]
        assert len(set(identities)) == len(identities)


@every_message
def test_a_mapping_takes_no_notice_of_what_is_done_with_its_outcome(name: str, path: Path) -> None:
    found = MAPPINGS[name].to_fhir(path.read_bytes(), facts(name, path)) if not isinstance(outcome(name, path), Refused) else None
    if found is None:
        return
    for fact in found.facts:
        _spoil(fact.resource)
    assert MAPPINGS[name].to_fhir(path.read_bytes(), facts(name, path)) == outcome(name, path)


def _spoil(value: Any) -> None:
    """Change everything in a resource that can be changed."""
    for inner in list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else ():
        _spoil(inner)
    if isinstance(value, dict | list):
        value.clear()


@every_mapping
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(garbage=st.binary(max_size=400))
def test_garbage_is_refused_and_breaks_nothing(name: str, garbage: bytes) -> None:
    _try(name, garbage)


@every_mapping
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_damaged_message_is_mapped_or_refused(name: str, data: st.DataObject) -> None:
    own = [path for folder, path in MESSAGES if folder == name]
    if not own:
        return
    body = bytearray(data.draw(st.sampled_from(own)).read_bytes())
    for _ in range(data.draw(st.integers(1, 5))):
        at = data.draw(st.integers(0, len(body) - 1))
        body[at:at + data.draw(st.integers(0, 30))] = data.draw(st.binary(max_size=6))
        if not body:
            break
    _try(name, bytes(body))


def _try(name: str, body: bytes) -> None:
    mapping = MAPPINGS[name]
    assert mapping.recognises(body) in (True, False)
    digits = mapping.peek_bsn(body)
    assert digits is None or (len(digits) == 9 and digits.isdigit())
    for media_type in MEDIA_TYPES.values():
        try:
            mapping.to_fhir(body, Facts(f"{name}/1", "1", "Een", media_type, "2026-11-24T12:00:00Z"))
        except BirthCareError:
            pass
