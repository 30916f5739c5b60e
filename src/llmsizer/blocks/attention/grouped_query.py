"""Multi-head, grouped-query and multi-query attention, global, windowed or chunked.

MHA is the case of as many key/value heads as query heads, MQA of one. The same spec serves
sliding windows (Gemma, Mistral, gpt-oss), chunked local attention (Llama 4) and cross-attention to
an encoder (Mllama, Whisper).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

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
from llmsizer.formulas.parameters import heads_width, repeated_width

ENCODER_PROJECTION = "encoder_kv_proj"  # runs once a request, over the encoder's tokens
QkNorm = Literal["none", "head", "full"]


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupedQuery:
    """Grouped-query attention as config.json spells it.

    ``qk_norm``: ``head`` normalises each head (weights of head_dim), ``full`` the whole projection.
    ``output_gate`` doubles the query projection; ``k_eq_v`` drops the value projection; a layer
    that ``shares_cache`` of an earlier one keeps its weights but no cache.
    """

    kind: ClassVar[str] = "grouped_query"

    num_attention_heads: Count
    num_key_value_heads: Count
    head_dim: Count
    qkv_bias: bool = False
    output_bias: bool = False
    key_bias: bool = True
    qk_norm: QkNorm = "none"
    output_gate: bool = False
    sinks: bool = False
    k_eq_v: bool = False
    shares_cache: bool = False
    sliding_window: Count | None = None
    attention_chunk_size: Count | None = None
    cross: bool = False
    cross_gates: bool = False

    def operations(self, hidden_size: Count) -> tuple[Operation, ...]:
        """The projections and the attention itself."""
        query = heads_width(self.num_attention_heads, self.head_dim)
        key_value = heads_width(self.num_key_value_heads, self.head_dim)
        queries: tuple[Weight, ...] = (self._column("q_proj", hidden_size, self._query_width(query), self.num_attention_heads),)
        keys_values: tuple[Weight, ...] = (
            self._column("k_proj", hidden_size, key_value, self.num_key_value_heads, self.key_bias),
        )
        if not self.k_eq_v:
            keys_values += (self._column("v_proj", hidden_size, key_value, self.num_key_value_heads),)
        output = Weight(
            "o_proj", Role.ATTENTION, query, hidden_size,
            bias=hidden_size if self.output_bias else None, split=Split.ROW, units=self.num_attention_heads,
        )  # fmt: skip
        if self.cross:
            projections = [Operation("q_proj", Kind.LINEAR, queries), Operation(ENCODER_PROJECTION, Kind.LINEAR, keys_values)]
        else:
            projections = [Operation("qkv_proj", Kind.LINEAR, queries + keys_values)]
        return (
            *projections,
            Operation("attention", Kind.ATTENTION, self._vectors(query, key_value)),
            Operation("o_proj", Kind.LINEAR, (output,)),
        )

    def _query_width(self, query: Count) -> Count:
        return repeated_width(query, 2) if self.output_gate else query

    def _column(self, name: str, rows: Count, columns: Count, units: Count, biased: bool = True) -> Weight:
        bias = columns if self.qkv_bias and biased else None
        return Weight(name, Role.ATTENTION, rows, columns, bias=bias, split=Split.COLUMN, units=units)

    def _vectors(self, query: Count, key_value: Count) -> tuple[Weight, ...]:
        found = []
        if self.qk_norm == "head":
            found += [vector("q_norm", self.head_dim), vector("k_norm", self.head_dim)]
        elif self.qk_norm == "full":
            found += [vector("q_norm", query), vector("k_norm", key_value)]
        if self.sinks:
            found.append(vector("sinks", self.num_attention_heads))
        if self.cross_gates:
            found.append(vector("cross_attention_gates", 2))
        return tuple(found)

    def cache(self) -> CacheShape | None:
        """Keys and values per token; None when the layer reads another layer's cache."""
        if self.shares_cache:
            return None
        window = self.sliding_window if self.sliding_window is not None else self.attention_chunk_size
        if self.cross:
            kind = CacheKind.CROSS
        elif self.sliding_window is not None:
            kind = CacheKind.SLIDING
        else:
            kind = CacheKind.CHUNKED if self.attention_chunk_size is not None else CacheKind.FULL
        return CacheShape(kind, self.num_key_value_heads, self.head_dim, self.head_dim, window)
