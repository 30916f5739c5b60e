"""The fast event loop against a plain loop over steps, and against arithmetic."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic_engine import Curved, Linear, stepwise

from llmsizer.schema.workload import ClosedLoop, Trace, TraceTimes, Traffic, Uniform, simple_traffic
from llmsizer.simulation import EngineSpec, simulate

requests_ = st.lists(st.tuples(st.floats(0, 0.4), st.integers(1, 90), st.integers(1, 40)), min_size=1, max_size=25)


def _traffic(requests):
    times, inputs, outputs = zip(*sorted(requests), strict=True)
    return Traffic(
        arrivals=TraceTimes(), trace=Trace(source="test", arrival_seconds=times, input_tokens=inputs, output_tokens=outputs)
    )


@settings(max_examples=150, deadline=None)
@given(
    requests=requests_, policy=st.sampled_from(["continuous", "in-flight"]), chunked=st.booleans(), blocks=st.integers(33, 90),
    size=st.sampled_from([1, 4, 7, 16]), seats=st.integers(1, 12), budget=st.integers(12, 120), exact=st.booleans(),
)  # fmt: skip
def test_the_event_loop_equals_a_plain_loop_over_steps(requests, policy, chunked, blocks, size, seats, budget, exact):
    spec = EngineSpec(
        steps=Linear(), kv_blocks=blocks * 4 if size == 1 else blocks, block_size=size, max_num_seqs=seats, policy=policy,
        max_num_batched_tokens=budget, chunked_prefill=chunked, prefix_caching=False,
    )  # fmt: skip
    result = simulate(_traffic(requests), spec, num_prompts=len(requests), exact=exact)
    expected = np.array(stepwise(sorted(requests), spec))
    found = np.stack([result.requests["first_token_seconds"], result.requests["finished_seconds"]], axis=1)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)


@settings(max_examples=40, deadline=None)
@given(requests=requests_, policy=st.sampled_from(["static", "dynamic", "continuous", "in-flight"]), seed=st.integers(0, 99))
def test_runs_of_steps_equal_single_steps(requests, policy, seed):
    spec = EngineSpec(
        steps=Linear(),
        kv_blocks=60,
        block_size=4,
        max_num_seqs=6,
        policy=policy,
        max_num_batched_tokens=64,
        batch_window_seconds=0.05,
    )
    runs = [simulate(_traffic(requests), spec, num_prompts=len(requests), exact=exact, seed=seed) for exact in (False, True)]
    for name in ("first_token_seconds", "finished_seconds"):
        np.testing.assert_allclose(runs[0].requests[name], runs[1].requests[name], rtol=1e-9, atol=1e-12)
    found = [run.replicas[0].token_gaps(-1.0, np.inf) for run in runs]
    fast, slow = (np.repeat(gaps, counts.astype(int)) for gaps, counts in found)
    np.testing.assert_allclose(np.sort(fast), np.sort(slow), rtol=1e-7, atol=1e-11)


def test_a_curved_time_is_tabulated_closely():
    spec = EngineSpec(steps=Curved(), kv_blocks=20000, max_num_batched_tokens=2048)
    traffic = simple_traffic(ClosedLoop(concurrency=16), Uniform(100, 3000), Uniform(50, 400))
    fast, exact = (simulate(traffic, spec, num_prompts=200, exact=e).summary() for e in (False, True))
    assert fast.tpot.mean == pytest.approx(exact.tpot.mean, rel=1e-4)


@pytest.mark.parametrize("policy", ["static", "dynamic", "continuous", "in-flight"])
@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize(("inputs", "outputs"), [(1000, 200), (5000, 2), (17, 1)])
def test_one_request_is_the_front_end_and_its_own_steps(policy, exact, inputs, outputs):
    steps = Linear()
    spec = EngineSpec(steps=steps, kv_blocks=2000, policy=policy, front_end_seconds=0.05, max_num_batched_tokens=2048)
    summary = simulate(simple_traffic(ClosedLoop(concurrency=1), inputs, outputs), spec, num_prompts=1, exact=exact).summary()
    size = 2048 if policy == "in-flight" else inputs
    starts = range(0, inputs, size)
    prefill = sum(steps.seconds(0, 0.0, min(size, inputs - s), s, int(s + size >= inputs)) for s in starts)
    decode = sum(steps.seconds(1, inputs + step, 0, 0, 0) for step in range(outputs - 1))
    assert summary.ttft.mean == pytest.approx(0.05 + prefill, rel=1e-12)
    assert summary.e2e.mean == pytest.approx(0.05 + prefill + decode, rel=1e-9)
    if outputs > 1:
        assert summary.tpot.mean == pytest.approx(decode / (outputs - 1), rel=1e-9)
    else:
        assert summary.tpot is None


def test_a_static_batch_lasts_as_long_as_its_longest():
    steps = Linear()
    requests = [(0.0, 10, 5), (0.0, 30, 50), (0.01, 20, 2)]
    spec = EngineSpec(steps=steps, kv_blocks=1000, policy="static", max_num_seqs=2)
    found = simulate(_traffic(requests), spec, num_prompts=3).requests
    first = steps.seconds(0, 0, 60, 0, 2)
    end = first + sum(steps.seconds(2, 30 + step, 0, 0, 0) for step in range(49))
    assert found["first_token_seconds"][:2] == pytest.approx([first, first])
    assert found["finished_seconds"][:2] == pytest.approx([end, end])
    assert found["admitted_seconds"][2] == pytest.approx(end)


def test_a_dynamic_batch_waits_for_its_window_or_to_be_full():
    spec = EngineSpec(steps=Linear(), kv_blocks=1000, policy="dynamic", max_num_seqs=3, batch_window_seconds=0.1)
    alone = simulate(_traffic([(0.0, 10, 5)]), spec, num_prompts=1).requests
    assert alone["admitted_seconds"][0] == pytest.approx(0.1)
    full = simulate(_traffic([(0.0, 10, 5), (0.01, 10, 5), (0.02, 10, 5)]), spec, num_prompts=3).requests
    assert full["admitted_seconds"] == pytest.approx([0.02] * 3)


def test_swapping_saves_the_recomputation():
    requests = [(0.0, 64, 60)] * 4
    kinds = {"recompute": 0.0, "swap": 1e-4}
    results = {}
    for preemption, seconds in kinds.items():
        spec = EngineSpec(
            steps=Linear(), kv_blocks=24, policy="continuous", preemption=preemption, swap_seconds_per_block=seconds,
            prefix_caching=False,
        )  # fmt: skip
        results[preemption] = simulate(_traffic(requests), spec, num_prompts=4)
        assert results[preemption].summary().preemptions > 0
    assert results["swap"].replicas[0].computed_prompt_tokens == 4 * 64
    assert results["recompute"].replicas[0].computed_prompt_tokens > 4 * 64


def test_a_contiguous_cache_runs_fewer_sequences():
    traffic = simple_traffic(ClosedLoop(concurrency=32), 100, 50)
    paged = EngineSpec(steps=Linear(), kv_blocks=400, block_size=16)
    contiguous = EngineSpec(steps=Linear(), kv_blocks=400, block_size=16, reserve_tokens=1024)
    few, many = (simulate(traffic, spec, num_prompts=300).steady() for spec in (contiguous, paged))
    assert few.running <= 6.25
    assert many.running > 25
    assert many.requests_per_second > few.requests_per_second
