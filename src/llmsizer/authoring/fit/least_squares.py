"""Robust least squares on the logarithm of measured times, and the errors that remain."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

Arrays: TypeAlias = Mapping[str, Any]
Equation: TypeAlias = Callable[..., Any]

# Residuals beyond this (in log time) count linearly: odd shapes and tuning accidents must not rule.
_ROBUST_SCALE = 0.1
_MOST_EVALUATIONS = 200
_ENOUGH = 1e-6


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter to fit: its name in the formula, where to start, and its physical limits (all > 0)."""

    name: str
    start: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class ErrorSummary:
    """Median and 90th percentile of |predicted / measured − 1|."""

    median: float
    p90: float


def fit_parameters(
    equation: Equation, inputs: Arrays, seconds: Any, parameters: Sequence[Parameter], fixed: Mapping[str, float] | None = None
) -> dict[str, float]:
    """The parameters that bring ``equation(**inputs, **parameters)`` closest to measured seconds.

    Works on the logarithm of time and of each parameter, so errors are relative and limits hold.
    ``fixed`` parameters keep their value.
    """
    import numpy as np

    optimize = importlib.import_module("scipy.optimize")
    free = [one for one in parameters if one.name not in (fixed or {})]
    names = [one.name for one in free]
    target = np.log(seconds)

    def residual(logarithms: Any) -> Any:
        values = dict(zip(names, np.exp(logarithms), strict=True))
        return np.log(equation(**inputs, **values, **(fixed or {}))) - target

    limits = np.log([[one.low for one in free], [one.high for one in free]])
    start = np.log([one.start for one in free])
    found = optimize.least_squares(
        residual, start, bounds=(limits[0], limits[1]), loss="soft_l1", f_scale=_ROBUST_SCALE, x_scale="jac",
        max_nfev=_MOST_EVALUATIONS, ftol=_ENOUGH,
    )  # fmt: skip
    return dict(fixed or {}) | {name: float(value) for name, value in zip(names, np.exp(found.x), strict=True)}


def relative_errors(equation: Equation, inputs: Arrays, seconds: Any, values: Mapping[str, float]) -> Any:
    """|predicted / measured − 1| of every row."""
    import numpy as np

    return np.abs(equation(**inputs, **values) / seconds - 1.0)


def summary(errors: Any) -> ErrorSummary:
    """Median and 90th percentile of some errors."""
    import numpy as np

    return ErrorSummary(float(np.median(errors)), float(np.quantile(errors, 0.9)))
