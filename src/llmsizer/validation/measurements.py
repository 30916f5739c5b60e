"""The measured rows that ship with llmsizer (``measurements/`` in the repository)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from llmsizer.core.errors import CatalogError
from llmsizer.core.yaml import load_file

PACKAGED = Path(__file__).parents[1] / "measurements"
AT_TOP = Path(__file__).parents[3] / "measurements"


def measurement_file(name: str) -> Path:
    """The path of a measurement file: in the package, or (editable install) at the repository's top."""
    for folder in (PACKAGED, AT_TOP):
        if (folder / name).exists():
            return folder / name
    raise CatalogError(f"the installation lacks the measurements '{name}'", hint="Reinstall llmsizer.")


@lru_cache(maxsize=16)
def measured_rows(name: str) -> tuple[Mapping[str, Any], ...]:
    """The rows of a measurement file."""
    return tuple(load_file(measurement_file(name)).data["rows"])
