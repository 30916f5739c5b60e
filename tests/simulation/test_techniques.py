"""Speculation, pools and techniques on and off, asked as questions."""

from __future__ import annotations

from typing import Any

import pytest

import llmsizer
from llmsizer.core.errors import InvalidQuestion, UnknownName
from llmsizer.core.explain import plain
from llmsizer.question.words import Words
from llmsizer.simulation.asked import Asked, pools_of, yields_of
from llmsizer.simulation.techniques import gains, techniques
from llmsizer.simulation.yields import StepCounter

DRAFT = {"method": "eagle", "num_speculative_tokens": 3, "acceptance": 0.7}
WORDS: dict[str, Any] = {"model": "llama-3.1-8b", "hardware": "h100", "max_model_len": 4096}


def test_drawn_steps_yield_what_the_acceptance_says() -> None:
    yields = (0.3, 0.21, 0.147, 0.343)
    steps = StepCounter(yields).steps(100_000)
    assert 100_000 / steps == pytest.approx(1 + 0.7 + 0.49 + 0.343, rel=0.01)
    assert StepCounter((1.0,)).steps(17) == 17


def test_chances_of_a_draft_sum_to_one() -> None:
    case = llmsizer.estimate(**WORDS, speculative=DRAFT).case
    assert sum(yields_of(case.draft)) == pytest.approx(1.0)
    assert yields_of(None) == (1.0,)


@pytest.mark.parametrize("concurrency", [1, 16])
def test_speculation_is_simulated_as_estimated(concurrency: int) -> None:
    words = {**WORDS, "speculative": DRAFT, "input_tokens": "400..600", "output_tokens": "200..300", "concurrency": concurrency}
    latency = llmsizer.estimate(**words).latency
    result = llmsizer.simulate(**words, num_prompts=20 * concurrency + 100)
    steady = result.steady()
    assert latency is not None
    assert steady is not None
    assert steady.tpot is not None
    assert steady.tpot.mean == pytest.approx(float(plain(latency.tpot_seconds)), rel=0.03)
    assert (result.requests["delivered_tokens"] == result.requests["output_tokens"]).all()


def test_speculation_survives_a_cache_that_is_too_small() -> None:
    words = {**WORDS, "speculative": DRAFT, "input_tokens": 500, "output_tokens": 300, "concurrency": 30}
    result = llmsizer.simulate(**words, num_prompts=90, engine_settings={"kv_blocks": 300})
    assert result.summary().preemptions > 0
    assert (result.requests["delivered_tokens"] == 300).all()


def test_pools_in_closed_form_and_simulated() -> None:
    words = {**WORDS, "input_tokens": "500..1500", "request_rate": 15.0}
    asked = Asked(prefill_replicas=1, decode_replicas=2)
    pools = pools_of(llmsizer.estimate(**words).case, asked)
    steady = llmsizer.simulate(**words, prefill_replicas=1, decode_replicas=2, num_prompts=1000).steady()
    assert steady is not None
    assert steady.ttft is not None
    assert steady.tpot is not None
    assert float(plain(pools.ttft_seconds)) == pytest.approx(steady.ttft.mean, rel=0.15)
    assert float(plain(pools.tpot_seconds)) == pytest.approx(steady.tpot.mean, rel=0.05)
    assert pools.highest_rate > 15
    assert 0 < pools.ratio < 10


def test_more_prefill_replicas_never_slow_the_first_token() -> None:
    case = llmsizer.estimate(**WORDS, request_rate=15.0).case
    times = [float(plain(pools_of(case, Asked(prefill_replicas=count, decode_replicas=1)).ttft_seconds)) for count in (1, 2, 4)]
    assert times == sorted(times, reverse=True)


def test_gains_are_told_beside_the_claims() -> None:
    words = Words(**WORDS, concurrency=32, input_tokens="200..600", output_tokens="50..250")
    found = gains(words, Asked(num_prompts=200), ["all"], llmsizer.load_catalog())
    by_name = {gain.name: gain for gain in found}
    assert set(by_name) == set(techniques()) - {"speculation"}
    batching = by_name["continuous-batching"]
    assert batching.throughput > 1.1
    assert batching.claim["low"] == 2
    assert by_name["prefix-caching"].throughput == pytest.approx(1.0)  # nothing is shared


def test_mistakes_in_techniques() -> None:
    catalog = llmsizer.load_catalog()
    with pytest.raises(UnknownName, match="technique"):
        gains(Words(**WORDS), Asked(num_prompts=2), ["flash"], catalog)
    with pytest.raises(InvalidQuestion, match="does not use it"):
        gains(Words(**WORDS), Asked(num_prompts=2), ["speculation"], catalog)
