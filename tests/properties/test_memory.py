"""What must hold of memory whatever is asked."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import pytest
from cases import answered, asked, catalog, words
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import llmsizer
from llmsizer.catalog.formats import number_formats, quantization_scheme
from llmsizer.core.explain import plain
from llmsizer.sizing.weights import checkpoint_bytes

SOME = settings(max_examples=120)
PARTS = ("weights_bytes", "activation_bytes", "non_torch_bytes", "cuda_graph_bytes", "kv_cache_bytes", "unused_bytes")
ROUNDING = 1e-9


def capacity(estimate: llmsizer.Estimate) -> float:
    return float(plain(estimate.memory.kv_capacity_tokens))


@SOME
@given(words())
def test_parts_sum_to_the_capacity(given: dict[str, Any]):
    device = answered(given).memory.per_gpu
    assert sum(plain(getattr(device, part)) for part in PARTS) == pytest.approx(plain(device.capacity_bytes), rel=ROUNDING)
    assert all(plain(getattr(device, part)) >= 0 for part in PARTS if part != "unused_bytes")
    assert plain(device.budget_bytes) <= plain(device.capacity_bytes) + 1


@SOME
@given(words())
def test_what_fits_leaves_nothing_negative(given: dict[str, Any]):
    estimate = answered(given)
    assert estimate.fits == (not estimate.reasons)
    if estimate.fits:
        assert plain(estimate.memory.per_gpu.unused_bytes) >= -1
        assert plain(estimate.memory.shortfall_bytes) <= 0
    else:
        assert plain(estimate.memory.shortfall_bytes) > 0
        assert estimate.to_dict()["throughput"] == estimate.to_dict()["latency"] == {}


@SOME
@given(words())
def test_every_number_is_finite_and_serialises(given: dict[str, Any]):
    told = answered(given).to_dict()
    text = json.dumps(told, allow_nan=False)
    assert json.dumps(json.loads(text)) == text


@SOME
@given(words(), st.integers(2, 64))
def test_the_cache_of_a_sequence_grows_with_its_length(given: dict[str, Any], times: int):
    """A shorter length never has fewer sequences at once."""
    given.pop("output_tokens", None)
    given |= {"input_tokens": 500, "max_num_batched_tokens": 2048, "concurrency": 1}
    short = answered(given | {"max_model_len": 1024})
    long = asked(**given | {"max_model_len": 1024 * times})
    assume(long is not None)
    assert long is not None
    assert plain(long.memory.max_concurrency_at_max_model_len) <= plain(short.memory.max_concurrency_at_max_model_len) * (
        1 + ROUNDING
    )


@SOME
@given(words(tensor_parallel_size=1), st.sampled_from([2, 4, 8]))
def test_shards_are_no_less_than_the_whole(given: dict[str, Any], ranks: int):
    given = {
        key: value
        for key, value in given.items()
        if key not in {"data_parallel_size", "pipeline_parallel_size", "enable_expert_parallel"}
    }
    whole, shard = answered(given), asked(**given | {"tensor_parallel_size": ranks})
    assume(shard is not None)
    assert shard is not None
    one, each = plain(whole.memory.per_gpu.weights_bytes), plain(shard.memory.per_gpu.weights_bytes)
    assert each * ranks >= one * (1 - 1e-4)
    assert each <= one * (1 + 1e-4) + 64 * 2**20
    token = plain(whole.memory.kv_bytes_per_token_per_gpu)
    assert plain(shard.memory.kv_bytes_per_token_per_gpu) * ranks >= token * (1 - 1e-3)


@pytest.mark.parametrize("model", ["qwen3-30b-a3b", "Qwen/Qwen3-Next-80B-A3B-Instruct", "llama-3.1-70b"])
@pytest.mark.parametrize("ranks", [2, 4, 8])
def test_shards_of_a_gguf_file_keep_its_formats(model: str, ranks: int):
    """A file is quantised before it is split: narrow shards do not change what its tensors are stored in."""
    one, each = (
        asked(model=model, hardware="h200", engine="vllm", quantization="Q4_K_M", tensor_parallel_size=size)
        for size in (1, ranks)
    )
    assert one is not None
    if each is not None:
        assert plain(each.memory.per_gpu.weights_bytes) * ranks <= 1.1 * plain(one.memory.per_gpu.weights_bytes)


@SOME
@given(words(), st.floats(0.3, 0.9), st.floats(0.0, 0.09))
def test_a_larger_memory_fraction_never_holds_less(given: dict[str, Any], fraction: float, more: float):
    less = answered(given | {"gpu_memory_utilization": fraction})
    greater = answered(given | {"gpu_memory_utilization": fraction + more})
    assert capacity(greater) >= capacity(less)
    assert greater.fits >= less.fits


@SOME
@given(words(), st.integers(1, 60))
def test_a_larger_device_never_holds_less(given: dict[str, Any], gib: int):
    device = catalog().accelerator(given["hardware"])
    larger = replace(device, usable_memory=float(device.usable_memory) + gib * 2**30)
    given["engine"] = given.get("engine") or "vllm"
    given["gpu_memory_utilization"] = 0.85
    given["max_num_batched_tokens"], given["max_num_seqs"] = 2048, 64
    less, greater = answered(given | {"hardware": device}), answered(given | {"hardware": larger})
    assert capacity(greater) >= capacity(less)


@SOME
@given(words())
def test_a_narrower_cache_holds_no_less(given: dict[str, Any]):
    wide = answered(given | {"kv_cache_dtype": "bf16"})
    narrow = asked(**given | {"kv_cache_dtype": "fp8"})
    assume(narrow is not None)
    assert narrow is not None
    assert plain(narrow.memory.kv_bytes_per_token_per_gpu) <= plain(wide.memory.kv_bytes_per_token_per_gpu) * (1 + ROUNDING)
    assert capacity(narrow) >= capacity(wide)


@SOME
@given(words(), st.sampled_from([("bf16", "fp8"), ("bf16", "awq"), ("fp8", "awq"), ("Q8_0", "Q4_K_M"), ("bf16", "Q8_0")]))
def test_narrower_weights_are_no_larger(given: dict[str, Any], schemes: tuple[str, str]):
    wide, narrow = (asked(**given | {"quantization": scheme}) for scheme in schemes)
    assume(wide is not None and narrow is not None)
    assert wide is not None
    assert narrow is not None
    assert plain(narrow.memory.per_gpu.weights_bytes) <= plain(wide.memory.per_gpu.weights_bytes)


@pytest.mark.parametrize("rate", [0.1, 10.0, 1000.0])
def test_an_overload_has_numbers_all_the_same(rate: float):
    found = asked(model="llama-3.1-8b", hardware="h100", request_rate=rate)
    assert found is not None
    json.dumps(found.to_dict(), allow_nan=False)


@settings(max_examples=60)
@given(words())
def test_the_longest_context_fits_and_one_block_more_does_not(given: dict[str, Any]):
    """``max_context_tokens`` is tried out: a workload of that length fits, of a block more it does not."""
    for key in ("max_model_len", "max_num_batched_tokens", "output_tokens", "concurrency", "request_rate", "block_size"):
        given.pop(key, None)
    given |= {"engine": given.get("engine") or "vllm", "max_num_batched_tokens": 2048, "max_num_seqs": 1, "output_tokens": 1}
    estimate = answered(given | {"input_tokens": 16})
    longest, most = int(plain(estimate.memory.max_context_tokens)), estimate.case.model.max_position_embeddings
    assume(estimate.fits and estimate.case.engine.kv_layout == "paged" and longest > 32)
    assert most is None or longest <= most
    if longest < 2**31:
        at_most = asked(**given | {"input_tokens": longest - 1, "max_model_len": longest})
        assert at_most is not None
        assert at_most.fits
        beyond = longest + 2 * int(plain(estimate.case.block_size)) * int(plain(estimate.case.parallel.data_parallel_size))
        if most is None or beyond <= most:
            more = asked(**given | {"input_tokens": beyond - 1, "max_model_len": beyond})
            assert more is None or not more.fits


@SOME
@given(words())
def test_whole_sequences_find_room(given: dict[str, Any]):
    """Sequences of the workload that are said to fit take no more than the tokens that are said to fit."""
    memory = answered(given | {"input_tokens": 1000, "output_tokens": 200}).memory
    concurrency, slots = plain(memory.max_concurrency_at_workload), plain(memory.kv_slots)
    assert math.floor(concurrency) * 1200 <= slots * (1 + ROUNDING) + 1
    if memory.fits and concurrency:
        assert concurrency >= 1 - ROUNDING


@SOME
@given(words(concurrency="max"))
def test_as_many_as_fit_is_at_least_one_and_at_most_what_the_engine_takes(given: dict[str, Any]):
    estimate = answered(given)
    if estimate.fits:
        found = estimate.to_dict()["question"]["concurrency"]
        ranks = int(plain(estimate.case.parallel.data_parallel_size))
        assert 1 <= found <= max(1, int(plain(estimate.case.max_num_seqs)) * ranks)


@pytest.mark.parametrize("scheme", ["bf16", "fp8", "awq", "nvfp4", "Q4_K_M", "Q8_0", "nf4-dq"])
def test_checkpoints_lie_between_what_formats_allow(scheme: str):
    for name in ("llama-3.1-8b", "qwen3-30b-a3b", "deepseek-v3", "gemma-3-27b-it"):
        model = catalog().model(name)
        native = number_formats()[model.torch_dtype]
        size = plain(checkpoint_bytes(model, quantization_scheme(scheme), native))
        assert 0.4 * plain(checkpoint_bytes(model, quantization_scheme("bf16"), native)) / 2 < size
        assert size <= plain(checkpoint_bytes(model, quantization_scheme("bf16"), native))
