"""Curves of a device fitted to its own ceilings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from llmsizer.authoring.fit import attention, matmul
from llmsizer.authoring.fit.least_squares import Arrays, Equation, Parameter, fit_parameters, relative_errors, summary
from llmsizer.formulas.attention import cache_read_bytes, causal_pairs, query_output_bytes
from llmsizer.formulas.matmul import matmul_activation_bytes
from llmsizer.schema.accelerator import Accelerator
from llmsizer.validation.statistics import percentile

WIDTHS = {"bf16": 2.0, "fp16": 2.0, "fp32": 4.0}
# Products run in these formats under the curve of another (bf16 stands for all 16-bit types).
CURVE_FORMATS = {"bf16": "bf16", "fp16": "bf16", "fp32": "fp32"}
FOLDS = 5
# Fewer shapes than this say nothing about a kernel's curve.
FEWEST = 6
# Parameters that few shapes cannot tell apart keep these values.
PREFILL_FIXED = {"softmax_width": 0.01, "tail_rows": 0.01, "item_seconds": 1e-10, "overlap": 0.1}
DECODE_FIXED = {"item_seconds": 1e-9, "pad_rows": 0.01, "tail_keys": 0.01, "splits": 1e4, "overlap": 0.1}

Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Family:
    """A family of kernels: its equation, its parameters, and the equation's inputs for some measured rows."""

    name: str
    equation: Equation
    parameters: Sequence[Parameter]
    inputs: Callable[[Rows, Accelerator], Arrays]
    fixed: Mapping[str, float]


def kernel_curves(rows: Rows, device: Accelerator) -> list[dict[str, Any]]:
    """The curves that a device's ceilings determine, as a calibration file lists them."""
    found = []
    for family in FAMILIES:
        mine = [row for row in rows if row["kind"] == family.name and "seconds" in row]
        for dtype in sorted({row["dtype"] for row in mine}):
            alike = [row for row in mine if row["dtype"] == dtype]
            if len(alike) >= FEWEST and dtype in device.peak_dense and not (dtype == "fp16" and _has(mine, "bf16")):
                found.append(_fitted(family, alike, dtype, device))
    streaming = _pointwise(rows, device)
    return [*found, streaming] if streaming else found


def _has(rows: Rows, dtype: str) -> bool:
    return any(row["dtype"] == dtype for row in rows)


def _fitted(family: Family, rows: Rows, dtype: str, device: Accelerator) -> dict[str, Any]:
    parameters = _parameters(family, rows, device)
    inputs, seconds = family.inputs(rows, device), _seconds(rows)
    errors = summary(relative_errors(family.equation, inputs, seconds, parameters))
    left_out = _left_out(family, rows, device)
    return {
        "family": family.name, "device": device.id, "format": CURVE_FORMATS[dtype], "peak_of": dtype, "parameters": parameters,
        "rows": len(rows), "error": {"median": round(errors.median, 3), "p90": round(errors.p90, 3)},
        "shapes_left_out": {"median": round(percentile(left_out, 0.5), 3), "p90": round(percentile(left_out, 0.9), 3)},
    }  # fmt: skip


def _parameters(family: Family, rows: Rows, device: Accelerator) -> dict[str, float]:
    return fit_parameters(family.equation, family.inputs(rows, device), _seconds(rows), family.parameters, family.fixed)


def _left_out(family: Family, rows: Rows, device: Accelerator) -> list[float]:
    """Relative errors of every row by a fit without its fold."""
    found: list[float] = []
    for fold in range(FOLDS):
        inside = [row for place, row in enumerate(rows) if place % FOLDS == fold]
        outside = [row for place, row in enumerate(rows) if place % FOLDS != fold]
        if inside:
            parameters = _parameters(family, outside, device)
            found += relative_errors(family.equation, family.inputs(inside, device), _seconds(inside), parameters).tolist()
    return found


def _seconds(rows: Rows) -> Any:
    """The least of each row's repetitions: what other work on the machine added is no property of the kernel."""
    import numpy as np

    return np.array([row.get("least", row["seconds"]) for row in rows], dtype=float)


