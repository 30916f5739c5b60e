"""Errors of estimates on a device or a model that the calibration never saw, computed beforehand.

``measurements/left_out.yaml`` is written by ``python -m llmsizer.authoring.fit.cross_validation``, which
needs the kernel tables; here it is read.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from llmsizer.catalog.package_data import DATA
from llmsizer.core.yaml import load_file
from llmsizer.validation.measurements import measurement_file
from llmsizer.validation.statistics import ErrorRow

FILE = "left_out.yaml"
# Times per token of one request, alone and under load.
TPOT = ("TPOT under load", "latency of a batch of 1 to 8", "throughput of a static batch")
KINDS = ("device", "model")


@lru_cache(maxsize=1)
def document() -> Mapping[str, Any]:
    """The file: its date, the checksum of the curves it was computed with, and its rows."""
    found: Mapping[str, Any] = load_file(measurement_file(FILE)).data
    return found


def left_out_errors(kind: str) -> list[ErrorRow]:
    """The errors with the device or the model of each row left out of every fit; ``group`` names it."""
    return [
        ErrorRow(row["quantity"], "", row["name"], "left out", 1 + error / 100, 1.0, error / 100)
        for row in document()["rows"]
        if row["left_out"] == kind
        for error in row["errors"]
    ]


def worst_rows(kind: str) -> list[tuple[str, str, str, float]]:
    """Name, quantity, row and error of the rows that stand worst, the worst first."""
    found = [
        (row["name"], row["quantity"], str(worst["id"]), float(worst["error"]) / 100)
        for row in document()["rows"]
        if row["left_out"] == kind
        for worst in row["worst"]
    ]
    return sorted(found, key=lambda each: -abs(each[3]))


def curves_checksum() -> str:
    """The checksum of what is fitted: the calibration files and the engines' figures."""
    checksum = 0
    for file in (*sorted((DATA / "calibrations").glob("*.yaml")), DATA / "engines.yaml"):
        checksum = zlib.crc32(Path(file).read_bytes(), checksum)
    return f"{checksum:08x}"


def is_current() -> bool:
    """Whether the results were computed with the curves and figures of now."""
    return bool(document()["curves"] == curves_checksum())
