"""Codes that only the practices' systems use, beside the shared table in `fhir_profiles/codes.py`.

Source: Geboortezorg dataset 2.3 (prio1 transactions 2493 and 2499), value lists of the LVR.
"""

from __future__ import annotations

from typing import Final

from fhir_profiles.codes import SNOMED

LVR: Final = "urn:oid:2.16.840.1.113883.2.4.4.13"

LOCAL_CONCEPTS: Final = {
    (LVR, "EindeZw"): "pregnancy-end-way",
    (SNOMED, "249120008"): "active-labour",
}

PREGNANCY_CODES: Final = frozenset(("364320009", "118185001", "77386006"))

CHILD_CONCEPTS: Final = frozenset(("birth-weight", "apgar-5"))
"""Concepts whose subject is a child, whatever else is said of that Patient."""

WOMAN_CONCEPTS: Final = frozenset((
    "gravidity", "parity", "due-date", "due-date-definitive", "last-menstruation", "pregnancy-end", "pregnancy-end-way", "blood-loss",
    "perineum",
))
"""Concepts whose subject is the woman."""

CARE_ROLE: Final = "http://ooievaar.example/fhir/CodeSystem/care-role"
COORDINATOR: Final = {"system": CARE_ROLE, "code": "coordinator", "display": "coördinerend zorgverlener"}

TECHNICAL_SYSTEMS: Final = frozenset(("urn:oid:2.16.840.1.113883.2.4.3.11.999.7.6", "2.16.840.1.113883.2.4.3.11.999.7.6"))
"""Systems of ids that test material and conversions make anew; they identify nothing."""
