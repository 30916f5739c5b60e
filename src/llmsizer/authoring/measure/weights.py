"""Random weights for every operation of a lowering: what an operation's products read, as tensors.

Matrices of one operation with one input are one tensor, as engines fuse them. All weights that the
lowering names are there, used or not, so that their bytes are those of the model.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from llmsizer.authoring.measure.torch_device import TorchDevice
from llmsizer.blocks.operation import Operation, Weight
from llmsizer.core.explain import plain
from llmsizer.schema.model import Model
from llmsizer.sizing.lowering import Stack, lower


@dataclass(frozen=True, slots=True)
class Linear:
    """One product, or one for each expert: ``matrix`` is (outputs, inputs) after the number of copies;
    ``widths`` are the outputs of the weights joined in it."""

    matrix: Any
    bias: Any
    widths: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class LayerWeights:
    """The tensors of one layer: products by operation and first weight, vectors by name."""

    linear: dict[str, Linear] = field(default_factory=dict)
    vectors: dict[str, Any] = field(default_factory=dict)

    def tensors(self) -> Iterator[Any]:
        """Every tensor."""
        for each in self.linear.values():
            yield each.matrix
            if each.bias is not None:
                yield each.bias
        yield from self.vectors.values()


@dataclass(frozen=True, slots=True)
class ModelWeights:
    """The tensors of a model."""

    embedding: LayerWeights
    layers: tuple[LayerWeights, ...]
    head: LayerWeights

    def bytes(self) -> float:
        """Bytes of all tensors."""
        return float(sum(tensor.nbytes for part in (self.embedding, *self.layers, self.head) for tensor in part.tensors()))


def random_weights(device: TorchDevice, model: Model, dtype: Any) -> ModelWeights:
    """Random weights of a model in one type."""
    lowered = lower(model)
    by_layer = {index: stack for stack in lowered.layers for index in stack.indices}
    layers = tuple(_stack_weights(device, by_layer[index], dtype) for index in sorted(by_layer))
    return ModelWeights(_stack_weights(device, lowered.embedding, dtype), layers, _stack_weights(device, lowered.head, dtype))


def layer_elements(stack: Stack) -> float:
    """Elements of one layer of a stack."""
    return sum(float(plain(operation.elements())) for operation in stack.operations)


def _stack_weights(device: TorchDevice, stack: Stack, dtype: Any) -> LayerWeights:
    made = LayerWeights()
    for operation in stack.operations:
        for joined in _joined(operation):
            first = joined[0]
            if first.is_vector:
                made.vectors[first.name] = _tensor(device, (_count(first.copies), _count(first.in_features)), dtype, 1.0)
            else:
                made.linear[first.name] = _linear(device, joined, dtype)
    return made


def _joined(operation: Operation) -> Iterator[list[Weight]]:
    """The weights of an operation by what runs as one product: equal inputs, equal copies."""
    groups: dict[tuple[int, int, str], list[Weight]] = {}
    for weight in operation.weights:
        alone = weight.name if weight.is_vector or weight.name.startswith("embed") else ""
        groups.setdefault((_count(weight.in_features), _count(weight.copies), alone), []).append(weight)
    yield from groups.values()


def _count(number: Any) -> int:
    return int(plain(number))


def _linear(device: TorchDevice, weights: list[Weight], dtype: Any) -> Linear:
    widths = tuple(_count(weight.out_features) for weight in weights)
    inputs, copies = _count(weights[0].in_features), _count(weights[0].copies)
    shape = (sum(widths), inputs) if copies == 1 else (copies, sum(widths), inputs)
    return Linear(_tensor(device, shape, dtype, inputs**-0.5), _bias(device, weights, dtype), widths)


def _bias(device: TorchDevice, weights: list[Weight], dtype: Any) -> Any:
    """The biases of joined weights, zero elements for those without one; None where none has any."""
    sizes = [0 if weight.bias is None else _count(weight.bias) for weight in weights]
    copies = _count(weights[0].copies)
    if not any(sizes):
        return None
    return _tensor(device, (sum(sizes),) if copies == 1 else (copies, sum(sizes)), dtype, 0.02)


def _tensor(device: TorchDevice, shape: tuple[int, ...], dtype: Any, scale: float) -> Any:
    return device.random(*shape, dtype=dtype, scale=scale)
