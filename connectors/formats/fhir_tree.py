"""Reading a FHIR tree with a path to every leaf, copying parts of it, and accounting for all of it.

A path into the bytes is a FHIRPath such as `Bundle.entry[7].resource.valueQuantity.value`, the same for JSON and XML. A `Draft` is a
resource in the making: what is copied into it remembers where it came from, so afterwards it is known which leaves became something.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from connectors.contract import Left
from connectors.formats.days import check_date
from fhir_profiles.codes import system_of
from fhir_profiles.errors import Invalid
from fhir_profiles.identifiers import BSN_SYSTEM, BSN_SYSTEMS, Bsn

ABSENT_URL: Final = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"
NULL_FLAVOR_URL: Final = "http://hl7.org/fhir/StructureDefinition/iso21090-nullFlavor"
SPECIFICATION_URL: Final = "http://nictiz.nl/fhir/StructureDefinition/code-specification"
FOCUS_URLS: Final = frozenset((
    "http://nictiz.nl/fhir/structuredefinition/observation-focusstu3", "http://nictiz.nl/fhir/structuredefinition/observation-focus-stu3",
))
_KNOWN_EXTENSIONS: Final = (
    "http://hl7.org/fhir/StructureDefinition/", "http://fhir.nl/fhir/StructureDefinition/", "http://nictiz.nl/fhir/StructureDefinition/",
)

_DATE_KEYS: Final = frozenset((
    "birthDate", "start", "end", "issued", "assertedDate", "recordedDate", "dateAsserted", "authoredOn", "date", "lastOccurrence",
))
_OID: Final = re.compile(r"[0-2](\.[0-9]+){3,}")


def absent(code: str) -> dict[str, Any]:
    """What stands in the place of a value that is not there, with the reason; new every time, for what is mapped belongs to its message."""
    return {"extension": [{"url": ABSENT_URL, "valueCode": code}]}


def dicts(value: Any) -> list[dict[str, Any]]:
    """The objects in a value that may be one object, a list of them, or something else."""
    if isinstance(value, dict):
        return [value]
    return [v for v in value if isinstance(v, dict)] if isinstance(value, list) else []


def text(value: Any) -> str:
    """The value when it is text, else empty."""
    return value if isinstance(value, str) else ""


def start_of(period: Any) -> str:
    """The beginning of a Period, empty when it has none."""
    return text(period.get("start")) if isinstance(period, dict) else ""


def leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Every leaf below a value with its path; an empty object or list is a leaf too."""
    if isinstance(value, dict) and value:
        for key, below in value.items():
            yield from leaves(below, f"{path}.{key}")
    elif isinstance(value, list) and value:
        for place, below in enumerate(value):
            yield from leaves(below, f"{path}[{place}]")
    elif value is not None:
        yield path, value


@dataclass(slots=True)
class Ref:
    """A reference in a resource: where it stands in what is produced, what it says, and where that came from."""

    to: str
    says: str
    at: str


@dataclass(slots=True)
class Draft:
    """An R4 resource in the making. `at` is the path of its source; `today` the day of receipt, for dates that cannot lie later."""

    source: dict[str, Any]
    at: str
    today: str
    resource: dict[str, Any]
    paths: dict[str, str] = field(default_factory=dict)
    refs: list[Ref] = field(default_factory=list)
    subject: Ref | None = None
    context: Ref | None = None
    focus: Ref | None = None

    @property
    def kind(self) -> str:
        """The type of the resource that is made."""
        return str(self.resource["resourceType"])

    def take(self, name: str, to: str = "", *, wrap: bool = False) -> None:
        """Copy an element with all below it, under another name or in a list of its own when asked; nothing when it is absent."""
        to = to or name
        for key, target in ((name, to), ("_" + name, "_" + to)):
            if key in self.source:
                value = self.source[key]
                wrapped = wrap and not isinstance(value, list)
                made = self.copy(value, f"{self.at}.{key}", f"{target}.0" if wrapped else target, key)
                if made is not None:
                    self.resource[target] = [made] if wrapped else made

    def put(self, to: str, value: Any, at: str) -> None:
        """Set one top-level element to a value made from the leaf at a path."""
        self.resource[to] = value
        self.paths[to] = at

    def copy(self, value: Any, at: str, to: str, key: str) -> Any:
        """A deep copy that remembers the path of every leaf; None when nothing is left of it."""
        if key[:1] != "_" and (key in _DATE_KEYS or key.endswith(("DateTime", "Date"))):
            check_date(value, at)
        elif isinstance(value, dict):
            return self._object(value, at, to)
        elif isinstance(value, list):
            return self._list(value, at, to, key)
        self.paths[to] = at
        return value

    def _list(self, values: list[Any], at: str, to: str, key: str) -> Any:
        out: list[Any] = []
        for place, value in enumerate(values):
            if value is None:
                out.append(None)
                continue
            if key in ("extension", "modifierExtension") and not known_extension(value):
                continue
            made = self.copy(value, f"{at}[{place}]", f"{to}.{len(out)}", key)
            # A list beside a list of primitives ("_given") keeps its places.
            if made is not None or key.startswith("_"):
                out.append(made)
        return out or None

    def _object(self, value: dict[str, Any], at: str, to: str) -> Any:
        system = value.get("system")
        masked = "value" in value and (system in BSN_SYSTEMS if isinstance(system, str) else self._may_be_bsn(value["value"]))
        out: dict[str, Any] = {}
        for key, below in value.items():
            path, target = f"{at}.{key}", f"{to}.{key}"
            if key == "reference" and isinstance(below, str) and not below.startswith("#"):
                self.refs.append(Ref(to, below, path))
            elif key == "value" and masked:
                # Only the vault keeps a BSN; what is recorded says that there is one.
                self.paths[f"{to}._value"] = path
                out["_value"] = absent("masked")
            elif key == "system" and isinstance(below, str):
                self.paths[target] = path
                out["system"] = BSN_SYSTEM if masked else r4_system(below)
            elif (made := self.copy(below, path, target, key)) is not None:
                out[key] = made
        return out if out or "reference" in value else None


    def _may_be_bsn(self, value: Any) -> bool:
        # An identifier of a person without a system, that passes the test of a BSN, is not shown either.
        if self.kind not in ("Patient", "RelatedPerson") or not isinstance(value, str) or len(value.strip()) != 9:
            return False
        try:
            return bool(Bsn(value))
        except Invalid:
            return False


