"""The attention (or recurrent) kernels of one layer: prefill of prompts, decode over the cache."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from llmsizer.blocks.attention import Attention, GroupedQuery, Indexer, Latent
from llmsizer.blocks.operation import StateTensor
from llmsizer.core.explain import named, plain, total
from llmsizer.core.quantities import Bytes, BytesPerElement, Count, Flop, Seconds, Tokens
from llmsizer.formulas.attention import (
    attention_decode_seconds,
    attention_flop,
    attention_prefill_seconds,
    cache_read_bytes,
    causal_pairs,
    chunked_pairs,
    query_output_bytes,
    scan_decode_seconds,
    scan_flop,
    scan_prefill_seconds,
    score_matrix_bytes,
    tokens_of_chunk,
    visible_tokens,
    windowed_pairs,
)
from llmsizer.formulas.context import rank_pairs, rank_tokens
from llmsizer.formulas.kv_cache import state_bytes
from llmsizer.formulas.parameters import joint_width, repeated_width
from llmsizer.formulas.steps import (
    attention_rows,
    decoding_tokens,
    prompt_sequences,
    queries_per_group,
    rows_of_tokens,
    state_traffic_bytes,
    tokens_each,
)
from llmsizer.formulas.storage import bytes_per_value, rank_share
from llmsizer.schema.deployment import Case
from llmsizer.schema.model import LayerGroup
from llmsizer.sizing.context_collectives import cache_collectives, prompt_collectives
from llmsizer.sizing.kernels import Cost, Kernel
from llmsizer.sizing.kv_cache import state_bits
from llmsizer.sizing.machine import Machine, cache_machine
from llmsizer.sizing.steps import Load


@dataclass(frozen=True, slots=True)
class Heads:
    """Attention of one rank: ``heads`` query heads over ``groups`` cached key/value heads (1 for a
    latent), a key of ``key_width`` and a value of ``value_width`` elements, ``entries`` cached elements
    per token; ``window`` bounds the keys a query sees, to its own chunk where ``chunked``; ``encoder_tokens`` are
    all that cross-attention sees."""

    heads: Count
    groups: Count
    key_width: Count
    value_width: Count
    entries: Count
    window: Tokens | None
    cache_bytes: BytesPerElement
    value_bytes: BytesPerElement
    encoder_tokens: Tokens | None = None
    chunked: bool = False

    def cached(self, context: Tokens) -> Tokens:
        """Cached tokens that a decoding query sees of a context."""
        if self.encoder_tokens is not None:
            return self.encoder_tokens
        if self.window is None:
            return context
        return tokens_of_chunk(context, self.window) if self.chunked else visible_tokens(context, self.window)


@dataclass(frozen=True, slots=True)
class Prefill:
    """Attention of prompt tokens; ``stores_scores`` without FlashAttention; ``context_ranks`` share the queries."""

    name: str
    heads: Heads
    machine: Machine
    stores_scores: bool
    context_ranks: Count = 1
    launches = 3  # positions, writing the cache, attention

    def amount(self, load: Load) -> Count:
        return load.step.prefill_tokens

    def _work(self, load: Load) -> tuple[Count, Tokens, Tokens, Count, Bytes]:
        """Prompts, tokens of each, keys the last one sees, pairs of each, bytes moved."""
        step, shape = load.step, self.heads
        sequences = prompt_sequences(step.prefill_sequences)
        tokens = tokens_each(step.prefill_tokens, sequences)
        keys: Tokens = total([named(step.prefill_context, "context"), named(tokens, "tokens")], "keys")
        if shape.encoder_tokens is not None:
            keys = shape.encoder_tokens
            pairs = attention_rows(rows_of_tokens(tokens), rows_of_tokens(keys))
        elif shape.window is None:
            pairs = causal_pairs(tokens, step.prefill_context)
        else:
            pairs_of = chunked_pairs if shape.chunked else windowed_pairs
            pairs, keys = pairs_of(tokens, step.prefill_context, shape.window), visible_tokens(keys, shape.window)
        own = step.prefill_tokens
        if plain(self.context_ranks) > 1:
            tokens, pairs = rank_tokens(tokens, self.context_ranks), rank_pairs(pairs, self.context_ranks)
            own = rank_tokens(own, self.context_ranks)
        rows = rows_of_tokens(own)
        moved = [
            query_output_bytes(rows, shape.heads, shape.key_width, shape.value_width, shape.value_bytes),
            cache_read_bytes(sequences, keys, shape.entries, shape.value_bytes),
        ]
        if self.stores_scores:
            moved.append(score_matrix_bytes(sequences, tokens, keys, shape.heads, shape.value_bytes))
        return sequences, tokens, keys, pairs, total(moved, "bytes")

    def seconds(self, load: Load) -> Seconds:
        shape, machine = self.heads, self.machine
        sequences, tokens, keys, pairs, traffic = self._work(load)
        return attention_prefill_seconds(
            sequences, tokens, keys, pairs, shape.heads, joint_width(shape.key_width, shape.value_width), traffic,
            machine.units, machine.peak, machine.bandwidth, **machine.curve.parameters,
        )  # fmt: skip

    def cost(self, load: Load) -> Cost:
        shape, machine = self.heads, self.machine
        sequences, _, _, pairs, traffic = self._work(load)
        flop = attention_flop(attention_rows(pairs, sequences), shape.heads, shape.key_width, shape.value_width)
        floor = machine.curve.parameters["launch_seconds"]
        return Cost(self.name, "attention", flop, traffic, self.seconds(load), floor, machine.peak, machine.bandwidth)


@dataclass(frozen=True, slots=True)
class Decode:
    """Attention of decoding sequences over their cache; ``splits_context`` as Flash-Decoding does; ``context_ranks``
    share the cached tokens."""

    name: str
    heads: Heads
    machine: Machine
    splits_context: bool = True
    context_ranks: Count = 1
    launches = 3  # positions, writing the cache, attention

    def amount(self, load: Load) -> Count:
        return load.step.decode_batch

    def _keys(self, load: Load) -> Tokens:
        seen = self.heads.cached(load.step.decode_context)
        return seen if plain(self.context_ranks) == 1 else rank_tokens(seen, self.context_ranks)

    def _traffic(self, load: Load, keys: Tokens) -> Bytes:
        step, shape = load.step, self.heads
        cache = cache_read_bytes(step.decode_batch, keys, shape.entries, shape.cache_bytes)
        decoding = attention_rows(step.decode_batch, rows_of_tokens(step.query_tokens))
        io = query_output_bytes(decoding, shape.heads, shape.key_width, shape.value_width, shape.value_bytes)
        return total([named(cache, "cache"), named(io, "queries and outputs")], "bytes")

    def seconds(self, load: Load) -> Seconds:
        step, shape, machine = load.step, self.heads, self.machine
        keys = self._keys(load)
        parameters = machine.curve.parameters
        if not self.splits_context:
            parameters = {**parameters, "splits": 1.0}
        return attention_decode_seconds(
            step.decode_batch, keys, queries_per_group(shape.heads, shape.groups, step.query_tokens), shape.groups,
            joint_width(shape.key_width, shape.value_width),
            cache_read_bytes(1.0, 1.0, entries_of_group(shape), shape.cache_bytes), self._traffic(load, keys),
            machine.units, machine.peak, machine.bandwidth, **parameters,
        )  # fmt: skip

    def cost(self, load: Load) -> Cost:
        step, shape, machine = load.step, self.heads, self.machine
        keys = self._keys(load)
        rows = attention_rows(step.decode_batch, rows_of_tokens(step.query_tokens))
        pairs = attention_rows(rows, rows_of_tokens(keys))
        flop = attention_flop(pairs, shape.heads, shape.key_width, shape.value_width)
        floor = machine.curve.parameters["launch_seconds"]
        return Cost(self.name, "attention", flop, self._traffic(load, keys), self.seconds(load), floor, machine.peak,
                    machine.bandwidth)  # fmt: skip


@dataclass(frozen=True, slots=True)
class State:
    """A recurrent mixer of one rank: elements and bytes of a sequence's state, and the width of its
    inputs and outputs."""

    elements: Count
    state_bytes: Bytes
    width: Count
    value_bytes: BytesPerElement


@dataclass(frozen=True, slots=True)
class ScanPrefill:
    """A recurrent mixer over prompt tokens: chunks of one prompt follow each other."""

    name: str
    state: State
    machine: Machine
    launches = 8  # convolution, gates, the passes of a chunked scan, gated norm

    def amount(self, load: Load) -> Count:
        return load.step.prefill_tokens

    def _work(self, load: Load) -> tuple[Flop, Bytes]:
        step, state = load.step, self.state
        sequences = prompt_sequences(step.prefill_sequences)
        rows = rows_of_tokens(step.prefill_tokens)
        traffic = state_traffic_bytes(sequences, state.state_bytes, rows, state.width, state.value_bytes)
        return scan_flop(step.prefill_tokens, state.elements), traffic

    def seconds(self, load: Load) -> Seconds:
        flop, traffic = self._work(load)
        tokens = tokens_each(load.step.prefill_tokens, prompt_sequences(load.step.prefill_sequences))
        machine = self.machine
        return scan_prefill_seconds(tokens, flop, traffic, machine.peak, machine.bandwidth, **machine.curve.parameters)

    def cost(self, load: Load) -> Cost:
        flop, traffic = self._work(load)
        machine = self.machine
        floor = machine.curve.parameters["launch_seconds"]
        return Cost(self.name, "scan", flop, traffic, self.seconds(load), floor, machine.peak, machine.bandwidth)


@dataclass(frozen=True, slots=True)
class ScanDecode:
    """A recurrent mixer of decoding sequences: each state is read and written once a step."""

    name: str
    state: State
    machine: Machine
    launches = 4  # convolution, gates, update, gated norm

    def amount(self, load: Load) -> Count:
        return load.step.decode_batch

    def _traffic(self, load: Load) -> Bytes:
        step, state = load.step, self.state
        rows = attention_rows(step.decode_batch, rows_of_tokens(step.query_tokens))
        return state_traffic_bytes(step.decode_batch, state.state_bytes, rows, state.width, state.value_bytes)

    def seconds(self, load: Load) -> Seconds:
        machine = self.machine
        return scan_decode_seconds(self._traffic(load), machine.bandwidth, **machine.curve.parameters)

    def cost(self, load: Load) -> Cost:
        machine, step = self.machine, load.step
        flop = scan_flop(decoding_tokens(step.decode_batch, step.query_tokens), self.state.elements)
        floor = machine.curve.parameters["launch_seconds"]
        traffic = self._traffic(load)
        return Cost(self.name, "scan", flop, traffic, self.seconds(load), floor, machine.peak, machine.bandwidth)


def entries_of_group(shape: Heads) -> Count:
    """Cached elements per token of one key/value head."""
    return rank_share(shape.entries, shape.entries, shape.groups) if plain(shape.groups) > 1 else shape.entries


def attention_kernels(case: Case, group: LayerGroup) -> Iterator[Kernel]:
    """The kernels of a layer's attention, and of its cross-attention where it has one."""
    for attention in (group.attention, group.cross_attention):
        if attention is not None:
            yield from _kernels_of(case, attention)


