"""Fit of the grouped products of routed experts: to ``calibrations/experts.yaml``."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from llmsizer.authoring.fit.devices import MeasuredDevice
from llmsizer.authoring.fit.formats import FORMATS, TABLE_NAMES
from llmsizer.authoring.fit.least_squares import Parameter
from llmsizer.authoring.fit.rows import Rows, shape_numbers, without_fallbacks
from llmsizer.authoring.fit.tables import KernelTable, read_tables, version_order
from llmsizer.formulas.matmul import grouped_activation_bytes, grouped_matmul_seconds

EQUATION = grouped_matmul_seconds.function

PARAMETERS = (
    Parameter("launch_seconds", 1e-5, 1e-6, 1e-3),
    Parameter("routing_seconds", 1e-5, 1e-8, 1e-3),
    Parameter("routing_assignments", 64.0, 1.0, 4000.0),
    Parameter("compute_fraction", 0.6, 0.02, 0.98),
    Parameter("memory_fraction", 0.8, 0.05, 0.98),
    Parameter("pad_rows", 16.0, 0.01, 512.0),
    Parameter("pad_columns", 100.0, 0.01, 3000.0),
    Parameter("wave_elements", 2e5, 10.0, 1e8),
    Parameter("activation_traffic", 1.5, 1.0, 20.0),
    Parameter("overlap", 0.2, 1e-3, 1.0),
)

OUTPUT_BYTES = 2.0
_UNGATED = "nongated"
# A library whose kernels several engines call: what the tables' names of them contain, and its formats.
LIBRARIES = {"trtllm-gen": (("flashinfer_trtllm", "min_latency"), ("fp8_block", "nvfp4"))}


def expert_inputs(
    assignments: Any, touched: Any, hidden: Any, intermediate: Any, matrices: Any, format_name: str, device: MeasuredDevice
) -> dict[str, Any]:
    """The arguments of ``grouped_matmul_seconds`` for some shapes in a format on a device."""
    import numpy as np

    kind = FORMATS[format_name]
    pairs, experts, wide, inner, count = (
        np.asarray(one, dtype=float) for one in (assignments, touched, hidden, intermediate, matrices)
    )
    return {
        "assignments": pairs, "experts_touched": experts, "hidden_size": wide, "intermediate_size": inner,
        "matrices": count, "weight_bytes": experts * count * wide * inner * kind.weight_bytes,
        "activation_bytes": grouped_activation_bytes.function(pairs, wide, inner, count, OUTPUT_BYTES),
        "peak": np.full(len(pairs), device.peak(kind.peak_of)[1]),
        "memory_bandwidth": np.full(len(pairs), device.memory_bandwidth),
    }  # fmt: skip


def expert_rows(
    columns: tuple[Any, Any, Any, Any, Any], seconds: Any, format_name: str, device: MeasuredDevice, backend: str
) -> Rows:
    """Measured expert layers as rows of a fit; impossible and cache-resident rows are left out."""
    import numpy as np

    made = Rows(
        device=device.id, architecture=device.architecture, backend=backend, format=format_name,
        peak_of=device.peak(FORMATS[format_name].peak_of)[0], kernel="", seconds=np.asarray(seconds, dtype=float),
        inputs=expert_inputs(*columns, format_name, device), shapes=shape_numbers(*columns[2:]), units=device.units,
    )  # fmt: skip
    return made.where(sound_rows(made, device.l2_cache))


def sound_rows(rows: Rows, l2_cache: float) -> Any:
    """Which rows can be true of weights in device memory; see the same rule for dense products."""
    inputs = rows.inputs
    flop = 2.0 * inputs["assignments"] * inputs["hidden_size"] * inputs["intermediate_size"] * inputs["matrices"]
    compute = flop / inputs["peak"]
    memory = inputs["weight_bytes"] / inputs["memory_bandwidth"]
    possible = (rows.seconds > memory) & (rows.seconds > compute)
    if (rows.seconds < memory).mean() < 0.01:
        return possible
    operands = inputs["weight_bytes"] + inputs["activation_bytes"]
    moved = operands / inputs["memory_bandwidth"]
    return possible & ((operands > 2.0 * l2_cache) | (moved < 1e-6) | (compute > 3.0 * moved))


def table_rows(tables: Iterable[KernelTable], devices: Mapping[str, MeasuredDevice]) -> list[Rows]:
    """The rows of published tables with all experts on one rank and balanced routing.

    Of each engine and format one kernel: engines choose among kernels by rules that the tables do not
    tell, so the newest is taken that runs gated experts, and of those the one with the most rows.
    """
    return without_fallbacks(_newest(tables, devices, lambda name, kernel: name))


def library_rows(tables: Iterable[KernelTable], devices: Mapping[str, MeasuredDevice]) -> list[Rows]:
    """The rows of the libraries that several engines call, whichever engine timed them: format/library."""
    return _newest(tables, devices, _of_library)


def _of_library(name: str, kernel: str) -> str | None:
    for library, (marks, formats) in LIBRARIES.items():
        if name in formats and any(mark in kernel for mark in marks):
            return f"{name}/{library}"
    return None


def _newest(
    tables: Iterable[KernelTable], devices: Mapping[str, MeasuredDevice], named: Callable[[str, str], str | None]
) -> list[Rows]:
    """Of each device, engine and name the newest rows; ``named`` gives a kernel's name from its format."""
    found: dict[tuple[str, str, str], list[tuple[tuple[int, ...], Rows]]] = defaultdict(list)
    for table in tables:
        device, order = devices[table.device], version_order(table.version)
        for name, kernel, part in _kernels(table):
            title = named(TABLE_NAMES[name], kernel)
            if title is None:
                continue
            touched, assignments = touched_when_balanced(part)
            matrices = 0 * touched + (2 if _UNGATED in kernel else 3)
            columns = (assignments, touched, part["hidden_size"], part["inter_size"] / part["moe_tp_size"], matrices)
            rows = expert_rows(columns, part["latency"] * 1e-3, TABLE_NAMES[name], device, table.backend)
            rows = replace(rows, format=title)
            found[device.id, title, table.backend].append((order, replace(rows, kernel=f"{kernel} {table.version}")))
    return [_chosen(candidates) for candidates in found.values()]


def _chosen(candidates: list[tuple[tuple[int, ...], Rows]]) -> Rows:
    return max(candidates, key=lambda one: (_UNGATED not in one[1].kernel, one[0], len(one[1])))[1]


def _kernels(table: KernelTable) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    import numpy as np

    columns = table.columns
    whole = (columns["distribution"] == "balanced") & (columns["moe_ep_size"] == 1)
    for name in np.unique(columns["moe_dtype"]):
        for kernel in np.unique(columns["kernel_source"]):
            mask = whole & (columns["moe_dtype"] == name) & (columns["kernel_source"] == kernel)
            if name in TABLE_NAMES and mask.sum() > 100:
                yield str(name), str(kernel), table.where(mask).columns


def touched_when_balanced(columns: Mapping[str, Any]) -> tuple[Any, Any]:
    """Distinct experts and assignments when the tokens go round the experts in turn."""
    import numpy as np

    assignments = columns["num_tokens"] * columns["topk"]
    return np.minimum(columns["num_experts"], assignments), assignments


def read_rows(source: Path | None, devices: Mapping[str, MeasuredDevice]) -> tuple[list[Rows], list[Rows]]:
    """The expert layers of the published tables: each engine's own, and those of shared libraries."""
    tables = list(read_tables(source, "moe", "moe_perf.parquet"))
    return table_rows(tables, devices), library_rows(tables, devices)
