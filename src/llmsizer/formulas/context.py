"""Context parallelism: prompts and caches divided over ranks along the tokens."""

from __future__ import annotations

from llmsizer.core.explain import formula
from llmsizer.core.quantities import BytesPerToken, Count, Tokens


@formula(reference="prompts are cut into 2·ranks pieces, each rank takes one from either end (zigzag): alike in causal work")
def rank_tokens(tokens: Tokens, ranks: Count) -> Tokens:
    """Tokens of prompts that one context-parallel rank processes, or of a context that one keeps.

    >>> rank_tokens(8192.0, 4)
    2048.0
    """
    return tokens / ranks


@formula(reference="zigzag pieces: every context-parallel rank has the same share of a causal triangle")
def rank_pairs(pairs: Count, ranks: Count) -> Count:
    """Pairs of query and key that one context-parallel rank computes.

    >>> rank_pairs(1000.0, 4)
    250.0
    """
    return pairs / ranks


@formula(reference="decode context parallelism: the tokens of a sequence take turns among the ranks that keep its cache")
def rank_cache(bytes_per_token: BytesPerToken, ranks: Count) -> BytesPerToken:
    """Cache of a token of a sequence that one rank keeps, on average.

    >>> rank_cache(1024.0, 8)
    128.0
    """
    return bytes_per_token / ranks


@formula(reference="counting: rows that hold every token of some sequences' contexts")
def context_rows(sequences: Count, context: Tokens) -> Tokens:
    """Tokens of all cached contexts that a step's prompts attend to.

    >>> context_rows(2.0, 4096.0)
    8192.0
    """
    return sequences * context
