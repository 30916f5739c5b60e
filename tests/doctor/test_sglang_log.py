"""What the reader finds in SGLang's logs."""

from __future__ import annotations

from collections.abc import Callable

from llmsizer.core.quantities import GIB
from llmsizer.doctor import LogReading, parse_log

Sample = Callable[[str], LogReading]


def test_latent_attention(sample: Sample) -> None:
    log = sample("sglang_mla")
    assert (log.engine, log.model, log.device) == ("sglang", "deepseek-ai/DeepSeek-V2-Lite-Chat", "NVIDIA H100 80GB HBM3")
    assert (log.mem_fraction_static, log.memory_fraction, log.gpu_memory_utilization) == (0.85, 0.85, None)
    assert (log.max_model_len, log.max_num_seqs, log.max_num_batched_tokens, log.block_size) == (32768, 4096, 8192, 1)
    assert log.weights_bytes == 29.40 * GIB
    assert log.kv_cache_bytes == 37.49 * GIB
    assert log.cuda_graph_bytes == 1.12 * GIB
    assert log.device_free_bytes == 78.70 * GIB
    assert (log.kv_tokens, log.outcome, log.enforce_eager, log.lora) == (1294250, "started", False, None)


def test_hybrid_on_two_ranks(sample: Sample) -> None:
    log = sample("sglang_hybrid_tp2")
    assert (log.tensor_parallel_size, log.data_parallel_size) == (2, None)
    assert log.kv_cache_bytes == 2 * 6.66 * GIB
    assert log.state_cache_bytes is not None
    assert round(log.state_cache_bytes / GIB, 2) == 11.97
    assert log.device_free_bytes == 43.40 * GIB  # the rank with the least
    assert log.notes == ()


def test_attention_data_parallelism_divides_the_ranks() -> None:
    log = parse_log(
        "server_args=ServerArgs(model_path='a/b', tp_size=8, dp_size=8, ep_size=8, enable_dp_attention=True, "
        "max_total_tokens=1000, speculative_algorithm='EAGLE', speculative_draft_model_path='c/d')\n"
        "[2026-01-01 00:00:00 DP0 TP0] KV Cache is allocated. #tokens: 10, KV size: 1.00 GB\n"
    )
    assert (log.tensor_parallel_size, log.data_parallel_size, log.enable_expert_parallel) == (1, 8, True)
    assert (log.pool_limit, log.speculative_method, log.speculative_model) == ("max_total_tokens", "eagle", "c/d")


def test_several_pools_and_a_draft_add_up() -> None:
    log = parse_log(
        "[2026-01-01 00:00:00 TP0] Load weight end. type=A, avail mem=60.00 GB, mem usage=15.00 GB.\n"
        "[2026-01-01 00:00:00 TP0] KV Cache is allocated. #tokens: 100, K size: 1.00 GB, V size: 1.00 GB\n"
        "[2026-01-01 00:00:00 TP0] KV Cache is allocated. dtype: torch.bfloat16, #tokens: 80, KV size: 1.00 GB\n"
        "[2026-01-01 00:00:00 TP0] Load weight end. type=B, avail mem=50.00 GB, mem usage=1.50 GB.\n"
    )
    assert log.weights_bytes == 16.5 * GIB
    assert log.kv_cache_bytes == 3 * GIB
    assert log.device_free_bytes == 75 * GIB
    assert "several cache pools" in log.notes[0]


def test_refusal() -> None:
    log = parse_log(
        "Load weight end. avail mem=3.00 GB, mem usage=75.00 GB.\n"
        "ValueError: Loaded weights leave no GPU memory for the KV cache under --mem-fraction-static=0.88"
    )
    assert (log.outcome, log.mem_fraction_static) == ("no_kv_memory", 0.88)
