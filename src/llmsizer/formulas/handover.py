"""The memory fraction that leaves a given cache, for each thing that engines take a fraction of."""

from __future__ import annotations

from llmsizer.core.explain import formula
from llmsizer.core.quantities import Bytes, Fraction


@formula(reference="requested_bytes and left_for_cache, solved for the fraction")
def fraction_of_total(taken: Bytes, cache: Bytes, usable_memory: Bytes, room: Fraction) -> Fraction:
    """Fraction of the device's memory that covers the cache and what stands before it, where the engine
    then uses the share ``room`` of the fraction.

    >>> fraction_of_total(20e9, 52e9, 80e9, 1.0)
    0.9
    """
    return (taken + cache) / (usable_memory * room)


@formula(reference="static_pool_bytes and left_for_cache, solved for the fraction")
def fraction_of_free(weights: Bytes, cache: Bytes, usable_memory: Bytes, non_torch: Bytes) -> Fraction:
    """Fraction of the memory free at start that covers weights and cache.

    >>> fraction_of_free(16e9, 48e9, 81e9, 1e9)
    0.8
    """
    return (weights + cache) / (usable_memory - non_torch)


@formula(reference="share_of_remaining, solved for the fraction")
def fraction_of_remaining(cache: Bytes, usable_memory: Bytes, taken: Bytes) -> Fraction:
    """Fraction of what everything else leaves that the cache takes.

    >>> fraction_of_remaining(54e9, 80e9, 20e9)
    0.9
    """
    return cache / (usable_memory - taken)
