"""Any words on the command line give an answer (0), a verdict (1) or a message (2): never a traceback."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmsizer.cli.options import QUESTION

# Typer keeps the first flag of an annotated option where a default would stand.
DECLARED = [(option.default, *option.param_decls) for _, _, option in QUESTION.values()]
FLAGS = sorted({flag for names in DECLARED for name in names for flag in str(name).split("/")})
GARBAGE = [
    "", " ", "0", "-1", "1", "1.5", "nan", "inf", "-inf", "1e9", "1e400", "9" * 30, "max", "auto", "none", "true", "²", "٣",
    "x", "=", "a=b", "/", "..", "~", "/dev/null", "/etc/passwd", "~nobody/x", "a/" + "b" * 5000, "\x00", "\n", "é", "💥",
    "'", "%s", "{}", "[]", "h100", "h100@1GiB", "m2-ultra@0GiB", "m2-ultra@-1GiB", "m2-ultra@1e300GiB", "m2-ultra@x",
    "vllm", "vllm@", "vllm@x", "vllm@0.8.5+v0", "vllm@0.8.5+v9", "vllm@9999", "fp8", "fp8/fp8/fp8", "q8_0/", "/q8_0",
    "Q4_K_M", "awq", "draft", "draft:", "draft:x", "draft:llama-3.2-1b:5", "draft:llama-3.2-1b:²", "ngram:²", "ngram:-1",
    "ngram:0", "ngram:99999999999", "mtp", "eagle:3", "4x16", "0x0", "²x²", "4x", "weights=0.3", "weights=2", "weights=x",
    "weights", "gpu_layers=10", "gpu_layers=-1", "kv_cache=1", "static", "dynamic", "ideal", "2.50 USD/h", "-1 USD/h",
    "0 USD/h", "owned", "2026-01-01", "2026-13-45", "400 g/kWh", "llama-3.1-8b", "mamba-2.8b", "bge-large-en-v1.5",
    "whisper-large-v3", "gemma-3n-E4B", "1024", "131072", "0.5", "0.0",
]  # fmt: skip
USUAL = ["-m", "llama-3.1-8b", "-g", "h100"]
Call = Callable[..., Any]


def check(outcome: Any) -> None:
    assert outcome.code in {0, 1, 2}
    assert "Traceback" not in outcome.err
    if outcome.code == 2:
        assert outcome.err.strip(), "no message"
        assert len(outcome.err) < 8000
    else:
        assert outcome.out.strip(), "no answer"


@settings(max_examples=150)
@given(st.lists(st.tuples(st.sampled_from(FLAGS), st.sampled_from(GARBAGE)), min_size=1, max_size=4), st.booleans())
def test_flags_with_any_value(told: Call, pairs: list[tuple[str, str]], usual: bool):
    check(told("estimate", *(USUAL if usual else []), *(word for pair in pairs for word in pair)))


@settings(max_examples=100)
@given(
    st.lists(
        st.sampled_from([*GARBAGE, *FLAGS, "--", "-", "--help", "--explain", "--format", "estimate", "models"])
        | st.text(max_size=8),
        max_size=6,
    )
)
def test_words_in_any_order(told: Call, words: list[str]):
    outcome = told(*words)
    assert outcome.code in {0, 1, 2}
    assert "Traceback" not in outcome.err


@settings(max_examples=40)
@given(
    st.text(max_size=30),
    st.sampled_from(
        ["-m", "-g", "-q", "-e", "--kv-cache-dtype", "--explain", "--format", "--catalog", "--price", "--speculative"]
    ),
)
def test_one_flag_with_any_text(told: Call, text: str, flag: str):
    outcome = told("estimate", *USUAL, flag, text)
    assert outcome.code in {0, 1, 2}
    assert "Traceback" not in outcome.err


@pytest.mark.parametrize("value", GARBAGE, ids=lambda text: repr(text)[:24])
def test_every_flag_with_each_value(told: Call, value: str):
    for flag in FLAGS:
        check(told("estimate", *USUAL, flag, value))


@pytest.mark.parametrize(
    "model", ["mamba-2.8b", "bge-large-en-v1.5", "whisper-large-v3", "gemma-3n-E4B", "gpt2", "llama-3.2-11b-vision"]
)
@pytest.mark.parametrize(
    "engine",
    ["vllm", "vllm@0.8.5+v0", "sglang", "tgi", "tensorrt-llm", "llama.cpp", "transformers", "torch", "onnxruntime-genai"],
)
def test_unusual_models_on_every_engine(told: Call, model: str, engine: str):
    check(told("estimate", "-m", model, "-g", "h100", "-e", engine))
    check(told("memory", "-m", model, "-g", "h100", "-e", engine))
    check(told("estimate", "-m", model, "-g", "h100", "-e", engine, "--enforce-eager", "-c", "max", "--format", "json"))


@pytest.mark.parametrize("command", ["memory", "roofline", "explain"])
@pytest.mark.parametrize("value", GARBAGE[::3], ids=lambda text: repr(text)[:24])
def test_other_commands(told: Call, command: str, value: str):
    check(told(command, "-m", value, "-g", "h100"))
    check(told(command, "-m", "llama-3.1-8b", "-g", value))


@pytest.mark.parametrize("section", ["models", "hardware"])
@pytest.mark.parametrize("value", GARBAGE[::2], ids=lambda text: repr(text)[:24])
def test_looking_up_anything(told: Call, section: str, value: str):
    check(told(section, "show", value))
    check(told(section, "search", value))
