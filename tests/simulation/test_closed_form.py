"""The closed form against the simulation of the same engine and traffic."""

from __future__ import annotations

import random
from statistics import median
from typing import Any

import pytest

import llmsizer
from llmsizer.core.explain import plain

DEVICES = [("llama-3.1-8b", "h100", 1), ("llama-3.1-70b", "h200", 4), ("qwen3-32b", "b200", 2)]
POLICIES = ["in-flight", "continuous", "static", "dynamic"]
LAWS = ["fixed", "narrow", "lognormal"]


def lengths(law: str, mean: int) -> int | str:
    if law == "fixed":
        return mean
    return f"{int(0.8 * mean)}..{mean}" if law == "narrow" else f"lognormal:{mean}:0.6:{6 * mean}"


def cases(count: int, seed: int) -> list[dict[str, Any]]:
    """Random deployments and loads, seeded; every policy and law as often as the others."""
    draw = random.Random(seed)
    found = []
    for place in range(count):
        model, device, tensor = draw.choice(DEVICES)
        law = LAWS[place % len(LAWS)]
        words: dict[str, Any] = {
            "model": model, "hardware": device, "tensor_parallel_size": tensor, "batching": POLICIES[place % len(POLICIES)],
            "input_tokens": lengths(law, draw.choice([128, 512, 1024])), "max_model_len": 16384,
            "output_tokens": lengths(law, draw.choice([64, 256])), "batch_window_seconds": 0.1,
        }  # fmt: skip
        if draw.random() < 0.5:
            words["concurrency"] = draw.choice([1, 4, 16])
        else:
            words["request_rate"] = draw.choice([0.5, 1.0, 2.0])
        found.append(words)
    return found


def compared(words: dict[str, Any]) -> dict[str, float] | None:
    """Relative differences of closed form and simulated steady state; None where the load is too high."""
    speed = llmsizer.estimate(**words).speed
    if speed is None or float(plain(speed.waiting)) > 0.5:
        return None
    steady = llmsizer.simulate(**words, num_prompts=600, seed=1).steady()
    assert steady is not None
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
        "e2e p95": float(plain(speed.latency.e2e_p95_seconds)) / steady.e2e.p95 - 1 if steady.e2e else 0.0,
    }


BARS = [("rate", 0.03), ("tpot", 0.05), ("ttft", 0.15), ("ttft p95", 0.25), ("tpot p95", 0.25), ("e2e p95", 0.25)]


@pytest.mark.parametrize(("name", "most"), BARS)
def test_closed_form_agrees_with_the_simulation(name: str, most: float, differences: list[dict[str, float]]) -> None:
    sizes = sorted(abs(each[name]) for each in differences)
    assert median(sizes) <= most / 2
    assert sizes[int(0.8 * len(sizes))] <= most


@pytest.fixture(scope="module")
def differences() -> list[dict[str, float]]:
    return [found for words in cases(24, seed=7) if (found := compared(words)) is not None]


@pytest.mark.parametrize(("prompt", "answer"), [(1000, 100), (100, 2000), (6000, 2)])
def test_one_request_alone_is_the_unloaded_estimate(prompt: int, answer: int) -> None:
    words = {"model": "llama-3.1-8b", "hardware": "h100", "input_tokens": prompt, "output_tokens": answer, "concurrency": 1}
    latency = llmsizer.estimate(**words).latency
    assert latency is not None
    for exact in (True, False):
        result = llmsizer.simulate(**words, num_prompts=1, exact=exact).summary()
        assert result.ttft is not None
        assert result.tpot is not None
        assert result.ttft.mean == pytest.approx(plain(latency.ttft_seconds), rel=1e-9)
        assert result.tpot.mean == pytest.approx(plain(latency.tpot_seconds), rel=1e-6)


TURNS = [{"output_tokens": 1}, {"output_tokens": 1, "input_tokens": 20000}, {"max_num_seqs": 1, "output_tokens": 32}]
TURNS += [{"max_num_seqs": 1, "output_tokens": "10..60"}]


