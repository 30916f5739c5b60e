"""Time of matrix products on a device: dense layers and the grouped products of routed experts.

A product costs a fixed launch, plus the smooth maximum of its compute time and its memory time.
All shape effects are additive padding, so the time rises with every size, and with fractions of at
most one and padding of at least zero it never beats the ideal peak or bandwidth:

* tiles: rows and columns are computed in whole tiles, on average half a tile more than asked, and rows
  in one tile at least;
* waves: the last wave of tiles leaves units idle, worth a fixed number of output elements;
* prologue: each tile fills its pipeline before the first multiplication, worth some depth of ``k``;
* activations: they are read, quantised and written by more passes than one.

The parameters are measured data (``catalog/data/calibrations``), fitted by ``authoring/fit``.
"""

from __future__ import annotations

from llmsizer.core.explain import Constant, formula
from llmsizer.core.numerics import log, maximum, minimum, power, sqrt
from llmsizer.core.quantities import Bytes, BytesPerElement, BytesPerSecond, Count, Flop, FlopPerSecond, Fraction, Seconds
from llmsizer.core.units import ONE_ELEMENT

MULTIPLY_ADD = Constant(2.0, "FLOP", "one multiplication and one addition")

# Below this the gamma distribution of popularities is a point, within rounding.
LEAST_SKEW = 1e-6
# All experts, but for rounding: the logarithm of none left out would be infinite.
MOST_OF_ALL = 1 - 1e-12

_ROOFLINE = "Williams, Waterman and Patterson 2009 (roofline), made smooth; tiles and waves: NVIDIA matrix multiplication guide"


@formula(reference="linear algebra: every output element takes k multiplications and additions")
def matmul_flop(m: Count, n: Count, k: Count) -> Flop:
    """FLOP of the product of an m × k and a k × n matrix.

    >>> matmul_flop(1, 4096, 4096)
    33554432.0
    """
    return MULTIPLY_ADD * m * n * k


@formula(reference="the input is read once and the output written once")
def matmul_activation_bytes(m: Count, n: Count, k: Count, input_bytes: BytesPerElement, output_bytes: BytesPerElement) -> Bytes:
    """Bytes of the activations of a product: its input in the format of the product, its output.

    >>> matmul_activation_bytes(16, 4096, 1024, 1.0, 2.0)
    147456.0
    """
    return m * (k * input_bytes + n * output_bytes) * ONE_ELEMENT


@formula(reference=_ROOFLINE)
def matmul_seconds(
    m: Count,
    n: Count,
    k: Count,
    weight_bytes: Bytes,
    activation_bytes: Bytes,
    peak: FlopPerSecond,
    memory_bandwidth: BytesPerSecond,
    launch_seconds: Seconds,
    seconds_per_depth: Seconds,
    compute_fraction: Fraction,
    memory_fraction: Fraction,
    pad_rows: Count,
    pad_columns: Count,
    wave_elements: Count,
    prologue_depth: Count,
    activation_traffic: Fraction,
    overlap: Fraction,
    least_rows: Count = 0.0,
) -> Seconds:
    """Seconds of one dense layer: m tokens, n outputs, k inputs.

    ``launch_seconds``: fixed time of the kernels of the layer. ``seconds_per_depth``: serial time per
    element of k, as one tile walks along k. ``compute_fraction`` and ``memory_fraction``: of peak and
    bandwidth that a very large product reaches. ``pad_rows``, ``pad_columns``: rows and columns
    computed for nothing in partial tiles; ``least_rows``: of the smallest tile. ``wave_elements``: output
    elements lost to the last, partial wave of tiles. ``prologue_depth``: depth of k lost to filling the
    pipeline. ``activation_traffic``: times the activations pass through memory. ``overlap``: 0 when the
    smaller of compute and memory time is hidden, 1 when they add.

    >>> ideal = dict(launch_seconds=0.0, seconds_per_depth=0.0, compute_fraction=1.0, memory_fraction=1.0, pad_rows=0.0,
    ...              pad_columns=0.0, wave_elements=0.0, prologue_depth=0.0, activation_traffic=1.0, overlap=0.0,
    ...              least_rows=0.0)
    >>> matmul_seconds(1.0, 4096.0, 4096.0, 33554432.0, 0.0, 1e15, 1e12, **ideal)
    3.3554432e-05
    """
    area = maximum(m + pad_rows, least_rows) * (n + pad_columns) + wave_elements
    compute = MULTIPLY_ADD * area * (k + prologue_depth) / (peak * compute_fraction)
    memory = (weight_bytes + activation_traffic * activation_bytes) / (memory_bandwidth * memory_fraction)
    apart = compute - memory
    both = (compute + memory + sqrt(apart * apart + 4.0 * overlap * compute * memory)) / 2.0
    return launch_seconds + seconds_per_depth * k + both


