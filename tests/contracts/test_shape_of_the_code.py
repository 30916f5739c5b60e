"""Files and functions stay short, public things are documented, and the text is the project's own."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

TOP = Path(__file__).parents[2]
SOURCES = sorted((TOP / "src" / "llmsizer").rglob("*.py"))
MOST_LINES, MOST_FUNCTION_LINES = 400, 40
# Where the work was done is no part of the project.
FOREIGN = ("../shared", "/work/", "DESIGN.md", "anchors.md", "BRIEF.md")
TEXTS = [
    *SOURCES,
    *(TOP / "src").rglob("*.yaml"),
    *(TOP / "docs").rglob("*.md"),
    *TOP.glob("*.md"),
    *TOP.glob("*.yaml"),
    *TOP.glob("*.toml"),
    *(TOP / "measurements").rglob("*.yaml"),
    *(TOP / "benchmarks").rglob("*.py"),
]

EACH = pytest.mark.parametrize("file", SOURCES, ids=lambda path: str(path.relative_to(TOP / "src" / "llmsizer")))


def functions(file: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node


def lines_of(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines from ``def`` to the end, without the docstring (a formula documents every parameter there)."""
    first = function.body[0]
    is_text = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)
    docstring = (first.end_lineno or 0) - first.lineno + 1 if is_text else 0
    return (function.end_lineno or 0) - function.lineno + 1 - docstring


@EACH
def test_files_are_short(file: Path):
    lines = file.read_text(encoding="utf-8").count("\n")
    assert lines <= MOST_LINES


@EACH
def test_functions_are_short(file: Path):
    long = {f"{each.name} (line {each.lineno}): {lines_of(each)}" for each in functions(file)}
    assert not {text for text in long if int(text.rsplit(" ", 1)[1]) > MOST_FUNCTION_LINES}


@EACH
def test_public_functions_are_documented(file: Path):
    tree = ast.parse(file.read_text(encoding="utf-8"))
    public = [node for node in tree.body if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_")]
    assert ast.get_docstring(tree) or not tree.body
    assert not [node.name for node in public if not ast.get_docstring(node)]


def test_no_name_of_another_place():
    found = {
        f"{file.relative_to(TOP)} mentions {word}"
        for file in TEXTS
        for word in FOREIGN
        if word in file.read_text(encoding="utf-8")
    }
    assert not found
