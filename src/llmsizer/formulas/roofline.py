"""The roofline: arithmetic intensity against the ridge point of a device."""

from __future__ import annotations

from llmsizer.core.explain import formula
from llmsizer.core.quantities import BytesPerSecond, FlopPerByte, FlopPerSecond


@formula(reference="Williams, Waterman and Patterson 2009: the intensity at which compute and memory balance")
def ridge_point(peak: FlopPerSecond, memory_bandwidth: BytesPerSecond) -> FlopPerByte:
    """FLOP per byte above which a kernel is bound by compute.

    >>> round(ridge_point(989.4e12, 3.35e12), 1)
    295.3
    """
    return peak / memory_bandwidth