def _kernels_of(case: Case, attention: Attention) -> Iterator[Kernel]:
    if isinstance(attention, GroupedQuery):
        yield from _grouped(case, attention)
    elif isinstance(attention, Latent):
        yield from _latent(case, attention)
    else:
        yield from _recurrent(case, attention)


def _cache_format(case: Case) -> str:
    return "fp8" if plain(case.cache_format.bits) < 12 else "bf16"


def _grouped(case: Case, attention: GroupedQuery) -> Iterator[Kernel]:
    tensor = case.parallel.tensor_parallel_size
    heads = rank_share(attention.num_attention_heads, attention.num_attention_heads, tensor)
    groups = rank_share(attention.num_key_value_heads, attention.num_key_value_heads, tensor)
    dim = attention.head_dim
    window = attention.sliding_window if attention.sliding_window is not None else attention.attention_chunk_size
    entries = repeated_width(repeated_width(groups, dim), 2)
    shape = Heads(heads, groups, dim, dim, entries, window, bytes_per_value(case.cache_format.bits),
                  bytes_per_value(case.native.bits), case.model.encoder_tokens if attention.cross else None,
                  attention.attention_chunk_size is not None)  # fmt: skip
    sharing = case.parallel.decode_context_parallel_size if window is None and not attention.cross else 1
    yield from _attending(case, "attention", shape, shape, sharing)


