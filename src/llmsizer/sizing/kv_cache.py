"""What one rank caches: per layer and token, per sequence, and for a whole stage."""

from __future__ import annotations

from dataclasses import dataclass

from llmsizer.blocks.operation import CacheKind, CacheShape, StateTensor
from llmsizer.core.explain import named, plain, total
from llmsizer.core.quantities import Bytes, BytesPerToken, Count, Tokens
from llmsizer.formulas.context import rank_cache
from llmsizer.formulas.kv_cache import (
    bytes_per_token_of_layers,
    cache_bytes_per_token,
    cache_elements_per_token,
    cache_group_scale_bytes_per_token,
    cache_scale_bytes_per_token,
    index_bytes_per_token,
    sequence_cache_bytes,
    share_kept_per_token,
    state_bytes,
    windowed_tokens,
)
from llmsizer.formulas.storage import aligned_width, bytes_of_copies, rank_share
from llmsizer.schema.deployment import Case
from llmsizer.schema.number_format import CacheFormat, NumberFormat
from llmsizer.sizing.draft import draft_caches
from llmsizer.sizing.lowering import lower
from llmsizer.sizing.stages import Stage

FLOAT32_BITS = 32


@dataclass(frozen=True, slots=True)
class CacheLayer:
    """Layers of one stage that cache alike: ``bytes_per_token`` and ``state`` are of one layer on
    one rank; ``window`` bounds the tokens kept (None: all)."""

    name: str
    kind: CacheKind
    count: Count
    bytes_per_token: BytesPerToken
    state: Bytes
    window: Tokens | None

    @property
    def grows(self) -> bool:
        """Whether the cache grows with every token."""
        return self.kind in {CacheKind.FULL, CacheKind.LATENT}

    @property
    def is_windowed(self) -> bool:
        """Whether only a window of tokens is kept."""
        return self.kind in {CacheKind.SLIDING, CacheKind.CHUNKED}


def cache_layers(case: Case, stage: Stage) -> list[CacheLayer]:
    """The cache of a stage's layers on one rank; none where the host keeps it all, or nobody any."""
    found: list[CacheLayer] = []
    if not case.use_cache:
        return found
    if case.offload is not None and plain(case.offload.kv_cache) == 1:
        return found
    for stack in lower(case.model).layers:
        if stage.layers_of(stack):
            found += [_layer(case, shape, stage.count_of(stack), stack.name) for shape in stack.caches]
    if stage.is_last:
        found += [_layer(case, shape, count, name) for shape, count, name in draft_caches(case)]
    return [layer for layer in found if plain(layer.bytes_per_token) or plain(layer.state)]


def _layer(case: Case, shape: CacheShape, count: Count, name: str) -> CacheLayer:
    state = total([_state(case, tensor) for tensor in shape.states], f"state, {name}") if shape.states else 0.0
    per_token = _per_token(case, shape)
    sharing = case.parallel.decode_context_parallel_size
    if plain(sharing) > 1 and shape.kind in {CacheKind.FULL, CacheKind.LATENT}:
        per_token = rank_cache(per_token, sharing)
    if case.offload is not None and plain(case.offload.kv_cache):
        per_token = share_kept_per_token(per_token, case.offload.kv_cache)
    return CacheLayer(name, shape.kind, count, per_token, state, shape.window)


def _per_token(case: Case, shape: CacheShape) -> BytesPerToken:
    if shape.kind is CacheKind.STATE:
        return 0.0
    if shape.kind is CacheKind.LATENT:
        width = shape.key_dim
        if case.engine.latent_row_alignment is not None:
            width = aligned_width(width, case.engine.latent_row_alignment)
        latent = _encoded(cache_elements_per_token(shape.heads, width, 0), 1, case.cache_format)
        if shape.index_dim is None:
            return latent
        return total([named(latent, "latent"), index_bytes_per_token(shape.index_dim)], "latent and index")
    heads = rank_share(shape.heads, shape.heads, case.parallel.tensor_parallel_size)
    if case.cache_format.id == case.value_format.id:
        elements = cache_elements_per_token(heads, shape.key_dim, shape.value_dim)
        return _encoded(elements, heads, case.cache_format)
    keys = _encoded(cache_elements_per_token(heads, shape.key_dim, 0), heads, case.cache_format)
    values = _encoded(cache_elements_per_token(heads, 0, shape.value_dim), heads, case.value_format)
    return total([named(keys, "keys"), named(values, "values")], "cache_bytes_per_token")


