"""The curves of matrix products: physical, and what the measurements say."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from llmsizer.authoring.fit import experts, matmul
from llmsizer.authoring.fit.least_squares import relative_errors
from llmsizer.authoring.fit.measured import measured_devices, measured_rows, read_measured
from llmsizer.authoring.fit.pooling import Fitter
from llmsizer.authoring.fit.rows import joined
from llmsizer.core.yaml import load_file
from llmsizer.formulas.matmul import expected_distinct_experts, grouped_matmul_seconds, matmul_seconds

TOP = Path(__file__).parents[2]
CALIBRATIONS = TOP / "src" / "llmsizer" / "catalog" / "data" / "calibrations"
FITTERS = {
    "matmul": Fitter(matmul.EQUATION, matmul.PARAMETERS),
    "experts": Fitter(experts.EQUATION, experts.PARAMETERS),
}
PEAK, BANDWIDTH = 1e15, 3e12


@pytest.fixture(scope="module")
def curves():
    return {family: load_file(CALIBRATIONS / f"{family}.yaml").data["curves"] for family in FITTERS}


@pytest.fixture(scope="module")
def document():
    return read_measured(TOP / "measurements" / "kernels_matmul.yaml")


@pytest.fixture(scope="module")
def devices(document):
    return measured_devices(document)


def chosen(curves, architecture, format_name):
    """The curve of an architecture and format, pooled over devices and engines."""
    wanted = (architecture, None, format_name, None)
    for curve in curves:
        if (curve["architecture"], curve["device"], curve["format"], curve["backend"]) == wanted:
            return curve
    return None


def fitted(curve, family):
    """The parameters of a curve that a fit sets; the others are inputs of its rows."""
    return {one.name: curve["parameters"][one.name] for one in FITTERS[family].parameters}


def matmul_time(curve, m, n, k, weight_bytes=2.0):
    moved = m * (k + n) * 2.0
    return matmul_seconds(m, n, k, n * k * weight_bytes, moved, PEAK, BANDWIDTH, **curve["parameters"])


def experts_time(curve, assignments, touched, hidden, inner):
    weights = touched * 3.0 * hidden * inner * 2.0
    moved = assignments * (2.0 * hidden + 3.0 * inner) * 2.0
    shape = (assignments, touched, hidden, inner, 3.0, weights, moved, PEAK, BANDWIDTH)
    return grouped_matmul_seconds(*shape, **curve["parameters"])


SIZES = np.array([1.0, 2.0, 17.0, 129.0, 1000.0, 8192.0, 1e5])


def test_time_rises_with_every_size(curves):
    for curve in curves["matmul"]:
        for n in SIZES:
            for k in SIZES:
                assert (np.diff(matmul_time(curve, SIZES, n, k)) >= 0).all()
                assert (np.diff(matmul_time(curve, n, SIZES, k)) > 0).all()
                assert (np.diff(matmul_time(curve, n, k, SIZES)) > 0).all()
    for curve in curves["experts"]:
        for n in SIZES:
            for k in SIZES:
                assert (np.diff(experts_time(curve, SIZES, 8.0, n, k)) > 0).all()
                assert (np.diff(experts_time(curve, 1e5, SIZES, n, k)) > 0).all()
                assert (np.diff(experts_time(curve, n, 8.0, SIZES, k)) > 0).all()
                assert (np.diff(experts_time(curve, n, 8.0, k, SIZES)) > 0).all()


def test_nothing_beats_the_ideal(curves):
    m, n, k = (axis.ravel() for axis in np.meshgrid(SIZES, SIZES, SIZES))
    ideal = np.maximum(2.0 * m * n * k / PEAK, (n * k + m * (n + k)) * 2.0 / BANDWIDTH)
    for curve in curves["matmul"]:
        assert (matmul_time(curve, m, n, k) >= ideal).all()
    weights = 8.0 * 3.0 * n * k * 2.0
    ideal = np.maximum(6.0 * m * n * k / PEAK, (weights + m * (2.0 * n + 3.0 * k) * 2.0) / BANDWIDTH)
    for curve in curves["experts"]:
        assert (experts_time(curve, m, 8.0, n, k) >= ideal).all()


def test_scalars_and_arrays_agree(curves):
    for curve in curves["matmul"]:
        array = matmul_time(curve, np.array([1.0, 64.0]), 4096.0, 8192.0)
        assert array[1] == pytest.approx(matmul_time(curve, 64.0, 4096.0, 8192.0), rel=1e-12)


def test_distinct_experts_match_a_simulation():
    rng = np.random.default_rng(0)
    drawn = [len({int(e) for _ in range(20) for e in rng.choice(64, 6, replace=False)}) for _ in range(400)]
    assert expected_distinct_experts(64, 6, 20, 0.0) == pytest.approx(np.mean(drawn), rel=0.01)
    assert expected_distinct_experts(8, 8, 5, 1.0) == pytest.approx(8.0)


@pytest.mark.parametrize(("family", "median", "p90"), [("matmul", 0.12, 0.35), ("experts", 0.17, 0.55)])
def test_curves_predict_the_measured_sample(curves, document, devices, family, median, p90):
    errors = []
    for part in measured_rows(document, family, "sample", devices):
        curve = chosen(curves[family], part.architecture, part.format)
        errors.append(relative_errors(FITTERS[family].equation, part.inputs, part.seconds, fitted(curve, family)))
    together = np.concatenate(errors)
    assert np.median(together) < median
    assert np.quantile(together, 0.9) < p90


@pytest.mark.parametrize(
    ("architecture", "format_name"),
    [("hopper", "bf16"), ("hopper", "fp8"), ("blackwell_sm100", "bf16"), ("ampere_ga100", "bf16")],
)
def test_a_fit_of_the_sample_agrees_with_the_curves(curves, document, devices, architecture, format_name):
    pytest.importorskip("scipy")
    rows = measured_rows(document, "matmul", "sample", devices)
    parts = [part for part in rows if (part.architecture, part.format) == (architecture, format_name)]
    fitter, inputs = FITTERS["matmul"], joined(parts)[0]
    again = fitter.equation(**inputs, **fitter.fit(parts))
    committed = fitter.equation(**inputs, **fitted(chosen(curves["matmul"], architecture, format_name), "matmul"))
    assert np.median(np.abs(np.log(again / committed))) < math.log(1.12)


def test_every_curve_is_complete(curves):
    for family, found in curves.items():
        names = {one.name for one in FITTERS[family].parameters} | ({"least_rows"} if family == "matmul" else set())
        for curve in found:
            assert set(curve["parameters"]) == names
            assert curve["rows"] > 0
            assert curve["error"]["median"] >= 0
