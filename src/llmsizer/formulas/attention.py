"""Work, traffic and time of attention and of recurrent scans.

A kernel's time is a fixed launch plus the smooth maximum of its compute time and its memory time.
Everything that keeps a kernel from its peak is an addition of work: padding to whole tiles, the
exponentials of the softmax, units that idle in the last wave, sequences too few or too short to
split over all units. So the time rises with every size and, with fractions of at most one, never
beats the ideal peak or bandwidth.

The parameters are measured data (``catalog/data/calibrations``), fitted by ``authoring/fit``.
"""

from __future__ import annotations

from llmsizer.core.explain import Constant, formula
from llmsizer.core.numerics import floor, minimum, sqrt, where
from llmsizer.core.quantities import (
    Bytes,
    BytesPerElement,
    BytesPerSecond,
    Count,
    Flop,
    FlopPerSecond,
    Fraction,
    Seconds,
    Tokens,
)
from llmsizer.core.units import ONE_ELEMENT, ONE_TOKEN

MULTIPLY_ADD = Constant(2.0, "FLOP", "one multiplication and one addition")

_ROOFLINE = "Williams, Waterman and Patterson 2009 (roofline), made smooth; tiles: FlashAttention-2 (Dao 2023)"
_SPLITS = "roofline, made smooth; splitting the context over units: Flash-Decoding (Dao et al. 2023)"


@formula(reference="causal mask: the i-th new token attends to the context, the new tokens before it and itself")
def causal_pairs(tokens: Tokens, context: Tokens) -> Count:
    """Pairs of query and key that one sequence's chunk of ``tokens`` computes after ``context`` cached ones.

    >>> causal_pairs(4.0, 0.0)
    10.0
    >>> causal_pairs(4.0, 100.0)
    410.0
    """
    return tokens * (context + (tokens + ONE_TOKEN) / 2.0) / (ONE_TOKEN * ONE_TOKEN)


@formula(reference="sliding window: the i-th token attends to at most the last `window` tokens, itself included")
def windowed_pairs(tokens: Tokens, context: Tokens, window: Tokens) -> Count:
    """Pairs of query and key in one chunk when each token sees at most ``window`` tokens.

    >>> windowed_pairs(4.0, 0.0, 2.0)
    7.0
    >>> windowed_pairs(4.0, 100.0, 50.0)
    200.0
    """
    growing = minimum(window - minimum(context, window), tokens)
    filling = growing * (minimum(context, window) + (growing + ONE_TOKEN) / 2.0)
    return (filling + (tokens - growing) * window) / (ONE_TOKEN * ONE_TOKEN)


@formula(reference="chunked attention (Llama 4): a token attends to those of its own chunk up to itself")
def chunked_pairs(tokens: Tokens, context: Tokens, chunk: Tokens) -> Count:
    """Pairs of query and key of ``tokens`` new tokens when each sees only its own chunk.

    >>> chunked_pairs(4.0, 0.0, 2.0)
    6.0
    >>> chunked_pairs(4.0, 101.0, 50.0)
    14.0
    """
    first = context - chunk * floor(context / chunk)
    whole = floor((first + tokens) / chunk)
    last = first + tokens - whole * chunk
    pairs = whole * chunk * (chunk + ONE_TOKEN) + last * (last + ONE_TOKEN) - first * (first + ONE_TOKEN)
    return pairs / 2.0 / (ONE_TOKEN * ONE_TOKEN)


@formula(reference="chunked attention (Llama 4): beyond the first, sequences stand in the middle of one on average")
def tokens_of_chunk(context: Tokens, chunk: Tokens) -> Tokens:
    """Cached tokens that a decoding query sees on average when it sees only its own chunk.

    >>> tokens_of_chunk(1000.0, 8192.0)
    1000.0
    >>> tokens_of_chunk(100000.0, 8192.0)
    4096.0
    """
    return where(context < chunk, context, chunk / 2.0)


@formula(reference="definition of a sliding window")
def visible_tokens(context: Tokens, window: Tokens) -> Tokens:
    """Cached tokens that a query sees under a window; sparse attention: that its indexer selects.

    >>> visible_tokens(4096.0, 1024.0)
    1024.0
    """
    return minimum(context, window)


@formula(reference="scores take one multiply-add per element of a key, the output one per element of a value")
def attention_flop(pairs: Count, heads: Count, score_width: Count, value_width: Count) -> Flop:
    """FLOP of attention over some pairs of query and key.

    ``score_width``: elements of a key (head_dim; 192 in DeepSeek's prefill; kv_lora_rank + rope in its
    absorbed decode), ``value_width``: elements of a value (head_dim; 128; kv_lora_rank).

    >>> attention_flop(1.0, 128.0, 576.0, 512.0)
    278528.0
    """
    return MULTIPLY_ADD * pairs * heads * (score_width + value_width)