@pytest.mark.parametrize("words", TURNS, ids=str)
@pytest.mark.parametrize("load", [0.2, 0.6])
def test_requests_served_in_turns(words: dict[str, Any], load: float) -> None:
    """One-token answers and engines with one place: nothing ever decodes beside anything."""
    most = llmsizer.estimate("llama-3.1-8b", "h100", request_rate=1e4, **words).throughput
    assert most is not None
    rate = load * most.requests_per_second
    latency = llmsizer.estimate("llama-3.1-8b", "h100", request_rate=rate, **words).latency
    steady = llmsizer.simulate("llama-3.1-8b", "h100", request_rate=rate, num_prompts=3000, **words).steady()
    assert latency is not None
    assert steady is not None
    assert steady.ttft is not None
    assert latency.ttft_seconds == pytest.approx(steady.ttft.mean, rel=0.12)
    assert latency.ttft_p95_seconds == pytest.approx(steady.ttft.p95, rel=0.25)


@pytest.mark.parametrize("answers", [32, "10..60"])
@pytest.mark.parametrize("load", [0.02, 0.1, 0.4])
def test_most_requests_find_an_idle_engine_with_one_place(answers: int | str, load: float) -> None:
    """The wait is none for most requests at a low load; the time per token never depends on other requests."""
    words: dict[str, Any] = {"model": "llama-3.1-8b", "hardware": "h100", "max_num_seqs": 1, "output_tokens": answers}
    most = llmsizer.estimate(request_rate=1e4, **words).throughput.requests_per_second
    latency = llmsizer.estimate(request_rate=load * most, **words).latency
    steady = llmsizer.simulate(request_rate=load * most, num_prompts=3000, **words).steady()
    assert latency.ttft_p50_seconds == pytest.approx(steady.ttft.p50, rel=0.05)
    assert latency.ttft_p95_seconds == pytest.approx(steady.ttft.p95, rel=0.1)
    assert latency.e2e_p95_seconds == pytest.approx(steady.e2e.p95, rel=0.1)
    assert latency.tpot_p95_seconds == pytest.approx(steady.tpot.p95, rel=0.01)


@pytest.mark.parametrize("words", TURNS, ids=str)
def test_turns_are_derived_and_swept_alike(words: dict[str, Any]) -> None:
    for load in ({"request_rate": 0.1}, {"request_rate": 1e4}, {"concurrency": 12}):
        estimate = llmsizer.estimate("llama-3.1-8b", "h100", **words, **load)
        number = float(plain(estimate.latency.ttft_p95_seconds))
        assert estimate.value("latency.ttft_p95_seconds").number == pytest.approx(number, rel=1e-9)
        name, value = next(iter(load.items()))
        swept = llmsizer.sweep("llama-3.1-8b", "h100", **words, **{name: [value, 2 * value]})
        shown = float("inf") if value == 1e4 else number  # in a sweep, as in JSON, nothing bounds the wait in an endless queue
        assert swept["latency.ttft_p95_seconds"][0] == pytest.approx(shown, rel=1e-6)


@pytest.mark.parametrize("batching", POLICIES)
def test_derivations_come_to_the_same_numbers(batching: str) -> None:
    for load in ({"concurrency": 8}, {"request_rate": 2.0}, {"concurrency": 8, "output_tokens": "100..300"}):
        estimate = llmsizer.estimate("llama-3.1-8b", "h100", batching=batching, **load)
        for name in ("ttft_seconds", "tpot_p95_seconds", "e2e_p95_seconds"):
            number = float(plain(getattr(estimate.latency, name)))
            assert estimate.value(f"latency.{name}").number == pytest.approx(number, rel=1e-9)


