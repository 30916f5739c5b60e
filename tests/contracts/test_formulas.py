"""Every equation: right units, the same for a number and for an array, told where it is from."""

from __future__ import annotations

import ast
import inspect
import random
import textwrap
import zlib
from typing import Any

import numpy as np
import pytest
from equations import FORMULAS, dimension, drawn, with_units

from llmsizer.core import numerics
from llmsizer.core.errors import UnitError
from llmsizer.core.explain import QUESTION, Formula, Value

ALL = pytest.mark.parametrize("name", FORMULAS)
MOST_STATEMENTS = 6


@pytest.fixture(scope="module")
def units() -> Any:
    import pint

    registry = pint.UnitRegistry(None)
    for unit in ("byte", "second", "FLOP", "joule", "USD", "token", "element", "request", "gram"):
        registry.define(f"{unit} = [{unit}]")
    return registry


def seeded(name: str) -> random.Random:
    return random.Random(zlib.crc32(name.encode()))


def body(formula: Formula[Any, Any]) -> list[ast.stmt]:
    function = ast.parse(textwrap.dedent(inspect.getsource(formula.function))).body[0]
    assert isinstance(function, ast.FunctionDef)
    return [node for node in function.body if not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))]


def test_there_are_formulas():
    assert len(FORMULAS) > 100


@ALL
def test_units_agree(name: str, units: Any):
    formula = FORMULAS[name]
    names, given, result = formula.units()
    numbers = drawn(formula, seeded(name))
    quantities = {key: units.Quantity(numbers[key], dimension(unit)) for key, unit in zip(names, given, strict=True)}
    found = units.Quantity(with_units(formula, units)(**quantities))
    assert found.dimensionality == units.Quantity(1.0, dimension(result)).dimensionality
    assert float(found.magnitude) == pytest.approx(float(formula(**numbers)), rel=1e-9)


@ALL
def test_a_number_and_an_array_agree(name: str):
    formula, rng = FORMULAS[name], seeded(name)
    cases = [drawn(formula, rng) for _ in range(20)]
    arrays = {key: np.array([case[key] for case in cases]) for key in cases[0]}
    one_by_one = [float(formula(**case)) for case in cases]
    assert np.broadcast_to(formula(**arrays), (20,)).tolist() == pytest.approx(one_by_one, rel=1e-12, abs=1e-300)


@ALL
def test_one_array_among_numbers(name: str):
    formula, rng = FORMULAS[name], seeded(name)
    case, others = drawn(formula, rng), [drawn(formula, rng) for _ in range(4)]
    for key in case:
        array = np.array([other[key] for other in others])
        expected = [float(formula(**{**case, key: other[key]})) for other in others]
        found = np.broadcast_to(formula(**{**case, key: array}), (4,)).tolist()
        assert found == pytest.approx(expected, rel=1e-12, abs=1e-300), key


@ALL
def test_an_explained_call_gives_the_same_number(name: str):
    formula = FORMULAS[name]
    names, given, result = formula.units()
    numbers = drawn(formula, seeded(name))
    values = {key: Value(numbers[key], unit, key, QUESTION) for key, unit in zip(names, given, strict=True)}
    found: Any = formula(**values)
    assert isinstance(found, Value)
    assert (found.number, found.unit) == (formula(**numbers), result)


@ALL
def test_another_dimension_is_refused(name: str):
    formula = FORMULAS[name]
    names, _, _ = formula.units()
    numbers: dict[str, Any] = drawn(formula, seeded(name))
    numbers[names[0]] = Value(1.0, "gram/FLOP", "nonsense", QUESTION)
    with pytest.raises(UnitError, match="must be in"):
        formula(**numbers)


@ALL
def test_reference_docstring_and_doctest(name: str):
    formula = FORMULAS[name]
    assert len(formula.reference) > 5
    assert formula.__doc__
    first = formula.__doc__.strip().splitlines()[0]
    assert first[0].isupper() or not first[0].isalpha()
    assert ">>> " in formula.__doc__


@ALL
def test_body_is_short_and_straight(name: str):
    statements = body(FORMULAS[name])
    assert len(statements) <= MOST_STATEMENTS
    assert isinstance(statements[-1], ast.Return)
    assert all(isinstance(each, ast.Assign) for each in statements[:-1]), "no branches, no loops"


@ALL
def test_body_calls_only_elementwise_mathematics(name: str):
    called = {ast.unparse(node.func) for each in body(FORMULAS[name]) for node in ast.walk(each) if isinstance(node, ast.Call)}
    assert called <= {key for key in vars(numerics) if not key.startswith("_")} - {"total_of"}
    branches = (ast.IfExp, ast.BoolOp, ast.ListComp, ast.GeneratorExp, ast.Lambda)
    assert not [node for each in body(FORMULAS[name]) for node in ast.walk(each) if isinstance(node, branches)]
