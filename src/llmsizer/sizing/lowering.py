"""The one lowering: a model becomes stacks of equal layers, each a list of operations.

Everything else (parameter counts, weights, caches, activations, FLOP, traffic, time) sums over
what this module returns.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

from llmsizer.blocks.feed_forward import MixtureOfExperts
from llmsizer.blocks.operation import (
    CacheShape,
    Kind,
    Operation,
    Role,
    Split,
    Weight,
    vector,
)
from llmsizer.core.explain import named, plain, total
from llmsizer.core.quantities import Count, Elements
from llmsizer.formulas.parameters import active_expert_elements, elements_of_layers, repeated_width
from llmsizer.schema.model import LayerGroup, Model, MultiTokenPrediction


@dataclass(frozen=True, slots=True, eq=False)
class Stack:
    """``count`` equal layers (or one part outside the layers) with their operations and caches.

    ``indices`` are the layers' places (empty outside the layer stack), which pipeline stages and
    per-layer checkpoint recipes need.
    """

    name: str
    count: Count
    indices: frozenset[int]
    operations: tuple[Operation, ...]
    caches: tuple[CacheShape, ...] = ()
    group: LayerGroup | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Lowering:
    """A model as work: the layer stacks, and the parts before, after and beside them."""

    layers: tuple[Stack, ...]
    embedding: Stack
    head: Stack
    towers: tuple[Stack, ...]
    mtp: tuple[Stack, ...]

    def inference(self) -> tuple[Stack, ...]:
        """All that a running model needs (multi-token prediction excepted)."""
        return (self.embedding, *self.layers, self.head, *self.towers)


def lower(model: Model) -> Lowering:
    """The lowering of a model, plain (kept) or of a lifted view (made anew, explained)."""
    return _lower_once(model) if type(model) is Model else _lower(model)


def _lower(model: Model) -> Lowering:
    hidden = model.hidden_size
    layers = tuple(_layer_stack(group, hidden) for group in model.layers)
    return Lowering(layers, _embedding(model), _head(model), tuple(_towers(model)), tuple(_mtp(model)))


_lower_once = lru_cache(maxsize=512)(_lower)


def _layer_stack(group: LayerGroup, hidden: Count) -> Stack:
    norms = vector("norms", hidden, group.norm_vectors)
    operations: list[Operation] = [Operation("norms", Kind.POINTWISE, (norms, *group.extra))]
    caches: list[CacheShape] = []
    for attention in (group.attention, group.cross_attention):
        if attention is not None:
            operations += attention.operations(hidden)
            cache = attention.cache()
            if cache is not None:
                caches.append(cache)
    if group.feed_forward is not None:
        operations += group.feed_forward.operations(hidden)
    return Stack(group.name, group.count, group.indices, tuple(operations), tuple(caches), group)


def _embedding(model: Model) -> Stack:
    rows = model.embedding_rows if model.embedding_rows is not None else model.vocab_size
    table = Weight("embed_tokens", Role.EMBEDDING, model.hidden_size, rows, split=Split.VOCABULARY)
    weights = [table]
    if model.position_rows is not None:
        weights.append(Weight("embed_positions", Role.EMBEDDING, model.hidden_size, model.position_rows, quantizable=False))
    if model.embedding_norm_vectors is not None:
        weights.append(vector("embedding_norm", model.hidden_size, model.embedding_norm_vectors))
    weights += model.extra
    return Stack("embedding", 1, frozenset(), (Operation("embedding", Kind.LOOKUP, tuple(weights)),))


def _head(model: Model) -> Stack:
    norm = vector("final_norm", model.hidden_size, model.final_norm_vectors)
    operations = [Operation("final_norm", Kind.POINTWISE, (norm,))]
    if model.lm_head and not model.tie_word_embeddings:
        bias = model.vocab_size if model.lm_head_bias else None
        matrix = Weight("lm_head", Role.LM_HEAD, model.hidden_size, model.vocab_size, bias=bias, split=Split.VOCABULARY)
        operations.append(Operation("lm_head", Kind.LINEAR, (matrix,)))
    return Stack("head", 1, frozenset(), tuple(operations))


def _towers(model: Model) -> Iterator[Stack]:
    for tower in model.towers:
        yield Stack(f"{tower.name} layers", tower.num_layers, frozenset(), tower.layer_operations())
        yield Stack(f"{tower.name} embeddings and projector", 1, frozenset(), tower.part_operations())


def _mtp(model: Model) -> Iterator[Stack]:
    if model.mtp is None:
        return
    module: MultiTokenPrediction = model.mtp
    hidden = model.hidden_size
    layer = _layer_stack(module.layer, hidden)
    projection = Weight("eh_proj", Role.MTP, repeated_width(hidden, 2), hidden)
    norms = vector("norms", hidden, module.norm_vectors, Role.MTP)
    weights = [projection, norms]
    if plain(module.embedding_copies):
        weights.append(Weight("copies", Role.MTP, model.vocab_size, hidden, module.embedding_copies))
    yield Stack("mtp layer", module.count, frozenset(), layer.operations, layer.caches, module.layer)
    yield Stack("mtp projection", module.count, frozenset(), (Operation("mtp", Kind.LINEAR, tuple(weights)),))


T = TypeVar("T")


def stack_elements(stack: Stack) -> Elements:
    """Elements of all layers of a stack."""
    one = total([operation.elements() for operation in stack.operations], f"one layer of {stack.name}")
    return named(elements_of_layers(one, stack.count), stack.name)


def total_parameters(model: Model) -> Elements:
    """Elements of the running model: layers, embeddings, head and towers, without MTP modules."""
    return total([stack_elements(stack) for stack in lower(model).inference()], "total_parameters")


def mtp_parameters(model: Model) -> Elements:
    """Elements of the multi-token-prediction modules; 0 where there are none."""
    return total([stack_elements(stack) for stack in lower(model).mtp], "mtp_parameters")


def active_parameters(model: Model) -> Elements:
    """Elements one token passes through: all but the experts it is not routed to, towers left out.

    Embedding and head count; vendors leave one or both out (the catalog's checks name the convention).
    """
    lowered = lower(model)
    stacks = (lowered.embedding, *lowered.layers, lowered.head)
    return total([_active_stack(stack) for stack in stacks], "active_parameters")


def _active_stack(stack: Stack) -> Elements:
    parts = [_active_operation(operation, stack) for operation in stack.operations]
    one = total(parts, f"one layer of {stack.name}")
    return named(elements_of_layers(one, stack.count), stack.name)


def _active_operation(operation: Operation, stack: Stack) -> Elements:
    elements = operation.elements()
    moe = stack.group.feed_forward if stack.group is not None else None
    if operation.kind is not Kind.EXPERTS or not isinstance(moe, MixtureOfExperts):
        return elements
    return active_expert_elements(elements, moe.num_experts_per_tok, moe.num_experts)


@dataclass(frozen=True, slots=True)
class PartCount:
    """Elements of one part of a model: all of them, and those one token passes through."""

    part: str
    total: Elements
    active: Elements


def parameters_by_part(model: Model) -> list[PartCount]:
    """Parameters by what they are for, largest first; multi-token-prediction modules last."""
    totals: dict[str, list[float]] = {}
    for stack in lower(model).inference():
        for operation in stack.operations:
            active = _active_operation(operation, stack)
            elements_of = plain(operation.elements())
            share = plain(active) / elements_of if elements_of else 0.0
            for weight in operation.weights:
                elements = plain(weight.elements()) * plain(stack.count)
                found = totals.setdefault(weight.role.value, [0.0, 0.0])
                found[0] += elements
                found[1] += elements * share if weight.role is not Role.VISION else 0.0
    parts = [PartCount(name, whole, active) for name, (whole, active) in totals.items() if whole]
    parts.sort(key=lambda part: -plain(part.total))
    extra = plain(mtp_parameters(model))
    return [*parts, PartCount(Role.MTP.value, extra, 0.0)] if extra else parts
