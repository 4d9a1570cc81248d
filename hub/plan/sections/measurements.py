"""§9 Metingen en uitslagen: measurements and laboratory results, over time.

Reads Observation: quantities, coded results and blood pressure with its two components.
"""

from __future__ import annotations

from fhir_profiles.codes import MEASUREMENTS
from hub.plan.items import item_of
from hub.plan.section import Section

SECTION = Section(name=MEASUREMENTS, number="9", title_nl="Metingen en uitslagen", item=item_of)
