"""From a page of Epic's FHIR R4 (a searchset or collection Bundle, or one resource) to facts. Pure: bytes in, `Mapped` out.

Epic's ids are stable, so a fact is known again by type and id, and `meta.lastUpdated` orders its versions. A page is about one woman. A
dossier is her pregnancy Condition; an observation belongs to it when its `focus` says so, else the mapper places it by date.
What cannot be true waits with its path and reason, and the rest goes on. Contact persons and photo of a Patient are reported as residue.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Any, Final

from connectors.contract import Dossier, Fact, Facts, Left, Mapped, Person
from connectors.epic.codes import CONCEPT_OF_TYPE, MULTIPLE_PREGNANCY, PREGNANCY_CODES, WITHDRAWN
from connectors.formats import fhir_r4, fhir_stu3
from connectors.formats.days import utc
from connectors.formats.fhir_bundle import Entry, Index, entries_of, one_system, read_tree
from connectors.formats.fhir_tree import Account, Draft, Ref, dicts, mark_unknown, start_of, text
from connectors.formats.fhir_values import concept_of, refuse_swapped, settle
from fhir_profiles import codes
from fhir_profiles.errors import Invalid, Unsupported
from fhir_profiles.identifiers import BSN_SYSTEM, URA_SYSTEM, Bsn

WOMAN: Final = "woman"
_TYPES: Final = frozenset(fhir_r4.SAME)
_ABOUT_NOBODY: Final = frozenset(("Patient", "Organization", "Practitioner", "PractitionerRole", "OperationOutcome"))
_TIMES: Final = ("effectiveDateTime", "effectiveInstant", "onsetDateTime", "authoredOn", "dateAsserted")
_PERIODS: Final = ("effectivePeriod", "onsetPeriod", "period")
_TRANSPORT: Final = frozenset(("id", "meta", "type", "total", "link", "timestamp", "fullUrl", "search", "request", "response"))
_YOUNGEST_YEARS: Final = 10
_BSN_SIGHT: Final = re.compile(
    rb"NamingSystem/bsn/?\"\s*,\s*\"value\"\s*:\s*\"([0-9]{8,9})\""
    rb"|\"value\"\s*:\s*\"([0-9]{8,9})\"\s*,\s*\"system\"\s*:\s*\"http://fhir\.nl/fhir/NamingSystem/bsn")
_BSN_LENGTH: Final = 9


@dataclass(frozen=True, slots=True)
class EpicMapping:
    """The mapping of what is pulled from Epic."""

    name: str = "epic"
    version: int = 1
    kind: str = "fhir-r4"

    def recognises(self, body: bytes) -> bool:
        """Whether the bytes look like a FHIR resource in JSON that is not a transaction."""
        head = body[:4096]
        return head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"{" and b'"resourceType"' in head and b'"transaction"' not in head

    def peek_bsn(self, body: bytes) -> str | None:
        """The digits of the only BSN in the page, seen without parsing; None when there is none or more than one."""
        found = {next(filter(None, match.groups())).zfill(_BSN_LENGTH) for match in _BSN_SIGHT.finditer(body)}
        return found.pop().decode() if len(found) == 1 else None

    def to_fhir(self, body: bytes, facts: Facts) -> Mapped:
        """All that the page says. Raises `Invalid`, `Unsupported` or `TooLarge` when it cannot be taken as a whole."""
        tree = read_tree(body, facts.media_type)
        entries = _entries(tree)
        for entry in entries:
            fhir_r4.check_version(entry.resource, entry.at)
        return _Page(tree, entries, Index(entries), facts).mapped()


def _entries(tree: dict[str, Any]) -> tuple[Entry, ...]:
    if tree["resourceType"] != "Bundle":
        return (Entry(0, str(tree["resourceType"])[:64], tree),)
    if tree.get("type") not in ("searchset", "collection"):
        raise Unsupported("a Bundle of type searchset or collection is asked for here", path="Bundle.type", code="bundle-type")
    return entries_of(tree)


@dataclass(slots=True)
class _Made:
    """A draft that holds, with what a fact needs."""

    entry: Entry
    draft: Draft
    concept: str
    local: str
    effective: str
    dossier: str = ""


@dataclass(slots=True)
class _Page:
    """One page on its way to facts."""

    tree: dict[str, Any]
    entries: tuple[Entry, ...]
    index: Index
    facts: Facts
    refused: dict[str, Left] = field(default_factory=dict)
    skipped: dict[int, str] = field(default_factory=dict)
    made: list[_Made] = field(default_factory=list)
    outside: set[str] = field(default_factory=set)

    def mapped(self) -> Mapped:
        """Drafts first, then the dossiers they speak of, then facts, then the account of every leaf."""
        woman = woman_of(self.entries, self.index, self.facts.received_at)
        if woman is None:
            residue, ignored = self._account(())
            return Mapped(residue=residue, ignored=ignored)
        for entry in self.entries:
            self._try(entry)
        dossiers = self._dossiers()
        facts = tuple(self._fact(made) for made in self.made) + tuple(self._team(dossier) for dossier in dossiers)
        facts = _newest(facts)
        residue, ignored = self._account(facts)
        return Mapped((woman,), dossiers, facts, residue, ignored, tuple(self.refused.values()))

    def _try(self, entry: Entry) -> None:
        if entry.kind == "OperationOutcome":
            self.skipped[entry.place] = "search-outcome"
            return
        try:
            if entry.kind not in _TYPES:
                raise Invalid("the hub does not take this type of resource yet", path=entry.at, code="resource-unknown")
            if not text(entry.resource.get("id")):
                raise Invalid("a resource has no id", path=entry.at, code="id-missing")
            draft = fhir_r4.draft_of(entry.resource, entry.at, self.facts.received_at)
            if entry.kind not in _ABOUT_NOBODY and draft.subject is None:
                raise Invalid("it is not said whom this is about", path=entry.at, code="person-unknown")
            local = WOMAN if entry.kind == "Patient" else f"{entry.kind}-{entry.place}"
            self.made.append(_Made(entry, draft, self._concept(draft), local, _effective(draft.resource)))
        except Invalid as refusal:
            self.refused[entry.at] = Left(refusal.path or entry.at, refusal.public, refusal.code)

    def _concept(self, draft: Draft) -> str:
        if draft.kind == "Observation":
            concept = concept_of(dicts(draft.resource["code"].get("coding")), {}, f"{draft.at}.code")
            if draft.resource["status"] not in WITHDRAWN:
                settle(draft, concept)
            return concept.name
        if draft.kind == "Condition":
            codings = dicts(draft.resource["code"].get("coding"))
            refuse_swapped(codings, f"{draft.at}.code")
            said = {text(c.get("code")) for c in codings if c.get("system") == codes.SNOMED}
            return "pregnancy" if said & PREGNANCY_CODES else "multiple-pregnancy" if MULTIPLE_PREGNANCY in said else "problem"
        return CONCEPT_OF_TYPE[draft.kind]

    def _dossiers(self) -> tuple[Dossier, ...]:
        pregnancies = {m.entry.place: m for m in self.made if m.concept == "pregnancy" and not _withdrawn(m)}
        for made in self.made:
            target = self.index.find(made.draft.focus.says) if made.draft.focus else None
            if made.entry.place in pregnancies:
                made.dossier = made.local
            elif target is not None and target.place in pregnancies:
                made.dossier = pregnancies[target.place].local
        return tuple(self._dossier(made) for made in pregnancies.values())

    def _dossier(self, pregnancy: _Made) -> Dossier:
        said = [m for m in self.made if m.dossier == pregnancy.local and m.entry.kind == "Observation" and not _withdrawn(m)]
        due = [(m.concept == "due-date-definitive", m.effective, text(m.draft.resource.get("valueDateTime"))) for m in said
               if m.concept in ("due-date", "due-date-definitive") and text(m.draft.resource.get("valueDateTime"))]
        counted = {m.draft.resource["valueInteger"] for m in said if m.concept == "gravidity" and "valueInteger" in m.draft.resource}
        resource = pregnancy.draft.resource
        clinical = resource.get("clinicalStatus")
        status = next((text(c.get("code")) for c in dicts(clinical.get("coding"))), "active") if isinstance(clinical, dict) else "active"
        ended = text(resource.get("abatementDateTime")) or start_of(resource.get("abatementPeriod"))
        return Dossier(
            pregnancy.local, ("Condition", str(pregnancy.entry.resource["id"])), "active" if status in ("active", "recurrence",
                                                                                                        "relapse") else "finished",
            due=max(due)[2] if due else "", gravidity=counted.pop() if len(counted) == 1 else None, started=pregnancy.effective,
            ended=ended,
        )

    def _fact(self, made: _Made) -> Fact:
        links: dict[str, str] = {}
        draft = made.draft
        for ref in [*draft.refs, *([draft.focus] if draft.focus else []), *([draft.context] if draft.context else [])]:
            self._link(draft, ref, links, put_in=ref is draft.focus or ref is draft.context)
        if draft.subject is not None:
            draft.paths["subject.reference"] = draft.subject.at
        for name in ("id", "meta.lastUpdated", "meta.versionId"):
            draft.paths[f"source.{name}"] = f"{draft.at}.{name}"
        return Fact(draft.resource, WOMAN, (made.entry.kind, str(made.entry.resource["id"])), self._version(made.entry), made.concept,
                    made.effective, made.dossier, made.local, links, draft.paths, _withdrawn(made))

    def _link(self, draft: Draft, ref: Ref, links: dict[str, str], *, put_in: bool) -> None:
        target = self.index.find(ref.says)
        local = next((m.local for m in self.made if m.entry is target), "") if target is not None else ""
        if local:
            links[ref.to] = local
            draft.paths[f"{ref.to}.reference"] = ref.at
        else:
            self.outside.add(ref.at)
            if not put_in:
                mark_unknown(draft.resource, ref.to)

    def _team(self, dossier: Dossier) -> Fact:
        """The care team of a hospital's dossier: the hospital itself, by the URA that it is registered with."""
        made = next(m for m in self.made if m.local == dossier.local)
        own = {"identifier": {"system": URA_SYSTEM, "value": self.facts.ura}, "display": self.facts.organisation}
        team: dict[str, Any] = {
            "resourceType": "CareTeam", "status": "active" if dossier.status == "active" else "inactive", "managingOrganization": [own],
            "participant": [{"member": {**own, "type": "Organization"}}],
        }
        period = {name: value for name, value in (("start", dossier.started), ("end", dossier.ended)) if value}
        if period:
            team["period"] = period
        paths = {"status": next((at for to, at in made.draft.paths.items() if to.startswith("clinicalStatus")), made.entry.at)}
        return Fact(team, WOMAN, ("care-team", *dossier.key), self._version(made.entry), "care-team", dossier.started, dossier.local,
                    paths=paths)

    def _version(self, entry: Entry) -> str:
        meta = entry.resource.get("meta")
        received = utc(self.facts.received_at) or self.facts.received_at
        said = utc(text(meta.get("lastUpdated"))) if isinstance(meta, dict) else ""
        return said or received

    def _account(self, facts: tuple[Fact, ...]) -> tuple[tuple[Left, ...], tuple[Left, ...]]:
        account = Account({at for fact in facts for at in fact.paths.values()}, self.refused, _ignored, self.outside)
        if self.tree["resourceType"] == "Bundle":
            for key, value in self.tree.items():
                if key not in ("entry", "resourceType"):
                    _transport(account, key, value, "Bundle")
            for place, raw in enumerate(self.tree.get("entry", [])):
                for key, value in raw.items():
                    if key != "resource":
                        _transport(account, key, value, f"Bundle.entry[{place}]")
        for entry in self.entries:
            rule = self.skipped.get(entry.place) or ("" if facts or self.refused else "no-person")
            if rule:
                account.ignored.append(Left(entry.at, rule))
            else:
                account.resource(entry.resource, entry.at)
        return tuple(account.residue), tuple(account.ignored)


