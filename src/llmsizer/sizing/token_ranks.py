"""Ranks that bring tokens of their own: attention-data-parallel ones and those that share a prompt."""

from __future__ import annotations

from llmsizer.core.explain import plain
from llmsizer.core.quantities import Count
from llmsizer.formulas.parameters import repeated_width
from llmsizer.schema.deployment import Parallel


def token_ranks(parallel: Parallel) -> Count:
    """Ranks whose tokens meet at the experts."""
    data, context = parallel.data_parallel_size, parallel.prefill_context_parallel_size
    return data if plain(context) == 1 else repeated_width(data, context)


def expert_ranks(parallel: Parallel) -> Count:
    """Ranks over which the experts are spread."""
    return repeated_width(parallel.tensor_parallel_size, token_ranks(parallel))
