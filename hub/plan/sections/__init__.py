"""One file a section. Every module here has a `SECTION`; this page gathers them, in the order of the plan."""

from __future__ import annotations

import importlib
import pkgutil
from typing import Final

from hub.plan.section import Section


def _found() -> list[Section]:
    modules = [importlib.import_module(f"{__name__}.{module.name}") for module in pkgutil.iter_modules(__path__)]
    sections: list[Section] = [module.SECTION for module in modules]
    return sorted(sections, key=lambda section: int(section.number))


SECTIONS: Final[dict[str, Section]] = {section.name: section for section in _found()}
