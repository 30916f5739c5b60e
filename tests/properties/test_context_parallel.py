"""Context parallelism: what is divided, what is said between ranks, and who refuses it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

import llmsizer
from llmsizer.core.errors import UnsupportedCombination
from llmsizer.core.explain import plain
from llmsizer.question.splits import cache_copies
from llmsizer.sizing.step_time import StepClock
from llmsizer.sizing.steps import Step

LATENT: dict[str, Any] = {"model": "deepseek-v2-lite", "hardware": "h200", "engine": "vllm@0.27", "max_model_len": 32768}
GROUPED: dict[str, Any] = {"model": "qwen3-235b-a22b", "hardware": "h200", "tensor_parallel_size": 8, "max_model_len": 32768}
GATHERS = {"gather of keys and values", "gather of queries", "sum of partial outputs", "gather of cached context"}


def prompts(ranks: int, **words: Any) -> llmsizer.Estimate:
    return llmsizer.estimate(**{**LATENT, **words}, prefill_context_parallel_size=ranks)


def shared(ranks: int, **words: Any) -> llmsizer.Estimate:
    return llmsizer.estimate(**{**GROUPED, **words}, decode_context_parallel_size=ranks)


def kernels(estimate: llmsizer.Estimate, step: Step) -> dict[str, Any]:
    return {each.cost.name: each.cost for each in StepClock(estimate.case).stage_cost(step).kernels}


PROMPT = Step(prefill_tokens=16384.0, prefill_sequences=1.0)
DECODE = Step(decode_batch=16.0, decode_context=20000.0)


def test_one_rank_says_nothing() -> None:
    for estimate in (prompts(1), shared(1)):
        for step in (PROMPT, DECODE):
            assert not GATHERS & set(kernels(estimate, step))


def test_decoding_hears_nothing_of_shared_prompts() -> None:
    assert "gather of keys and values" in kernels(prompts(4), PROMPT)
    assert not GATHERS & set(kernels(prompts(4), DECODE))


@pytest.mark.parametrize("ranks", [2, 4, 8])
def test_ranks_share_the_work_of_a_prompt(ranks: int) -> None:
    one, many = kernels(prompts(1), PROMPT), kernels(prompts(ranks), PROMPT)
    whole, part = (float(plain(found["attention of prompts"].flop)) for found in (one, many))
    assert part * ranks == pytest.approx(whole)
    assert prompts(ranks).case.parallel.devices == ranks


@settings(max_examples=20)
@given(tokens=some.floats(8192.0, 30000.0), ranks=some.sampled_from([1, 2, 4]))
def test_more_ranks_read_a_long_prompt_sooner(tokens: float, ranks: int) -> None:
    step = Step(prefill_tokens=tokens, prefill_sequences=1.0)
    few, many = (float(plain(StepClock(prompts(each).case).seconds(step))) for each in (ranks, 2 * ranks))
    assert many < few


@pytest.mark.parametrize("ask", [prompts, shared])
def test_more_ranks_never_keep_more_per_token(ask: Any) -> None:
    kept = [float(plain(ask(ranks).memory.kv_bytes_per_token_per_gpu)) for ranks in (1, 2)]
    assert kept[1] <= kept[0]
    assert ask(2).memory.kv_slots >= ask(1).memory.kv_slots


def test_a_shared_cache_is_kept_once() -> None:
    one, two = (float(plain(shared(ranks).memory.kv_bytes_per_token_per_gpu)) for ranks in (1, 2))
    assert two == pytest.approx(one / 2)
    latent = {**LATENT, "model": "deepseek-v3", "tensor_parallel_size": 8}
    eight = llmsizer.estimate(**latent, decode_context_parallel_size=8)
    alone = llmsizer.estimate(**latent)
    assert eight.memory.kv_slots == pytest.approx(8 * float(plain(alone.memory.kv_slots)), rel=0.01)
    assert eight.case.parallel.devices == 8


def test_a_shared_cache_is_read_once() -> None:
    one, two = (kernels(shared(ranks), DECODE)["attention of the cache"] for ranks in (1, 2))
    assert float(plain(two.flop)) == pytest.approx(float(plain(one.flop)))
    assert float(plain(two.bytes)) < 0.55 * float(plain(one.bytes))
    assert {"gather of queries", "sum of partial outputs"} <= set(kernels(shared(2), DECODE))


def test_experts_are_spread_over_ranks_that_share_prompts() -> None:
    words = {"model": "deepseek-v3", "tensor_parallel_size": 8, "enable_expert_parallel": True}
    one, two = (float(plain(prompts(ranks, **words).memory.per_gpu.weights_bytes)) for ranks in (1, 2))
    assert two < 0.6 * one


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ({"model": "llama-3.1-8b", "engine": "vllm@0.27", "prefill_context_parallel_size": 2}, "grouped_query"),
        ({"engine": "vllm@0.22", "prefill_context_parallel_size": 2}, "does not divide latent"),
        ({"engine": "tensorrt-llm", "prefill_context_parallel_size": 2}, "does not divide"),
        ({"engine": "vllm@0.10.0", "tensor_parallel_size": 2, "decode_context_parallel_size": 2}, "does not divide"),
        ({"model": "llama-3.1-70b", "tensor_parallel_size": 4, "decode_context_parallel_size": 2}, "1 copies"),
        ({"tensor_parallel_size": 4, "decode_context_parallel_size": 3}, "4 copies"),
        ({"prefill_context_parallel_size": 2, "data_parallel_size": 2}, "does not go together"),
        ({"model": "qwen3-8b", "engine": "sglang@0.5.10", "prefill_context_parallel_size": 2}, "grouped_query"),
    ],
)
def test_refusals(words: dict[str, Any], says: str) -> None:
    with pytest.raises(UnsupportedCombination) as told:
        llmsizer.estimate(**{**LATENT, **words})
    assert says in str(told.value)


def test_grouped_queries_with_experts() -> None:
    words = {"model": "qwen3-30b-a3b", "hardware": "h200", "engine": "sglang@0.5.10", "max_model_len": 32768}
    assert llmsizer.estimate(**words, prefill_context_parallel_size=2).fits


def test_copies_of_a_cache() -> None:
    model = llmsizer.estimate(**GROUPED).case.model
    assert [cache_copies(model, ranks) for ranks in (1, 4, 8, 16)] == [1, 1, 2, 4]


def test_it_derives_and_sweeps() -> None:
    estimate = prompts(2, concurrency=4, input_tokens=16000)
    assert "rank_tokens" in estimate.explain("prefill.step_seconds") or "context" in estimate.explain("prefill.step_seconds")
    found = llmsizer.sweep(**LATENT, prefill_context_parallel_size=[1, 2], input_tokens=[8000, 16000])
    assert len(found) == 4
