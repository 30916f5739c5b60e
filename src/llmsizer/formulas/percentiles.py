"""Percentiles of latencies in the steady state."""

from __future__ import annotations

from llmsizer.core.explain import formula
from llmsizer.core.numerics import exp, log, log1p, maximum, minimum, sqrt, where
from llmsizer.core.quantities import Count, Fraction, Seconds, Tokens
from llmsizer.core.units import ONE_TOKEN


@formula(reference="Poisson number in flight, averaged over a stay of fixed length: two thirds of its variance remain")
def crowding_deviation(slope: Seconds, others: Count) -> Seconds:
    """Standard deviation of a request's mean step time that comes from how many others it meets.

    >>> round(crowding_deviation(1e-4, 24.0), 6)
    0.0004
    """
    return slope * sqrt(2 * others / 3)


@formula(reference="definition: a time less what is the same for all requests")
def varying_part(time: Seconds, fixed: Seconds) -> Seconds:
    """The part of a time that varies between requests.

    >>> varying_part(0.5, 0.25)
    0.25
    """
    return maximum(time - fixed, 0 * time)


@formula(reference="variances of independent causes add")
def joint_deviation(first: Seconds, second: Seconds) -> Seconds:
    """Standard deviation of a sum of two independent times.

    >>> joint_deviation(3.0, 4.0)
    5.0
    """
    return sqrt(first * first + second * second)


@formula(reference="the inverse of share_below: its cubic a·z + b·z³ = ln(p / (1 − p)) solved by Cardano (one real root)")
def normal_score(share: Fraction) -> Count:
    """Standard score below which a share of a normal distribution lies.

    >>> round(normal_score(0.95), 3), round(normal_score(0.5), 3)
    (1.645, 0.0)
    """
    odds = minimum(maximum(share, 1e-9), 1 - 1e-9)
    third = 7.5473
    ratio = log(odds / (1 - odds)) / (2 * 0.07056 * third**1.5)
    angle = log(maximum(ratio, -ratio) + sqrt(ratio * ratio + 1)) / 3
    score = sqrt(third) * (exp(angle) - exp(-angle))
    return where(ratio < 0, -score, score)


@formula(reference="conditional probability: who waits at all is among the slowest share p")
def share_of_waiting(share: Fraction, chance: Fraction) -> Fraction:
    """Of those who wait, which is a ``chance``, the share that is within a share of all requests.

    >>> round(share_of_waiting(0.95, 0.2), 3), share_of_waiting(0.5, 0.2)
    (0.75, 0.0)
    """
    return maximum((share - 1 + chance) / maximum(chance, 1e-9), 0.0)


@formula(reference="gamma law of the same mean and deviation (Wilson and Hilferty 1931) for those who wait, else none")
def waited_quantile(wait: Seconds, deviation: Seconds, chance: Fraction, score: Count) -> Seconds:
    """The wait at a standard score of those who wait at all; mean and deviation are of all requests.

    >>> waited_quantile(0.05, 0.2, 0.2, -6.0), round(waited_quantile(0.5, 0.2887, 1.0, 0.0), 3)
    (0.0, 0.446)
    """
    mean = wait / maximum(chance, 1e-9)
    square = (deviation * deviation + wait * wait) / maximum(chance, 1e-9)
    varied = maximum(square / (mean * mean) - 1, 0.0) / 9
    return mean * maximum(1 - varied + score * sqrt(varied), 0.0) ** 3


@formula(reference="variances of independent parts add, at the quantile's own side of the mean")
def joint_quantile(mean: Seconds, first: Seconds, usual: Seconds, second: Seconds, other: Seconds) -> Seconds:
    """A quantile of a sum of two independent times, whose own quantiles are ``first`` and ``second``, their means
    ``usual`` and ``other``.

    >>> joint_quantile(2.0, 1.3, 1.0, 1.4, 1.0), joint_quantile(2.0, 0.9, 1.0, 1.0, 1.0)
    (2.5, 1.9)
    """
    one, two = first - usual, second - other
    both = maximum(one + two, -one - two)
    return mean + sqrt(one * one + two * two) * (one + two) / maximum(both, 1e-12 * mean)


@formula(reference="definition: so many standard deviations")
def scored_seconds(deviation: Seconds, score: Count) -> Seconds:
    """What a normal time is more than its mean at a standard score.

    >>> scored_seconds(0.1, 2.0)
    0.2
    """
    return deviation * score


@formula(reference="variances of independent causes add: what is left of the whole")
def remaining_deviation(whole: Seconds, part: Seconds) -> Seconds:
    """Standard deviation of a sum without one of its independent parts.

    >>> remaining_deviation(5.0, 3.0)
    4.0
    """
    return sqrt(maximum(whole * whole - part * part, 0 * whole * whole))


@formula(
    reference="gamma law of the same mean and deviation (Wilson and Hilferty 1931): (1 − d + z·√d)³, d = 1/(9·shape)",
    validity="the part of a time that varies is at least twice its deviation",
)
def skewed_quantile(mean: Seconds, part: Seconds, deviation: Seconds, score: Count) -> Seconds:
    """The value of a time at a standard score, of which ``part`` varies: waits are skewed to the right.

    >>> round(skewed_quantile(0.3, 0.2, 0.05, 1.6449), 4)
    0.3887
    """
    varying = maximum(part, 2 * deviation) + 1e-12 * mean
    share = deviation / (3 * varying)
    return mean - varying + varying * (1 - share * share + score * share) ** 3


@formula(reference="answers of unlike length: the law's own quantile beside the spread at one length, variances added")
def answer_quantile(mean: Seconds, alike: Seconds, token: Seconds, longer: Tokens) -> Seconds:
    """End-to-end time at a share of the requests, of which answers of the mean length take ``alike``.

    >>> round(answer_quantile(2.0, 2.4, 0.001, 300.0), 3)
    2.5
    """
    rest, answers = alike - mean, token * longer / ONE_TOKEN
    both = maximum(rest + answers, -rest - answers)
    return mean + sqrt(rest * rest + answers * answers) * (rest + answers) / maximum(both, 1e-12 * mean)


@formula(reference="a quotient of two lognormal numbers: variances of the logarithms add")
def ratio_quantile(found: Seconds, middle: Seconds, deviation: Seconds, whole: Seconds, score: Count) -> Seconds:
    """A time per token at a standard score, that is ``found`` there (``middle`` in the median) for a whole time that does
    not vary, and whose whole has a deviation.

    >>> round(ratio_quantile(0.04, 0.02, 1.0, 2.0, 1.6449), 4)
    0.0567
    """
    varied = deviation / maximum(whole, 1e-12 * middle)
    own, others = log(found / middle), score * sqrt(log1p(varied * varied))
    both = maximum(own + others, -own - others)
    return middle * exp(minimum(sqrt(own * own + others * others) * (own + others) / maximum(both, 1e-12), 50.0))


@formula(reference="finite difference")
def batch_slope(more: Seconds, fewer: Seconds, difference: Count) -> Seconds:
    """Growth of a step's time with each further sequence.

    >>> round(batch_slope(0.03, 0.02, 10.0), 4)
    0.001
    """
    return maximum(more - fewer, 0 * more) / difference


@formula(reference="an answer's length beyond the mean at a share of the requests")
def tokens_beyond(mean: Tokens, ratio: Fraction) -> Tokens:
    """Tokens by which a quantile of a length exceeds its mean.

    >>> tokens_beyond(200.0, 1.5)
    100.0
    """
    return mean * (ratio - 1)
