"""Any text gives a reading, a diagnosis or an LlmsizerError: nothing else."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import llmsizer
from llmsizer.core.errors import LlmsizerError
from llmsizer.doctor import diagnose, parse_log, read_log
from llmsizer.doctor.text import LARGEST, readable

LOGS = {path.stem: path.read_text() for path in sorted((Path(__file__).parent / "logs").glob("*.log"))}
FRAGMENTS = [
    "Available KV cache memory: ", "GPU KV cache size: ", " tokens", "Model loading took ", " GiB", "# GPU blocks: ",
    "model='Qwen/Qwen3-8B', ", "max_num_seqs=", "tensor_parallel_size=", "kv_cache_dtype=", "quantization=",
    "LLM engine (v", ") with config: ", "0.11.0", "-1", "1e9", "999999999999999999999", "NaN", "\n", "'", ")", "}",
    "Load weight end. mem usage=", "KV Cache is allocated. #tokens: ", "server_args=ServerArgs(", "(Worker_TP0",
    "load_tensors: CUDA0 model buffer size = ", " MiB", "print_info: general.name     = ", "n_ctx = ",
    "offloaded 1/2 layers to GPU", "GPU 0: NVIDIA H100 PCIe", "speculative_config={", "\x1b[32m", "\r\n", "\x00",
    "max_seq_len=", "gpu_memory_utilization (", "é→",
]  # fmt: skip
LENIENT = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def read_and_diagnose(text: bytes | str, catalog: llmsizer.Catalog) -> None:
    message, told = "", []
    try:
        told = diagnose(parse_log(text), catalog, hardware="h100").to_dict()["rows"]
    except LlmsizerError as error:
        message = str(error)
    assert told or 0 < len(message) < 4000


@LENIENT
@given(text=st.text(max_size=400) | st.binary(max_size=400))
def test_random_text(catalog: llmsizer.Catalog, text: bytes | str) -> None:
    read_and_diagnose(text, catalog)


@LENIENT
@given(parts=st.lists(st.sampled_from(FRAGMENTS) | st.integers(-(10**20), 10**20).map(str) | st.floats().map(str), max_size=40))
def test_fragments_in_any_order(catalog: llmsizer.Catalog, parts: list[str]) -> None:
    read_and_diagnose("".join(parts), catalog)


@LENIENT
@given(data=st.data(), name=st.sampled_from(sorted(LOGS)))
def test_mutated_logs(catalog: llmsizer.Catalog, data: st.DataObject, name: str) -> None:
    text = LOGS[name]
    for _ in range(data.draw(st.integers(1, 6))):
        start = data.draw(st.integers(0, len(text)))
        end = min(len(text), start + data.draw(st.sampled_from([0, 1, 3, 20, 200])))
        with_what = data.draw(st.sampled_from([*FRAGMENTS, "", "0", "9", ".", ","]))
        text = text[:start] + with_what + text[end:]
    read_and_diagnose(text, catalog)


@LENIENT
@given(data=st.data(), name=st.sampled_from(sorted(LOGS)))
def test_other_numbers(catalog: llmsizer.Catalog, data: st.DataObject, name: str) -> None:
    """Every number of a log replaced, one at a time, by one beyond reason."""
    import re

    numbers = list(re.finditer(r"\d[\d.,]*", LOGS[name]))
    found = numbers[data.draw(st.integers(0, len(numbers) - 1))]
    other = data.draw(st.sampled_from(["0", "-1", "1", "0.0", "1e308", "9" * 30, "nan", "..", ",", "1.2.3"]))
    read_and_diagnose(LOGS[name][: found.start()] + other + LOGS[name][found.end() :], catalog)


@pytest.mark.parametrize("name", sorted(LOGS))
def test_prefixes_colours_and_line_ends_change_nothing(name: str) -> None:
    plain = parse_log(LOGS[name])
    assert parse_log(LOGS[name].replace("\n", "\r\n").encode()) == plain
    assert parse_log("".join(f"\x1b[32m{line}\x1b[0m\n" for line in LOGS[name].splitlines())) == plain
    assert parse_log(LOGS[name].encode("utf-16")) == plain
    assert parse_log("\ufeff".encode() + LOGS[name].encode()) == plain
    stamped = "".join(f"2026-11-20T08:00:01.123456Z stderr F {line}\n" for line in LOGS[name].splitlines())
    assert parse_log(stamped) == plain


@pytest.mark.parametrize(
    "text", ["", " ", "\n\n", "hello", "Traceback (most recent call last):", b"\xff\xfe\x00\x01", b"\x89PNG\r\n\x1a\n"]
)
def test_no_log(text: str | bytes) -> None:
    with pytest.raises(LlmsizerError, match=r"no start-up log of vLLM, SGLang or llama\.cpp recognised") as caught:
        parse_log(text)
    assert "Looked for" in str(caught.value)


def test_files(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none.log", "\0", "x" * 5000):
        with pytest.raises(LlmsizerError, match="cannot be read"):
            read_log(path)
    (tmp_path / "some.log").write_text(LOGS["vllm_v0"])
    assert read_log(str(tmp_path / "some.log")) == parse_log(LOGS["vllm_v0"])


def test_only_so_much_is_read(tmp_path: Path) -> None:
    assert len(readable("a" * (LARGEST + 5))) == LARGEST
    huge = tmp_path / "huge.log"
    with huge.open("w") as file:
        file.write(LOGS["vllm_v1_011"])
        file.write('(APIServer pid=71) INFO:     10.0.0.1:999 - "POST /v1/chat/completions HTTP/1.1" 200 OK\n' * 300_000)
    began = time.monotonic()
    assert read_log(huge).kv_tokens == 373984
    assert time.monotonic() - began < 10
