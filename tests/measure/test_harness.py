"""The measuring harness on this machine's processor, with models that a test can run.

Skipped where torch is not installed.
"""

from __future__ import annotations

from pathlib import Path
from statistics import median
from typing import Any

import pytest
from synthetic import DEVICE, TINY

from llmsizer.catalog.catalog import Catalog
from llmsizer.cli.main import run
from llmsizer.core.errors import CatalogError, InvalidQuestion, LlmsizerError, UnsupportedCombination
from llmsizer.validation.run_files import read_run, write_run
from llmsizer.validation.run_rows import run_errors

torch = pytest.importorskip("torch", reason="measuring needs torch, which is not installed")
pytestmark = pytest.mark.measured

from llmsizer.authoring.measure.activation_peak import activation_peak  # noqa: E402
from llmsizer.authoring.measure.all_reduce import all_reduce_rows  # noqa: E402
from llmsizer.authoring.measure.ceilings import Grid, ceiling_rows  # noqa: E402
from llmsizer.authoring.measure.decoder import Decoder  # noqa: E402
from llmsizer.authoring.measure.model_runs import Loads, layers_that_fit, model_run  # noqa: E402
from llmsizer.authoring.measure.session import Plan, measure, plan_of_file, standard_suite  # noqa: E402
from llmsizer.authoring.measure.timing import Deadline, Patience, timed  # noqa: E402
from llmsizer.authoring.measure.torch_device import TorchDevice, open_device  # noqa: E402

QUICK = Patience(repeats=3, seconds=0.2)
LOADS = Loads(batches=(1, 2), lengths=(4, 24), contexts=(4, 24))
# Half of the times come within this factor of the estimate once the engine's figures are fitted to the same run: a few
# figures stand for 12 times, and other work on the machine can double any of them.
FACTOR = 2.0


@pytest.fixture(scope="module")
def device() -> TorchDevice:
    return open_device("cpu")


@pytest.mark.parametrize("name", TINY)
def test_a_step_of_decoding_continues_what_a_prompt_began(name: str, device: TorchDevice, nouns: Catalog):
    """The cache holds what it should: one more token decoded is one more token in the prompt."""
    decoder = Decoder(device, nouns.model(name), "fp32")
    tokens = torch.randint(0, 320, (2, 21))
    cache = decoder.new_cache(2, 24)
    decoder.prefill(tokens[:, :20], cache)
    stepped = decoder.decode(tokens[:, 20:], cache, 21)
    at_once = decoder.prefill(tokens, decoder.new_cache(2, 24))
    assert torch.allclose(stepped, at_once, atol=1e-3)


@pytest.mark.parametrize("name", TINY)
def test_bytes_are_exact(name: str, device: TorchDevice, nouns: Catalog):
    model = nouns.model(name)
    found = model_run(device, model, int(model.num_hidden_layers), "bf16", LOADS, QUICK, Deadline(60))
    assert not found["skipped"]
    assert len(found["prefill"]) == len(found["decode"]) == 4
    record = {"engine": "torch", "engine_version": None, "hardware": DEVICE, "environment": {}, "models": [found]}
    errors = run_errors(record, nouns, "run")
    exact = [error for error in errors if error.quantity in ("measured weights", "measured KV cache")]
    assert len(exact) >= 3
    assert all(error.error == 0 for error in exact)


def test_reading_beyond_what_was_written_is_noticed(device: TorchDevice, nouns: Catalog):
    decoder = Decoder(device, nouns.model("tiny/grouped"), "fp32")
    cache, tokens = decoder.new_cache(1, 16), torch.zeros((1, 1), dtype=torch.long)
    decoder.fill(cache, 8)
    assert decoder.decode(tokens, cache, 8).isfinite().all()
    assert not decoder.decode(tokens, cache, 12).isfinite().all()


def test_the_peak_of_activations_counts_what_is_alive(device: TorchDevice):
    kept = torch.ones(1000)

    def work() -> Any:
        for _ in range(5):
            larger = kept * 2.0
        return larger + kept

    assert activation_peak(device, work) == pytest.approx(2 * 4000, abs=4000)


def test_times_come_near_after_fitting(device: TorchDevice, nouns: Catalog, overlay: Path, tmp_path: Path):
    pytest.importorskip("scipy", reason="fitting needs scipy")
    loads = Loads(batches=(1, 4), lengths=(32, 128, 256), contexts=(32, 128, 256))
    plan = Plan(models=("tiny/wide",), loads=loads, patience=QUICK, hardware=DEVICE)
    record = measure(device, plan, nouns, tmp_path / "run.yaml")
    assert not record["errors"]
    assert run(["fit", str(tmp_path / "run.yaml"), "-o", str(tmp_path / "mine.yaml"), "--catalog", str(overlay)]) == 0
    errors = run_errors(record, nouns, "run", str(tmp_path / "mine.yaml"))
    times = [error for error in errors if error.inside is not None]
    assert len(times) == 12
    assert median(max(error.estimate / error.measured, error.measured / error.estimate) for error in times) < FACTOR


