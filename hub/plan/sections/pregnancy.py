"""§4 Zwangerschap in het kort: due dates, gravidity and parity, number of children, end.

Reads Condition and Observation of the pregnancy (zib Pregnancy, bc-* observations). Which due date counts is a rule in `rules.py`.
"""

from __future__ import annotations

from fhir_profiles.codes import PREGNANCY
from hub.plan.items import item_of
from hub.plan.section import Section

SECTION = Section(name=PREGNANCY, number="4", title_nl="Zwangerschap in het kort", item=item_of)
