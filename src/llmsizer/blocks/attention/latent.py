"""Multi-head latent attention (DeepSeek-V2/V3, Kimi), with the sparse indexer of DeepSeek-V3.2.

The cache holds one latent of ``kv_lora_rank`` and one rotary key of ``qk_rope_head_dim`` per token,
shared by all heads and therefore the same on every tensor-parallel rank.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from llmsizer.blocks.operation import (
    CacheKind,
    CacheShape,
    Kind,
    Operation,
    Role,
    Split,
    Weight,
    vector,
)
from llmsizer.core.quantities import Count
from llmsizer.formulas.parameters import heads_width, joint_width


@dataclass(frozen=True, slots=True, kw_only=True)
class Indexer:
    """The lightning indexer that picks ``index_topk`` tokens for sparse attention.

    A layer with ``own_weights`` False reuses the selection of an earlier layer but, like it, keeps
    index keys only if ``caches`` is True.
    """

    index_n_heads: Count
    index_head_dim: Count
    index_topk: Count

    def operations(self, hidden_size: Count, q_lora_rank: Count) -> tuple[Operation, ...]:
        """Query and key projections of the index heads and their weights per head."""
        width = heads_width(self.index_n_heads, self.index_head_dim)
        projections = (
            Weight("indexer.wq_b", Role.ATTENTION, q_lora_rank, width),
            Weight("indexer.wk", Role.ATTENTION, hidden_size, self.index_head_dim),
            Weight("indexer.weights_proj", Role.ATTENTION, hidden_size, self.index_n_heads, quantizable=False),
        )
        return (
            Operation("indexer_proj", Kind.LINEAR, projections),
            Operation("indexer", Kind.ATTENTION, (vector("indexer.k_norm", self.index_head_dim, 2),)),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Latent:
    """Multi-head latent attention as config.json spells it; ``q_lora_rank`` None: one query matrix."""

    kind: ClassVar[str] = "latent"

    num_attention_heads: Count
    q_lora_rank: Count | None
    kv_lora_rank: Count
    qk_nope_head_dim: Count
    qk_rope_head_dim: Count
    v_head_dim: Count
    indexer: Indexer | None = None

    def operations(self, hidden_size: Count) -> tuple[Operation, ...]:
        """Down- and up-projections, the attention, and the indexer where there is one."""
        heads = self.num_attention_heads
        latent = joint_width(self.kv_lora_rank, self.qk_rope_head_dim)
        query = heads_width(heads, joint_width(self.qk_nope_head_dim, self.qk_rope_head_dim))
        expanded = heads_width(heads, joint_width(self.qk_nope_head_dim, self.v_head_dim))
        down = [Weight("kv_a_proj", Role.ATTENTION, hidden_size, latent)]
        norms = [vector("kv_a_norm", self.kv_lora_rank)]
        if self.q_lora_rank is None:
            up = Weight("q_proj", Role.ATTENTION, hidden_size, query, split=Split.COLUMN, units=heads)
        else:
            down.insert(0, Weight("q_a_proj", Role.ATTENTION, hidden_size, self.q_lora_rank))
            norms.insert(0, vector("q_a_norm", self.q_lora_rank))
            up = Weight("q_b_proj", Role.ATTENTION, self.q_lora_rank, query, split=Split.COLUMN, units=heads)
        expand = Weight("kv_b_proj", Role.ATTENTION, self.kv_lora_rank, expanded, split=Split.COLUMN, units=heads)
        value = heads_width(heads, self.v_head_dim)
        output = Weight("o_proj", Role.ATTENTION, value, hidden_size, split=Split.ROW, units=heads)
        index: tuple[Operation, ...] = ()
        if self.indexer is not None:
            rank = self.q_lora_rank if self.q_lora_rank is not None else hidden_size
            index = self.indexer.operations(hidden_size, rank)
        return (
            Operation("qkv_a_proj", Kind.LINEAR, tuple(down)),
            Operation("q_b_proj", Kind.LINEAR, (up,)),
            *index,
            Operation("kv_b_proj", Kind.LINEAR, (expand,)),
            Operation("attention", Kind.ATTENTION, tuple(norms)),
            Operation("o_proj", Kind.LINEAR, (output,)),
        )

    def cache(self) -> CacheShape:
        """One latent and one rotary key per token, not divided by tensor parallelism."""
        index = self.indexer.index_head_dim if self.indexer is not None else None
        latent = joint_width(self.kv_lora_rank, self.qk_rope_head_dim)
        return CacheShape(CacheKind.LATENT, 1, latent, 0, index_dim=index)