@formula(
    reference="expectation of independent draws with popularities of a gamma distribution (negative binomial); "
    "without skew E · (1 − (1 − k/E)^tokens)",
    validity="tokens that choose independently of each other",
)
def expected_distinct_experts(experts: Count, experts_per_token: Count, tokens: Count, skew: Fraction) -> Count:
    """Experts that at least one of some tokens is routed to.

    The first token touches k; a further one leaves an expert out with probability 1 − k/E, or more where
    the expert is less popular. ``skew`` is the variance of the experts' popularity relative to the mean.

    >>> round(expected_distinct_experts(8, 2, 1, 0.0), 6)
    2.0
    >>> round(expected_distinct_experts(256, 8, 64, 0.0), 1)
    222.4
    >>> round(expected_distinct_experts(256, 8, 64, 1.0), 1)
    173.3
    """
    spread = maximum(skew, LEAST_SKEW)
    rate = -log(1.0 - minimum(experts_per_token / experts, MOST_OF_ALL))
    left_out = power(1.0 + spread * rate * maximum(tokens - 1.0, 0.0), -1.0 / spread)
    return experts_per_token + (experts - experts_per_token) * (1.0 - left_out)


@formula(reference="gated experts: input and output of the hidden width, the intermediate width between the products")
def grouped_activation_bytes(
    assignments: Count, hidden_size: Count, intermediate_size: Count, matrices: Count, bytes_per_value: BytesPerElement
) -> Bytes:
    """Bytes of activations of routed experts: permuted input, results of the first products, output.

    ``assignments`` counts pairs of token and expert; ``matrices`` is 3 for gated experts, else 2.

    >>> grouped_activation_bytes(8, 2048, 768, 3, 2.0)
    102400.0
    """
    return assignments * (2.0 * hidden_size + matrices * intermediate_size) * bytes_per_value * ONE_ELEMENT


@formula(reference=_ROOFLINE)
def grouped_matmul_seconds(
    assignments: Count,
    experts_touched: Count,
    hidden_size: Count,
    intermediate_size: Count,
    matrices: Count,
    weight_bytes: Bytes,
    activation_bytes: Bytes,
    peak: FlopPerSecond,
    memory_bandwidth: BytesPerSecond,
    launch_seconds: Seconds,
    routing_seconds: Seconds,
    routing_assignments: Count,
    compute_fraction: Fraction,
    memory_fraction: Fraction,
    pad_rows: Count,
    pad_columns: Count,
    wave_elements: Count,
    activation_traffic: Fraction,
    overlap: Fraction,
) -> Seconds:
    """Seconds of the routed experts of one layer on one device, from permutation to combination.

    ``assignments``: pairs of token and expert that this device computes; ``experts_touched``: its
    experts that get at least one; ``weight_bytes``: of the touched experts only; ``matrices``: 3 for
    gated experts (gate, up, down), else 2. ``launch_seconds``: fixed time of the kernels.
    ``routing_seconds``: further time of sorting and permuting, half of it at ``routing_assignments``.
    ``pad_rows``: rows per touched expert computed for nothing in partial tiles. The other parameters
    as in ``matmul_seconds``.

    >>> ideal = dict(launch_seconds=0.0, routing_seconds=0.0, routing_assignments=1.0, compute_fraction=1.0,
    ...              memory_fraction=1.0, pad_rows=0.0, pad_columns=0.0, wave_elements=0.0, activation_traffic=1.0,
    ...              overlap=0.0)
    >>> grouped_matmul_seconds(8.0, 8.0, 2048.0, 768.0, 3.0, 75497472.0, 0.0, 1e15, 1e12, **ideal)
    7.5497472e-05
    """
    area = (assignments + pad_rows * experts_touched) * (intermediate_size + pad_columns) + wave_elements
    compute = MULTIPLY_ADD * area * hidden_size * matrices / (peak * compute_fraction)
    memory = (weight_bytes + activation_traffic * activation_bytes) / (memory_bandwidth * memory_fraction)
    apart = compute - memory
    both = (compute + memory + sqrt(apart * apart + 4.0 * overlap * compute * memory)) / 2.0
    return launch_seconds + routing_seconds * assignments / (assignments + routing_assignments) + both
