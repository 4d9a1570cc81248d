"""The messages that Ziekenhuis Rijnoever sends in the demo: three invented women, told relative to a given day.

Every function gives whole messages as bytes, the same for the same arguments: a test, the simulator and the benchmark use the same ones.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Final

APPLICATION: Final = "HIX"
FACILITY: Final = "RIJNOEVER"
_DOCTOR: Final = "01234567^de Wit^Anna^^^drs.^^^VEKTIS"


@dataclass(frozen=True, slots=True)
class Woman:
    """An invented woman as the hospital knows her. `name` is PID-5, `address` PID-11, as they are sent."""

    bsn: str
    number: str
    name: str
    born: str
    address: str = "Kade 1&Kade&1^^Rijnoever^^1234AB^NL^H"
    phone: str = "0612345678^PRN^CP"

    def pid(self) -> str:
        """Her PID segment."""
        ids = f"{self.bsn}^^^NLMINBIZA^NNNLD~{self.number}^^^{FACILITY}^PI"
        return f"PID|1||{ids}||{self.name}||{self.born}|F|||{self.address}||{self.phone}"


NOOR: Final = Woman("999990019", "R100019", "Verhoeven&&Verhoeven^Noor^^^^^L", "19940312")
SAMIRA: Final = Woman("999990020", "R100020", "Aydin&&Aydin^Samira^^^^^L", "19901102", "Havenweg 22&Havenweg&22^^Rijnoever^^1234CD^NL^H")
LOTTE: Final = Woman("999990032", "R100032", "van den Brink&van den&Brink^Lotte^A.^^^^L", "19880725")


@dataclass(frozen=True, slots=True)
class Result:
    """One OBX: code (OBX-3), type, value, unit, sub-id, status and abnormal flag."""

    code: str
    type: str
    value: str
    unit: str = ""
    sub: str = ""
    status: str = "F"
    flag: str = ""
    span: str = ""

    def obx(self, number: int) -> str:
        """The segment."""
        return f"OBX|{number}|{self.type}|{self.code}|{self.sub}|{self.value}|{self.unit}|{self.span}|{self.flag}|||{self.status}"


def haemoglobin(value: str, status: str = "F") -> Result:
    """Hb in mmol/L."""
    return Result("718-7^Hemoglobine^LN^HB^Hb^L", "NM", value, "mmol/l", status=status, flag="L" if value < "6.8" else "", span="6.8-8.7")


BLOOD_GROUP_O: Final = Result("883-9^ABO-bloedgroep^LN^BLGR^Bloedgroep^L", "CWE", "58460004^Bloedgroep O^SCT")
BLOOD_GROUP_A: Final = Result("BLGR^Bloedgroep^L", "ST", "A")
RHESUS_POSITIVE: Final = Result("1305-2^Rhesus D^LN^RHD^Rh D^L", "ST", "positief")
RHESUS_NEGATIVE: Final = Result("RHD^Rhesus D^L", "ST", "neg")


def pressure(systolic: int, diastolic: int) -> tuple[Result, Result]:
    """A blood pressure as HiX sends it: two results."""
    return (
        Result("RRSYS^Bloeddruk systolisch^L", "NM", str(systolic), "mmHg"),
        Result("RRDIA^Bloeddruk diastolisch^L", "NM", str(diastolic), "mmHg"),
    )


def _stamp(at: datetime) -> str:
    return at.strftime("%Y%m%d%H%M%S")


def _message(kind: str, control_id: str, at: datetime, lines: list[str]) -> bytes:
    structure = {"ORU^R01": "ORU_R01", "ADT^A08": "ADT_A01"}.get(kind, kind.replace("^", "_"))
    msh = f"MSH|^~\\&|{APPLICATION}|{FACILITY}|OOIEVAAR|GZ|{_stamp(at)}||{kind}^{structure}|{control_id}|P|2.5.1|||AL|AL|NLD|UNICODE UTF-8"
    return ("\r".join([msh, *lines]) + "\r").encode()


def adt(event: str, woman: Woman, control_id: str, at: datetime, *, visit: str, begun: datetime, more: tuple[str, ...] = ()) -> bytes:
    """An ADT message about a visit to the outpatient clinic (A04, A08) or an admission (A01). `more` are segments after PV1."""
    kind = "I" if event == "A01" else "O"
    place = "VERL^01^1" if event == "A01" else "POLIVERL"
    pv1 = f"PV1|1|{kind}|{place}||||{_DOCTOR}|||GYN|||||||||{visit}^^^{FACILITY}^VN|{'|' * 24}{_stamp(begun)}"
    return _message(f"ADT^{event}", control_id, at, [f"EVN|{event}|{_stamp(at)}", woman.pid(), pv1, *more])


def oru(woman: Woman, control_id: str, at: datetime, *, order: str, taken: datetime, results: tuple[Result, ...], status: str = "F",
        notes: tuple[str, ...] = ()) -> bytes:
    """Results of one order. `taken` is when the specimen was taken or the measurement made."""
    obr = f"OBR|1||{order}^LAB|VERL^Verloskundig onderzoek^L|||{_stamp(taken)}{'|' * 15}{_stamp(at)}|||{status}"
    rows = [result.obx(number) for number, result in enumerate(results, 1)]
    head = [woman.pid(), "PV1|1|O|POLIVERL", f"ORC|RE||{order}^LAB", obr]
    return _message("ORU^R01", control_id, at, [*head, *rows, *(f"NTE|1|L|{n}" for n in notes)])


def _at(today: date, days: int, hour: int, minute: int = 0) -> datetime:
    return datetime.combine(today + timedelta(days=days), time(hour, minute))


def pregnant(today: date, days_ago: int, more: str = "") -> tuple[str, ...]:
    """The diagnosis that opens the hospital's dossier of the pregnancy; `more` adds one."""
    since = (today - timedelta(days=days_ago)).strftime("%Y%m%d")
    first = f"DG1|1||118185001^zwangerschap^SCT||{since}|F"
    return (first, f"DG1|2||{more}||{since}|F") if more else (first,)


