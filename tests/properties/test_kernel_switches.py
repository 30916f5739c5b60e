"""Words about kernels: each moves the number it should, and never the wrong way."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

import llmsizer
from llmsizer.core.explain import plain
from llmsizer.sizing.step_time import StepClock
from llmsizer.sizing.steps import Step

SMALL: dict[str, Any] = {"model": "llama-3.2-1b", "hardware": "h100", "engine": "vllm", "max_model_len": 4096}
SOME = settings(max_examples=25, deadline=None)
PROMPT = Step(prefill_tokens=2048.0, prefill_sequences=1.0)
sequences, contexts = some.integers(1, 256), some.floats(16.0, 4096.0)


def clock(**words: Any) -> StepClock:
    return StepClock(llmsizer.estimate(**{**SMALL, **words}).case)


def seconds(at: StepClock, step: Step) -> float:
    return float(plain(at.seconds(step)))


def traffic(at: StepClock, step: Step, *names: str) -> float:
    costs = [each.cost for each in at.stage_cost(step).kernels]
    return sum(float(plain(cost.bytes)) for cost in costs if not names or cost.name in names)


def decode(batch: float, context: float) -> Step:
    return Step(decode_batch=float(batch), decode_context=context)


USUAL = clock()
SWITCHES: dict[str, StepClock] = {
    "eager": clock(enforce_eager=True),
    "flash_attention": clock(flash_attention=False),
    "flash_decoding": clock(flash_decoding=False),
    "fused_kernels": clock(fused_kernels=False),
}


@SOME
@given(batch=sequences, context=contexts, switch=some.sampled_from(sorted(SWITCHES)))
def test_no_switch_makes_a_step_faster(batch: int, context: float, switch: str) -> None:
    for step in (decode(batch, context), PROMPT):
        assert seconds(SWITCHES[switch], step) >= seconds(USUAL, step) * (1 - 1e-12)
        assert traffic(SWITCHES[switch], step) >= traffic(USUAL, step) * (1 - 1e-12)


def test_eager_steps_wait_for_every_launch() -> None:
    tiny, eager = clock(model="qwen2.5-0.5b"), clock(model="qwen2.5-0.5b", enforce_eager=True)
    assert seconds(eager, decode(1, 100.0)) > seconds(tiny, decode(1, 100.0))
    fewer = clock(model="qwen2.5-0.5b", enforce_eager=True, fused_kernels=False)
    assert seconds(fewer, decode(1, 100.0)) > 1.5 * seconds(eager, decode(1, 100.0))


def test_scores_in_memory_grow_with_the_square_of_the_prompt() -> None:
    def further(tokens: float) -> float:
        step = Step(prefill_tokens=tokens, prefill_sequences=1.0)
        return traffic(SWITCHES["flash_attention"], step) - traffic(USUAL, step)

    assert further(2048.0) == pytest.approx(4 * further(1024.0), rel=0.05)


def test_undivided_contexts_leave_the_device_idle_where_heads_are_few() -> None:
    def slower(batch: int) -> float:
        return seconds(SWITCHES["flash_decoding"], decode(batch, 4096.0)) / seconds(USUAL, decode(batch, 4096.0))

    assert slower(1) > slower(8) > slower(64) > slower(256) >= 1


def test_unfused_kernels_pass_over_the_values_more_often() -> None:
    for step in (decode(64, 1000.0), PROMPT):
        ratio = traffic(SWITCHES["fused_kernels"], step, "norms") / traffic(USUAL, step, "norms")
        assert ratio == pytest.approx(21 / 4)


QUANTIZED = {scheme: clock(model="llama-3.1-8b", quantization=scheme) for scheme in ("bf16", "w4a16", "int8wo")}


@SOME
@given(tokens=some.floats(2048.0, 8192.0), scheme=some.sampled_from(["w4a16", "int8wo"]))
def test_weights_are_turned_back_before_they_multiply(tokens: float, scheme: str) -> None:
    """Weight-only formats multiply at the 16-bit peak: no faster than 16 bits where compute is the bound."""
    step = Step(prefill_tokens=tokens, prefill_sequences=1.0)
    assert seconds(QUANTIZED[scheme], step) >= seconds(QUANTIZED["bf16"], step) * (1 - 1e-12)


def test_fewer_bits_of_weights_decode_sooner() -> None:
    assert seconds(QUANTIZED["w4a16"], decode(1, 100.0)) < 0.7 * seconds(QUANTIZED["bf16"], decode(1, 100.0))


@SOME
@given(tokens=some.integers(64, 4000), batch=some.integers(1, 64))
def test_shares_of_the_peaks(tokens: int, batch: int) -> None:
    told = llmsizer.estimate(**{**SMALL, "max_model_len": 8192}, input_tokens=tokens, concurrency=batch).to_dict()
    for phase in ("prefill", "decode"):
        assert 0 < told[phase]["flop_utilization"] <= 1
        assert 0 < told[phase]["bandwidth_utilization"] <= 1
    assert told["prefill"]["flop_utilization"] > told["decode"]["flop_utilization"]


def test_the_answer_says_what_was_asked() -> None:
    answer = llmsizer.estimate(**SMALL, flash_decoding=False, fused_kernels=False).to_dict()
    told = answer["question"]
    assert answer["evidence"]["tier"] == "extrapolated"
    assert (told["flash_attention"], told["flash_decoding"], told["fused_kernels"]) == (True, False, False)


def test_prompts_wait_for_their_launches_where_no_graph_holds_them() -> None:
    few = Step(prefill_tokens=16.0, prefill_sequences=1.0)
    own, captured = (clock(engine=engine, model="qwen2.5-0.5b") for engine in ("sglang", "vllm"))
    launched = seconds(own, few)
    assert launched > 2 * seconds(captured, few)
    assert seconds(own, replace(few, prefill_tokens=17.0)) == pytest.approx(launched, rel=1e-3)
    assert seconds(own, decode(1, 100.0)) < launched
