"""A prio1 message as a Bundle of STU3: what must hold before anything in it is read.

The intake answers the sender with these same checks, so what it calls good is never refused as a whole by the mapping.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from connectors.formats import fhir_stu3
from connectors.formats.fhir_bundle import Entry, Index, entries_of, read_tree
from connectors.practice.people import Cast, cast_of
from fhir_profiles.errors import Invalid, NotOffered

_METHODS: Final = frozenset(("PUT", "POST"))


@dataclass(frozen=True, slots=True)
class Parcel:
    """A Bundle that holds together: its entries, how they refer to each other, and who is in it."""

    bundle: dict[str, Any]
    entries: tuple[Entry, ...]
    index: Index
    cast: Cast


def parcel_of(body: bytes, media_type: str) -> Parcel:
    """Read and check the bytes. Raises `Invalid`, `Unsupported` or `TooLarge` with the path of what is wrong, never repeating what was
    sent."""
    bundle = read_tree(body, media_type)
    if bundle["resourceType"] != "Bundle":
        raise Invalid("a transaction Bundle is asked for here", path="Bundle", code="not-a-bundle")
    if bundle.get("type") != "transaction":
        raise Invalid("a Bundle of type transaction is asked for here", path="Bundle.type", code="not-a-transaction")
    entries = entries_of(bundle)
    if not entries:
        raise Invalid("the Bundle is empty", path="Bundle.entry", code="bundle-shape")
    seen: set[str] = set()
    for entry in entries:
        _check(entry, seen)
    index = Index(entries)
    return Parcel(bundle, entries, index, cast_of(entries, index))


def _check(entry: Entry, seen: set[str]) -> None:
    at = entry.at.removesuffix(".resource")
    if entry.method in ("DELETE", "GET", "PATCH", "HEAD"):
        raise NotOffered("an entry asks for something else than to write", path=f"{at}.request.method", code="method")
    if entry.method not in _METHODS or not entry.url:
        raise Invalid("an entry does not say how it is to be written", path=f"{at}.request", code="bundle-shape")
    if entry.url.split("?")[0].split("/")[0] != entry.kind:
        raise Invalid("an entry is addressed to another type than it holds", path=f"{at}.request.url", code="bundle-shape")
    # Two entries may share a conditional URL (a trap in real Bundles); a fullUrl names one thing only.
    if entry.full_url.startswith("urn:"):
        if entry.full_url in seen:
            raise Invalid("two entries have the same fullUrl", path=f"{at}.fullUrl", code="bundle-shape")
        seen.add(entry.full_url)
    fhir_stu3.check_version(entry.resource, entry.at)
