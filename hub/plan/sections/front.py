"""§1 Voorblad: who the plan is about, and each organisation's record of this pregnancy.

Reads Patient and EpisodeOfCare (dossier, zib/bc MaternalRecord). Status and phase are not stored: `show.py` reckons them.
"""

from __future__ import annotations

from fhir_profiles.codes import FRONT
from hub.plan.items import item_of
from hub.plan.section import Section

SECTION = Section(name=FRONT, number="1", title_nl="Voorblad", item=item_of)
