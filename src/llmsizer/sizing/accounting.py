"""How each kind of engine divides the memory of one device: one function a kind of accounting.

To add one: write the function, name it in ``ACCOUNTING``, and say ``accounting: <name>`` in
``engines.yaml``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from llmsizer.blocks.attention import Attention, GroupedQuery, Latent
from llmsizer.blocks.feed_forward import Dense
from llmsizer.core.explain import named, plain, total
from llmsizer.core.numerics import ceil
from llmsizer.core.quantities import Bytes, Count, Tokens
from llmsizer.formulas.budget import (
    attention_live_width,
    feed_forward_live_width,
    fused_compute_buffer,
    graph_bytes,
    left_for_cache,
    pipeline_compute_buffer,
    requested_bytes,
    score_compute_buffer,
    share_of_remaining,
    static_pool_bytes,
)
from llmsizer.formulas.parameters import heads_width
from llmsizer.formulas.storage import bytes_of_copies
from llmsizer.schema.deployment import Case
from llmsizer.schema.model import LayerGroup
from llmsizer.sizing.activations import activation_bytes
from llmsizer.sizing.kv_cache import cache_layers, sequence_bytes
from llmsizer.sizing.stages import Stage
from llmsizer.sizing.token_ranks import expert_ranks


@dataclass(frozen=True, slots=True)
class Division:
    """The memory of one device: what stands before the cache, the cache's budget, and how much of it
    is allocated at start (``allocated`` None: all of it)."""

    activation: Bytes
    non_torch: Bytes
    graphs: Bytes
    budget: Bytes
    for_cache: Bytes
    allocated: Bytes | None = None


def divide(case: Case, stage: Stage, weights: Bytes) -> Division:
    """The division of one device of a stage by its engine's accounting."""
    return ACCOUNTING[case.engine.accounting](case, stage, weights)


def _non_torch(case: Case) -> Bytes:
    split = case.parallel
    alone = plain(expert_ranks(split)) == 1 == plain(split.pipeline_parallel_size)
    return named(case.engine.non_torch if alone else case.engine.non_torch_parallel, "non_torch_bytes")


def _graphs(case: Case, stage: Stage) -> Bytes:
    if case.enforce_eager:
        return 0.0
    layers = stage.end - stage.first
    return named(graph_bytes(case.engine.graph_memory, case.engine.graph_memory_per_layer, layers), "cuda_graph_bytes")


def _of_total(case: Case, stage: Stage, weights: Bytes) -> Division:
    """vLLM: a fraction of the device's total covers weights, activations, the rest and the cache;
    graphs count since 0.21."""
    activation, non_torch, graphs = activation_bytes(case, stage), _non_torch(case), _graphs(case, stage)
    budget = named(requested_bytes(case.accelerator.usable_memory, case.memory_fraction), "budget_bytes")
    parts = [weights, activation, non_torch]
    if case.engine.graphs_in_budget:
        parts.append(graphs)
    return Division(activation, non_torch, graphs, budget, left_for_cache(budget, total(parts, "taken")))


def _static_pool(case: Case, stage: Stage, weights: Bytes) -> Division:
    """SGLang: a fraction of the memory free at start covers weights and cache; activations and
    graphs live in the rest."""
    non_torch = _non_torch(case)
    budget = named(static_pool_bytes(case.accelerator.usable_memory, non_torch, case.memory_fraction), "budget_bytes")
    return Division(activation_bytes(case, stage), non_torch, _graphs(case, stage), budget, left_for_cache(budget, weights))


def _of_remaining(case: Case, stage: Stage, weights: Bytes) -> Division:
    """TensorRT-LLM, TGI: the cache takes a fraction of what everything else leaves."""
    activation, non_torch, graphs = activation_bytes(case, stage), _non_torch(case), _graphs(case, stage)
    taken = total([weights, activation, non_torch, graphs], "taken")
    share = share_of_remaining(case.accelerator.usable_memory, taken, case.memory_fraction)
    return Division(activation, non_torch, graphs, named(case.accelerator.usable_memory, "budget_bytes"), share)