@formula(reference="every visible key and value (or latent) of a layer is read once per sequence")
def cache_read_bytes(sequences: Count, keys: Tokens, entries: Count, cache_bytes: BytesPerElement) -> Bytes:
    """Cache bytes that one layer's attention reads.

    ``entries``: cached elements per token on this device (2 · kv_heads · head_dim, or the latent's width).

    >>> cache_read_bytes(8.0, 1024.0, 2048.0, 2.0)
    33554432.0
    """
    return sequences * keys / ONE_TOKEN * entries * ONE_ELEMENT * cache_bytes


@formula(reference="queries are read once and outputs written once")
def query_output_bytes(
    rows: Count, heads: Count, score_width: Count, value_width: Count, value_bytes: BytesPerElement
) -> Bytes:
    """Bytes of queries and outputs of attention.

    >>> query_output_bytes(64.0, 32.0, 128.0, 128.0, 2.0)
    1048576.0
    """
    return rows * heads * (score_width + value_width) * ONE_ELEMENT * value_bytes


@formula(reference="without FlashAttention scores are written, read by the softmax, its result written and read again")
def score_matrix_bytes(sequences: Count, tokens: Tokens, keys: Tokens, heads: Count, score_bytes: BytesPerElement) -> Bytes:
    """Traffic of the n² score matrix when it is kept in memory (FlashAttention off): four passes.

    >>> score_matrix_bytes(1.0, 1024.0, 1024.0, 32.0, 2.0)
    268435456.0
    """
    matrix = sequences * heads * tokens * keys / (ONE_TOKEN * ONE_TOKEN) * ONE_ELEMENT
    return 4.0 * matrix * score_bytes


@formula(reference=_ROOFLINE)
def attention_prefill_seconds(
    sequences: Count,
    tokens: Tokens,
    keys: Tokens,
    pairs: Count,
    heads: Count,
    head_width: Count,
    moved_bytes: Bytes,
    units: Count,
    peak: FlopPerSecond,
    memory_bandwidth: BytesPerSecond,
    launch_seconds: Seconds,
    compute_fraction: Fraction,
    memory_fraction: Fraction,
    softmax_width: Count,
    pad_keys: Count,
    tail_rows: Count,
    item_seconds: Seconds,
    overlap: Fraction,
) -> Seconds:
    """Seconds of one layer's attention over new tokens (a prompt or a chunk of it).

    Each of ``sequences`` brings ``tokens`` queries and computes ``pairs`` (see ``causal_pairs``);
    ``keys``: the most keys a query sees; ``heads``: query heads on this device; ``head_width``: key plus
    value elements of a head; ``moved_bytes``: queries, keys, values and outputs (and the score matrix
    when it is kept); ``units``: compute units (SMs) of the device. ``softmax_width``: elements of a
    head whose products would take as long as the softmax of a pair. ``pad_keys``: keys computed for
    nothing per query (diagonal tiles). ``tail_rows``: queries per unit that the last, partial wave costs.
    ``item_seconds``: fixed time of one sequence and head on a unit. ``overlap``: 0 when the smaller of
    compute and memory time is hidden, 1 when they add.

    >>> ideal = dict(launch_seconds=0.0, compute_fraction=1.0, memory_fraction=1.0, softmax_width=0.0, pad_keys=0.0,
    ...              tail_rows=0.0, item_seconds=0.0, overlap=0.0)
    >>> attention_prefill_seconds(1.0, 4096.0, 4096.0, 8390656.0, 32.0, 256.0, 0.0, 132.0, 1e15, 1e12, **ideal)
    0.000137472507904
    """
    worked = heads * sequences * (pairs + pad_keys * tokens / ONE_TOKEN) + tail_rows * units * keys / ONE_TOKEN
    flop = MULTIPLY_ADD * worked * (head_width + softmax_width)
    compute = flop / (peak * compute_fraction) + item_seconds * sequences * heads / units
    memory = moved_bytes / (memory_bandwidth * memory_fraction)
    both = compute + memory + sqrt((compute - memory) * (compute - memory) + 4.0 * overlap * compute * memory)
    return launch_seconds + both / 2.0


