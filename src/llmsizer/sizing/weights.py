"""Bytes of weights: of a checkpoint, and of what one rank of a deployment loads."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from llmsizer.blocks.attention import Latent
from llmsizer.blocks.operation import Role, Split, Weight
from llmsizer.core.explain import is_explained, lift, named, plain, total
from llmsizer.core.quantities import Bytes, Count
from llmsizer.formulas.budget import share_offloaded
from llmsizer.formulas.parameters import (
    heads_width,
    joint_width,
    matrix_elements,
)
from llmsizer.formulas.storage import (
    aligned_width,
    block_scale_bytes,
    bytes_of_copies,
    constant_bytes,
    flat_scale_bytes,
    group_scale_bytes,
    packed_bytes,
    rank_share,
    row_block_bytes,
    row_index_bytes,
    vocabulary_share,
)
from llmsizer.schema.deployment import Case, Parallel
from llmsizer.schema.model import LayerGroup, Model
from llmsizer.schema.number_format import NATIVE, NumberFormat, QuantizationScheme
from llmsizer.sizing.lowering import Stack, lower
from llmsizer.sizing.stages import Stage
from llmsizer.sizing.tensor_formats import layer_formats
from llmsizer.sizing.token_ranks import expert_ranks


@dataclass(frozen=True, slots=True)
class Shape:
    """The part of a weight one rank holds."""

    in_features: Count
    out_features: Count
    copies: Count
    bias: Count | None


def whole(weight: Weight) -> Shape:
    """A weight undivided, as a checkpoint stores it."""
    return Shape(weight.in_features, weight.out_features, weight.copies, weight.bias)


def rank_shape(weight: Weight, parallel: Parallel, vocabulary_padding: Count) -> Shape:
    """The part of a weight one tensor- (and for experts data- or expert-) parallel rank holds."""
    rows, columns, copies, bias = weight.in_features, weight.out_features, weight.copies, weight.bias
    ranks: Count = parallel.tensor_parallel_size
    if weight.role is Role.EXPERT:
        ranks = expert_ranks(parallel)
        if parallel.enable_expert_parallel:
            return Shape(rows, columns, rank_share(copies, copies, ranks), bias)
    if plain(ranks) == 1 or weight.split is Split.REPLICATED:
        return Shape(rows, columns, copies, bias)
    if weight.split is Split.VOCABULARY:
        columns = vocabulary_share(columns, vocabulary_padding, ranks)
        return Shape(rows, columns, copies, columns if bias is not None else None)
    if weight.split is Split.COLUMN:
        units = weight.units if weight.units is not None else columns
        columns = rank_share(columns, units, ranks)
        return Shape(rows, columns, copies, columns if bias is not None else None)
    units = weight.units if weight.units is not None else rows
    return Shape(rank_share(rows, units, ranks), columns, copies, bias)


def tensor_bytes(shape: Shape, stored: NumberFormat, native: NumberFormat, name: str) -> Bytes:
    """Bytes of (the copies of) a weight in a number format; its bias in the native type."""
    one = total(list(_parts(shape, stored)), f"{name} ({plain_id(stored)})")
    parts = [bytes_of_copies(one, shape.copies) if plain(shape.copies) != 1 else one]
    if shape.bias is not None:
        parts.append(packed_bytes(matrix_elements(shape.bias, 1, shape.copies), native.bits))
    return parts[0] if len(parts) == 1 else total(parts, f"{name} with bias")


def plain_id(stored: NumberFormat) -> str:
    """The id of a format."""
    return stored.id


def _parts(shape: Shape, stored: NumberFormat) -> Iterable[Bytes]:
    rows, columns = shape.in_features, shape.out_features
    if stored.packed_elements is not None:
        yield row_block_bytes(rows, columns, stored.packed_elements, stored.packed_bytes)
        return
    elements = matrix_elements(rows, columns, 1)
    yield packed_bytes(elements, stored.bits)
    if stored.flat_group:
        yield flat_scale_bytes(elements, _group(stored, rows), stored.group_bits)
    elif stored.group_size is not None:
        yield group_scale_bytes(rows, columns, _group(stored, rows), stored.group_bits)
    if stored.block is not None:
        block_rows, block_columns = stored.block
        yield block_scale_bytes(rows, columns, block_rows, block_columns, stored.block_bits)
    if stored.index_bits is not None:
        yield row_index_bytes(rows, stored.index_bits)
    if stored.tensor_bytes is not None:
        yield constant_bytes(stored.tensor_bytes, 1)


def _group(stored: NumberFormat, rows: Count) -> Count:
    """The group size; the whole column when the format has one scale for it."""
    return rows if plain(stored.group_size) == 0 else stored.group_size  # type: ignore[return-value]


class WeightSizer:
    """Sums the bytes of stacks for one model, scheme and split; plain or explained alike."""

    def __init__(
        self,
        model: Model,
        scheme: QuantizationScheme,
        native: NumberFormat,
        parallel: Parallel | None,
        padding: Count,
        expert_alignment: tuple[Count, Count] | None = None,
    ) -> None:
        self.model, self.scheme, self.native = model, scheme, native
        self.parallel, self.padding, self.expert_alignment = parallel, padding, expert_alignment
        self.explained = is_explained(native.bits)
        self.by_layer = scheme.is_gguf or bool(scheme.tensors)
        self._known: dict[tuple[object, ...], tuple[Weight, LayerGroup | None, list[Bytes]]] = {}
        self._ones: dict[tuple[int, str], tuple[Weight, Bytes]] = {}

    def stack(self, stack: Stack, layers: list[int], count: Count) -> Bytes:
        """Bytes of ``count`` layers of a stack; per-layer recipes look at their places."""
        parts = []
        for operation in stack.operations:
            for weight in operation.weights:
                parts += self.weight_parts(weight, stack.group, layers, count)
        return total(parts, stack.name)

    def weight(self, weight: Weight, group: LayerGroup | None = None) -> Bytes:
        """Bytes of a single weight outside the layers."""
        return total(self.weight_parts(weight, group, [], 1), weight.name)

    def weight_parts(self, weight: Weight, group: LayerGroup | None, layers: list[int], count: Count) -> list[Bytes]:
        """Bytes of a weight in ``count`` layers, one part for each format it is stored in. Each is
        computed once; what is kept holds its weight, so that no other can take its id."""
        key = (id(weight), id(group), plain(count), *(layers if self.by_layer else (len(layers),)))
        if key not in self._known:
            self._known[key] = weight, group, self._parts(weight, group, layers, count)
        return self._known[key][2]

    def _parts(self, weight: Weight, group: LayerGroup | None, layers: list[int], count: Count) -> list[Bytes]:
        formats = layer_formats(self.model, self.scheme, weight, group, layers)
        parts = []
        for name, times in formats.items():
            one = self._one(weight, name)
            repeats: Count = count if len(formats) == 1 else times
            parts.append(named(one if plain(repeats) == 1 else bytes_of_copies(one, repeats), weight.name))
        return parts

    def _one(self, weight: Weight, name: str) -> Bytes:
        """Bytes of a weight in one layer, stored in a format; kept as above."""
        key = id(weight), name
        if key not in self._ones:
            shape = whole(weight) if self.parallel is None else rank_shape(self._divided(weight), self.parallel, self.padding)
            if name == ALIGNED_FORMAT and weight.role is Role.EXPERT and self.expert_alignment is not None:
                shape = aligned(shape, weight, *self.expert_alignment)
            self._ones[key] = weight, tensor_bytes(shape, self._format(name, weight), self._vector_format(), weight.name)
        return self._ones[key][1]

    def _divided(self, weight: Weight) -> Weight:
        """GGUF blocks run along the inputs and stay whole: such matrices are divided by outputs."""
        return replace(weight, split=Split.COLUMN, units=None) if self.scheme.is_gguf and weight.split is Split.ROW else weight

    def _format(self, name: str, weight: Weight) -> NumberFormat:
        if name == NATIVE:
            return self.native
        chosen = self.scheme.formats[name]
        return lift(chosen) if self.explained and type(chosen) is NumberFormat else chosen

    def _vector_format(self) -> NumberFormat:
        return self._format(self.scheme.vector, _VECTOR) if self.scheme.is_gguf else self.native


ALIGNED_FORMAT = "mxfp4"


def aligned(shape: Shape, weight: Weight, hidden: Count, intermediate: Count) -> Shape:
    """The shape of a routed expert whose kernels need widths in multiples (MXFP4 in vLLM)."""
    into, out = (intermediate, hidden) if weight.split is Split.ROW else (hidden, intermediate)
    return Shape(aligned_width(shape.in_features, into), aligned_width(shape.out_features, out), shape.copies, shape.bias)


_VECTOR = Weight("vector", Role.NORM, 1)


def checkpoint_bytes(model: Model, scheme: QuantizationScheme, native: NumberFormat, published: bool = False) -> Bytes:
    """Bytes of a checkpoint's tensors; with ``published`` what vendors store beside the running model
    (a copy of a tied head, multi-token-prediction modules)."""
    sizer = WeightSizer(model, scheme, native, None, 1)
    lowered = lower(model)
    parts = [sizer.stack(stack, sorted(stack.indices), stack.count) for stack in lowered.inference()]
    if published:
        parts += [sizer.stack(stack, [], stack.count) for stack in lowered.mtp]
        if model.tied_head_stored:
            parts.append(sizer.weight(embedding_weight(lowered.embedding)))
    return total(parts, "checkpoint_bytes")


def embedding_weight(embedding: Stack) -> Weight:
    """The token embedding table among an embedding stack's weights."""
    return embedding.operations[0].weights[0]


