"""The policy engine: Cedar text in, an outcome out. The only module that knows Cedar.

Closed by default. A section opens only when Cedar says Allow and reports no error at all: in Cedar a forbid that meets a missing
attribute is skipped and reported, and the answer would be Allow. No decision, an unknown role or a fault of the engine raise
`EngineFault`, and the caller refuses. The release digest names exactly these policy texts; it goes into every decision and audit entry.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import cedarpy

from authz.reasons import REASONS, ROLE_HAS_NO_SECTION
from authz.roles import SECTIONS_OF_THE_DOOR
from fhir_profiles.errors import BirthCareError, Invalid

SCHEMA_FILE: Final = "schema.cedarschema"
POLICIES: Final = Path(__file__).parent / "policies"
_REMEMBERED: Final = 4096


class EngineFault(BirthCareError):
    """The engine could not decide: the door stays shut."""


class Facts(NamedTuple):
    """Everything a policy may look at, and so everything that the outcome can depend on: the key of the memory of outcomes."""

    role: str
    action: str
    own: bool
    purpose: str
    assurance: str
    relation: str
    consent: str


class Outcome(NamedTuple):
    """The answer for all sections of one question: which open, the reason code of each, and the ids of the policies that decided."""

    allowed: frozenset[str]
    reasons: Mapping[str, str]
    policies: tuple[str, ...]


class _Verdict(NamedTuple):
    open: bool
    reason: str
    policies: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rule:
    """One policy file: its id (the file's name), its effect, its reason code and the Dutch sentence that says it."""

    id: str
    opens: bool
    reason: str
    nl: str
    text: str


class PolicySet:
    """One release of the policies, parsed and checked once. Safe to use from several threads.

    `release` is the SHA-256 over the names and texts of all files. Raises `Invalid` when a file is not exactly one policy that carries
    `@id` (its own name), `@reason` (a known code) and `@nl`, or does not fit the schema: a broken release is never half used.
    """

    def __init__(self, files: Mapping[str, str], schema: str) -> None:
        self.rules = {name: _rule(name, text) for name, text in sorted(files.items())}
        self.release = _release({**files, SCHEMA_FILE: schema})
        try:
            self._schema = cedarpy.Schema.from_str(schema)
            self._handle = cedarpy.PolicySet.from_str("\n".join(rule.text for rule in self.rules.values()))
            self._nobody = cedarpy.Entities.from_json_str("[]")
            checked = cedarpy.validate_policies("\n".join(rule.text for rule in self.rules.values()), self._schema)
        except ValueError as error:
            raise Invalid("the policies or their schema cannot be read", code="policy-syntax") from error
        if not checked.validation_passed:
            raise Invalid("a policy does not fit the schema", code="policy-schema", path=str(checked.errors[0].policy_id))
        self.outcome: Callable[[Facts, tuple[str, ...]], Outcome] = functools.lru_cache(maxsize=_REMEMBERED)(self._outcome)
        """The outcome for these sections, remembered by every fact used; no fact names a client or a time. Raises `EngineFault`."""

    def _outcome(self, facts: Facts, sections: tuple[str, ...]) -> Outcome:
        # A section that nobody knows is asked of no policy: it is open to no role.
        known = tuple(section for section in sections if section in SECTIONS_OF_THE_DOOR)
        verdicts = dict(zip(known, self._ask_engine(facts, known), strict=True)) if known else {}
        reasons = {section: verdicts[section].reason if section in verdicts else ROLE_HAS_NO_SECTION for section in sections}
        policies = {rule for verdict in verdicts.values() for rule in verdict.policies}
        allowed = frozenset([section for section, verdict in verdicts.items() if verdict.open])
        return Outcome(allowed, MappingProxyType(reasons), tuple(sorted(policies)))

    def _ask_engine(self, facts: Facts, sections: tuple[str, ...]) -> tuple[_Verdict, ...]:
        """All sections in one batch: crossing into the engine costs more than deciding."""
        context = json.dumps({"own": facts.own, "purpose": facts.purpose, "assurance": facts.assurance, "relation": facts.relation,
                              "consent": facts.consent})
        requests = [{"principal": {"type": "Role", "id": facts.role}, "action": {"type": "Action", "id": facts.action},
                     "resource": {"type": "Section", "id": section}, "context": context} for section in sections]
        try:
            answers = cedarpy.is_authorized_batch(requests, self._handle, self._nobody, self._schema)
            if len(answers) != len(sections):
                raise EngineFault("the engine did not answer for every section", code="engine-error")
            return tuple(self._verdict(answer) for answer in answers)
        except EngineFault:
            raise
        except Exception as error:
            # Whatever goes wrong in or around the engine has one meaning: closed.
            raise EngineFault("the engine failed", code="engine-error") from error

    def _verdict(self, answer: cedarpy.AuthzResult) -> _Verdict:
        if answer.diagnostics.errors or answer.decision is cedarpy.Decision.NoDecision:
            raise EngineFault("the engine could not decide", code="engine-error")
        ids = tuple(sorted(answer.diagnostics.id_annotations_by_reason.values()))
        if not ids:
            return _Verdict(False, ROLE_HAS_NO_SECTION, ())
        # Forbids are numbered in the order in which they should be named: the first says best what is wrong.
        return _Verdict(answer.decision is cedarpy.Decision.Allow, self.rules[ids[0]].reason, ids)


def load_policies(directory: Path = POLICIES) -> PolicySet:
    """The release in a directory: every `*.cedar` file and the schema. Raises `Invalid` when there is none, or when one is broken."""
    try:
        schema = (directory / SCHEMA_FILE).read_text(encoding="utf-8")
        files = {path.stem: path.read_text(encoding="utf-8") for path in directory.glob("*.cedar")}
    except (OSError, UnicodeDecodeError) as error:
        raise Invalid("the policies cannot be read", code="policy-missing") from error
    if not files:
        raise Invalid("there are no policies", code="policy-missing")
    return PolicySet(files, schema)


def _rule(name: str, text: str) -> Rule:
    try:
        parsed: dict[str, Any] = json.loads(cedarpy.policies_to_json_str(text))
    except ValueError as error:
        raise Invalid("a policy cannot be read", code="policy-syntax", path=name) from error
    policies = list(parsed.get("staticPolicies", {}).values())
    if len(policies) != 1 or parsed.get("templates"):
        raise Invalid("a policy file holds exactly one policy", code="policy-count", path=name)
    notes: dict[str, str] = policies[0].get("annotations", {})
    opens = policies[0]["effect"] == "permit"
    reason = REASONS.get(notes.get("reason", ""))
    if notes.get("id") != name or not notes.get("nl") or reason is None or reason.opens is not opens:
        raise Invalid("a policy carries its file name as @id, a fitting @reason and a sentence in @nl", code="policy-notes", path=name)
    return Rule(name, opens, reason.code, notes["nl"], text)


def _release(files: Mapping[str, str]) -> str:
    """SHA-256 over the sorted names and texts, each with its length before it, line ends as LF."""
    hasher = hashlib.sha256()
    for name, text in sorted(files.items()):
        for part in (name.encode(), text.replace("\r\n", "\n").encode()):
            hasher.update(len(part).to_bytes(8, "big"))
            hasher.update(part)
    return hasher.hexdigest()
