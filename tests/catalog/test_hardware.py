"""Devices of the catalog are possible ones: peaks follow from clocks, formats halve and double as they must."""

from __future__ import annotations

import pytest

import llmsizer
from llmsizer.catalog.package_data import package_yaml

ARCHITECTURES = package_yaml("hardware_catalog.yaml").data["architectures"]
NAMES = llmsizer.load_catalog().names("accelerators")
EACH = pytest.mark.parametrize("name", NAMES)


@EACH
def test_memory_is_in_order(name: str, catalog: llmsizer.Catalog):
    device = catalog.accelerator(name)
    # Some devices are sold by less than their chips hold (H200: "141 GB" of 144 GiB).
    assert 0.5 * device.memory_capacity < device.usable_memory <= 1.08 * device.memory_capacity
    if device.driver_memory is not None:
        assert device.usable_memory <= device.driver_memory <= device.memory_capacity * 1.08
    assert 50e9 < device.memory_bandwidth < 30e12


@EACH
def test_bandwidth_follows_from_bus_and_rate(name: str, catalog: llmsizer.Catalog):
    device = catalog.accelerator(name)
    if device.memory_bus is None or device.memory_data_rate is None:
        pytest.skip("bus or data rate not known")
    assert device.memory_bus * device.memory_data_rate == pytest.approx(device.memory_bandwidth, rel=0.03)


@EACH
def test_no_peak_beyond_what_the_clocks_allow(name: str, catalog: llmsizer.Catalog):
    """units × operations per clock × clock bounds what vendors print (some cap it below)."""
    device = catalog.accelerator(name)
    rates = ARCHITECTURES[device.architecture]["operations_per_clock_per_unit"]
    clock = device.tensor_clock or device.boost_clock
    if device.units is None or clock is None:
        pytest.skip("units or clock not known")
    for dtype, peak in device.peak_dense.items():
        if dtype in rates and dtype != "fp32":
            assert peak <= 1.1 * device.units * rates[dtype] * clock, dtype


@EACH
def test_peaks_are_dense_and_in_order(name: str, catalog: llmsizer.Catalog):
    peaks = catalog.accelerator(name).peak_dense
    assert peaks
    assert all(1e11 < peak < 1e17 for peak in peaks.values())
    for narrow, wide in (
        ("fp8", "bf16"),
        ("fp8", "fp16"),
        ("fp4", "fp8"),
        ("int8", "fp16"),
        ("int4", "int8"),
        ("bf16", "tf32"),
    ):
        if narrow in peaks and wide in peaks and not name.startswith(("gb300", "b300")):
            assert peaks[narrow] >= 0.99 * peaks[wide], f"{narrow} {wide}"


@EACH
def test_a_16_bit_type_is_native_and_has_a_peak(name: str, catalog: llmsizer.Catalog):
    device = catalog.accelerator(name)
    assert {"bf16", "fp16"} & set(device.native_dtypes) & set(device.peak_dense)


def test_nodes_hold_what_fits_their_fabric(catalog: llmsizer.Catalog):
    for name in catalog.names("nodes"):
        node = catalog.node(name)
        assert 1 <= node.accelerators <= 256, name
