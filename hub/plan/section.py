"""A plan section: what it reads, what it keeps of each resource, and its Dutch title.

A new section is one new file in `sections/`; plan, API and page pick it up. Nobody can read it until `authz/roles.py` opens it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from fhir_profiles.codes import CONCEPTS
from hub.log.envelope import Envelope

Item = dict[str, Any]
"""What a section keeps of one R4 resource: plain JSON, absent where the source said nothing. Keys: `items.py`."""


@dataclass(frozen=True, slots=True)
class Section:
    """One section of the plan. `number` is its paragraph in the domain's list; `item` is pure and does not raise for odd input."""

    name: str
    number: str
    title_nl: str
    item: Callable[[Envelope], Item]

    @property
    def concepts(self) -> tuple[str, ...]:
        """The names of the concepts that belong here, in the order in which the plan shows them."""
        return _CONCEPTS.get(self.name, ())


_CONCEPTS: Final = {
    section: tuple(concept.name for concept in CONCEPTS if concept.section == section) for section in {c.section for c in CONCEPTS}
}
