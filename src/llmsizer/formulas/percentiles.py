"""Percentiles of latencies in the steady state, where requests are alike in length."""

from __future__ import annotations

from llmsizer.core.explain import formula
from llmsizer.core.numerics import log, maximum, minimum, sqrt
from llmsizer.core.quantities import Count, Fraction, Seconds


@formula(reference="variance of a mean over steps, a share of which carries prompt tokens (binomial)")
def mixing_deviation(share: Fraction, mixed: Seconds, pure: Seconds, steps: Count) -> Seconds:
    """Standard deviation of a request's mean step time that comes from the prompts it happens to meet.

    >>> round(mixing_deviation(0.25, 0.04, 0.02, 100.0), 6)
    0.000866
    """
    return maximum(mixed - pure, 0 * mixed) * sqrt(share * (1 - share) / maximum(steps, 1.0))


@formula(reference="Poisson number in flight, averaged over a stay of fixed length: two thirds of its variance remain")
def crowding_deviation(slope: Seconds, others: Count) -> Seconds:
    """Standard deviation of a request's mean step time that comes from how many others it meets.

    >>> round(crowding_deviation(1e-4, 24.0), 6)
    0.0004
    """
    return slope * sqrt(2 * others / 3)


@formula(reference="variances of independent causes add")
def joint_deviation(first: Seconds, second: Seconds) -> Seconds:
    """Standard deviation of a sum of two independent times.

    >>> joint_deviation(3.0, 4.0)
    5.0
    """
    return sqrt(first * first + second * second)


@formula(reference="a mean over many steps is close to normal (central limit theorem)")
def normal_quantile(mean: Seconds, deviation: Seconds, score: Count) -> Seconds:
    """The value at a standard score; never below half the mean.

    >>> normal_quantile(0.02, 0.001, 2.0)
    0.022
    """
    return maximum(mean + score * deviation, mean / 2)


@formula(
    reference="a uniform rest of a step, an exponential tail of the queue (M/D/1, heavy traffic), then a fixed service",
    validity="steady state; prompts alike in length",
)
def first_token_quantile(mean: Seconds, residual: Seconds, queue: Seconds, load: Fraction, share: Fraction) -> Seconds:
    """Time to first token that a share of the requests stays below.

    ``residual`` and ``queue`` are the means contained in ``mean``; ``load`` of the prompts' budget.

    >>> round(first_token_quantile(0.1, 0.01, 0.0, 0.0, 0.95), 4)
    0.109
    """
    tail = queue / maximum(load, 1e-6) * maximum(log(maximum(load, 1e-6) / (1 - share)), 0.0)
    return mean - residual - queue + 2 * residual * share + tail * minimum(load * 1e6, 1.0)


@formula(reference="finite difference")
def batch_slope(more: Seconds, fewer: Seconds, difference: Count) -> Seconds:
    """Growth of a step's time with each further sequence.

    >>> round(batch_slope(0.03, 0.02, 10.0), 4)
    0.001
    """
    return maximum(more - fewer, 0 * more) / difference
