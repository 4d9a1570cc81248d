"""The resource types that a birth-care hub takes. A type is added here, then the generator is run again."""

from __future__ import annotations

from typing import Final

RESOURCE_TYPES: Final = (
    "AllergyIntolerance", "Appointment", "AuditEvent", "Binary", "BodyStructure", "Bundle", "CapabilityStatement", "CarePlan", "CareTeam",
    "ClinicalImpression", "Communication", "Composition", "Condition", "Consent", "Coverage", "Device", "DeviceUseStatement",
    "DiagnosticReport", "DocumentReference", "Encounter", "EpisodeOfCare", "FamilyMemberHistory", "Flag", "Goal", "HealthcareService",
    "Immunization", "List", "Location", "Media", "Medication", "MedicationRequest", "MedicationStatement", "NutritionOrder", "Observation",
    "OperationOutcome", "Organization", "Parameters", "Patient", "Practitioner", "PractitionerRole", "Procedure", "Provenance",
    "Questionnaire", "QuestionnaireResponse", "RelatedPerson", "RiskAssessment", "ServiceRequest", "Specimen", "Subscription", "Task",
)
