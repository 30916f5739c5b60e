"""From the lowering to kernels: everything one rank of a stage runs in a step, layer by layer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from llmsizer.blocks.attention.grouped_query import ENCODER_PROJECTION
from llmsizer.blocks.feed_forward import Dense, MixtureOfExperts
from llmsizer.blocks.operation import Kind, Operation, Role, Split, Weight
from llmsizer.core.explain import named, plain, total
from llmsizer.core.quantities import Bytes, Count
from llmsizer.formulas.parameters import repeated_width
from llmsizer.formulas.storage import bytes_per_value, mean_bytes
from llmsizer.schema.deployment import Case
from llmsizer.schema.model import LayerGroup
from llmsizer.schema.number_format import NATIVE, NumberFormat
from llmsizer.sizing.attention_kernels import attention_kernels
from llmsizer.sizing.collectives import layer_collectives, output_collectives
from llmsizer.sizing.kernels import Experts, Kernel, Matmul, Pointwise
from llmsizer.sizing.lowering import Stack, lower
from llmsizer.sizing.machine import cache_machine, product_machine
from llmsizer.sizing.stages import Stage
from llmsizer.sizing.tensor_formats import layer_formats
from llmsizer.sizing.token_ranks import expert_ranks
from llmsizer.sizing.weights import WeightSizer, embedding_weight, held_layers, rank_shape, sizer_of


@dataclass(frozen=True, slots=True)
class Repeated:
    """A kernel that ``count`` layers run."""

    kernel: Kernel
    count: Count


def rank_kernels(case: Case, stage: Stage) -> list[Repeated]:
    """Every kernel one rank of a stage runs in a step, with the number of layers that run it."""
    maker = KernelMaker(case)
    found: list[Repeated] = []
    for stack, layers, count in held_layers(case, stage):
        found += [Repeated(kernel, count) for kernel in maker.layer(stack, layers)]
    if stage.is_last:
        found += [Repeated(kernel, 1) for kernel in maker.head()]
    if stage.is_first or stage.is_last:
        found += [Repeated(kernel, 1) for kernel in output_collectives(case, stage)]
    return joined(found)


def joined(kernels: list[Repeated]) -> list[Repeated]:
    """The same kernels, equal ones of different layers as one."""
    counts: dict[Kernel, Count] = {}
    for each in kernels:
        before = counts.get(each.kernel)
        counts[each.kernel] = each.count if before is None else total([before, each.count], "layers")
    return [Repeated(kernel, count) for kernel, count in counts.items()]


class KernelMaker:
    """Makes the kernels of one case's layers."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.sizer: WeightSizer = sizer_of(case)
        self.values = bytes_per_value(case.native.bits)

    def layer(self, stack: Stack, layers: list[int]) -> Iterator[Kernel]:
        """Kernels of one layer of a stack."""
        yield from self.operations(stack, layers)
        if stack.group is not None:
            yield from attention_kernels(self.case, stack.group)
            yield from layer_collectives(self.case, stack.group)

    def operations(self, stack: Stack, layers: list[int]) -> Iterator[Kernel]:
        """The products and elementwise kernels of one layer of a stack."""
        for operation in stack.operations:
            if operation.kind is Kind.LINEAR:
                yield from self.linear(operation, stack.group, layers)
            elif operation.kind is Kind.EXPERTS:
                yield self._experts(operation, stack, layers)
            elif operation.kind is Kind.POINTWISE:
                yield from self._pointwise(operation, stack)

    def linear(self, operation: Operation, group: LayerGroup | None, layers: list[int]) -> Iterator[Kernel]:
        """The products of an operation: weights of one input and one format run as one."""
        joined: dict[tuple[float, str], list[Weight]] = {}
        for weight in operation.weights:
            if not weight.is_vector:
                key = (float(plain(weight.in_features)), self._format_name(weight, group, layers))
                joined.setdefault(key, []).append(weight)
        for (_, name), weights in joined.items():
            yield self._matmul(operation.name, weights, name, group, layers)

    def _format_name(self, weight: Weight, group: LayerGroup | None, layers: list[int]) -> str:
        return layer_formats(self.case.model, self.case.scheme, weight, group, layers).most_common(1)[0][0]

    def _stored(self, name: str) -> NumberFormat:
        return self.case.native if name == NATIVE else self.case.scheme.formats[name]

    def _weight_bytes(self, weights: Iterable[Weight], group: LayerGroup | None, layers: list[int]) -> Bytes:
        count = max(len(layers), 1)
        parts = [total(self.sizer.weight_parts(weight, group, layers, count), weight.name) for weight in weights]
        whole = total(parts, "weights")
        return whole if count == 1 else mean_bytes(whole, count)

    def _matmul(self, name: str, weights: list[Weight], stored: str, group: LayerGroup | None, layers: list[int],
                rows_of: str | None = None) -> Matmul:  # fmt: skip
        case = self.case
        shapes = [rank_shape(weight, case.parallel, case.engine.vocabulary_padding) for weight in weights]
        width = total([named(shape.out_features, weight.name) for shape, weight in zip(shapes, weights, strict=True)], "n")
        machine = product_machine(case, "matmul", self._stored(stored))
        rows = rows_of or (
            "expanded" if weights[0].name == "kv_b_proj" else "encoded" if name == ENCODER_PROJECTION else "rows"
        )
        return Matmul(
            name, rows, width, shapes[0].in_features, self._weight_bytes(weights, group, layers), self.values, machine
        )

    def _experts(self, operation: Operation, stack: Stack, layers: list[int]) -> Experts:
        case, group = self.case, stack.group
        assert group is not None
        ffn = group.feed_forward
        assert isinstance(ffn, MixtureOfExperts)
        ups = [weight for weight in operation.weights if weight.split is Split.COLUMN]
        shape = rank_shape(ups[0], case.parallel, 1)
        machine = product_machine(case, "experts", self._stored(self._format_name(ups[0], group, layers)))
        whole_experts = case.parallel.enable_expert_parallel
        ranks = expert_ranks(case.parallel) if whole_experts else 1
        return Experts(
            "experts", ffn.num_experts, ffn.num_experts_per_tok, ranks, shape.in_features, shape.out_features,
            len(ups) + 1, case.expert_skew, self._weight_bytes(operation.weights, group, layers), self.values, machine,
        )  # fmt: skip

    def _pointwise(self, operation: Operation, stack: Stack) -> Iterator[Pointwise]:
        """Norms with their residual additions, activations (two inputs, one output)."""
        case, group = self.case, stack.group
        if group is None:
            return
        machine = cache_machine(case, "pointwise", "bf16")
        if operation.name == "norms":
            count, how = group.norm_vectors, case.elementwise
            kernels = count if plain(how.norm_kernels) == 1 else repeated_width(count, how.norm_kernels)
            passes = repeated_width(count, how.norm_passes)
            yield Pointwise("norms", case.model.hidden_size, passes, kernels, self.values, machine)
            return
        width = self._activation_width(operation, group)
        if width is not None:
            how = case.elementwise
            yield Pointwise(operation.name, width, how.activation_passes, how.activation_kernels, self.values, machine)

    def _activation_width(self, operation: Operation, group: LayerGroup) -> Count | None:
        ffn = group.feed_forward
        if isinstance(ffn, MixtureOfExperts):
            shared = ffn.shared_intermediate_size
            dense = ffn.dense.intermediate_size if ffn.dense is not None else None
            whole = shared if operation.name.startswith("shared") else dense
        else:
            whole = ffn.intermediate_size if isinstance(ffn, Dense) else None
        if whole is None:
            return None
        weight = Weight("activation", Role.MLP, 1, whole, split=Split.COLUMN)
        return rank_shape(weight, self.case.parallel, 1).out_features

    def head(self) -> Iterator[Kernel]:
        """The output projection, tied or not, over the rows that need logits."""
        lowered = lower(self.case.model)
        if not self.case.model.lm_head:
            return
        weights = [w for op in lowered.head.operations for w in op.weights if w.role is Role.LM_HEAD]
        weight = weights[0] if weights else embedding_weight(lowered.embedding)
        name = self._format_name(weight, None, [])
        yield self._matmul("lm_head", [weight], name, None, [], rows_of="logits")
