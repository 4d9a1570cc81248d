"""The words of HiX and of Dutch laboratories, and what they stand for: local result codes, units, sexes, statuses, message events.

A local code counts only where no standard code system is named. What is not in these tables is not guessed: it waits.

Sources: HL7 v2.5.1 tables 0001, 0004, 0078, 0085, 0063, 0127, 0128; the HL7 "v2 to FHIR" maps for statuses and classes; UCUM. The
local result codes are those of the birth-care ultrasound practice (GRAVIDA, DUE_DATE, …) and of this hub's demo hospital.
"""

from __future__ import annotations

from typing import Final

# --- OBX-3: local codes → concept (names of fhir_profiles.codes) ---
LOCAL_RESULTS: Final = {
    "HB": "haemoglobin", "HGB": "haemoglobin",
    "BLGR": "blood-group", "ABO": "blood-group",
    "RHD": "rhesus-d",
    "RR": "blood-pressure", "RRSYS": "systolic", "RRDIA": "diastolic",
    "GEWICHT": "body-weight", "LENGTE": "body-height",
    "GRAVIDA": "gravidity", "PARITY": "parity", "PARA": "parity",
    "DUE_DATE": "due-date", "LMP": "last-menstruation", "GESTATIONAL_AGE": "gestational-age",
    "FHR": "fetal-heart-rate", "FHF": "fetal-heart-rate",
    "FUNDUS": "fundal-height",
}

NO_CONCEPT_YET: Final = frozenset({
    # Fetal biometry, its percentiles and the words of an ultrasound report: known, and not in the plan yet (residue, not held).
    "HC", "AC", "FL", "BPD", "CRL", "NT", "TCD", "WEIGHT", "HCperc", "ACperc", "FLperc", "WEIGHTperc", "BPDperc",
    "PLACENTALOC", "DIAGNOSIS", "CONCLUSION",
    "11979-2", "11963-6", "11820-8", "11957-8", "12146-7", "11863-8", "11727-5", "11984-2", "11815-8",
})

LOCAL_SYSTEMS: Final = frozenset({"", "L", "LOCAL", "99HIX", "HIX"})

FETAL: Final = frozenset({"fetal-heart-rate"})
"""Concepts that are about an unborn child; OBX-4 tells which one."""

VITAL_SIGNS: Final = frozenset({"blood-pressure", "systolic", "diastolic", "body-weight", "body-height", "fetal-heart-rate"})
LABORATORY: Final = frozenset({"haemoglobin", "blood-group", "rhesus-d", "rhesus-c"})

# --- OBX-6: units as written, lower case → UCUM ---
UNITS: Final = {
    "mmol/l": "mmol/L", "g/dl": "g/dL", "g/l": "g/L", "mmhg": "mm[Hg]", "mm hg": "mm[Hg]", "mm[hg]": "mm[Hg]",
    "kg": "kg", "g": "g", "gr": "g", "gram": "g", "cm": "cm", "m": "m", "mm": "mm", "ml": "mL", "d": "d", "dag": "d", "dagen": "d",
    "/min": "/min", "1/min": "/min", "bpm": "/min", "pm": "/min", "slagen/min": "/min", "/minuut": "/min", "{beats}/min": "/min",
    "wk": "wk", "weken": "wk",
}

TO_PREFERRED: Final = {("g/dL", "mmol/L"): 0.6206, ("g", "kg"): 0.001, ("kg", "g"): 1000.0, ("m", "cm"): 100.0}
"""Factors only to see whether a value is possible; the value itself is kept as the source gave it. Hb: 1 g/dL = 0.6206 mmol/L."""

# --- coded results in words ---
POSITIVE: Final = frozenset({"pos", "positief", "positive", "+", "aanwezig"})
NEGATIVE: Final = frozenset({"neg", "negatief", "negative", "-", "afwezig"})
RHESUS_WORDS: Final = frozenset({"rh", "rhesus", "d", "c", "rhd", "rhc", "factor", "antigeen"})

