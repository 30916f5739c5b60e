"""Routed experts: how many are touched, which rank is fullest, and whose kernels run them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmsizer import estimate
from llmsizer.formulas.matmul import expected_distinct_experts
from llmsizer.formulas.steps import slowest_rank

counts = st.integers(2, 512).flatmap(lambda experts: st.tuples(st.just(experts), st.integers(1, experts)))
tokens = st.floats(1, 1e5)
skews = st.floats(0, 20)


@given(counts, tokens, skews, st.floats(1, 10))
def test_distinct_experts_have_bounds_and_grow(size: tuple[int, int], batch: float, skew: float, factor: float) -> None:
    experts, chosen = size
    found = expected_distinct_experts(experts, chosen, batch, skew)
    assert chosen * (1 - 1e-9) <= found <= experts * (1 + 1e-9)
    assert found <= chosen * batch * (1 + 1e-9)
    assert expected_distinct_experts(experts, chosen, batch * factor, skew) >= found * (1 - 1e-9)
    assert expected_distinct_experts(experts, chosen, batch, skew * factor) <= found * (1 + 1e-6)


@given(counts, st.floats(0, 1000))
def test_even_routing_is_that_of_independent_draws(size: tuple[int, int], more: float) -> None:
    experts, chosen = size
    even = experts * (1 - (1 - chosen / experts) ** (1 + more))
    assert expected_distinct_experts(experts, chosen, 1 + more, 0.0) == pytest.approx(even, rel=1e-4)


@given(st.floats(1, 1e5), st.sampled_from([2, 4, 8, 64]), skews, st.floats(1, 10))
def test_the_fullest_rank_has_more_than_the_mean(mean: float, ranks: int, skew: float, factor: float) -> None:
    found = slowest_rank(mean, ranks, 256, skew)
    assert found > mean
    assert slowest_rank(mean, ranks, 256, skew * factor) >= found


def test_skew_spares_weights_in_decode_and_loads_ranks_in_prefill() -> None:
    words = {"tensor_parallel_size": 8, "enable_expert_parallel": True, "concurrency": 32}
    even, uneven = (estimate("deepseek-v3", "h200", expert_skew=skew, **words) for skew in (0.0, 2.0))
    assert uneven.latency.tpot_seconds < even.latency.tpot_seconds
    long = {**words, "input_tokens": 8000, "concurrency": 1}
    even, uneven = (estimate("deepseek-v3", "h200", expert_skew=skew, **long) for skew in (0.0, 2.0))
    assert uneven.latency.ttft_seconds > even.latency.ttft_seconds


@pytest.mark.parametrize(
    ("model", "hardware", "words", "setting"),
    [
        ("gpt-oss-120b", "h100", {"tensor_parallel_size": 2}, "VLLM_MXFP4_USE_MARLIN=1"),
        ("gpt-oss-120b", "b200", {}, None),
        ("deepseek-v3", "b200", {"tensor_parallel_size": 8, "engine": "tensorrt-llm@1.2"}, "backend TRTLLM"),
        ("deepseek-v3", "b200", {"data_parallel_size": 8, "enable_expert_parallel": True, "engine": "tensorrt-llm@1.2"}, None),
        ("llama-3.1-8b", "b200", {"engine": "tensorrt-llm@1.2", "quantization": "nvfp4"}, None),
    ],
)
def test_kernels_that_an_engine_is_told_to_take_are_named(model, hardware, words, setting) -> None:  # type: ignore[no-untyped-def]
    notes = [note for note in estimate(model, hardware, **words).notes if note.startswith("experts:")]
    assert bool(notes) is (setting is not None)
    assert setting is None or setting in notes[0]


@pytest.mark.parametrize("batching", ["in-flight", "static"])
def test_a_prompt_goes_through_every_stage(batching: str) -> None:
    whole, half = (
        estimate("llama-3.1-8b", "l40s", pipeline_parallel_size=size, concurrency=1, input_tokens=2000, batching=batching)
        for size in (1, 2)
    )
    assert half.latency.ttft_seconds >= whole.latency.ttft_seconds
    assert half.prefill.step_seconds < whole.prefill.step_seconds
