"""Invariants that need a whole resource, by type. Each rule yields a path below the resource and what R4 expects there.

Rules see resources that the schema may refuse, so they take nothing about shapes for granted: `_items` and `_get` give nothing where
the shape is wrong. Source: FHIR R4 4.0.1, the constraints of severity error named in each text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any, Final

Json = dict[str, Any]
Fault = tuple[str, str]
Rule = Callable[[Json], Iterator[Fault]]

_ENTERED_IN_ERROR: Final = "entered-in-error"
_SEARCH: Final = frozenset({"searchset"})
_TOTAL: Final = frozenset({"searchset", "history"})
_REQUEST: Final = frozenset({"batch", "transaction", "history"})
_RESPONSE: Final = frozenset({"batch-response", "transaction-response", "history"})


def faults(resource: Json) -> Iterator[Fault]:
    """The broken invariants of this resource itself, not of the resources within it."""
    rules = _RULES.get(resource["resourceType"], ())
    return chain.from_iterable(rule(resource) for rule in ((*rules, _contained) if "contained" in resource else rules))


def local_faults(resource: Json) -> Iterator[Fault]:
    """References to a contained resource that is not there (ref-1). Only looked at when some reference begins with `#`."""
    ids = [_get(inner, "id") for inner in _items(resource, "contained")]  # No set: an id may be anything here.
    # Of references alone: a name, a title or a result may begin with `#` and refer to nothing.
    for key, text in _local_texts(resource):
        if key == "reference" and text != "#" and text[1:] not in ids:
            yield "contained", "the contained resource that a reference names (ref-1)"
            return


def _observation(observation: Json) -> Iterator[Fault]:
    if "component" not in observation or not any(key.startswith("value") for key in observation):
        return
    mine = _codings(observation.get("code"))
    for i, component in enumerate(_items(observation, "component")):
        if mine & _codings(component.get("code")):
            yield f"component[{i}].code", "no value on the observation beside a component of the same code (obs-7)"


def _allergy(allergy: Json) -> Iterator[Fault]:
    mistaken = _has_code(allergy.get("verificationStatus"), _ENTERED_IN_ERROR)
    if mistaken and "clinicalStatus" in allergy:
        yield "clinicalStatus", "no clinicalStatus on what was entered in error (ait-2)"
    if not mistaken and "clinicalStatus" not in allergy:
        yield "clinicalStatus", "a clinicalStatus, unless entered in error (ait-1)"


def _condition(condition: Json) -> Iterator[Fault]:
    status = condition.get("clinicalStatus")
    if status is not None and _has_code(condition.get("verificationStatus"), _ENTERED_IN_ERROR):
        yield "clinicalStatus", "no clinicalStatus on what was entered in error (con-5)"
    abated = any(key.startswith("abatement") for key in condition)
    if abated and status is not None and not any(_has_code(status, code) for code in ("inactive", "resolved", "remission")):
        yield "clinicalStatus", "inactive, resolved or remission where there is an abatement (con-4)"


def _bundle(bundle: Json) -> Iterator[Fault]:
    kind = bundle.get("type")
    if type(kind) is not str:
        return
    if "total" in bundle and kind not in _TOTAL:
        yield "total", "a total only on a search or a history (bdl-1)"
    seen: set[tuple[str, object]] = set()
    for i, entry in enumerate(_items(bundle, "entry")):
        for path, expected in (*_entry(entry, kind), *_full_url(entry, seen, kind)):
            yield f"entry[{i}]{path}", expected
    if kind == "document":
        yield from _document(bundle)


def _entry(entry: Json, kind: str) -> Iterator[Fault]:
    if "search" in entry and kind not in _SEARCH:
        yield ".search", "search only in a searchset (bdl-2)"
    if ("request" in entry) != (kind in _REQUEST):
        yield ".request", "a request in each entry of a batch, transaction or history, and nowhere else (bdl-3)"
    if ("response" in entry) != (kind in _RESPONSE):
        yield ".response", "a response in each entry of a batch-response, transaction-response or history, and nowhere else (bdl-4)"
    if not {"resource", "request", "response"} & entry.keys():
        yield "", "a resource, unless there is a request or response (bdl-5)"


def _full_url(entry: Json, seen: set[tuple[str, object]], kind: str) -> Iterator[Fault]:
    url = entry.get("fullUrl")
    if type(url) is not str or kind == "history":
        return
    version = _get(_get(entry.get("resource"), "meta"), "versionId")
    known = (url, version if type(version) is str else None)
    if known in seen:
        yield ".fullUrl", "each fullUrl once, unless versions differ (bdl-7)"
    seen.add(known)
    if "/_history/" in url:
        yield ".fullUrl", "a fullUrl without a version (bdl-8)"


def _document(bundle: Json) -> Iterator[Fault]:
    identifier = bundle.get("identifier")
    if type(identifier) is not dict or not {"system", "value"} <= identifier.keys():
        yield "identifier", "an identifier with system and value on a document (bdl-9)"
    if "timestamp" not in bundle:
        yield "timestamp", "a timestamp on a document (bdl-10)"
    first = next(iter(_items(bundle, "entry")), {})
    if _get(first.get("resource"), "resourceType") != "Composition":
        yield "entry[0].resource", "a Composition first in a document (bdl-11)"


def _contained(resource: Json) -> Iterator[Fault]:
    named = _local_references(resource)
    for i, inner in enumerate(_items(resource, "contained")):
        path = f"contained[{i}]"
        if "contained" in inner:
            yield f"{path}.contained", "no contained resource within a contained one (dom-2)"
        if f"#{_get(inner, 'id')}" not in named and "#" not in _local_references(inner):
            yield path, "a reference to each contained resource (dom-3)"
        meta = _get(inner, "meta")
        for key in ("versionId", "lastUpdated"):
            if _get(meta, key) is not None:
                yield f"{path}.meta.{key}", "no version of its own on a contained resource (dom-4)"


_RULES: Final[dict[str, tuple[Rule, ...]]] = {
    "AllergyIntolerance": (_allergy,),
    "Bundle": (_bundle,),
    "Condition": (_condition,),
    "Observation": (_observation,),
}


def _get(node: object, key: str) -> object:
    return node.get(key) if type(node) is dict else None


def _items(node: Json, key: str) -> list[Json]:
    """The objects in a list; nothing where there is no list. A place that holds no object keeps its index as an empty one."""
    values = node.get(key)
    return [value if type(value) is dict else {} for value in values] if type(values) is list else []


def _codings(concept: object) -> set[tuple[str, str]]:
    codings = _items(concept, "coding") if type(concept) is dict else []
    pairs = ((coding.get("system", ""), coding.get("code")) for coding in codings)
    return {(system, code) for system, code in pairs if type(system) is str and type(code) is str}


def _has_code(concept: object, code: str) -> bool:
    return any(found == code for _, found in _codings(concept))


def _local_references(resource: Json) -> set[str]:
    """Whatever may refer to something contained: a reference, a uri or a canonical."""
    return {text for _, text in _local_texts(resource)}


def _local_texts(resource: Json) -> Iterator[tuple[str, str]]:
    """Every text that begins with `#` in this resource and what it contains, with its key where it stands in an object within it."""
    waiting: list[tuple[str, object]] = [("", value) for key, value in resource.items() if key not in ("entry", "text")]
    while waiting:
        key, value = waiting.pop()
        if type(value) is dict:
            waiting += value.items()
        elif type(value) is list:
            waiting += [("", item) for item in value]
        elif type(value) is str and value[:1] == "#":
            yield key, value
