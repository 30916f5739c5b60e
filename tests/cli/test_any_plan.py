"""Any words of `llmsizer plan` give a plan (0), a verdict (1) or a message (2): never a traceback."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmsizer.cli.plan import CHOICES, WORDS

DECLARED = [(option.default, *option.param_decls) for _, _, option in [*CHOICES.values(), *WORDS.values()]]
FLAGS = sorted({flag for names in DECLARED for name in names for flag in str(name).split("/")})
GARBAGE = [
    "", " ", "0", "-1", "1", "3", "1.5", "nan", "inf", "1e400", "9" * 30, "max", "auto", "any", "²", "x", ",", "a,b", "h100,",
    "h100,h100", "h100,x", "\x00", "💥", "nvidia", "NVIDIA,AMD", "vllm,sglang", "vllm@9", "fp8,awq", "fp9", "Q4_K_M", "500ms",
    "-5 s", "0 s", "1e-30 s", "interactive", "p50", "p51", "lambda", "spot", "spot,reserved", "us-east-1", "50 USD/h", "10 kW",
    "5 GB", "0.5", "owned", "2.50 USD/h", "0 USD/h", "static", "ideal", "llama-3.1-8b", "bge-large-en-v1.5", "whisper-large-v3",
    "mamba-2.8b", "2026-01-01",
]  # fmt: skip
USUAL = ["-m", "llama-3.1-8b", "-g", "l40s,h100", "--rate", "3", "--no-simulate", "--picks", "1"]
Call = Callable[..., Any]


def check(outcome: Any) -> None:
    assert outcome.code in {0, 1, 2}
    assert "Traceback" not in outcome.err
    assert (outcome.err if outcome.code == 2 else outcome.out).strip()


@pytest.mark.parametrize("value", GARBAGE, ids=lambda text: repr(text)[:24])
def test_many_flags_with_each_value(told: Call, value: str) -> None:
    for flag in FLAGS[GARBAGE.index(value) % 4 :: 4]:
        check(told("plan", *USUAL, flag, value))


@settings(max_examples=60)
@given(st.lists(st.tuples(st.sampled_from(FLAGS), st.sampled_from(GARBAGE)), min_size=1, max_size=4), st.booleans())
def test_flags_with_any_value(told: Call, pairs: list[tuple[str, str]], usual: bool) -> None:
    check(told("plan", *(USUAL if usual else ["--no-simulate"]), *(word for pair in pairs for word in pair)))


@pytest.mark.parametrize("form", ["table", "json", "csv", "markdown"])
def test_every_format_answers(told: Call, form: str) -> None:
    check(told("plan", *USUAL, "--ttft", "500ms", "--format", form))
    check(told("plan", *USUAL, "--tpot", "1us", "--format", form))


def test_nothing_meets_the_targets_is_a_verdict(told: Call) -> None:
    outcome = told("plan", *USUAL, "--tpot", "1ms")
    assert outcome.code == 1
    assert "nothing meets the targets" in outcome.out
    assert "TPOT P95" in outcome.out
