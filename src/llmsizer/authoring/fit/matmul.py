"""Fit of dense matrix products: from measured kernel times to ``calibrations/matmul.yaml``."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from llmsizer.authoring.fit.devices import MeasuredDevice
from llmsizer.authoring.fit.formats import FORMATS, TABLE_NAMES
from llmsizer.authoring.fit.least_squares import Parameter
from llmsizer.authoring.fit.rows import Rows, shape_numbers
from llmsizer.authoring.fit.tables import KernelTable, read_tables, version_order
from llmsizer.formulas.matmul import matmul_activation_bytes, matmul_seconds

EQUATION = matmul_seconds.function

PARAMETERS = (
    Parameter("launch_seconds", 4e-6, 5e-7, 2e-4),
    Parameter("seconds_per_depth", 1e-10, 1e-14, 1e-7),
    Parameter("compute_fraction", 0.7, 0.02, 0.98),
    Parameter("memory_fraction", 0.85, 0.1, 0.98),
    Parameter("pad_rows", 30.0, 0.01, 2000.0),
    Parameter("pad_columns", 30.0, 0.01, 2000.0),
    Parameter("wave_elements", 2e5, 10.0, 3e7),
    Parameter("prologue_depth", 200.0, 0.1, 5000.0),
    Parameter("activation_traffic", 1.5, 1.0, 8.0),
    Parameter("overlap", 0.1, 1e-3, 1.0),
)

OUTPUT_BYTES = 2.0
# Narrower layers do not occur in the models served.
SMALLEST_WIDTH = 128
# A table whose tiny products take this many times the fastest engine's was timed with the host in
# the way; beyond the second limit nothing of the device is left in its small shapes.
HOST_TIME_SEEN, HOST_TIME_RULES = 1.8, 5.0
_TINY_WEIGHTS, _TINY_ROWS = 1 << 20, 16
# Tables hold up to 35,000 products; a random part of this size says the same.
MOST_ROWS = 12_000


def matmul_inputs(m: Any, n: Any, k: Any, format_name: str, device: MeasuredDevice) -> dict[str, Any]:
    """The arguments of ``matmul_seconds`` for some shapes in a format on a device."""
    import numpy as np

    kind = FORMATS[format_name]
    rows, columns, depth = (np.asarray(one, dtype=float) for one in (m, n, k))
    weights = columns * depth * kind.weight_bytes
    activations = matmul_activation_bytes.function(rows, columns, depth, kind.input_bytes, OUTPUT_BYTES)
    return {
        "m": rows, "n": columns, "k": depth, "weight_bytes": weights, "activation_bytes": activations,
        "peak": np.full(len(rows), device.peak(kind.peak_of)[1]),
        "memory_bandwidth": np.full(len(rows), device.memory_bandwidth),
        "least_rows": np.full(len(rows), device.least_rows.get(format_name, 0.0)),
    }  # fmt: skip


def matmul_rows(m: Any, n: Any, k: Any, seconds: Any, format_name: str, device: MeasuredDevice, backend: str) -> Rows:
    """Measured products as rows of a fit; rows that beat the peak or the bandwidth are left out."""
    import numpy as np

    made = Rows(
        device=device.id, architecture=device.architecture, backend=backend, format=format_name,
        peak_of=device.peak(FORMATS[format_name].peak_of)[0], kernel="", inputs=matmul_inputs(m, n, k, format_name, device),
        seconds=np.asarray(seconds, dtype=float), shapes=shape_numbers(n, k), units=device.units,
    )  # fmt: skip
    return made.where(sound_rows(made, device.l2_cache))


def sound_rows(rows: Rows, l2_cache: float) -> Any:
    """Which rows can be true of operands in device memory.

    Rows that beat the bandwidth or the peak are wrong. Where more than one in a hundred small products
    beats the bandwidth, the operands stayed in the L2 cache between repetitions: then only operands
    of twice the cache, launch-bound products and compute-bound products are kept.
    """
    inputs = rows.inputs
    flop = 2.0 * inputs["m"] * inputs["n"] * inputs["k"]
    compute = flop / inputs["peak"]
    memory = inputs["weight_bytes"] / inputs["memory_bandwidth"]
    possible = (rows.seconds > memory) & (rows.seconds > compute)
    few = inputs["m"] <= _TINY_ROWS
    if not few.any() or (rows.seconds < memory)[few].mean() < 0.01:
        return possible
    operands = inputs["weight_bytes"] + inputs["activation_bytes"]
    moved = operands / inputs["memory_bandwidth"]
    return possible & ((operands > 2.0 * l2_cache) | (moved < 0.5e-6) | (compute > 3.0 * moved))


def table_rows(tables: Iterable[KernelTable], devices: Mapping[str, MeasuredDevice]) -> list[Rows]:
    """The rows of published tables: of each engine its newest version, without host time."""
    import numpy as np

    newest: dict[tuple[str, str, str], tuple[tuple[int, ...], Rows]] = {}
    for table in tables:
        device, order = devices[table.device], version_order(table.version)
        wide = (table.columns["n"] >= SMALLEST_WIDTH) & (table.columns["k"] >= SMALLEST_WIDTH)
        for name in np.unique(table.columns["gemm_dtype"]):
            part = table.where(wide & (table.columns["gemm_dtype"] == name)).columns
            seconds = part["latency"] * 1e-3
            rows = matmul_rows(part["m"], part["n"], part["k"], seconds, TABLE_NAMES[name], device, table.backend)
            key = (device.id, rows.format, table.backend)
            if key not in newest or newest[key][0] < order:
                newest[key] = order, replace(rows.sample(MOST_ROWS), kernel=table.version)
    return without_host_time([rows for _, rows in newest.values()])


def without_host_time(found: list[Rows]) -> list[Rows]:
    """The same rows with the host time of slow measuring loops taken off, or left out altogether."""
    floors: dict[tuple[str, str], float] = defaultdict(lambda: float("inf"))
    for rows in found:
        key = (rows.device, rows.format)
        floors[key] = min(floors[key], tiny_seconds(rows))
    kept = []
    for rows in found:
        floor, base = tiny_seconds(rows), floors[rows.device, rows.format]
        if floor <= HOST_TIME_SEEN * base < float("inf"):
            kept.append(rows)
        elif floor <= HOST_TIME_RULES * base < float("inf"):
            rest = replace(rows, seconds=rows.seconds - (floor - base), pooled=False, host_seconds=floor - base)
            kept.append(rest.where(rest.seconds > 0.5 * rows.seconds))
    return kept


def tiny_seconds(rows: Rows) -> float:
    """The median time of products so small that only launching them takes time; endless without any."""
    import numpy as np

    inputs = rows.inputs
    tiny = (inputs["n"] * inputs["k"] <= _TINY_WEIGHTS) & (inputs["m"] <= _TINY_ROWS)
    return float(np.median(rows.seconds[tiny])) if tiny.any() else float("inf")


def read_rows(source: Path | None, devices: Mapping[str, MeasuredDevice]) -> list[Rows]:
    """The dense products of the published tables."""
    return table_rows(read_tables(source, "gemm", "gemm_perf.parquet"), devices)