def _pre_allocated(case: Case, stage: Stage, weights: Bytes) -> Division:
    """transformers, compiled PyTorch, ONNX Runtime: every sequence has its own contiguous cache."""
    activation, non_torch, graphs = activation_bytes(case, stage), _non_torch(case), _graphs(case, stage)
    taken = total([weights, activation, non_torch, graphs], "taken")
    left = left_for_cache(case.accelerator.usable_memory, taken)
    return Division(
        activation, non_torch, graphs, named(case.accelerator.usable_memory, "budget_bytes"), left,
        contiguous_cache(case, stage),
    )  # fmt: skip


def _llama_cpp(case: Case, stage: Stage, weights: Bytes) -> Division:
    """llama.cpp: weights, a cache for the whole context of every slot, and a compute buffer."""
    buffer, non_torch = compute_buffer(case, stage), _non_torch(case)
    taken = total([weights, buffer, non_torch], "taken")
    left = left_for_cache(case.accelerator.usable_memory, taken)
    return Division(
        buffer,
        non_torch,
        0.0,
        named(case.accelerator.usable_memory, "budget_bytes"),
        left,
        contiguous_cache(case, stage),
    )


def contiguous_cache(case: Case, stage: Stage) -> Bytes:
    """A cache of the full length for every slot, whether tokens come or not."""
    length = _padded(case.max_model_len, case.block_size)
    slots: Count = case.max_num_seqs
    encoder = case.model.encoder_tokens if case.model.encoder_tokens is not None else 0
    step: Tokens = case.max_num_batched_tokens if case.engine.accounting == "llama.cpp" else 0
    one = sequence_bytes(cache_layers(case, stage), length, encoder, step)
    return named(bytes_of_copies(one, slots), "kv_cache_bytes")


def _padded(length: Tokens, block: Tokens) -> Tokens:
    if plain(block) == 1 or plain(length) % plain(block) == 0:
        return length
    return ceil(plain(length) / plain(block)) * plain(block)


def compute_buffer(case: Case, stage: Stage) -> Bytes:
    """llama.cpp's compute buffer: the larger of the logits and (without flash attention) the scores."""
    micro = min((case.engine.micro_batch, case.max_num_batched_tokens), key=plain)
    vocabulary = case.model.vocab_size if stage.is_last else 0
    fused = fused_compute_buffer(micro, vocabulary, case.model.hidden_size)
    if case.flash_attention:
        return _with_copies(case, fused, micro)
    scores = [
        _score_buffer(case, group, group.attention, micro)
        for group in case.model.layers
        if isinstance(group.attention, (GroupedQuery, Latent))
    ]
    return _with_copies(case, max([fused, *scores], key=plain), micro)


def _with_copies(case: Case, buffer: Bytes, micro: Count) -> Bytes:
    """The buffer with the input copies that a pipeline of devices keeps."""
    if plain(case.parallel.pipeline_parallel_size) == 1:
        return named(buffer, "activation_bytes")
    copies = pipeline_compute_buffer(micro, _padded(case.max_model_len, case.block_size), case.model.hidden_size)
    return total([named(buffer, "compute buffer"), named(copies, "pipeline copies")], "activation_bytes")


def _score_buffer(case: Case, group: LayerGroup, attention: GroupedQuery | Latent, micro: Count) -> Bytes:
    dim = attention.head_dim if isinstance(attention, GroupedQuery) else attention.v_head_dim
    hidden = case.model.hidden_size
    live = attention_live_width(hidden, heads_width(attention.num_attention_heads, dim))
    if case.engine.compute_buffer_rule == "feed_forward" and isinstance(group.feed_forward, Dense):
        live = feed_forward_live_width(hidden, group.feed_forward.intermediate_size)
    context = _padded(case.max_model_len, case.block_size)
    masks = 2 if any(_is_windowed(each.attention) for each in case.model.layers) else 1
    return score_compute_buffer(micro, context, attention.num_attention_heads, masks, live)


def _is_windowed(attention: Attention | None) -> bool:
    return isinstance(attention, GroupedQuery) and attention.sliding_window is not None


ACCOUNTING: dict[str, Callable[[Case, Stage, Bytes], Division]] = {
    "vllm": _of_total,
    "sglang": _static_pool,
    "remaining": _of_remaining,
    "contiguous": _pre_allocated,
    "llama.cpp": _llama_cpp,
}
