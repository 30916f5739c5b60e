"""Elementwise mathematics for formulas: the same call for a float and for an array.

Floats take the standard library (fast, and numpy need not be imported for a single estimate);
anything else takes numpy. Formula bodies use only these and arithmetic operators.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from llmsizer.core.quantities import Number

_PLAIN = (float, int)


def maximum(first: Number, second: Number) -> Number:
    """The larger of two numbers, elementwise."""
    if isinstance(first, _PLAIN) and isinstance(second, _PLAIN):
        return first if first >= second else second
    import numpy as np

    return np.maximum(first, second)


def minimum(first: Number, second: Number) -> Number:
    """The smaller of two numbers, elementwise."""
    if isinstance(first, _PLAIN) and isinstance(second, _PLAIN):
        return first if first <= second else second
    import numpy as np

    return np.minimum(first, second)


def where(condition: Any, yes: Number, no: Number) -> Number:
    """``yes`` where the condition holds, else ``no``, elementwise."""
    if condition is True or condition is False:
        return yes if condition else no
    import numpy as np

    return np.where(condition, yes, no)


# A ratio that is integer up to rounding (1e-13 relative) counts as that integer in ceil and floor,
# so that 0.1 + 0.2 style residue never adds a block.
_SNAP = 1e-13


def ceil(number: Number) -> Number:
    """The next integer up, elementwise."""
    if isinstance(number, (float, int)):
        return float(math.ceil(number - abs(number) * _SNAP)) if math.isfinite(number) else number
    import numpy as np

    return np.ceil(number - np.abs(number) * _SNAP)


def floor(number: Number) -> Number:
    """The next integer down, elementwise."""
    if isinstance(number, (float, int)):
        return float(math.floor(number + abs(number) * _SNAP)) if math.isfinite(number) else number
    import numpy as np

    return np.floor(number + np.abs(number) * _SNAP)


def power(base: Number, exponent: Number) -> Number:
    """``base ** exponent``, elementwise, for non-negative bases."""
    return base**exponent


def log(number: Number) -> Number:
    """The natural logarithm, elementwise."""
    if isinstance(number, _PLAIN):
        return math.log(number)
    import numpy as np

    return np.log(number)


def exp(number: Number) -> Number:
    """The exponential, elementwise."""
    if isinstance(number, _PLAIN):
        return math.exp(number)
    import numpy as np

    return np.exp(number)


def log1p(number: Number) -> Number:
    """``log(1 + number)``, elementwise, exact for small numbers."""
    if isinstance(number, _PLAIN):
        return math.log1p(number)
    import numpy as np

    return np.log1p(number)


def expm1(number: Number) -> Number:
    """``exp(number) - 1``, elementwise, exact for small numbers."""
    if isinstance(number, _PLAIN):
        return math.expm1(number)
    import numpy as np

    return np.expm1(number)


def sqrt(number: Number) -> Number:
    """The square root, elementwise."""
    if isinstance(number, _PLAIN):
        return math.sqrt(number)
    import numpy as np

    return np.sqrt(number)


def total_of(numbers: Sequence[Any]) -> Any:
    """The sum of numbers or arrays; 0.0 for none."""
    result: Any = 0.0
    for number in numbers:
        result = result + number
    return result
