"""Requests that meet their targets."""

from __future__ import annotations

from llmsizer.core.explain import formula
from llmsizer.core.numerics import exp, log, log1p, maximum, minimum, sqrt
from llmsizer.core.quantities import Count, Fraction, PerSecond, Seconds, Tokens
from llmsizer.core.units import ONE_TOKEN


@formula(reference="normal distribution function, Bowling and others 2009: within 1.4e-4")
def share_below(score: Count) -> Fraction:
    """Share of a normal distribution below a standard score.

    >>> round(share_below(1.6449), 3)
    0.95
    """
    bounded = minimum(maximum(score, -8.0), 8.0)
    return 1 / (1 + exp(-bounded * (1.5976 + 0.07056 * bounded * bounded)))


@formula(reference="gamma law (Wilson and Hilferty 1931), the inverse of skewed_quantile: z = ((x / m)^(1/3) − 1 + d) / √d")
def skewed_score(limit: Seconds, mean: Seconds, part: Seconds, deviation: Seconds) -> Count:
    """Standard score of a limit to a time, of which ``part`` varies.

    >>> round(skewed_score(0.3887, 0.3, 0.2, 0.05), 3)
    1.645
    """
    varying = maximum(part, 2 * deviation) + 1e-12 * mean
    share = maximum(deviation / (3 * varying), 1e-9)
    ratio = maximum((limit - mean + varying) / varying, 0.0)
    return minimum(maximum((ratio ** (1 / 3) - 1 + share * share) / share, -8.0), 8.0)


@formula(reference="lognormal law of the same mean and deviation")
def lognormal_score(limit: Seconds, mean: Seconds, deviation: Seconds) -> Count:
    """Standard score of a limit to a time.

    >>> round(lognormal_score(1.0, 1.0, 0.5), 3)
    0.236
    """
    varied = log1p((deviation / mean) ** 2)
    distance = log(maximum(limit / mean, 1e-9)) + varied / 2
    return minimum(maximum(distance / maximum(sqrt(varied), 1e-9), -8.0), 8.0)


@formula(reference="a prompt of another length takes longer by its further tokens")
def time_of_class(mean: Seconds, each: Seconds, own: Tokens, usual: Tokens) -> Seconds:
    """Mean time of the requests of a class, whose prompts differ from the usual; ``each`` usual prompt takes so long.

    >>> round(time_of_class(0.2, 0.1, 1500.0, 1000.0), 3)
    0.25
    """
    return mean + each * (own - usual) / usual


@formula(reference="variances add: the usual requests' own prompts replaced by those of a class")
def deviation_of_class(deviation: Seconds, each: Seconds, own: Fraction, usual: Fraction) -> Seconds:
    """Standard deviation of a time in a class; ``own`` and ``usual`` deviations of the prompt over its usual mean.

    >>> round(deviation_of_class(0.05, 0.1, 0.0, 0.4), 3)
    0.03
    """
    rest = maximum(deviation * deviation - each * each * usual * usual, 0 * deviation * deviation)
    return sqrt(rest + each * each * own * own)


@formula(reference="a request of a class has an answer of its own length, which takes its own steps")
def time_of_answer(mean: Seconds, step: Seconds, own: Tokens, usual: Tokens) -> Seconds:
    """Mean end-to-end time of the requests with an answer of some length.

    >>> round(time_of_answer(2.0, 0.01, 150.0, 100.0), 3)
    2.5
    """
    return maximum(mean + step * (own - usual) / ONE_TOKEN, 0 * mean)


@formula(reference="times to first token and per token miss their targets independently; the end-to-end time is made of both")
def share_of_good(first: Fraction, token: Fraction, whole: Fraction) -> Fraction:
    """Share of the requests that meet all targets, from the share that meets each.

    >>> share_of_good(0.9, 0.5, 0.8)
    0.45
    """
    return minimum(first * token, whole)


@formula(reference="definition")
def good_rate(rate: PerSecond, share: Fraction) -> PerSecond:
    """Requests per second that meet their targets.

    >>> good_rate(10.0, 0.9)
    9.0
    """
    return rate * share
