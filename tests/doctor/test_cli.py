"""The command ``llmsizer doctor`` over the sample logs."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from llmsizer.cli.main import build_app, run

LOGS = Path(__file__).parent / "logs"
GIVEN = {"vllm_v1_011": ["-g", "h100"], "vllm_v1_too_long": ["-g", "h100"], "vllm_v1_taken": ["-g", "h100"]}
ALL = sorted(path.stem for path in LOGS.glob("*.log"))


@pytest.fixture(scope="module")
def app():
    return build_app(["doctor", "validate"])  # two, so that the name of the command is a word of the line


def asked(app, name, *more, columns="80"):
    line = ["doctor", str(LOGS / f"{name}.log"), *GIVEN.get(name, []), *more]
    return CliRunner(env={"COLUMNS": columns}).invoke(app, line)


@pytest.mark.parametrize("columns", ["80", "120"])
@pytest.mark.parametrize("name", ALL)
def test_table_fits_the_terminal(app, name, columns):
    answer = asked(app, name, columns=columns)
    if answer.exit_code:
        pytest.skip(f"needs more words: {answer.exception}")
    assert max(map(len, answer.output.splitlines())) <= int(columns)
    assert "Compared" in answer.output


def test_causes_stand_beneath_the_table(app):
    output = " ".join(asked(app, "vllm_v1_hybrid").output.split())
    assert "[1] activations and other overheads" in output
    assert "encodes the largest images" in output
    assert "4 of 7 figures differ" in output


def test_only_typed_words_win_over_the_log(app):
    told = json.loads(asked(app, "vllm_v1_hybrid", "--format", "json").output)
    assert (told["question"]["tensor_parallel_size"], told["origins"]["tensor_parallel_size"]) == (2, "log")
    assert "given" not in told["origins"].values()
    typed = json.loads(asked(app, "vllm_v1_hybrid", "--tp", "4", "--enforce-eager", "--format", "json").output)
    assert typed["question"]["tensor_parallel_size"] == 4
    assert typed["question"]["enforce_eager"] is True
    assert {name for name, origin in typed["origins"].items() if origin == "given"} == {"tensor_parallel_size", "enforce_eager"}


def test_flash_attention_can_be_denied(app):
    told = json.loads(asked(app, "llama_cpp_partial", "--no-flash-attention", "--format", "json").output)
    assert told["origins"]["flash_attention"] == "given"
    (buffer,) = (row for row in told["rows"] if row["figure"] == "compute_buffer")
    assert buffer["estimate"] > 0.5 * 2**30  # ten MiB with it


def test_csv_and_markdown(app):
    rows = list(csv.DictReader(io.StringIO(asked(app, "sglang_mla", "--format", "csv").output)))
    assert rows[0]["figure"] == "device_free"
    assert float(rows[0]["log"]) == pytest.approx(78.7 * 2**30, rel=1e-3)
    assert "| figure" in asked(app, "sglang_mla", "--format", "markdown").output


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (["doctor", "no-such.log"], "no-such.log: cannot be read"),
        (["doctor", str(LOGS / "vllm_v1_011.log")], "Add --gpu NAME"),
        (["doctor", str(LOGS / "vllm_v0.log"), "--format", "jsn"], "Did you mean: json"),
        (["doctor", str(LOGS / "vllm_v0.log"), "--tp", "two"], "expected a whole number"),
        (["doctor", __file__], "no start-up log of vLLM, SGLang or llama.cpp"),
    ],
)
def test_mistakes_are_worded(line, message, capsys):
    assert run(line) == 2
    assert message in capsys.readouterr().err
