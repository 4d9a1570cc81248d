"""What was given on the command line goes before the environment, and both before the defaults."""

from __future__ import annotations

import argparse
from typing import Any

from pydantic import ValidationError

from fhir_profiles.errors import Unavailable
from hub.settings import Settings


def settings_of(arguments: argparse.Namespace, **more: Any) -> Settings:
    """The settings of this command. Raises `Unavailable` naming the setting that is wrong, never its value."""
    given = {name: getattr(arguments, name, None) for name in ("data", "http_port", "mllp_port")}
    try:
        return Settings(**{name: value for name, value in given.items() if value is not None}, **more)
    except ValidationError as error:
        wrong = ", ".join(".".join(str(part) for part in e["loc"]) or e["msg"] for e in error.errors(include_input=False, include_url=False))
        raise Unavailable(f"this setting is not right: {wrong}", code="settings") from error