def sizer_of(case: Case) -> WeightSizer:
    """The sizer of one rank of a case; cases that differ in nothing it looks at share it."""
    explained = is_explained(case.native.bits)
    padding, alignment = case.engine.vocabulary_padding, case.engine.expert_alignment
    parallel = case.parallel if explained else replace(case.parallel, pipeline_parallel_size=1)  # the same in every stage
    make: Any = WeightSizer if explained else _sizer
    sizer: WeightSizer = make(case.model, case.scheme, case.native, parallel, padding, alignment)
    return sizer


_sizer = lru_cache(maxsize=128)(WeightSizer)


def rank_weight_bytes(case: Case, stage: Stage) -> Bytes:
    """Bytes of weights one device of a stage loads, absorbed copies and loader overhead included."""
    sizer = sizer_of(case)
    parts = [sizer.stack(stack, layers, count) for stack, layers, count in held_layers(case, stage)]
    parts += list(_ends(case, stage, sizer))
    if case.engine.absorbed_copies:
        parts += _absorbed(case, stage)
    if plain(case.engine.load_overhead):
        parts.append(named(case.engine.load_overhead, "loader overhead"))
    return total(parts, "weights_bytes")


def held_layers(case: Case, stage: Stage) -> Iterable[tuple[Stack, list[int], Count]]:
    """The stacks of which a device of a stage holds layers, with their places and number; where experts
    of the first layers stay on the host, those layers come without them."""
    on_host = case.offload.expert_layers if case.offload is not None else None
    for stack in lower(case.model).layers:
        layers = stage.layers_of(stack)
        kept = [layer for layer in layers if on_host is None or layer >= plain(on_host)]
        if kept:
            yield stack, kept, stage.count_of(stack) if len(kept) == len(layers) else len(kept)
        if len(kept) < len(layers):
            yield without_experts(stack), layers[: len(layers) - len(kept)], len(layers) - len(kept)


