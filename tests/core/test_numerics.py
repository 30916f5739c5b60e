"""Elementwise mathematics: a float and an array take the same path in result, rounding residue is no block."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmsizer.core import numerics

NUMBERS = st.floats(-1e6, 1e6)
ONE = [numerics.ceil, numerics.floor]
POSITIVE = [numerics.log, numerics.log1p, numerics.sqrt]
SMALL = [numerics.exp, numerics.expm1]
TWO = [numerics.maximum, numerics.minimum]


@pytest.mark.parametrize("function", [*ONE, *POSITIVE, *SMALL])
@given(number=st.floats(1e-6, 300.0))
def test_one_argument(function: Callable[[Any], Any], number: float):
    assert function(np.array([number]))[0] == pytest.approx(function(number), rel=1e-14)


@pytest.mark.parametrize("function", TWO)
@given(first=NUMBERS, second=NUMBERS)
def test_two_arguments(function: Callable[[Any, Any], Any], first: float, second: float):
    assert function(np.array([first]), second)[0] == function(first, second)
    assert function(first, np.array([second]))[0] == function(first, second)


@pytest.mark.parametrize(("number", "up", "down"), [(3.0, 3, 3), ((0.1 + 0.2) * 10, 3, 3), (3.0001, 4, 3), (-0.5, 0, -1)])
def test_residue_is_no_step(number: float, up: int, down: int):
    assert numerics.ceil(number) == up
    assert numerics.floor(number) == down
    assert numerics.ceil(np.array([number]))[0] == up
    assert numerics.floor(np.array([number]))[0] == down


def test_infinite_numbers_stay():
    assert numerics.ceil(math.inf) == math.inf
    assert numerics.floor(-math.inf) == -math.inf


@given(st.integers(1, 2**42))  # bytes of any device, tokens of any length
def test_whole_numbers_stay(number: int):
    assert numerics.ceil(float(number)) == numerics.floor(float(number)) == number


def test_where_and_totals():
    assert numerics.where(True, 1.0, 2.0) == 1.0
    assert numerics.where(np.array([True, False]), 1.0, 2.0).tolist() == [1.0, 2.0]
    assert numerics.total_of([]) == 0.0
    assert numerics.total_of([1.0, np.array([1.0, 2.0])]).tolist() == [2.0, 3.0]
