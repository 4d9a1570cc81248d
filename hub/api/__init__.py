"""The hub over HTTP for systems: FHIR R4, the STU3 intake, and what an operator asks. Everything goes through the door."""
