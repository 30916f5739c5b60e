"""What commands print: the same numbers in every format, verdicts as exit codes, messages that help."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import llmsizer
from llmsizer.cli.main import COMMANDS

Call = Callable[..., Any]
USUAL = ("-m", "llama-3.1-8b", "-g", "h100")


def test_the_bare_question_answers_on_one_screen(told: Call):
    outcome = told("estimate", *USUAL)
    assert outcome.code == 0
    assert outcome.err == ""
    lines = outcome.out.splitlines()
    assert len(lines) <= 40
    assert max(len(line) for line in lines) <= 100
    for word in ("weights", "KV", "first token", "tokens/s", "Trust"):
        assert word in outcome.out, word


def test_json_is_the_python_answer(told: Call):
    outcome = told("estimate", *USUAL, "--format", "json")
    assert json.loads(outcome.out) == json.loads(json.dumps(llmsizer.estimate("llama-3.1-8b", "h100").to_dict()))


def test_flags_reach_the_question(told: Call):
    outcome = told(
        "estimate",
        "-m",
        "llama-3.1-70b",
        "-g",
        "h200",
        "--tp",
        "4",
        "--pp",
        "2",
        "-q",
        "fp8",
        "--kv-cache-dtype",
        "fp8",
        "-e",
        "vllm@0.10.0",
        "--max-model-len",
        "8192",
        "--max-num-seqs",
        "64",
        "--max-num-batched-tokens",
        "4096",
        "--gpu-memory-utilization",
        "0.8",
        "--block-size",
        "32",
        "--enforce-eager",
        "--isl",
        "2000",
        "--osl",
        "500",
        "-c",
        "16",
        "-f",
        "json",
    )
    question = json.loads(outcome.out)["question"]
    expected = {
        "tensor_parallel_size": 4, "pipeline_parallel_size": 2, "quantization": "fp8", "kv_cache_dtype": "fp8",
        "engine": "vllm",
        "max_model_len": 8192, "max_num_seqs": 64, "max_num_batched_tokens": 4096, "gpu_memory_utilization": 0.8,
        "block_size": 32, "enforce_eager": True, "input_tokens": 2000, "output_tokens": 500, "concurrency": 16, "devices": 8,
    }  # fmt: skip
    assert {key: question[key] for key in expected} == expected
    assert question["engine_version"].startswith("0.10.0")


def test_csv_holds_every_number(told: Call):
    outcome = told("estimate", *USUAL, "-f", "csv")
    rows = {row["key"]: row["value"] for row in csv.DictReader(io.StringIO(outcome.out))}
    assert float(rows["memory.kv_bytes_per_token_per_gpu"]) == 131072
    assert rows["fits"].lower() == "true"
    assert float(rows["latency.tpot_seconds"]) > 0


def test_markdown_is_a_table(told: Call):
    outcome = told("estimate", *USUAL, "-f", "markdown")
    assert outcome.out.startswith("## ")
    assert "|--" in outcome.out.replace(":", "-")


@pytest.mark.parametrize("command", ["memory", "roofline"])
@pytest.mark.parametrize("form", ["table", "json", "csv", "markdown"])
def test_other_commands_in_every_format(told: Call, command: str, form: str):
    outcome = told(command, *USUAL, "--format", form)
    assert outcome.code == 0
    assert outcome.out.strip()
    if form == "json":
        json.loads(outcome.out)
    if form == "csv":
        assert len({len(row) for row in csv.reader(io.StringIO(outcome.out))}) >= 1


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (USUAL, 0),
        (("-m", "llama-3.1-405b", "-g", "t4"), 1),
        (("-m", "llama-3.1-8b", "-g", "h100", "--tp", "3"), 2),
        (("-m", "lama-3.1-8b", "-g", "h100"), 2),
        (("-m", "llama-3.1-8b"), 2),
        (("--nothing",), 2),
        ((), 2),
    ],
)
def test_exit_codes(told: Call, arguments: tuple[str, ...], code: int):
    assert told("estimate", *arguments).code == code


def test_what_does_not_fit_gets_a_reason_and_a_way_out(told: Call):
    outcome = told("estimate", "-m", "llama-3.1-70b", "-g", "h100")
    assert outcome.code == 1
    assert "weights need" in outcome.out
    assert "-q fp8" in outcome.out or "--tp" in outcome.out
    data = json.loads(told("estimate", "-m", "llama-3.1-70b", "-g", "h100", "-f", "json").out)
    assert data["fits"] is False
    assert data["reasons"]
    assert data["suggestions"]
    assert data["throughput"] == {}


def test_suggested_flags_work(told: Call):
    data = json.loads(told("estimate", "-m", "llama-3.1-70b", "-g", "h100", "-f", "json").out)
    for suggestion in data["suggestions"]:
        flag = next(value for value in suggestion.values() if str(value).startswith("-"))
        words = flag.split()
        base = [] if "-g" in words else ["-g", "h100"]
        assert told("estimate", "-m", "llama-3.1-70b", *base, *words).code == 0, flag


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("-m", "lama-3.1-8b", "-g", "h100"), "Did you mean"),
        (("-m", "llama-3.1-8b", "-g", "h1000"), "Did you mean"),
        ((*USUAL, "-q", "Q4_K_N"), "Did you mean"),
        ((*USUAL, "-e", "vlm"), "Did you mean"),
        ((*USUAL, "--format", "jason"), "Did you mean: json"),
        ((*USUAL, "--explain", "memory.per_gpu.weight_bytes"), "memory.per_gpu.weights_bytes"),
        ((*USUAL, "--tp", "3"), "allows: 1, 2, 4, 8"),
        ((*USUAL, "--tp", "x"), "--tensor-parallel-size: expected a whole number"),
        ((*USUAL, "--max-model-len", "200000"), "131,072"),
        ((*USUAL, "--input-tokens", "0"), "--input-tokens"),
        ((*USUAL, "--gpu-memory-utilization", "1.5"), "--gpu-memory-utilization"),
        ((*USUAL, "--kv-cache-dtype", "q4_0"), "q4_0"),
        ((*USUAL, "--enable-expert-parallel"), "has no experts"),
        ((*USUAL, "--batching", "contiguous"), "--batching"),
        ((*USUAL, "-q", "Q4_K_M", "-e", "torch"), "does not load"),
        ((*USUAL, "--catalog", "/nowhere.yaml"), "no such file or folder"),
    ],
)
def test_messages_help(told: Call, arguments: tuple[str, ...], message: str):
    outcome = told("estimate", *arguments)
    assert outcome.code == 2
    assert outcome.out == ""
    assert message in outcome.err


def test_explain_derives_a_number(told: Call):
    for arguments in (("estimate", *USUAL, "--explain"), ("explain", *USUAL, "--path")):
        outcome = told(*arguments, "memory.per_gpu.kv_cache_bytes")
        assert outcome.code == 0
        assert outcome.out.startswith("kv_cache_bytes = ")
        assert "Facts:" in outcome.out


def test_explain_lists_every_number_that_it_derives(told: Call):
    listed = [line.split(" = ")[0] for line in told("explain", *USUAL).out.splitlines()]
    assert "memory.per_gpu.weights_bytes" in listed
    assert "latency.tpot_seconds" in listed
    for path in listed[::4]:
        assert told("explain", *USUAL, "--path", path).code == 0, path


@pytest.mark.parametrize("section", ["models", "hardware"])
def test_lists_and_searches(told: Call, section: str, catalog: llmsizer.Catalog):
    names = catalog.names("models" if section == "models" else "accelerators")
    rows = json.loads(told(section, "list", "-f", "json").out)
    assert [next(iter(row.values())) for row in rows] == names
    assert len(list(csv.reader(io.StringIO(told(section, "list", "-f", "csv").out)))) == len(names) + 1
    found = told(section, "search", "llama-3.1" if section == "models" else "h100")
    assert found.code == 0
    assert 2 <= len(found.out.splitlines()) < 40
    assert told(section, "search", "zzzzzz").code == 1


@pytest.mark.parametrize(
    ("section", "name", "words"),
    [
        ("models", "llama-3.1-8b", ["8,030,261,248", "128 KiB/token", "16.06", "num_hidden_layers", "Sources"]),
        ("hardware", "h100", ["989.4", "3.35 TB/s", "Sources", "ridge"]),
    ],
)
def test_one_entry_with_its_sources(told: Call, section: str, name: str, words: list[str]):
    outcome = told(section, "show", name)
    assert outcome.code == 0
    for word in words:
        assert word.lower() in outcome.out.lower(), word
    for form in ("json", "csv", "markdown"):
        assert told(section, "show", name, "-f", form).code == 0


def test_every_model_and_device_can_be_shown(told: Call, catalog: llmsizer.Catalog):
    for name in [*catalog.names("models")[::9], "google/gemma-3n-E4B", "BAAI/bge-large-en-v1.5", "openai/whisper-large-v3"]:
        assert told("models", "show", name).code == 0, name
    for name in catalog.names("accelerators")[::9]:
        assert told("hardware", "show", name).code == 0, name


def test_validate_prints_errors_of_every_quantity(told: Call):
    outcome = told("validate", "--worst", "1")
    assert outcome.code == 0
    for word in ("weights per GPU", "KV pool"):
        assert word in outcome.out


def test_an_overlay_on_the_command_line(told: Call, tmp_path: Path):
    path = tmp_path / "mine.yaml"
    path.write_text("accelerators: {h100-sxm5-80gb: {usable_memory: 40 GiB}}\n")
    data = json.loads(told("estimate", *USUAL, "--catalog", str(path), "-f", "json").out)
    assert data["memory"]["per_gpu"]["capacity_bytes"] == 40 * 2**30
    path.write_text("accelerators:\n  h100-sxm5-80gb:\n    memory_bandwidth: 3.35e12\n")
    outcome = told("estimate", *USUAL, "--catalog", str(path))
    assert outcome.code == 2
    assert f"{path}:3: accelerators.h100-sxm5-80gb.memory_bandwidth" in outcome.err
    assert "3.35 TB/s" in outcome.err


def test_version(told: Call):
    outcome = told("--version")
    assert outcome.code == 0
    assert outcome.out.startswith(f"llmsizer {llmsizer.__version__}")


def test_no_words_print_help(told: Call):
    outcome = told()
    assert "Usage: llmsizer" in outcome.out + outcome.err
    assert all(name in outcome.out + outcome.err for name in COMMANDS)


def test_an_unknown_command(told: Call):
    outcome = told("estimat")
    assert outcome.code == 2
    assert "estimat" in outcome.err


def test_the_module_runs_and_a_closed_pipe_is_no_error():
    command = [sys.executable, "-m", "llmsizer", "models", "list"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(10)
        process.stdout.close()
        assert b"Traceback" not in process.stderr.read()
