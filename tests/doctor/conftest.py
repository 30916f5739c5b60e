"""Sample logs for the doctor's tests, and logs rendered from an estimate."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import llmsizer
from llmsizer.core.quantities import GIB
from llmsizer.doctor import LogReading, read_log

LOGS = Path(__file__).parent / "logs"


@pytest.fixture(scope="session")
def catalog() -> llmsizer.Catalog:
    return llmsizer.load_catalog()


@pytest.fixture(scope="session")
def sample() -> Callable[[str], LogReading]:
    return lambda name: read_log(LOGS / f"{name}.log")


@pytest.fixture(scope="session")
def sample_text() -> Callable[[str], str]:
    return lambda name: (LOGS / f"{name}.log").read_text()


OLD_CORE = """\
INFO 01-01 00:00:00 [llm_engine.py:240] Initializing a V0 LLM engine (v{version}) with config: model='{model}', \
dtype=torch.bfloat16, max_seq_len={length}, tensor_parallel_size={tp}, quantization=None, kv_cache_dtype=auto{extra}
INFO 01-01 00:00:01 [worker.py:287] the current vLLM instance can use total_gpu_memory ({total:.2f}GiB) x \
gpu_memory_utilization ({fraction:.2f}) = {budget:.2f}GiB
INFO 01-01 00:00:01 [worker.py:287] model weights take {weights:.2f}GiB; non_torch_memory takes {non_torch:.2f}GiB; \
PyTorch activation peak memory takes {activation:.2f}GiB; the rest of the memory reserved for KV Cache is {cache:.2f}GiB.
INFO 01-01 00:00:01 [executor_base.py:112] # cuda blocks: {blocks}, # CPU blocks: 2048
INFO 01-01 00:00:01 [executor_base.py:117] Maximum concurrency for {length} tokens per request: {concurrency:.2f}x
"""

NEW_CORE = """\
INFO 01-01 00:00:00 [core.py:77] Initializing a V1 LLM engine (v{version}) with config: model='{model}', \
dtype=torch.bfloat16, max_seq_len={length}, tensor_parallel_size={tp}, quantization=None, kv_cache_dtype=auto{extra}
INFO 01-01 00:00:01 [gpu_model_runner.py:2653] Model loading took {weights:.4f} GiB and 6.310772 seconds
INFO 01-01 00:00:01 [gpu_worker.py:298] Available KV cache memory: {cache:.2f} GiB
INFO 01-01 00:00:01 [kv_cache_utils.py:1087] GPU KV cache size: {tokens:,} tokens
INFO 01-01 00:00:01 [kv_cache_utils.py:1091] Maximum concurrency for {length:,} tokens per request: {concurrency:.2f}x
"""


@pytest.fixture(scope="session")
def rendered(catalog: llmsizer.Catalog) -> Callable[..., str]:
    """Writes the log an engine would print if the estimate of some words were the truth."""

    def render(
        model: str, hardware: str, version: str, core: str, length: int, extra: str = "", shown: Any = None, **words: Any
    ) -> str:
        engine = f"vllm@{version}+{core}"
        e = llmsizer.estimate(
            model, hardware, catalog=catalog, engine=engine, max_model_len=length, input_tokens=1, output_tokens=1, **words
        )
        device = e.memory.per_gpu
        parts = {
            "total": device.capacity_bytes / GIB, "budget": device.budget_bytes / GIB, "weights": device.weights_bytes / GIB,
            "non_torch": device.non_torch_bytes / GIB, "activation": device.activation_bytes / GIB,
            "cache": device.kv_cache_bytes / GIB, "tokens": int(e.memory.kv_capacity_tokens),
            "blocks": int(e.memory.kv_capacity_tokens // 16), "fraction": e.case.memory_fraction,
            "concurrency": e.memory.max_concurrency_at_max_model_len,
        }  # fmt: skip
        template = OLD_CORE if core == "v0" else NEW_CORE
        tp = words.get("tensor_parallel_size", 1)
        return template.format(version=version, model=model, length=length, tp=tp, extra=extra, **(parts | (shown or {})))

    return render
