"""What becomes of the curves of one device on another of its architecture: units of the same make, more or fewer
of them, with more or less peak and bandwidth each.

Vendors sell one architecture with its units cut (fewer of them), its matrix units slowed or its memory changed.
Curves are carried over by what stays the same per unit.
"""

from __future__ import annotations

from llmsizer.core.explain import formula
from llmsizer.core.quantities import BytesPerSecond, Count, FlopPerSecond, Fraction


@formula(reference="a wave is a tile for every unit, so its idle part goes with the units")
def carried_waves(wave_elements: Count, units: Count, measured_units: Count) -> Count:
    """Output elements lost to the last, partial wave of tiles, on a device of other units.

    >>> carried_waves(132000.0, 78.0, 132.0)
    78000.0
    """
    return wave_elements * units / measured_units


@formula(
    reference="time of a product = its FLOP at peak + what feeding the units adds, alike in units of one make",
    validity="devices of one architecture",
)
def carried_compute_fraction(
    fraction: Fraction, peak: FlopPerSecond, units: Count, measured_peak: FlopPerSecond, measured_units: Count
) -> Fraction:
    """The fraction of peak that large products reach, on a device with another peak per unit.

    Shared memory, caches and registers feed the matrix units at the same rate in every unit of an
    architecture. What they add to the time of a FLOP at the peak, (1/fraction − 1)/peak per unit, stays,
    so units of a lower peak come closer to it.

    >>> round(carried_compute_fraction(0.8, 148e12, 78.0, 989e12, 132.0), 3)
    0.94
    """
    return 1.0 / (1.0 + (1.0 / fraction - 1.0) * (peak / units) / (measured_peak / measured_units))


@formula(
    reference="Little's law: units of one make keep as many bytes under way, whatever the memory behind them",
    validity="devices of one architecture",
)
def carried_memory_fraction(
    fraction: Fraction, bandwidth: BytesPerSecond, units: Count, measured_bandwidth: BytesPerSecond, measured_units: Count
) -> Fraction:
    """The fraction of the memory bandwidth that large products reach, on a device with another bandwidth per unit.

    A unit has so many loads under way at a time, which adds the same to the time of a byte in every unit
    of an architecture, so units with less bandwidth each come closer to it.

    >>> round(carried_memory_fraction(0.78, 1555e9, 108.0, 2039e9, 108.0), 3)
    0.823
    """
    return 1.0 / (1.0 + (1.0 / fraction - 1.0) * (bandwidth / units) / (measured_bandwidth / measured_units))
