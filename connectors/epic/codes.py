"""What Epic's FHIR API calls things that the hub reads.

Source: FHIR R4; nl-core zib 2020 (Pregnancy 4.0). Concepts stand in `fhir_profiles/codes.py`: Epic sends standard codes, so it has no
table of its own beyond this.
"""

from __future__ import annotations

from typing import Final

PREGNANCY_CODES: Final = frozenset(("118185001", "77386006", "364320009"))
"""SNOMED codes with which a Condition is the pregnancy itself, and so a dossier."""

CONCEPT_OF_TYPE: Final = {
    "Patient": "patient", "Organization": "organization", "Practitioner": "practitioner", "PractitionerRole": "practitioner-role",
    "Encounter": "encounter", "AllergyIntolerance": "allergy", "MedicationStatement": "medication", "MedicationRequest": "medication",
}

WITHDRAWN: Final = frozenset(("entered-in-error", "cancelled"))
"""Observation states that take back what was said."""

MULTIPLE_PREGNANCY: Final = "16356006"
