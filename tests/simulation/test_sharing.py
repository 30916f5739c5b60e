"""The prefix cache, routing by it, conversations, stored results, and disaggregated pools."""

from __future__ import annotations

import numpy as np
import pytest
from synthetic_engine import Linear

from llmsizer.schema.workload import (
    ClosedLoop,
    Conversation,
    Fixed,
    HitRate,
    OpenLoop,
    PrefixGroups,
    RequestClass,
    Trace,
    TraceTimes,
    Traffic,
    simple_traffic,
)
from llmsizer.simulation import EngineSpec, KvTransfer, simulate, simulate_disaggregated
from llmsizer.simulation.blocks import BlockPool
from llmsizer.simulation.requests import Request


def _request(index, tokens, pieces):
    request = Request(index, 0, tokens, 10)
    request.pieces = pieces
    return request


def _hold(pool, request):
    hit = pool.attach(request)
    pool.grow(request, -(-request.target // pool.block_size) - hit)
    return hit


def test_whole_blocks_are_shared_and_the_last_token_is_computed():
    pool = BlockPool(100, 16, prefix_caching=True)
    first, second, equal = (_request(i, t, (("p", 100),)) for i, t in enumerate((150, 200, 96)))
    assert _hold(pool, first) == 0
    assert _hold(pool, second) == 6  # 100 tokens are six whole blocks
    assert pool.used == 10 + 13 - 6
    assert pool.cached_blocks(equal) == 5  # all six would leave nothing to compute
    pool.release(first, 10)
    assert pool.used == 13
    pool.release(second, 13)
    assert pool.used == 0
    assert pool.available == 100
    assert pool.cached_blocks(second) == 6


def test_the_least_recently_used_goes_first_and_the_end_before_the_beginning():
    pool = BlockPool(20, 16, prefix_caching=True)
    old, new = _request(0, 129, (("old", 128),)), _request(1, 129, (("new", 128),))
    for request in (old, new):
        _hold(pool, request)
        pool.release(request, 9)
    assert pool.available == 20
    pool.take(2 + 1 + 3)  # two were never used, one private block is the oldest, then the end of "old"
    assert pool.cached_blocks(old) == 5
    assert pool.cached_blocks(new) == 8


def test_a_prefix_in_use_is_never_evicted():
    pool = BlockPool(20, 16, prefix_caching=True)
    user = _request(0, 129, (("p", 128),))
    _hold(pool, user)
    pool.take(11)
    assert pool.available == 0
    assert pool.cached_blocks(_request(1, 200, (("p", 128),))) == 8


def test_hit_rate_falls_once_the_prefixes_exceed_the_cache():
    traffic = simple_traffic(ClosedLoop(concurrency=4), 600, 20, PrefixGroups(tokens=512, groups=40))
    rates = [
        simulate(traffic, EngineSpec(steps=Linear(), kv_blocks=blocks), num_prompts=800).summary().prefix_hit_rate
        for blocks in (200, 800, 3000)
    ]
    assert rates[0] < 0.3
    assert rates == sorted(rates)
    assert rates[2] == pytest.approx(512 / 600 * (1 - 40 / 800), rel=0.02)


def test_a_given_hit_rate_saves_computation_and_can_be_switched_off():
    traffic = simple_traffic(ClosedLoop(concurrency=4), 1000, 20, HitRate(rate=0.5))
    on, off = (
        simulate(traffic, EngineSpec(steps=Linear(), kv_blocks=2000, prefix_caching=c), num_prompts=50) for c in (True, False)
    )
    assert on.summary().prefix_hit_rate == pytest.approx(0.496)
    assert off.summary().prefix_hit_rate == 0
    assert on.summary().ttft.mean < off.summary().ttft.mean


def test_turns_follow_each_other_and_reuse_their_history():
    kind = RequestClass(
        input_tokens=Fixed(100), output_tokens=Fixed(50), sharing=Conversation(turns=4, think_seconds=0.2, shared_tokens=200)
    )
    traffic = Traffic(arrivals=OpenLoop(requests_per_second=5), classes=(kind,))
    r = simulate(traffic, EngineSpec(steps=Linear(), kv_blocks=5000), num_prompts=400).requests
    for session in range(100):
        turns = np.flatnonzero(r["session"] == session)
        assert r["turn"][turns].tolist() == [0, 1, 2, 3]
        assert r["input_tokens"][turns].tolist() == [300, 450, 600, 750]
        assert np.all(r["sent_seconds"][turns][1:] >= r["finished_seconds"][turns][:-1])
    assert r["cached_tokens"][:4].tolist() == [0, 336, 496, 640]  # (300 + 50 − 1) // 16 blocks, and so on
    assert 400 / r["sent_seconds"].max() == pytest.approx(5, rel=0.2)


def test_routing_by_prefix_finds_more():
    traffic = simple_traffic(ClosedLoop(concurrency=16), 600, 20, PrefixGroups(tokens=512, groups=32))
    spec = EngineSpec(steps=Linear(), kv_blocks=900)
    rates = {
        routing: simulate(traffic, spec, replicas=4, routing=routing, num_prompts=800).summary().prefix_hit_rate
        for routing in ("round-robin", "prefix-aware")
    }
    assert rates["prefix-aware"] > rates["round-robin"] + 0.2


def test_round_robin_and_least_loaded_spread_the_requests():
    traffic = simple_traffic(ClosedLoop(concurrency=16), 100, 20)
    for routing in ("round-robin", "least-loaded"):
        found = simulate(traffic, EngineSpec(steps=Linear(), kv_blocks=900), replicas=4, routing=routing, num_prompts=400)
        assert np.bincount(found.requests["replica"]).tolist() == pytest.approx([100] * 4, abs=5)


def test_trace_keys_are_shared_pieces():
    trace = Trace(
        source="test", arrival_seconds=(0.0, 1.0, 2.0), input_tokens=(1000, 1100, 600), output_tokens=(5, 5, 5),
        prefix_keys=((1, 2), (1, 2, 3), (1, 9)), piece_tokens=512,
    )  # fmt: skip
    traffic = Traffic(arrivals=TraceTimes(), trace=trace)
    found = simulate(traffic, EngineSpec(steps=Linear(), kv_blocks=900), num_prompts=3).requests
    assert found["cached_tokens"].tolist() == [0, 992, 512]


def test_stored_results_never_reach_the_engine():
    kind = RequestClass(input_tokens=Fixed(100), output_tokens=Fixed(50))
    traffic = Traffic(arrivals=OpenLoop(requests_per_second=10), classes=(kind,), result_cache_hit_rate=0.3)
    result = simulate(traffic, EngineSpec(steps=Linear(), kv_blocks=900), num_prompts=2000)
    assert result.summary().result_cache_hits == pytest.approx(600, rel=0.1)
    assert result.replicas[0].output_tokens == 50 * (2000 - result.summary().result_cache_hits)


@pytest.mark.parametrize("before", [True, False])
def test_one_disaggregated_request_is_prefill_transfer_and_decode(before):
    steps = Linear()
    spec = EngineSpec(steps=steps, kv_blocks=900, front_end_seconds=0.02)
    transfer = KvTransfer(seconds_per_token=1e-5, latency_seconds=2e-3, before_first_token=before)
    traffic = simple_traffic(ClosedLoop(concurrency=1), 1000, 30)
    summary = simulate_disaggregated(traffic, spec, spec, transfer=transfer, num_prompts=1).summary()
    prefill, moved = 0.02 + steps.seconds(0, 0, 1000, 0, 1), 2e-3 + 1e-2
    decode = sum(steps.seconds(1, 1000 + step, 0, 0, 0) for step in range(29))
    assert summary.ttft.mean == pytest.approx(prefill + (moved if before else 0.0))
    assert summary.e2e.mean == pytest.approx(prefill + moved + decode)


def test_the_pool_ratio_moves_the_bottleneck():
    spec = EngineSpec(steps=Linear(), kv_blocks=20000)
    prompts = simple_traffic(ClosedLoop(concurrency=128), 4000, 20)
    rates = {
        ratio: simulate_disaggregated(prompts, spec, spec, prefill_replicas=ratio[0], decode_replicas=ratio[1], num_prompts=600)
        .summary().requests_per_second
        for ratio in ((1, 3), (3, 1))
    }  # fmt: skip
    assert rates[3, 1] > 2 * rates[1, 3]


def test_pools_keep_decode_steps_free_of_prompts():
    traffic = simple_traffic(OpenLoop(requests_per_second=15), 1000, 100)
    spec = EngineSpec(steps=Linear(), kv_blocks=20000)
    together = simulate(traffic, spec, replicas=2, num_prompts=500).summary()
    apart = simulate_disaggregated(traffic, spec, spec, num_prompts=500).summary()
    assert apart.itl.p99 < 0.3 * together.itl.p99
