"""Every setting is explained to operators: `deploy/README.md` names each field of `hub.settings.Settings` by its environment variable."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel

from hub.settings import Settings

README = Path(__file__).parents[1] / "deploy" / "README.md"


def variables(model: type[BaseModel], prefix: str = "OOIEVAAR_") -> Iterator[str]:
    """Every field as the variable that sets it, parts included."""
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from variables(kind, f"{prefix}{name.upper()}__")
        else:
            yield prefix + name.upper()


def named() -> set[str]:
    """The variables that the page names."""
    return set(re.findall(r"\bOOIEVAAR_[A-Z0-9_]*[A-Z0-9]\b", README.read_text()))


@pytest.mark.parametrize("variable", list(variables(Settings)))
def test_a_setting_is_explained_to_operators(variable: str) -> None:
    assert variable in named(), f"{variable} is not in {README.name}"


def test_no_setting_is_explained_that_does_not_exist() -> None:
    parts = {"OOIEVAAR_SHARED"}  # where tests find the corpus
    assert named() - set(variables(Settings)) - parts == set()
