"""§5 Voorgeschiedenis: allergies, medication, conditions, procedures, and what is known of births.

Reads AllergyIntolerance, MedicationStatement, Condition, Procedure, and Observations of delivery and birth.
"""

from __future__ import annotations

from fhir_profiles.codes import HISTORY
from hub.plan.items import item_of
from hub.plan.section import Section

SECTION = Section(name=HISTORY, number="5", title_nl="Voorgeschiedenis", item=item_of)
