"""Collective curves: a refit on the sample, the errors they state, and what must always hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

np = pytest.importorskip("numpy")
pytest.importorskip("scipy")

from llmsizer.authoring.fit.collectives import EQUATION, KINDS, Fabric, KindFitter, collective_rows, passes_of  # noqa: E402
from llmsizer.authoring.fit.kernel_samples import collective_group, fabrics_of  # noqa: E402
from llmsizer.authoring.fit.least_squares import relative_errors  # noqa: E402
from llmsizer.authoring.fit.measured import read_measured  # noqa: E402
from llmsizer.authoring.fit.rows import Rows  # noqa: E402
from llmsizer.catalog.package_data import package_data  # noqa: E402
from llmsizer.formulas.communication import collective_seconds  # noqa: E402

FILE = Path(__file__).parents[2] / "measurements" / "kernels_collectives.yaml"
CURVES = package_data("calibrations/collectives.yaml")["curves"]
IDEAL = package_data("calibrations/collectives.yaml")["ideal"]


@pytest.fixture(scope="module")
def samples() -> list[tuple[dict[str, Any], Rows]]:
    document = read_measured(FILE)
    fabrics = fabrics_of(document, sorted({group["device"] for group in document["groups"]}))
    return [(group, collective_group(group, fabrics[group["device"]])) for group in document["groups"]]


def curve_for(rows: Rows) -> dict[str, Any]:
    """The most specific committed curve that applies."""
    best, chosen = (-1, -1, -1), {}
    for curve in CURVES:
        fits = curve["kind"] == rows.format and curve["fabric"] in (None, rows.architecture)
        fits &= curve["device"] in (None, rows.device) and curve["backend"] in (None, rows.backend)
        rank = (int(curve["device"] is not None), int(curve["fabric"] is not None), int(curve["backend"] is not None))
        if fits and rank > best:
            best, chosen = rank, curve
    return chosen


def errors_of(samples: Any, use: str, kinds: tuple[str, ...]) -> dict[tuple[str, str], Any]:
    return {
        (rows.device, rows.format): relative_errors(EQUATION, rows.inputs, rows.seconds, curve_for(rows)["parameters"])
        for group, rows in samples
        if group["use"] == use and rows.format in kinds and len(rows)
    }


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "point_to_point"])
def test_sample_agrees_with_committed_curves(kind: str, samples: Any) -> None:
    errors = errors_of(samples, "sample", (kind,))
    limit = 0.3 if kind == "all_reduce_eager" else 0.15
    assert np.median([np.median(each) for each in errors.values()]) <= limit


def test_public_rows_agree(samples: Any) -> None:
    errors = errors_of(samples, "public", ("all_reduce", "all_reduce_nccl"))
    assert np.median(np.concatenate(list(errors.values()))) <= 0.12


@pytest.mark.parametrize("link", ["NVLink3", "NVLink4", "NVLink5"])
def test_refit_on_the_sample_gives_the_committed_times(link: str, samples: Any) -> None:
    parts = [rows for group, rows in samples if rows.format == "all_reduce_nccl" and rows.architecture == link]
    parts = [part for part in parts if part.backend == "nccl"]
    curve = next(
        one for one in CURVES
        if (one["fabric"], one["kind"], one["device"], one["backend"]) == (link, "all_reduce_nccl", None, None)
    )  # fmt: skip
    again = KindFitter("all_reduce_nccl", link).curve(parts)
    for ranks in (2.0, 4.0, 8.0):
        for message in (16384.0, 1e6, 1e8):
            here = collective_seconds(message, ranks, 450e9, **again.parameters)
            assert here == pytest.approx(collective_seconds(message, ranks, 450e9, **curve["parameters"]), rel=0.45)


def test_every_kind_has_a_generic_curve_and_an_ideal() -> None:
    for kind in KINDS:
        assert any(curve["kind"] == kind and curve["fabric"] is None for curve in CURVES)
        assert IDEAL[kind]["passes"] == passes_of(kind)
    names = set(IDEAL["all_reduce"])
    assert all(set(curve["parameters"]) == names for curve in CURVES)
    assert all(0.0 < curve["parameters"]["bandwidth_fraction"] <= 1.0 for curve in CURVES)


@settings(max_examples=80)
@given(st.floats(1.0, 1e10), st.integers(2, 64), st.floats(1.0, 16.0), st.integers(0, 10_000))
def test_time_rises_with_bytes_and_never_beats_the_ideal(message: float, ranks: int, factor: float, which: int) -> None:
    curve = CURVES[which % len(CURVES)]
    parameters = curve["parameters"]
    here = collective_seconds(message, ranks, 450e9, **parameters)
    assert collective_seconds(message * factor, ranks, 450e9, **parameters) >= here
    assert collective_seconds(message, ranks, 900e9, **parameters) <= here
    if parameters["contention"] >= 0.0:
        assert here >= collective_seconds(message, ranks, 450e9, **IDEAL[curve["kind"]]) * (1 - 1e-9)
        assert collective_seconds(message, ranks + 1.0, 450e9, **parameters) >= here * (1 - 1e-9)


def test_hosts_that_lead_traffic_through_their_memory_are_left_out() -> None:
    message = np.array([1e6, 1e8] * 3)
    ranks = np.repeat([2.0, 4.0, 8.0], 2)
    seconds = message * (ranks - 1) / ranks / np.repeat([10e9, 7e9, 1e9], 2)
    kept = collective_rows("all_reduce_nccl", Fabric("some", "PCIe", 32e9), "nccl", ranks, message, seconds)
    assert sorted(set(kept.inputs["ranks"].tolist())) == [2.0, 4.0]
    assert len(collective_rows("all_reduce_nccl", Fabric("some", "NVLink4", 32e9), "nccl", ranks, message, seconds)) == 6
