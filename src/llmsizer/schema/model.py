"""A model: layer groups of blocks, and what stands outside the layers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from llmsizer.blocks.attention import Attention
from llmsizer.blocks.feed_forward import FeedForward
from llmsizer.blocks.operation import Weight
from llmsizer.blocks.tower import Tower
from llmsizer.core.explain import Provenance
from llmsizer.core.quantities import Count


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerGroup:
    """Layers that are alike. ``indices`` are their places in the stack (0 first).

    ``norm_vectors`` counts the vectors of hidden size (a LayerNorm with bias has two);
    ``cross_attention`` is a second attention to an encoder (Whisper); ``extra`` further weights.
    """

    name: str
    count: Count
    indices: frozenset[int]
    attention: Attention | None
    feed_forward: FeedForward | None
    norm_vectors: Count
    cross_attention: Attention | None = None
    extra: tuple[Weight, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class MultiTokenPrediction:
    """Modules that predict further tokens: one layer each, a projection of two hidden states and
    ``norm_vectors`` norms; ``embedding_copies`` counts embedding and head copies in the checkpoint."""

    count: Count
    layer: LayerGroup
    norm_vectors: Count = 3
    embedding_copies: Count = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Checks:
    """Published figures that the code must reproduce, and what they count."""

    total_parameters: int | None = None
    tolerance: int = 0
    includes: tuple[str, ...] = ()
    extra_elements: int = 0
    active_parameters: int | None = None
    active_tolerance: int = 0
    active_convention: str = "all"
    source: str = ""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Model:
    """A language model as its config.json describes it.

    ``native_quantization`` names the scheme the published checkpoint is stored in; ``torch_dtype``
    the 16- or 32-bit type of its unquantized tensors; ``stored_formats`` the weights (by name and
    layer) that the checkpoint stores otherwise than that scheme does. ``embedding_rows`` differs from
    ``vocab_size`` where the table has extra rows.
    """

    id: str
    model_type: str
    hidden_size: Count
    vocab_size: Count
    num_hidden_layers: int
    layers: tuple[LayerGroup, ...]
    torch_dtype: str
    native_quantization: str
    tie_word_embeddings: bool
    max_position_embeddings: int | None = None
    embedding_rows: Count | None = None
    lm_head: bool = True
    lm_head_bias: bool = False
    position_rows: Count | None = None
    embedding_norm_vectors: Count | None = None
    final_norm_vectors: Count = 1
    extra: tuple[Weight, ...] = ()
    towers: tuple[Tower, ...] = ()
    encoder_tokens: Count | None = None
    mtp: MultiTokenPrediction | None = None
    aliases: tuple[str, ...] = ()
    checks: Checks = field(default_factory=Checks)
    tied_head_stored: bool = False
    stored_formats: Mapping[tuple[str, int | None], str] = field(default_factory=dict)
    notes: str = ""
    unverified: tuple[str, ...] = ()
    config: Mapping[str, object] = field(default_factory=dict)
    provenance: Provenance = field(default_factory=Provenance)
