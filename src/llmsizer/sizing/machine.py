"""What kernels run on: peak, bandwidth and calibration of a device, or of a whole fleet.

Whatever a kernel takes from the device comes through the lookups here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any, TypeVar

from llmsizer.core.errors import UnsupportedCombination
from llmsizer.core.explain import plain
from llmsizer.core.quantities import BytesPerElement, BytesPerSecond, Count, FlopPerSecond, Seconds
from llmsizer.formulas.communication import share_of_network
from llmsizer.schema.calibration import Curve
from llmsizer.schema.deployment import Case
from llmsizer.schema.number_format import NumberFormat
from llmsizer.sizing.curves import curve_of
from llmsizer.sizing.precision import peak_of, precision, sixteen_bit


@dataclass(frozen=True, slots=True, eq=False)
class Machine:
    """What a kernel runs on: ``units`` (SMs, CUs), the peak its FLOP are held against (0 where it does
    none), the bandwidth of what it moves, and bytes of an input element. Those of one case are alike
    where their curves are."""

    curve: Curve
    bandwidth: BytesPerSecond
    peak: FlopPerSecond = 0.0
    units: Count = 1.0
    input_bytes: BytesPerElement = 2.0

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Machine) and self.curve is other.curve

    def __hash__(self) -> int:
        return id(self.curve)


Answer = TypeVar("Answer")


def of_fleet(lookup: Callable[..., Answer]) -> Callable[..., Answer]:
    """Makes a lookup answer for every device of a case that stands for several."""

    @wraps(lookup)
    def answer(case: Case, *key: Any) -> Answer:
        if case.fleet is None:
            return lookup(case, *key)
        found: Answer = case.fleet.answer(lookup, *key)
        return found

    return answer


@of_fleet
def product_machine(case: Case, family: str, stored: NumberFormat) -> Machine:
    """For products with weights stored in a format: dense ones (``matmul``) or ``experts``."""
    how = precision(case, stored)
    curve = curve_of(case, family, _kernels(case, family, how.format))
    return Machine(curve, case.accelerator.memory_bandwidth, peak_of(case, curve, how), input_bytes=how.input_bytes)


def _kernels(case: Case, family: str, format_: str) -> str:
    """Whose curve the kernels of a format have: where the engine takes others than the usual ones, those'. Ranks with an
    attention of their own exchange tokens, for which engines keep their own expert kernels."""
    if family == "experts":
        known = case.engine.expert_kernels if plain(case.parallel.data_parallel_size) == 1 else {}
    else:
        known = case.engine.product_kernels
    return known.get(format_, format_)


@of_fleet
def cache_machine(case: Case, family: str, format_: str) -> Machine:
    """For attention and recurrences over a cache in a format."""
    device = case.accelerator
    units: Count = device.units if device.units is not None else 1.0
    return Machine(curve_of(case, family, format_), device.memory_bandwidth, device.peak_dense[sixteen_bit(case)], units)


@of_fleet
def launch_seconds(case: Case) -> Seconds:
    """What the host takes to launch a kernel that no graph holds."""
    return case.engine.launch_seconds


@of_fleet
def host_link_machine(case: Case) -> Machine:
    """For copies between the host's memory and the device's."""
    device = case.accelerator
    bandwidth = device.host_link_bandwidth if device.host_link_bandwidth is not None else device.pcie_bandwidth
    if bandwidth is None:
        raise UnsupportedCombination(
            f"{device.name}: the bandwidth to its host is not known", "add its pcie_bandwidth in a catalog file"
        )
    return Machine(curve_of(case, "host_copy", "any"), bandwidth)


@of_fleet
def network_machine(case: Case, kind: str) -> Machine:
    """For a collective between machines, each device with its share of its machine's network."""
    machine = case.machine
    if machine is None or machine.network_bandwidth is None:
        raise UnsupportedCombination(
            f"no machine of the catalog says what joins {case.accelerator.name} to other machines",
            "add a node with its network_bandwidth in a catalog file, or use fewer devices",
        )
    share = share_of_network(machine.network_bandwidth, machine.accelerators)
    return Machine(curve_of(case, kind, "InfiniBand"), share)


@of_fleet
def stage_machine(case: Case, devices: Count) -> Machine:
    """For what one pipeline stage sends to the next, of a replica of so many devices."""
    within = plain(devices) <= plain(case.accelerator.reach)
    return link_machine(case, "point_to_point", 2) if within else network_machine(case, "point_to_point")


@of_fleet
def link_machine(case: Case, kind: str, ranks: Count) -> Machine:
    """For a collective over some ranks of a machine: the scale-up links within their domain, the host bus
    otherwise."""
    device = case.accelerator
    if device.link is not None and device.link_bandwidth is not None and plain(ranks) <= plain(device.link_domain or 1):
        return Machine(curve_of(case, kind, device.link), device.link_bandwidth)
    bandwidth = device.pcie_bandwidth if device.pcie_bandwidth is not None else device.link_bandwidth
    return Machine(curve_of(case, kind, "PCIe"), bandwidth if bandwidth is not None else device.memory_bandwidth)
