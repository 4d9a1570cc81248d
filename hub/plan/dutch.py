"""Values as Dutch text: decimal comma, a space that does not break before the unit, dates as people read them. Pure."""

from __future__ import annotations

from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from hub.plan.section import Item

NBSP: Final = "\u00a0"
AMSTERDAM: Final = ZoneInfo("Europe/Amsterdam")
_MONTHS: Final = (
    "januari", "februari", "maart", "april", "mei", "juni", "juli", "augustus", "september", "oktober", "november", "december",
)
_UNITS: Final = {"mm[Hg]": "mmHg", "[lb_av]": "lb", "Cel": "°C", "d": "dagen", "wk": "weken", "{score}": "", "1": ""}
_COMPARATORS: Final = {"<": "<", "<=": "≤", ">": ">", ">=": "≥"}


def gestation_days(on: date, due: date) -> int:
    """Completed days of pregnancy (zwangerschapsduur) on a day; 280 on the due date.

    Source: zib Pregnancy (2020), EstimatedDateOfDelivery: the day of 40w0d.
    """
    return 280 - (due - on).days


def weeks_and_days(days: int) -> str:
    """A duration of pregnancy as caregivers write it: 221 → "31+4"."""
    return f"{days // 7}+{days % 7}"


def clinical_date(iso: str) -> str:
    """For caregivers: "2026-05-03" → "03-05-2026", "2026-05" → "05-2026"; with a time, Dutch clock time follows. Other text stays."""
    moment = moment_of(iso)
    if moment is not None:
        return moment.astimezone(AMSTERDAM).strftime("%d-%m-%Y %H:%M")
    parts = iso[:10].split("-")
    return "-".join(reversed(parts)) if all(part.isdigit() for part in parts) else iso


def plain_date(iso: str, *, year: bool = False) -> str:
    """For her: "2026-01-21" → "21 januari", with the year when asked. What is no whole date is given as a clinical date."""
    day = day_of(iso)
    if day is None:
        return clinical_date(iso)
    return f"{day.day} {_MONTHS[day.month - 1]}{f' {day.year}' if year else ''}"


def day_of(iso: str) -> date | None:
    """The calendar day (Dutch time) of ISO text; None when it is less precise than a day, or no date at all."""
    moment = moment_of(iso)
    if moment is not None:
        return moment.astimezone(AMSTERDAM).date()
    try:
        return date.fromisoformat(iso[:10]) if len(iso) >= 10 else None
    except ValueError:
        return None


def moment_of(iso: str) -> datetime | None:
    """The moment of ISO text with a time, None without one. A time without an offset is Dutch local time."""
    if "T" not in iso:
        return None
    try:
        moment = datetime.fromisoformat(iso)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=AMSTERDAM)


@lru_cache(maxsize=16_384)
def sortable(iso: str) -> str:
    """Text that sorts by time, whatever offset or precision the source used: UTC where there is a time."""
    moment = moment_of(iso)
    return moment.astimezone(UTC).isoformat(timespec="microseconds") if moment is not None else iso


def number_text(number: float) -> str:
    """A number with a decimal comma, as precise as the source gave it: 6.6 → "6,6", 6.0 → "6,0", 118 → "118"."""
    return repr(number).replace(".", ",")


def with_unit(number: float, unit: str) -> str:
    """A number and its unit: "6,6 mmol/L"."""
    shown = _UNITS.get(unit, unit)
    return f"{number_text(number)}{NBSP}{shown}" if shown else number_text(number)


def item_text(kind: str, concept: str, item: Item) -> str:
    """What a section kept of a resource, ready to show. `kind` as in `codes.Concept`; an honest gap says that it is one."""
    if item.get("absent"):
        return f"onbekend ({item['absent']})"
    if parts := item.get("parts"):
        return f"{'/'.join(number_text(part[1]) for part in parts)}{NBSP}{_UNITS.get(parts[0][2], parts[0][2])}".rstrip()
    number = item.get("number")
    if number is not None:
        sign = _COMPARATORS.get(item.get("comparator", ""), "")
        if concept == "gestational-age" and item.get("unit") == "d":
            return f"{sign}{weeks_and_days(int(number))}"
        return f"{sign}{with_unit(number, item.get('unit', ''))}"
    text = str(item.get("text") or item.get("name") or "")
    return clinical_date(text) if kind == "date" else text