@pytest.mark.parametrize("batching", POLICIES)
def test_a_higher_rate_is_never_faster(batching: str) -> None:
    window = 0.0
    found = [
        llmsizer.estimate("llama-3.1-8b", "h100", batching=batching, request_rate=rate, batch_window_seconds=window).latency
        for rate in (0.1, 0.5, 1.0, 2.0, 3.0)
    ]
    for name in ("ttft_seconds", "tpot_seconds", "e2e_seconds"):
        times = [float(plain(getattr(latency, name))) for latency in found]
        assert times == sorted(times)


def test_users_who_think_load_the_engine_less() -> None:
    words = {"model": "llama-3.1-8b", "hardware": "h100", "concurrency": 20}
    busy, idle = llmsizer.estimate(**words), llmsizer.estimate(**words, think_seconds=5.0)
    assert busy.speed is not None
    assert idle.speed is not None
    assert idle.speed.running < busy.speed.running
    simulated = llmsizer.simulate(**words, think_seconds=5.0, num_prompts=600).steady()
    assert simulated is not None
    assert simulated.requests_per_second == pytest.approx(float(plain(idle.speed.throughput.requests_per_second)), rel=0.05)


@pytest.mark.parametrize("batching", ["static", "dynamic"])
@pytest.mark.parametrize(("users", "think"), [(2, 1.0), (16, 0.5), (16, 20.0), (32, 4.0)])
def test_users_who_think_in_whole_batches(batching: str, users: int, think: float) -> None:
    words = {"model": "llama-3.1-8b", "hardware": "h100", "concurrency": users, "think_seconds": think, "batching": batching,
             "input_tokens": 800, "output_tokens": "80..100", "batch_window_seconds": 0.2}  # fmt: skip
    estimate = llmsizer.estimate(**words)
    steady = llmsizer.simulate(**words, num_prompts=1500, seed=1).steady()
    latency, rates = estimate.latency, estimate.throughput
    assert steady is not None
    assert float(plain(rates.requests_per_second)) == pytest.approx(steady.requests_per_second, rel=0.12)
    assert float(plain(latency.tpot_seconds)) == pytest.approx(steady.tpot.mean, rel=0.06)
    assert float(plain(latency.ttft_seconds)) == pytest.approx(steady.ttft.mean, rel=0.2)
    in_flight = float(plain(estimate.speed.running)) + float(plain(estimate.speed.waiting))
    assert in_flight <= users
    assert estimate.value("latency.ttft_seconds").number == pytest.approx(float(plain(latency.ttft_seconds)), rel=1e-9)
    swept = llmsizer.sweep(**{**words, "concurrency": [users, 2 * users]})
    assert swept["latency.ttft_seconds"][0] == pytest.approx(float(plain(latency.ttft_seconds)), rel=1e-3)


def test_a_run_that_starts_at_once_waits_longer_on_average_not_in_its_median() -> None:
    words = {"model": "llama-3.1-8b", "hardware": "h100", "concurrency": 64, "input_tokens": "819..1024",
             "output_tokens": "205..256"}  # fmt: skip
    steady, finite = (llmsizer.estimate(**words, num_prompts=prompts).latency for prompts in (None, 640))
    assert steady is not None
    assert finite is not None
    whole = llmsizer.simulate(**words, num_prompts=640).summary()
    assert whole.ttft is not None
    assert finite.ttft_seconds > 1.3 * float(plain(steady.ttft_seconds))
    assert finite.ttft_seconds == pytest.approx(whole.ttft.mean, rel=0.25)
    assert finite.ttft_p50_seconds == pytest.approx(whole.ttft.p50, rel=0.25)


@pytest.mark.parametrize("batching", ["static", "dynamic"])
def test_a_batch_of_one_never_waits_for_a_longer_answer(batching: str) -> None:
    """Its time per token hardly varies, however unlike the answers are."""
    latency = llmsizer.estimate(
        "llama-3.1-8b", "h100", concurrency=1, batching=batching, input_tokens=500, output_tokens="lognormal:200:0.6:1600"
    ).latency
    assert latency is not None
    assert latency.tpot_p99_seconds == pytest.approx(latency.tpot_seconds, rel=0.05)
