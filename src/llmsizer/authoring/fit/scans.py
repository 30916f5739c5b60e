"""Fit of recurrent layers: measured Gated DeltaNet times to ``calibrations/scan_*.yaml``.

A layer is its convolution and its scan together. The published Mamba-2 tables time the convolution
alone, so Mamba and the other recurrences take the curves of the delta rule: the same traffic of states and tokens.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from llmsizer.authoring.fit.attention import newest_tables
from llmsizer.authoring.fit.attention_files import SOURCE, fitted_curves, sampled, with_head
from llmsizer.authoring.fit.devices import MeasuredDevice
from llmsizer.authoring.fit.least_squares import Equation, Parameter
from llmsizer.authoring.fit.rows import Rows, shape_numbers
from llmsizer.authoring.fit.tables import KernelTable
from llmsizer.authoring.fit.writing import calibration_yaml
from llmsizer.formulas.attention import scan_decode_seconds, scan_flop, scan_prefill_seconds
from llmsizer.formulas.steps import state_traffic_bytes

FRACTIONS = (
    Parameter("launch_seconds", 1e-5, 1e-6, 3e-4),
    Parameter("memory_fraction", 0.6, 0.05, 0.98),
)
COMPUTE = Parameter("compute_fraction", 0.15, 0.005, 0.98)
CHAIN = (Parameter("token_seconds", 1e-8, 1e-12, 1e-6), Parameter("overlap", 0.5, 1e-3, 1.0))
FAMILIES: Mapping[str, tuple[Equation, tuple[Parameter, ...], tuple[str, ...]]] = {
    "scan_prefill": (scan_prefill_seconds.function, (*FRACTIONS, COMPUTE, *CHAIN),
                     ("tokens", "flop", "moved_bytes", "peak", "memory_bandwidth")),
    "scan_decode": (scan_decode_seconds.function, FRACTIONS, ("moved_bytes", "memory_bandwidth")),
}  # fmt: skip

STATE_BYTES, VALUE_BYTES = 4.0, 2.0
FEWEST_TOKENS = 512
_KEYS = ("phase", "batch_size", "seq_len", "num_k_heads", "num_v_heads", "head_k_dim", "head_v_dim", "d_conv")


def layer_times(table: KernelTable, phase: str) -> Mapping[str, Any]:
    """Columns of whole layers of one phase: the convolution's time and the most named scan kernel's, added."""
    import numpy as np

    names = table.columns
    mask = names["phase"] == phase
    kernels = names["kernel_source"].astype(str)
    conv = np.char.find(kernels.astype("U"), "conv1d") >= 0
    scans, counts = np.unique(kernels[mask & ~conv].astype("U"), return_counts=True)
    if not len(scans):
        return {}
    usual = mask & (kernels == scans[counts.argmax()])
    shapes = np.stack([names[key].astype(str).astype("U32") for key in _KEYS], axis=1)
    first = {tuple(shape): time for shape, time in zip(shapes[mask & conv], names["latency"][mask & conv], strict=True)}
    added = np.array([first.get(tuple(shape), np.nan) for shape in shapes[usual]], dtype=float)
    whole = {key: names[key][usual] for key in _KEYS} | {"seconds": (names["latency"][usual] + added) * 1e-3}
    return {key: column[~np.isnan(added)] for key, column in whole.items()}


def scan_rows(columns: Mapping[str, Any], device: MeasuredDevice, backend: str) -> Rows:
    """Measured layers as rows of a fit, with the inputs of every scan formula."""
    import numpy as np

    sequences, tokens = columns["batch_size"].astype(float), columns["seq_len"].astype(float)
    values = columns["num_v_heads"].astype(float) * columns["head_v_dim"]
    state = values * columns["head_k_dim"]
    convolved = 2.0 * columns["num_k_heads"] * columns["head_k_dim"] + values
    tail = convolved * (columns["d_conv"] - 1.0)
    rows = sequences * tokens
    moved = state_traffic_bytes.function(sequences, state * STATE_BYTES, rows, tail, VALUE_BYTES)
    inputs = {
        "sequences": sequences, "tokens": tokens, "key_heads": columns["num_k_heads"].astype(float),
        "value_heads": columns["num_v_heads"].astype(float), "flop": scan_flop.function(rows, state), "moved_bytes": moved,
        "peak": np.full(len(rows), device.peak("bf16")[1]), "memory_bandwidth": np.full(len(rows), device.memory_bandwidth),
    }  # fmt: skip
    return Rows(
        device=device.id, architecture=device.architecture, backend=backend, format="bf16", peak_of="bf16", kernel="",
        inputs=inputs, seconds=columns["seconds"].astype(float), shapes=shape_numbers(values, sequences),
    )  # fmt: skip


def read_rows(tables: Iterable[KernelTable], devices: Mapping[str, MeasuredDevice]) -> tuple[list[Rows], list[Rows]]:
    """Prompt rows and decode rows of published tables."""
    found: dict[str, list[Rows]] = {"context": [], "generation": []}
    for table in newest_tables(tables):
        for phase, into in found.items():
            columns = layer_times(table, phase)
            if columns and len(columns["seconds"]):
                rows = scan_rows(columns, devices[table.device], table.backend)
                into.append(rows.where(_sound(rows, devices[table.device], phase)))
    return found["context"], found["generation"]


def _sound(rows: Rows, device: MeasuredDevice, phase: str) -> Any:
    """Rows that beat neither peak; prompts of at least ``FEWEST_TOKENS`` in all."""
    inputs = rows.inputs
    states = 2.0 * inputs["sequences"] * inputs["flop"] / (6.0 * inputs["sequences"] * inputs["tokens"]) * STATE_BYTES
    possible = (rows.seconds > inputs["flop"] / inputs["peak"]) & (rows.seconds > states / device.memory_bandwidth)
    if phase == "generation":
        return possible
    return possible & (inputs["sequences"] * inputs["tokens"] >= FEWEST_TOKENS)


def with_inputs(family: str, rows: Sequence[Rows]) -> Iterator[Rows]:
    """The rows with only the inputs that a family's formula takes."""
    for part in rows:
        yield replace(part, inputs={name: part.inputs[name] for name in FAMILIES[family][2]})


def scan_text(family: str, rows: Sequence[Rows], date: str) -> str:
    """The calibration file of one scan family."""
    equation, parameters, names = FAMILIES[family]
    found = fitted_curves(equation, parameters, sampled(list(with_inputs(family, rows))))
    heading = f"Fitted by llmsizer.authoring.fit; formula {family}_seconds. Gated DeltaNet layers: convolution and scan."
    axes = [name for name in names if name not in ("peak", "memory_bandwidth")]
    text = calibration_yaml(family, found, [SOURCE], date, axes, heading)
    ideal = {one.name: 1.0 if one.name.endswith("fraction") else 0.0 for one in parameters}
    return with_head(text, ideal, {"fp16": ["bf16"], "fp32": ["bf16"]})
