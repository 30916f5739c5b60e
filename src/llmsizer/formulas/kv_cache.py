"""The key/value cache: bytes per token, paging, windows and states."""

from __future__ import annotations

from llmsizer.core.explain import formula
from llmsizer.core.numerics import ceil, floor, maximum, minimum
from llmsizer.core.quantities import Bytes, BytesPerToken, Count, Elements, ElementsPerToken, Fraction, Tokens
from llmsizer.core.units import BYTES_PER_BIT, ONE_BYTE, ONE_TOKEN


@formula(reference="Pope et al. 2022, section 3.3: a key and a value vector per key/value head")
def cache_elements_per_token(heads: Count, key_dim: ElementsPerToken, value_dim: ElementsPerToken) -> ElementsPerToken:
    """Elements one layer keeps per token on one rank.

    >>> cache_elements_per_token(8, 128, 128)
    2048
    """
    return heads * (key_dim + value_dim)


@formula(reference="a stored value takes its bits; 8 bits are a byte")
def cache_bytes_per_token(elements: ElementsPerToken, bits: Count) -> BytesPerToken:
    """Bytes one layer keeps per token.

    >>> cache_bytes_per_token(2048, 16)
    4096.0
    """
    return elements * bits * BYTES_PER_BIT


@formula(reference="per-token-and-head scales beside a quantized cache (vLLM int8_per_token_head)")
def cache_scale_bytes_per_token(heads: Count, head_bytes: Count) -> BytesPerToken:
    """Bytes of the scales of the key and the value of each head.

    >>> cache_scale_bytes_per_token(8, 4)
    64.0
    """
    return 2 * heads * head_bytes * ONE_BYTE / ONE_TOKEN


@formula(reference="one byte of scale for each group of cached elements (NVFP4, SGLang fp4)")
def cache_group_scale_bytes_per_token(elements: ElementsPerToken, group: Count) -> BytesPerToken:
    """Bytes of group scales of a cached token.

    >>> cache_group_scale_bytes_per_token(2048, 16)
    128.0
    """
    return elements / group * 8 * BYTES_PER_BIT


@formula(reference="DeepSeek-V3.2: an fp8 key of the indexer and its float32 scale per token and layer")
def index_bytes_per_token(index_dim: ElementsPerToken) -> BytesPerToken:
    """Bytes the sparse indexer keeps per token and layer.

    >>> index_bytes_per_token(128)
    132.0
    """
    return index_dim * 8 * BYTES_PER_BIT + 4 * ONE_BYTE / ONE_TOKEN


@formula(reference="definition: the share of the cache that stays on the device")
def share_kept_per_token(bytes_per_token: BytesPerToken, offloaded: Fraction) -> BytesPerToken:
    """Bytes of a token on the device when a fraction of the cache is kept in host memory.

    >>> share_kept_per_token(4096.0, 0.25)
    3072.0
    """
    return bytes_per_token * (1 - offloaded)


@formula(reference="repetition of a layer")
def bytes_per_token_of_layers(bytes_per_token: BytesPerToken, layers: Count) -> BytesPerToken:
    """Bytes per token of a group of equal layers.

    >>> bytes_per_token_of_layers(4096.0, 32)
    131072.0
    """
    return bytes_per_token * layers


@formula(reference="a page holds block_size tokens of one layer (Kwon et al. 2023, section 4)")
def page_bytes(bytes_per_token: BytesPerToken, block_size: Tokens) -> Bytes:
    """Bytes of one page of one layer.

    >>> page_bytes(4096.0, 16)
    65536.0
    """
    return bytes_per_token * block_size


@formula(reference="vLLM v1/core/kv_cache_utils.py: available // page // layers per group")
def pool_blocks(available: Bytes, page: Bytes, layers_per_group: Count) -> Count:
    """Whole blocks of a pool whose block is one page in each layer of a group.

    >>> pool_blocks(1e9, 65536.0, 32)
    476.0
    """
    return maximum(floor(floor(available / page) / layers_per_group), 0)


@formula(reference="vLLM v1/core/kv_cache_utils.py, versions that print blocks of every group")
def printed_pool_tokens(blocks: Count, groups: Count, block_size: Tokens) -> Tokens:
    """Tokens an engine prints for a pool shared by several groups of layers.

    >>> printed_pool_tokens(89994.0, 7, 16)
    205696.0
    """
    return floor(blocks / groups) * block_size


@formula(reference="vLLM v1/core/kv_cache_utils.py: capacity in requests of the longest length")
def pool_concurrency(blocks: Count, blocks_per_request: Count) -> Count:
    """Requests of one length that a pool holds at once.

    >>> round(pool_concurrency(46638.0, 1000.0), 3)
    46.638
    """
    return blocks / blocks_per_request


