"""The attention kinds: each file holds a kind's spec, its operations and its cache."""

from __future__ import annotations

from typing import TypeAlias

from llmsizer.blocks.attention.grouped_query import GroupedQuery
from llmsizer.blocks.attention.latent import Indexer, Latent
from llmsizer.blocks.attention.recurrent import GatedDeltaNet, KimiDelta, Lightning, Mamba1, Mamba2

Attention: TypeAlias = GroupedQuery | Latent | Mamba1 | Mamba2 | GatedDeltaNet | KimiDelta | Lightning

ATTENTION_KINDS: dict[str, type[Attention]] = {
    kind.kind: kind for kind in (GroupedQuery, Latent, Mamba1, Mamba2, GatedDeltaNet, KimiDelta, Lightning)
}

__all__ = [
    "ATTENTION_KINDS", "Attention", "GatedDeltaNet", "GroupedQuery", "Indexer", "KimiDelta", "Latent",
    "Lightning", "Mamba1", "Mamba2",
]  # fmt: skip
