"""Is it FHIR R4? The quick check that stands between a mapping and the log, and at every door where R4 comes in.

Three looks, in this order: one walk in Python (`walk.py`: depth, extensions, periods, narratives), the schema that was generated from the
official definitions, run in Rust (`definitions.py`), and invariants by type (`rules.py`). Resources within a resource (contained, bundled,
in Parameters) are looked at by their own schema. What it does not look at: profiles, slicing, codes outside required bindings, and
whether a reference points to a type that its element allows.

    problems(resource)   what is wrong, for the sender; nothing of the resource is repeated
    is_valid(resource)   the same answer as `not problems(resource)`, quicker
    written(resource)    the resource as JSON bytes when it is valid, else None: looking needs the bytes, and so does whoever keeps it
    strict_loads(data)   the bytes as JSON, or a refusal
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, Final

import jsonschema_rs
import orjson

from fhir_profiles.definitions import resource_types, validator
from fhir_profiles.explain import explained
from fhir_profiles.rules import faults, local_faults
from fhir_profiles.strict_json import MAX_BYTES, MAX_DEPTH, dumps, exact_digits, strict_loads
from fhir_profiles.walk import MAX_PROBLEMS, Problem, Walk, walked

__all__ = ["MAX_BYTES", "MAX_DEPTH", "Problem", "dumps", "exact_digits", "is_valid", "problems", "strict_loads", "warm_up", "written"]

# What the walk looks at, as it stands in JSON text; that it stands there by chance costs a walk and nothing else.
_MARKS: Final = (b'xtension"', b'"end"', b'"div"', b'"assigner"', b"null")
# Types whose elements may nest without end, or that hold other resources; a test compares this with the definitions.
_NEST: Final = frozenset({"Bundle", "Composition", "Consent", "Parameters", "Questionnaire", "QuestionnaireResponse"})
_ALL_FAULTS_BELOW: Final = 16_384
_UNKNOWN_TYPE: Final = Problem("resourceType", "a resource type that this hub takes")
_NOT_TEXT: Final = "text that can be written in UTF-8, and keys that are text"


def problems(resource: object) -> list[Problem]:
    """What is wrong with an R4 resource as parsed JSON; empty when nothing is, at most `MAX_PROBLEMS`.

    Of a resource above 16 kB only the first fault of the schema is told. Takes anything and never raises. Paths begin with the resource
    type: `Bundle.entry[2].resource.status`.
    """
    if not _known_type(resource):
        return [_UNKNOWN_TYPE]
    assert isinstance(resource, dict)
    walk = walked(resource)
    name = resource["resourceType"]
    found = [Problem(f"{name}.{p.path}" if p.path else name, p.expected) for p in walk.problems()]
    if walk.complete:
        found += islice(_schema_and_rules(resource, walk), MAX_PROBLEMS)
    return list(dict.fromkeys(found))[:MAX_PROBLEMS]


def is_valid(resource: object) -> bool:
    """Whether `problems` would find nothing."""
    if not _known_type(resource):
        return False
    assert isinstance(resource, dict)
    return _fits(resource, _text(resource))


def written(resource: object) -> bytes | None:
    """The resource as JSON with sorted keys when `is_valid`, else None."""
    if not _known_type(resource):
        return None
    assert isinstance(resource, dict)
    text = _text(resource)
    return text if _fits(resource, text) else None


def _fits(resource: dict[str, Any], text: bytes | None) -> bool:
    """Whether a resource of a known type is valid; its text tells, where it is plain, that no walk is needed."""
    if text is not None and resource["resourceType"] not in _NEST and _is_plain(text):
        return _passes(resource, False)
    walk = walked(resource)
    if walk.problems() or not _passes(resource, walk.local_references):
        return False
    return all(_known_type(inner.resource) and _passes(inner.resource, walk.local_references) for inner in walk.inner())


def warm_up(types: Iterable[str]) -> None:
    """Make the schemas of these types now, some 12 ms each, and not at the first message. Raises `KeyError` for an unknown type."""
    for name in types:
        validator(name).is_valid({})


def _known_type(resource: object) -> bool:
    if type(resource) is not dict:
        return False
    name = resource.get("resourceType")
    return type(name) is str and name in resource_types()


def _text(resource: dict[str, Any]) -> bytes | None:
    try:
        return orjson.dumps(resource, default=exact_digits, option=orjson.OPT_SORT_KEYS)
    except TypeError:
        return None


def _is_plain(text: bytes) -> bool:
    """Whether a resource holds nothing that the walk looks at, seen from its text: that takes half the time of a walk.

    Writing it as JSON also shows that it is JSON, and not deep enough to hurt; a resource without extensions, and not of the types
    in `_NEST`, cannot be deep and fit its schema.
    """
    # One byte is sought six times as fast as two, and these two are rare.
    if (b"#" in text and b'"#' in text) or (b"_" in text and b'"_' in text):
        return False
    for mark in _MARKS:
        if mark in text:
            return False
    return text.count(b'"resourceType"') == 1


def _passes(resource: dict[str, Any], local_references: bool) -> bool:
    try:
        valid = validator(resource["resourceType"]).is_valid(resource)
    except ValueError:  # A key that is no text, or half a surrogate pair.
        return False
    return valid and not any(faults(resource)) and not (local_references and any(local_faults(resource)))


def _schema_and_rules(resource: dict[str, Any], walk: Walk) -> Iterator[Problem]:
    name = resource["resourceType"]
    yield from _problems_of(resource, name, walk.local_references)
    for inner in walk.inner():
        path = f"{name}.{inner.path}"
        if _known_type(inner.resource):
            yield from _problems_of(inner.resource, path, walk.local_references)
        else:
            yield Problem(f"{path}.resourceType", _UNKNOWN_TYPE.expected)


def _schema_faults(resource: dict[str, Any]) -> list[jsonschema_rs.ValidationError]:
    """All faults of a resource of ordinary size, the first of a larger one: the engine makes all before it gives one, 40 us each."""
    schema = validator(resource["resourceType"])
    try:
        if len(orjson.dumps(resource, default=exact_digits)) <= _ALL_FAULTS_BELOW:
            return list(schema.iter_errors(resource))
        schema.validate(resource)
    except jsonschema_rs.ValidationError as fault:
        return [fault]
    except TypeError:
        raise ValueError from None
    return []


def _problems_of(resource: dict[str, Any], path: str, local_references: bool) -> Iterator[Problem]:
    try:
        for fault in _schema_faults(resource):
            yield from explained(fault, path)
    except ValueError:
        yield Problem(path, _NOT_TEXT)
    for where, expected in (*faults(resource), *(local_faults(resource) if local_references else ())):
        yield Problem(f"{path}.{where}", expected)
