"""A Bundle, its entries, and finding what a reference in it points at.

Senders refer by `urn:uuid:`, by `Type/id`, by absolute URL and by condition (`Patient?identifier=999990019`, often without a system);
each entry is known under all the names that it could be called by, and a name that two entries share names neither.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qsl

from connectors.formats.fhir_json import read_json
from connectors.formats.fhir_tree import dicts, text
from connectors.formats.fhir_xml import read_xml
from fhir_profiles.errors import Invalid, TooLarge
from fhir_profiles.identifiers import BSN_SYSTEM, BSN_SYSTEMS

MAX_ENTRIES: Final = 5_000


@dataclass(frozen=True, slots=True)
class Entry:
    """One resource of a Bundle. `place` is its place among the entries, `at` the path of the resource, `url`, `method` and `if_none_exist` of
    its request."""

    place: int
    at: str
    resource: dict[str, Any]
    full_url: str = ""
    url: str = ""
    method: str = ""
    if_none_exist: str = ""

    @property
    def kind(self) -> str:
        """The type of the resource."""
        return str(self.resource["resourceType"])


def read_tree(body: bytes, media_type: str) -> dict[str, Any]:
    """The resource in the bytes, as the media type says; without a telling media type the first character decides."""
    is_xml = body.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"<"
    if ("xml" in media_type and not is_xml) or ("json" in media_type and is_xml):
        raise Invalid("the content is not what the media type says", code="media-mismatch")
    return read_xml(body) if is_xml else read_json(body)


def entries_of(bundle: dict[str, Any]) -> tuple[Entry, ...]:
    """The entries of a Bundle. Raises `Invalid` when it is not built as one."""
    entries = bundle.get("entry", [])
    if not isinstance(entries, list):
        raise Invalid("the entries of a Bundle are a list", path="Bundle.entry", code="bundle-shape")
    if len(entries) > MAX_ENTRIES:
        raise TooLarge(f"a Bundle has at most {MAX_ENTRIES} entries", path="Bundle.entry", code="too-many-entries")
    return tuple(_entry(entry, place) for place, entry in enumerate(entries))


def _entry(entry: Any, place: int) -> Entry:
    at = f"Bundle.entry[{place}]"
    resource = entry.get("resource") if isinstance(entry, dict) else None
    if not isinstance(resource, dict) or not text(resource.get("resourceType")):
        raise Invalid("an entry holds no resource", path=at, code="bundle-shape")
    request = entry.get("request")
    request = request if isinstance(request, dict) else {}
    return Entry(place, f"{at}.resource", resource, text(entry.get("fullUrl")), text(request.get("url")), text(request.get("method")),
                 text(request.get("ifNoneExist")))


class Index:
    """Finds the entry that a reference points at."""

    def __init__(self, entries: tuple[Entry, ...]) -> None:
        self.entries = entries
        self._names: dict[str, Entry | None] = {}
        known: dict[int, set[str]] = {}
        for entry in entries:
            known[entry.place] = set(_names_of(entry))
            for name in known[entry.place]:
                held = self._names.get(name, entry)
                # The same name for two entries: whoever uses it means neither for certain, unless both carry one full identifier.
                same = held is not None and any("|" in shared for shared in known[held.place] & known[entry.place])
                self._names[name] = held if same or name not in self._names else None
        for entry in entries:
            if entry.full_url:
                self._names[entry.full_url] = entry

    def find(self, says: str, kind: str = "") -> Entry | None:
        """The entry that a reference names; `kind` tells the type when the reference is an identifier alone."""
        found = self._names.get(says)
        if found is not None:
            return found
        says = says.split("/_history/")[0]
        if "?" in says:
            before, _, query = says.partition("?")
            return self._names.get(conditional(before.rsplit("/", 1)[-1] or kind, query))
        return self._names.get("/".join(says.split("/")[-2:]))


def _names_of(entry: Entry) -> list[str]:
    kind, identity = entry.kind, text(entry.resource.get("id"))
    names = [f"{kind}/{identity}"] if identity else []
    if entry.url:
        path, _, query = entry.url.partition("?")
        names.append(conditional(kind, query) if query else path)
    if not entry.full_url.startswith("urn:") and "/" in entry.full_url and "?" not in entry.full_url:
        names.append("/".join(entry.full_url.split("/")[-2:]))
    for identifier in dicts(entry.resource.get("identifier")):
        value, system = text(identifier.get("value")), one_system(text(identifier.get("system")))
        if value:
            names += [f"{kind}?identifier={value}", f"{kind}?identifier={system}|{value}"]
    return names


def conditional(kind: str, query: str) -> str:
    """One spelling of a conditional reference by identifier; other conditions stay as they are."""
    identifier = next((value for key, value in parse_qsl(query) if key == "identifier"), "")
    if not identifier:
        return f"{kind}?{query}"
    system, bar, value = identifier.rpartition("|")
    return f"{kind}?identifier={one_system(system)}|{value}" if bar and system else f"{kind}?identifier={value}"


def one_system(system: str) -> str:
    """The one URI of an identifier system, however it is spelled."""
    return BSN_SYSTEM if system in BSN_SYSTEMS else system
