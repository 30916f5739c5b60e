"""Calibrations of a user's own machine: files that ``llmsizer fit`` writes, laid over the built-in curves.

Such a file holds ``curves`` (as ``calibrations/*.yaml`` do, each of a device), ``engines`` (figures of an
engine on a device) and ``spread`` (the widths of intervals).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from llmsizer.catalog.calibrations import FAMILIES, SHARED, complete, ideal_parameters
from llmsizer.catalog.package_data import package_data
from llmsizer.core.errors import CatalogError, nearest
from llmsizer.core.explain import Provenance, Source
from llmsizer.core.yaml import Document, load_file
from llmsizer.schema.accelerator import Accelerator
from llmsizer.schema.calibration import Calibration, Curve
from llmsizer.schema.engine import EngineProfile

KIND = "llmsizer calibration"
# Figures of an engine that a machine's own measurements may set, in seconds.
FIGURES = (
    "layer_seconds", "routed_layer_seconds", "host_step_seconds", "host_sequence_seconds", "front_end",
    "front_end_sequence_seconds", "front_end_token_seconds", "host_rank_seconds", "launch_seconds",
)  # fmt: skip
QUANTITIES = ("tpot", "ttft")

Find = Callable[[str, str], Curve | None]


@dataclass(frozen=True, slots=True)
class LocalCalibration:
    """The content of a file of ``llmsizer fit``."""

    source: Source
    curves: tuple[Mapping[str, Any], ...]
    engines: tuple[Mapping[str, Any], ...]
    spread: tuple[Mapping[str, Any], ...]


def is_calibration_file(name: str) -> bool:
    """Whether a calibration is named by a file."""
    return name.endswith((".yaml", ".yml"))


def local_calibration(path: str) -> LocalCalibration:
    """The calibration in a file. Raises CatalogError, naming line and field, for what is none."""
    try:
        stamp = Path(path).stat()
    except OSError as error:
        raise CatalogError(
            f"cannot be read: {error.strerror}", file=path, hint="`llmsizer fit` writes calibrations."
        ) from error
    return _read(path, stamp.st_mtime_ns, stamp.st_size)


def calibration_with_file(path: str, accelerator: Accelerator, engine: str, beyond: Find) -> Calibration:
    """The calibration of a device under an engine: the file's curves, and those ``beyond`` it for all else."""
    return calibration_in(local_calibration(path), path, accelerator, engine, beyond)


def calibration_in(local: LocalCalibration, name: str, accelerator: Accelerator, engine: str, beyond: Find) -> Calibration:
    """The same for a calibration that is at hand."""

    @cache
    def find(family: str, format_: str) -> Curve | None:
        own = _curve(local, accelerator.id, engine, family, format_)
        return own if own is not None else beyond(family, format_)

    widths = {row["quantity"]: (row["low"], row["high"]) for row in local.spread if _is_for(row, accelerator.id, engine)}
    return Calibration(name, accelerator.id, find, widths)


def with_local_figures(profile: EngineProfile, path: str, device: str) -> EngineProfile:
    """The engine's profile with the figures that a file has for it on a device."""
    local = local_calibration(path)
    for row in local.engines:
        if _is_for(row, device, profile.id):
            figures = {name: float(row[name]) for name in FIGURES if name in row}
            told = {**profile.provenance.fields, **dict.fromkeys(figures, local.source)}
            profile = replace(profile, **figures, provenance=replace(profile.provenance, fields=told))  # type: ignore[arg-type]
    return profile


def _is_for(row: Mapping[str, Any], device: str, engine: str) -> bool:
    return bool(row["device"] == device and row["engine"] == engine)


def has_own_kernels(engine: str) -> bool:
    """Whether an engine brings kernels of its own, of which those that torch calls tell nothing."""
    curves = (curve for name in SHARED for curve in package_data(f"calibrations/{name}.yaml")["curves"])
    return any(curve.get("own_kernels") and curve.get("backend") == engine for curve in curves)


