"""What a fit needs to know of a measured device: peaks, bandwidth, cache and units."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from llmsizer.catalog.catalog import Catalog
from llmsizer.core.errors import LlmsizerError
from llmsizer.core.quantities import parse_quantity


@dataclass(frozen=True, slots=True)
class MeasuredDevice:
    """A device that kernel times were measured on. ``least_rows``: of the smallest tile of its matrix units, by format."""

    id: str
    architecture: str
    memory_bandwidth: float
    peak_dense: Mapping[str, float]
    l2_cache: float
    units: float = 1.0
    least_rows: Mapping[str, float] = field(default_factory=dict)

    def peak(self, wanted: str) -> tuple[str, float]:
        """The peak a format computes at and its name; a chip without that format computes in bf16."""
        name = wanted if wanted in self.peak_dense else "bf16"
        return name, self.peak_dense[name]


def device_named(name: str, catalog: Catalog, extra: Mapping[str, Mapping[str, Any]]) -> MeasuredDevice:
    """A measured device from the hardware catalog, or from ``extra`` (devices not catalogued).

    Raises LlmsizerError when neither has it.
    """
    if name in extra:
        return _described(name, extra[name])
    found = catalog.accelerator(name)
    if not found.peak_dense:
        raise LlmsizerError(f"'{name}' has no peaks to fit against")
    peaks = {format_name: float(peak) for format_name, peak in found.peak_dense.items()}
    if "bf16" not in peaks and "fp16" in peaks:
        peaks["bf16"] = peaks["fp16"]
    cache = float(found.l2_cache) if found.l2_cache is not None else 0.0
    bandwidth, units = float(found.memory_bandwidth), float(found.units or 1.0)
    return MeasuredDevice(found.id, found.architecture, bandwidth, peaks, cache, units)


def _described(name: str, facts: Mapping[str, Any]) -> MeasuredDevice:
    peaks = {key: parse_quantity(value, "FLOP/second") for key, value in facts["peak_dense"].items()}
    bandwidth = parse_quantity(facts["memory_bandwidth"], "byte/second")
    cache = parse_quantity(facts["l2_cache"], "byte")
    return MeasuredDevice(name, facts["architecture"], bandwidth, peaks, cache, float(facts["units"]))