# --- OBX-11 and OBR-25 (tables 0085, 0123) → Observation.status ---
STATUSES: Final = {
    "F": "final", "V": "final", "C": "corrected", "K": "corrected", "A": "amended", "B": "amended",
    "P": "preliminary", "R": "preliminary", "S": "preliminary", "I": "registered", "O": "registered",
    "X": "cancelled", "N": "cancelled", "D": "entered-in-error", "W": "entered-in-error",
}
ABSENT_BECAUSE: Final = {"X": "not-performed", "N": "not-asked", "P": "temp-unknown", "R": "temp-unknown", "S": "temp-unknown",
                         "I": "temp-unknown", "O": "temp-unknown"}
INTERPRETATIONS: Final = frozenset({"L", "H", "LL", "HH", "LU", "HU", "N", "A", "AA", "<", ">", "U", "D", "B", "W", "POS", "NEG"})

# --- PID-8 (table 0001 and Dutch words, lower case) → Patient.gender ---
GENDERS: Final = {
    "f": "female", "v": "female", "vrouw": "female", "vrouwelijk": "female", "female": "female",
    "m": "male", "man": "male", "mannelijk": "male", "male": "male",
    "o": "other", "x": "other", "a": "other", "anders": "other", "u": "unknown", "onbekend": "unknown", "n": "unknown",
}

# --- PID-3 ---
BSN_AUTHORITIES: Final = frozenset({"NLMINBIZA", "BSN", "2.16.840.1.113883.2.4.6.3"})
BSN_TYPES: Final = frozenset({"NNNLD", "NNNED", "NNNL", "BSN"})
OWN_NUMBERS: Final = ("PI", "MR", "PT", "")
"""Types of the hospital's own number, the one that is used to know a woman without BSN again first."""

# --- PV1-2 (table 0004) → v3-ActCode ---
CLASSES: Final = {
    "I": ("IMP", "inpatient encounter"), "O": ("AMB", "ambulatory"), "E": ("EMER", "emergency"), "P": ("PRENC", "pre-admission"),
    "R": ("AMB", "ambulatory"), "B": ("IMP", "inpatient encounter"),
}

# --- ADT events: what happens to the visit. "" leaves it alone. ---
EVENTS: Final = {
    "A01": "in-progress", "A02": "in-progress", "A03": "finished", "A04": "in-progress", "A05": "planned",
    # A12 and A13 take back a transfer or a discharge: the visit itself goes on. A11 and A38 take back the visit.
    "A12": "in-progress", "A13": "in-progress", "A11": "entered-in-error", "A38": "entered-in-error",
    "A08": "", "A28": "", "A31": "",
}
MERGES: Final = frozenset({"A18", "A24", "A30", "A34", "A35", "A36", "A37", "A39", "A40", "A41", "A42", "A43", "A44", "A45", "A46", "A47",
                           "A48", "A49", "A50", "A51"})

# --- AL1-2 (table 0127), AL1-4 (table 0128) ---
ALLERGY_CATEGORIES: Final = {"DA": "medication", "FA": "food", **dict.fromkeys(("EA", "PA", "AA", "LA"), "environment")}
CRITICALITIES: Final = {"SV": "high", "MO": "low", "MI": "low", "U": "unable-to-assess"}

# --- NK1-3 (table 0063) → v3-RoleCode, where there is one ---
RELATIONS: Final = {
    "SPO": ("SPS", "echtgenoot"), "DOM": ("DOMPART", "partner"), "FTH": ("FTH", "vader"), "MTH": ("MTH", "moeder"), "PAR": ("PRN", "ouder"),
    "SIB": ("SIB", "broer of zus"), "BRO": ("BRO", "broer"), "SIS": ("SIS", "zus"), "CHD": ("CHILD", "kind"),
    "GRP": ("GRPRN", "grootouder"),
    "FND": ("FRND", "vriend"), "EXF": ("EXT", "familie"),
}

# --- OBX-3, DG1-3, AL1-3: code systems as coded in HL7 v2 ---
SYSTEMS: Final = {
    "LN": "http://loinc.org", "SCT": "http://snomed.info/sct", "SNM": "http://snomed.info/sct", "SNOMED": "http://snomed.info/sct",
    "SNOMED-CT": "http://snomed.info/sct", "LOINC": "http://loinc.org", "I10": "http://hl7.org/fhir/sid/icd-10", "ICD10": "http://hl7.org/fhir/sid/icd-10",
    "I10NL": "http://hl7.org/fhir/sid/icd-10-nl", "ATC": "http://www.whocc.no/atc", "UCUM": "http://unitsofmeasure.org",
}
