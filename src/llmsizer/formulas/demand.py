"""How many replicas a changing demand needs, how soon they are up, and what mix of prices is cheapest."""

from __future__ import annotations

from llmsizer.core.explain import formula
from llmsizer.core.numerics import ceil, maximum, minimum
from llmsizer.core.quantities import Bytes, BytesPerSecond, Count, Fraction, PerSecond, Seconds, UsdPerSecond


@formula(reference="requests over what a replica serves with a share of its capacity kept free; never fewer than the floor")
def replicas_needed(rate: PerSecond, capacity: PerSecond, headroom: Fraction, least: Count) -> Count:
    """Replicas for a rate.

    >>> replicas_needed(10.0, 3.0, 0.2, 1)
    5.0
    """
    return maximum(ceil(rate / (capacity * (1 - headroom))), least)


@formula(reference="N + k redundancy: so many replicas may fail while the rest still carry the load")
def with_spare(replicas: Count, spare: Count) -> Count:
    """Replicas with the spare ones.

    >>> with_spare(4.0, 1)
    5.0
    """
    return replicas + spare


@formula(reference="an instance is ordered, starts, reads the weights through the narrower of two pipes, and warms up")
def cold_start(
    provisioning: Seconds, weights: Bytes, storage: BytesPerSecond, network: BytesPerSecond, engine_start: Seconds
) -> Seconds:
    """Time from the order of a replica to its first answer.

    >>> cold_start(180.0, 140e9, 1e9, 12.5e9, 90.0)
    410.0
    """
    return provisioning + weights / minimum(storage, network) + engine_start


@formula(reference="replicas are paid from their order: the last part of a step also pays for what the next step needs")
def paid_replicas(early: Count, late: Count, late_share: Fraction) -> Count:
    """Mean number of replicas paid in a step of the demand, those that are starting included.

    >>> paid_replicas(2.0, 4.0, 0.25)
    2.5
    """
    return early + (late - early) * late_share


@formula(reference="requests beyond what the running replicas serve, while further replicas start")
def late_requests(rate: PerSecond, running: Count, capacity: PerSecond, seconds: Seconds) -> Count:
    """Requests that find no capacity when replicas are ordered only once the demand has risen.

    >>> late_requests(10.0, 2, 3.0, 60.0)
    240.0
    """
    return maximum(rate - running * capacity, 0 * rate) * seconds


@formula(reference="what runs beyond the reserved base at a moment")
def beyond_base(running: Count, base: Count) -> Count:
    """Instances above the base.

    >>> beyond_base(5.0, 3.0)
    2.0
    """
    return maximum(running - base, 0.0)


@formula(reference="the base is always paid, the rest by the hour; spot instances up to their share of what is beyond the base")
def mix_cost(
    base: Count, beyond: Count, spot_share: Fraction, reserved: UsdPerSecond, flexible: UsdPerSecond, spot: UsdPerSecond
) -> UsdPerSecond:
    """Rent of a mix of reserved, on-demand and spot instances.

    >>> mix_cost(2, 1.0, 0.5, 1.0, 3.0, 1.0)
    4.0
    """
    return base * reserved + beyond * ((1 - spot_share) * flexible + spot_share * spot)
