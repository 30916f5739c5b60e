"""Disaggregated pools in closed form against their simulation."""

from __future__ import annotations

from typing import Any

import pytest

from llmsizer.catalog.catalog import load_catalog
from llmsizer.core.explain import plain
from llmsizer.question.resolve import resolve
from llmsizer.question.words import Words
from llmsizer.simulation.asked import Asked, pools_of, simulate_question

CASES: list[tuple[int, int, dict[str, Any]]] = [
    (1, 1, {"request_rate": 4.0, "input_tokens": 1000, "output_tokens": 200}),
    (1, 4, {"request_rate": 12.0, "input_tokens": "lognormal:3000:0.6:8000", "output_tokens": 100}),
    (2, 1, {"request_rate": 30.0, "input_tokens": 500, "output_tokens": "50..150"}),
    (2, 4, {"concurrency": 4, "input_tokens": 300, "output_tokens": "40..80"}),
    (1, 2, {"concurrency": 64, "input_tokens": "3000..4000", "output_tokens": 50}),  # the prefill pool is full
]


@pytest.mark.parametrize(("prefill", "decode", "load"), CASES, ids=str)
def test_pools_agree_with_their_simulation(prefill: int, decode: int, load: dict[str, Any]) -> None:
    words = Words(model="llama-3.1-8b", hardware="h100", max_model_len=16384, **load)
    asked = Asked(num_prompts=1500, seed=1, prefill_replicas=prefill, decode_replicas=decode)
    catalog = load_catalog()
    found = pools_of(resolve(words, catalog).case, asked)
    steady = simulate_question(words, asked, catalog)[0].steady()
    assert steady is not None
    assert steady.tpot is not None
    assert steady.ttft is not None
    rate = load.get("request_rate", steady.requests_per_second)
    assert float(plain(found.rate)) == pytest.approx(rate, rel=0.05)
    assert float(plain(found.tpot_seconds)) == pytest.approx(steady.tpot.mean, rel=0.07)
    assert float(plain(found.ttft_seconds)) == pytest.approx(steady.ttft.mean, rel=0.2)
