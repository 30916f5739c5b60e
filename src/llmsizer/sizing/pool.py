"""Cache pools: how many tokens and sequences of given lengths fit in the memory left for them.

Three layouts: ``UniformPool`` (every layer keeps every token, or is sized so), ``GroupedPool``
(vLLM's hybrid manager: layers of different kinds share blocks by groups) and ``SeparatePool``
(each kind takes what it needs). Each answers ``pool_bytes`` (what the engine allocates),
``printed_tokens`` (the capacity as the engine prints it), ``concurrency`` (sequences of a length that
fit at once; a fraction counts) and ``bytes_per_token`` (of the pool, per token of its capacity).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

from llmsizer.blocks.operation import CacheKind
from llmsizer.core.explain import named, plain, total
from llmsizer.core.numerics import ceil, floor
from llmsizer.core.quantities import Bytes, BytesPerToken, Count, Tokens
from llmsizer.formulas.kv_cache import (
    bytes_per_token_of_layers,
    concurrency_tokens,
    full_blocks,
    page_bytes,
    pool_blocks,
    pool_concurrency,
    printed_pool_tokens,
    sliding_blocks,
    state_block_size,
    tokens_that_fit,
)
from llmsizer.formulas.storage import bytes_of_copies
from llmsizer.schema.deployment import Case
from llmsizer.sizing.kv_cache import (
    CacheLayer,
    encoder_bytes,
    fixed_sequence_bytes,
    sequence_bytes,
    stage_bytes_per_token,
)


@dataclass(frozen=True)
class UniformPool:
    """Pages of ``block_size`` tokens over all layers together; ``fixed`` bytes a sequence beside."""

    case: Case
    layers: list[CacheLayer]
    available: Bytes

    @cached_property
    def _per_token(self) -> BytesPerToken:
        return stage_bytes_per_token(self.layers, windowed_as_full=True)

    @cached_property
    def page(self) -> Bytes:
        """Bytes of one page of all layers."""
        return page_bytes(self._per_token, self.case.block_size)

    @cached_property
    def blocks(self) -> Count:
        """Whole blocks that fit; none where nothing is cached."""
        if not self.layers:
            return 0.0
        return pool_blocks(self.available, self.page, 1)

    @cached_property
    def _fixed(self) -> float:
        encoder = self.case.model.encoder_tokens
        return plain(fixed_sequence_bytes(self.layers)) + plain(encoder_bytes(self.layers, encoder or 0))

    def pool_bytes(self) -> Bytes:
        return bytes_of_copies(self.page, self.blocks)

    def printed_tokens(self, length: Tokens) -> Tokens:
        if self.case.engine.cache_figure == "concurrency":
            return concurrency_tokens(self.concurrency(length), length)
        return printed_pool_tokens(self.blocks, 1, self.case.block_size)

    def concurrency(self, length: Tokens) -> Count:
        if not self._fixed:
            return pool_concurrency(self.blocks, full_blocks(length, self.case.block_size))
        needed = ceil(plain(length) / plain(self.case.block_size)) * plain(self.page) + self._fixed
        return plain(self.available) / needed

    def bytes_per_token(self, length: Tokens) -> BytesPerToken:
        return self._per_token


@dataclass(frozen=True, slots=True)
class Group:
    """A group of layers of one kind in a shared pool: its block size, and blocks a request needs."""

    layer: CacheLayer
    block_size: Tokens


@dataclass(frozen=True)
class GroupedPool:
    """vLLM's hybrid cache manager: layers of each kind are cut into groups of equal size; one block
    is one page in each layer of a group (vllm/v1/core/kv_cache_utils.py)."""

    case: Case
    groups: list[Group]
    layers_per_group: int
    page: Bytes
    available: Bytes

    @cached_property
    def blocks(self) -> Count:
        """Whole blocks of the pool."""
        return pool_blocks(self.available, self.page, self.layers_per_group)

    def pool_bytes(self) -> Bytes:
        return bytes_of_copies(bytes_of_copies(self.page, self.layers_per_group), self.blocks)

    def request_blocks(self, length: Tokens) -> Count:
        """Blocks of all groups that a sequence of a length may need."""
        needed = {key: self._blocks_of(group, length) for key, group in self._different.items()}
        return total([needed[id(group)] for group in self.groups], "blocks_per_request")

    @cached_property
    def _different(self) -> dict[int, Group]:
        return {id(group): group for group in self.groups}

    def _blocks_of(self, group: Group, length: Tokens) -> Count:
        layer = group.layer
        if layer.kind is CacheKind.STATE:
            return 1.0
        if layer.kind is CacheKind.SLIDING and layer.window is not None:
            return sliding_blocks(length, layer.window, self.case.max_num_batched_tokens, group.block_size)
        return full_blocks(length, group.block_size)

    def concurrency(self, length: Tokens) -> Count:
        return pool_concurrency(self.blocks, self.request_blocks(length))

    def printed_tokens(self, length: Tokens) -> Tokens:
        if self.case.engine.cache_figure == "concurrency":
            return concurrency_tokens(self.concurrency(length), length)
        size = max((group.block_size for group in self.groups if group.layer.kind is CacheKind.STATE), default=None, key=plain)
        return printed_pool_tokens(self.blocks, len(self.groups), size if size is not None else self.case.block_size)

    def bytes_per_token(self, length: Tokens) -> BytesPerToken:
        tokens = plain(self.printed_tokens(length))
        return plain(self.pool_bytes()) / tokens if tokens else 0.0


@dataclass(frozen=True, slots=True)
class SeparatePool:
    """Each kind of layer keeps what it needs: windows bounded, states once a sequence."""

    case: Case
    layers: list[CacheLayer]
    available: Bytes

    def _sequence(self, length: Tokens) -> Bytes:
        block = plain(self.case.block_size)
        rounded = length if block == 1 else ceil(plain(length) / block) * block
        encoder = self.case.model.encoder_tokens
        return sequence_bytes(self.layers, rounded, encoder if encoder is not None else 0, 0)

    def pool_bytes(self) -> Bytes:
        return self.available

    def concurrency(self, length: Tokens) -> Count:
        return pool_concurrency(plain(self.available), plain(self._sequence(length)))

    def printed_tokens(self, length: Tokens) -> Tokens:
        if all(layer.grows for layer in self.layers):
            return tokens_that_fit(self.available, stage_bytes_per_token(self.layers, windowed_as_full=False))
        return floor(plain(self.concurrency(length)) * plain(length))

    def bytes_per_token(self, length: Tokens) -> BytesPerToken:
        if all(layer.grows for layer in self.layers):
            return stage_bytes_per_token(self.layers, windowed_as_full=False)
        return plain(self._sequence(length)) / plain(length)


Pool: TypeAlias = UniformPool | GroupedPool | SeparatePool


def make_pool(case: Case, layers: list[CacheLayer], available: Bytes) -> Pool:
    """The pool of a rank, laid out as the engine version does it."""
    policy = case.engine.hybrid_cache
    kinds = {layer.kind for layer in layers}
    hybrid = bool(kinds & {CacheKind.SLIDING, CacheKind.STATE})
    if policy == "grouped" and hybrid:
        return _grouped(case, layers, available)
    if policy in {"grouped", "full"} and kinds != {CacheKind.STATE}:
        return UniformPool(case, layers, available)
    if policy == "fraction" and CacheKind.STATE in kinds and case.engine.state_fraction is not None:
        share = 1 / (1 + plain(case.engine.state_fraction))
        growing = [layer for layer in layers if layer.kind is not CacheKind.STATE]
        return UniformPool(case, growing, plain(available) * share)
    if not hybrid and CacheKind.CROSS not in kinds:
        return UniformPool(case, layers, available)
    return SeparatePool(case, layers, available)


def _grouped(case: Case, layers: list[CacheLayer], available: Bytes) -> GroupedPool:
    """Groups and pages by vLLM's rule: the group size is the smallest kind's layer count, or the
    largest's where that is under 1.5 times the smallest; smaller pages grow to the largest."""
    block = case.block_size
    attention = [layer for layer in layers if layer.kind is not CacheKind.STATE]
    states = [layer for layer in layers if layer.kind is CacheKind.STATE]
    sizes: dict[str, Tokens] = {layer.name: block for layer in attention}
    if states and attention:
        largest = max(states, key=lambda layer: plain(layer.state))
        fullest = max(attention, key=lambda layer: plain(layer.bytes_per_token))
        raised = state_block_size(largest.state, fullest.bytes_per_token, block)
        sizes = {layer.name: raised for layer in attention}
        pages = {layer.name: page_bytes(layer.bytes_per_token, raised) for layer in attention}
        page = max(pages.values(), key=plain)
        sizes |= {layer.name: raised for layer in states}
    elif states:
        page = max((layer.state for layer in states), key=plain)
        sizes = {layer.name: block for layer in states}
    else:
        pages = {layer.name: page_bytes(layer.bytes_per_token, block) for layer in attention}
        page = max(pages.values(), key=plain)
        for layer in attention:
            ratio = floor(plain(page) / plain(pages[layer.name]))
            sizes[layer.name] = block if ratio == 1 else plain(block) * plain(ratio)
    groups, size = _group_layers(layers, sizes)
    return GroupedPool(case, groups, size, page, available)


def _group_layers(layers: list[CacheLayer], sizes: dict[str, Tokens]) -> tuple[list[Group], int]:
    joined: dict[tuple[object, ...], tuple[CacheLayer, int]] = {}
    for layer in layers:
        key = (
            layer.kind,
            plain(layer.bytes_per_token),
            plain(layer.state),
            plain(layer.window) if layer.window else None,
        )
        first, count = joined.get(key, (layer, 0))
        joined[key] = (first, count + int(plain(layer.count)))
    counts = [count for _, count in joined.values()]
    size = max(counts) if max(counts) < 1.5 * min(counts) else min(counts)
    groups = []
    for layer, count in joined.values():
        groups += [Group(layer, sizes[layer.name])] * int(ceil(count / size))
    return groups, size


def sequence_slope(layers: list[CacheLayer]) -> BytesPerToken:
    """Bytes one more token of a long sequence takes: the layers that keep every token."""
    parts = [bytes_per_token_of_layers(layer.bytes_per_token, layer.count) for layer in layers if layer.grows]
    return named(total(parts, "slope"), "kv_bytes_per_further_token")
