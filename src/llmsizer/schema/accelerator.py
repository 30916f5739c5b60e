"""Accelerators, processors and the machines that hold them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, ClassVar

from llmsizer.core.explain import Provenance, plain
from llmsizer.core.quantities import (
    Bytes,
    BytesPerSecond,
    Count,
    FlopPerSecond,
    Unit,
    Watts,
)

# Devices of a machine without a fabric of its own, joined by the host bus: the usual server has eight places.
BUS_DEVICES = 8

Hertz = Annotated[float, Unit("1/second")]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Accelerator:
    """One device as software sees it: dense peaks, one-way bandwidths, usable memory.

    ``usable_memory`` is the total a process sees (``torch.cuda.mem_get_info``); engines apply their
    memory fraction to it. ``link_*`` describe the scale-up fabric: ``link_domain`` devices reach one
    another; ``pair_bandwidth`` is what two devices get where it differs (Infinity Fabric meshes).
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    id: str
    name: str
    vendor: str
    architecture: str
    memory_type: str
    memory_capacity: Bytes
    usable_memory: Bytes
    memory_bandwidth: BytesPerSecond
    peak_dense: Mapping[str, FlopPerSecond]
    native_dtypes: tuple[str, ...]
    year: int | None = None
    aliases: tuple[str, ...] = ()
    driver_memory: Bytes | None = None
    smallest_memory: Bytes | None = None
    unified_memory: bool = False
    memory_bus: Count | None = None
    memory_data_rate: BytesPerSecond | None = None
    l2_cache: Bytes | None = None
    last_level_cache: Bytes | None = None
    compute_capability: str | None = None
    llvm_target: str | None = None
    unit_kind: str | None = None
    units: Count | None = None
    boost_clock: Hertz | None = None
    tensor_clock: Hertz | None = None
    board_power: Watts | None = None
    pcie: str | None = None
    pcie_bandwidth: BytesPerSecond | None = None
    host_link: str | None = None
    host_link_bandwidth: BytesPerSecond | None = None
    link: str | None = None
    link_bandwidth: BytesPerSecond | None = None
    link_domain: int | None = None
    link_topology: str | None = None
    links: Count | None = None
    pair_bandwidth: BytesPerSecond | None = None
    notes: str = ""
    unverified: tuple[str, ...] = ()
    provenance: Provenance = field(default_factory=Provenance)

    def capability(self) -> tuple[int, int] | None:
        """The CUDA compute capability as numbers; None for other devices."""
        if self.compute_capability is None:
            return None
        major, _, minor = self.compute_capability.partition(".")
        return int(major), int(minor or 0)

    @property
    def reach(self) -> int:
        """Devices that one machine joins, by their links or else by its host bus."""
        if self.vendor == "Apple" or self.architecture == "cpu":
            return 1
        return BUS_DEVICES if self.link_domain is None else max(int(plain(self.link_domain)), BUS_DEVICES)

    @property
    def is_cuda(self) -> bool:
        """Whether the device runs CUDA."""
        return self.compute_capability is not None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Processor:
    """A host processor with its memory."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    id: str
    name: str
    vendor: str
    cores: Count
    base_clock: Hertz
    boost_clock: Hertz
    memory_channels: Count
    memory_transfers: Hertz
    memory_bandwidth: BytesPerSecond
    operations_per_clock_per_core: Mapping[str, Count]
    l3_cache: Bytes | None = None
    simd: str = ""
    board_power: Watts | None = None
    year: int | None = None
    aliases: tuple[str, ...] = ()
    notes: str = ""
    unverified: tuple[str, ...] = ()
    provenance: Provenance = field(default_factory=Provenance)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Node:
    """A machine as it is sold or rented: so many accelerators, host memory, network."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    id: str
    provider: str
    accelerator: str
    accelerators: int
    host_memory: Bytes | None = None
    vcpus: int | None = None
    network_bandwidth: BytesPerSecond | None = None
    network: str = ""
    scale_up_domain: int | None = None
    scale_up_topology: str = ""
    aliases: tuple[str, ...] = ()
    notes: str = ""
    unverified: tuple[str, ...] = ()
    provenance: Provenance = field(default_factory=Provenance)
