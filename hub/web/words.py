"""Dutch on the pages: dates, weeks, numbers and the names of things. Hers in full words, the caregiver's short.

Times from sources keep the precision they were given with; hours are shown in Dutch local time.
"""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from authz.ask import Purpose, Role
from fhir_profiles.codes import CARE_TEAM, FRONT, HISTORY, MEASUREMENTS, PREGNANCY

DUTCH_TIME: Final = ZoneInfo("Europe/Amsterdam")
MONTHS: Final = ("januari", "februari", "maart", "april", "mei", "juni", "juli", "augustus", "september", "oktober", "november", "december")
DAYS: Final = ("maandag", "dinsdag", "woensdag", "donderdag", "vrijdag", "zaterdag", "zondag")
LATE_DAYS: Final = 42
"""No pregnancy goes on longer than six weeks after the due date: 46 weeks."""
COUNT: Final = ("geen", "één", "twee", "drie", "vier", "vijf", "zes", "zeven", "acht", "negen", "tien")

SECTION_FOR_HER: Final = {
    FRONT: "wie u bent", CARE_TEAM: "wie voor u zorgt", PREGNANCY: "uw zwangerschap", HISTORY: "uw gezondheid van vroeger en nu",
    MEASUREMENTS: "metingen en uitslagen", "access-log": "wie uw gegevens zag",
    "consents": "met wie u deelt",
}
SECTION_SHORT: Final = {
    FRONT: "voorblad", CARE_TEAM: "zorgteam", PREGNANCY: "zwangerschap", HISTORY: "voorgeschiedenis", MEASUREMENTS: "metingen en uitslagen",
    "access-log": "inzagelijst", "consents": "toestemming",
}
ROLE: Final = {
    Role.CLIENT: "cliënt", Role.MIDWIFE: "verloskundige", Role.GYNAECOLOGIST: "gynaecoloog", Role.MATERNITY_NURSE: "kraamverzorgende",
    Role.AUDITOR: "auditor", Role.ENGINEER: "integratie", Role.SYSTEM: "systeem",
}
PURPOSE_FOR_HER: Final = {
    Purpose.TREATMENT: "om voor u te zorgen", Purpose.PATIENT_REQUEST: "omdat u dat zelf wilde",
    Purpose.AUDIT: "om te controleren of iedereen zich aan de regels houdt",
}
PURPOSE_SHORT: Final = {Purpose.TREATMENT: "behandeling", Purpose.PATIENT_REQUEST: "verzoek cliënt", Purpose.AUDIT: "controle"}


def role_nl(role: str) -> str:
    """A role in Dutch; an unknown one as it is."""
    return ROLE[Role(role)] if role in set(Role) else role


def purpose_for_her(purpose: str) -> str:
    """A purpose of use as she reads it."""
    return PURPOSE_FOR_HER[Purpose(purpose)] if purpose in set(Purpose) else purpose


def purpose_short(purpose: str) -> str:
    """A purpose of use in one word."""
    return PURPOSE_SHORT[Purpose(purpose)] if purpose in set(Purpose) else purpose


def sections_for_her(names: tuple[str, ...]) -> str:
    """Section names as she reads them, in one enumeration."""
    return enumeration([SECTION_FOR_HER.get(name, name) for name in names])


def sections_short(names: tuple[str, ...]) -> str:
    """Section names for professionals, with commas."""
    return ", ".join(SECTION_SHORT.get(name, name) for name in names)


def enumeration(items: list[str]) -> str:
    """a, b en c."""
    return items[0] if len(items) == 1 else " en ".join((", ".join(items[:-1]), items[-1])) if items else ""


_GENERIC: Final = ("Verloskundigenpraktijk ", "Verloskundige praktijk ", "Praktijk ", "Ziekenhuis ")


def short_name(organisation: str) -> str:
    """An organisation without the word that says what it is: De Lepelaar, Rijnoever."""
    for word in _GENERIC:
        if organisation.startswith(word):
            return organisation[len(word):]
    return organisation


def name_for_her(organisation: str) -> str:
    """An organisation as she calls it: praktijk De Lepelaar; a hospital in full."""
    for word in _GENERIC[:2]:
        if organisation.startswith(word):
            return "praktijk " + organisation[len(word):]
    return organisation


def soft(text: str) -> str:
    """The text with places where a long Dutch word may break on a narrow screen: between its parts, never before a word of its own."""
    return _PARTS.sub("\u00ad", text)


_PARTS: Final = re.compile("(?<=[a-zë]{3})(?=praktijk|zwangerschap|menstruatie|frequentie|ontsluiting|duur\\b)")


def number(value: int) -> str:
    """A count with a thin gap between thousands: 6 353."""
    return f"{value:,}".replace(",", " ")


def counted(value: int) -> str:
    """A small count in words, a larger one in digits."""
    return COUNT[value] if 0 <= value < len(COUNT) else str(value)


