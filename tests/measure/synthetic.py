"""Records of runs that nobody measured: times are what llmsizer says under known curves and figures."""

from __future__ import annotations

from typing import Any

from llmsizer.catalog.catalog import Catalog
from llmsizer.core.explain import plain
from llmsizer.formulas.attention import attention_decode_seconds, attention_prefill_seconds
from llmsizer.formulas.matmul import matmul_seconds
from llmsizer.schema.model import Model
from llmsizer.validation.run_files import KIND

DEVICE = "test-cpu"
OVERLAY = f"""
accelerators:
  {DEVICE}:
    name: Test CPU
    vendor: Intel
    architecture: cpu
    memory_type: DDR
    memory_capacity: 32 GB
    usable_memory: 30 GB
    unified_memory: true
    memory_bandwidth: 20 GB/s
    peak_dense: {{bf16: 2 TFLOP/s, fp32: 0.3 TFLOP/s}}
    native_dtypes: [bf16, fp32]
    units: 2
models:
  tiny/grouped:
    config: {{model_type: qwen2, num_hidden_layers: 3, hidden_size: 64, intermediate_size: 160, num_attention_heads: 4,
             num_key_value_heads: 2, vocab_size: 320, tie_word_embeddings: true, max_position_embeddings: 4096,
             torch_dtype: bfloat16}}
  tiny/normed:
    config: {{model_type: qwen3, num_hidden_layers: 2, hidden_size: 64, intermediate_size: 160, num_attention_heads: 4,
             num_key_value_heads: 2, head_dim: 32, vocab_size: 320, tie_word_embeddings: false,
             max_position_embeddings: 4096, torch_dtype: bfloat16}}
  tiny/windowed:
    config: {{model_type: gemma3_text, num_hidden_layers: 6, hidden_size: 64, intermediate_size: 128, num_attention_heads: 4,
             num_key_value_heads: 1, head_dim: 16, vocab_size: 320, sliding_window: 8, sliding_window_pattern: 3,
             tie_word_embeddings: true, max_position_embeddings: 4096, torch_dtype: bfloat16}}
  tiny/experts:
    config: {{model_type: qwen3_moe, num_hidden_layers: 2, hidden_size: 64, intermediate_size: 128, num_attention_heads: 4,
             num_key_value_heads: 2, head_dim: 16, vocab_size: 320, num_experts: 8, num_experts_per_tok: 2,
             moe_intermediate_size: 32, decoder_sparse_step: 1, mlp_only_layers: [], tie_word_embeddings: false,
             max_position_embeddings: 4096, torch_dtype: bfloat16}}
  tiny/latent:
    config: {{model_type: deepseek_v2, num_hidden_layers: 3, hidden_size: 64, intermediate_size: 128, num_attention_heads: 4,
             num_key_value_heads: 4, q_lora_rank: null, kv_lora_rank: 32, qk_nope_head_dim: 16, qk_rope_head_dim: 8,
             v_head_dim: 16, vocab_size: 320, n_routed_experts: 8, n_shared_experts: 2, num_experts_per_tok: 2,
             moe_intermediate_size: 32, first_k_dense_replace: 1, moe_layer_freq: 1, tie_word_embeddings: false,
             max_position_embeddings: 4096, torch_dtype: bfloat16}}
  tiny/wide:
    config: {{model_type: llama, num_hidden_layers: 4, hidden_size: 512, intermediate_size: 2048, num_attention_heads: 8,
             num_key_value_heads: 4, vocab_size: 8192, tie_word_embeddings: true, max_position_embeddings: 4096,
             torch_dtype: bfloat16}}
"""
TINY = ("tiny/grouped", "tiny/normed", "tiny/windowed", "tiny/experts", "tiny/latent")

MATMUL = {
    "launch_seconds": 4e-5, "seconds_per_depth": 1e-12, "compute_fraction": 0.8, "memory_fraction": 0.9, "pad_rows": 4.0,
    "pad_columns": 1.0, "wave_elements": 100.0, "prologue_depth": 1.0, "activation_traffic": 1.5, "overlap": 0.2,
}  # fmt: skip
PREFILL = {
    "launch_seconds": 5e-5, "compute_fraction": 0.5, "memory_fraction": 0.8, "softmax_width": 0.01, "pad_keys": 20.0,
    "tail_rows": 0.01, "item_seconds": 1e-10, "overlap": 0.1,
}  # fmt: skip
DECODE = {
    "launch_seconds": 5e-5, "compute_fraction": 0.5, "memory_fraction": 0.8, "item_seconds": 1e-9, "pad_rows": 0.01,
    "pad_keys": 20.0, "tail_keys": 0.01, "splits": 1e4, "overlap": 0.1,
}  # fmt: skip


