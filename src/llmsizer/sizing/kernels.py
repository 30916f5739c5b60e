"""Kernels of one rank: what each does in a step, and how long it takes.

A kernel answers ``cost(load)``: FLOP, bytes and seconds of one layer's worth. Everything that
depends on the model, the split and the formats is settled when it is made; everything that depends
on the step is settled when it is asked.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Protocol

from llmsizer.core.explain import named, plain, total
from llmsizer.core.numerics import where
from llmsizer.core.quantities import Bytes, BytesPerElement, BytesPerSecond, Count, Flop, FlopPerSecond, Fraction, Seconds
from llmsizer.formulas.communication import collective_seconds, hierarchical_seconds, message_between_nodes
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
    repeated_flop,
    slowest_rank,
    touched_bytes,
)
from llmsizer.sizing.machine import Machine
from llmsizer.sizing.steps import Load

SIXTEEN_BIT = 2.0


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

    def amount(self, load: Load) -> Count:
        """How much the step has for it; it does not run where that is zero."""

    @property
    def launches(self) -> Count:
        """What the host launches for it where no graph does."""

    def seconds(self, load: Load) -> Seconds:
        """Its time in a step."""

    def cost(self, load: Load) -> Cost:
        """Its time with the work behind it."""


@dataclass(frozen=True, slots=True)
class Matmul:
    """A dense layer: rows from the load's field ``rows_of``."""

    name: str
    rows_of: str
    n: Count
    k: Count
    weight_bytes: Bytes
    output_bytes: BytesPerElement
    machine: Machine

    @property
    def launches(self) -> Count:
        """The product, and the quantisation of its input."""
        return where(plain(self.machine.input_bytes) < SIXTEEN_BIT, 2, 1)

    def amount(self, load: Load) -> Count:
        rows: Count = getattr(load, self.rows_of)
        return rows

    def _activations(self, load: Load) -> Bytes:
        return matmul_activation_bytes(getattr(load, self.rows_of), self.n, self.k, self.machine.input_bytes, self.output_bytes)

    def seconds(self, load: Load) -> Seconds:
        return matmul_seconds(
            getattr(load, self.rows_of), self.n, self.k, self.weight_bytes, self._activations(load), self.machine.peak,
            self.machine.bandwidth, **self.machine.curve.parameters,
        )  # fmt: skip

    def cost(self, load: Load) -> Cost:
        moved = total([named(self.weight_bytes, "weights"), named(self._activations(load), "activations")], "bytes")
        flop = matmul_flop(getattr(load, self.rows_of), self.n, self.k)
        return _cost(self.name, "linear", flop, moved, self.seconds(load), self.machine)


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
    skew: Fraction
    weight_bytes: Bytes
    value_bytes: BytesPerElement
    machine: Machine
    launches = 10  # scores and choice (3), order (2), two products with the activation between (3), sum (2)

    def amount(self, load: Load) -> Count:
        return load.joint

    def _spread(self, load: Load) -> tuple[Count, Count, Bytes, Bytes]:
        """Assignments of the slowest rank, its experts touched, their weights, and the activations."""
        assigned = rank_assignments(load.joint, self.experts_per_token, self.ranks)
        if plain(self.ranks) > 1:
            assigned = slowest_rank(assigned, self.ranks, self.num_experts, self.skew)
        distinct = expected_distinct_experts(self.num_experts, self.experts_per_token, load.joint, self.skew)
        touched = rank_experts(distinct, self.ranks)
        weights = touched_bytes(self.weight_bytes, touched, rank_experts(self.num_experts, self.ranks))
        activations = grouped_activation_bytes(
            assigned, self.hidden_size, self.intermediate_size, self.matrices, self.value_bytes
        )
        return assigned, touched, weights, activations

    def seconds(self, load: Load) -> Seconds:
        assigned, touched, weights, activations = self._spread(load)
        return grouped_matmul_seconds(
            assigned, touched, self.hidden_size, self.intermediate_size, self.matrices, weights, activations,
            self.machine.peak, self.machine.bandwidth, **self.machine.curve.parameters,
        )  # fmt: skip

    def cost(self, load: Load) -> Cost:
        assigned, _, weights, activations = self._spread(load)
        flop = repeated_flop(matmul_flop(assigned, self.hidden_size, self.intermediate_size), self.matrices)
        moved = total([named(weights, "weights"), named(activations, "activations")], "bytes")
        return _cost(self.name, "experts", flop, moved, self.seconds(load), self.machine)


