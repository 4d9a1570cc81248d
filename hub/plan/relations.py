"""Which organisations have a treatment relation (behandelrelatie) with a pregnancy, as the sources' own resources show it. Pure.

- dossier: an EpisodeOfCare that the organisation manages, or a care team that it leads;
- encounter: a contact or stay that it provides.
Only the newest version of a resource counts; withdrawn, cancelled and entered-in-error give nothing. A resource that names no
organisation speaks for the organisation that sent it; one that names an organisation which cannot be known gives nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from hub.plan.state import Version
from hub.plan.store import Relation

CONCEPTS: Final = frozenset({"dossier", "care-team", "encounter", "organization"})
"""Concepts whose events can change a treatment relation."""

_NONE: Final = frozenset({"entered-in-error", "cancelled", "proposed", "suspended"})
_OVER: Final = frozenset({"finished", "inactive", "ended", "discharged"})


def newest(versions: Iterable[tuple[str, Version]]) -> dict[str, tuple[str, Version]]:
    """Identity → (episode, newest version). What one source says of a resource later wins; ties are broken the same way everywhere."""
    found: dict[str, tuple[str, Version]] = {}
    for episode, version in versions:
        known = found.get(version.identity)
        if known is None or order(version) > order(known[1]):
            found[version.identity] = (episode, version)
    return found


def order(version: Version) -> tuple[str, str, str]:
    """What makes one version of a resource later than another."""
    return version.version, version.recorded, version.event


def relations(subject: str, versions: Iterable[tuple[str, Version]]) -> list[Relation]:
    """A woman's treatment relations from the versions (with their pregnancies) of her front and care-team sections; one an organisation."""
    current = newest(versions)
    uras = {v.item["id"]: v.item["ura"] for _, v in current.values() if v.concept == "organization" and {"id", "ura"} <= v.item.keys()}
    shown: dict[tuple[str, str], list[Relation]] = {}
    for episode, version in current.values():
        relation = _relation(subject, episode, version, uras)
        if relation is not None:
            shown.setdefault((episode, relation.ura), []).append(relation)
    return [_together(shown[key]) for key in sorted(shown)]


def _relation(subject: str, episode: str, version: Version, uras: dict[str, str]) -> Relation | None:
    item = version.item
    if version.withdrawn or version.concept not in CONCEPTS or version.concept == "organization" or item.get("status") in _NONE:
        return None
    ura = organisation_of(item.get("org"), uras, version.source)
    if not ura:
        return None
    since = str(item.get("start") or version.effective)[:10]
    until = str(item.get("end") or "")[:10]
    if not until and item.get("status") in _OVER:
        # Over, and nobody said when: the day on which the source told us is the last that it can be.
        until = version.recorded[:10]
    return Relation(subject, episode, ura, "encounter" if version.concept == "encounter" else "dossier", since, until)


def organisation_of(org: Any, uras: dict[str, str], source: str) -> str:
    """The URA that a reference names, through the organisations that are known; the sender's own when nothing is named."""
    if not org:
        return source.rpartition("/")[2]
    return str(org[1] or uras.get(org[0], ""))


def _together(shown: list[Relation]) -> Relation:
    """One organisation's evidence as one relation: what runs goes before what is over, a dossier before an encounter, late before early."""
    best = max(shown, key=lambda r: (not r.until, r.kind == "dossier", r.until, r.since))
    same = [r.since for r in shown if r.kind == best.kind and r.since]
    return best._replace(since=min(same, default=""))