def noor(today: date) -> list[bytes]:
    """Noor: admitted for a day, allergic to penicillin; Hb, blood group, Rh D and blood pressure; Hb corrected later; what differs."""
    begun = _at(today, -1, 9)
    allergy = "AL1|1|DA|764146007^Penicilline^SCT|SV|huiduitslag"
    partner = "NK1|1|Verhoeven&&Verhoeven^Daan|DOM^Partner^HL70063||0687654321^PRN^CP"
    more = (partner, *pregnant(today, 180), allergy)
    admitted = adt("A01", NOOR, "RIJ-N1", _at(today, -1, 9, 5), visit="V500019", begun=begun, more=more)
    updated = adt("A08", NOOR, "RIJ-N2", _at(today, -1, 9, 20), visit="V500019", begun=begun, more=more)
    taken, sys_dia = _at(today, -1, 9, 30), pressure(118, 76)
    first = oru(NOOR, "RIJ-N3", _at(today, -1, 14), order="L700019", taken=taken,
                results=(haemoglobin("6.0"), BLOOD_GROUP_O, RHESUS_POSITIVE, *sys_dia))
    return [admitted, updated, first, noor_corrected(today), noor_differs(today)]


def noor_corrected(today: date) -> bytes:
    """The laboratory corrects the Hb of the first order: 6.6 instead of 6.0."""
    return oru(NOOR, "RIJ-N4", _at(today, -1, 16, 30), order="L700019", taken=_at(today, -1, 9, 30), status="C",
               results=(haemoglobin("6.6", "C"),), notes=("Herhaald na verwisseling van het monster",))


def noor_differs(today: date) -> bytes:
    """An ultrasound that says another due date than the midwife does: three days later."""
    due = (today + timedelta(days=87)).strftime("%Y%m%d") + "000000"
    results = (
        Result("GRAVIDA", "NM", "2"), Result("PARITY", "NM", "1"), Result("DUE_DATE", "TS", due), Result("GESTATIONAL_AGE", "ST", "27w4d"),
    )
    return oru(NOOR, "RIJ-N5", _at(today, -1, 17), order="E800019", taken=_at(today, -1, 11), results=results)


