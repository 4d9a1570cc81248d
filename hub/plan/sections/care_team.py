"""§2 Wie zorgt voor mij: the team, its coordinator, organisations, and contacts.

Reads CareTeam, Organization, Practitioner, PractitionerRole, RelatedPerson and Encounter.
Treatment relations follow from it (`relations.py`).
"""

from __future__ import annotations

from fhir_profiles.codes import CARE_TEAM
from hub.plan.items import item_of
from hub.plan.section import Section

SECTION = Section(name=CARE_TEAM, number="2", title_nl="Wie zorgt voor mij", item=item_of)
