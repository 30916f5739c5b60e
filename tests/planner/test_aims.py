"""What a plan can be ranked by beside the cost: against searches by hand."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest

import llmsizer
from llmsizer.core.errors import LlmsizerError
from llmsizer.planner.plan import Plan

BUDGET = 12.0


def plan(**words: Any) -> Plan:
    asked = {"hardware": ["l40s"], "most_devices": 2, "formats": "auto", "confirm": False, "price": "1 USD/h", "headroom": 0.2}
    return llmsizer.plan("llama-3.1-8b", **{**asked, **words})


SPLITS = ((1, 1), (2, 1), (1, 2))


def asked(split: tuple[int, int], rate: float) -> Any:
    tensor, stages = split
    sizes = {"tensor_parallel_size": tensor, "pipeline_parallel_size": stages}
    return llmsizer.estimate("llama-3.1-8b", "l40s", request_rate=rate, engine="vllm", **sizes)


def split_of(found: Any) -> tuple[int, int]:
    parallel = found.estimate.case.parallel
    return parallel.tensor_parallel_size, parallel.pipeline_parallel_size


@pytest.mark.parametrize("by", ["ttft", "tpot", "e2e"])
def test_the_fastest_under_a_budget(by: str) -> None:
    found = plan(by=by, request_rate=6, most_usd_per_hour=f"{BUDGET} USD/h").best
    assert found is not None
    times = {}
    for split in SPLITS:
        for replicas in range(1, int(BUDGET) // math.prod(split) + 1):
            estimate = asked(split, 6 / replicas)
            if estimate.speed.waiting == 0:
                times[split, replicas] = float(getattr(estimate.latency, f"{by}_seconds"))
    best = min(times.values())
    split = split_of(found)
    assert times[split, found.replicas] <= 1.02 * best
    assert found.usd_per_hour <= BUDGET
    fewer = [replicas for (size, replicas), time in times.items() if size == split and time <= 1.005 * best]
    assert found.replicas <= max(min(fewer) * 1.5, 1)


def test_the_most_that_given_devices_bear() -> None:
    found = plan(by="throughput", most_devices_in_all=4, targets={"tpot": "40 ms"}).best
    assert found is not None
    by_hand = {}
    for split in SPLITS:
        low, high = 0.01, 100.0
        for _ in range(40):
            middle = math.sqrt(low * high)
            estimate = asked(split, middle)
            meets = estimate.latency.tpot_p95_seconds <= 0.04 and estimate.speed.waiting == 0
            low, high = (middle, high) if meets else (low, middle)
        by_hand[split] = 0.8 * low * (4 // math.prod(split))
    split, most = max(by_hand.items(), key=lambda pair: pair[1])
    assert split_of(found) == split
    assert found.borne == pytest.approx(most, rel=0.06)
    assert found.devices == 4
    assert found.estimate.case.request_rate == pytest.approx(found.borne / found.replicas)


def test_a_load_that_the_simulation_refuses_is_lowered() -> None:
    found = plan(by="throughput", most_devices_in_all=2, targets={"tpot_p99": "40 ms"}, confirm=True, headroom=0.0).best
    assert found is not None
    assert found.is_confirmed or "less load" in found.notes[0]
    assert found.devices <= 2


def test_corrections_stay_within_the_limits() -> None:
    tight = {"ttft_p99": "200 ms", "tpot": "30 ms"}
    for pick in plan(request_rate=10, most_devices_in_all=5, targets=tight, confirm=True, headroom=0.0).picks:
        assert pick.devices <= 5


def test_the_smallest_that_runs_it_at_all() -> None:
    found = llmsizer.plan("llama-3.1-70b", by="devices", concurrency=1, vendors="NVIDIA", confirm=False, picks=3)
    assert found.best is not None
    sizes = [(pick.devices, pick.estimate.case.accelerator.memory_capacity) for pick in found.picks]
    assert sizes == sorted(sizes)
    fewest = min(row["devices"] for row in found.alternatives)
    assert found.best.devices == fewest


@pytest.mark.parametrize("limit", [{"most_usd_per_hour": "7.9 USD/h"}, {"most_watts": "3 kW"}, {"most_devices_in_all": 7}])
def test_no_limit_is_exceeded(limit: dict[str, Any]) -> None:
    words = {"hardware": ["l40s", "h100"], "price": None, "picks": 5, **limit}
    for by, demand in itertools.product(("ttft", "throughput"), ({"request_rate": 2}, {"concurrency": 10})):
        for pick in plan(by=by, **demand, **words).picks:
            assert pick.devices <= limit.get("most_devices_in_all", 1000)
            assert pick.usd_per_hour <= (7.9 if "most_usd_per_hour" in limit else 1e9)
            assert pick.devices * (pick.estimate.case.accelerator.board_power or 0) <= (3000 if "most_watts" in limit else 1e9)


def test_more_money_is_never_slower() -> None:
    times = [
        plan(by="ttft", request_rate=6, most_usd_per_hour=f"{budget} USD/h").best.estimate.latency.ttft_seconds  # type: ignore[union-attr]
        for budget in (4, 8, 16)
    ]
    assert all(later <= 1.02 * earlier for earlier, later in itertools.pairwise(times))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ({"by": "latency", "request_rate": 1}, "latency"),
        ({"by": "ttft", "request_rate": 1}, "--budget"),
        ({"by": "ttft", "most_devices_in_all": 4}, "traffic"),
        ({"by": "throughput"}, "--quota"),
        ({"by": "throughput", "request_rate": 1, "concurrency": 1, "most_devices_in_all": 4}, "one of"),
    ],
)
def test_mistakes_say_what_is_expected(words: dict[str, Any], told: str) -> None:
    with pytest.raises(LlmsizerError) as error:
        plan(**words)
    assert told in str(error.value)
