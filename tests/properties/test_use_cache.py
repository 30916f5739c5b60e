"""Without a KV cache every token reads the whole request again."""

from __future__ import annotations

from typing import Any

import pytest

import llmsizer
from llmsizer.core.errors import LlmsizerError


def estimate(**words: Any) -> llmsizer.Estimate:
    return llmsizer.estimate("llama-3.1-8b", "a100-sxm4-80gb", engine="transformers", **words)


def tpot(**words: Any) -> float:
    found = estimate(**words).latency
    assert found is not None
    return float(found.tpot_seconds)


@pytest.mark.parametrize(("batch", "least", "most"), [(1, 1.5, 30), (16, 20, 200)])
def test_recomputing_is_slower_by_far(batch: int, least: float, most: float) -> None:
    words = {"input_tokens": 1000, "output_tokens": 200, "concurrency": batch}
    assert least < tpot(**words, use_cache=False) / tpot(**words) < most


def test_it_grows_with_the_length() -> None:
    times = [tpot(input_tokens=tokens, output_tokens=100, use_cache=False) for tokens in (500, 1000, 2000, 4000)]
    assert times == sorted(times)
    assert times[-1] > 4 * times[0]


def test_no_memory_is_kept() -> None:
    assert estimate(use_cache=False).memory.per_gpu.kv_cache_bytes == 0


def test_a_step_is_a_prompt_of_the_context() -> None:
    found = estimate(input_tokens=1000, output_tokens=200, use_cache=False)
    prompt = estimate(input_tokens=1100, output_tokens=1, use_cache=False)
    assert found.decode is not None
    assert prompt.prefill is not None
    assert found.decode.step_seconds == pytest.approx(prompt.prefill.step_seconds, rel=0.02)
    assert "tokens_of_prompts" in str(found.explain("decode.flop", depth=12)) or "prompts" in str(found.explain("decode.flop"))


def test_engines_with_pages_always_keep_one() -> None:
    with pytest.raises(LlmsizerError, match="always keeps"):
        llmsizer.estimate("llama-3.1-8b", "h100", use_cache=False)
