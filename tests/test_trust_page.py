"""The page of promises names tests; each of them is there, so the page cannot rot."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = ("docs/trust.md", *sorted(str(page.relative_to(ROOT)) for page in (ROOT / "docs" / "decisions").glob("*.md")))


def named(text: str) -> list[tuple[str, str]]:
    """Files or folders of tests, each with a test in it ("" for all).

    Within a line (a row of the table), a bare `test_x.py` stands in the folder named before it, and a test in the file named before it; with
    no file before it, it may stand anywhere.
    """
    found: list[tuple[str, str]] = []
    for line in text.splitlines():
        folder = place = "tests"
        for word in re.findall(r"`([^`\s]+)`", line):
            if word.startswith("tests/"):
                place = word.rstrip("/")
                folder = str(Path(place).parent) if place.endswith(".py") else place
            elif re.fullmatch(r"test_\w+\.py", word):
                place = f"{folder}/{word}"
            elif not re.fullmatch(r"test_\w+", word):
                continue
            found.append((place, "" if place.endswith(word.rstrip("/")) else word))
    return found


def names_in(place: Path) -> set[str]:
    """The names of the tests in a file, or in all files of a folder."""
    files = [place] if place.suffix == ".py" else sorted(place.rglob("test_*.py"))
    trees = [ast.parse(file.read_text(encoding="utf-8")) for file in files if file.exists()]
    return {node.name for tree in trees for node in ast.walk(tree)
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")}


@pytest.mark.parametrize("page", PAGES)
def test_every_test_that_a_page_names_is_there(page: str) -> None:
    wrong = [(place, test) for place, test in named((ROOT / page).read_text(encoding="utf-8"))
             if not (found := names_in(ROOT / place)) or (test and test not in found)]
    assert wrong == []


def test_the_page_of_promises_names_many_and_a_wrong_name_is_seen() -> None:
    found = named((ROOT / "docs/trust.md").read_text(encoding="utf-8"))
    assert len(found) > 50 and sum(1 for _, test in found if test) >= 3
    assert names_in(ROOT / "tests/nowhere.py") == names_in(ROOT / "tests/nowhere") == set()
    assert named("`tests/door/test_read.py` (`test_no`), `test_crash.py`, `audit/`\n`test_alone`") == [
        ("tests/door/test_read.py", ""), ("tests/door/test_read.py", "test_no"), ("tests/door/test_crash.py", ""), ("tests", "test_alone")]