def known_extension(value: Any) -> bool:
    """Whether an extension is carried over: HL7's and the Dutch ones, but for what has a place of its own."""
    url = text(value.get("url")) if isinstance(value, dict) else ""
    return url.startswith(_KNOWN_EXTENSIONS) and url != SPECIFICATION_URL and url.lower() not in FOCUS_URLS


_R4_SYSTEMS: Final = {
    "http://hl7.org/fhir/observation-category": "http://terminology.hl7.org/CodeSystem/observation-category",
    "http://hl7.org/fhir/condition-category": "http://terminology.hl7.org/CodeSystem/condition-category",
    "http://hl7.org/fhir/data-absent-reason": "http://terminology.hl7.org/CodeSystem/data-absent-reason",
    "http://hl7.org/fhir/diagnosis-role": "http://terminology.hl7.org/CodeSystem/diagnosis-role",
    "http://hl7.org/fhir/organization-type": "http://terminology.hl7.org/CodeSystem/organization-type",
}


def r4_system(system: str) -> str:
    """The R4 URI of a code or identifier system, whichever way a source spells it: bare OIDs, trailing slashes, STU3 names."""
    known = system_of(system)
    if known != system:
        return known
    if system in _R4_SYSTEMS:
        return _R4_SYSTEMS[system]
    for old, new in (("http://hl7.org/fhir/v3/", "v3-"), ("http://hl7.org/fhir/v2/", "v2-")):
        if system.startswith(old):
            return f"http://terminology.hl7.org/CodeSystem/{new}{system[len(old):]}"
    if _OID.fullmatch(system):
        return f"urn:oid:{system}"
    return system.rstrip("/") if system.startswith("http://fhir.nl/fhir/NamingSystem/") else system


def mark_unknown(resource: dict[str, Any], to: str) -> None:
    """A reference to something outside the message keeps its display, or says that it is unknown."""
    here: Any = resource
    for step in to.split("."):
        here = here[int(step)] if isinstance(here, list) else here[step]
    if not here:
        here.update(absent("unknown"))


@dataclass(slots=True)
class Account:
    """What became of every leaf. `taken` are leaf paths that became part of a fact, person or dossier; `refused` resource paths that
    wait."""

    taken: set[str]
    refused: dict[str, Left]
    rule: Callable[[str, dict[str, Any]], str]
    """The rule that ignores an element of a resource by its name, or empty."""
    outside: set[str] = field(default_factory=set)
    """Paths of references to something that is not in the message."""
    residue: list[Left] = field(default_factory=list)
    ignored: list[Left] = field(default_factory=list)

    def resource(self, resource: dict[str, Any], at: str) -> None:
        """Account for one resource, leaf by leaf."""
        if at in self.refused:
            return
        for key, value in resource.items():
            path = f"{at}.{key}"
            if key == "resourceType":
                continue
            rule = self.rule(key, resource)
            if rule:
                self.ignored.append(Left(path, rule))
            else:
                self.below(value, path)

    def below(self, value: Any, path: str) -> None:
        """Account for whatever lies below an element."""
        if isinstance(value, dict) and value:
            reference = "reference" in value
            url = value.get("url")
            if url == SPECIFICATION_URL:
                self.ignored.append(Left(path, "code-specification"))
                return
            for key, held in value.items():
                if reference and key in ("display", "type") and f"{path}.{key}" not in self.taken:
                    self.ignored.append(Left(f"{path}.{key}", "reference-display"))
                else:
                    self.below(held, f"{path}.{key}")
        elif isinstance(value, list) and value:
            for place, held in enumerate(value):
                self.below(held, f"{path}[{place}]")
        elif value is not None and path not in self.taken:
            self._leaf(value, path)

    def _leaf(self, value: Any, path: str) -> None:
        if path in self.outside:
            self.ignored.append(Left(path, "reference-outside-message"))
        else:
            self.residue.append(Left(path, "no place for it yet", "not-mapped", value=str(value)[:200]))
