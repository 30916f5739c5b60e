"""The closed-form hit rate of prefix groups against the simulated one."""

from __future__ import annotations

from typing import Any

import pytest

import llmsizer
from llmsizer.core.explain import plain
from llmsizer.question.classes import mix_of
from llmsizer.schema.workload import ClosedLoop, Fixed, OpenLoop, PrefixGroups, RequestClass, Traffic, Uniform

PLACE = ("llama-3.1-8b", "l40s")


def traffic(groups: int, skew: float, arrivals: Any = None) -> Traffic:
    kind = RequestClass(
        input_tokens=Uniform(2200, 2600), output_tokens=Fixed(100),
        sharing=PrefixGroups(tokens=2048, groups=groups, skew=skew),
    )  # fmt: skip
    return Traffic(arrivals=arrivals or OpenLoop(requests_per_second=2.0), classes=(kind,))


def hits(groups: int, skew: float, **words: Any) -> float:
    estimate = llmsizer.estimate(*PLACE, workload=traffic(groups, skew, words.pop("arrivals", None)), **words)
    return float(plain(estimate.case.workload.prefix_cache_hit_rate))


@pytest.mark.parametrize(("groups", "skew"), [(20, 0.0), (100, 0.0), (100, 1.0), (400, 0.0), (400, 1.0)])
def test_hit_rate_agrees_with_the_simulation(groups: int, skew: float) -> None:
    steady = llmsizer.simulate(*PLACE, workload=traffic(groups, skew), num_prompts=6 * groups + 800, seed=2).steady()
    assert steady is not None
    assert hits(groups, skew) == pytest.approx(steady.prefix_hit_rate, abs=0.03)


def test_hit_rate_agrees_in_a_closed_loop() -> None:
    users = ClosedLoop(concurrency=16)
    steady = llmsizer.simulate(*PLACE, workload=traffic(200, 0.7, users), num_prompts=1600, seed=2).steady()
    assert steady is not None
    assert hits(200, 0.7, arrivals=users) == pytest.approx(steady.prefix_hit_rate, abs=0.03)


def test_hit_rate_falls_with_the_working_set_and_rises_with_the_cache() -> None:
    found = [hits(groups, 0.8) for groups in (1, 10, 100, 1000, 100_000)]
    assert found == sorted(found, reverse=True)
    assert found[0] > 0.8
    assert found[-1] < 0.2
    assert hits(100, 0.0, gpu_memory_utilization=0.6) < hits(100, 0.0, gpu_memory_utilization=0.95)


def test_a_given_hit_rate_stands() -> None:
    assert hits(1000, 0.0, prefix_cache_hit_rate=0.25) == 0.25


def test_the_hit_rate_is_in_the_answer_and_swept_alike() -> None:
    mix = mix_of(["docs:isl=2400,osl=100,prefix=2048,groups=300"])
    estimate = llmsizer.estimate(*PLACE, workload=mix, concurrency=8)
    rate = estimate.to_dict()["load"]["prefix_cache_hit_rate"]
    assert 0 < rate < 2048 / 2400
    swept = llmsizer.sweep(*PLACE, workload=mix, concurrency=[8, 16, 24])
    assert swept["load.prefix_cache_hit_rate"][0] == pytest.approx(rate, abs=1e-3)
    assert estimate.value("latency.ttft_seconds").number == pytest.approx(float(plain(estimate.latency.ttft_seconds)))
