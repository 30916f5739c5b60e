"""The imports of the package obey the stack that docs/decisions/0003-floors.md prints."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from documents import TOP, blocks

PACKAGE = TOP / "src" / "llmsizer"
FLOORS_PAGE = TOP / "docs" / "decisions" / "0003-floors.md"
STACK = [re.findall(r"\w+", floor) for floor in next(blocks("text", [FLOORS_PAGE])).text.split("<")]
HEIGHT = {name: height for height, names in enumerate(STACK) for name in names}
# Pairs of one floor that stand beside one another, of which one may still use the other.
BESIDE = {("authoring", "validation")}


def imported(file: Path) -> Iterator[str]:
    """The parts of the package that a module imports, wherever in it."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            assert not node.level, f"{file}: relative import"
            names = [str(node.module)]
        for name in names:
            if name.startswith("llmsizer."):
                yield name.split(".")[1]


def test_every_folder_has_a_floor():
    folders = {path.parent.name for path in PACKAGE.glob("*/*.py")}
    assert folders <= set(HEIGHT)


@pytest.mark.parametrize("name", [name for name in HEIGHT if (PACKAGE / name).is_dir()])
def test_imports_point_down(name):
    wrong = [
        f"{file.relative_to(PACKAGE)} imports {other}"
        for file in (PACKAGE / name).rglob("*.py")
        for other in imported(file)
        if other != name and HEIGHT.get(other, -1) >= HEIGHT[name] and (name, other) not in BESIDE
    ]
    assert not wrong
