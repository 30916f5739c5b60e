"""The feed-forward kinds: dense and mixture of experts."""

from __future__ import annotations

from typing import TypeAlias

from llmsizer.blocks.feed_forward.dense import Dense
from llmsizer.blocks.feed_forward.mixture_of_experts import MixtureOfExperts

FeedForward: TypeAlias = Dense | MixtureOfExperts

FEED_FORWARD_KINDS: dict[str, type[FeedForward]] = {kind.kind: kind for kind in (Dense, MixtureOfExperts)}

__all__ = ["FEED_FORWARD_KINDS", "Dense", "FeedForward", "MixtureOfExperts"]
