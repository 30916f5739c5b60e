"""The curves of llama.cpp's own kernels, and the factors that they share between architectures and backends."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# What no row tells: products without tiles to fill, of which the smaller of compute and memory time is hidden.
_TILES = {"pad_columns": 0.0, "wave_elements": 0.0, "activation_traffic": 1.0, "overlap": 0.05}
REST: Mapping[str, Mapping[str, float]] = {
    "matmul": {"seconds_per_depth": 0.0, "prologue_depth": 0.0, **_TILES},
    "experts": {"routing_seconds": 0.0, "routing_assignments": 1.0, **_TILES},
    "attention_decode": {"item_seconds": 0.0, "pad_keys": 0.0, "tail_keys": 0.0, "splits": 64.0, "overlap": 0.05},
    "all_reduce": {
        "bulk_seconds": 0.0, "bulk_bytes": 1.0, "bandwidth_fraction": 0.5, "passes": 2.0, "copies": 0.0, "contention": 0.0,
    },
}  # fmt: skip


FABRICS = ("PCIe", "NVLink2", "NVLink3", "NVLink4", "NVLink5", "Infinity Fabric")


@dataclass(frozen=True, slots=True)
class Kernel:
    """One curve: where it holds, and the names (or values) of the factors whose products are its fractions.
    ``expanding``: rows that take as much arithmetic as unpacking the weights."""

    family: str
    format: str | None
    compute: tuple[str | float, ...]
    memory: str
    launch: str | float = 1e-6
    vendor: str | None = None
    architecture: str | None = None
    expanding: str | float = 0.0

    def factors(self) -> list[str]:
        """The names of its factors."""
        return [word for word in (*self.compute, self.memory, self.launch, self.expanding) if isinstance(word, str)]

    def curve(self, values: Mapping[str, float]) -> dict[str, Any]:
        """Its line of the calibration file."""

        def number(word: str | float) -> float:
            return values[word] if isinstance(word, str) else word

        return {
            "family": self.family, "own_kernels": True, "vendor": self.vendor, "architecture": self.architecture,
            "device": None, "format": self.format, "backend": "llama.cpp", "peak_of": "fp16_acc16",
            "parameters": {
                "launch_seconds": number(self.launch), "compute_fraction": math.prod(map(number, self.compute)),
                "memory_fraction": number(self.memory), "pad_rows": number(self.expanding), **REST[self.family],
            },
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class RowSplit:
    """Products whose rows lie on several devices: their results are copied to one device and from there to all, one
    device after the other, with a wait of the host for each, which is the same over every ``fabric``."""

    fabric: str

    def factors(self) -> list[str]:
        """The names of its factors."""
        return ["row_split_pair", "row_split_rank"]

    def curve(self, values: Mapping[str, float]) -> dict[str, Any]:
        """Its line of the calibration file: that of an all-reduce."""
        first, further = (values[name] for name in self.factors())
        parameters = {"latency_seconds": first, "rank_seconds": further, **REST["all_reduce"]}
        return {
            "kind": "all_reduce",
            "own_kernels": True,
            "fabric": self.fabric,
            "backend": "llama.cpp",
            "parameters": parameters,
        }


def _products(formats: Sequence[str], compute: tuple[str | float, ...], memory: str, *place: Any) -> Iterator[Kernel]:
    """Dense products and those of routed experts, which keep a further share of it."""
    for name in formats:
        yield Kernel("matmul", name, compute, memory, *place)
        yield Kernel("experts", name, (*compute, "experts"), memory, *place)


def _cuda(
    architecture: str | None, slower: tuple[str, ...], per_core: tuple[str | float, ...], memory: str
) -> Iterator[Kernel]:
    """The kernels of the CUDA backend on one architecture. Products of cuBLAS reach a share of the matrix units' peak;
    the engine's own ones are bound by the conversions of their partial sums, whose rate per core and clock is the same
    whatever the width of the matrix units."""
    place = (1e-6, None if architecture else "NVIDIA", architecture)
    yield from _products(["gguf/cublas-2023"], ("expanded_2023", *slower), f"quantized_{memory}", *place)
    yield from _products(["gguf/cublas"], ("expanded", *slower), f"quantized_{memory}", *place)
    yield from _products(["gguf"], ("own", *per_core), f"quantized_{memory}", *place)
    yield from _products(["bf16/cublas-2023"], ("wide_2023", *slower), f"wide_{memory}", *place)
    yield from _products(["bf16"], ("wide", *slower), f"wide_{memory}", *place)


def _kernels() -> Iterator[Kernel | RowSplit]:
    yield from _products(["gguf"], ("own",), "quantized_narrow")
    yield from _products(["bf16"], ("wide",), "wide_narrow")
    for architecture in (None, "ampere_ga10x", "ampere_ga10x_half", "ada_half"):
        yield from _cuda(architecture, (), (), "narrow")
    yield from _cuda("ada", ("ada",), ("ada",), "narrow")
    yield from _cuda("ampere_ga100", ("ampere_ga100",), (1 / 2,), "broad")
    yield from _cuda("hopper", ("hopper",), (1 / 4,), "broad")
    apple = ("metal_launch", "Apple", None)
    yield from _products(["gguf/metal"], ("metal_quantized",), "metal_memory", *apple, "metal_expanding")
    yield from _products(["bf16/metal"], ("metal_wide",), "metal_memory", *apple)
    for name in ("rocblas", "hipblaslt", "hip", "vulkan-2025", "vulkan"):
        memory = "vulkan_memory" if name.startswith("vulkan") else "hip_memory"
        yield from _products([f"gguf/{name}"], (f"rdna3_5_{name}",), memory, 1e-6, None, "rdna3_5")
    yield from map(RowSplit, FABRICS)
    yield Kernel("attention_decode", "bf16", (0.3,), "cache_memory")
    yield Kernel("attention_decode", "bf16", (0.3,), "cache_memory_apple", 1e-6, "Apple")
    yield Kernel("attention_decode", "bf16", (0.3,), "cache_memory_rdna3_5", 1e-6, None, "rdna3_5")


KERNELS = tuple(_kernels())
