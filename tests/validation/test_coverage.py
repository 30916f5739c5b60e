"""Estimates know which deployments were measured, and say so by their tier."""

from __future__ import annotations

import pytest

import llmsizer
from llmsizer.authoring.coverage import combinations, coverage_text
from llmsizer.catalog.package_data import DATA, package_data
from llmsizer.question.coverage import FILE, SIZES, covered, size_class
from llmsizer.validation.measurements import measured_rows
from llmsizer.validation.speed_rows import estimate_of


@pytest.fixture(scope="module")
def catalog() -> llmsizer.Catalog:
    return llmsizer.load_catalog()


def test_the_list_is_that_of_the_measurements(catalog: llmsizer.Catalog):
    made = coverage_text(combinations(catalog))
    assert made == (DATA / FILE).read_text(), "write it anew: python -m llmsizer.authoring.coverage"


def test_every_measured_row_is_in_the_list(catalog: llmsizer.Catalog):
    rows = [row for row in measured_rows("speed.yaml") if row["kind"] == "latency_under_load"][::40]
    assert len(rows) > 5
    for row in rows:
        assert covered(estimate_of(row, catalog).case)[0] == "measured", row["id"]


@pytest.mark.parametrize(
    ("words", "tier"),
    [
        ({"model": "llama-3.1-70b", "hardware": "h100", "tensor_parallel_size": 4, "engine": "vllm@0.8.5"}, "interpolated"),
        ({"model": "llama-3.1-70b", "hardware": "h100", "tensor_parallel_size": 4, "quantization": "int8"}, "interpolated"),
        ({"model": "llama-3.1-8b", "hardware": "h100", "engine": "sglang"}, "extrapolated"),
        ({"model": "mamba-2.8b", "hardware": "h100"}, "extrapolated"),
        ({"model": "llama-3.1-8b", "hardware": "rtx-4090"}, "extrapolated"),
    ],
)
def test_the_distance_to_what_was_measured(words: dict[str, object], tier: str):
    estimate = llmsizer.estimate(**words)  # type: ignore[arg-type]
    found, why = covered(estimate.case)
    assert found == tier
    assert why
    tiers = ["specified", "measured", "interpolated", "extrapolated", "assumed"]
    assert tiers.index(estimate.evidence.tier) >= tiers.index(tier)


def test_what_nobody_measured_is_the_weakest_link():
    estimate = llmsizer.estimate("llama-3.1-8b", "l40s")
    measured = llmsizer.estimate("llama-3.1-8b", "h100")
    assert estimate.evidence.tier == "extrapolated"
    assert "no run of such a model under vLLM" in estimate.evidence.weakest
    assert measured.evidence.tier == "interpolated"


def test_other_calibrations_have_their_own_evidence():
    assert llmsizer.estimate("llama-3.1-8b", "h100", engine="sglang", calibration="ideal").evidence.tier == "assumed"


def test_classes_of_size_leave_no_gap():
    assert [size_class(1e9 * size) for size in (1, *SIZES)] == [
        "up to 4B", "up to 4B", "4B to 15B", "15B to 50B", "50B to 150B",
    ]  # fmt: skip
    assert size_class(1e12) == "above 150B"
    assert {row["size"] for row in package_data(FILE)["combinations"]} <= {
        size_class(1e9 * each) for each in (1, 5, 20, 60, 200)
    }
