"""Vision and audio towers: encoders whose output enters the language model as tokens.

A tower is a stack of equal encoder layers between embeddings and a projector. Its weights are
loaded with the model; its work is that of a prefill of its patches.
"""

from __future__ import annotations

from dataclasses import dataclass

from llmsizer.blocks.operation import Kind, Operation, Role, Split, Weight, vector
from llmsizer.core.quantities import Count
from llmsizer.formulas.parameters import heads_width


@dataclass(frozen=True, slots=True, kw_only=True)
class TowerPart:
    """One matrix of a tower outside its layers: ``rows`` × ``columns``, ``copies`` times, with bias or not."""

    name: str
    rows: Count
    columns: Count = 1
    copies: Count = 1
    bias: Count | None = None

    def weight(self) -> Weight:
        """The part as a weight, replicated on every rank."""
        return Weight(self.name, Role.VISION, self.rows, self.columns, self.copies, self.bias, quantizable=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tower:
    """An encoder: ``num_layers`` equal layers and the ``parts`` around them.

    ``norm_vectors`` counts the vectors of hidden size per layer (a LayerNorm with bias has two);
    ``image_tokens`` is what one image or clip becomes in the language model (None: depends on its
    size); ``patches`` the tokens inside the tower.
    """

    name: str
    hidden_size: Count
    intermediate_size: Count
    num_layers: Count
    num_heads: Count
    head_dim: Count
    gated: bool
    bias: bool
    mlp_bias: bool
    norm_vectors: Count
    qk_norm: bool = False
    key_bias: bool = True
    layer_scalars: Count | None = None
    parts: tuple[TowerPart, ...] = ()
    patches: Count | None = None
    image_tokens: Count | None = None

    def layer_operations(self) -> tuple[Operation, ...]:
        """The operations of one encoder layer."""
        width = heads_width(self.num_heads, self.head_dim)
        qkv = tuple(
            self._matrix(name, self.hidden_size, width, self.bias and (name != "k_proj" or self.key_bias), Split.COLUMN)
            for name in ("q_proj", "k_proj", "v_proj")
        )
        up = ("gate_proj", "up_proj") if self.gated else ("up_proj",)
        wide = tuple(self._matrix(n, self.hidden_size, self.intermediate_size, self.mlp_bias, Split.COLUMN) for n in up)
        vectors = [vector("norms", self.hidden_size, self.norm_vectors, Role.VISION)]
        if self.qk_norm:
            vectors.append(vector("qk_norms", self.head_dim, 2, Role.VISION))
        if self.layer_scalars is not None:
            vectors.append(vector("scalars", self.layer_scalars, 1, Role.VISION))
        output = (self._matrix("o_proj", width, self.hidden_size, self.bias, Split.ROW),)
        narrow = (self._matrix("down_proj", self.intermediate_size, self.hidden_size, self.mlp_bias, Split.ROW),)
        return (
            Operation("qkv_proj", Kind.LINEAR, qkv),
            Operation("attention", Kind.ATTENTION),
            Operation("o_proj", Kind.LINEAR, output),
            Operation("up_proj", Kind.LINEAR, wide),
            Operation("down_proj", Kind.LINEAR, narrow),
            Operation("norms", Kind.POINTWISE, tuple(vectors)),
        )

    def part_operations(self) -> tuple[Operation, ...]:
        """Patch embedding, positions, projector and what else stands outside the layers."""
        return (Operation("embeddings_and_projector", Kind.LINEAR, tuple(part.weight() for part in self.parts)),)

    def _matrix(self, name: str, rows: Count, columns: Count, biased: bool, split: Split) -> Weight:
        bias = columns if biased else None
        return Weight(name, Role.VISION, rows, columns, bias=bias, split=split)
