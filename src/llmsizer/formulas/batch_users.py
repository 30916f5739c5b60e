"""Users who think between requests, served in whole batches."""

from __future__ import annotations

from llmsizer.core.explain import formula
from llmsizer.core.numerics import exp, maximum, minimum
from llmsizer.core.quantities import Count, Fraction, Seconds


@formula(reference="exponential thinking: nobody of those outside a batch returns in a time")
def chance_of_late(users: Count, batch: Count, service: Seconds, window: Seconds, think: Seconds) -> Fraction:
    """Chance that the first return comes so late that its window ends after the batch.

    >>> round(chance_of_late(10.0, 1.0, 1.0, 0.0, 100.0), 4)
    0.9139
    """
    over = maximum(service - window, 0 * service)
    return exp(-maximum(users - batch, 0 * users) * over / think)


@formula(reference="E[max(S, w + X)], X to the first return; all users think when the engine is idle")
def period_of_users(users: Count, service: Seconds, window: Seconds, think: Seconds, late: Fraction) -> Seconds:
    """Mean time from the start of a batch to the start of the next, for users who think.

    >>> round(period_of_users(10.0, 1.0, 0.0, 100.0, 0.9139), 2)
    10.14
    """
    return window + maximum(service - window, 0 * service) + late * think / users


@formula(reference="exponential thinking: returns during the batch; after a late first return, those within its window")
def returned_users(users: Count, batch: Count, service: Seconds, window: Seconds, think: Seconds, late: Fraction) -> Count:
    """Mean size of the next batch.

    >>> round(returned_users(20.0, 8.0, 2.0, 0.0, 2.0, 0.0), 3)
    7.585
    """
    outside, last = maximum(users - batch, 0 * users), minimum(window, service)
    during = outside * (1 - exp(-service / think) - late * (1 - exp(-last / think)))
    return maximum(during + late * (1 + (users - 1) * (1 - exp(-window / think))), 1.0)


@formula(reference="each of those outside waits from its return to the end of the batch: S − Z·(1 − e^(−S/Z)) on average")
def wait_of_users(
    users: Count, batch: Count, service: Seconds, window: Seconds, think: Seconds, late: Fraction, returned: Count
) -> Seconds:
    """Mean wait of a user who thinks for its batch to start.

    >>> round(wait_of_users(20.0, 8.0, 2.0, 0.0, 2.0, 0.0, 7.585), 3)
    1.164
    """
    outside, last = maximum(users - batch, 0 * users), minimum(window, service)
    whole = service - think * (1 - exp(-service / think))
    tail = last - think * (1 - exp(-last / think))
    alone = window + (users - 1) * (window - think * (1 - exp(-window / think)))
    return maximum(outside * (whole - late * tail) + late * alone, 0 * service) / returned


@formula(
    reference="n' binomial among the users outside, C − n of them: variance n / (1 + r), r the share that returns in a period"
)
def users_dispersion(period: Seconds, think: Seconds) -> Fraction:
    """Variance of the size of a batch of users who think, over its mean.

    >>> round(users_dispersion(1.0, 1e9), 6)
    1.0
    """
    return 1 / (2 - exp(-period / think))
