"""The closed form against the simulation of the same engine and traffic."""

from __future__ import annotations

import random
from statistics import median
from typing import Any

import pytest

import llmsizer
from llmsizer.core.explain import plain

DEVICES = [("llama-3.1-8b", "h100", 1), ("llama-3.1-70b", "h200", 4), ("qwen3-30b-a3b", "h100", 1), ("qwen3-32b", "b200", 2)]


def cases(count: int, seed: int) -> list[dict[str, Any]]:
    """Random deployments and loads, seeded."""
    draw = random.Random(seed)
    found = []
    for _ in range(count):
        model, device, tensor = draw.choice(DEVICES)
        words: dict[str, Any] = {
            "model": model, "hardware": device, "tensor_parallel_size": tensor,
            "input_tokens": draw.choice([128, 512, 1024, 4096]), "output_tokens": draw.choice([64, 256, 512]),
        }  # fmt: skip
        if draw.random() < 0.5:
            words["concurrency"] = draw.choice([1, 4, 16, 64])
        else:
            words["request_rate"] = draw.choice([0.1, 0.5, 1.0, 2.0])
        found.append(words)
    return found


def compared(words: dict[str, Any]) -> dict[str, float] | None:
    """Relative differences of closed form and simulated steady state; None beyond 85 % utilisation."""
    drawn = words | {name: f"{int(0.8 * words[name])}..{words[name]}" for name in ("input_tokens", "output_tokens")}
    mean = words | {name: round(0.9 * words[name]) for name in ("input_tokens", "output_tokens")}
    estimate = llmsizer.estimate(**mean)
    speed = estimate.speed
    if speed is None or float(plain(speed.waiting)) > 0.5:
        return None
    result = llmsizer.simulate(**drawn, num_prompts=800, seed=1)
    steady = result.steady() or result.summary()
    assert steady.ttft is not None
    assert steady.tpot is not None
    rate = float(plain(speed.throughput.requests_per_second))
    # The number of arrivals in an open loop is drawn: only its mean is the rate.
    sent = steady.requests_per_second if "concurrency" in words else rate
    return {
        "rate": rate / sent - 1,
        "tpot": float(plain(speed.latency.tpot_seconds)) / steady.tpot.mean - 1,
        "ttft": float(plain(speed.latency.ttft_seconds)) / steady.ttft.mean - 1,
        "ttft p95": float(plain(speed.latency.ttft_p95_seconds)) / steady.ttft.p95 - 1,
        "tpot p95": float(plain(speed.latency.tpot_p95_seconds)) / steady.tpot.p95 - 1,
    }


BARS = [("rate", 0.03), ("tpot", 0.05), ("ttft", 0.15), ("ttft p95", 0.25), ("tpot p95", 0.25)]


@pytest.mark.parametrize(("name", "most"), BARS)
def test_closed_form_agrees_with_the_simulation(name: str, most: float, differences: list[dict[str, float]]) -> None:
    assert median(abs(each[name]) for each in differences) <= most


@pytest.fixture(scope="module")
def differences() -> list[dict[str, float]]:
    return [found for words in cases(16, seed=7) if (found := compared(words)) is not None]


def test_one_request_alone_is_the_unloaded_estimate() -> None:
    words = {"model": "llama-3.1-8b", "hardware": "h100", "input_tokens": 1000, "output_tokens": 100, "concurrency": 1}
    latency = llmsizer.estimate(**words).latency
    result = llmsizer.simulate(**words, num_prompts=1, exact=True).summary()
    assert latency is not None
    assert result.ttft is not None
    assert result.tpot is not None
    assert result.ttft.mean == pytest.approx(plain(latency.ttft_seconds), rel=1e-6)
    assert result.tpot.mean == pytest.approx(plain(latency.tpot_seconds), rel=2e-3)
