"""What is left out leaves no trace in the fits, and the stored results are complete."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from typing import Any

import pytest
import yaml

from llmsizer.authoring.fit import matmul
from llmsizer.authoring.fit.cross_validation import left_out, recalibrated, results, text_of
from llmsizer.authoring.fit.engines import FitRow, by_regime, figures_of, prepared, sampled
from llmsizer.authoring.fit.leave_out import Family, documents_without
from llmsizer.authoring.fit.measured import measured_devices, measured_rows, read_measured
from llmsizer.authoring.fit.pooling import Fitter
from llmsizer.catalog.calibrations import calibration_by
from llmsizer.catalog.catalog import load_catalog
from llmsizer.report.left_out import left_out_table, worst_left_out_table
from llmsizer.validation import measurements
from llmsizer.validation.left_out import KINDS, TPOT, document, left_out_errors
from llmsizer.validation.statistics import ErrorRow, summary

DEVICE = "h200-sxm5-141gb"


@pytest.fixture(scope="module")
def documents() -> Mapping[str, Any]:
    """The calibrations of dense products without a device, by the sample that ships."""
    pytest.importorskip("scipy")
    found = read_measured(measurements.measurement_file("kernels_matmul.yaml"))
    rows = measured_rows(found, "matmul", "sample", measured_devices(found))
    rows = [part for part in rows if (part.architecture, part.format) == ("hopper", "bf16")]
    return documents_without(DEVICE, {"matmul": Family(Fitter(matmul.EQUATION, matmul.PARAMETERS), rows, {})})


@pytest.fixture(scope="module")
def rows() -> list[FitRow]:
    """Some measured rows of one device and engine, and of others."""
    wanted = [row for row in measurements.measured_rows("speed.yaml") if row["kind"] == "latency_under_load"]
    return prepared(wanted[::12], load_catalog())


def test_no_curve_rests_on_the_device_left_out(documents: Mapping[str, Any]):
    for name in ("matmul", "vendors", "pointwise"):
        for curve in documents[name]["curves"]:
            assert DEVICE not in (curve.get("device"), *curve["devices"]) or name == "processors"


def test_the_class_takes_the_place_of_the_device(documents: Mapping[str, Any]):
    device = load_catalog().accelerator(DEVICE)
    curve = calibration_by(documents, device, "vllm").curve("matmul", "bf16")
    assert curve.tier == "extrapolated"
    assert "hopper" in str(curve.provenance.default)
    untouched = calibration_by({}, device, "vllm").curve("matmul", "bf16")
    assert untouched.tier == "interpolated"
    assert curve.parameters != untouched.parameters


def test_rows_are_estimated_under_other_calibrations(documents: Mapping[str, Any], rows: list[FitRow]):
    own = [row for row in rows if row.row["hardware"] == DEVICE][:3]
    assert own
    for before, after in zip(own, recalibrated(own, documents), strict=True):
        assert after.case.calibration is not before.case.calibration
        assert after.memory is before.memory


def test_figures_are_fitted_to_the_others(rows: list[FitRow], monkeypatch: pytest.MonkeyPatch):
    fitted_to: list[FitRow] = []

    def fit(others: list[FitRow], *words: Any) -> dict[str, float]:
        fitted_to.extend(others)
        return {"host_step_seconds": 5e-3}

    monkeypatch.setattr("llmsizer.authoring.fit.engines.fit_engine", fit)
    monkeypatch.setattr("llmsizer.authoring.fit.cross_validation.FEWEST_ROWS", 1)
    regime = max(by_regime(rows), key=len)
    name = next(row.row["model"] for row in regime if row.row["role"] == "fit")
    errors = list(left_out(regime, "model", name))
    assert {row.row["model"] for row in fitted_to} & {name} == set()
    assert all(row.row["role"] == "fit" for row in fitted_to)
    plain = [replace(row, row={**row.row, "role": "validate"}) for row in regime]
    assert [error.error for error in errors] != [error.error for error in left_out(plain, "model", name)]


def test_rows_of_a_regime_share_their_figures(rows: list[FitRow]):
    for regime in by_regime(rows):
        assert len({tuple(figures_of(row).values()) for row in regime}) == 1


def test_a_sample_is_spread_over_models(rows: list[FitRow]):
    few = sampled(rows, 5)
    assert len(few) == 5
    assert len({row.row["model"] for row in few}) > 1
    assert len(sampled(rows, 10_000)) == len(rows)


def test_the_file_reads_back():
    errors = [ErrorRow("TPOT under load", f"row-{n}", "g", "fit", 1.0 + n / 10, 1.0, n / 10) for n in range(5)]
    ignored = ErrorRow("prefill latency", "row", "g", "fit", 1.0, 1.0, 0.0)
    found = yaml.safe_load(text_of(results("device", "h100", [*errors, ignored]), date(2026, 11, 21)))
    assert found["rows"][0]["errors"] == [0.0, 10.0, 20.0, 30.0, 40.0]
    assert found["rows"][0]["worst"][0] == {"id": "row-4", "error": 40.0}


@pytest.mark.parametrize("kind", KINDS)
def test_the_stored_results_cover_what_was_measured(kind: str):
    key = {"device": "hardware", "model": "model"}[kind]
    measured = {row[key] for row in measurements.measured_rows("speed.yaml")}
    errors = left_out_errors(kind)
    names = {error.group for error in errors}
    assert names <= measured
    assert len(names) > 0.9 * len(measured)
    assert len(errors) > 1000
    assert document()["date"]


@pytest.mark.parametrize(("kind", "most"), [("device", 0.20), ("model", 0.15)])
def test_times_per_token_hold_on_what_was_never_seen(kind: str, most: float):
    errors = [error for error in left_out_errors(kind) if error.quantity in TPOT]
    assert summary(errors).median < most


def test_the_page_says_when_the_results_belong_to_earlier_curves(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("llmsizer.report.left_out.is_current", lambda: False)
    table = left_out_table("device")
    assert "earlier curves" in table.title
    assert table.rows[0][0] == "all"
    assert {row[0] for row in left_out_table("device", names=False).rows} == {"all", "middle device"}
    assert worst_left_out_table("model", 3).rows[0][0] in {row["model"] for row in measurements.measured_rows("speed.yaml")}