@dataclass(frozen=True, slots=True)
class Pointwise:
    """Norms, activations and other elementwise kernels of a layer."""

    name: str
    width: Count
    passes: Count
    kernels: Count
    value_bytes: BytesPerElement
    machine: Machine

    @property
    def launches(self) -> Count:
        """Its kernels."""
        return self.kernels

    def amount(self, load: Load) -> Count:
        return load.rows

    def _moved(self, load: Load) -> Bytes:
        return pointwise_bytes(load.rows, self.width, self.passes, self.value_bytes)

    def _seconds(self, moved: Bytes) -> Seconds:
        parameters = self.machine.curve.parameters
        launch, fraction = parameters["launch_seconds"], parameters["memory_fraction"]
        return pointwise_seconds(moved, self.machine.bandwidth, launch, fraction, self.kernels)

    def seconds(self, load: Load) -> Seconds:
        return self._seconds(self._moved(load))

    def cost(self, load: Load) -> Cost:
        return Cost(self.name, "pointwise", 0.0, self._moved(load), self.seconds(load), self._seconds(0.0))


@dataclass(frozen=True, slots=True)
class Collective:
    """A collective over hidden states (or logits): ``rows_of`` the load's rows that travel. Between nodes each of
    ``ranks_per_node`` ranks carries its part of the message."""

    name: str
    rows_of: str
    width: Count
    value_bytes: BytesPerElement
    ranks: Count
    machine: Machine
    ranks_per_node: Count = 1
    launches = 1

    def amount(self, load: Load) -> Count:
        rows: Count = getattr(load, self.rows_of)
        return rows

    def _message(self, load: Load) -> Bytes:
        message = message_bytes(getattr(load, self.rows_of), self.width, self.value_bytes)
        return message if plain(self.ranks_per_node) == 1 else message_between_nodes(message, self.ranks_per_node)

    def seconds(self, load: Load) -> Seconds:
        machine = self.machine
        return collective_seconds(self._message(load), self.ranks, machine.bandwidth, **machine.curve.parameters)

    def cost(self, load: Load) -> Cost:
        return Cost(self.name, "communication", 0.0, self._message(load), self.seconds(load))


@dataclass(frozen=True, slots=True)
class AcrossNodes:
    """A collective that runs inside the nodes and then between them."""

    name: str
    inside: Collective
    between: Collective
    launches = 3  # reduced inside the node, between the nodes, spread inside the node

    def amount(self, load: Load) -> Count:
        return self.inside.amount(load)

    def seconds(self, load: Load) -> Seconds:
        return hierarchical_seconds(self.inside.seconds(load), self.between.seconds(load))

    def cost(self, load: Load) -> Cost:
        return replace(self.inside.cost(load), seconds=self.seconds(load))


def _cost(name: str, kind: str, flop: Flop, moved: Bytes, seconds: Seconds, machine: Machine) -> Cost:
    floor = machine.curve.parameters["launch_seconds"]
    return Cost(name, kind, flop, moved, seconds, floor, machine.peak, machine.bandwidth)


def is_nothing(amount: Any) -> bool:
    """Whether a plain or explained number is zero; an array never is."""
    number = plain(amount)
    return isinstance(number, (int, float)) and number == 0


def where_busy(amount: Any, seconds: Seconds) -> Seconds:
    """A kernel's time; of arrays zero where it has nothing to do."""
    number = plain(amount)
    if isinstance(number, (int, float)) or number.all():
        return seconds
    return where(number > 0, seconds, 0.0)
