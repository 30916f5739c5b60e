"""Causes are named when, and only when, the numbers support them.

Most logs here are rendered from an estimate with one thing changed, so that the tests do not depend
on the constants of engine profiles.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

import llmsizer
from llmsizer.core.quantities import GIB
from llmsizer.doctor import Diagnosis, diagnose, parse_log
from llmsizer.doctor.causes import CAUSES, NOT_EXPLAINED
from llmsizer.doctor.figures import TITLES

Render = Callable[..., str]
OLD = ("meta-llama/Llama-3.1-8B", "rtx-3090", "0.8.5", "v0", 8192)
NEW = ("Qwen/Qwen3-8B", "h100-sxm5-80gb", "0.11.0", "v1", 32768)


def cause(diagnosis: Diagnosis, figure: str) -> str:
    row = diagnosis.row(figure)
    assert row is not None
    return row.cause


def diagnosed(text: str, catalog: llmsizer.Catalog, **given: Any) -> Diagnosis:
    return diagnose(parse_log(text), catalog, **given)


@pytest.mark.parametrize("setup", [OLD, NEW])
def test_the_estimates_own_figures_agree(rendered: Render, catalog: llmsizer.Catalog, setup: tuple[Any, ...]) -> None:
    diagnosis = diagnosed(rendered(*setup), catalog, hardware=setup[1])
    assert [row.figure for row in diagnosis.rows if not row.agrees] == []
    assert all(row.cause == "" for row in diagnosis.rows)
    assert diagnosis.agrees


def test_an_unnamed_number_of_sequences(rendered: Render, catalog: llmsizer.Catalog) -> None:
    text = rendered(*OLD, max_num_seqs=96, gpu_memory_utilization=0.9)
    diagnosis = diagnosed(text, catalog, hardware="rtx-3090", max_num_batched_tokens=512)
    assert "max_num_seqs" in cause(diagnosis, "activation") or "max_num_batched_tokens" in cause(diagnosis, "activation")
    named = diagnosed(text, catalog, hardware="rtx-3090", max_num_seqs=96)
    assert cause(named, "activation") == ""


def test_the_default_of_another_device(rendered: Render, catalog: llmsizer.Catalog) -> None:
    text = rendered(*NEW, max_num_seqs=256, gpu_memory_utilization=0.9, extra=", gpu_memory_utilization=0.9")
    diagnosis = diagnosed(text, catalog, hardware="h100")
    assert "max_num_seqs 256" in cause(diagnosis, "overheads")
    assert cause(diagnosis, "kv_cache").startswith("follows from the activations and other overheads")


def test_an_unnamed_fraction(rendered: Render, catalog: llmsizer.Catalog) -> None:
    default = diagnosed(rendered(*NEW, gpu_memory_utilization=0.92), catalog, hardware="h100")
    assert "0.92, the default of other versions" in cause(default, "kv_cache")
    other = diagnosed(rendered(*NEW, gpu_memory_utilization=0.61), catalog, hardware="h100")
    assert "0.61 would give it" in cause(other, "kv_cache")
    assert cause(other, "kv_tokens") == "follows from the KV cache"
    assert cause(other, "concurrency") == "follows from the KV cache capacity"
    named = diagnosed(rendered(*NEW, gpu_memory_utilization=0.61), catalog, hardware="h100", gpu_memory_utilization=0.61)
    assert cause(named, "kv_cache") == ""


def test_a_card_of_another_size(rendered: Render, catalog: llmsizer.Catalog) -> None:
    text = rendered("Qwen/Qwen3-8B", "rtx-a6000", "0.11.0", "v1", 32768, max_num_seqs=256, extra=", max_num_seqs=256")
    assert "rtx-a6000" in cause(diagnosed(text, catalog, hardware="h100", max_num_batched_tokens=2048), "kv_cache")
    old = diagnosed(rendered(*OLD), catalog, hardware="h100")
    assert "check --gpu" in cause(old, "device_total")


def test_another_total(rendered: Render, catalog: llmsizer.Catalog) -> None:
    text = rendered(*OLD, shown={"total": 23.3, "cache": 4.0})
    assert "differ by a percent or two" in cause(diagnosed(text, catalog, hardware="rtx-3090"), "device_total")


def test_another_version(rendered: Render, catalog: llmsizer.Catalog) -> None:
    text = rendered(
        *NEW, max_num_seqs=1024, extra=", max_num_seqs=1024, gpu_memory_utilization=0.9, max_num_batched_tokens=8192"
    )
    unnamed = text.replace("(v0.11.0)", "(vnext)").replace("LLM engine (vnext) with config:", "non-default args:")
    diagnosis = diagnosed(unnamed.replace(" GiB and", " GiB memory and"), catalog, hardware="h100")
    assert diagnosis.origins["engine"] == "assumed"
    assert "fits the constants of vllm@" in cause(diagnosis, "overheads")


def test_a_cache_in_eight_bits(rendered: Render, catalog: llmsizer.Catalog) -> None:
    diagnosis = diagnosed(rendered(*NEW, kv_cache_dtype="fp8"), catalog, hardware="h100")
    assert "--kv-cache-dtype fp8" in cause(diagnosis, "bytes_per_token")
    assert cause(diagnosis, "kv_tokens") == "follows from the KV bytes per token"


def test_weights_of_another_format(rendered: Render, catalog: llmsizer.Catalog) -> None:
    text = rendered(*NEW, quantization="awq").replace("quantization=None", "quantization=compressed-tensors")
    diagnosis = diagnosed(text, catalog, hardware="h100")
    assert "add -q" in cause(diagnosis, "weights")
    sure = diagnosed(text.replace("compressed-tensors", "None"), catalog, hardware="h100")
    assert cause(sure, "weights") == NOT_EXPLAINED  # the log says it is not quantized


def test_offload_drafts_and_adapters(rendered: Render, catalog: llmsizer.Catalog) -> None:
    whole = rendered(*NEW)
    weights = llmsizer.estimate(NEW[0], NEW[1], engine="vllm@0.11.0", catalog=catalog).memory.per_gpu.weights_bytes / GIB
    less = rendered(*NEW, shown={"weights": weights - 4}, extra=", cpu_offload_gb=4")
    assert "host memory" in cause(diagnosed(less, catalog, hardware="h100"), "weights")
    speculative = ", speculative_config=SpeculativeConfig(method='eagle3', model='acme/draft', num_spec_tokens=3)"
    draft = rendered(*NEW, shown={"weights": weights + 0.8}, extra=speculative)
    assert "acme/draft" in cause(diagnosed(draft, catalog, hardware="h100"), "weights")
    slots = rendered(*NEW, adapters={"count": 4, "rank": 64}) + "\nnon-default args: {'enable_lora': True}"
    assert "256 ranks" in cause(diagnosed(slots, catalog, hardware="h100"), "weights")
    named = slots.replace("True}", "True, 'max_loras': 4, 'max_lora_rank': 64}")
    assert cause(diagnosed(named, catalog, hardware="h100"), "weights") == ""
    assert "dynamic mix" in cause(
        diagnosed(whole.replace("Qwen/Qwen3-8B'", "x/Qwen3-8B-unsloth-bnb-4bit'").replace("=None", "=bitsandbytes").replace(
            f"took {weights:.4f}", "took 7.0000"), catalog, hardware="h100"), "weights")  # fmt: skip


def test_multi_token_prediction(rendered: Render, catalog: llmsizer.Catalog) -> None:
    text = rendered(
        "deepseek-ai/DeepSeek-V3", "h200", "0.11.0", "v1", 32768, tensor_parallel_size=8, speculative={"method": "mtp"}
    )
    assert "--speculative mtp" in cause(diagnosed(text, catalog, hardware="h200"), "weights")
    named = text.replace(
        ", quantization=None", ", speculative_config=SpeculativeConfig(method='deepseek_mtp', num_spec_tokens=1)"
    )
    assert cause(diagnosed(named, catalog, hardware="h200"), "weights") == ""


def test_other_processes(rendered: Render, catalog: llmsizer.Catalog) -> None:
    fraction = ", gpu_memory_utilization=0.9"
    text = rendered(*NEW, extra=fraction)
    cache = parse_log(text).kv_cache_bytes
    assert cache is not None
    text = rendered(*NEW, extra=fraction, shown={"cache": cache / GIB - 9})
    text += "DEBUG [gpu_worker.py:180] Initial free memory: 70.00 GiB; Requested memory: 0.9 (util), 71.26 GiB"
    assert "in use by others" in cause(diagnosed(text, catalog, hardware="h100"), "overheads")


def test_ranks(rendered: Render, catalog: llmsizer.Catalog) -> None:
    text = rendered(*NEW)
    reading = parse_log(text)
    assert reading.kv_cache_bytes is not None
    smallest = reading.kv_cache_bytes - 3 * GIB
    reading = replace(reading, kv_cache_bytes=smallest, kv_cache_by_rank=(smallest, reading.kv_cache_bytes))
    assert "the smallest rules" in cause(diagnose(reading, catalog, hardware="h100"), "kv_cache")


def test_a_pool_of_fixed_size(rendered: Render, catalog: llmsizer.Catalog) -> None:
    text = rendered(*NEW, shown={"cache": 20.0, "tokens": 145_632}) + "\nnon-default args: {'num_gpu_blocks_override': 9102}"
    assert "num_gpu_blocks_override" in cause(diagnosed(text, catalog, hardware="h100"), "kv_cache")


def test_rounded_fractions(rendered: Render, catalog: llmsizer.Catalog) -> None:
    text = rendered(*OLD, gpu_memory_utilization=0.7957, shown={"fraction": 0.79})
    assert "prints rounded" in cause(diagnosed(text, catalog, hardware="rtx-3090"), "kv_cache")


def test_layers_of_a_draft(rendered: Render, catalog: llmsizer.Catalog) -> None:
    text = rendered(*NEW, extra=", speculative_config=SpeculativeConfig(method='eagle3', model='acme/draft')")
    reading = parse_log(text)
    assert reading.kv_tokens is not None
    reading = replace(reading, kv_tokens=reading.kv_tokens * 36 // 37)
    assert "1 more layer" in cause(diagnose(reading, catalog, hardware="h100"), "bytes_per_token")


def test_a_printed_figure_that_is_no_capacity(rendered: Render, catalog: llmsizer.Catalog) -> None:
    setup = ("google/gemma-3-27b-it", "h100-sxm5-80gb", "0.20.0", "v1", 131072)
    few = {"max_num_batched_tokens": 2048, "extra": ", max_num_batched_tokens=2048"}
    concurrency = parse_log(rendered(*setup, **few)).max_concurrency
    assert concurrency is not None
    text = rendered(*setup, **few, shown={"tokens": int(concurrency * 131072)})
    assert "no number of token slots" in cause(diagnosed(text, catalog, hardware="h100"), "kv_tokens")


def test_rocm_and_shared_memory(rendered: Render, catalog: llmsizer.Catalog) -> None:
    setup = ("Qwen/Qwen3-8B", "mi300x", "0.11.0", "v1", 32768)
    weights = parse_log(rendered(*setup)).weights_bytes
    assert weights is not None
    text = rendered(*setup, shown={"weights": weights / GIB * 1.04})
    assert "ROCm" in cause(diagnosed(text, catalog, hardware="mi300x"), "weights")
    setup = ("Qwen/Qwen3-8B", "dgx-spark-gb10", "0.11.0", "v1", 32768)
    fraction = ", gpu_memory_utilization=0.8"
    cache = parse_log(rendered(*setup, gpu_memory_utilization=0.8)).kv_cache_bytes
    assert cache is not None
    text = rendered(*setup, extra=fraction, gpu_memory_utilization=0.8, shown={"cache": cache / GIB - 6.3})
    assert "shares its memory" in cause(diagnosed(text, catalog, hardware="gb10"), "overheads")


def test_graphs(rendered: Render, catalog: llmsizer.Catalog) -> None:
    lines = "\nGraph capturing finished in 9 secs, took {} GiB"
    freed = diagnosed(rendered(*NEW) + lines.format(-0.45), catalog, hardware="h100")
    assert "freed" in cause(freed, "cuda_graph")
    few = diagnosed(rendered(*NEW, max_num_seqs=4, extra=", max_num_seqs=4") + lines.format(0.02), catalog, hardware="h100")
    assert "fewer batch sizes" in cause(few, "cuda_graph")


def test_samplers(rendered: Render, catalog: llmsizer.Catalog) -> None:
    setup = ("Qwen/Qwen3-8B", "h100", "0.8.5", "v0", 8192)
    text = rendered(*setup, max_num_seqs=1, extra=", max_num_seqs=512", tensor_parallel_size=2)
    assert "does not sample" in cause(diagnosed(text, catalog, hardware="h100"), "activation")
    text = rendered(*NEW, max_num_seqs=1, extra=", max_num_seqs=1024, gpu_memory_utilization=0.9")
    text += "\nUsing FlashInfer for top-p & top-k sampling."
    assert "FlashInfer" in cause(diagnosed(text, catalog, hardware="h100"), "overheads")


def test_nothing_is_invented(rendered: Render, catalog: llmsizer.Catalog) -> None:
    text = rendered(*OLD, extra=", max_num_seqs=256, max_num_batched_tokens=8192", shown={"non_torch": 7.77, "weights": 11.11})
    diagnosis = diagnosed(text, catalog, hardware="rtx-3090")
    assert cause(diagnosis, "weights") == NOT_EXPLAINED
    assert cause(diagnosis, "non_torch") == NOT_EXPLAINED


def test_llama_cpp_attention(sample_text: Callable[[str], str], catalog: llmsizer.Catalog) -> None:
    text = (
        sample_text("llama_cpp_plain").replace("llama_new_context_with_model: flash_attn = 0\n", "").replace("b2931", "b7000")
    )
    text = text.replace("build = 2931", "build = 7000").replace("640.0", "560.0")
    assert "flash attention off" in cause(diagnosed(text, catalog), "compute_buffer")


def test_every_figure_with_rules_exists() -> None:
    assert set(CAUSES) <= set(TITLES)
    assert all(rule.__doc__ for rules in CAUSES.values() for rule in rules if rule.__name__ != "rule")
