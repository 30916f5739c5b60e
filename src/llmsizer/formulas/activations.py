"""What a forward pass holds besides weights and cache: the peak an engine's profile run measures."""

from __future__ import annotations

from typing import Annotated

from llmsizer.core.explain import formula
from llmsizer.core.numerics import maximum, minimum
from llmsizer.core.quantities import Bytes, Count, Elements, ElementsPerToken, Tokens, Unit
from llmsizer.core.units import BYTES_PER_BIT, ONE_ELEMENT

BytesPerLogit = Annotated[float, Unit("byte/element")]


@formula(reference="live tensors of a decoder layer at its feed-forward: copies of the hidden state, and the block's own")
def live_elements_per_token(
    hidden_copies: Count, hidden_size: ElementsPerToken, block_width: ElementsPerToken
) -> ElementsPerToken:
    """Elements per token alive at once while a layer runs.

    >>> live_elements_per_token(3, 4096, 43008)
    55296
    """
    return hidden_copies * hidden_size + block_width


@formula(reference="gated feed-forward: gate and up projections and their product are alive together")
def gated_width(intermediate_size: ElementsPerToken) -> ElementsPerToken:
    """Elements per token of a gated feed-forward block at its widest.

    >>> gated_width(14336)
    43008
    """
    return 3 * intermediate_size


@formula(reference="plain feed-forward: the projection and its activation")
def plain_feed_forward_width(intermediate_size: ElementsPerToken) -> ElementsPerToken:
    """Elements per token of a plain feed-forward block at its widest.

    >>> plain_feed_forward_width(16384)
    32768
    """
    return 2 * intermediate_size


@formula(reference="vLLM fused_moe: caches 1 and 3 share a buffer, cache 2 beside them, for each routed copy of a token")
def routed_width(
    experts_per_token: Count, projected: ElementsPerToken, hidden_size: ElementsPerToken, activated: ElementsPerToken
) -> ElementsPerToken:
    """Elements per token of the workspace of a routed feed-forward block.

    >>> routed_width(8, 1536, 2048, 768)
    22528
    """
    return experts_per_token * (maximum(projected, hidden_size) + activated)


@formula(reference="vLLM fused_moe: a long step is worked through in chunks, which bounds the workspace")
def chunked_width(width: ElementsPerToken, tokens: Tokens, chunk: Tokens) -> ElementsPerToken:
    """Elements per token of a workspace that holds at most a chunk of the tokens.

    >>> chunked_width(1000.0, 65536, 32768)
    500.0
    """
    return width * minimum(1, chunk / tokens)


@formula(reference="attention: queries, keys, values and the output of a layer")
def attention_width(query: ElementsPerToken, key_value: ElementsPerToken) -> ElementsPerToken:
    """Elements per token of an attention block at its widest.

    >>> attention_width(4096, 2048)
    10240
    """
    return 2 * query + key_value


@formula(reference="elements alive per token times tokens of a step")
def forward_peak_bytes(elements_per_token: ElementsPerToken, batched_tokens: Tokens, bits: Count) -> Bytes:
    """Peak of the forward pass of an engine's profile run.

    >>> forward_peak_bytes(55296, 20000, 16)
    2211840000.0
    """
    return elements_per_token * batched_tokens * bits * BYTES_PER_BIT


@formula(reference="attention without FlashAttention keeps the score matrix (Dao et al. 2022)")
def score_matrix_bytes(heads: Count, rows: Count, columns: Count, bits: Count) -> Bytes:
    """Bytes of the attention scores of one layer when they are stored.

    >>> score_matrix_bytes(32, 512, 8192, 32)
    536870912.0
    """
    return heads * rows * columns * bits * BYTES_PER_BIT * ONE_ELEMENT


@formula(reference="fit: an engine's sampler holds several copies of the logits of every sequence")
def sampler_peak_bytes(bytes_per_logit: BytesPerLogit, max_num_seqs: Count, vocab_size: Elements) -> Bytes:
    """Peak of the sampler in an engine's profile run.

    >>> round(sampler_peak_bytes(38.9, 1024, 128256) / 2**30, 2)
    4.76
    """
    return bytes_per_logit * max_num_seqs * vocab_size


@formula(reference="the profile run keeps the larger of both peaks")
def activation_peak_bytes(forward: Bytes, sampler: Bytes) -> Bytes:
    """Activation memory an engine sets aside.

    >>> activation_peak_bytes(2e9, 5e9)
    5000000000.0
    """
    return maximum(forward, sampler)