def moment(text: str) -> datetime | None:
    """ISO text with a time of day as Dutch local time; None when there is no time of day in it, or it is not a time.

    A time without an offset is taken as Dutch: that is what sources that send none mean.
    """
    if len(text) < 13:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return at.astimezone(DUTCH_TIME) if at.tzinfo else at.replace(tzinfo=DUTCH_TIME)


def day(text: str) -> date | None:
    """The day in ISO text, or None when it is less precise than a day or no date."""
    at = moment(text)
    if at is not None:
        return at.date()
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def for_her(text: str, today: date) -> str:
    """A time in full words: "vandaag, 9.40 uur", "18 november", "mei 2019", "2019"; as it is when it is no time."""
    when = day(text)
    if when is None:
        return _imprecise(text)
    at = moment(text)
    words = day_for_her(when, today)
    return f"{words}, {at.hour}.{at.minute:02} uur" if at else words


def day_for_her(when: date, today: date) -> str:
    """A day in words: vandaag, gisteren, "18 november", with the year when it is another one."""
    if when == today:
        return "vandaag"
    if when == today - timedelta(days=1):
        return "gisteren"
    return full_day(when) if when.year != today.year else f"{when.day} {MONTHS[when.month - 1]}"


def due_for_her(text: str, today: date) -> str:
    """An expected date: day and month, with the year when it is long past or far away. Without a year, people read the one that comes."""
    when = day(text)
    if when is None:
        return _imprecise(text)
    near = -LATE_DAYS <= (when - today).days < 300
    return f"{when.day} {MONTHS[when.month - 1]}" if near else full_day(when)


def iso_of(text: str) -> str:
    """A date as professionals write it (21-01-2027) as ISO text; anything else as it is."""
    parts = text.split("-")
    return "-".join(reversed(parts)) if [len(p) for p in parts] == [2, 2, 4] and "".join(parts).isdigit() else text


def full_day(when: date) -> str:
    """18 november 2026."""
    return f"{when.day} {MONTHS[when.month - 1]} {when.year}"


def clock_for_her(text: str) -> str:
    """The hour as she reads it: 9.31 uur; "" without one."""
    at = moment(text)
    return f"{at.hour}.{at.minute:02} uur" if at else ""


def weekday_for_her(text: str, today: date) -> str:
    """How long ago a source last spoke: "vandaag, 9.40 uur", "vrijdag" within a week, else the date."""
    when = day(text)
    if when is None:
        return _imprecise(text)
    if 1 < (today - when).days < 7:
        return DAYS[when.weekday()]
    return for_her(text, today)


def short(text: str, today: date) -> str:
    """A time for professionals: 09:40 today, 18-11 12:40 this year, 18-11-2025 12:40 otherwise; coarser when it came coarser."""
    when = day(text)
    if when is None:
        return _imprecise_short(text)
    at = moment(text)
    hour = f"{at:%H:%M}" if at else ""
    if when == today and hour:
        return hour
    return f"{short_day(text, today)} {hour}".strip()


def short_day(text: str, today: date) -> str:
    """A day for professionals: 18-11, or 18-11-2025 when it is another year."""
    when = day(text)
    if when is None:
        return _imprecise_short(text)
    return f"{when:%d-%m}" if when.year == today.year else f"{when:%d-%m-%Y}"


def full_short(text: str) -> str:
    """A date with its year: 21-01-2027."""
    when = day(text)
    return f"{when:%d-%m-%Y}" if when else _imprecise_short(text)


def clock(text: str) -> str:
    """The time of day with seconds: 14:02:11; "" without one."""
    at = moment(text)
    return f"{at:%H:%M:%S}" if at else ""


def gestation(days: int) -> str:
    """Completed weeks and days as professionals write it: 31+5."""
    return f"{days // 7}+{days % 7}"


def term_for_her(text: str) -> str:
    """A duration of pregnancy as caregivers write it (31+4) in her words; anything else as it is."""
    weeks, plus, days = text.partition("+")
    return gestation_for_her(int(weeks) * 7 + int(days)) if plus and weeks.isdecimal() and days.isdecimal() else text


def capital(text: str) -> str:
    """The text as the begin of a sentence: Eén, not Één."""
    return "Eén" + text[3:] if text.startswith("één") else text[:1].upper() + text[1:]


def gestation_for_her(days: int) -> str:
    """Completed weeks and days in words: 31 weken en 5 dagen."""
    weeks, rest = divmod(days, 7)
    tail = "" if not rest else f" en {rest} dag" if rest == 1 else f" en {rest} dagen"
    return f"{weeks} {'week' if weeks == 1 else 'weken'}{tail}"


def gestation_days(on: date, due: date) -> int:
    """Completed days of pregnancy (zwangerschapsduur) on a day; 280 on the due date. Source: zib Pregnancy 2020."""
    return 280 - (due - on).days


def _imprecise(text: str) -> str:
    if len(text) == 7 and text[4] == "-" and text[5:].isdigit() and 1 <= int(text[5:]) <= 12:
        return f"{MONTHS[int(text[5:]) - 1]} {text[:4]}"
    return text


def _imprecise_short(text: str) -> str:
    return f"{text[5:]}-{text[:4]}" if len(text) == 7 and text[4] == "-" else text
