"""The calibration files of matrix products, made anew from measurements."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from llmsizer.authoring.fit import experts, matmul
from llmsizer.authoring.fit.measured import measured_devices, measured_rows, read_measured
from llmsizer.authoring.fit.pooling import Curve, Fitter, curves
from llmsizer.authoring.fit.rows import Rows
from llmsizer.authoring.fit.tables import DEVICES, TITLE
from llmsizer.authoring.fit.writing import calibration_yaml

_COMMON = """
Written by llmsizer.authoring.fit.regenerate; do not edit by hand.

Which curve: the nearest that matches (device, then architecture, then architecture null), and among
those the engine's own before the one pooled over engines. null matches anything. Curves of a device or
an engine are there only where they predict left-out shapes clearly better than the coarser one.
peak_of names the entry of the device's peak_dense that compute_fraction refers to (null: the peak that
the format computes at).
Errors are |predicted / measured - 1|: of the fit, on a fifth of the shapes left out, and on a device
left out. host_seconds_left_out: time per call that the measuring loop of an engine spent on the host,
taken off before the fit, as engines replay captured graphs.
measured_on: units, peak and bandwidth of the devices of an architecture's curve. On others of the
architecture wave_elements goes with the units, and what compute_fraction and memory_fraction add to the
time at peak and bandwidth stays per unit (llmsizer.formulas.carrying).
"""

MATMUL_HEADING = f"""Times of dense matrix products: parameters of llmsizer.formulas.matmul.matmul_seconds.
{_COMMON}
weight_bytes: as stored, scales included. activation_bytes: the input in the format of the product, the
output in 16 bit. fp16 runs as bf16. The times include quantising the activations. least_rows is not fitted:
the smallest tile of the architecture's matrix units (measurements/kernels_matmul.yaml).
Left out: vLLM's fp8_block tables (host time of 60 to 900 microseconds a call), operands resident in L2.
Curves of few rows (rows below 150) only rescale the generic curve of their format.
"""

EXPERTS_HEADING = f"""Times of routed experts: parameters of llmsizer.formulas.matmul.grouped_matmul_seconds.
{_COMMON}
One call is one layer on one rank: permutation, gate and up product, activation, down product, combination.
assignments and experts_touched count what the rank itself computes; weight_bytes are those of the touched
experts; activation_bytes by grouped_activation_bytes with 2 bytes a value.
Fitted on balanced routing with all experts of the layer on one rank, tensor-parallel slices included.
format/library: kernels of a library that several engines call (engines.yaml: expert_kernels).
Left out: tables that timed a fallback kernel (2.5 times slower than another engine's on the same device
and format), and operands resident in L2.
"""

_TABLES = {
    "title": TITLE,
    "date": "2026-08",
    "note": "credit: NVIDIA, Apache-2.0; only fitted curves and a sample are kept",
}
_PUBLIC = {
    "title": "microsoft/vidur, stas00/ml-engineering",
    "date": "2024 to 2026",
    "note": "as in measurements/kernels_matmul.yaml",
}


def fit_matmul(source: Path | None, measurements: Path, date: str) -> str:
    """``calibrations/matmul.yaml`` from the published tables (installed package, wheel or folder) and the own file.

    Raises CatalogError when the tables are not there.
    """
    document = read_measured(measurements)
    devices = measured_devices(document, names=DEVICES.values())
    found = matmul_curves([*matmul.read_rows(source, devices), *measured_rows(document, "matmul", "public", devices)])
    return calibration_yaml("matmul", found, [_TABLES, _PUBLIC], date, ("m", "n", "k"), MATMUL_HEADING)


def fit_experts(source: Path | None, measurements: Path, date: str) -> str:
    """``calibrations/experts.yaml`` from the published tables. Raises CatalogError when they are not there."""
    devices = measured_devices(read_measured(measurements), names=DEVICES.values())
    fitter = Fitter(experts.EQUATION, experts.PARAMETERS)
    own, shared = experts.read_rows(source, devices)
    found = [*curves(fitter, own), *(curve for curve in curves(fitter, shared) if curve.format)]
    axes = ("assignments", "experts_touched", "hidden_size", "intermediate_size")
    return calibration_yaml("experts", found, [_TABLES], date, axes, EXPERTS_HEADING)


def matmul_curves(rows: Sequence[Rows]) -> list[Curve]:
    """The curves of dense products; small public sets count only where no table covers their architecture."""
    tables = {(part.architecture, part.format) for part in rows if part.kernel}
    useful = [part for part in rows if part.kernel or (part.architecture, part.format) not in tables]
    return [with_least_rows(curve) for curve in curves(Fitter(matmul.EQUATION, matmul.PARAMETERS), useful)]


def with_least_rows(curve: Curve) -> Curve:
    """The curve with the smallest tile of its architecture, which was an input of its rows, among its parameters."""
    rows = float(curve.parts[0].inputs["least_rows"][0]) if curve.architecture else 0.0
    return replace(curve, parameters={**curve.parameters, "least_rows": rows})
