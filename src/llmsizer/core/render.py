"""Prints derivations: symbols = numbers = result, down to facts and their sources.

The printed expression is the formula's own return statement, so it cannot drift from the code.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from llmsizer.core.explain import STRUCTURE, Constant, Derivation, Formula, Source, Value, worst_tier
from llmsizer.core.quantities import human

# Stands around the names in a template; no expression has it.
MARK = "\0"


def explanation(value: Value, depth: int = 6, width: int = 100) -> str:
    """The derivation of a value as indented text, to a depth; then the facts it rests on."""
    lines = list(_tree(value, 0, depth, set()))
    lines += ["", "Facts:"]
    lines += _facts(value)
    return "\n".join(_wrapped(line, width) for line in lines)


def tier_of(value: Value) -> tuple[str, str]:
    """The evidence tier of a value, and the leaf that sets it."""
    leaves = [leaf for leaf in value.leaves() if isinstance(leaf.origin, Source)]
    tiers = [leaf.origin.tier for leaf in leaves if isinstance(leaf.origin, Source)]
    worst = worst_tier(tiers)
    weakest = next((leaf.name for leaf, tier in zip(leaves, tiers, strict=True) if tier == worst), "")
    return worst, weakest if worst != "specified" else ""


def shown(value: Value) -> str:
    """A value in a unit people read, with the exact figure where that hides digits."""
    number = value.number
    if not isinstance(number, (int, float)):
        return _range(value)
    text = human(float(number), value.unit)
    exact = f"{float(number):,.0f} {value.unit}" if value.unit in {"byte", "FLOP"} and abs(number) >= 1024 else ""
    return f"{text} ({exact})" if exact and not text.startswith(exact.split(" ")[0]) else text


def _range(value: Value) -> str:
    import numpy as np

    array = np.asarray(value.number, dtype=float)
    low, high = human(float(array.min()), value.unit), human(float(array.max()), value.unit)
    return f"{low} … {high} ({array.size} values)"


def _tree(value: Value, indent: int, depth: int, seen: set[int]) -> Iterator[str]:
    pad = "  " * indent
    origin = value.origin
    if isinstance(origin, Source):
        yield f"{pad}{value.name} = {shown(value)}  [{origin}]"
        return
    yield f"{pad}{value.name} = {shown(value)}"
    if id(value) in seen:
        yield f"{pad}  (as above)"
        return
    seen.add(id(value))
    yield from (f"{pad}  {line}" for line in _equation(value, origin))
    derived = [child for child in origin.inputs.values() if isinstance(child.origin, Derivation)]
    if derived and depth <= 1:
        yield f"{pad}  …"
        return
    for child in derived:
        yield from _tree(child, indent + 2, depth - 1, seen)


def _equation(value: Value, origin: Derivation) -> Iterator[str]:
    if origin.formula is None:
        numbers = " + ".join(_number(child) for child in origin.inputs.values())
        names = " + ".join(origin.inputs)
        if len(origin.inputs) > 1:
            yield f"= {names}"
            yield f"= {numbers}"
        return
    expression = _expression(origin.formula)
    if expression:
        yield f"= {expression}"
        yield f"= {_substituted(origin.formula, origin)}   ({origin.formula.reference})"
    else:
        yield f"= {origin.formula.__name__}({', '.join(origin.inputs)})   ({origin.formula.reference})"


def _number(value: Value) -> str:
    number = value.number
    if not isinstance(number, (int, float)):
        return _range(value)
    if abs(number) < 1e15 and (float(number).is_integer() or abs(number) >= 1e6):
        return f"{number:,.0f}"
    return f"{number:,.6g}"


@lru_cache(maxsize=512)
def _return_expression(formula: Formula[Any, Any]) -> ast.expr | None:
    try:
        source = textwrap.dedent(inspect.getsource(formula.function))
    except (OSError, TypeError):
        return None
    function = ast.parse(source).body[0]
    returns = [node for node in ast.walk(function) if isinstance(node, ast.Return)]
    assigned = any(isinstance(node, ast.Assign) for node in ast.walk(function))
    return returns[0].value if len(returns) == 1 and not assigned else None


@lru_cache(maxsize=512)
def _expression(formula: Formula[Any, Any]) -> str:
    expression = _return_expression(formula)
    return _tidy(ast.unparse(expression)) if expression is not None else ""


@lru_cache(maxsize=512)
def _template(formula: Formula[Any, Any]) -> tuple[str, ...]:
    """The expression with the names of its inputs at every second place, and constants filled in."""
    expression = _return_expression(formula)
    assert expression is not None
    places = {name: f"{MARK}{name}{MARK}" for name in formula.units()[0]}
    for name, constant in formula.function.__globals__.items():
        if isinstance(constant, Constant):
            places[name] = f"{float(constant):g}"
    marked = _Places(places).visit(ast.parse(ast.unparse(expression), mode="eval"))
    return tuple(_tidy(ast.unparse(marked)).split(MARK))


def _substituted(formula: Formula[Any, Any], origin: Derivation) -> str:
    parts = list(_template(formula))
    parts[1::2] = [_number(origin.inputs[name]) for name in parts[1::2]]
    return "".join(parts)


class _Places(ast.NodeTransformer):
    """Puts other texts in place of names."""

    def __init__(self, texts: dict[str, str]) -> None:
        self.texts = texts

    def visit_Name(self, node: ast.Name) -> ast.AST:
        return ast.Name(self.texts[node.id]) if node.id in self.texts else node


def _tidy(text: str) -> str:
    return text.replace(" ** ", "^").replace("*", "×").replace("× ×", "^")


def _facts(value: Value) -> Iterator[str]:
    """The facts a value rests on, gathered by source."""
    by_source: dict[Source, dict[str, None]] = {}
    for leaf in value.leaves():
        assert isinstance(leaf.origin, Source)
        if leaf.origin is STRUCTURE:
            continue
        by_source.setdefault(leaf.origin, {})[f"{leaf.name} = {shown(leaf)}"] = None
    for source, told in by_source.items():
        mark = "" if source.tier == "specified" else f"{source.tier}: "
        yield f"  {mark}{source}"
        yield f"    {'; '.join(told)}"


def _wrapped(line: str, width: int) -> str:
    if len(line) <= width:
        return line
    indent = len(line) - len(line.lstrip()) + 4
    return "\n".join(textwrap.wrap(line, width, subsequent_indent=" " * indent, break_long_words=False, break_on_hyphens=False))
