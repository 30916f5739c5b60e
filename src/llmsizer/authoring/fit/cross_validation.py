"""How far estimates lie from measurements on a device, or for a model, that no fit has seen.

A device is left out of the kernel curves (those of its class take their place) and of the engines'
figures; a model of the engines' figures, since no kernel curve knows a model. Then all its measured
rows are estimated. ``python -m llmsizer.authoring.fit.cross_validation TABLES`` writes
``measurements/left_out.yaml``; it takes some minutes.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

from llmsizer.authoring.fit.engines import FEWEST_ROWS, FitRow, by_regime, comparisons, prepared, refitted
from llmsizer.authoring.fit.leave_out import documents_without, kernel_families
from llmsizer.authoring.fit.spread import QUANTITIES
from llmsizer.catalog.calibrations import calibration_by
from llmsizer.catalog.catalog import load_catalog
from llmsizer.core.files import write_whole
from llmsizer.validation.left_out import FILE, curves_checksum
from llmsizer.validation.measurements import measured_rows, measurement_file
from llmsizer.validation.statistics import ErrorRow

WORST = 3
HEADING = """# Errors of the estimates of measured rows in %, with their device or their model left out of every fit.
#
# Written by llmsizer.authoring.fit.cross_validation; do not edit by hand.
#
# device: kernel curves without it (its class's curves take their place), engine figures without its rows
# model: engine figures without its rows. Curves of fabrics and of llama.cpp stay as they are.
# errors: signed, estimate above measurement positive; worst: the rows with the largest
# curves: checksum of the calibrations and engine figures that the fits started from
"""
SOURCE = "source: rows of measurements/speed.yaml, kernel tables of aiconfigurator-core (NVIDIA, Apache-2.0)"


def left_out(rows: Sequence[FitRow], key: str, name: str) -> Iterator[ErrorRow]:
    """The errors of the rows whose ``key`` (hardware, model) is ``name``, by figures fitted to the others."""
    for regime in by_regime(rows):
        own = [row for row in regime if row.row[key] == name]
        figures = _refitted(regime, key, name) if any(row.row["role"] == "fit" for row in own) else {}
        for row in own:
            yield from comparisons(row, figures)


def _refitted(regime: Sequence[FitRow], key: str, name: str) -> Mapping[str, float]:
    others = [row for row in regime if row.row["role"] == "fit" and row.row[key] != name]
    if len(others) < FEWEST_ROWS:
        return {}
    return refitted(others, tuple(QUANTITIES))


def recalibrated(rows: Sequence[FitRow], documents: Mapping[str, Any]) -> list[FitRow]:
    """The rows under other calibration files."""
    found = []
    for row in rows:
        case = row.case
        calibration = calibration_by(documents, case.accelerator, case.engine.id)
        found.append(replace(row, case=replace(case, calibration=calibration)))
    return found


def without_devices(source: Path) -> list[dict[str, Any]]:
    """The results of every measured device."""
    rows = prepared(measured_rows("speed.yaml"), load_catalog())
    families = kernel_families(source, measurement_file("speed.yaml").parent)
    found = []
    for name in _names(rows, "hardware"):
        changed = recalibrated(rows, documents_without(name, families))
        found += results("device", name, left_out(changed, "hardware", name))
    return found


def without_models() -> list[dict[str, Any]]:
    """The results of every measured model."""
    rows = prepared(measured_rows("speed.yaml"), load_catalog())
    return [row for name in _names(rows, "model") for row in results("model", name, left_out(rows, "model", name))]


def _names(rows: Sequence[FitRow], key: str) -> list[str]:
    return sorted({row.row[key] for row in rows})


def results(kind: str, name: str, errors: Iterable[ErrorRow]) -> list[dict[str, Any]]:
    """The rows of the file for one device or model: one for each quantity."""
    by_quantity: dict[str, list[ErrorRow]] = defaultdict(list)
    for error in errors:
        if error.quantity in QUANTITIES:
            by_quantity[error.quantity].append(error)
    sys.stderr.write(f"{kind} {name}: {sum(map(len, by_quantity.values()))} comparisons\n")
    return [_result(kind, name, quantity, found) for quantity, found in sorted(by_quantity.items())]


def _result(kind: str, name: str, quantity: str, errors: Sequence[ErrorRow]) -> dict[str, Any]:
    ordered = sorted(errors, key=lambda error: -abs(error.error))
    worst = [{"id": error.id, "error": round(100 * error.error, 1)} for error in ordered[:WORST]]
    signed = sorted(round(100 * error.error, 1) for error in errors)
    return {"left_out": kind, "name": name, "quantity": quantity, "errors": signed, "worst": worst}


def text_of(rows: Sequence[Mapping[str, Any]], today: date) -> str:
    """The file."""
    lines = [HEADING.rstrip(), SOURCE, f"date: {today}", f'curves: "{curves_checksum()}"', "rows:"]
    for row in rows:
        worst = ", ".join(f"{{id: {each['id']}, error: {each['error']}}}" for each in row["worst"])
        lines.append(f"  - {{left_out: {row['left_out']}, name: {row['name']}, quantity: {row['quantity']},")
        lines.append(f"     worst: [{worst}],")
        lines.append(f"     errors: [{', '.join(map(str, row['errors']))}]}}")
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str]) -> int:
    """Writes the file from kernel tables: an installed package's folder, or its wheel."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m llmsizer.authoring.fit.cross_validation TABLES\n")
        return 2
    with ProcessPoolExecutor(2) as pool:
        devices, models = pool.submit(without_devices, Path(arguments[0])), pool.submit(without_models)
        found = [*devices.result(), *models.result()]
    write_whole(str(measurement_file("speed.yaml").parent / FILE), text_of(found, date.today()))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
