"""The checklist: every entry has its function, every figure its source, and every effect is an estimate asked anew."""

from __future__ import annotations

import re
from typing import Any

import pytest

import llmsizer
from llmsizer.catalog.catalog import Catalog
from llmsizer.catalog.package_data import package_data
from llmsizer.catalog.techniques import EFFORTS, NO_FIGURE, SAME_ANSWERS, techniques
from llmsizer.core.errors import InvalidQuestion, LlmsizerError
from llmsizer.planner.advice.advise import Advice, Effect, advise
from llmsizer.planner.advice.asked import FUNCTIONS, Asked
from llmsizer.planner.advice.figures import BENEFITS, figures_of
from llmsizer.question.ask import ask
from llmsizer.question.words import Words

USUAL = {"model": "llama-3.1-70b", "hardware": "h100", "tensor_parallel_size": 4, "concurrency": 32}


def advice_for(catalog: Catalog, by: str | None = None, **words: Any) -> Advice:
    return advise(Words(**words), catalog, by)


def effects(advice: Advice) -> dict[str, Effect]:
    return {each.technique.id: each for each in advice.effects}


def reasons(advice: Advice) -> dict[str, str]:
    return {each.technique.id: each.reason for each in advice.idle}


@pytest.fixture(scope="module")
def usual(catalog: Catalog) -> Advice:
    return advice_for(catalog, **USUAL)


def test_every_entry_has_its_function_and_every_function_its_entry():
    assert set(techniques()) == set(FUNCTIONS)
    assert all(function.__doc__ for function in FUNCTIONS.values())


@pytest.mark.parametrize("name", list(techniques()))
def test_what_is_said_of_the_answers_is_published_or_said_to_be_unknown(name: str):
    one = techniques()[name]
    assert one.effort in EFFORTS
    if one.quality in (NO_FIGURE, SAME_ANSWERS) or not re.search(r"\d", one.quality):
        return
    assert one.source is not None
    assert one.source.date
    assert one.url.startswith("https://")


def test_nothing_but_published_figures_has_no_assumed_source():
    for name, entry in package_data("techniques.yaml")["techniques"].items():
        assumed = techniques()[name].source is not None and techniques()[name].source.tier == "assumed"
        assert not assumed or entry.get("assumed"), name


def test_each_technique_is_answered_once(usual: Advice):
    assert sorted([*effects(usual), *reasons(usual)]) == sorted(techniques())
    assert all(reasons(usual).values())


def test_an_effect_is_what_the_changed_question_gives(usual: Advice, catalog: Catalog):
    for effect in usual.effects:
        again = figures_of(ask(effect.change.words, catalog), effect.change.replicas, effect.change.reached)
        assert again == effect.figures, effect.technique.id


@pytest.mark.parametrize("by", list(BENEFITS))
def test_effects_are_sorted_by_what_was_asked(catalog: Catalog, by: str):
    gains = [each.benefit for each in advice_for(catalog, by, **USUAL).effects]
    assert all(gain is not None for gain in gains)
    assert gains == sorted(gains, reverse=True)


def test_what_is_on_already_is_not_tried(catalog: Catalog):
    found = reasons(
        advice_for(
            catalog, model="llama-3.1-8b", hardware="h100", quantization="fp8", kv_cache_dtype="fp8", concurrency=8,
            prefix_cache_hit_rate=0.5, speculative={"method": "ngram"},
        )
    )  # fmt: skip
    for name in ("fp8_weights", "fp8_cache", "prefix_caching", "ngram_speculation", "draft_speculation", "kv_cache",
                 "paged_attention", "continuous_batching", "chunked_prefill", "cuda_graphs", "flash_attention",
                 "flash_decoding", "kernel_fusion", "grouped_query"):  # fmt: skip
        assert found[name].startswith("already on"), name


def test_what_an_engine_lacks_another_is_asked_for(catalog: Catalog):
    words = {"model": "llama-2-7b", "hardware": "a100", "engine": "transformers", "concurrency": 4}
    found = effects(advice_for(catalog, **words, flash_attention=False))
    assert found["paged_attention"].change.flags == found["continuous_batching"].change.flags == "-e vllm"
    assert found["kernel_fusion"].change.flags == "-e torch"
    assert "flash_attention" in found
    assert found["grouped_query"].change.words.model == "meta-llama/Meta-Llama-3-8B"


def test_graphs_are_asked_for_where_they_are_off(catalog: Catalog):
    advice = advice_for(catalog, model="llama-3.2-1b", hardware="b200", concurrency=1, enforce_eager=True)
    effect = effects(advice)["cuda_graphs"]
    assert effect.change.flags == "without --enforce-eager"
    assert effect.figures.tpot_seconds < advice.figures.tpot_seconds


def test_no_fp8_where_the_device_has_no_kernels(catalog: Catalog):
    found = reasons(advice_for(catalog, model="llama-3.1-8b", hardware="v100", concurrency=1, max_model_len=4096))
    assert "compute capability" in found["fp8_weights"]


