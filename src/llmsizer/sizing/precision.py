"""How a device multiplies with weights of a number format."""

from __future__ import annotations

from dataclasses import dataclass

from llmsizer.core.errors import UnsupportedCombination
from llmsizer.core.quantities import BytesPerElement, FlopPerSecond
from llmsizer.formulas.storage import bytes_per_value
from llmsizer.schema.calibration import Curve
from llmsizer.schema.deployment import Case
from llmsizer.schema.number_format import NumberFormat


@dataclass(frozen=True, slots=True)
class Precision:
    """How a product runs: the calibration's name of the format, and the peak it is held against."""

    format: str
    peak: FlopPerSecond
    input_bytes: BytesPerElement


def sixteen_bit(case: Case) -> str:
    """The 16-bit type products run in on the device: the case's own, or the one the device has."""
    peaks = case.accelerator.peak_dense
    found = next((name for name in (case.dtype, "bf16", "fp16", "fp32") if name in peaks), None)
    if found is None:
        raise UnsupportedCombination(
            f"{case.accelerator.name} has no peak for products in {case.dtype}", "add one to its peak_dense in a catalog file"
        )
    return found


def precision(case: Case, stored: NumberFormat) -> Precision:
    """How the device multiplies with weights of a format: natively, or after expanding them."""
    native = sixteen_bit(case)
    peaks = case.accelerator.peak_dense
    width = {"fp8": 8, "int8": 8, "fp4": 4}.get(stored.compute)
    if width is not None and stored.compute in peaks:
        return Precision(stored.kernel or stored.compute, peaks[stored.compute], bytes_per_value(width))
    expanded = stored.kernel if stored.kernel else "int8wo" if stored.compute in {"fp8", "int8"} else stored.compute
    plainly = stored.compute in {"bf16", "fp16", "fp32"}
    return Precision("bf16" if plainly else expanded, peaks[native], bytes_per_value(case.native.bits))


def peak_of(case: Case, curve: Curve, how: Precision) -> FlopPerSecond:
    """The peak that a curve's compute fraction refers to: the one it names where the device has it."""
    peaks = case.accelerator.peak_dense
    return peaks[curve.peak_of] if curve.peak_of is not None and curve.peak_of in peaks else how.peak
