"""What an auditor takes away: a FHIR Bundle and a CSV, written piece by piece."""

from __future__ import annotations

import csv
import io

import orjson
import pytest
from fhir.resources.R4B.bundle import Bundle
from hypothesis import given
from hypothesis import strategies as st

from audit.entry import Line
from audit.export import CSV_COLUMNS, bundle, table
from tests.audit.lines import FULL, NOOR, entry


def line(n: int = 1, **changes: str) -> Line:
    return Line(n, n, "2026-11-24T09:31:02.000000+00:00", entry(**changes) if changes else FULL)


def rows(pieces: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(pieces.decode("utf-8-sig"), newline=""), delimiter=";"))


@pytest.mark.parametrize("kind", ["collection", "searchset"])
@pytest.mark.parametrize("n", [0, 1, 3])
def test_the_bundle_is_valid_fhir_with_an_entry_a_line(kind: str, n: int) -> None:
    written = b"".join(bundle((line(k) for k in range(n)), kind))

    parsed = Bundle.model_validate_json(written)

    assert parsed.type == kind and len(parsed.entry or []) == n
    assert ("search" in orjson.loads(written).get("entry", [{}])[0]) is (kind == "searchset" and n > 0)


def test_the_bundle_is_written_as_it_is_read() -> None:
    pieces = bundle(iter([line(1), line(2)]))
    assert next(pieces).startswith(b'{"resourceType":"Bundle"')
    assert b"AuditEvent" in next(pieces)


def test_the_table_has_every_column_in_every_row() -> None:
    heading, first = rows(b"".join(table([line()])))

    assert tuple(heading) == CSV_COLUMNS and len(first) == len(heading)
    told = dict(zip(heading, first, strict=True))
    assert (told["client"], told["gebruiker"], told["controles"], told["gesloten"]) == (
        NOOR, "900000001", "TTTF", "history:role-has-no-section")


@given(st.text(max_size=40).filter(lambda text: not any("\ud800" <= c <= "\udfff" for c in text)))
def test_no_cell_is_run_as_a_formula_and_no_cell_breaks_the_table(text: str) -> None:
    [_, first] = rows(b"".join(table([line(who__name=text, about__query=text)])))

    assert len(first) == len(CSV_COLUMNS)
    assert not any(cell.lstrip().startswith(("=", "+", "-", "@")) for cell in first)


@pytest.mark.parametrize("text", ["=1+1", "+31", "-1", "@SUM(A1)", "\t=1", "\r=1", "  =1", '"=1', "a;b", 'a"b'])
def test_formulas_become_text(text: str) -> None:
    told = dict(zip(CSV_COLUMNS, rows(b"".join(table([line(who__name=text)])))[1], strict=True))

    assert told["naam"] == (text if text[0] in '"a' else f"'{text}")
