"""A model's cache by kind of layer, without an engine: what ``models show`` prints."""

from __future__ import annotations

from dataclasses import dataclass

from llmsizer.blocks.operation import CacheShape
from llmsizer.core.explain import plain
from llmsizer.formulas.kv_cache import cache_bytes_per_token, cache_elements_per_token, index_bytes_per_token, state_bytes
from llmsizer.schema.model import Model
from llmsizer.schema.number_format import CacheFormat, NumberFormat
from llmsizer.sizing.kv_cache import state_bits
from llmsizer.sizing.lowering import lower


@dataclass(frozen=True, slots=True)
class KindOfCache:
    """The cache of all layers of one kind, undivided: plain numbers in bytes and tokens."""

    name: str
    layers: int
    bytes_per_token: float
    window: int
    state_bytes: float


def cache_by_kind(model: Model, cache: CacheFormat, native: NumberFormat) -> list[KindOfCache]:
    """The cache of each kind of layer of a model."""
    return [
        _kind(stack.name, int(plain(stack.count)), shape, cache, native)
        for stack in lower(model).layers
        for shape in stack.caches
    ]


def _kind(name: str, layers: int, shape: CacheShape, cache: CacheFormat, native: NumberFormat) -> KindOfCache:
    elements = cache_elements_per_token(shape.heads, shape.key_dim, shape.value_dim)
    per_token = plain(cache_bytes_per_token(elements, cache.bits))
    if shape.index_dim is not None:
        per_token += plain(index_bytes_per_token(shape.index_dim))
    state = sum(plain(state_bytes(each.elements, state_bits(each, native, False))) for each in shape.states)
    window = int(plain(shape.window)) if shape.window is not None else 0
    return KindOfCache(name, layers, per_token * layers, window, state * layers)
