"""Local calibration: kernels and figures that made a record are found again, and used."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import yaml
from synthetic import DECODE, DEVICE, MATMUL, PREFILL, ceilings, empty_record, model_rows, timed

import llmsizer
from llmsizer.authoring.local_fit.calibrate import calibrate, calibration_text
from llmsizer.authoring.local_fit.kernels import kernel_curves
from llmsizer.catalog.catalog import Catalog
from llmsizer.cli.main import run
from llmsizer.core.errors import CatalogError, InvalidQuestion
from llmsizer.validation.run_files import write_run
from llmsizer.validation.run_rows import run_errors

pytest.importorskip("scipy", reason="fitting needs scipy")


@pytest.fixture(scope="module")
def record(nouns: Catalog) -> dict[str, Any]:
    """A machine three times slower than the built-in curves say."""
    return empty_record(models=[model_rows(nouns, name, slower=3.0) for name in ("tiny/wide", "tiny/normed")])


@pytest.fixture(scope="module")
def fitted(record: dict[str, Any], overlay: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fit")
    write_run(folder / "run.yaml", record)
    assert run(["fit", str(folder / "run.yaml"), "-o", str(folder / "mine.yaml"), "--catalog", str(overlay)]) == 0
    return folder / "mine.yaml"


def test_the_curves_of_the_kernels_are_found(nouns: Catalog):
    curves = {curve["family"]: curve for curve in kernel_curves(ceilings(nouns), nouns.accelerator(DEVICE))}
    assert set(curves) == {"matmul", "attention_prefill", "attention_decode", "pointwise"}
    for family, made in (("matmul", MATMUL), ("attention_prefill", PREFILL), ("attention_decode", DECODE)):
        assert curves[family]["error"]["p90"] < 0.02
        assert curves[family]["parameters"]["launch_seconds"] == pytest.approx(made["launch_seconds"], rel=0.2)
    assert curves["pointwise"]["parameters"]["memory_fraction"] == pytest.approx(0.9, rel=0.01)


def test_few_shapes_make_no_curve(nouns: Catalog):
    assert (
        kernel_curves(
            [timed({"kind": "matmul", "dtype": "bf16", "m": 1, "n": 64, "k": 64}, 1e-5)] * 3, nouns.accelerator(DEVICE)
        )
        == []
    )


def test_a_slower_machine_is_learnt(record: dict[str, Any], fitted: Path, nouns: Catalog):
    before, after = (run_errors(record, nouns, "run", name) for name in ("auto", str(fitted)))
    times = [row for row in after if row.inside is not None]
    assert all(row.error == pytest.approx(-2 / 3) for row in before if row.inside is not None)
    assert max(abs(row.error) for row in times) < 0.15
    assert sum(bool(row.inside) for row in times) >= 0.7 * len(times)


def test_a_model_that_took_no_part_is_nearer_too(fitted: Path, nouns: Catalog):
    other = empty_record(models=[model_rows(nouns, "tiny/grouped", slower=3.0)])
    before, after = (
        [abs(math.log(row.estimate / row.measured)) for row in run_errors(other, nouns, "run", name) if row.inside is not None]
        for name in ("auto", str(fitted))
    )
    assert sum(after) < 0.5 * sum(before)


def test_a_calibration_says_where_it_comes_from(fitted: Path, nouns: Catalog):
    estimate = llmsizer.estimate("tiny/wide", DEVICE, engine="torch", calibration=str(fitted), input_tokens=64, output_tokens=8,
                                 catalog=nouns)  # fmt: skip
    told = estimate.explain("latency.tpot_seconds")
    assert "fitted to measurements of this machine" in told
    other = llmsizer.estimate("llama-3.1-8b", "h100", calibration=str(fitted))
    assert other.latency.tpot_seconds == llmsizer.estimate("llama-3.1-8b", "h100").latency.tpot_seconds


def test_benchmark_files_set_engine_figures(tmp_path: Path, catalog: Catalog):
    paths = []
    for place, (inputs, outputs, concurrency) in enumerate(((512, 128, 4), (1024, 256, 16), (2048, 64, 8))):
        answer = llmsizer.estimate("llama-3.1-8b", "h100", input_tokens=inputs, output_tokens=outputs, concurrency=concurrency)
        count = 10 * concurrency
        found = {
            "date": "20261121-000000", "endpoint_type": "vllm", "backend": "vllm", "model_id": "meta-llama/Llama-3.1-8B",
            "num_prompts": count, "request_rate": "inf", "max_concurrency": concurrency, "completed": count,
            "total_input_tokens": count * inputs, "total_output_tokens": count * outputs, "duration": 60.0,
            "request_throughput": 1.0, "output_throughput": 100.0, "mean_ttft_ms": 2e3 * answer.latency.ttft_seconds,
            "mean_tpot_ms": 2e3 * answer.latency.tpot_seconds,
        }  # fmt: skip
        paths.append(tmp_path / f"bench{place}.json")
        paths[-1].write_text(json.dumps(found), encoding="utf-8")
    found = calibrate(paths, {"hardware": "h100", "engine": "vllm"}, catalog)
    middle = sorted(abs(log) for log in found.after)[len(found.after) // 2]
    assert middle < 0.5 * sorted(abs(log) for log in found.before)[len(found.before) // 2]
    assert found.document["engines"][0]["engine"] == "vllm"
    assert yaml.safe_load(calibration_text(found.document))["calibration"]


def test_nothing_to_fit_is_told(tmp_path: Path, nouns: Catalog):
    write_run(tmp_path / "run.yaml", empty_record())
    with pytest.raises(InvalidQuestion, match="nothing to fit"):
        calibrate([tmp_path / "run.yaml"], {}, nouns)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: 1", "not a calibration"),
        ("HEAD\ncurvs: []", "curvs: is not known"),
        ("HEAD\ncurves: {}", "curves: expected a list"),
        ("HEAD\ncurves: [{device: x}]", r"curves\[0\]: has no family"),
        ("HEAD\ncurves: [{device: x, family: matmull, format: bf16, parameters: {}}]", "family: is not known"),
        ("HEAD\ncurves: [{POINTWISE, parameters: {launch_seconds: 1}}]", "parameters: expected these"),
        ("HEAD\ncurves: [{POINTWISE, parameters: {launch_seconds: 1, memory_fraction: 2}}]", "a number from 0 to 1"),
        ("HEAD\nengines: [{device: x, engine: vllm, layer_seconds: fast}]", "layer_seconds: expected a number"),
        ("HEAD\nspread: [{device: x, engine: vllm, quantity: tpot, low: 1, high: 2}]", "low ≤ 0 ≤ high"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_calibration_is_told(tmp_path: Path, text: str, told: str):
    path = tmp_path / "mine.yaml"
    text = text.replace("HEAD", "calibration: llmsizer calibration")
    path.write_text(text.replace("POINTWISE", "device: x, family: pointwise, format: bf16"), encoding="utf-8")
    with pytest.raises(CatalogError, match=told):
        llmsizer.estimate("llama-3.1-8b", "h100", calibration=str(path))


def test_a_calibration_that_is_not_there_is_told():
    with pytest.raises(CatalogError, match="cannot be read"):
        llmsizer.estimate("llama-3.1-8b", "h100", calibration="missing.yaml")


def test_validate_shows_before_and_after(
    record: dict[str, Any],
    fitted: Path,
    overlay: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setenv("COLUMNS", "120")
    write_run(tmp_path / "run.yaml", record)
    assert run(["validate", str(tmp_path / "run.yaml"), "--calibration", str(fitted), "--catalog", str(overlay)]) == 0
    told = capsys.readouterr().out
    assert "before: median" in told
    assert "measured decode, torch" in told
    assert run(["validate", "--calibration", str(fitted)]) == 2
