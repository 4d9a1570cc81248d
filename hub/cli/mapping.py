"""`ooievaar map FILE…`: what a message becomes, without a hub. Resources, what is ignored and why, what is left, what is refused."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from connectors.contract import Facts, Left, Mapped, Mapping, Source
from fhir_profiles import check
from fhir_profiles.errors import Refused
from hub.mapper.finish import finish, identity_of, names_of

GOOD, FOUND, FAILED = 0, 1, 2


@dataclass
class FileOutcome:
    """What became of one file; the shape of the JSON line is part of what outsiders may rely on."""

    file: str
    kind: str = "unknown"
    mapping: str = ""
    resources: list[dict[str, Any]] = field(default_factory=list)
    residue: list[dict[str, str]] = field(default_factory=list)
    ignored: list[dict[str, str]] = field(default_factory=list)
    refused: list[dict[str, str]] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        """Whether everything in the file is explained and taken."""
        return not self.residue and not self.refused


def files_in(paths: Sequence[str]) -> Iterator[Path]:
    """The files named, and those in the folders named, in a fixed order. Raises FileNotFoundError for what is not there."""
    for name in paths:
        path = Path(name)
        if not path.exists():
            raise FileNotFoundError(name)
        yield from sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]


def map_file(path: Path, mappings: Sequence[Mapping], now: str, wanted: str = "") -> FileOutcome:
    """Map one file with the mapping that knows it (or the one asked for)."""
    outcome = FileOutcome(str(path))
    body = path.read_bytes()
    mapping = next((m for m in mappings if (m.kind == wanted or m.name == wanted if wanted else m.recognises(body))), None)
    if mapping is None:
        outcome.refused.append({"path": "", "reason": "no source sends this kind of message"})
        return outcome
    outcome.kind, outcome.mapping = mapping.kind, f"{mapping.name}@{mapping.version}"
    source = Source(mapping.name, "00000000", "file", "")
    try:
        mapped = mapping.to_fhir(body, Facts(source.id, source.ura, source.organisation, "", now))
    except Refused as refusal:
        outcome.refused.append({"path": refusal.path, "reason": refusal.public})
        return outcome
    _fill(outcome, mapped, source.id)
    return outcome


def _fill(outcome: FileOutcome, mapped: Mapped, source: str) -> None:
    people = {p.local: _local_id(p.local) for p in mapped.people}
    names = names_of(source, "", people, {p.local: p.kind for p in mapped.people}, mapped.facts)
    for fact in mapped.facts:
        resource = finish(fact, identity_of(source, "", fact), names)
        found = check.problems(resource)
        if found:
            outcome.refused.append({"path": fact.paths.get(found[0].path, found[0].path), "reason": f"does not fit FHIR R4: {found[0].expected}"})
        else:
            outcome.resources.append(resource)
    outcome.residue.extend({"path": left.path, "value": left.value} for left in mapped.residue)
    outcome.ignored.extend({"path": left.path, "rule": left.why} for left in mapped.ignored)
    outcome.refused.extend(_refused(left) for left in mapped.refused)


def _refused(left: Left) -> dict[str, str]:
    return {"path": left.path, "reason": left.why}


def _local_id(local: str) -> str:
    return "".join(c if c.isalnum() or c in "-." else "-" for c in local)[:64]


def run(paths: Sequence[str], mappings: Sequence[Mapping], now: str, *, wanted: str = "", as_json: bool = False) -> int:
    """Print what every file becomes. Exit code 0: all explained and taken; 1: something is left or refused; 2: nothing to read, or no such kind."""
    kinds = sorted({mapping.kind for mapping in mappings} | {mapping.name for mapping in mappings})
    if wanted and wanted not in kinds:
        return _cannot(f"no source sends the kind that --source names; there are {', '.join(kinds)}")
    code = GOOD
    try:
        files = list(files_in(paths))
        if not files:
            return _cannot("there are no files in what was named")
        for path in files:
            outcome = map_file(path, mappings, now, wanted)
            sys.stdout.write(_line(outcome) if as_json else _words(outcome))
            code = max(code, GOOD if outcome.clean else FOUND)
    except OSError as error:
        return _cannot(f"cannot read {error.filename or error}")
    return code


def _cannot(why: str) -> int:
    sys.stderr.write(f"ooievaar map: {why}\n")
    return FAILED


def _line(outcome: FileOutcome) -> str:
    return orjson.dumps({
        "file": outcome.file, "kind": outcome.kind, "mapping": outcome.mapping, "resources": outcome.resources,
        "residue": outcome.residue, "ignored": outcome.ignored, "refused": outcome.refused,
    }).decode() + "\n"


def _words(outcome: FileOutcome) -> str:
    lines = [f"{outcome.file}: {outcome.kind} {outcome.mapping}".rstrip()]
    for resource in outcome.resources:
        lines.append(f"  becomes  {resource['resourceType']:<22} {_gist(resource)}")
    lines.extend(f"  ignored  {row['path']:<22} {row['rule']}" for row in outcome.ignored)
    lines.extend(f"  LEFT     {row['path']:<22} {row['value'][:60]}" for row in outcome.residue)
    lines.extend(f"  REFUSED  {row['path']:<22} {row['reason']}" for row in outcome.refused)
    counts = f"{len(outcome.resources)} resources, {len(outcome.ignored)} ignored by rule, {len(outcome.residue)} left, {len(outcome.refused)} refused"
    return "\n".join([*lines, f"  = {counts}", ""])


def _gist(resource: dict[str, Any]) -> str:
    """One line that tells a reader which resource this is."""
    code = resource.get("code") or (resource.get("type") or [{}])[0] if isinstance(resource.get("type"), list) else resource.get("code") or {}
    coding = (code.get("coding") or [{}])[0] if isinstance(code, dict) else {}
    value = next((resource[k] for k in resource if k.startswith("value")), None)
    if isinstance(value, dict):
        value = value.get("text") or f"{value.get('value', '')} {value.get('unit', '')}".strip() or (value.get("coding") or [{}])[0].get("display", "")
    words = [str(coding.get("display") or coding.get("code") or ""), "" if value is None else str(value), str(resource.get("effectiveDateTime", ""))]
    return "  ".join(word for word in words if word)
