"""How engines divide a device's memory."""

from __future__ import annotations

from llmsizer.core.explain import formula
from llmsizer.core.numerics import ceil, maximum
from llmsizer.core.quantities import Bytes, Count, Fraction, Tokens
from llmsizer.core.units import MEBIBYTES, ONE_BYTE, ONE_TOKEN


@formula(reference="vLLM vllm/v1/worker/gpu_worker.py: requested = ceil(total × utilization)")
def requested_bytes(usable_memory: Bytes, memory_fraction: Fraction) -> Bytes:
    """Memory an engine claims when its fraction is of the device's total.

    >>> requested_bytes(80e9, 0.9)
    72000000000.0
    """
    return ceil(usable_memory * memory_fraction / ONE_BYTE) * ONE_BYTE


@formula(reference="definition: what a budget leaves for the cache")
def left_for_cache(budget: Bytes, taken: Bytes) -> Bytes:
    """Memory left for the cache (negative when the rest alone exceeds the budget).

    >>> left_for_cache(72e9, 20e9)
    52000000000.0
    """
    return budget - taken


@formula(reference="TensorRT-LLM _torch/pyexecutor/_util.py: a fraction of what remains")
def share_of_remaining(usable_memory: Bytes, taken: Bytes, memory_fraction: Fraction) -> Bytes:
    """Cache memory of engines whose fraction is of the memory left after everything else.

    >>> share_of_remaining(80e9, 20e9, 0.9)
    54000000000.0
    """
    return (usable_memory - taken) * memory_fraction


@formula(reference="SGLang model_runner.py: free memory after loading less the dynamic share of the memory free before")
def static_pool_bytes(usable_memory: Bytes, non_torch: Bytes, memory_fraction: Fraction) -> Bytes:
    """Weights and cache together, where the fraction is of the memory free at start.

    >>> static_pool_bytes(24e9, 1e9, 0.8)
    18400000000.0
    """
    return (usable_memory - non_torch) * memory_fraction


@formula(reference="SGLang server_args.py, _handle_gpu_memory_settings")
def dynamic_reserve(
    chunked_prefill_tokens: Tokens,
    graph_batch: Count,
    devices: Count,
    attention_dp_batch: Count,
    floor_mebibytes: Count,
) -> Bytes:
    """Memory SGLang keeps free of weights and cache when no fraction is given.

    >>> dynamic_reserve(8192, 256, 1, 0, 10240) / 2**20
    13440.0
    """
    wanted = (
        512 + 1.5 * maximum(chunked_prefill_tokens / ONE_TOKEN, 2048) + 2 * graph_batch + devices * 128 + 3 * attention_dp_batch
    )
    return maximum(wanted, floor_mebibytes) * MEBIBYTES


@formula(reference="llama.cpp compute buffer with flash attention: logits and one hidden state of a micro-batch in float32")
def fused_compute_buffer(micro_batch: Count, vocab_size: Count, hidden_size: Count) -> Bytes:
    """Compute buffer of llama.cpp with flash attention.

    >>> fused_compute_buffer(512, 128256, 4096) / 2**20
    258.5
    """
    return 4 * micro_batch * (vocab_size + hidden_size) * ONE_BYTE


@formula(reference="llama.cpp compute buffer without flash attention: float32 scores, masks, and what else is alive")
def score_compute_buffer(micro_batch: Count, context: Count, heads: Count, masks: Count, live_width: Count) -> Bytes:
    """Compute buffer of llama.cpp when the attention scores are stored.

    >>> score_compute_buffer(512, 8192, 32, 1, 16384) / 2**20
    560.0
    """
    return 4 * micro_batch * ((heads + masks) * context + live_width) * ONE_BYTE


@formula(reference="measured: builds since 2024 keep two hidden and two query states beside the scores")
def attention_live_width(hidden_size: Count, query_width: Count) -> Count:
    """Elements per token that llama.cpp keeps beside the attention scores.

    >>> attention_live_width(4096, 4096)
    16384
    """
    return 2 * hidden_size + 2 * query_width


@formula(reference="measured: builds of 2023 keep the feed-forward states, less what is reused")
def feed_forward_live_width(hidden_size: Count, intermediate_size: Count) -> Count:
    """Elements per token that llama.cpp builds of 2023 keep beside the attention scores.

    >>> feed_forward_live_width(8192, 28672)
    40960
    """
    return 2 * intermediate_size - 2 * hidden_size


@formula(reference="measured: with a pipeline of devices three more copies of the inputs, and one hidden state")
def pipeline_compute_buffer(micro_batch: Count, context: Count, hidden_size: Count) -> Bytes:
    """What a pipeline of devices adds to llama.cpp's compute buffer on each.

    >>> pipeline_compute_buffer(512, 8192, 4096) / 2**20
    80.0
    """
    return 4 * micro_batch * (3 * (context + hidden_size) + hidden_size) * ONE_BYTE


@formula(reference="definition: the device's memory less all parts")
def unused_bytes(capacity: Bytes, taken: Bytes) -> Bytes:
    """Memory no part claims.

    >>> unused_bytes(80e9, 70e9)
    10000000000.0
    """
    return capacity - taken


@formula(reference="definition: the share of the weights that stays on the device")
def share_kept(weights: Bytes, offloaded: Fraction) -> Bytes:
    """Bytes that stay on the device when a fraction is kept in host memory.

    >>> share_kept(100.0, 0.25)
    75.0
    """
    return weights * (1 - offloaded)


@formula(reference="definition: the share of the weights that moves to the host")
def share_offloaded(weights: Bytes, offloaded: Fraction) -> Bytes:
    """Bytes kept in host memory when a fraction is.

    >>> share_offloaded(100.0, 0.25)
    25.0
    """
    return weights * offloaded


@formula(reference="definition: overheads of one rank and of more")
def graph_bytes(fixed: Bytes, per_layer: Bytes, layers: Count) -> Bytes:
    """Memory captured graphs take.

    >>> graph_bytes(0.0, 1e6, 32)
    32000000.0
    """
    return fixed + per_layer * layers
