"""What the reader finds in vLLM's logs."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from llmsizer.core.quantities import GIB
from llmsizer.doctor import LogReading, parse_log

Sample = Callable[[str], LogReading]


def gib(value: float | None) -> float:
    assert value is not None
    return round(value / GIB, 4)


def test_old_core(sample: Sample) -> None:
    log = sample("vllm_v0")
    assert (log.engine, log.version, log.core, log.model) == ("vllm", "0.8.5", "v0", "meta-llama/Llama-3.1-8B-Instruct")
    assert (log.device, log.devices) == ("NVIDIA GeForce RTX 4090", 1)
    assert (log.max_model_len, log.max_num_seqs, log.gpu_memory_utilization) == (8192, None, 0.9)
    assert (log.dtype, log.quantization, log.kv_cache_dtype, log.enforce_eager) == ("bfloat16", "none", None, False)
    assert gib(log.device_total_bytes) == 23.63
    assert gib(log.weights_bytes) == 14.989  # the line with more digits
    assert [gib(v) for v in (log.activation_bytes, log.non_torch_bytes, log.kv_cache_bytes)] == [1.2, 0.06, 5.02]
    assert gib(log.cuda_graph_bytes) == 0.52
    assert (log.kv_blocks, log.kv_tokens, log.max_concurrency, log.outcome) == (2570, None, 5.02, "started")


def test_new_core(sample: Sample) -> None:
    log = sample("vllm_v1_011")
    assert (log.version, log.core, log.model) == ("0.11.0", "v1", "Qwen/Qwen3-8B")
    assert (log.max_num_seqs, log.max_num_batched_tokens, log.gpu_memory_utilization) == (512, 8192, 0.88)
    assert gib(log.device_total_bytes) == 79.18
    assert gib(log.device_free_bytes) == 78.61
    assert gib(log.weights_bytes) == 15.269
    assert gib(log.activation_bytes) == 2.91
    assert gib(log.non_torch_bytes) == 0.14
    assert gib(log.cuda_graph_bytes) == 0.41
    assert gib(log.kv_cache_bytes) == 51.36
    assert (log.kv_tokens, log.max_concurrency, log.concurrency_length) == (373984, 11.41, 32768)


def test_ranks_of_a_hybrid_model(sample: Sample) -> None:
    log = sample("vllm_v1_hybrid")
    assert (log.tensor_parallel_size, log.device) == (2, "NVIDIA A100-SXM4-80GB")
    assert [gib(value) for value in log.kv_cache_by_rank] == [41.9, 42.73]
    assert gib(log.kv_cache_bytes) == 41.9  # the smallest rank rules
    assert gib(log.cuda_graph_bytes) == 0.95
    assert gib(log.cuda_graph_estimate_bytes) == 0.82
    assert len(log.weights_by_rank) == 2


def test_too_long(sample: Sample) -> None:
    log = sample("vllm_v1_too_long")
    assert log.outcome == "max_model_len_exceeds_kv"
    assert (log.max_model_len, log.longest_length) == (40960, 25616)
    assert gib(log.kv_needed_bytes) == 6.25
    assert gib(log.kv_cache_bytes) == 3.91


def test_no_room(sample: Sample) -> None:
    log = sample("vllm_v1_no_room")
    assert (log.outcome, gib(log.kv_cache_bytes)) == ("no_kv_memory", -9.11)


def test_memory_taken_by_others(sample: Sample) -> None:
    log = sample("vllm_v1_taken")
    assert log.outcome == "memory_taken_by_others"
    assert (gib(log.device_total_bytes), gib(log.device_free_bytes), log.gpu_memory_utilization) == (79.18, 11.42, 0.9)


def test_a_concurrency_under_one_is_a_refusal() -> None:
    log = parse_log("# GPU blocks: 512, # CPU blocks: 0\nMaximum concurrency for 16384 tokens per request: 0.50x")
    assert (log.core, log.kv_blocks, log.outcome) == ("v0", 512, "max_model_len_exceeds_kv")


def test_oldest_lines() -> None:
    log = parse_log(
        "INFO 11-02 10:00:00 llm_engine.py:237] Initializing an LLM engine (v0.6.3) with config: model='facebook/opt-6.7b', "
        "dtype=torch.float16, max_seq_len=2048, quantization=None, enforce_eager=True, kv_cache_dtype=fp8\n"
        "INFO 11-02 10:00:10 model_runner.py:1067] Loading model weights took 12.4620 GB\n"
        "INFO 11-02 10:00:12 worker.py:232] Memory profiling results: total_gpu_memory=23.64GiB initial_memory_usage=12.70GiB "
        "peak_torch_memory=13.40GiB memory_usage_post_profile=12.71GiB non_torch_memory=0.24GiB kv_cache_size=7.63GiB "
        "gpu_memory_utilization=0.90\n"
        "INFO 11-02 10:00:12 gpu_executor.py:122] # GPU blocks: 976, # CPU blocks: 512\n"
    )
    assert (log.core, log.version, log.enforce_eager, log.kv_cache_dtype) == ("v0", "0.6.3", True, "fp8")
    assert gib(log.activation_bytes) == 0.938  # the peak less the weights it holds
    assert (gib(log.kv_cache_bytes), log.gpu_memory_utilization, log.kv_blocks) == (7.63, 0.9, 976)


def test_command_line_and_advice() -> None:
    log = parse_log(
        "$ vllm serve Qwen/Qwen3-32B -tp 2 --max-model-len=16384 --gpu-memory-utilization 0.85 --enforce-eager \\\n"
        "   --max-num-seqs 64 --kv-cache-dtype fp8\n"
        "(Worker_TP1 pid=9) Model loading took 30.59 GiB memory and 3 seconds\n"
        "Try increasing `gpu_memory_utilization` or --max-num-seqs 9999 is too many\n"
    )
    assert (log.model, log.tensor_parallel_size, log.max_model_len, log.gpu_memory_utilization) == (
        "Qwen/Qwen3-32B",
        2,
        16384,
        0.85,
    )
    assert (log.enforce_eager, log.max_num_seqs, log.kv_cache_dtype) == (True, 64, "fp8")


@pytest.mark.parametrize(
    ("line", "method", "model", "tokens"),
    [
        ("speculative_config=SpeculativeConfig(method='mtp', model='a/b', num_spec_tokens=3), x", "mtp", "a/b", 3),
        ("args: {'speculative_config': {'method': 'eagle3', 'model': 'c/d', 'num_speculative_tokens': 5}}", "eagle3", "c/d", 5),
        ("""vllm serve x/y --speculative-config '{"model": "e/f", "num_speculative_tokens": 4}'""", "draft", "e/f", 4),
        ("speculative_config=None", None, None, None),
    ],
)
def test_speculative(line: str, method: str | None, model: str | None, tokens: int | None) -> None:
    log = parse_log(f"vLLM API server version 0.12.0\n{line}\nAvailable KV cache memory: 3.00 GiB")
    assert (log.speculative_method, log.speculative_model, log.num_speculative_tokens) == (method, model, tokens)


def test_extras() -> None:
    log = parse_log(
        "non-default args: {'model': 'a/b', 'enable_lora': True, 'max_loras': 4, 'max_lora_rank': 32, 'cpu_offload_gb': 8.0, "
        "'kv_cache_memory_bytes': 4000000000}\nINFO [core.py] LLM engine (v0.13.0) with config: model='a/b', quantization=awq\n"
        "Using FlashInfer for top-p & top-k sampling.\nSetting attention block size to 784 tokens\n"
        "Available KV cache memory: 1 GiB"
    )
    assert (log.lora, log.max_loras, log.max_lora_rank, log.offloaded_bytes) == (True, 4, 32, 8 * GIB)
    assert (log.pool_limit, log.fused_sampler, log.block_size, log.quantization) == ("kv_cache_memory_bytes", True, 784, "awq")


def test_several_starts_and_old_ranks() -> None:
    log = parse_log(
        "vLLM API server version 0.7.3\nmodel weights take 1.00GiB\n"
        "vLLM API server version 0.7.3\nmodel weights take 2.00GiB\n(VllmWorkerProcess pid=77) model weights take 2.10GiB\n"
        "vLLM API server version 0.7.3\n"
    )
    assert [gib(value) for value in log.weights_by_rank] == [2.0, 2.1]
    assert log.tensor_parallel_size == 2
    assert "3 starts" in log.notes[0]


def test_a_draft_loaded_by_the_old_core_counts() -> None:
    text = "speculative_config=SpeculativeConfig(method='draft', model='a/b'), \nLoading model weights took 10.00 GB\n"
    assert gib(parse_log(text + "Loading model weights took 1.50 GB\n").weights_bytes) == 11.5


def test_to_dict_is_plain(sample: Sample) -> None:
    import json

    assert json.loads(json.dumps(sample("vllm_v1_hybrid").to_dict()))["kv_tokens"] == 156896
