"""People who ask, and questions with sensible defaults, for the tests of decisions, trail and door."""

from __future__ import annotations

from authz.ask import Ask, Asker, Purpose, Role
from fhir_profiles.codes import SECTIONS

NOOR, SAMIRA = "a" * 32, "b" * 32
PREGNANCY, EARLIER = "c" * 32, "d" * 32
LEPELAAR, RIJNOEVER, DE_ZON = "00700001", "00700002", "00700004"

noor = Asker("noor", "Noor Verhoeven", Role.CLIENT, subject=NOOR, token_id="t-noor")
samira = Asker("samira", "Samira Aydin", Role.CLIENT, subject=SAMIRA)
marit = Asker("900000001", "Marit Jansen", Role.MIDWIFE, ura=LEPELAAR, organisation="De Lepelaar", organisation_type="G3",
              token_id="t-marit", vendor="praktijksysteem")
anna = Asker("900000002", "Anna de Wit", Role.GYNAECOLOGIST, ura=RIJNOEVER, organisation="Ziekenhuis Rijnoever", organisation_type="V4")
joke = Asker("900000003", "Joke Smit", Role.MATERNITY_NURSE, ura=DE_ZON, organisation="Kraamzorg De Zon", organisation_type="K4")
tess = Asker("tess", "Tess Smeets", Role.AUDITOR)
ravi = Asker("ravi", "Ravi Visser", Role.ENGINEER, ura=RIJNOEVER)
praktijk = Asker("praktijk", "", Role.SYSTEM, ura=LEPELAAR)

BY_ROLE = {asker.role: asker for asker in (noor, marit, anna, joke, tess, ravi, praktijk)}
PURPOSES = {Role.CLIENT: Purpose.PATIENT_REQUEST, Role.AUDITOR: Purpose.AUDIT}


def ask(asker: Asker, subject: str = NOOR, sections: tuple[str, ...] = SECTIONS, *, purpose: Purpose | None = None, episode: str = "",
        action: str = "read", query: str = "") -> Ask:
    """A question with the purpose that belongs to the asker's role."""
    return Ask(asker, subject, sections, purpose or PURPOSES.get(asker.role, Purpose.TREATMENT), episode, action, "page:overview", query,
               "192.0.2.7", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "request-1")