def _latent(case: Case, attention: Latent) -> Iterator[Kernel]:
    """MLA: prompts with expanded heads, decoding absorbed over the latent that all heads share; a
    sparse indexer scores every cached token and attention sees what it picks."""
    tensor = case.parallel.tensor_parallel_size
    heads = rank_share(attention.num_attention_heads, attention.num_attention_heads, tensor)
    key = joint_width(attention.qk_nope_head_dim, attention.qk_rope_head_dim)
    latent = joint_width(attention.kv_lora_rank, attention.qk_rope_head_dim)
    values = bytes_per_value(case.native.bits)
    picked = attention.indexer.index_topk if attention.indexer is not None else None
    expanded = repeated_width(heads, joint_width(key, attention.v_head_dim))
    cached = bytes_per_value(case.cache_format.bits)
    prompt = Heads(heads, heads, key, attention.v_head_dim, expanded, picked, values, values)
    decode = Heads(heads, 1.0, latent, attention.kv_lora_rank, latent, picked, cached, values)
    yield from _attending(case, "latent", prompt, decode, case.parallel.decode_context_parallel_size)
    if attention.indexer is not None:
        yield from _index(case, attention.indexer)


def _attending(case: Case, family: str, prompt: Heads, decode: Heads, sharing: Count) -> Iterator[Kernel]:
    """Attention of prompts and over the cache; ``sharing`` ranks hold a part of each sequence's cache, and look into
    it for the heads of all of them."""
    stored, prompts = _cache_format(case), case.parallel.prefill_context_parallel_size
    if plain(sharing) > 1:
        decode = replace(decode, heads=repeated_width(decode.heads, sharing))
    machines = (cache_machine(case, f"{family}_{phase}", stored) for phase in ("prefill", "decode"))
    yield Prefill("attention of prompts", prompt, next(machines), not case.flash_attention, prompts)
    yield Decode("attention of the cache", decode, next(machines), case.flash_decoding, sharing)
    yield from prompt_collectives(case, decode)
    if plain(sharing) > 1:
        yield from cache_collectives(case, decode, sharing)