@formula(reference="vLLM v1/core/kv_cache_utils.py, versions that print concurrency × max_model_len")
def concurrency_tokens(concurrency: Count, length: Tokens) -> Tokens:
    """Tokens of as many requests of one length as fit.

    >>> concurrency_tokens(4.77, 262144)
    1250426.0
    """
    return floor(concurrency * length)


@formula(reference="Kwon et al. 2023: a sequence takes whole blocks")
def full_blocks(length: Tokens, block_size: Tokens) -> Count:
    """Blocks a layer that caches every token needs for a sequence.

    >>> full_blocks(1000, 16)
    63.0
    """
    return ceil(length / block_size)


@formula(reference="vLLM v1/kv_cache_interface.py, SlidingWindowSpec.max_memory_usage_bytes")
def sliding_blocks(length: Tokens, window: Tokens, batched_tokens: Tokens, block_size: Tokens) -> Count:
    """Blocks a sliding-window layer may need: the window, a step's tokens, and one more block.

    >>> sliding_blocks(16384, 128, 2048, 16)
    137.0
    """
    return ceil(minimum(window - ONE_TOKEN + batched_tokens, length) / block_size) + 1


@formula(reference="vLLM: the attention block is enlarged until its page holds a state")
def state_block_size(state: Bytes, bytes_per_token: BytesPerToken, granularity: Tokens) -> Tokens:
    """Tokens per block where attention and recurrent layers share one pool.

    >>> state_block_size(2146304.0, 2048.0, 16)
    1056.0
    """
    return granularity * ceil(state / (granularity * bytes_per_token))


@formula(reference="definition: a sequence's cache, every token kept")
def sequence_cache_bytes(bytes_per_token: BytesPerToken, length: Tokens) -> Bytes:
    """Cache of one sequence in layers that keep every token.

    >>> sequence_cache_bytes(131072.0, 8192)
    1073741824.0
    """
    return bytes_per_token * length


@formula(reference="sliding-window and chunked attention: only the last tokens are kept")
def windowed_tokens(length: Tokens, window: Tokens) -> Tokens:
    """Tokens a windowed layer keeps of a sequence.

    >>> windowed_tokens(8192, 1024)
    1024
    """
    return minimum(length, window)


@formula(reference="inversion of the cache size: what is left divided by the bytes of a token")
def tokens_that_fit(available: Bytes, bytes_per_token: BytesPerToken) -> Tokens:
    """Tokens a given memory holds.

    >>> tokens_that_fit(1e9, 131072.0)
    7629.0
    """
    return maximum(floor(available / bytes_per_token), 0 * ONE_TOKEN)


@formula(reference="definition: the share of allocated cache that holds no token")
def cache_waste(used: Tokens, allocated: Tokens) -> Fraction:
    """Fraction of an allocation that stays empty.

    >>> cache_waste(750.0, 1000.0)
    0.25
    """
    return 1 - used / allocated


@formula(reference="definition: a state tensor's bytes")
def state_bytes(elements: Elements, bits: Count) -> Bytes:
    """Bytes of a recurrent state or convolution tail of one sequence in one layer.

    >>> state_bytes(524288.0, 32)
    2097152.0
    """
    return elements * bits * BYTES_PER_BIT


@formula(reference="contiguous pre-allocation reserves the longest length for every sequence (Kwon et al. 2023, section 3.1)")
def contiguous_sequences(tokens: Tokens, reserved: Tokens) -> Count:
    """Whole sequences that fit when each reserves the longest length.

    >>> contiguous_sequences(100000.0, 32768.0)
    3.0
    """
    return floor(tokens / reserved)


@formula(reference="pages are taken as a sequence grows; only its last block is partly empty (Kwon et al. 2023, section 4)")
def paged_sequences(tokens: Tokens, length: Tokens, block_size: Tokens) -> Count:
    """Whole sequences of a length that fit in pages.

    >>> paged_sequences(100000.0, 1280.0, 16.0)
    78.0
    """
    return floor(floor(tokens / block_size) / ceil(length / block_size))


@formula(reference="attention-data-parallel ranks hold the caches of different requests")
def sequences_of_ranks(sequences: Count, ranks: Count) -> Count:
    """Sequences that the caches of all attention ranks hold.

    >>> sequences_of_ranks(10.5, 8)
    84.0
    """
    return sequences * ranks


@formula(reference="attention-data-parallel ranks hold the caches of different requests")
def tokens_of_ranks(tokens: Tokens, ranks: Count) -> Tokens:
    """Tokens that the caches of all attention ranks hold.

    >>> tokens_of_ranks(1000.0, 8)
    8000.0
    """
    return tokens * ranks


@formula(reference="a decode step reads every cached token; a share of each is kept in host memory")
def host_cache_bytes(sequences: Count, tokens: Tokens, per_token: BytesPerToken, share: Fraction) -> Bytes:
    """Bytes of the cache that a decode step reads from host memory.

    >>> host_cache_bytes(8.0, 1000.0, 131072.0, 0.5)
    524288000.0
    """
    return sequences * tokens * per_token * share
