"""Random questions that may be asked, and what they come to."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from hypothesis import assume
from hypothesis import strategies as st

import llmsizer
from llmsizer.core.errors import LlmsizerError

# One model of each kind of attention, cache, feed-forward and checkpoint format.
MODELS = [
    "meta-llama/Llama-3.1-8B", "meta-llama/Llama-3.1-70B", "Qwen/Qwen2.5-0.5B", "Qwen/Qwen3-30B-A3B",
    "deepseek-ai/DeepSeek-V3", "deepseek-ai/DeepSeek-V3.2", "deepseek-ai/DeepSeek-V2-Lite", "openai/gpt-oss-20b",
    "google/gemma-3-27b-it", "google/gemma-2-9b", "mistralai/Mistral-7B-v0.1", "tiiuae/falcon-7b",
    "Qwen/Qwen3-Next-80B-A3B-Instruct", "ai21labs/AI21-Jamba-Mini-1.5", "state-spaces/mamba-2.8b-hf", "microsoft/phi-2",
    "meta-llama/Llama-4-Scout-17B-16E-Instruct", "google/gemma-3n-E4B", "moonshotai/Kimi-Linear-48B-A3B-Instruct",
    "meta-llama/Llama-3.2-11B-Vision", "bigscience/bloom-7b1",
]  # fmt: skip
DEVICES = ["h100", "h200", "a100-sxm4-40gb", "l40s", "t4", "b200", "mi300x", "rtx-4090", "m2-ultra@192GiB", "tpu-v5e", "gaudi3"]
SCHEMES = [None, "bf16", "fp8", "awq", "gptq", "int8", "nf4-dq", "nvfp4", "mxfp4", "Q4_K_M", "Q8_0", "IQ4_XS"]
ENGINES = [
    None,
    "vllm",
    "vllm@0.8.5+v0",
    "sglang",
    "tensorrt-llm",
    "tgi",
    "llama.cpp",
    "transformers",
    "torch",
    "onnxruntime-genai",
]
CACHES = ["auto", "bf16", "fp16", "fp8", "int8", "q8_0", "q4_0", "q8_0/q4_0"]


@lru_cache(maxsize=1)
def catalog() -> llmsizer.Catalog:
    return llmsizer.load_catalog()


def words(**fixed: Any) -> st.SearchStrategy[dict[str, Any]]:
    """The words of a question; most combinations are possible, some are refused."""
    parts: dict[str, st.SearchStrategy[Any]] = {
        "model": st.sampled_from(MODELS), "hardware": st.sampled_from(DEVICES),
        "tensor_parallel_size": st.sampled_from([1, 1, 2, 4, 8]),
    }  # fmt: skip
    often: dict[str, st.SearchStrategy[Any]] = {
        "pipeline_parallel_size": st.sampled_from([1, 2, 3]), "data_parallel_size": st.sampled_from([1, 2, 8]),
        "enable_expert_parallel": st.booleans(), "quantization": st.sampled_from(SCHEMES), "engine": st.sampled_from(ENGINES),
        "kv_cache_dtype": st.sampled_from(CACHES), "input_tokens": st.integers(1, 60_000),
        "output_tokens": st.integers(1, 4_000),
        "concurrency": st.one_of(st.integers(1, 600), st.just("max")), "enforce_eager": st.booleans(),
        "max_model_len": st.sampled_from([2048, 8192, 32768, 131072]), "gpu_memory_utilization": st.floats(0.3, 1.0),
        "max_num_seqs": st.integers(1, 1024),
        "max_num_batched_tokens": st.integers(64, 32768),
        "prefix_cache_hit_rate": st.floats(0.0, 1.0), "block_size": st.sampled_from([1, 16, 32, 64]),
        "request_rate": st.floats(0.01, 50.0),
    }  # fmt: skip
    for name in fixed:
        parts.pop(name, None)
        often.pop(name, None)
    return st.fixed_dictionaries(parts, optional=often).map(lambda drawn: drawn | fixed)


def asked(**given: Any) -> llmsizer.Estimate | None:
    """The estimate of a question; None where it is refused."""
    try:
        return llmsizer.estimate(**given, catalog=catalog())
    except LlmsizerError:
        return None


def answered(given: dict[str, Any]) -> llmsizer.Estimate:
    """The estimate of a question that is not refused."""
    found = asked(**given)
    assume(found is not None)
    assert found is not None
    return found