def woman_of(entries: tuple[Entry, ...], index: Index, received_at: str) -> Person | None:
    """The one woman of a page, None when the page is about nobody. Raises `Invalid` two-persons, bsn-check, bsn-format or not-a-client."""
    found: dict[tuple[str, ...], Person] = {}
    for entry in entries:
        if entry.kind == "Patient":
            _check_client(entry, received_at)
            person = Person(WOMAN, "woman", _bsn_of(entry), ("Patient", text(entry.resource.get("id"))))
            found[person.key] = person
        elif entry.kind not in _ABOUT_NOBODY:
            for reference in dicts(entry.resource.get(fhir_r4.SUBJECT.get(entry.kind, "subject"))):
                says = text(reference.get("reference"))
                target = index.find(says)
                name = text(target.resource.get("id")) if target is not None else says.split("/_history/")[0].rsplit("/", 1)[-1]
                if name:
                    found.setdefault(("Patient", name), Person(WOMAN, "woman", None, ("Patient", name)))
    if len(found) > 1:
        raise Invalid("the page is about more than one person", path="Bundle", code="two-persons")
    return next(iter(found.values()), None)


def _bsn_of(entry: Entry) -> Bsn | None:
    found: set[str] = set()
    for place, identifier in enumerate(dicts(entry.resource.get("identifier"))):
        if one_system(text(identifier.get("system"))) == BSN_SYSTEM and text(identifier.get("value")):
            try:
                found.add(Bsn(identifier["value"]).reveal())
            except Invalid as error:
                raise Invalid(error.public, path=f"{entry.at}.identifier[{place}].value", code=error.code) from None
    if len(found) > 1:
        raise Invalid("one person has two BSNs", path=f"{entry.at}.identifier", code="two-persons")
    return Bsn(found.pop()) if found else None