def _column(rows: Rows, name: str) -> Any:
    import numpy as np

    return np.array([row[name] for row in rows], dtype=float)


def _of_device(rows: Rows, device: Accelerator, dtype: str) -> dict[str, Any]:
    import numpy as np

    ones = np.ones(len(rows))
    return {"peak": ones * float(device.peak_dense[dtype]), "memory_bandwidth": ones * float(device.memory_bandwidth)}


def _matmul_inputs(rows: Rows, device: Accelerator) -> Arrays:
    m, n, k, width = _column(rows, "m"), _column(rows, "n"), _column(rows, "k"), WIDTHS[rows[0]["dtype"]]
    moved = matmul_activation_bytes.function(m, n, k, width, width)
    return {"m": m, "n": n, "k": k, "weight_bytes": n * k * width, "activation_bytes": moved,
            **_of_device(rows, device, rows[0]["dtype"])}  # fmt: skip


def _prefill_inputs(rows: Rows, device: Accelerator) -> Arrays:
    batch, length, heads = _column(rows, "batch"), _column(rows, "length"), _column(rows, "heads")
    width, groups, size = _column(rows, "head_dim"), _column(rows, "groups"), WIDTHS[rows[0]["dtype"]]
    moved = query_output_bytes.function(batch * length, heads, width, width, size)
    moved = moved + cache_read_bytes.function(batch, length, 2.0 * groups * width, size)
    return {
        "sequences": batch, "tokens": length, "keys": length, "pairs": causal_pairs.function(length, 0.0), "heads": heads,
        "head_width": 2.0 * width, "moved_bytes": moved, "units": _units(rows, device),
        **_of_device(rows, device, rows[0]["dtype"]),
    }  # fmt: skip


def _decode_inputs(rows: Rows, device: Accelerator) -> Arrays:
    batch, length, heads = _column(rows, "batch"), _column(rows, "length"), _column(rows, "heads")
    width, groups, size = _column(rows, "head_dim"), _column(rows, "groups"), WIDTHS[rows[0]["dtype"]]
    moved = query_output_bytes.function(batch, heads, width, width, size)
    moved = moved + cache_read_bytes.function(batch, length, 2.0 * groups * width, size)
    return {
        "sequences": batch, "keys": length, "rows": heads / groups, "groups": groups, "head_width": 2.0 * width,
        "token_bytes": 2.0 * width * size, "moved_bytes": moved, "units": _units(rows, device),
        **_of_device(rows, device, rows[0]["dtype"]),
    }  # fmt: skip


def _units(rows: Rows, device: Accelerator) -> Any:
    import numpy as np

    return np.full(len(rows), float(device.units or 1.0))


def _pointwise(rows: Rows, device: Accelerator) -> dict[str, Any] | None:
    """Streaming of elementwise kernels: the launch of the smallest, the rate of the largest copy."""
    launches = [float(row["least"]) for row in rows if row["kind"] == "launch" and "least" in row]
    copies = [row for row in rows if row["kind"] == "copy" and "least" in row]
    if not launches or not copies:
        return None
    largest = max(copies, key=lambda row: float(row["bytes"]))
    rate = 2.0 * float(largest["bytes"]) / float(largest["least"])
    share = min(rate / float(device.memory_bandwidth), 1.0)
    return {"family": "pointwise", "device": device.id, "format": "bf16", "peak_of": None,
            "parameters": {"launch_seconds": min(launches), "memory_fraction": share}, "rows": 1 + len(copies)}  # fmt: skip


FAMILIES = (
    Family("matmul", matmul.EQUATION, matmul.PARAMETERS, _matmul_inputs, {}),
    Family("attention_prefill", attention.PREFILL_EQUATION, attention.PREFILL_PARAMETERS, _prefill_inputs, PREFILL_FIXED),
    Family("attention_decode", attention.DECODE_EQUATION, attention.DECODE_PARAMETERS, _decode_inputs, DECODE_FIXED),
)