def _index(case: Case, indexer: Indexer) -> Iterator[Kernel]:
    """The indexer: its heads score one narrow 8-bit key per cached token, and no values."""
    one, values = bytes_per_value(8), bytes_per_value(case.native.bits)
    shape = Heads(indexer.index_n_heads, 1.0, indexer.index_head_dim, 0.0, indexer.index_head_dim, None, one, values)
    split = case.parallel
    yield Prefill("indexer of prompts", shape, cache_machine(case, "latent_prefill", "bf16"), False,
                  split.prefill_context_parallel_size)  # fmt: skip
    yield Decode("indexer of the cache", shape, cache_machine(case, "latent_decode", "bf16"), True,
                 split.decode_context_parallel_size)  # fmt: skip


def _recurrent(case: Case, attention: Attention) -> Iterator[Kernel]:
    cache = attention.cache()
    if cache is None:
        return
    matrix = next(tensor for tensor in cache.states if tensor.is_recurrent)
    elements = _share(case, matrix)
    width = total([_share(case, tensor) for tensor in cache.states if not tensor.is_recurrent], "width")
    state = state_bytes(elements, state_bits(matrix, case.native, case.engine.states_in_float32))
    mixer = State(elements, state, width, bytes_per_value(case.native.bits))
    yield ScanPrefill("recurrence of prompts", mixer, cache_machine(case, "scan_prefill", "bf16"))
    yield ScanDecode("recurrence of the states", mixer, cache_machine(case, "scan_decode", "bf16"))


def _share(case: Case, tensor: StateTensor) -> Count:
    return rank_share(tensor.elements, tensor.units, case.parallel.tensor_parallel_size)
