"""Old shapes of a packed record, brought to the present one by pure steps. An envelope is never edited in the log.

Each step takes the rows of one schema and gives the rows of the next; `STEPS[n]` leads from n to n + 1.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from fhir_profiles.errors import Unavailable

SCHEMA: Final = 1

Rows = list[list[Any]]

STEPS: Final[dict[int, Callable[[Rows], Rows]]] = {}


def upcast(schema: int, rows: Rows) -> Rows:
    """Rows of any schema as rows of the present one; raises `Unavailable` for one from the future: a newer program must read it."""
    if schema > SCHEMA:
        raise Unavailable(f"a record has schema {schema}; this program knows up to {SCHEMA}", code="schema-newer")
    for step in range(schema, SCHEMA):
        rows = STEPS[step](rows)
    return rows
