"""Writes `fhir_profiles/generated/r4.json`: `python -m fhir_profiles.generate --definitions DIR`."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from fhir_profiles.generate.definitions import Definitions
from fhir_profiles.generate.primitives import Schema
from fhir_profiles.generate.schema import SchemaBuilder
from fhir_profiles.generate.types import RESOURCE_TYPES

TARGET = Path(__file__).parent.parent / "generated" / "r4.json"


def generated(folder: Path) -> str:
    """The text of the file: a JSON object with one definition on each line, so that one can be read without the others."""
    made: dict[str, Schema] = SchemaBuilder(Definitions.read(folder), RESOURCE_TYPES).made
    lines = [f"{json.dumps(name)}:{json.dumps(made[name], separators=(',', ':'), ensure_ascii=True)}" for name in sorted(made)]
    return "{\n" + ",\n".join(lines) + "\n}\n"


def main() -> None:
    """Read the definitions, write the file, say how large it became."""
    parser = argparse.ArgumentParser(prog="fhir_profiles.generate", description=__doc__)
    parser.add_argument("--definitions", type=Path, required=True, help="folder with profiles-types.json and the other R4 files")
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 when the file is not what it should be")
    arguments = parser.parse_args()
    text = generated(arguments.definitions)
    if arguments.check:
        sys.exit(TARGET.read_text(encoding="ascii") != text)
    TARGET.write_text(text, encoding="ascii")
    sys.stdout.write(f"{TARGET.name}: {len(text)} bytes, {text.count(chr(10)) - 2} definitions\n")


if __name__ == "__main__":
    main()
