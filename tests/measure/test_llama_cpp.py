"""llama.cpp: its log's buffers, the models generated for it, and a stand-in for its programs."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from llmsizer.authoring.measure.llama_cpp import LlamaCppPlan, buffers, measure_llama_cpp
from llmsizer.authoring.measure.random_gguf import write_random_gguf
from llmsizer.catalog.catalog import Catalog
from llmsizer.catalog.model_files import model_from_path
from llmsizer.cli.main import run
from llmsizer.core.errors import UnsupportedCombination
from llmsizer.sizing.lowering import total_parameters
from llmsizer.validation.run_files import read_run
from llmsizer.validation.run_rows import run_errors

LOG = """load_tensors:          AMX model buffer size =   942.16 MiB
load_tensors:   CPU_Mapped model buffer size =   915.96 MiB
llama_context: n_ctx                 = 256
llama_kv_cache:        CPU KV buffer size =     3.00 MiB
sched_reserve:        CPU compute buffer size =     9.38 MiB
llama_context: n_ctx                 = 512
llama_kv_cache:        CPU KV buffer size =     6.00 MiB
sched_reserve:        CPU compute buffer size =     18.50 MiB
"""

BENCH = """#!/bin/sh
case "$*" in *"-n 0"*) cat {prompts}; cat {log} >&2;; *) cat {answers};; esac
"""


def test_the_buffers_of_the_last_context():
    found = buffers(LOG)
    assert found == {
        "weights_bytes": pytest.approx(1858.12 * 2**20),
        "kv_bytes": 6 * 2**20,
        "activation_bytes": 18.5 * 2**20,
        "length": 512,
    }
    assert buffers("") == {}


@pytest.mark.parametrize("name", ["tiny/grouped", "tiny/normed"])
def test_a_generated_file_is_the_model(name: str, nouns: Catalog, tmp_path: Path):
    pytest.importorskip("gguf", reason="writing GGUF files needs gguf")
    model = nouns.model(name)
    write_random_gguf(model, tmp_path / "random.gguf")
    found, scheme = model_from_path(tmp_path / "random.gguf")
    assert total_parameters(found) == total_parameters(model)
    assert scheme is not None
    assert (tmp_path / "random.gguf").stat().st_size > 2 * total_parameters(model)


def test_a_model_without_plain_names_is_refused(nouns: Catalog, tmp_path: Path):
    pytest.importorskip("gguf", reason="writing GGUF files needs gguf")
    with pytest.raises(UnsupportedCombination, match="no GGUF tensor"):
        write_random_gguf(nouns.model("tiny/windowed"), tmp_path / "random.gguf")


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A folder with programs that print what llama-bench would."""
    shared = {"model_size": 1000, "build_commit": "abc", "n_threads": 2}
    prompts = [{**shared, "n_prompt": 16, "n_gen": 0, "n_depth": 0, "samples_ns": [1e7, 2e7, 3e7]}]
    answers = [{**shared, "n_prompt": 0, "n_gen": 32, "n_depth": 511, "samples_ns": [3.2e8, 3.2e8]}]
    for name, content in (("prompts", json.dumps(prompts)), ("answers", json.dumps(answers)), ("log", LOG)):
        (tmp_path / name).write_text(content, encoding="utf-8")
    text = BENCH.format(prompts=tmp_path / "prompts", answers=tmp_path / "answers", log=tmp_path / "log")
    for name, script in (("llama-bench", text), ("llama-quantize", '#!/bin/sh\ncp "$1" "$2"\n')):
        (tmp_path / name).write_text(script, encoding="utf-8")
        os.chmod(tmp_path / name, 0o755)
    return tmp_path


def test_a_record_of_llama_cpp(programs: Path, nouns: Catalog, overlay: Path):
    pytest.importorskip("gguf", reason="writing GGUF files needs gguf")
    plan = LlamaCppPlan(folder=programs, models=("tiny/grouped",), schemes=("F16", "Q8_0"), hardware="test-cpu")
    record = measure_llama_cpp(plan, nouns, programs / "run.yaml")
    assert read_run(programs / "run.yaml") == record
    run_of_f16 = record["models"][0]
    assert run_of_f16["prefill"][0]["seconds"] == pytest.approx(0.02)
    assert run_of_f16["decode"][0]["seconds"] == pytest.approx(0.01)
    assert run_of_f16["decode"][0]["context"] == 511 + 16
    assert len(run_errors(record, nouns, "run")) == 2 * 5


def test_programs_that_are_not_there_are_told(
    nouns: Catalog, overlay: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    pytest.importorskip("gguf", reason="writing GGUF files needs gguf")
    asked = ["measure", "--llama-cpp", str(tmp_path), "-m", "tiny/grouped", "-q", "F16", "--catalog", str(overlay)]
    assert run(asked) == 0
    assert "cannot be run" in capsys.readouterr().out
    assert run(["measure", "--llama-cpp", str(tmp_path), "-m", "tiny/grouped"]) == 2
