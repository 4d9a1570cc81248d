"""Who reads which section: the table that a midwife can check. The policies in `policies/` say the same, and a test compares cell by cell.

Source: sensitivity defaults per role and section, restricted to the sections that this hub has (front, care team, pregnancy, history,
measurements, the access log and her consents). For caregivers every "yes" holds only with a treatment relation of the own organisation and the
woman's own yes to that organisation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from authz.ask import Role
from fhir_profiles.codes import CARE_TEAM, FRONT, HISTORY, MEASUREMENTS, PREGNANCY, SECTIONS

ACCESS_LOG: Final = "access-log"
"""The list of who looked (logboek): not a part of the plan, and guarded by the same door."""

CONSENTS: Final = "consents"
"""Her answers about who may look (toestemming): hers to read, and her reading is recorded like any other."""

SECTIONS_OF_THE_DOOR: Final = (*SECTIONS, ACCESS_LOG, CONSENTS)

SECTION_TITLES_NL: Final[dict[str, str]] = {
    FRONT: "voorblad", CARE_TEAM: "wie zorgt voor mij", PREGNANCY: "zwangerschap in het kort", HISTORY: "voorgeschiedenis",
    MEASUREMENTS: "metingen en uitslagen", ACCESS_LOG: "wie zag mijn gegevens", CONSENTS: "delen en toestemming",
}

ROLE_TITLES_NL: Final[dict[Role, str]] = {
    Role.CLIENT: "cliënt", Role.MIDWIFE: "verloskundige", Role.GYNAECOLOGIST: "gynaecoloog", Role.MATERNITY_NURSE: "kraamverzorgende",
    Role.AUDITOR: "auditor", Role.ENGINEER: "integratie-engineer", Role.SYSTEM: "systeem",
}


@dataclass(frozen=True, slots=True)
class Cell:
    """One role and one section: open (under the conditions of the role) or not, and why, for a person to check."""

    opens: bool
    why_nl: str


def _row(*cells: tuple[bool, str]) -> dict[str, Cell]:
    return {section: Cell(*cell) for section, cell in zip(SECTIONS_OF_THE_DOOR, cells, strict=True)}


_OWN = (True, "van haarzelf")
_CARE = (True, "nodig voor de zorg in deze zwangerschap")
_NO_LOG = (False, "het logboek is van de cliënt en de auditor")
_HERS = (False, "haar antwoorden leest alleen zij zelf; wie kijkt, merkt aan een weigering wat zij koos")
_NO_PLAN = (False, "ziet geen inhoud van een plan")

ROLES: Final[dict[Role, dict[str, Cell]]] = {
    #                          front   care-team  pregnancy  history  measurements  access-log  consents
    Role.CLIENT:          _row(_OWN,   _OWN,      _OWN,      _OWN,    _OWN,         _OWN,       _OWN),
    Role.MIDWIFE:         _row(_CARE,  _CARE,     _CARE,     _CARE,   _CARE,        _NO_LOG,    _HERS),
    Role.GYNAECOLOGIST:   _row(_CARE,  _CARE,     _CARE,     _CARE,   _CARE,        _NO_LOG,    _HERS),
    Role.MATERNITY_NURSE: _row(
        (True, "naam, adres en contact om te kunnen komen"),
        (True, "met wie zij samenwerkt"),
        (True, "uitgerekende datum, meerling en afloop, om de kraamzorg te plannen"),
        (False, "eerdere verliezen en ziekten; medicatie en allergie gaan open zodra zij een eigen deel zijn"),
        (False, "metingen en uitslagen zijn voor de verloskundige zorg"),
        _NO_LOG,
        _HERS,
    ),
    Role.AUDITOR:         _row(_NO_PLAN, _NO_PLAN, _NO_PLAN, _NO_PLAN, _NO_PLAN, (True, "controle op toegang, elke keer zelf gelogd"), _HERS),
    Role.ENGINEER:        _row(_NO_PLAN, _NO_PLAN, _NO_PLAN, _NO_PLAN, _NO_PLAN, _NO_LOG, _HERS),
    Role.SYSTEM:          _row(_NO_PLAN, _NO_PLAN, _NO_PLAN, _NO_PLAN, _NO_PLAN, _NO_LOG, _HERS),
}
"""Role × section; every cell is filled in, so that a new section is open to nobody until someone writes it here and in a policy."""
