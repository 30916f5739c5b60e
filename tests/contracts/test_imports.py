"""What the stack of floors alone does not say (tests/docs/test_floors.py checks that one)."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "src" / "llmsizer"
MODULES = {
    ".".join(("llmsizer", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__"): path
    for path in PACKAGE.rglob("*.py")
}
# Floors that may know nothing but these.
ONLY = {
    "core": {"core"},
    "formulas": {"core", "formulas"},
    "blocks": {"core", "formulas", "blocks"},
    "schema": {"core", "formulas", "blocks", "schema"},
    "sizing": {"core", "formulas", "blocks", "schema", "sizing"},
    "catalog": {"core", "formulas", "blocks", "schema", "catalog"},
}
HEAVY = ("numpy", "pydantic", "yaml", "rich", "tabulate", "matplotlib", "gguf", "huggingface_hub")


def imported(tree: ast.AST, at_start: bool = False) -> Iterator[str]:
    """Modules of the package that a module imports: anywhere in it, or only when it is loaded itself."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "relative import"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in MODULES else str(node.module)
        lazy = isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        typing_only = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        if not (at_start and (lazy or typing_only)):
            yield from imported(node, at_start)


def imports_of(name: str, at_start: bool = False) -> set[str]:
    tree = ast.parse(MODULES[name].read_text(encoding="utf-8"))
    return {found for found in imported(tree, at_start) if found.startswith("llmsizer")}


@pytest.mark.parametrize("floor", ONLY)
def test_a_low_floor_knows_only_what_it_stands_on(floor: str):
    mine = [name for name in MODULES if name.startswith(f"llmsizer.{floor}")]
    wrong = {
        f"{name} imports {other}"
        for name in mine
        for other in imports_of(name)
        if other.split(".")[1:2] and other.split(".")[1] not in ONLY[floor]
    }
    assert mine
    assert not wrong


def test_no_import_cycles():
    graph = {name: imports_of(name, at_start=True) & set(MODULES) - {name} for name in MODULES}
    try:
        tuple(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(f"import cycle: {' -> '.join(error.args[1])}")


def test_every_import_exists():
    missing = {
        f"{name} imports {other}"
        for name in MODULES
        for other in imports_of(name)
        if other not in MODULES and other.rpartition(".")[0] not in MODULES
    }
    assert not missing


def test_importing_llmsizer_loads_nothing_heavy():
    code = f"import sys, llmsizer, llmsizer.core.explain\nprint([name for name in {HEAVY!r} if name in sys.modules])"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"


def test_an_estimate_loads_nothing_heavy():
    """The compiled catalog spares YAML and its validator; a single estimate needs no arrays."""
    code = (
        "import sys, llmsizer\nllmsizer.estimate('llama-3.1-8b', 'h100')\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    for _ in range(2):  # the first may have to compile the catalog
        told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"
