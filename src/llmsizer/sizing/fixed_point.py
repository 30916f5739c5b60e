"""The number that a steady state settles on; plain or for whole arrays, by the same steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from llmsizer.core.numerics import where

ROUNDS = 60
# From here on the bracket is halved, which ends the search at a jump.
PATIENCE = 5
TOLERANCE = 1e-6
BRACKET = 1e-4


def fixed_point(respond: Callable[[Any, Any], Any], start: Any, most: Any, bracket: float = BRACKET) -> Any:
    """The ``x`` from 0 to ``most`` with ``respond(x, chosen) = x``, where ``respond`` stays in that range.

    Secant steps inside a bracket; where ``respond`` jumps across ``x``, the place of the jump. Each
    element of an array goes the way it would go alone: a settled one keeps its number, and once most
    are settled only the others go on. ``chosen`` are then their places (None: all). The last call of
    ``respond`` is for the whole result. ``bracket``: how narrow the range gets before its middle is taken.
    """
    low, high, x = most * 0.0, most, start
    earlier, rest_earlier, whole, chosen = None, None, None, None
    for turn in range(ROUNDS):
        found = respond(x, chosen)
        rest = found - x
        low, high = where(rest > 0, x, low), where(rest < 0, x, high)
        settled = (abs(rest) <= TOLERANCE * (1.0 + found)) | (high - low <= bracket * (1.0 + low))
        if every(settled):
            break
        step = found if earlier is None else _secant(x, rest, earlier, rest_earlier)
        halve = (step <= low) | (step >= high) | (turn > PATIENCE)
        earlier, rest_earlier, x = x, rest, where(settled, x, where(halve, (low + high) / 2.0, step))
        if _mostly(settled):
            whole = _placed(whole, chosen, x)
            left = (~settled).nonzero()[0]
            chosen = left if chosen is None else chosen[left]
            low, high, x, earlier, rest_earlier = (pick(each, left) for each in (low, high, x, earlier, rest_earlier))
    if chosen is not None:
        x = _placed(whole, chosen, x)
        respond(x, None)
    return x


def _secant(x: Any, rest: Any, earlier: Any, rest_earlier: Any) -> Any:
    change = rest - rest_earlier
    return x - rest * (x - earlier) / where(change == 0, 1.0, change)


def _mostly(settled: Any) -> bool:
    """Whether so many elements of a row are settled that going on without them pays."""
    return not isinstance(settled, bool) and settled.ndim == 1 and settled.size > 256 and bool(settled.mean() > 0.3)


def _placed(whole: Any, chosen: Any, x: Any) -> Any:
    """All numbers with those of the chosen places put in."""
    if whole is None:
        return x.copy()
    whole[chosen] = x
    return whole


def pick(values: Any, chosen: Any) -> Any:
    """The elements at some places (None: all); a number stands for all places."""
    return values if chosen is None or not getattr(values, "shape", ()) else values[chosen]


def every(mask: Any) -> bool:
    """Whether a condition holds, of an array: everywhere."""
    return mask if isinstance(mask, bool) else bool(mask.all())


def anywhere(mask: Any) -> bool:
    """Whether a condition holds, of an array: somewhere."""
    return mask if isinstance(mask, bool) else bool(mask.any())


def alike(columns: Sequence[Any]) -> tuple[Any, Any] | None:
    """The places where rows of some columns are met first, and for each row which of those is like it; None where
    most rows differ, or nothing is an array."""
    arrays = [column for column in columns if getattr(column, "shape", ())]
    if not arrays or any(column.shape != (arrays[0].size,) for column in arrays):
        return None
    import numpy as np

    codes: Any = 0
    for column in arrays:
        found, code = np.unique(column, return_inverse=True)
        codes = codes * len(found) + code
    _, first, which = np.unique(codes, return_index=True, return_inverse=True)
    return (first, which) if 2 * len(first) <= len(which) else None
