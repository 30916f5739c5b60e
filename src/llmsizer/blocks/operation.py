"""Weights and operations: the common currency of work.

A block lowers to ``Operation``s. Parameter counts, stored bytes, activations, FLOP, traffic and
time are all sums over the same operations, so they cannot disagree.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from llmsizer.core.explain import named, total
from llmsizer.core.quantities import Count, Elements
from llmsizer.formulas.parameters import matrix_elements


class Split(Enum):
    """How tensor parallelism divides a weight."""

    COLUMN = "by output columns"
    ROW = "by input rows"
    VOCABULARY = "by vocabulary entries, padded first"
    REPLICATED = "not divided"


class Role(Enum):
    """What a tensor is for: quantization schemes and checkpoint layouts decide by it."""

    ATTENTION = "attention"
    MIXER = "state-space or linear-attention mixer"
    MLP = "mlp"
    EXPERT = "routed experts"
    SHARED_EXPERT = "shared experts"
    ROUTER = "router"
    NORM = "norms and vectors"
    EMBEDDING = "embedding"
    LM_HEAD = "lm_head"
    VISION = "vision and audio towers"
    MTP = "multi-token prediction"


@dataclass(frozen=True, slots=True)
class Weight:
    """One stored tensor, or ``copies`` equal ones (the experts of a layer).

    ``in_features`` × ``out_features`` elements each, ``bias`` more elements per copy. ``units`` is
    the number of indivisible pieces along the split axis (attention heads, groups): a rank holds
    whole ones, and a piece is replicated when there are more ranks than pieces. A vector (``is_vector``) is added
    or multiplied elementwise: no product runs for it.
    """

    name: str
    role: Role
    in_features: Count
    out_features: Count = 1
    copies: Count = 1
    bias: Count | None = None
    split: Split = Split.REPLICATED
    units: Count | None = None
    quantizable: bool = True
    is_vector: bool = False

    def elements(self) -> Elements:
        """Elements of all copies, biases included."""
        matrix = matrix_elements(self.in_features, self.out_features, self.copies)
        if self.bias is None:
            return named(matrix, self.name)
        return total([named(matrix, "matrix"), named(matrix_elements(self.bias, 1, self.copies), "bias")], self.name)


class Kind(Enum):
    """What sort of work an operation is; calibration curves are kept per kind."""

    LINEAR = "linear"
    EXPERTS = "experts"
    ATTENTION = "attention"
    SCAN = "scan"
    POINTWISE = "pointwise"
    LOOKUP = "lookup"


@dataclass(frozen=True, slots=True)
class StateTensor:
    """A per-sequence state of fixed size: a recurrent state, or the tail of a convolution.

    ``needs_float32``: the checkpoint asks for a recurrent state in 32 bit; where it does not, engines
    differ.
    """

    name: str
    elements: Elements
    units: Count
    is_recurrent: bool = False
    needs_float32: bool = False


class CacheKind(Enum):
    """How the cache of a layer grows with the context."""

    FULL = "every token"
    SLIDING = "the last tokens of a window"
    CHUNKED = "the tokens of the current chunk"
    LATENT = "one latent per token, the same on every rank"
    STATE = "a fixed state"
    CROSS = "the encoder's tokens"


@dataclass(frozen=True, slots=True)
class CacheShape:
    """What one layer keeps per token and per sequence.

    ``heads`` pairs of key (``key_dim``) and value (``value_dim``) vectors per token; ``states`` once
    per sequence. ``window`` bounds the tokens of SLIDING and CHUNKED caches. ``index_dim`` is the
    width of a sparse indexer's key.
    """

    kind: CacheKind
    heads: Count = 0
    key_dim: Count = 0
    value_dim: Count = 0
    window: Count | None = None
    index_dim: Count | None = None
    states: tuple[StateTensor, ...] = ()


@dataclass(frozen=True, slots=True)
class Operation:
    """One piece of work of a forward pass with the weights it reads."""

    name: str
    kind: Kind
    weights: tuple[Weight, ...] = ()

    def elements(self) -> Elements:
        """Elements of all its weights."""
        return total([weight.elements() for weight in self.weights], self.name)


def vector(name: str, width: Count, copies: Count = 1, role: Role = Role.NORM) -> Weight:
    """A norm, scale or other vector kept in the checkpoint's own precision on every rank."""
    return Weight(name, role, width, 1, copies, quantizable=False, is_vector=True)
