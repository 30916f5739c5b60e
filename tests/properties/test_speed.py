"""What must hold of speed whatever is asked: physics, Little's law, and that more is no slower."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from cases import answered, asked, catalog, words
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import llmsizer
from llmsizer.core.explain import plain

SOME = settings(max_examples=60)
SLACK = 1 + 1e-6


def speed(given: dict[str, Any]) -> llmsizer.Estimate:
    estimate = answered(given)
    assume(estimate.speed is not None)
    return estimate


@SOME
@given(words())
def test_end_to_end_and_interval(given: dict[str, Any]):
    told = speed(given).to_dict()
    latency, question = told["latency"], told["question"]
    # Percentiles that hold an endless queue are null.
    assert all(value > 0 if value is not None else "_p" in name for name, value in latency.items())
    expected = latency["ttft_seconds"] + (question["output_tokens"] - 1) * latency["tpot_seconds"]
    assert latency["e2e_seconds"] == pytest.approx(expected, rel=0.02)
    for name in ("ttft", "tpot"):
        low, high = told["evidence"][f"{name}_interval_seconds"]
        assert low <= latency[f"{name}_seconds"] <= high


@SOME
@given(words(), st.integers(1, 64))
def test_littles_law(given: dict[str, Any], concurrency: int):
    given.pop("request_rate", None)
    told = speed(given | {"concurrency": concurrency}).to_dict()
    inside = told["throughput"]["requests_per_second"] * told["latency"]["e2e_seconds"]
    # A request is told the times of the fullest attention rank.
    ranks = given.get("data_parallel_size", 1)
    fullest = -(-concurrency // ranks) * ranks
    assert 0.95 * concurrency <= inside <= 1.05 * fullest


@SOME
@given(words())
def test_rates_agree(given: dict[str, Any]):
    told = speed(given).to_dict()
    rate, question = told["throughput"], told["question"]
    assert rate["output_tokens_per_second"] == pytest.approx(rate["requests_per_second"] * question["output_tokens"])
    assert rate["output_tokens_per_second_per_gpu"] * question["devices"] == pytest.approx(rate["output_tokens_per_second"])
    whole = rate["requests_per_second"] * (question["output_tokens"] + question["input_tokens"])
    assert rate["total_tokens_per_second"] == pytest.approx(whole)


@SOME
@given(words())
def test_no_phase_beats_the_device(given: dict[str, Any]):
    told = speed(given).to_dict()
    for phase in ("prefill", "decode"):
        assert told[phase]["step_seconds"] > 0
        assert told[phase]["flop_utilization"] <= SLACK
        assert told[phase]["bandwidth_utilization"] <= SLACK
        assert told[phase]["bound"] in {"compute", "memory", "interconnect", "overhead"}
        assert sum(each["share"] for each in told[phase]["operations"]) == pytest.approx(1, rel=1e-6)


@SOME
@given(words(), st.floats(1.1, 3.0))
def test_more_bandwidth_is_never_slower(given: dict[str, Any], times: float):
    """A static batch alone; under load a faster device admits more at once."""
    for key in ("request_rate", "concurrency", "engine"):
        given.pop(key, None)
    device = catalog().accelerator(given["hardware"])
    faster = replace(device, memory_bandwidth=float(device.memory_bandwidth) * times)
    slow, fast = speed(given | {"hardware": device, "concurrency": 1}), asked(**given | {"hardware": faster, "concurrency": 1})
    assert fast is not None
    assert fast.latency is not None
    assert slow.latency is not None
    assert plain(fast.latency.tpot_seconds) <= plain(slow.latency.tpot_seconds) * SLACK


@SOME
@given(words())
def test_ideal_is_never_slower(given: dict[str, Any]):
    given.pop("request_rate", None)
    real = speed(given | {"concurrency": 1})
    ideal = asked(**given | {"concurrency": 1, "calibration": "ideal"})
    assert ideal is not None
    assert ideal.latency is not None
    assert real.latency is not None
    assert plain(ideal.latency.tpot_seconds) <= plain(real.latency.tpot_seconds) * SLACK


@SOME
@given(words(), st.integers(2, 64))
def test_more_requests_at_once_are_each_no_faster(given: dict[str, Any], times: int):
    given.pop("request_rate", None)
    alone, many = speed(given | {"concurrency": 2}), speed(given | {"concurrency": 2 * times})
    first, second = alone.to_dict(), many.to_dict()
    assert second["latency"]["e2e_seconds"] >= first["latency"]["e2e_seconds"] / (1 + 1e-3)


@SOME
@given(words())
def test_cost_of_all_requests_is_the_cost_of_the_fleet(given: dict[str, Any]):
    estimate = speed(given)
    told = estimate.to_dict()
    cost = told["cost"]
    if cost.get("usd_per_request") is None:
        return
    rate = told["throughput"]["requests_per_second"]
    assert cost["usd_per_request"] * rate * 3600 == pytest.approx(cost["usd_per_hour"], rel=1e-6)
