"""Chunked attention: a token sees its own chunk only."""

from __future__ import annotations

from typing import Any

import pytest

import llmsizer
from llmsizer.formulas.attention import causal_pairs, chunked_pairs

CHUNK = 8192  # meta-llama/Llama-4-Scout-17B-16E-Instruct: 36 of 48 layers
WORDS: dict[str, Any] = {"tensor_parallel_size": 8, "output_tokens": 2, "max_model_len": 131072}


@pytest.mark.parametrize(("tokens", "context", "chunk"), [(1, 0, 8), (8, 0, 8), (9, 0, 8), (30, 5, 8), (7, 16, 8), (3, 7, 8)])
def test_pairs_are_counted_one_by_one(tokens: int, context: int, chunk: int) -> None:
    counted = sum(place % chunk + 1 for place in range(context, context + tokens))
    assert chunked_pairs(float(tokens), float(context), float(chunk)) == counted


def attention_flop(tokens: int, phase: str) -> float:
    told = llmsizer.estimate("llama-4-scout", "h200", input_tokens=tokens, **WORDS).to_dict()
    return sum(each["flop"] for each in told[phase]["operations"] if each["name"].startswith("attention"))


def test_a_decode_step_sees_half_a_chunk_on_average() -> None:
    heads, dim, context = 40 / 8, 128, 65_536 + 1
    assert attention_flop(65_536, "decode") == pytest.approx(4 * heads * dim * (12 * context + 36 * CHUNK / 2), rel=1e-3)


def test_a_prompt_of_one_chunk_is_causal() -> None:
    heads, dim = 40 / 8, 128
    assert attention_flop(4096, "prefill") == pytest.approx(4 * heads * dim * 48 * causal_pairs(4096.0, 0.0), rel=1e-3)
