"""The roofline: arithmetic intensity against the ridge point of a device."""

from __future__ import annotations

from llmsizer.core.explain import formula
from llmsizer.core.quantities import Bytes, BytesPerSecond, Flop, FlopPerByte, FlopPerSecond, Fraction, Seconds


@formula(reference="Williams, Waterman and Patterson 2009: the intensity at which compute and memory balance")
def ridge_point(peak: FlopPerSecond, memory_bandwidth: BytesPerSecond) -> FlopPerByte:
    """FLOP per byte above which a kernel is bound by compute.

    >>> round(ridge_point(989.4e12, 3.35e12), 1)
    295.3
    """
    return peak / memory_bandwidth


@formula(reference="Williams, Waterman and Patterson 2009: work per byte of traffic")
def arithmetic_intensity(flop: Flop, traffic: Bytes) -> FlopPerByte:
    """FLOP done per byte moved.

    >>> arithmetic_intensity(2e12, 1e10)
    200.0
    """
    return flop / traffic


@formula(reference="Chowdhery et al. 2022 (PaLM), appendix B: FLOP done of the FLOP the peak would allow")
def flop_utilization(flop: Flop, peak: FlopPerSecond, seconds: Seconds) -> Fraction:
    """Model FLOP utilisation (MFU) of a step.

    >>> flop_utilization(5e13, 1e15, 0.1)
    0.5
    """
    return flop / (peak * seconds)


@formula(reference="bytes moved of the bytes the bandwidth would allow (MBU)")
def bandwidth_utilization(traffic: Bytes, memory_bandwidth: BytesPerSecond, seconds: Seconds) -> Fraction:
    """Memory bandwidth utilisation of a step.

    >>> round(bandwidth_utilization(2e11, 3.35e12, 0.1), 3)
    0.597
    """
    return traffic / (memory_bandwidth * seconds)
