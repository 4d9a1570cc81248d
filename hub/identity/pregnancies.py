"""Which pregnancy a dossier or a fact belongs to. Pure functions over what is known of one woman.

Each organisation keeps a dossier of its own for the same pregnancy. A dossier that is new joins a pregnancy of the same woman when
both can be one: neither is over while the other runs on, due dates lie within `TOLERANCE_DAYS`, numbers of the pregnancy differ by
at most one (sources count a miscarriage differently). Otherwise it begins a pregnancy of its own, so an earlier pregnancy stays apart.

Source: shared birth-care dataset 3.2, EpisodeOfCare per organisation (bc-MaternalRecord); the tolerance is our own and waits for a
clinical owner.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from functools import lru_cache
from typing import Any, Final

from fhir_profiles.identifiers import digest

TOLERANCE_DAYS: Final = 42
"""Two due dates further apart than this are two pregnancies: six weeks, less than the shortest gap between two."""

BEFORE_DUE_DAYS: Final = 300
AFTER_DUE_DAYS: Final = 84
"""A fact belongs to the pregnancy from 20 days before conception to six weeks after a birth at 42 weeks."""


@dataclass(frozen=True, slots=True)
class Pregnancy:
    """One pregnancy as the dossiers describe it; dates are ISO text as precise as given, "" when not said."""

    episode: str
    status: str
    due: str = ""
    gravidity: int | None = None
    started: str = ""
    ended: str = ""


@dataclass(frozen=True, slots=True)
class WomanState:
    """What is known of one woman's pregnancies, and which dossier belongs to which."""

    pregnancies: tuple[Pregnancy, ...] = ()
    dossiers: dict[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """As plain data, for the sealed row."""
        rows = [[p.episode, p.status, p.due, p.gravidity, p.started, p.ended] for p in self.pregnancies]
        return {"pregnancies": rows, "dossiers": self.dossiers}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> WomanState:
        """What `to_json` wrote."""
        return cls(tuple(Pregnancy(*row) for row in data["pregnancies"]), dict(data["dossiers"]))


@dataclass(frozen=True, slots=True)
class Joined:
    """The outcome for one dossier: the pregnancy, the new state, and why, when the link is new."""

    state: WomanState
    episode: str
    why: str = ""


def join(state: WomanState, subject: str, dossier_id: str, said: Pregnancy) -> Joined:
    """Find or begin the pregnancy of a dossier. `said` carries what the dossier says; its `episode` is not looked at."""
    known = state.dossiers.get(dossier_id)
    if known is not None:
        return Joined(_updated(state, known, said), known)
    match, why = _match(state.pregnancies, said)
    episode = match.episode if match else digest("pregnancy", subject, dossier_id)
    if match is None:
        state = replace(state, pregnancies=(*state.pregnancies, replace(said, episode=episode)))
    state = replace(state, dossiers={**state.dossiers, dossier_id: episode})
    return Joined(_updated(state, episode, said), episode, why)


def _match(pregnancies: tuple[Pregnancy, ...], said: Pregnancy) -> tuple[Pregnancy | None, str]:
    fitting = [(reason, p) for p in pregnancies if (reason := _same(p, said))]
    if len(fitting) == 1:
        reason, pregnancy = fitting[0]
        return pregnancy, reason
    # Two that fit equally well are not guessed between: the dossier stays apart until someone decides.
    return None, "no pregnancy fits" if not fitting else "several pregnancies fit"


def _same(one: Pregnancy, two: Pregnancy) -> str:
    """Why two may be one pregnancy; empty when they may not."""
    if one.gravidity is not None and two.gravidity is not None and abs(one.gravidity - two.gravidity) > 1:
        return ""
    gap = _days_apart(one.due or one.ended, two.due or two.ended)
    if gap is not None:
        return f"expected dates {gap} days apart" if gap <= TOLERANCE_DAYS else ""
    if one.gravidity is not None and one.gravidity == two.gravidity:
        return "same number of pregnancy"
    return "both are running" if one.status == two.status == "active" else ""


def _days_apart(one: str, two: str) -> int | None:
    first, second = day_of(one), day_of(two)
    return None if first is None or second is None else abs((first - second).days)


def _updated(state: WomanState, episode: str, said: Pregnancy) -> WomanState:
    """The state with what a dossier says filled in; a pregnancy that ended anywhere has ended."""
    rows = []
    for p in state.pregnancies:
        if p.episode == episode:
            status = "finished" if said.ended or (said.status == "finished" and _only_dossier(state, episode)) else p.status
            p = Pregnancy(episode, status, said.due or p.due, said.gravidity if said.gravidity is not None else p.gravidity,
                          min(filter(None, (p.started, said.started)), default=""), said.ended or p.ended)
        rows.append(p)
    return replace(state, pregnancies=tuple(rows))


def _only_dossier(state: WomanState, episode: str) -> bool:
    return sum(1 for e in state.dossiers.values() if e == episode) <= 1


def episode_on(state: WomanState, effective: str) -> str:
    """The pregnancy that a dated fact without a dossier belongs to; "" when none or more than one could hold it."""
    on = day_of(effective)
    if on is None:
        running = [p.episode for p in state.pregnancies if p.status == "active"]
        return running[0] if len(running) == 1 else ""
    holding = [p for p in state.pregnancies if _holds(p, on)]
    if len(holding) > 1:
        holding = [p for p in holding if p.status == "active"]
    return holding[0].episode if len(holding) == 1 else ""


def _holds(p: Pregnancy, on: date) -> bool:
    due, ended, started = day_of(p.due), day_of(p.ended), day_of(p.started)
    if due is not None:
        first, last = due - timedelta(days=BEFORE_DUE_DAYS), due + timedelta(days=AFTER_DUE_DAYS)
    elif ended is not None:
        first, last = ended - timedelta(days=BEFORE_DUE_DAYS), ended + timedelta(days=AFTER_DUE_DAYS)
    elif started is not None:
        first, last = started - timedelta(days=28), started + timedelta(days=BEFORE_DUE_DAYS + AFTER_DUE_DAYS)
    else:
        return p.status == "active"
    return first <= on <= (min(last, ended + timedelta(days=AFTER_DUE_DAYS)) if ended else last)


@lru_cache(maxsize=4096)  # the facts of one message share their day, and so do the messages of one order
def day_of(text: str) -> date | None:
    """The calendar day of an ISO date or dateTime; the first of the month or year when less is given; None for anything else."""
    padded = {4: text + "-01-01", 7: text + "-01"}.get(len(text), text[:10])
    try:
        return date.fromisoformat(padded)
    except ValueError:
        return None