def _curve(local: LocalCalibration, device: str, engine: str, family: str, format_: str) -> Curve | None:
    """The file's curve of a family on a device, an engine's own first, in a format or one that resembles it."""
    resembling = package_data("number_formats.yaml")["kernel_resembles"].get(format_, ())
    mine = [row for row in local.curves if row["device"] == device and row["family"] == family]
    engines = (engine,) if has_own_kernels(engine) else (None, engine)
    mine = [row for row in mine if row.get("engine") in engines]
    for name in (format_, *resembling):
        for row in sorted(mine, key=lambda row: row.get("engine") is None):
            if row["format"] == name:
                error = (row.get("error") or {}).get("median")
                return Curve(family=family, format=format_, parameters=complete(family, row["parameters"]),
                             tier="interpolated", error=error, peak_of=row.get("peak_of"),
                             provenance=Provenance(local.source))  # fmt: skip
    return None


@lru_cache(maxsize=8)
def _read(path: str, _changed: int, _size: int) -> LocalCalibration:
    document = load_file(path)
    data = document.data
    if not isinstance(data, Mapping) or data.get("calibration") != KIND:
        raise CatalogError("not a calibration", file=path, hint="`llmsizer fit` writes calibrations.")
    for name in data:
        if name not in {"calibration", "date", "sources", "curves", "engines", "spread"}:
            raise document.error("is not known", (name,), "known: date, sources, curves, engines, spread")
    curves = _rows(document, "curves", ("device", "family", "format", "parameters"))
    for index, row in enumerate(curves):
        _check_curve(document, row, ("curves", index))
    engines = _rows(document, "engines", ("device", "engine"))
    for index, row in enumerate(engines):
        _check_numbers(document, {n: v for n, v in row.items() if n in FIGURES}, ("engines", index), most=1e3)
    spread = _rows(document, "spread", ("device", "engine", "quantity", "low", "high"))
    for index, row in enumerate(spread):
        _check_width(document, row, ("spread", index))
    source = Source(f"fitted to measurements of this machine ({path})", str(data.get("date", "")), "measured")
    return LocalCalibration(source, tuple(curves), tuple(engines), tuple(spread))


def _rows(document: Document, section: str, needed: tuple[str, ...]) -> list[Mapping[str, Any]]:
    rows = document.data.get(section, [])
    if not isinstance(rows, list):
        raise document.error("expected a list", (section,))
    for index, row in enumerate(rows):
        if not isinstance(row, Mapping):
            raise document.error("expected a mapping", (section, index))
        missing = [name for name in needed if name not in row]
        if missing:
            raise document.error(f"has no {missing[0]}", (section, index))
    return rows


def _check_curve(document: Document, row: Mapping[str, Any], path: tuple[str | int, ...]) -> None:
    family, parameters = row["family"], row["parameters"]
    if family not in FAMILIES:
        near = nearest(str(family), FAMILIES)
        raise document.error("is not known", (*path, "family"), f"Did you mean: {', '.join(near) or ', '.join(FAMILIES)}?")
    known = set(ideal_parameters(family))
    if not isinstance(parameters, Mapping) or set(complete(family, parameters)) != known:
        raise document.error("expected these and no others", (*path, "parameters"), f"of {family}: {', '.join(sorted(known))}")
    fractions = {name: value for name, value in parameters.items() if str(name).endswith("_fraction")}
    _check_numbers(document, parameters, (*path, "parameters"), most=1e12)
    _check_numbers(document, fractions, (*path, "parameters"), most=1.0)


def _check_numbers(document: Document, values: Mapping[str, Any], path: tuple[str | int, ...], most: float) -> None:
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= most:
            raise document.error(f"expected a number from 0 to {most:g}", (*path, name))


def _check_width(document: Document, row: Mapping[str, Any], path: tuple[str | int, ...]) -> None:
    low, high = row["low"], row["high"]
    numbers = all(isinstance(each, (int, float)) and math.isfinite(each) for each in (low, high))
    if row["quantity"] not in QUANTITIES or not numbers or not low <= 0 <= high:
        raise document.error(f"expected a quantity ({' or '.join(QUANTITIES)}) with low ≤ 0 ≤ high", path)
