"""Sensitivities: each input alone, a tenth lower and higher."""

from __future__ import annotations

from typing import Any

import pytest

import llmsizer
from llmsizer.catalog.catalog import Catalog
from llmsizer.planner.advice.advise import sensitivities
from llmsizer.planner.advice.figures import judged
from llmsizer.planner.sensitivity import INPUTS, Effect
from llmsizer.question.ask import ask
from llmsizer.question.words import Words
from llmsizer.sizing.memory import memory_estimate

SPLIT = {"model": "llama-3.1-70b", "hardware": "h100", "tensor_parallel_size": 4, "concurrency": 32}


def found(catalog: Catalog, **words: Any) -> dict[str, Effect]:
    asked = Words(**words)
    return {each.input: each for each in sensitivities(asked, ask(asked, catalog))}


@pytest.mark.parametrize("name", list(INPUTS))
@pytest.mark.parametrize("quantization", [None, "fp8", "awq"])
def test_a_factor_of_one_changes_nothing(catalog: Catalog, name: str, quantization: str | None):
    words = Words(**SPLIT, quantization=quantization, prefix_cache_hit_rate=0.5, speculative="ngram")
    case = ask(words, catalog).case
    changed = INPUTS[name](case, 1.0)
    assert changed is not None
    assert judged(changed, words, 10.0) == pytest.approx(judged(case, words, 10.0), rel=1e-12)


@pytest.mark.parametrize("quantization", [None, "fp8", "awq", "Q4_K_M"])
def test_weights_grow_by_what_is_stored(catalog: Catalog, quantization: str | None):
    engine = "llama.cpp" if quantization == "Q4_K_M" else "vllm"
    case = llmsizer.estimate("llama-3.1-8b", "h100", engine=engine, quantization=quantization, catalog=catalog).case
    before, after = (
        memory_estimate(each).per_gpu.weights_bytes for each in (case, INPUTS["weight bytes"](case, 1.1)) if each is not None
    )
    assert after / before == pytest.approx(1.1, rel=1e-2)


def test_a_price_moves_the_cost_and_nothing_else(catalog: Catalog):
    price = found(catalog, **SPLIT)["price"]
    assert price.higher == pytest.approx(
        {"ttft_seconds": 1.0, "tpot_seconds": 1.0, "requests_per_second": 1.0, "usd_per_request": 1.1}
    )
    assert price.lower["usd_per_request"] == pytest.approx(0.9)


def test_what_helps_helps(catalog: Catalog):
    by_input = found(catalog, **SPLIT)
    for name in ("memory bandwidth", "peak compute", "link bandwidth"):
        assert by_input[name].higher["tpot_seconds"] < 1 < by_input[name].lower["tpot_seconds"], name
    for name in ("weight bytes", "KV cache bytes", "host and engine time"):
        assert by_input[name].higher["tpot_seconds"] > 1 > by_input[name].lower["tpot_seconds"], name
    assert by_input["weight bytes"].higher["tpot_seconds"] < 1.1


def test_inputs_that_a_deployment_does_not_have_are_left_out(catalog: Catalog):
    alone = found(catalog, model="llama-3.1-8b", hardware="h100")
    assert not {"link bandwidth", "acceptance of guesses", "prefix cache hit rate"} & set(alone)
    speculating = found(catalog, model="llama-3.1-8b", hardware="h100", speculative="ngram", prefix_cache_hit_rate=0.3)
    assert speculating["acceptance of guesses"].higher["tpot_seconds"] < 1
    assert speculating["prefix cache hit rate"].higher["ttft_seconds"] < 1


def test_the_largest_comes_first(catalog: Catalog):
    asked = Words(**SPLIT)
    sizes = [each.largest for each in sensitivities(asked, ask(asked, catalog))]
    assert sizes == sorted(sizes, reverse=True)


def test_without_a_price_there_is_no_cost(catalog: Catalog):
    by_input = found(catalog, model="llama-3.1-8b", hardware="gh200", concurrency=4)
    known = llmsizer.estimate("llama-3.1-8b", "gh200", concurrency=4, catalog=catalog).cost
    priced = known is not None and known.to_dict()["usd_per_hour"] is not None
    assert ("price" in by_input) == priced
