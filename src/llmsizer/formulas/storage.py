"""Bytes of stored tensors: packed values, group and block scales, and the share of one rank."""

from __future__ import annotations

from llmsizer.core.explain import formula
from llmsizer.core.numerics import ceil, maximum
from llmsizer.core.quantities import Bytes, BytesPerElement, Count, Elements
from llmsizer.core.units import BYTES_PER_BIT, ONE_BYTE, ONE_ELEMENT


@formula(reference="a stored value takes its bits; 8 bits are a byte")
def packed_bytes(elements: Elements, bits: Count) -> Bytes:
    """Bytes of values packed without gaps.

    >>> packed_bytes(1000.0, 4)
    500.0
    """
    return elements * bits * BYTES_PER_BIT


@formula(reference="GPTQ, AWQ, compressed-tensors and MLX layouts: one scale (and zero point) per group and output")
def group_scale_bytes(in_features: Count, out_features: Count, group_size: Count, group_bits: Count) -> Bytes:
    """Bytes of the scales and zero points of a matrix grouped along its inputs.

    >>> group_scale_bytes(4096, 4096, 128, 20)
    327680.0
    """
    return ceil(in_features / group_size) * out_features * group_bits * BYTES_PER_BIT * ONE_ELEMENT


@formula(reference="bitsandbytes quantize_4bit: blocks run over the flattened tensor")
def flat_scale_bytes(elements: Elements, group_size: Count, group_bits: Count) -> Bytes:
    """Bytes of the statistics of blocks laid over the flattened tensor.

    >>> flat_scale_bytes(6400.0, 64, 32)
    400.0
    """
    return ceil(elements / group_size) * group_bits * BYTES_PER_BIT


@formula(reference="DeepSeek-V3 technical report 2024, section 3.3.2: 128 × 128 blocks with one scale")
def block_scale_bytes(
    in_features: Count, out_features: Count, block_rows: Count, block_columns: Count, block_bits: Count
) -> Bytes:
    """Bytes of the scales of a matrix divided into two-dimensional blocks.

    >>> block_scale_bytes(7168, 2048, 128, 128, 32)
    3584.0
    """
    return ceil(in_features / block_rows) * ceil(out_features / block_columns) * block_bits * BYTES_PER_BIT * ONE_ELEMENT


@formula(reference="AutoGPTQ: g_idx holds one int32 per input row")
def row_index_bytes(in_features: Count, index_bits: Count) -> Bytes:
    """Bytes of an index kept per input row.

    >>> row_index_bytes(4096, 32)
    16384.0
    """
    return in_features * index_bits * BYTES_PER_BIT * ONE_ELEMENT


@formula(reference="ggml: a row is a whole number of blocks")
def row_block_bytes(in_features: Count, out_features: Count, block_elements: Count, block_bytes: Count) -> Bytes:
    """Bytes of a GGUF matrix whose rows consist of blocks of values with their scales.

    >>> row_block_bytes(4096, 4096, 256, 144)
    9437184.0
    """
    return ceil(in_features / block_elements) * out_features * block_bytes * ONE_BYTE


@formula(reference="a constant number of bytes per stored tensor (global scales, shapes)")
def constant_bytes(tensor_bytes: Count, tensors: Count) -> Bytes:
    """Bytes that each stored tensor carries whatever its size.

    >>> constant_bytes(8, 3)
    24.0
    """
    return tensor_bytes * tensors * ONE_BYTE


@formula(reference="tensor parallelism: a rank holds whole heads or columns; what is too few is replicated")
def rank_share(width: Count, units: Count, ranks: Count) -> Count:
    """The part of a width one rank holds when it consists of indivisible units.

    >>> rank_share(1024, 8, 16)
    128.0
    """
    return maximum(ceil(units / ranks), 1) * (width / units)


@formula(reference="vLLM vocab_parallel_embedding: padded to a multiple of 64, then divided")
def vocabulary_share(rows: Count, padding: Count, ranks: Count) -> Count:
    """Vocabulary rows of one rank.

    >>> vocabulary_share(32001, 64, 2)
    16032.0
    """
    return ceil(rows / padding) * padding / ranks


@formula(reference="alignment: widths rounded up to what kernels need (vLLM V0 latent rows, MXFP4 experts)")
def aligned_width(width: Count, alignment: Count) -> Count:
    """A width rounded up to a multiple.

    >>> aligned_width(576, 128)
    640.0
    """
    return ceil(width / alignment) * alignment


@formula(reference="repetition of a tensor")
def bytes_of_copies(bytes_each: Bytes, copies: Count) -> Bytes:
    """Bytes of equal tensors: experts of a layer, layers of a stack.

    >>> bytes_of_copies(100.0, 32)
    3200.0
    """
    return bytes_each * copies


@formula(reference="the mean over layers that may be stored in several formats")
def mean_bytes(whole: Bytes, layers: Count) -> Bytes:
    """Bytes of one layer, on average.

    >>> mean_bytes(64.0, 32)
    2.0
    """
    return whole / layers


@formula(reference="8 bits are a byte")
def bytes_per_value(bits: Count) -> BytesPerElement:
    """Bytes of one value.

    >>> bytes_per_value(16)
    2.0
    """
    return bits * BYTES_PER_BIT
