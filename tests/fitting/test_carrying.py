"""Curves of an architecture on its other devices."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

import llmsizer
from llmsizer.catalog.calibrations import calibration_of
from llmsizer.formulas.matmul import matmul_seconds

CARRIED = ("compute_fraction", "memory_fraction", "wave_elements")
SHAPE = (8.0, 4096.0, 4096.0, 33554432.0, 1e5)


def products(device, format_name="bf16"):
    return calibration_of("auto", device, "vllm").curve("matmul", format_name)


def test_a_measured_device_keeps_its_curve(catalog: llmsizer.Catalog):
    curve = products(catalog.accelerator("h200-sxm5-141gb"))
    assert curve.tier == "interpolated"
    assert "carried over" not in curve.provenance.default.title


def test_slower_units_come_nearer_to_their_peak(catalog: llmsizer.Catalog):
    measured, cut = (products(catalog.accelerator(name)) for name in ("h200-sxm5-141gb", "h20-sxm-96gb"))
    assert cut.tier == "extrapolated"
    assert "carried over to 78 units" in cut.provenance.default.title
    assert measured.parameters["compute_fraction"] < cut.parameters["compute_fraction"] < 1.0
    assert cut.parameters["wave_elements"] == pytest.approx(measured.parameters["wave_elements"] * 78 / 132)
    assert {**cut.parameters, **dict.fromkeys(CARRIED, 0)} == {
        **measured.parameters, **dict.fromkeys(CARRIED, 0),
    }  # fmt: skip


@given(slower=st.floats(1e13, 2e15), faster=st.floats(1.0, 10.0), rows=st.floats(1.0, 1e5))
def test_more_peak_is_never_slower(catalog: llmsizer.Catalog, slower: float, faster: float, rows: float):
    device = catalog.accelerator("h20-sxm-96gb")

    def seconds(peak: float) -> float:
        other = replace(device, id="another", peak_dense={**device.peak_dense, "bf16": peak})
        return matmul_seconds(rows, *SHAPE[1:], peak, 4e12, **products(other).parameters)

    assert seconds(slower * faster) <= seconds(slower) * (1 + 1e-12)


def test_few_rows_fill_one_tile(catalog: llmsizer.Catalog):
    parameters = {**products(catalog.accelerator("h20-sxm-96gb")).parameters, "pad_rows": 0.0}
    times = [matmul_seconds(rows, *SHAPE[1:], 148e12, 4e12, **parameters) for rows in (1.0, 64.0, 65.0)]
    assert times[0] == times[1] < times[2]


def test_less_bandwidth_a_unit_is_used_better(catalog: llmsizer.Catalog):
    names = ("a100-sxm4-80gb", "a100-sxm4-40gb", "a30")
    measured, slower, cut = (products(catalog.accelerator(name)).parameters["memory_fraction"] for name in names)
    assert measured < slower < 1.0
    assert measured < cut < 1.0