def without_experts(stack: Stack) -> Stack:
    """A stack less its routed experts."""
    kept = tuple(op for op in stack.operations if all(weight.role is not Role.EXPERT for weight in op.weights))
    return replace(stack, operations=kept)


def _ends(case: Case, stage: Stage, sizer: WeightSizer) -> Iterable[Bytes]:
    lowered = lower(case.model)
    on_host = case.engine.embedding_on_host
    tied_head = stage.is_last and case.model.tie_word_embeddings and case.model.lm_head
    if stage.is_first and not on_host:
        yield sizer.stack(lowered.embedding, [], 1)
    if stage.is_first:
        yield from (sizer.stack(stack, [], stack.count) for stack in lowered.towers if not on_host)
    if tied_head and (on_host or not stage.is_first):
        yield named(sizer.weight(embedding_weight(lowered.embedding)), "tied head")
    if stage.is_last:
        yield sizer.stack(lowered.head, [], 1)


def _absorbed(case: Case, stage: Stage) -> list[Bytes]:
    """16-bit copies of MLA's up-projections that engines keep for absorbed decoding."""
    parts = []
    for stack in lower(case.model).layers:
        attention = stack.group.attention if stack.group is not None else None
        if not isinstance(attention, Latent) or not stage.layers_of(stack):
            continue
        heads = rank_share(attention.num_attention_heads, attention.num_attention_heads, case.parallel.tensor_parallel_size)
        width = heads_width(heads, joint_width(attention.qk_nope_head_dim, attention.v_head_dim))
        one = packed_bytes(matrix_elements(attention.kv_lora_rank, width, 1), case.native.bits)
        parts.append(named(bytes_of_copies(one, stage.count_of(stack)), f"absorbed copies, {stack.name}"))
    return parts


