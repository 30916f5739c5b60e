"""Kernels of one rank: what each does in a step, and how long it takes.

A kernel answers ``cost(load)``: FLOP, bytes and seconds of one layer's worth. Everything that
depends on the model, the split and the formats is settled when it is made; everything that depends
on the step is settled when it is asked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from llmsizer.core.explain import named, plain, total
from llmsizer.core.quantities import Bytes, BytesPerElement, BytesPerSecond, Count, Flop, FlopPerSecond, Seconds
from llmsizer.formulas.communication import collective_seconds
from llmsizer.formulas.matmul import (
    expected_distinct_experts,
    grouped_activation_bytes,
    grouped_matmul_seconds,
    matmul_activation_bytes,
    matmul_flop,
    matmul_seconds,
)
from llmsizer.formulas.steps import (
    message_bytes,
    pointwise_bytes,
    pointwise_seconds,
    rank_assignments,
    rank_experts,
    slowest_rank,
    touched_bytes,
)
from llmsizer.schema.calibration import Curve
from llmsizer.sizing.steps import Load


@dataclass(frozen=True, slots=True)
class Cost:
    """What one kernel costs in a step, once: ``floor`` is the part of ``seconds`` that no work fills.
    ``peak`` and ``bandwidth`` are what its FLOP and bytes are held against; None for neither."""

    name: str
    kind: str
    flop: Flop
    bytes: Bytes
    seconds: Seconds
    floor: Seconds = 0.0
    peak: FlopPerSecond | None = None
    bandwidth: BytesPerSecond | None = None


class Kernel(Protocol):
    """Anything that costs time in a step."""

    @property
    def name(self) -> str:
        """What it is called in tables."""

    def cost(self, load: Load) -> Cost | None:
        """Its cost in a step; None when the step has nothing for it."""


@dataclass(frozen=True, slots=True)
class Matmul:
    """A dense layer: rows from the load's field ``rows_of``."""

    name: str
    rows_of: str
    n: Count
    k: Count
    weight_bytes: Bytes
    input_bytes: BytesPerElement
    output_bytes: BytesPerElement
    peak: FlopPerSecond
    memory_bandwidth: BytesPerSecond
    curve: Curve

    def cost(self, load: Load) -> Cost | None:
        rows = getattr(load, self.rows_of)
        if is_nothing(rows):
            return None
        activations = matmul_activation_bytes(rows, self.n, self.k, self.input_bytes, self.output_bytes)
        seconds = matmul_seconds(
            rows, self.n, self.k, self.weight_bytes, activations, self.peak, self.memory_bandwidth, **self.curve.parameters
        )
        moved = total([named(self.weight_bytes, "weights"), named(activations, "activations")], "bytes")
        floor = self.curve.parameters["launch_seconds"]
        return Cost(self.name, "linear", matmul_flop(rows, self.n, self.k), moved, named(seconds, self.name), floor, self.peak,
                    self.memory_bandwidth)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Experts:
    """The routed experts of one layer on one rank; ``ranks`` share whole experts, all joint rows come
    to them. ``weight_bytes`` are of all experts of the rank."""

    name: str
    num_experts: Count
    experts_per_token: Count
    ranks: Count
    hidden_size: Count
    intermediate_size: Count
    matrices: Count
    skew: Count
    weight_bytes: Bytes
    value_bytes: BytesPerElement
    peak: FlopPerSecond
    memory_bandwidth: BytesPerSecond
    curve: Curve

    def cost(self, load: Load) -> Cost | None:
        if is_nothing(load.joint):
            return None
        assigned = rank_assignments(load.joint, self.experts_per_token, self.ranks)
        if plain(self.ranks) > 1:
            assigned = slowest_rank(assigned, self.ranks, self.skew)
        touched = rank_experts(expected_distinct_experts(self.num_experts, self.experts_per_token, load.joint), self.ranks)
        weights = touched_bytes(self.weight_bytes, touched, rank_experts(self.num_experts, self.ranks))
        activations = grouped_activation_bytes(
            assigned, self.hidden_size, self.intermediate_size, self.matrices, self.value_bytes
        )
        seconds = grouped_matmul_seconds(
            assigned, touched, self.hidden_size, self.intermediate_size, self.matrices, weights, activations,
            self.peak, self.memory_bandwidth, **self.curve.parameters,
        )  # fmt: skip
        flop = matmul_flop(assigned, self.hidden_size, self.intermediate_size)
        flops = total([named(flop, f"matrix {n + 1}") for n in range(int(plain(self.matrices)))], "FLOP")
        moved = total([named(weights, "weights"), named(activations, "activations")], "bytes")
        floor = self.curve.parameters["launch_seconds"]
        return Cost(self.name, "experts", flops, moved, named(seconds, self.name), floor, self.peak,
                    self.memory_bandwidth)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Pointwise:
    """Norms, activations and other elementwise kernels of a layer."""

    name: str
    width: Count
    passes: Count
    kernels: Count
    value_bytes: BytesPerElement
    memory_bandwidth: BytesPerSecond
    curve: Curve

    def cost(self, load: Load) -> Cost | None:
        moved = pointwise_bytes(load.rows, self.width, self.passes, self.value_bytes)
        launch, fraction = self.curve.parameters["launch_seconds"], self.curve.parameters["memory_fraction"]
        seconds = pointwise_seconds(moved, self.memory_bandwidth, launch, fraction, self.kernels)
        floor = pointwise_seconds(0.0, self.memory_bandwidth, launch, fraction, self.kernels)
        return Cost(self.name, "pointwise", 0.0, moved, named(seconds, self.name), floor)


@dataclass(frozen=True, slots=True)
class Collective:
    """A collective over hidden states (or logits): ``rows_of`` the load's rows that travel."""

    name: str
    rows_of: str
    width: Count
    value_bytes: BytesPerElement
    ranks: Count
    bandwidth: BytesPerSecond
    curve: Curve

    def cost(self, load: Load) -> Cost | None:
        rows = getattr(load, self.rows_of)
        if is_nothing(rows):
            return None
        message = message_bytes(rows, self.width, self.value_bytes)
        seconds = collective_seconds(message, self.ranks, self.bandwidth, **self.curve.parameters)
        return Cost(self.name, "communication", 0.0, message, named(seconds, self.name))


def is_nothing(amount: Any) -> bool:
    """Whether a plain or explained number is zero; an array never is."""
    number = plain(amount)
    return isinstance(number, (int, float)) and number == 0