def test_ceilings_of_every_kind(device: TorchDevice):
    grid = Grid(copies=(1 << 12,), dtypes=("bf16", "fp32"), rows=(1, 4), products=((64, 32),), heads=((4, 2, 16),),
                prefills=((1, 8),), decodes=((1, 8),))  # fmt: skip
    rows = list(ceiling_rows(device, grid, QUICK, Deadline(60)))
    assert [row["kind"] for row in rows] == ["launch", "copy", *["matmul"] * 4, "attention_prefill", "attention_decode"]
    assert all(0 < row["least"] <= row["seconds"] <= row["high"] * 1.0001 for row in rows)
    assert list(ceiling_rows(device, grid, QUICK, Deadline(-1))) == []


def test_sums_over_processes(device: TorchDevice):
    rows = all_reduce_rows(device, 2, Patience(repeats=2), sizes=(64, 1024))
    assert [row["bytes"] for row in rows] == [64, 1024]
    assert all(row["seconds"] > 0 for row in rows)


def test_a_part_that_fails_does_not_stop_the_others(device: TorchDevice, nouns: Catalog, monkeypatch: pytest.MonkeyPatch):
    from llmsizer.authoring.measure import session

    real = session.model_run

    def failing(device: Any, model: Any, *rest: Any) -> Any:
        if model.id == "tiny/grouped":
            raise RuntimeError("CUDA out of memory")
        return real(device, model, *rest)

    monkeypatch.setattr(session, "model_run", failing)
    loads = Loads((1,), (4,), (4,))
    record = measure(device, Plan(models=("tiny/grouped", "tiny/normed"), layers=1, loads=loads, patience=QUICK), nouns)
    assert [each["part"] for each in record["errors"]] == ["tiny/grouped"]
    assert [each["model"] for each in record["models"]] == ["tiny/normed"]
    assert record["models"][0]["note"].startswith("the first 1 of 2 layers")


def test_what_there_is_no_time_or_room_for_is_told(device: TorchDevice, nouns: Catalog):
    model = nouns.model("tiny/grouped")
    late = model_run(device, model, 3, "bf16", LOADS, QUICK, Deadline(-1))
    assert late["decode"] == late["prefill"] == []
    assert {each["why"] for each in late["skipped"]} == {"no time left"}
    large = model_run(device, model, 1, "bf16", Loads((1,), (1,), (2**30,)), QUICK, Deadline(60))
    assert "does not fit" in large["skipped"][0]["why"]


def test_models_deeper_than_the_memory_are_cut(device: TorchDevice, nouns: Catalog):
    assert layers_that_fit(device, nouns.model("tiny/grouped"), "bf16") == 3
    assert 0 <= layers_that_fit(device, nouns.model("deepseek-v3"), "bf16") < 61


def test_models_without_kernels_are_refused(device: TorchDevice, nouns: Catalog):
    for name, lacking in (("gpt-oss-20b", "sinks"), ("mistralai/Mamba-Codestral-7B-v0.1", "mamba2")):
        if nouns.model_id(name) is not None:
            with pytest.raises(UnsupportedCombination, match=lacking):
                Decoder(device, nouns.model(name), "bf16")


def test_short_work_is_timed_in_batches(device: TorchDevice):
    calls = []
    found = timed(device, lambda: calls.append(1), QUICK)
    assert found.repeats == 3
    assert len(calls) > 100
    assert found.median < 1e-4


def test_the_standard_suite_names_models_of_the_catalog(nouns: Catalog):
    suite = plan_of_file(standard_suite())
    models = [nouns.model(name) for name in suite["models"]]
    assert len(models) >= 8
    from llmsizer.authoring.measure.decoder import check_measurable
    from llmsizer.validation.run_files import measured_part

    for model in models:
        check_measurable(measured_part(model, int(model.num_hidden_layers)))


def test_a_suite_with_a_mistake_is_refused(tmp_path: Path):
    for text, told in (("models: []", "expected a mapping"), ("models: [a]\nbatch: [1]", "batch: is not known"),
                       ("models: [a]\nbatches: [x]", "whole numbers")):  # fmt: skip
        (tmp_path / "suite.yaml").write_text(text, encoding="utf-8")
        with pytest.raises(CatalogError, match=told):
            plan_of_file(tmp_path / "suite.yaml")


def test_the_command_measures_and_compares(overlay: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    shared = ["measure", "--device", "cpu", "--no-ceilings", "--catalog", str(overlay), "--repeats", "2", "--minutes", "1"]
    loads = ["--batches", "1", "--lengths", "4", "--contexts", "4", "--layers", "1"]
    out = tmp_path / "run.yaml"
    assert run([*shared, *loads, "-m", "tiny/grouped", "-g", DEVICE, "-o", str(out)]) == 0
    told = capsys.readouterr().out
    assert "Estimate beside measurement" in told
    assert "first 1 of 3 layers" in told
    assert read_run(out)["models"][0]["layers"] == 1
    assert run([*shared, *loads, "-m", "tiny/grouped"]) == 0
    assert "no estimate beside it" in capsys.readouterr().out
    assert run(shared) == 2
    assert run([*shared, "-m", "tiny/grouped", "--dtype", "fp7"]) == 2


def test_devices_that_are_not_there_are_told():
    with pytest.raises(InvalidQuestion, match="not known"):
        open_device("tpu")
    if not torch.cuda.is_available():
        with pytest.raises(InvalidQuestion, match="no CUDA device"):
            open_device("cuda")


def test_a_record_that_cannot_be_written_is_told(tmp_path: Path):
    with pytest.raises(LlmsizerError, match="cannot be written"):
        write_run(tmp_path / "missing" / "run.yaml", {})
