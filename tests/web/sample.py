"""Sample plans of three invented women: an ordinary pregnancy, twins with two dossiers, and a loss. Today is 24 November 2026."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime

from hub.plan.plan import Carer, DossierLine, Line, Plan, SectionView, Value, Woman
from hub.web.ports import HeldRow, LedgerRow, Message, Pulse, SourceStatus

TODAY = date(2026, 11, 24)
NOW = datetime(2026, 11, 24, 13, 2, 11, tzinfo=UTC)
PRACTICE, HIX, EPIC = "practice/00700001", "hix/00700002", "epic/00700003"
LEPELAAR, RIJNOEVER, OOSTZOOM = "Verloskundigenpraktijk De Lepelaar", "Ziekenhuis Rijnoever", "Ziekenhuis Oostzoom"
ZON = "Kraamzorg De Zon"
EPISODE = "e" * 32


def value(concept: str, text: str, source: str, effective: str, **more: object) -> Value:
    """A value with an id of its own; recorded an hour after it was measured unless said otherwise."""
    recorded = str(more.pop("recorded", f"{effective[:10]}T11:40:00.000Z" if len(effective) >= 10 else "2026-05-07T08:00:00.000Z"))
    name = f"{concept}|{source}|{effective}|{text}"
    return Value(concept, text, effective, recorded, source, identity=name, event=name, **more)  # type: ignore[arg-type]  # fields by name


def line(concept: str, title: str, plain: str, *values: Value) -> Line:
    """A line that shows its newest value; without values, one that nobody said anything about."""
    return Line(concept, title, plain, "C1", values[-1] if values else None, "newest-effective", history=tuple(reversed(values)))


def conflict(concept: str, title: str, plain: str, rule: str, *voices: Value, shown: Value | None = None) -> Line:
    """A line on which sources disagree."""
    return Line(concept, title, plain, "C1", shown, rule, history=voices, voices=voices)


def pressure(day: str, high: int, low: int, source: str) -> Value:
    """A blood pressure."""
    return value("blood-pressure", f"{high}/{low} mmHg", source, day, parts=(("systolic", float(high)), ("diastolic", float(low))))


def amount(concept: str, number: float, unit: str, source: str, day: str, **more: object) -> Value:
    """A number with its unit."""
    return value(concept, f"{number:g} {unit}".replace(".", ",").strip(), source, day, number=number, unit=unit, **more)


def _haemoglobin() -> Line:
    wrong = amount("haemoglobin", 6.0, "mmol/L", HIX, "2026-11-18T12:40:00+01:00")
    right = amount("haemoglobin", 6.6, "mmol/L", HIX, "2026-11-18T12:40:00+01:00", status="corrected", earlier=(wrong,),
                   recorded="2026-11-18T13:05:00.000Z", origin="0-4112", path="OBX[4]-5", mapping="hix@3")
    return line("haemoglobin", "Hb", "IJzer in uw bloed", amount("haemoglobin", 7.4, "mmol/L", PRACTICE, "2026-07-02"),
                amount("haemoglobin", 6.9, "mmol/L", HIX, "2026-09-03T09:15:00+02:00"), right)


def _measurements() -> SectionView:
    today = replace(pressure("2026-11-24T09:40:00+01:00", 142, 92, PRACTICE), recorded="2026-11-24T08:41:00.000Z")
    late = amount("body-weight", 68.4, "kg", PRACTICE, "2026-06-15", recorded="2026-11-20T10:00:00.000Z", late=True)
    gone = amount("fundal-height", 41.0, "cm", PRACTICE, "2026-11-10", status="withdrawn")
    return SectionView("measurements", "9", "Metingen en uitslagen", (
        _haemoglobin(),
        conflict("blood-group", "Bloedgroep", "Bloedgroep", "never-choose", value("blood-group", "0", EPIC, "2024-02-11"),
                 value("blood-group", "A", HIX, "2026-11-24T09:12:00+01:00")),
        line("rhesus-d", "Rhesus D", "Rhesus D", value("rhesus-d", "Rh D positief", HIX, "2026-05-12")),
        line("blood-pressure", "Bloeddruk", "Bloeddruk", pressure("2026-06-15", 112, 68, PRACTICE),
             pressure("2026-09-03T09:20:00+02:00", 116, 72, HIX), pressure("2026-10-20", 124, 78, PRACTICE),
             pressure("2026-11-10", 138, 88, PRACTICE), today),
        line("body-weight", "Gewicht", "Gewicht", late), line("body-height", "Lengte", "Lengte"),
        replace(line("fundal-height", "Fundushoogte", "Groei van uw buik", gone), shown=None)))


def _pregnancy() -> SectionView:
    ours = value("due-date-definitive", "21-01-2027", PRACTICE, "2026-07-02", iso="2027-01-21")
    theirs = value("due-date", "24-01-2027", HIX, "2026-07-16", iso="2027-01-24")
    return SectionView("pregnancy", "4", "Zwangerschap in het kort", (
        line("gravidity", "Graviditeit", "Hoe vaak u zwanger was, deze keer erbij", amount("gravidity", 2, "", PRACTICE, "2026-05-07")),
        line("parity", "Pariteit", "Hoe vaak u bevallen bent", amount("parity", 1, "", PRACTICE, "2026-05-07")),
        conflict("due-date", "À terme datum", "De datum waarop uw kind wordt verwacht", "definitive-over-estimate", ours, theirs,
                 shown=ours),
        line("fetus-count", "Aantal foetussen", "Aantal baby’s", amount("fetus-count", 1, "", PRACTICE, "2026-07-02")),
        line("multiple-pregnancy", "Meerlingzwangerschap", "U bent zwanger van meer dan 1 kind",
             value("multiple-pregnancy", "nee", PRACTICE, "2026-07-02"))))


def _history() -> SectionView:
    return SectionView("history", "5", "Voorgeschiedenis", (
        line("allergy", "Allergie", "Allergie", value("allergy", "penicilline", PRACTICE, "2019")),
        line("medication", "Medicatie", "Medicijn", value("medication", "ferrofumaraat 200 mg, 1 dd", HIX, "2026-11-18")),
        line("problem", "Aandoening", "Aandoening", value("problem", "onbekend (niet gevraagd)", EPIC, "2026-05"))))


MARIT = Carer("Marit Jansen", "verloskundige", LEPELAAR, "00700001", "010 – 000 00 01", True, "2026-05-07", "", PRACTICE,
              "2026-05-07T09:00:00.000Z")
ANNA = Carer("Anna de Wit", "gynaecoloog", RIJNOEVER, "00700002", "", False, "2026-09-03", "", HIX, "2026-09-03T09:00:00.000Z")


def noor(subject: str) -> Plan:
    """An ordinary pregnancy: two due dates, a corrected Hb, two blood groups, a silent source."""
    return Plan(
        subject=subject, episode=EPISODE, phase="pregnant", due="2027-01-21",
        woman=Woman("Noor Verhoeven", "Noor", "1994-03-12", PRACTICE, "2026-05-07T09:00:00.000Z"),
        dossiers=(DossierLine(PRACTICE, LEPELAAR, "active", "2026-05-07", "", ""),
                  DossierLine(HIX, RIJNOEVER, "active", "2026-09-03", "", "")),
        team=(MARIT, ANNA, replace(MARIT, name="Els Vos", coordinator=False, until="2026-06-01")),
        sections={view.name: view for view in (SectionView("front", "1", "Voorblad"), SectionView("care-team", "2", "Zorgteam"),
                                               _pregnancy(), _history(), _measurements())},
        updated="2026-11-24T13:02:00.000Z")


def lotte(subject: str) -> Plan:
    """A loss: nothing counts weeks any more."""
    ordinary = noor(subject)
    return replace(ordinary, phase="loss", woman=replace(ordinary.woman, name="Lotte Brink", birth_date="1988-07-25"), due="2027-03-01")


def nurse_view(subject: str) -> Plan:
    """What a maternity nurse sees: some sections stay shut."""
    whole = noor(subject)
    open_ = {name: view for name, view in whole.sections.items() if name not in ("history", "measurements")}
    return replace(whole, sections=open_, closed={"history": "role-has-no-section", "measurements": "role-has-no-section"}, team=())


SOURCES = (
    SourceStatus(PRACTICE, LEPELAAR, "FHIR STU3", "running", "2026-11-24T13:02:00.000Z", 1377, 1),
    SourceStatus(HIX, RIJNOEVER, "HL7 v2", "running", "2026-11-24T12:58:00.000Z", 4112, 3),
    SourceStatus(EPIC, OOSTZOOM, "FHIR R4", "silent", "2026-11-20T15:10:00.000Z", 0, 0),
)
LEDGER = (
    LedgerRow(HIX, "2026-11-24", 4112, 3800, 251, 57, 3), LedgerRow(PRACTICE, "2026-11-24", 1377, 1200, 171, 5, 1),
    LedgerRow(HIX, "2026-11-23", 9870, 9214, 560, 94, 0), LedgerRow(PRACTICE, "2026-11-23", 1300, 1250, 45, 5, 0),
)
HELD = (
    HeldRow(HIX, "code-unknown", "Code staat niet in de lijst", "OBX[4]-3.1", 2, "2026-11-23T15:40:00.000Z"),
    HeldRow(HIX, "unit", "Eenheid past niet bij deze meting", "OBX[2]-6", 1, "2026-11-24T12:02:00.000Z"),
    HeldRow(PRACTICE, "future", "Datum ligt in de toekomst", "Observation.effective", 1, "2026-11-24T08:15:00.000Z"),
)
PULSE = Pulse(5489, 5001, 4, SOURCES, (
    Message("2026-11-24T13:02:11.000Z", RIJNOEVER, "HL7 v2", "recorded", 4),
    Message("2026-11-24T13:01:58.000Z", LEPELAAR, "FHIR STU3", "recorded", 12),
    Message("2026-11-24T13:01:40.000Z", RIJNOEVER, "HL7 v2", "held")))
