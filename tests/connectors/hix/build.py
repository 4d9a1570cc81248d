"""Builds HL7 v2 messages about invented women for tests; each argument names only what matters to the case."""

from __future__ import annotations

from connectors.contract import Facts, Left, Mapped
from connectors.formats.hl7v2 import MEDIA_TYPE
from connectors.hix.mapping import HixMapping

FACTS = Facts("hix/00700002", "00700002", "Ziekenhuis Rijnoever", MEDIA_TYPE, "2026-11-24T12:00:00Z")
NOOR, SAMIRA, LOTTE, FOURTH, FIFTH = "999990019", "999990020", "999990032", "999990044", "999990056"
WRONG_BSN = "999990018"

PID = f"PID|1||{NOOR}^^^NLMINBIZA^NNNLD~R1^^^RIJNOEVER^PI||Proef&&Proef^Test^^^^^L||19900101|F"
PV1 = f"PV1|1|O|POLI{'|' * 16}V1^^^RIJNOEVER^VN{'|' * 25}20261120090000"
OBR = "OBR|1||L1^LAB|VERL^Onderzoek^L|||20261120093000|||||||||||||||20261120140000|||F"


def msh(kind: str = "ORU^R01^ORU_R01", *, control_id: str = "C1", version: str = "2.5.1", charset: str = "UNICODE UTF-8",
        processing: str = "P", sender: str = "HIX|RIJNOEVER", at: str = "20261120141500", acks: str = "AL|AL") -> str:
    """An MSH segment."""
    return f"MSH|^~\\&|{sender}|OOIEVAAR|GZ|{at}||{kind}|{control_id}|{processing}|{version}|||{acks}|NLD|{charset}"


def message(*segments: str, end: str = "\r") -> bytes:
    """Segments as one message."""
    return (end.join(segments) + end).encode()


def obx(code: str, value: str, unit: str = "", *, kind: str = "NM", sub: str = "", status: str = "F", number: int = 1,
        rest: str = "") -> str:
    """An OBX segment; `rest` is what follows OBX-11."""
    return f"OBX|{number}|{kind}|{code}|{sub}|{value}|{unit}|||||{status}{rest}"


def oru(*rows: str, obr: str = OBR, head: str = "", pid: str = PID) -> bytes:
    """A result message with these OBX (and NTE) rows."""
    return message(head or msh(), pid, obr, *rows)


def adt(event: str, *rows: str, pid: str = PID, pv1: str = PV1) -> bytes:
    """An ADT message with these segments after PV1."""
    return message(msh(f"ADT^{event}^ADT_A01"), f"EVN|{event}|20261120141500", pid, *([pv1] if pv1 else []), *rows)


def mapped(body: bytes) -> Mapped:
    """What the mapping makes of it."""
    return HixMapping().to_fhir(body, FACTS)


def codes_of(lefts: tuple[Left, ...]) -> list[str]:
    """The codes of what was left."""
    return [left.code for left in lefts]
