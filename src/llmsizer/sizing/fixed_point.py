"""The number that a steady state settles on; plain or for whole arrays, by the same steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llmsizer.core.numerics import where

ROUNDS = 60
# From here on every other step halves the bracket, which also ends the search at a jump.
PATIENCE = 8
TOLERANCE = 1e-6
BRACKET = 1e-5


def fixed_point(respond: Callable[[Any], Any], start: Any, most: Any) -> Any:
    """The ``x`` from 0 to ``most`` with ``respond(x) = x``, where ``respond`` stays in that range.

    Secant steps inside a bracket; where ``respond`` jumps across ``x``, the place of the jump. An
    element of an array keeps its number once it is settled, so each goes the way it would go alone.
    The last number that ``respond`` got is the result.
    """
    low, high, x = most * 0.0, most, start
    before: tuple[Any, Any] | None = None
    for turn in range(ROUNDS):
        found = respond(x)
        rest = found - x
        low, high = where(rest > 0, x, low), where(rest < 0, x, high)
        settled = (abs(rest) <= TOLERANCE * (1.0 + found)) | (high - low <= BRACKET * (1.0 + low))
        if every(settled):
            break
        step = found if before is None else _secant(x, rest, *before)
        halve = (step <= low) | (step >= high) | (turn > PATIENCE and turn % 2 == 0)
        before = x, rest
        x = where(settled, x, where(halve, (low + high) / 2.0, step))
    return x


def _secant(x: Any, rest: Any, earlier: Any, rest_earlier: Any) -> Any:
    change = rest - rest_earlier
    return x - rest * (x - earlier) / where(change == 0, 1.0, change)


def every(mask: Any) -> bool:
    """Whether a condition holds, of an array: everywhere."""
    return mask if isinstance(mask, bool) else bool(mask.all())


def anywhere(mask: Any) -> bool:
    """Whether a condition holds, of an array: somewhere."""
    return mask if isinstance(mask, bool) else bool(mask.any())