def _check_client(entry: Entry, received_at: str) -> None:
    """A newborn or a man has a record of his own in Epic, and no pregnancy plan: his page waits until someone says whose it is."""
    born = text(entry.resource.get("birthDate"))[:4]
    young = born.isdigit() and int(received_at[:4]) - int(born) < _YOUNGEST_YEARS
    if young or entry.resource.get("gender") == "male":
        raise Invalid("this person cannot be the woman of a plan", path=entry.at, code="not-a-client")


def _withdrawn(made: _Made) -> bool:
    resource = made.draft.resource
    status = text(resource.get("status"))
    verification = resource.get("verificationStatus")
    codings = dicts(verification.get("coding")) if isinstance(verification, dict) else []
    return (status in WITHDRAWN if made.entry.kind == "Observation" else status == "entered-in-error") \
        or any(c.get("code") == "entered-in-error" for c in codings)


def _effective(resource: dict[str, Any]) -> str:
    return next((text(resource[t]) for t in _TIMES if t in resource),
                "") or next((start_of(resource[p]) for p in _PERIODS if p in resource), "")


def _newest(facts: tuple[Fact, ...]) -> tuple[Fact, ...]:
    """One fact for each identity: a page may hold a resource twice, once found and once included, and then the later version counts."""
    kept: dict[tuple[str, ...], Fact] = {}
    for fact in facts:
        held = kept.get(fact.identity)
        if held is None or fact.version > held.version:
            kept[fact.identity] = replace(fact, paths={**(held.paths if held else {}), **fact.paths})
    return tuple(kept.values())


def _ignored(key: str, resource: dict[str, Any]) -> str:
    if key == "id":
        return ""  # It is what knows the fact again.
    if key == "meta":
        # Labels of confidentiality and the like are not ours to drop.
        return "" if {"tag", "security"} & set(resource["meta"] if isinstance(resource["meta"], dict) else ()) else "version"
    return fhir_stu3.ignored(key, resource)


def _transport(account: Account, key: str, value: Any, at: str) -> None:
    if key in _TRANSPORT:
        account.ignored.append(Left(f"{at}.{key}", "transport"))
    else:
        account.below(value, f"{at}.{key}")