def empty_record(**changed: Any) -> dict[str, Any]:
    """A record with nothing measured."""
    return {
        "record": KIND, "role": "validate", "hardware": DEVICE, "engine": "torch", "engine_version": "2.13.0",
        "environment": {"date": "2026-11-21", "device": "Test CPU", "kind": "cpu", "memory_bytes": 32e9, "torch": "2.13.0",
                        "system": "test", "threads": 2},
        "ceilings": [], "models": [], "errors": [], **changed,
    }  # fmt: skip


def timed(facts: dict[str, Any], seconds: float) -> dict[str, Any]:
    return {**facts, "seconds": seconds, "low": seconds, "high": seconds, "least": seconds, "repeats": 5}


def ceilings(catalog: Catalog) -> list[dict[str, Any]]:
    """What a device with the curves above would measure."""
    from llmsizer.authoring.local_fit import kernels

    device = catalog.accelerator(DEVICE)
    rows = [
        {"kind": "matmul", "dtype": "bf16", "m": m, "n": n, "k": k}
        for n, k in ((1024, 1024), (4096, 1024), (1024, 4096), (16000, 1024))
        for m in (1, 4, 16, 64, 256, 1024)
    ]
    shapes = [
        (batch, length, heads) for batch, length in ((1, 16), (1, 128), (1, 1024), (4, 512)) for heads in ((8, 2), (16, 16))
    ]
    attended = [
        {"kind": kind, "dtype": "bf16", "heads": heads[0], "groups": heads[1], "head_dim": 64, "batch": batch, "length": length}
        for kind in ("attention_prefill", "attention_decode")
        for batch, length, heads in shapes
    ]
    found = [
        timed({"kind": "launch"}, 2e-6),
        *(timed({"kind": "copy", "bytes": size}, 2 * size / 18e9) for size in (2**20, 2**27)),
    ]
    equations = {"matmul": (matmul_seconds, MATMUL), "attention_prefill": (attention_prefill_seconds, PREFILL),
                 "attention_decode": (attention_decode_seconds, DECODE)}  # fmt: skip
    for family in kernels.FAMILIES:
        equation, parameters = equations[family.name]
        mine = [row for row in (*rows, *attended) if row["kind"] == family.name]
        seconds = equation.function(**family.inputs(mine, device), **parameters)
        found += [timed(row, float(value)) for row, value in zip(mine, seconds, strict=True)]
    return found


def model_rows(catalog: Catalog, name: str, slower: float = 1.0, **words: Any) -> dict[str, Any]:
    """A run of a model whose times are the estimate's, some times slower, and whose bytes are the estimate's."""
    from llmsizer.validation.run_rows import RecordedRun

    model: Model = catalog.model(name)
    run: dict[str, Any] = {"model": model.id, "dtype": "bf16", "layers": model.num_hidden_layers, **words}
    rows = {
        "prefill": [{"batch": batch, "length": length, "eager": True} for batch in (1, 4) for length in (16, 128, 512)],
        "decode": [{"batch": batch, "context": context, "eager": True} for batch in (1, 4, 16) for context in (16, 512)],
    }
    asking = RecordedRun(empty_record(), run, catalog, "x", "auto")
    for row in rows["prefill"]:
        answer = asking.estimate(row["batch"], row["length"], 1, True)
        row |= timed({}, slower * float(plain(answer.latency.ttft_seconds)))
    for row in rows["decode"]:
        answer = asking.estimate(row["batch"], row["context"], 2, True)
        row |= timed({}, slower * float(plain(answer.latency.tpot_seconds)))
    held = asking.held(2, 64).per_gpu
    memory = {
        "batch": 2,
        "length": 64,
        "kv_bytes": float(plain(held.kv_cache_bytes)),
        "activation_bytes": float(plain(held.activation_bytes)),
    }
    return {**run, "weights_bytes": float(plain(held.weights_bytes)), "memory": [memory], **rows}