@formula(reference=_SPLITS)
def attention_decode_seconds(
    sequences: Count,
    keys: Tokens,
    rows: Count,
    groups: Count,
    head_width: Count,
    token_bytes: Bytes,
    moved_bytes: Bytes,
    units: Count,
    peak: FlopPerSecond,
    memory_bandwidth: BytesPerSecond,
    launch_seconds: Seconds,
    compute_fraction: Fraction,
    memory_fraction: Fraction,
    item_seconds: Seconds,
    pad_rows: Count,
    pad_keys: Tokens,
    tail_keys: Tokens,
    splits: Count,
    overlap: Fraction,
) -> Seconds:
    """Seconds of one layer's attention of decoding sequences over their cache.

    Each of ``sequences`` sees ``keys`` cached tokens. ``groups``: key/value heads on this device (1 for a
    latent); ``rows``: queries that share a group's keys (query heads per group, times tokens verified
    at once); ``head_width``: key plus value elements of a head; ``token_bytes``: one token's cache of one
    group; ``moved_bytes``: cache, queries and outputs. ``item_seconds``: fixed time of one sequence and
    group on a unit. ``pad_rows``: queries computed for nothing per group. ``pad_keys``: cached tokens read
    for nothing per sequence and group (partial tiles). ``tail_keys``: tokens per unit that uneven splits
    cost. ``splits``: parts a sequence's context is split into at most; one without Flash-Decoding, and
    then few sequences leave units idle.

    >>> ideal = dict(launch_seconds=0.0, compute_fraction=1.0, memory_fraction=1.0, item_seconds=0.0, pad_rows=0.0,
    ...              pad_keys=0.0, tail_keys=0.0, splits=1e9, overlap=0.0)
    >>> attention_decode_seconds(8.0, 1024.0, 4.0, 8.0, 256.0, 512.0, 33554432.0, 132.0, 1e15, 1e12, **ideal)
    3.3554432e-05
    """
    flop = MULTIPLY_ADD * sequences * groups * (rows + pad_rows) * keys / ONE_TOKEN * head_width
    compute = flop / (peak * compute_fraction) + item_seconds * sequences * groups / units
    wasted = (sequences * groups * pad_keys + units * (tail_keys + keys / splits)) / ONE_TOKEN * token_bytes
    memory = (moved_bytes + wasted) / (memory_bandwidth * memory_fraction)
    both = compute + memory + sqrt((compute - memory) * (compute - memory) + 4.0 * overlap * compute * memory)
    return launch_seconds + both / 2.0


# Latent attention takes the same equations with its own curves: one group of kv_lora_rank + rope when
# absorbed (decode), heads of 192 + 128 when not (prefill).
latent_prefill_seconds = attention_prefill_seconds
latent_decode_seconds = attention_decode_seconds


@formula(reference="each token updates every element of a recurrent state and reads it: decay, outer product, query")
def scan_flop(tokens: Tokens, state: Count) -> Flop:
    """FLOP of a recurrent mixer over some tokens; ``state``: elements of one sequence's recurrent state.

    >>> scan_flop(1024.0, 524288.0)
    3221225472.0
    """
    return MULTIPLY_ADD * 3.0 * tokens / ONE_TOKEN * state


@formula(reference="roofline, made smooth; chunks of one sequence follow each other (Gated DeltaNet, Yang et al. 2024)")
def scan_prefill_seconds(
    tokens: Tokens,
    flop: Flop,
    moved_bytes: Bytes,
    peak: FlopPerSecond,
    memory_bandwidth: BytesPerSecond,
    launch_seconds: Seconds,
    token_seconds: Seconds,
    compute_fraction: Fraction,
    memory_fraction: Fraction,
    overlap: Fraction,
) -> Seconds:
    """Seconds of one recurrent layer (convolution and scan) over prompts.

    ``tokens``: new tokens of the longest prompt, whose chunks pass the state on one after the other, each
    token taking ``token_seconds``; ``flop`` and ``moved_bytes``: of all prompts together.

    >>> ideal = dict(launch_seconds=0.0, token_seconds=0.0, compute_fraction=1.0, memory_fraction=1.0, overlap=0.0)
    >>> round(scan_prefill_seconds(1024.0, 3.2e9, 1e9, 1e15, 1e12, **ideal), 6)
    0.001
    """
    compute, memory = flop / (peak * compute_fraction), moved_bytes / (memory_bandwidth * memory_fraction)
    both = compute + memory + sqrt((compute - memory) * (compute - memory) + 4.0 * overlap * compute * memory)
    return launch_seconds + token_seconds * tokens / ONE_TOKEN + both / 2.0


@formula(reference="every sequence's state is read and written once per token")
def scan_decode_seconds(
    moved_bytes: Bytes, memory_bandwidth: BytesPerSecond, launch_seconds: Seconds, memory_fraction: Fraction
) -> Seconds:
    """Seconds of one recurrent layer (convolution and update) of decoding sequences.

    >>> scan_decode_seconds(1e9, 1e12, 0.0, 1.0)
    0.001
    """
    return launch_seconds + moved_bytes / (memory_bandwidth * memory_fraction)
