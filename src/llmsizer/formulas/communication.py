"""Time of collectives over a fabric (provisional)."""

from __future__ import annotations

from llmsizer.core.explain import formula
from llmsizer.core.quantities import Bytes, BytesPerSecond, Count, Fraction, Seconds


@formula(reference="latency + bandwidth model (Hockney 1994)")
def collective_seconds(
    message: Bytes, ranks: Count, bandwidth: BytesPerSecond, latency_seconds: Seconds, bandwidth_fraction: Fraction, volume: Count
) -> Seconds:
    """Time of a collective.

    >>> collective_seconds(0.0, 8, 1e11, 5e-6, 0.7, 2)
    5e-06
    """
    return latency_seconds + volume * (ranks - 1) / ranks * message / (bandwidth * bandwidth_fraction)
