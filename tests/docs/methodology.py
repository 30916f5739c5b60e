"""The methodology pages (docs/methodology/): every equation with its units and source, generated from the formulas."""

from __future__ import annotations

import ast
import inspect
import pkgutil
import textwrap
from importlib import import_module
from types import ModuleType
from typing import Any

import llmsizer.formulas
from llmsizer.core.explain import Formula

MODULES = sorted(found.name for found in pkgutil.iter_modules(llmsizer.formulas.__path__))
INDEX = """# Methodology

Every number that llmsizer prints is made by the equations on these pages; `--explain PATH` shows which of them with
which values. The pages are generated from `src/llmsizer/formulas/` (`python tests/docs/refresh.py` writes them, a test compares
them). Each equation names the units of its inputs and its result, and the source it was taken from; where it holds only
within limits, they are named too. Efficiencies are not in the equations: they are parameters, fitted to measurements
(see [calibration curves](../decisions/0006-calibration-curves.md) and [validation](../validation.md)).

| page | about | equations |
|---|---|---|
"""


def methodology_pages() -> dict[str, str]:
    """All pages by their file name."""
    modules = {name: import_module(f"llmsizer.formulas.{name}") for name in MODULES}
    pages = {f"{name}.md": _page(name, module) for name, module in modules.items()}
    rows = [
        f"| [{_title(name)}]({name}.md) | {_about(module)} | {len(_formulas(module))} |" for name, module in modules.items()
    ]
    return {"index.md": INDEX + "\n".join(rows) + "\n", **pages}


def _title(name: str) -> str:
    return name.replace("_", " ").capitalize().replace("Kv ", "KV ")


def _about(module: ModuleType) -> str:
    return _paragraph(str(module.__doc__).partition("\n\n")[0])


def _formulas(module: ModuleType) -> list[Formula[Any, Any]]:
    found = [each for each in vars(module).values() if isinstance(each, Formula) and each.__module__ == module.__name__]
    once = {each.__name__: each for each in found}
    return sorted(once.values(), key=lambda each: inspect.getsourcelines(each.function)[1])


def _page(name: str, module: ModuleType) -> str:
    rest = str(module.__doc__).partition("\n\n")[2].strip()
    parts = [f"# {_title(name)}", _about(module), _plain(rest)] if rest else [f"# {_title(name)}", _about(module)]
    return "\n\n".join([*parts, *(_section(each) for each in _formulas(module))]) + "\n"


def _section(formula: Formula[Any, Any]) -> str:
    names, units, result = formula.units()
    inputs = ", ".join(f"`{name}` in {unit}" if unit != "1" else f"`{name}`" for name, unit in zip(names, units, strict=True))
    lines = [
        f"## {formula.__name__}", _plain(_words(formula)), f"```text\n{_equation(formula)}\n```",
        f"Inputs: {inputs}. Result: {result if result != '1' else 'a number without unit'}.",
        f"Source: {_plain(formula.reference)}.",
    ]  # fmt: skip
    return "\n\n".join([*lines, f"Valid: {_plain(formula.validity)}."] if formula.validity else lines)


def _words(formula: Formula[Any, Any]) -> str:
    """The docstring without its examples."""
    text = inspect.cleandoc(formula.__doc__ or "")
    return "\n\n".join(part for part in text.split("\n\n") if not part.lstrip().startswith(">>>"))


def _equation(formula: Formula[Any, Any]) -> str:
    """The body of the formula as it is computed."""
    function = ast.parse(textwrap.dedent(inspect.getsource(formula.function))).body[0]
    assert isinstance(function, ast.FunctionDef)
    lines = [ast.unparse(each) for each in function.body if not isinstance(each, ast.Expr)]
    return "\n".join(line.replace("return ", f"{formula.__name__} = ", 1) for line in lines)


def _plain(text: str) -> str:
    """Text in which Markdown sees no markup of its own."""
    return text.replace("``", "`").replace("|", "\\|").replace("<", "&lt;").replace("[", "\\[")


def _paragraph(text: str) -> str:
    return _plain(" ".join(text.split()))
