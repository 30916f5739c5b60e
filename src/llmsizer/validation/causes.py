"""Believed causes of large errors, from ``measurements/causes.yaml``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any

from llmsizer.core.yaml import load_file
from llmsizer.validation.measurements import measurement_file
from llmsizer.validation.statistics import ErrorRow

# Errors below this need no cause.
LARGE = 0.1


@lru_cache(maxsize=1)
def causes() -> tuple[Mapping[str, Any], ...]:
    """The causes and the rows they name."""
    return tuple(load_file(measurement_file("causes.yaml")).data["causes"])


def with_causes(errors: Iterable[ErrorRow]) -> list[ErrorRow]:
    """The errors, large ones with the cause that names them."""
    return [error if error.cause or abs(error.error) < LARGE else replace(error, cause=_cause(error)) for error in errors]


def _cause(error: ErrorRow) -> str:
    return next((str(cause["cause"]) for cause in causes() if _names(cause, error)), "")


def _names(cause: Mapping[str, Any], error: ErrorRow) -> bool:
    quantities, above = cause.get("quantities"), cause.get("above")
    if quantities is not None and error.quantity not in quantities:
        return False
    return fnmatchcase(error.id, cause["rows"]) and above in (None, error.error > 0)
