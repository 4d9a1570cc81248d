"""The plan as it is shown: values with their sources, conflicts side by side, honest gaps. Pure data, made by `show.py`."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Value:
    """One value of one concept from one source. `text` is ready to show in Dutch ("6,6 mmol/L"); `effective` as precise as given.

    `earlier` are the values that this one replaced, oldest first. `late` tells that it was recorded well after newer ones.
    `status` is final, preliminary (voorlopig), corrected, cancelled (not carried out), unknown or withdrawn.
    `origin` is the place of the message, `path` the place in its bytes.
    """

    concept: str
    text: str
    effective: str
    recorded: str
    source: str
    identity: str
    event: str
    status: str = "final"
    number: float | None = None
    unit: str = ""
    code: str = ""
    earlier: tuple[Value, ...] = ()
    late: bool = False
    origin: str = ""
    path: str = ""
    mapping: str = ""
    parts: tuple[tuple[str, float], ...] = ()
    """Components by concept, for a blood pressure: (("systolic", 118.0), ("diastolic", 76.0))."""
    iso: str = ""
    """The value itself as ISO text, where the element is a date."""


@dataclass(frozen=True, slots=True)
class Line:
    """One concept in a section: the value that a written rule shows, and all others. `voices` has one value a source where they differ."""

    concept: str
    title_nl: str
    plain_nl: str
    sensitivity: str
    shown: Value | None
    rule: str
    history: tuple[Value, ...] = ()
    voices: tuple[Value, ...] = ()
    about: str = ""
    """The fetus or child that the line is about; empty for the woman. Lines of different children are never joined."""

    @property
    def conflict(self) -> bool:
        """Whether sources say different things."""
        return len(self.voices) > 1


@dataclass(frozen=True, slots=True)
class Carer:
    """Someone or some organisation in the care team. `role_nl` is ready to show; `coordinator` is the coördinerend zorgverlener."""

    name: str
    role_nl: str
    organisation: str
    ura: str
    phone: str
    coordinator: bool
    since: str
    until: str
    source: str
    recorded: str


@dataclass(frozen=True, slots=True)
class Woman:
    """Who the plan is about, as the newest source says."""

    name: str = ""
    given: str = ""
    birth_date: str = ""
    source: str = ""
    recorded: str = ""


@dataclass(frozen=True, slots=True)
class DossierLine:
    """One organisation's record of this pregnancy."""

    source: str
    organisation: str
    status: str
    started: str
    ended: str
    recorded: str


@dataclass(frozen=True, slots=True)
class SectionView:
    """One section, ready to show."""

    name: str
    number: str
    title_nl: str
    lines: tuple[Line, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """One woman's plan for one pregnancy, as far as the asker may see it. `closed` names the sections that stay shut, with the reason code.

    `phase` is pregnant, ended, loss or unknown; `due` is the date the plan reckons with (ISO), "" when none.
    """

    subject: str
    episode: str
    phase: str
    due: str
    woman: Woman
    dossiers: tuple[DossierLine, ...] = ()
    team: tuple[Carer, ...] = ()
    sections: dict[str, SectionView] = field(default_factory=dict)
    closed: dict[str, str] = field(default_factory=dict)
    updated: str = ""

    @property
    def coordinator(self) -> Carer | None:
        """Who coordinates now, or None when nobody is known to."""
        return next((carer for carer in self.team if carer.coordinator and not carer.until), None)
