"""How the number formats of measured kernels map to stored bytes and to the peak they compute at."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class KernelFormat:
    """A format of a product: the peak it computes at, and bytes per weight and per input value.

    Weight bytes include the scales; weight-only formats have 16-bit inputs and compute in bf16.
    """

    name: str
    peak_of: str
    weight_bytes: float
    input_bytes: float


FORMATS = {
    one.name: one
    for one in (
        KernelFormat("bf16", "bf16", 2.0, 2.0),
        KernelFormat("fp8", "fp8", 1.0, 1.0),
        KernelFormat("fp8_block", "fp8", 1.0, 1.0),
        KernelFormat("int8", "int8", 1.0, 1.0),
        KernelFormat("nvfp4", "fp4", 0.5625, 0.5625),
        KernelFormat("int8wo", "bf16", 1.0, 2.0),
        KernelFormat("int4", "bf16", 0.515625, 2.0),
        KernelFormat("mxfp4", "bf16", 0.53125, 2.0),
        KernelFormat("mxfp4_mxfp8", "fp8", 0.53125, 1.03125),
    )
}

# The names the published tables use.
TABLE_NAMES = {
    "bfloat16": "bf16",
    "fp8": "fp8",
    "fp8_block": "fp8_block",
    "sq": "int8",
    "nvfp4": "nvfp4",
    "int8_wo": "int8wo",
    "int4_wo": "int4",
    "w4a16_mxfp4": "mxfp4",
    "w4a8_mxfp4_mxfp8": "mxfp4_mxfp8",
}
