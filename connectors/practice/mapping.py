"""From a prio1 transaction Bundle (FHIR STU3, XML or JSON) to facts in FHIR R4. Pure: bytes in, `Mapped` out.

Ids are new at every conversion, so they identify nothing: a fact is known again by (dossier, concept, time, focus), or by a business
identifier. Two facts of one Bundle that share all of that (two Hb without a time) are told apart by their order in the Bundle: the order
of a sender's own record survives a correction of a value, which a digest of the content would not.

A part that cannot be true waits, with its path and reason, and the rest goes on; see the README for the list. Loses: STU3 `related` of an
observation, contact persons and photo of a Patient (they are reported as residue).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Any, Final

from connectors.contract import Dossier, Fact, Facts, Left, Mapped, Person
from connectors.formats import fhir_stu3
from connectors.formats.days import utc
from connectors.formats.fhir_bundle import Entry
from connectors.formats.fhir_tree import Account, Draft, Ref, dicts, mark_unknown, start_of, text
from connectors.formats.fhir_values import concept_of, refuse_swapped, settle
from connectors.practice.bundle import Parcel, parcel_of
from connectors.practice.careteam import care_team, name_of
from connectors.practice.codes import LOCAL_CONCEPTS
from connectors.practice.dossiers import Dossiers, Sayings, dossier_of, find_dossiers
from connectors.practice.people import WOMAN, business_identifier, concepts_of, is_pregnancy, own_name
from fhir_profiles.errors import Invalid

_TAKEN_TYPES: Final = frozenset(fhir_stu3.SAME)
_TIMES: Final = ("effectiveDateTime", "onsetDateTime", "performedDateTime")
_PERIODS: Final = ("effectivePeriod", "onsetPeriod", "performedPeriod", "period")
_WITHDRAWN: Final = frozenset(("entered-in-error", "cancelled"))
_BUNDLE_RULES: Final = {"resourceType": "", "id": "transport", "meta": "transport", "type": "transport", "total": "transport",
                        "link": "transport",
                        "timestamp": "transport", "fullUrl": "transport", "request": "transport", "search": "transport"}
_CONCEPTS: Final = {"Patient": "patient", "Organization": "organization", "Practitioner": "practitioner",
                    "PractitionerRole": "practitioner-role",
                    "EpisodeOfCare": "dossier", "Encounter": "encounter"}

_BSN_SIGHT: Final = re.compile(
    rb"NamingSystem/bsn/?\"\s*/?\s*>\s*<value\s+value=\"([0-9]{8,9})\""
    rb"|NamingSystem/bsn/?\"\s*,\s*\"value\"\s*:\s*\"([0-9]{8,9})\""
    rb"|\"value\"\s*:\s*\"([0-9]{8,9})\"\s*,\s*\"system\"\s*:\s*\"http://fhir\.nl/fhir/NamingSystem/bsn")
_BSN_LENGTH: Final = 9


@dataclass(frozen=True, slots=True)
class PracticeMapping:
    """The mapping of what midwifery practices send."""

    name: str = "practice"
    version: int = 2
    kind: str = "fhir-stu3"

    def recognises(self, body: bytes) -> bool:
        """Whether the bytes look like a transaction Bundle."""
        head = body[:4096]
        return b"Bundle" in head and b"transaction" in head and head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"<", b"{")

    def peek_bsn(self, body: bytes) -> str | None:
        """The digits of the only BSN in the message, seen without parsing; None when there is none or more than one."""
        found = {next(filter(None, match.groups())).zfill(_BSN_LENGTH) for match in _BSN_SIGHT.finditer(body)}
        return found.pop().decode() if len(found) == 1 else None

    def to_fhir(self, body: bytes, facts: Facts) -> Mapped:
        """All that the message says. Raises `Invalid`, `Unsupported` or `TooLarge` when it cannot be taken as a whole."""
        return _Reading(parcel_of(body, facts.media_type), facts).mapped()


@dataclass(slots=True)
class _Made:
    """A draft that holds, with all that a fact needs."""

    entry: Entry
    draft: Draft
    concept: str
    about: str
    dossier: str
    local: str
    effective: str


@dataclass(slots=True)
class _Reading:
    """One Bundle on its way to facts."""

    parcel: Parcel
    facts: Facts
    refused: dict[str, Left] = field(default_factory=dict)
    ignored: list[Left] = field(default_factory=list)
    skipped: set[int] = field(default_factory=set)
    made: list[_Made] = field(default_factory=list)
    locals_of: dict[int, str] = field(default_factory=dict)
    outside: set[str] = field(default_factory=set)
    child_keys: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def mapped(self) -> Mapped:
        """The whole: drafts first, then the dossiers they speak of, then facts, then the account of every leaf."""
        found = find_dossiers(self.parcel.entries, self.parcel.index)
        for entry in self.parcel.entries:
            self._try(entry, found)
        dossiers = self._dossiers(found)
        self.child_keys = self._children(dossiers)
        facts = self._once(self._facts(dossiers, found))
        people = self._people()
        residue, ignored = self._account(facts)
        return Mapped(people, tuple(dossiers.values()), facts, residue, ignored, tuple(self.refused.values()))

    def _try(self, entry: Entry, found: Dossiers) -> None:
        if entry.kind == "Composition":
            self._skip(entry, "composition")
        elif entry.kind not in _TAKEN_TYPES:
            self._refuse(entry, Invalid("the hub does not take this type of resource yet", path=entry.at, code="resource-unknown"))
        else:
            try:
                self.made.append(self._make(entry, found))
            except Invalid as refusal:
                self._refuse(entry, refusal)

    def _skip(self, entry: Entry, rule: str) -> None:
        self.skipped.add(entry.place)
        self.ignored.append(Left(entry.at, rule))

    def _refuse(self, entry: Entry, refusal: Invalid) -> None:
        self.refused[entry.at] = Left(refusal.path or entry.at, refusal.public, refusal.code)

    def _make(self, entry: Entry, found: Dossiers) -> _Made:
        draft = fhir_stu3.draft_of(entry.resource, entry.at, self.facts.received_at)
        concept = self._concept(draft)
        about = self._about(draft, entry)
        dossier = found.of(draft, entry) if entry.kind in ("EpisodeOfCare", "Condition", "Procedure", "Observation", "Encounter") else ""
        is_dossier = entry.place in found.local_of
        local = about if entry.kind == "Patient" else dossier if is_dossier else f"{entry.kind}-{entry.place}"
        self.locals_of[entry.place] = local
        return _Made(entry, draft, concept, about, dossier, local, effective_of(draft.resource))

    def _concept(self, draft: Draft) -> str:
        match draft.kind:
            case "Observation":
                concept = concept_of(dicts(draft.resource["code"].get("coding")), LOCAL_CONCEPTS, f"{draft.at}.code")
                if draft.resource["status"] not in _WITHDRAWN:
                    settle(draft, concept)
                return concept.name
            case "Condition":
                refuse_swapped(dicts(draft.resource["code"].get("coding")), f"{draft.at}.code")
                if is_pregnancy(draft.resource):
                    return "pregnancy"
                return "multiple-pregnancy" if "multiple-pregnancy" in concepts_of(draft.resource) else "problem"
            case "Procedure":
                return next((c for c in ("birth", "delivery") if c in concepts_of(draft.resource)), "procedure")
        return _CONCEPTS[draft.kind]

    def _about(self, draft: Draft, entry: Entry) -> str:
        cast = self.parcel.cast
        if entry.kind == "Patient":
            who = cast.locals.get(own_name(entry), "")
        elif entry.kind in ("Organization", "Practitioner", "PractitionerRole"):
            return WOMAN
        else:
            who = cast.who(draft.subject.says) if draft.subject is not None else ""
        if not who:
            raise Invalid("it is not said whom this is about, or it is somebody else", path=entry.at, code="person-unknown")
        return who

    def _dossiers(self, found: Dossiers) -> dict[str, Dossier]:
        said = {local: Sayings() for local in found.keys}
        for made in self.made:
            if made.dossier in said and made.entry.kind == "Observation" and made.draft.resource["status"] not in _WITHDRAWN:
                said[made.dossier].hear(made.concept, made.draft.resource, made.effective)
        entries = {found.local_of[e.place]: e for e in self.parcel.entries if e.place in found.local_of}
        dossiers = {local: dossier_of(local, entry, said[local]) for local, entry in entries.items()}
        found.keys = {local: dossier.key for local, dossier in dossiers.items()}
        return dossiers

    def _facts(self, dossiers: dict[str, Dossier], found: Dossiers) -> list[tuple[Entry, Fact]]:
        version = self._version()
        facts: list[tuple[Entry, Fact]] = []
        for made in self.made:
            if made.entry.kind in ("Practitioner", "Organization") and len(made.draft.resource) == 1:
                self._skip(made.entry, "empty-resource")
                self.locals_of.pop(made.entry.place, None)
        for made in self.made:
            if made.entry.place not in self.skipped:
                facts.append((made.entry, self._fact(made, found, version)))
        for made in self.made:
            if made.entry.kind == "EpisodeOfCare" and made.dossier:
                team = care_team(made.draft, made.entry, self.parcel.entries, self.parcel.index, self.locals_of, self.facts, version,
                                 "/".join(dossiers[made.dossier].key))
                facts.append((made.entry, replace(team, dossier=made.dossier)))
        return facts

    def _fact(self, made: _Made, found: Dossiers, version: str) -> Fact:
        links: dict[str, str] = {}
        for ref in [*made.draft.refs, *([made.draft.focus] if made.draft.focus else [])]:
            self._link(made, ref, links)
        for put_in, to in ((made.draft.subject, "subject"), (made.draft.context, "context")):
            if put_in is not None:
                made.draft.paths[f"{to}.reference"] = put_in.at
        context = self.parcel.index.find(made.draft.context.says) if made.draft.context else None
        if context is not None and context.kind == "Encounter" and context.place in self.locals_of:
            links["encounter"] = self.locals_of[context.place]
        status = text(made.draft.resource.get("status"))
        verification = made.draft.paths.get("verificationStatus.coding.0.code")
        withdrawn = status in _WITHDRAWN if made.entry.kind in ("Observation", "Procedure") else status == "entered-in-error"
        if verification and made.entry.resource.get("verificationStatus") == "entered-in-error":
            withdrawn = True
        return Fact(made.draft.resource, made.about, self._identity(made, found), version, made.concept, made.effective, made.dossier,
                    made.local,
                    links, made.draft.paths, withdrawn)

    def _link(self, made: _Made, ref: Ref, links: dict[str, str]) -> None:
        target = self.parcel.index.find(ref.says)
        local = self.locals_of.get(target.place, "") if target is not None else self.parcel.cast.who(ref.says)
        if local:
            links[ref.to] = local
            made.draft.paths[f"{ref.to}.reference"] = ref.at
        else:
            self.outside.add(ref.at)
            if ref is not made.draft.focus:
                mark_unknown(made.draft.resource, ref.to)

    def _identity(self, made: _Made, found: Dossiers) -> tuple[str, ...]:
        dossier = "/".join(found.keys.get(made.dossier, ()))
        match made.entry.kind:
            case "Patient":
                return ("patient", *self.child_keys.get(made.about, ()))
            case "EpisodeOfCare":
                return ("dossier", dossier)
            case "Organization" | "Practitioner" | "PractitionerRole":
                return (made.entry.kind, *self._who_identity(made.entry))
        business = business_identifier(made.entry.resource)
        if business:
            return (made.concept, "identifier", *business)
        what = "" if made.concept not in ("problem", "procedure") else _code_text(made.draft.resource)
        timeless = made.concept in ("pregnancy", "delivery", "birth")
        return (made.concept, dossier, "" if timeless else made.effective, self._who(made.about), what, self._focus(made))

    def _focus(self, made: _Made) -> str:
        """What an observation is about, by what knows that again; the pregnancy itself is in the dossier already."""
        entry = self.parcel.index.find(made.draft.focus.says) if made.draft.focus else None
        target = next((m for m in self.made if m.entry is entry), None) if entry is not None else None
        if target is None or target.concept == "pregnancy":
            return ""
        return f"{target.concept}/{self._who(target.about)}"

    def _who(self, local: str) -> str:
        return "/".join(self.child_keys.get(local, ()))

    def _who_identity(self, entry: Entry) -> tuple[str, ...]:
        business = business_identifier(entry.resource)
        if business:
            return business
        if entry.kind == "PractitionerRole":
            parts = [self.parcel.index.find(text(r.get("reference"))) for k in ("practitioner",
                                                                                "organization") for r in dicts(entry.resource.get(k))]
            return ("role", *(part for e in parts if e is not None for part in self._who_identity(e)))
        name = name_of(entry)[0] or text(entry.resource.get("name"))
        return ("name", name) if name else ("unnamed",)

    def _children(self, dossiers: dict[str, Dossier]) -> dict[str, tuple[str, ...]]:
        """What knows each child again: the dossier of its birth, and its place among the children of that dossier."""
        keys: dict[str, tuple[str, ...]] = {}
        for place, _ in enumerate(self.parcel.cast.children):
            local = f"child-{place}"
            dossier = next((m.dossier for m in self.made if m.about == local and m.dossier), "")
            before = dossiers[dossier].key if dossier in dossiers else ()
            turn = sum(1 for key in keys.values() if key[: len(before)] == before and len(key) == len(before) + 2)
            keys[local] = (*before, "child", str(turn))
        return keys

    def _people(self) -> tuple[Person, ...]:
        cast = self.parcel.cast
        bsn = cast.bsns.get(cast.woman)
        people = [Person(WOMAN, "woman", bsn, () if bsn else self._own_number())]
        for place, name in enumerate(cast.children):
            people.append(Person(f"child-{place}", "child", cast.bsns.get(name), self.child_keys[f"child-{place}"]))
        return tuple(people)

    def _own_number(self) -> tuple[str, ...]:
        entry = next((m.entry for m in self.made if m.entry.kind == "Patient" and m.about == WOMAN), None)
        if entry is None:
            return ()
        return business_identifier(entry.resource)

    def _version(self) -> str:
        """When the sender says it wrote this, in UTC; never later than it was received, or a clock that runs ahead would block what
        follows."""
        received = utc(self.facts.received_at) or self.facts.received_at
        said = next((utc(text(e.resource.get("date"))) for e in self.parcel.entries if e.kind == "Composition"), "")
        return min(said, received) if said else received

    def _once(self, facts: list[tuple[Entry, Fact]]) -> tuple[Fact, ...]:
        """Tell apart facts that share an identity; what says the same twice is said once."""
        kept: dict[tuple[str, ...], Fact] = {}
        for entry, fact in facts:
            identity, turn = (fact.resource["resourceType"], *fact.identity), 1
            while (held := kept.get(identity)) is not None and held.resource != fact.resource:
                turn += 1
                identity = (fact.resource["resourceType"], *fact.identity, str(turn))
            if held is not None:
                self._skip(entry, "said-twice")
            elif turn > 1 and entry.kind == "Patient":
                self._refuse(entry, Invalid("one person is described twice, differently", path=entry.at, code="patient-twice"))
            else:
                kept[identity] = replace(fact, identity=identity[1:])
        return tuple(kept.values())

    def _account(self, facts: tuple[Fact, ...]) -> tuple[tuple[Left, ...], tuple[Left, ...]]:
        taken = {at for fact in facts for at in fact.paths.values()}
        account = Account(taken, self.refused, fhir_stu3.ignored, self.outside)
        account.ignored.extend(self.ignored)
        for key, value in self.parcel.bundle.items():
            if key != "entry":
                _account_for(account, key, value, "Bundle")
        for entry, raw in zip(self.parcel.entries, self.parcel.bundle["entry"], strict=True):
            for key, value in raw.items():
                if key != "resource":
                    _account_for(account, key, value, f"Bundle.entry[{entry.place}]")
            if entry.place not in self.skipped:
                account.resource(entry.resource, entry.at)
        return tuple(account.residue), tuple(account.ignored)


def _account_for(account: Account, key: str, value: Any, at: str) -> None:
    rule = _BUNDLE_RULES.get(key)
    if rule:
        account.ignored.append(Left(f"{at}.{key}", rule))
    elif rule is None:
        account.below(value, f"{at}.{key}")


def effective_of(resource: dict[str, Any]) -> str:
    """The clinical time of a resource as precise as given, empty when it has none."""
    return next((text(resource[t]) for t in _TIMES if t in resource),
                "") or next((start_of(resource[p]) for p in _PERIODS if p in resource), "")


def _code_text(resource: dict[str, Any]) -> str:
    code = resource["code"]
    codings = sorted(f"{text(c.get('system'))}|{text(c.get('code'))}" for c in dicts(code.get("coding")))
    return codings[0] if codings else text(code.get("text"))