def _encoded(elements: Count, heads: Count, stored: CacheFormat) -> BytesPerToken:
    values = cache_bytes_per_token(elements, stored.bits)
    parts = [values]
    if stored.head_bytes is not None:
        parts.append(cache_scale_bytes_per_token(heads, stored.head_bytes))
    if stored.scale_group is not None:
        parts.append(cache_group_scale_bytes_per_token(elements, stored.scale_group))
    return values if len(parts) == 1 else total(parts, "cache_bytes_per_token")


def _state(case: Case, tensor: StateTensor) -> Bytes:
    share = rank_share(tensor.elements, tensor.units, case.parallel.tensor_parallel_size)
    bits = state_bits(tensor, case.native, case.engine.states_in_float32)
    return named(state_bytes(share, bits), tensor.name)


def state_bits(tensor: StateTensor, native: NumberFormat, states_in_float32: bool) -> Count:
    """Bits of a value: 32 of a recurrent state where the checkpoint or the engine wants it, else the model's type."""
    if tensor.is_recurrent and (tensor.needs_float32 or states_in_float32):
        return FLOAT32_BITS
    return native.bits


def stage_bytes_per_token(layers: list[CacheLayer], windowed_as_full: bool) -> BytesPerToken:
    """Bytes per token of all layers that keep every token (windowed ones too when an engine sizes
    them as full)."""
    parts = [
        named(bytes_per_token_of_layers(layer.bytes_per_token, layer.count), layer.name)
        for layer in layers
        if layer.grows or (windowed_as_full and layer.is_windowed)
    ]
    return total(parts, "kv_bytes_per_token_per_gpu")


def fixed_sequence_bytes(layers: list[CacheLayer]) -> Bytes:
    """Bytes per sequence that do not depend on its length (recurrent states)."""
    parts = [bytes_of_copies(layer.state, layer.count) for layer in layers if layer.kind is CacheKind.STATE]
    return total(parts, "state per sequence")


def encoder_bytes(layers: list[CacheLayer], encoder_tokens: Tokens) -> Bytes:
    """Bytes per sequence that cross-attention keeps of the encoder's tokens."""
    parts = [
        sequence_cache_bytes(bytes_per_token_of_layers(layer.bytes_per_token, layer.count), encoder_tokens)
        for layer in layers
        if layer.kind is CacheKind.CROSS
    ]
    return total(parts, "encoder cache")


def sequence_bytes(layers: list[CacheLayer], length: Tokens, encoder_tokens: Tokens, step_tokens: Tokens) -> Bytes:
    """Cache of one sequence of a length: windows and states as they are, no paging.

    ``step_tokens`` widens windows by what a step adds before the oldest tokens can go.
    """
    parts = [fixed_sequence_bytes(layers)]
    for layer in layers:
        if layer.kind is CacheKind.STATE:
            continue
        tokens = length
        if layer.is_windowed and layer.window is not None:
            tokens = windowed_tokens(length, widened(layer.window, step_tokens))
        elif layer.kind is CacheKind.CROSS:
            tokens = encoder_tokens
        per_token = bytes_per_token_of_layers(layer.bytes_per_token, layer.count)
        parts.append(named(sequence_cache_bytes(per_token, tokens), layer.name))
    return total(parts, "cache of a sequence")


def widened(window: Tokens, step_tokens: Tokens) -> Tokens:
    """A window and the tokens of a step."""
    return window if plain(step_tokens) == 0 else total([named(window, "window"), named(step_tokens, "step")], "window")
