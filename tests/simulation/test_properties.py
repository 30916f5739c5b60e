"""What holds for every run: conservation, Little's law, ordered percentiles, bounds, same seed same bytes."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic_engine import Linear

from llmsizer.core.errors import InvalidQuestion, UnknownName
from llmsizer.schema.workload import (
    ClosedLoop,
    Conversation,
    Fixed,
    HitRate,
    LogNormal,
    OpenLoop,
    PrefixGroups,
    RequestClass,
    Targets,
    Traffic,
    Uniform,
    simple_traffic,
)
from llmsizer.simulation import EngineSpec, KvTransfer, simulate, simulate_disaggregated
from llmsizer.simulation.replicas import ROUTINGS
from llmsizer.simulation.result import HEADERS
from llmsizer.simulation.spec import POLICIES

lengths = st.one_of(
    st.builds(Fixed, st.integers(1, 300)),
    st.builds(lambda low, more: Uniform(low, low + more), st.integers(1, 200), st.integers(0, 100)),
    st.builds(lambda mean, cv: LogNormal(mean_tokens=mean, variation=cv, maximum=400), st.floats(5, 200), st.floats(0.2, 2)),
)
sharings = st.one_of(
    st.none(),
    st.builds(PrefixGroups, tokens=st.integers(0, 200), groups=st.integers(1, 5), skew=st.floats(0, 1.5)),
    st.builds(Conversation, turns=st.integers(1, 4), think_seconds=st.floats(0, 0.5), shared_tokens=st.integers(0, 60)),
    st.builds(HitRate, rate=st.floats(0, 1)),
)
classes = st.lists(
    st.builds(
        RequestClass, share=st.floats(0.1, 5), input_tokens=lengths, output_tokens=lengths, priority=st.integers(-1, 2),
        sharing=sharings,
    ),
    min_size=1, max_size=3,
).map(lambda found: tuple(
    RequestClass(name=f"class {i}", share=c.share, input_tokens=c.input_tokens, output_tokens=c.output_tokens,
                 priority=c.priority, sharing=c.sharing) for i, c in enumerate(found)
))  # fmt: skip
arrivals = st.one_of(
    st.builds(ClosedLoop, concurrency=st.integers(1, 30), think_seconds=st.floats(0, 0.3), ramp_seconds=st.floats(0, 1)),
    st.builds(
        OpenLoop, requests_per_second=st.floats(0.5, 200), variation=st.floats(0, 3),
        max_concurrency=st.one_of(st.none(), st.integers(1, 20)),
    ),
)  # fmt: skip
traffics = st.builds(Traffic, arrivals=arrivals, classes=classes, result_cache_hit_rate=st.sampled_from([0.0, 0.0, 0.4]))
specs = st.builds(
    EngineSpec, steps=st.just(Linear()), kv_blocks=st.integers(410, 800), block_size=st.sampled_from([8, 16]),
    policy=st.sampled_from(POLICIES), max_num_seqs=st.integers(1, 40), max_num_batched_tokens=st.integers(40, 3000),
    front_end_seconds=st.floats(0, 0.1), chunked_prefill=st.booleans(), batch_window_seconds=st.floats(0, 0.2),
    prefix_caching=st.booleans(), preemption=st.sampled_from(["recompute", "swap"]), swap_seconds_per_block=st.just(1e-5),
    watermark_blocks=st.integers(0, 8), priorities=st.booleans(),
)  # fmt: skip


def _run(traffic, spec, count, seed, replicas, routing, apart):
    if apart and not spec.batchwise:
        return simulate_disaggregated(
            traffic, spec, spec, prefill_replicas=replicas, decode_replicas=2, num_prompts=count, seed=seed, routing=routing,
            transfer=KvTransfer(seconds_per_token=1e-6, latency_seconds=1e-3, before_first_token=bool(seed % 2)),
        )  # fmt: skip
    return simulate(traffic, spec, num_prompts=count, seed=seed, replicas=replicas, routing=routing)


@settings(max_examples=150, deadline=None)
@given(
    traffic=traffics, spec=specs, count=st.integers(1, 60), seed=st.integers(0, 1000), replicas=st.integers(1, 3),
    routing=st.sampled_from(ROUTINGS), apart=st.booleans(),
)  # fmt: skip
def test_every_run_keeps_the_laws(traffic, spec, count, seed, replicas, routing, apart):
    result = _run(traffic, spec, count, seed, replicas, routing, apart)
    r, served = result.requests, result.requests["result_cached"] == 0
    assert r["class"].size == count
    # every token once: what replicas put out is what requests asked for, and what they received
    np.testing.assert_array_equal(r["delivered_tokens"], r["output_tokens"])
    assert sum(record.output_tokens for record in result.replicas) == r["output_tokens"][served].sum()
    computed = sum(record.computed_prompt_tokens for record in result.replicas)
    needed = (r["input_tokens"] - r["cached_tokens"])[served].sum()
    assert computed == needed if r["preemptions"].sum() == 0 else computed >= needed - r["cached_tokens"].sum()
    # in order
    for earlier, later in itertools.pairwise(_TIMES):
        assert np.all(r[later][served] >= r[earlier][served] - 1e-12)
    for line in (result.timeline(index) for index in range(len(result.replicas))):
        assert np.all(line["end_seconds"] >= line["start_seconds"])
        assert np.all(line["start_seconds"][1:] >= line["end_seconds"][:-1] - 1e-9)
        assert np.all((line["kv_blocks_used"] >= 0) & (line["kv_blocks_used"] <= spec.kv_blocks))
        assert np.all(line["running"] <= spec.max_num_seqs)
    _check_summary(result, spec)


_TIMES = ("sent_seconds", "queued_seconds", "admitted_seconds", "first_token_seconds", "finished_seconds")


def _check_summary(result, spec):
    summary = result.summary()
    for spread in (summary.ttft, summary.tpot, summary.itl, summary.e2e, summary.queue):
        if spread is not None:
            assert 0 <= spread.p50 <= spread.p90 <= spread.p95 <= spread.p99
    if summary.result_cache_hits == 0 and summary.duration_seconds > 0:  # Little's law: L = λ·W
        assert summary.concurrency == pytest.approx(summary.requests_per_second * summary.e2e.mean, rel=1e-9)
    assert 0 <= summary.goodput_requests_per_second <= summary.requests_per_second * (1 + 1e-12)
    assert summary.kv_occupancy <= summary.kv_occupancy_peak + 1e-12 <= 1 + 1e-9
    json.dumps(result.to_dict(), allow_nan=False)
    assert len(result.rows()) == summary.requests
    assert len(result.rows()[0]) == len(HEADERS)


@settings(max_examples=25, deadline=None)
@given(traffic=traffics, spec=specs, seed=st.integers(0, 1000), replicas=st.integers(1, 3), routing=st.sampled_from(ROUTINGS))
def test_the_same_seed_gives_the_same_bytes(traffic, spec, seed, replicas, routing):
    first, second = (_run(traffic, spec, 40, seed, replicas, routing, False) for _ in range(2))
    for name, column in first.requests.items():
        assert column.tobytes() == second.requests[name].tobytes()
    assert first.replicas[0].intervals.tobytes() == second.replicas[0].intervals.tobytes()
    assert json.dumps(first.to_dict()) == json.dumps(second.to_dict())


@settings(max_examples=25, deadline=None)
@given(law=lengths, answers=lengths, policy=st.sampled_from(POLICIES), users=st.integers(1, 60), seed=st.integers(0, 99))
def test_throughput_stays_below_both_bounds(law, answers, policy, users, seed):
    steps = Linear()
    spec = EngineSpec(steps=steps, kv_blocks=20000, policy=policy, max_num_seqs=32)
    result = simulate(simple_traffic(ClosedLoop(concurrency=users), law, answers), spec, num_prompts=80, seed=seed)
    summary = result.summary()
    seats = min(users, 32)
    decoded = float((result.requests["output_tokens"] - 1).sum()) / summary.duration_seconds
    assert decoded <= seats / steps.seconds(seats, 1, 0, 0, 0) * (1 + 1e-9)
    assert summary.input_tokens_per_second <= 1 / steps.per_prompt_token


def test_urgent_requests_wait_less():
    kinds = tuple(
        RequestClass(name=name, share=share, input_tokens=Fixed(500), output_tokens=Fixed(100), priority=priority)
        for name, share, priority in (("interactive", 0.2, 0), ("batch", 0.8, 5))
    )
    traffic = Traffic(arrivals=OpenLoop(requests_per_second=60), classes=kinds)
    spec = EngineSpec(steps=Linear(), kv_blocks=2000, max_num_seqs=16)
    urgent, batch = (simulate(traffic, spec, num_prompts=600).summary(name) for name in ("interactive", "batch"))
    assert urgent.queue.p95 < 0.2 * batch.queue.p50
    without = EngineSpec(steps=Linear(), kv_blocks=2000, max_num_seqs=16, priorities=False)
    equal = simulate(traffic, without, num_prompts=600)
    assert equal.summary("interactive").queue.mean == pytest.approx(equal.summary("batch").queue.mean, rel=0.2)


def test_preemption_hits_the_least_urgent():
    kinds = tuple(
        RequestClass(name=name, input_tokens=Fixed(64), output_tokens=Fixed(200), priority=priority)
        for name, priority in (("interactive", 0), ("batch", 1))
    )
    traffic = Traffic(arrivals=ClosedLoop(concurrency=12), classes=kinds)
    result = simulate(traffic, EngineSpec(steps=Linear(), kv_blocks=130, prefix_caching=False), num_prompts=80)
    hit = [result.requests["preemptions"][result.requests["class"] == kind].sum() for kind in (0, 1)]
    assert hit[0] == 0
    assert hit[1] > 0


def test_goodput_counts_requests_that_meet_their_targets():
    traffic = simple_traffic(ClosedLoop(concurrency=8), 100, 20)
    spec = EngineSpec(steps=Linear(), kv_blocks=2000)
    result = simulate(traffic, spec, num_prompts=100, targets=Targets(e2e_seconds=1e-9))
    assert result.summary().goodput_requests_per_second == 0
    median = result.summary().ttft.p50
    half = simulate(traffic, spec, num_prompts=100, targets=Targets(ttft_seconds=median)).summary()
    assert 0.4 < half.goodput_requests_per_second / half.requests_per_second <= 1


def test_the_start_burst_is_kept_apart():
    traffic = simple_traffic(ClosedLoop(concurrency=64), Uniform(820, 1024), Uniform(205, 256))
    result = simulate(traffic, EngineSpec(steps=Linear(), kv_blocks=30000), num_prompts=640)
    assert result.summary().ttft.mean > 2 * result.steady().ttft.mean
    assert result.summary().ttft.p50 == pytest.approx(result.steady().ttft.p50, rel=0.1)
    assert simulate(traffic, EngineSpec(steps=Linear(), kv_blocks=30000), num_prompts=64).steady() is None


@pytest.mark.parametrize("rate", [2.0, 10.0])
@pytest.mark.parametrize("variation", [0.0, 1.0, 2.0])
def test_an_open_loop_sends_at_its_rate(rate, variation):
    traffic = simple_traffic(OpenLoop(requests_per_second=rate, variation=variation), 50, 10)
    result = simulate(traffic, EngineSpec(steps=Linear(), kv_blocks=2000), num_prompts=4000)
    sent = result.requests["sent_seconds"]
    assert 4000 / sent[-1] == pytest.approx(rate, rel=0.1)
    gaps = np.diff(sent)
    assert gaps.std() / gaps.mean() == pytest.approx(variation, rel=0.1, abs=1e-9)


def test_mistakes_are_refused():
    spec = EngineSpec(steps=Linear(), kv_blocks=10)
    with pytest.raises(InvalidQuestion, match="needs 80 KV blocks"):
        simulate(simple_traffic(ClosedLoop(concurrency=1)), spec)
    with pytest.raises(UnknownName, match="policy 'inflight'"):
        EngineSpec(steps=Linear(), kv_blocks=10, policy="inflight")
    with pytest.raises(InvalidQuestion, match="at least max_num_seqs"):
        EngineSpec(steps=Linear(), kv_blocks=10, max_num_batched_tokens=64)
    with pytest.raises(UnknownName, match="routing"):
        simulate(simple_traffic(ClosedLoop(concurrency=1), 10, 10), spec, routing="random")
    with pytest.raises(InvalidQuestion, match="num_prompts"):
        simulate(simple_traffic(ClosedLoop(concurrency=1), 10, 10), spec, num_prompts=0)