def host_weight_bytes(case: Case, stage: Stage) -> Bytes:
    """Bytes of weights that stay in host memory: the embedding (llama.cpp), layers and experts that
    are not given to the device, a share of all weights."""
    sizer, lowered = sizer_of(case), lower(case.model)
    parts: list[Bytes] = []
    if case.engine.embedding_on_host and (stage.is_first or case.offload is not None):
        parts.append(sizer.stack(lowered.embedding, [], 1))
    if case.offload is not None:
        parts += _offloaded(case, stage, sizer)
    return total(parts, "host_weights_bytes") if parts else 0.0


def _offloaded(case: Case, stage: Stage, sizer: WeightSizer) -> list[Bytes]:
    offload, lowered, parts = case.offload, lower(case.model), []
    assert offload is not None
    if plain(offload.weights):
        parts.append(named(share_offloaded(rank_weight_bytes(case, stage), offload.weights), "share of the weights"))
    if offload.gpu_layers is not None:
        for stack in lowered.layers:
            layers = [layer for layer in sorted(stack.indices) if layer < stage.first]
            parts += [sizer.stack(stack, layers, len(layers))] if layers else []
        parts += [] if stage.is_last else [sizer.stack(lowered.head, [], 1)]
    if offload.expert_layers is not None:
        for stack in lowered.layers:
            layers = [layer for layer in stage.layers_of(stack) if layer < plain(offload.expert_layers)]
            parts += [sizer.stack(only_experts(stack), layers, len(layers))] if layers else []
    return parts


def only_experts(stack: Stack) -> Stack:
    """A stack's routed experts."""
    kept = tuple(op for op in stack.operations if any(weight.role is Role.EXPERT for weight in op.weights))
    return replace(stack, operations=kept)


def adapter_bytes(case: Case, stage: Stage) -> Bytes:
    """Bytes of LoRA slots: rank × (inputs + outputs) for every adapted matrix, on one rank."""
    adapters = case.adapters
    if adapters is None:
        return 0.0
    parts = []
    for stack in lower(case.model).layers:
        if not stage.layers_of(stack):
            continue
        elements = [
            matrix_elements(joint_width(shape.in_features, shape.out_features), adapters.rank, 1)
            for operation in stack.operations
            for weight in operation.weights
            if _adapted(weight, adapters.attention_only)
            for shape in (rank_shape(weight, case.parallel, 1),)
        ]
        one = packed_bytes(total(elements, f"one adapter, one layer of {stack.name}"), case.native.bits)
        parts.append(bytes_of_copies(bytes_of_copies(one, stage.count_of(stack)), adapters.count))
    return total(parts, "adapter_bytes")


def _adapted(weight: Weight, attention_only: bool) -> bool:
    roles = {Role.ATTENTION} if attention_only else {Role.ATTENTION, Role.MLP, Role.SHARED_EXPERT}
    return weight.role in roles and weight.quantizable
