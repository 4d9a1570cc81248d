"""The timeline shows each value at its own time, and what came later says so."""

from __future__ import annotations

from hub.views.timeline import timeline
from tests.plan.cases import HIX, dossier, observed
from tests.plan.test_show import plan_of


def test_entries_stand_at_their_clinical_time_newest_first() -> None:
    plan = plan_of(
        dossier(start="2026-03-01"),
        observed("haemoglobin", 7.0, "mmol/L", effective="2026-05-20T09:00:00+02:00", recorded="2026-05-20T10:00:00Z"),
        observed("body-weight", 70, "kg", effective="2026-05-20T08:00:00Z"),
        observed("haemoglobin", 6.0, "mmol/L", effective="2026-05-10", recorded="2026-05-25T10:00:00Z", source=HIX),
    )
    entries = timeline(plan.sections, plan.dossiers)
    assert [(e.title, e.effective[:10], e.late) for e in entries] == [
        ("Gewicht", "2026-05-20", False), ("Hb", "2026-05-20", False), ("Hb", "2026-05-10", True),
        ("Dossier begonnen", "2026-03-01", False),
    ]
    assert entries[1].section == "measurements"
    assert entries[2].source == HIX


def test_a_correction_is_one_entry_that_names_what_it_replaced() -> None:
    plan = plan_of(observed("haemoglobin", 6.4, "mmol/L"), observed("haemoglobin", 6.8, "mmol/L", version="2026-05-02T00:00:00Z"))
    [entry] = timeline(plan.sections)
    assert (entry.text, entry.status, entry.earlier) == ("6,8\u00a0mmol/L", "corrected", ("6,4\u00a0mmol/L",))


def test_a_closed_section_is_not_on_the_timeline() -> None:
    plan = plan_of(observed("haemoglobin", 6.4, "mmol/L"), observed("gravidity", 2), closed={"measurements": "role"})
    assert [entry.title for entry in timeline(plan.sections, plan.dossiers)] == ["Graviditeit"]


def test_a_closed_dossier_has_a_beginning_and_an_end() -> None:
    plan = plan_of(dossier(status="finished", end="2026-05-20"))
    assert [entry.title for entry in timeline(plan.sections, plan.dossiers)] == ["Dossier gesloten", "Dossier begonnen"]