def test_a_price_changes_nothing_but_cost(usual: Advice):
    before, spot = usual.figures.to_dict(), effects(usual)["spot"].figures.to_dict()
    assert spot["usd_per_request"] < before["usd_per_request"]
    assert {name for name in before if before[name] != spot[name]} == {"usd_per_hour", "usd_per_request"}


def test_owned_devices_have_no_market(catalog: Catalog):
    found = reasons(advice_for(catalog, model="llama-3.1-8b", hardware="h100", concurrency=8, price="owned"))
    assert found["spot"] == found["reserved"] == "the devices are owned"


def test_own_price_is_not_taken_for_another_device(catalog: Catalog):
    found = effects(advice_for(catalog, model="llama-3.1-8b", hardware="h100", concurrency=8, price="2 USD/h"))
    assert found["another_device"].change.words.price is None


def test_replicas_share_devices_and_load(catalog: Catalog):
    advice = advice_for(catalog, model="llama-3.1-8b", hardware="h100", tensor_parallel_size=4, concurrency=64)
    effect = effects(advice)["replicas"]
    size, copies = effect.change.words.tensor_parallel_size, effect.change.replicas
    assert size * copies == 4
    assert effect.change.words.concurrency == 64 // copies
    assert effect.figures.devices == 4
    alone = ask(effect.change.words, catalog)
    assert effect.figures.requests_per_second == pytest.approx(copies * alone.throughput.requests_per_second)


def test_stored_answers_spare_the_engine_their_share(usual: Advice):
    after = effects(usual)["result_cache"].figures
    assert after.requests_per_second == pytest.approx(usual.figures.requests_per_second / 0.9)
    assert after.tpot_seconds == usual.figures.tpot_seconds


def test_an_open_loop_is_judged_by_the_load_it_bears(catalog: Catalog):
    advice = advice_for(catalog, model="llama-3.1-8b", hardware="l40s", request_rate=2)
    assert advice.figures.requests_per_second > 2
    assert "request rate sets the batch" in reasons(advice)["larger_batch"]
    assert effects(advice)["result_cache"].change.words.request_rate == pytest.approx(1.8)


def test_a_deployment_that_does_not_fit_is_told_what_would(catalog: Catalog):
    advice = advice_for(catalog, model="llama-3.1-70b", hardware="h100", concurrency=8)
    assert advice.figures.ttft_seconds is None
    assert not advice.sensitivities
    for effect in advice.effects:
        assert ask(effect.change.words, catalog).fits, effect.technique.id
    assert {"int4_weights", "tensor_parallel_up", "another_device"} <= set(effects(advice))
    assert reasons(advice)["fp8_cache"] == "it still does not fit with --kv-cache-dtype fp8"


def test_the_size_of_a_question_decides_what_can_be_tried(catalog: Catalog):
    found = reasons(advice_for(catalog, model="mamba-2.8b", hardware="h100", concurrency=8))
    assert "no cache that grows" in found["fp8_cache"]


def test_an_unknown_figure_to_sort_by_is_refused(catalog: Catalog):
    with pytest.raises(InvalidQuestion, match="--by"):
        advice_for(catalog, "beauty", **USUAL)


ODD = [
    {"model": "gpt-oss-120b", "hardware": "mi300x", "request_rate": 1.5},
    {"model": "deepseek-r1", "hardware": "h200", "tensor_parallel_size": 8, "concurrency": "max"},
    {"model": "llama-3.1-8b", "hardware": "m2-ultra@64GiB", "quantization": "Q4_K_M"},
    {"model": "llama-3.1-8b", "hardware": "tpu-v5e", "concurrency": 4},
    {"model": "whisper-large-v3", "hardware": "l4", "input_tokens": 256},
    {"model": "llama-3.1-8b", "hardware": "l40s", "request_rate": 500},
    {"model": "llama-3.1-8b", "hardware": "h100", "engine": "torch", "batching": "static", "concurrency": 4},
    {"model": "mixtral-8x7b", "hardware": "a100", "tensor_parallel_size": 2, "transform": "prune:2:4", "concurrency": 16},
    {"model": "llama-3.1-70b", "hardware": "h100", "tensor_parallel_size": 2, "offload": {"weights": 0.2}, "concurrency": 1},
]  # fmt: skip


@pytest.mark.parametrize("words", ODD, ids=lambda words: f"{words['model']}-{words['hardware']}")
def test_odd_deployments(catalog: Catalog, words: dict[str, Any]):
    try:
        llmsizer.estimate(catalog=catalog, **words)
    except LlmsizerError:
        pytest.fail("the test asks what cannot be")
    advice = advice_for(catalog, **words)
    assert len(advice.effects) + len(advice.idle) == len(techniques())


def test_asked_knows_its_case(usual: Advice, catalog: Catalog):
    asked = Asked(Words(**USUAL), usual.estimate, catalog, techniques()["fp8_weights"])
    assert asked.case is usual.estimate.case
