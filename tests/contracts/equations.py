"""Every formula of the package, with valid inputs for it."""

from __future__ import annotations

import importlib
import pkgutil
import random
from collections.abc import Callable, Mapping
from types import FunctionType
from typing import Any

import llmsizer.formulas
from llmsizer.core.explain import REGISTRY, Constant, Formula
from llmsizer.core.quantities import unit_factor

for _found in pkgutil.iter_modules(llmsizer.formulas.__path__):
    importlib.import_module(f"llmsizer.formulas.{_found.name}")

FORMULAS: dict[str, Formula[Any, Any]] = {name: made for name, made in REGISTRY.items() if name.startswith("formulas.")}

# Where the unit alone says too little about what is valid: (low, high), by the parameter's name.
RANGES: dict[str, tuple[float, float]] = {
    "normal_quantile": (-3.0, 3.0),
    "sigma": (0.1, 1.5),
    "interest": (1e-10, 1e-8),
    "life": (1e7, 3e8),
    "contention": (-0.5, 0.5),
    "acceptance": (0.05, 0.95),
    "guessed": (1.0, 8.0),
    "experts": (16.0, 512.0),
    "experts_per_token": (1.0, 8.0),
    "ranks": (2.0, 64.0),
    "passes": (1.0, 2.0),
}


def dimension(unit: str) -> str:
    """A unit in base units, as pint reads it: ``byte / second``."""
    powers = unit_factor(unit)[1]
    return " * ".join(f"{name} ** {power}" for name, power in powers) or "dimensionless"


def drawn(formula: Formula[Any, Any], rng: random.Random) -> dict[str, float]:
    """Random valid inputs: shares between 0 and 1, whole counts, positive amounts over decades."""
    names, units, _ = formula.units()
    written: Mapping[str, Any] = formula.function.__annotations__
    made: dict[str, float] = {}
    for name, unit in zip(names, units, strict=True):
        if name in RANGES:
            made[name] = rng.uniform(*RANGES[name])
        elif written[name] == "Fraction":
            made[name] = rng.uniform(0.02, 0.98)
        elif unit in {"1", "token", "element", "request"}:
            made[name] = float(rng.randint(1, 4096))
        else:
            made[name] = 10.0 ** rng.uniform(-3.0, 6.0)
    return made


def with_units(formula: Formula[Any, Any], units: Any) -> Callable[..., Any]:
    """The formula's own body, its constants as quantities of the registry ``units``."""
    function: Any = formula.function
    names = dict(function.__globals__)
    for name, value in function.__globals__.items():
        if isinstance(value, Constant):
            names[name] = units.Quantity(float(value), dimension(value.unit))
        elif isinstance(value, Formula):
            names[name] = value.function
    return FunctionType(function.__code__, names, function.__name__, function.__defaults__, function.__closure__)