def noor_measured(now: datetime, turn: int) -> bytes:
    """A blood pressure of Noor's, measured now (local time); a little different each turn."""
    stamp = _stamp(now)
    results = pressure(114 + turn * 5 % 9, 72 + turn * 3 % 7)
    return oru(NOOR, f"RIJ-M{stamp}", now, order=f"M{stamp}", taken=now, results=results)


def samira(today: date) -> list[bytes]:
    """Samira: twins, under care of the hospital; two heart rates, told apart by OBX-4."""
    begun = _at(today, -3, 10)
    came = adt("A04", SAMIRA, "RIJ-S1", _at(today, -3, 10, 5), visit="V500020", begun=begun,
               more=pregnant(today, 190, "16356006^meerlingzwangerschap^SCT"))
    hearts = tuple(Result("55283-6^Foetale hartfrequentie^LN", "NM", rate, "/min", sub=sub) for sub, rate in (("1", "142"), ("2", "151")))
    seen = oru(SAMIRA, "RIJ-S2", _at(today, -3, 11), order="E800020", taken=_at(today, -3, 10, 30), results=(*hearts, *pressure(126, 82)))
    blood = oru(SAMIRA, "RIJ-S3", _at(today, -2, 9), order="L700020", taken=_at(today, -3, 10, 45),
                results=(haemoglobin("7.1"), BLOOD_GROUP_A, RHESUS_NEGATIVE))
    return [came, seen, blood]


def lotte(today: date) -> list[bytes]:
    """Lotte: seen after her loss; one Hb."""
    begun = _at(today, -8, 15)
    came = adt("A04", LOTTE, "RIJ-L1", _at(today, -8, 15, 5), visit="V500032", begun=begun)
    blood = oru(LOTTE, "RIJ-L2", _at(today, -7, 9), order="L700032", taken=_at(today, -8, 15, 20), results=(haemoglobin("7.8"),))
    return [came, blood]


def story(today: date) -> list[bytes]:
    """The whole story, in the order in which it is sent."""
    told = noor(today)
    return [*told[:3], *samira(today), *lotte(today), *told[3:]]


def invented_bsns() -> Iterator[str]:
    """Numbers of the range 9999xxxxx that pass the eleven-test and were never given out, without those of the cast; about 9,000."""
    weights = (9, 8, 7, 6, 5, 4, 3, 2)
    cast = {NOOR.bsn, SAMIRA.bsn, LOTTE.bsn}
    for middle in range(10_000):
        first = f"9999{middle:04d}"
        rest = sum(w * int(d) for w, d in zip(weights, first, strict=True)) % 11
        if rest < 10 and first + str(rest) not in cast:
            yield first + str(rest)


def invented(women: int) -> list[Woman]:
    """As many invented women, apart from the cast; at most 9,000."""
    return [
        Woman(bsn, f"B{bsn[2:]}", f"Test{n}&&Test{n}^Proef^^^^^L", "19900101")
        for n, bsn in enumerate(itertools.islice(invented_bsns(), women))
    ]


def burst(n: int, women: int, *, today: date, seed: int = 1) -> Iterator[bytes]:
    """`n` different results of four OBX each, spread over as many invented women; the same for the same arguments."""
    chance = random.Random(seed)  # noqa: S311 - invented values, no secrets
    cast = invented(women)
    for number in range(n):
        woman = cast[number % len(cast)]
        taken = _at(today, -chance.randrange(1, 60), chance.randrange(8, 17), chance.randrange(60))
        hb = f"{chance.uniform(5.5, 8.5):.1f}"
        rhesus = chance.choice((RHESUS_POSITIVE, RHESUS_NEGATIVE))
        results = (haemoglobin(hb), rhesus, *pressure(chance.randrange(100, 140), chance.randrange(60, 90)))
        yield oru(woman, f"RIJ-B{seed}-{number}", taken + timedelta(hours=2), order=f"B{seed}-{number}", taken=taken, results=results)
