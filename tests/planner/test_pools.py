"""Separate pools for prefill and decode: against a search by hand, the closed form of both, and their simulation."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import pytest

import llmsizer
from llmsizer.core.errors import LlmsizerError
from llmsizer.core.explain import plain
from llmsizer.planner.plan import Plan
from llmsizer.question.classes import mix_of
from llmsizer.question.resolve import resolve
from llmsizer.question.words import Words
from llmsizer.sizing.memory import memory_estimate
from llmsizer.sizing.pools import Disaggregated, transfer_seconds

DEVICES = ("h100-sxm5-80gb", "l40s")
PRICE = 2.0
PROMPT, ANSWER, RATE = 3000, 128, 12.0


def plan(**words: Any) -> Plan:
    asked = {
        "request_rate": RATE, "input_tokens": PROMPT, "output_tokens": ANSWER, "targets": {"ttft": "900 ms", "tpot": "14 ms"},
        "hardware": list(DEVICES), "formats": "auto", "most_devices": 1, "price": f"{PRICE} USD/h", "headroom": 0.2,
        "disaggregated": True, "confirm": False,
    }  # fmt: skip
    return llmsizer.plan("llama-3.1-8b", **{**asked, **words})


def most_by_hand(device: str, meets: Callable[[Any], bool], **words: Any) -> float:
    low, high = 0.01, 300.0
    for _ in range(40):
        middle = math.sqrt(low * high)
        found = llmsizer.estimate("llama-3.1-8b", device, input_tokens=PROMPT, request_rate=middle, engine="vllm", **words)
        low, high = (middle, high) if found.speed.waiting == 0 and meets(found) else (low, middle)  # type: ignore[union-attr]
    return low


@pytest.mark.parametrize("devices", [DEVICES, ("h100-sxm5-80gb",)], ids=len)
def test_brute_force_finds_the_same_pools(devices: tuple[str, ...], catalog: llmsizer.Catalog) -> None:
    cost, found = math.inf, plan(hardware=list(devices), price=None).pools[0]
    prices = {pool.estimate.case.accelerator.id: pool.usd_per_hour / pool.devices for pool in (found.prefill, found.decode)}
    for first, second in itertools.product(prices, prices):
        reader, writer = (
            resolve(Words(model="llama-3.1-8b", hardware=name, engine="vllm"), catalog).case for name in (first, second)
        )
        receiver = (writer, memory_estimate(writer))
        transfer = float(plain(transfer_seconds(reader, memory_estimate(reader), float(PROMPT), receiver)))
        answers = most_by_hand(
            second, lambda each: each.latency.tpot_p95_seconds <= 0.014, output_tokens=ANSWER, prefix_cache_hit_rate=1.0
        )
        decoding = math.ceil(RATE / (0.8 * answers))
        load = llmsizer.estimate(
            "llama-3.1-8b",
            second,
            input_tokens=PROMPT,
            output_tokens=ANSWER,
            prefix_cache_hit_rate=1.0,
            request_rate=RATE / decoding,
        )
        left = 0.9 - transfer - float(writer.engine.front_end_sequence_seconds) * float(load.speed.others)  # type: ignore[union-attr]
        prompts = most_by_hand(first, lambda each, left=left: each.latency.ttft_p95_seconds <= left, output_tokens=1)
        cost = min(cost, math.ceil(RATE / (0.8 * prompts)) * prices[first] + decoding * prices[second])
    assert found.usd_per_hour == pytest.approx(cost)


def test_the_times_are_those_of_both_pools_in_closed_form(catalog: llmsizer.Catalog) -> None:
    found = plan(hardware=["h100"], request_rate=4, targets={"ttft_mean": "900 ms", "tpot_mean": "14 ms", "e2e_mean": "10 s"})
    pools = found.pools[0]
    case = resolve(
        Words(model="llama-3.1-8b", hardware="h100", engine="vllm", input_tokens=PROMPT, output_tokens=ANSWER), catalog
    ).case
    whole = Disaggregated(case, memory_estimate(case), pools.prefill.replicas, pools.decode.replicas).at_rate(4.0)
    for margin in pools.margins:
        assert margin.estimated == pytest.approx(float(plain(getattr(whole, margin.target.figure))), rel=0.06)


def test_pools_are_confirmed_by_their_simulation() -> None:
    for pools in plan(confirm=True, price=None, targets={"ttft": "900 ms", "tpot": "14 ms", "e2e": "3 s"}).pools:
        assert all(margin.simulated is not None for margin in pools.margins)
        assert pools.is_confirmed
        assert pools.usd_per_hour == pytest.approx(pools.prefill.usd_per_hour + pools.decode.usd_per_hour)


def test_tight_decoding_needs_pools() -> None:
    """Where prompts of others make every step too long, only pools meet the target: the plan is then theirs."""
    found = plan(hardware=["h100"], targets={"ttft": "900 ms", "tpot_p99": "9 ms"}, formats="auto", request_rate=20)
    assert found.pools
    assert found.meets_targets
    assert found.best is None or found.usd_per_hour == found.best.usd_per_hour
    assert found.to_dict()["pools"][0]["prefill"]["replicas"] >= 1


def test_limits_bind_both_pools_together() -> None:
    whole = plan().pools[0]
    assert all(each.devices <= whole.devices for each in plan(most_devices_in_all=whole.devices).pools)
    assert not plan(most_devices_in_all=1).pools


def test_without_the_word_there_are_none() -> None:
    assert not plan(disaggregated=False).pools


@pytest.mark.parametrize(
    "words", [{"request_rate": None, "concurrency": 10}, {"by": "ttft", "most_devices_in_all": 8}, {"output_tokens": 1}]
)
def test_what_pools_cannot_be_sized_by_is_refused(words: dict[str, Any]) -> None:
    with pytest.raises(LlmsizerError, match="disaggregated"):
        plan(**words)


def test_pools_of_classes_and_of_a_daily_demand() -> None:
    mix = mix_of(["chat:share=0.7,isl=800..1000,osl=200", "docs:share=0.3,isl=4000,osl=100"])
    lengths = {"input_tokens": None, "output_tokens": None, "workload": mix}
    whole = plan(**lengths, targets={"ttft": "900 ms", "tpot": "20 ms"}).pools[0]
    daily = plan(
        **lengths, targets={"ttft": "900 ms", "tpot": "20 ms"}, request_rate=None, demand=[1.0] * 12 + [RATE] * 12
    ).pools[0]
    assert daily.usd_per_hour <= whole.usd_per_hour
    assert (daily.prefill.replicas, daily.decode.replicas) == (whole.prefill.replicas, whole.decode.replicas)
