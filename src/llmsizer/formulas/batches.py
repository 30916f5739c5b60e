"""Whole batches one after another: static and dynamic batching."""

from __future__ import annotations

from typing import Annotated

from llmsizer.core.explain import formula
from llmsizer.core.numerics import exp, maximum, minimum, sqrt, where
from llmsizer.core.quantities import Count, Fraction, Number, PerSecond, Seconds, Tokens, Unit
from llmsizer.core.units import ONE_TOKEN

SecondsSquared = Annotated[Number, Unit("second^2")]


@formula(reference="a batch is padded to its longest: the mean of the largest of n lengths")
def longest_tokens(mean: Tokens, ratio: Fraction) -> Tokens:
    """Length of the longest of some lengths, from its ratio to the mean.

    >>> longest_tokens(200.0, 1.5)
    300.0
    """
    return mean * ratio


@formula(reference="counting: a padded answer needs as many decode steps as the longest")
def padded_steps(answer: Tokens) -> Count:
    """Decode steps of a batch whose longest answer has so many tokens.

    >>> padded_steps(101.0)
    100.0
    """
    return maximum((answer - ONE_TOKEN) / ONE_TOKEN, 1e-9)


@formula(reference="decode step j reads the padded prompt and j tokens of the answer, j from 0")
def padded_context(prompt: Tokens, answer: Tokens) -> Tokens:
    """Mean cached tokens of a sequence in a padded batch.

    >>> padded_context(1000.0, 202.0)
    1100.0
    """
    return prompt + maximum(answer - 2 * ONE_TOKEN, 0 * ONE_TOKEN) / 2


@formula(reference="definition: all prompts first, then all answers to the end")
def batch_seconds(first: Seconds, decode: Seconds) -> Seconds:
    """Time from the start of a batch to its end.

    >>> batch_seconds(1.0, 7.0)
    8.0
    """
    return first + decode


@formula(reference="static batching: a batch of so many is done in each such time")
def batch_rate(batch: Count, time: Seconds) -> PerSecond:
    """Requests per second of batches run one after another.

    >>> batch_rate(16.0, 8.0)
    2.0
    """
    return batch / time


@formula(reference="users beyond a batch: they wait for the one before theirs; two batches take turns below twice a batch")
def batch_of_users(users: Count, most: Count) -> Count:
    """Requests of a batch when so many are in flight and a batch takes ``most``.

    >>> batch_of_users(20.0, 16.0)
    10.0
    """
    return where(users <= most, users, minimum(most, users / 2))


@formula(reference="Little's law over the requests that are in no batch")
def turn_seconds(users: Count, rate: PerSecond, served: Seconds) -> Seconds:
    """Mean wait for a batch in a closed loop.

    >>> turn_seconds(20.0, 2.0, 8.0)
    2.0
    """
    return maximum(users / rate - served, 0 * served)


@formula(
    reference="batches start when the engine is free, or its window after the first request: E[max(S − X, w)], X ~ Exp(λ)",
    validity="batches that are not full",
)
def gathering_seconds(rate: PerSecond, service: Seconds, window: Seconds) -> Seconds:
    """Mean time from the first request of a batch to the batch's start.

    >>> round(gathering_seconds(1.0, 2.0, 0.0), 4)
    1.1353
    """
    over = maximum(service - window, 0 * service)
    return window + over - (1 - exp(-rate * over)) / rate


@formula(reference="counting: the first request of a batch and those that come until it starts")
def gathered(rate: PerSecond, gathering: Seconds) -> Count:
    """Mean size of a batch.

    >>> gathered(2.0, 1.5)
    4.0
    """
    return 1 + rate * gathering


@formula(reference="definition: variance over mean of the requests that join the first of a batch")
def batch_variance(batch: Count, dispersion: Fraction) -> Count:
    """Variance of the size of batches.

    >>> batch_variance(4.0, 1.5)
    4.5
    """
    return maximum(batch - 1, 0 * batch) * dispersion


@formula(reference="a request is in a large batch more often: E[n²] / E[n]")
def own_batch(batch: Count, variance: Count, most: Count) -> Count:
    """Mean size of the batch that a request is in, which takes ``most``.

    >>> own_batch(4.0, 4.0, 64.0)
    5.0
    """
    return minimum(batch + variance / batch, most)


@formula(
    reference="requests that come in a time G: variance λ·E[G] + λ²·Var[G]; of Var[G] a part b²·v comes from the sizes' own v",
    validity="Var[G] was taken with sizes of Poisson variance",
)
def batch_dispersion(rate: PerSecond, gathering: Seconds, square: SecondsSquared, growth: Seconds) -> Fraction:
    """Variance of the requests that come while a batch gathers, over their mean; ``square``: mean of G².

    >>> round(batch_dispersion(1.0, 2.0, 4.5, 0.5), 3)
    1.333
    """
    fed = minimum(rate * growth, 0.95) ** 2
    poisson = 1 + rate * maximum(square - gathering * gathering, 0 * square) / maximum(gathering, 1e-12 / rate)
    return maximum((poisson - fed) / (1 - fed), 1.0)


@formula(reference="two points with the mean, variance and third moment of a negative binomial M = n − 1: the lower")
def smaller_batch(batch: Count, dispersion: Fraction) -> Count:
    """The smaller of the two sizes that stand for all sizes of batches.

    >>> smaller_batch(3.0, 1.0)
    2.0
    """
    middle = dispersion - 0.5
    others = maximum(batch - 1, 0 * batch)
    return 1 + maximum(others + middle - sqrt(others * dispersion + middle * middle), 0 * batch)


@formula(reference="two points with the mean, variance and third moment of a negative binomial M = n − 1: the upper")
def larger_batch(batch: Count, dispersion: Fraction, most: Count) -> Count:
    """The larger of the two sizes that stand for all sizes of batches, which take ``most``.

    >>> larger_batch(3.0, 1.0, 64.0)
    5.0
    """
    middle = dispersion - 0.5
    others = maximum(batch - 1, 0 * batch)
    return minimum(1 + others + middle + sqrt(others * dispersion + middle * middle), most)


@formula(reference="conservation of the mean")
def share_of_larger(batch: Count, smaller: Count, larger: Count) -> Fraction:
    """Share of the batches that the larger of two sizes stands for.

    >>> round(share_of_larger(3.0, 2.0, 5.0), 4)
    0.3333
    """
    return minimum(maximum(batch - smaller, 0 * batch) / maximum(larger - smaller, 1e-9), 1.0)


@formula(reference="a request is in a large batch more often: in proportion to its size")
def share_in_larger(share: Fraction, smaller: Count, larger: Count) -> Fraction:
    """Share of the requests that are in batches of the larger of two sizes.

    >>> share_in_larger(0.5, 1.0, 3.0)
    0.75
    """
    return share * larger / (share * larger + (1 - share) * smaller)


@formula(reference="definition")
def mean_over_sizes(smaller: Seconds, larger: Seconds, share: Fraction) -> Seconds:
    """Mean of a time over batches of two sizes, ``share`` of them the larger.

    >>> mean_over_sizes(1.0, 2.0, 0.25)
    1.25
    """
    return (1 - share) * smaller + share * larger


@formula(reference="definition")
def mean_square_over_sizes(smaller: SecondsSquared, larger: SecondsSquared, share: Fraction) -> SecondsSquared:
    """Mean of a squared time over batches of two sizes, ``share`` of them the larger.

    >>> mean_square_over_sizes(1.0, 4.0, 0.5)
    2.5
    """
    return (1 - share) * smaller + share * larger


@formula(reference="E[max(S − X, w)²], X ~ Exp(λ), for a service S of some deviation", validity="batches that are not full")
def gathering_square(
    rate: PerSecond, service: Seconds, window: Seconds, gathering: Seconds, deviation: Seconds
) -> SecondsSquared:
    """Mean square of the time from the first request of a batch to the batch's start.

    >>> round(gathering_square(1.0, 2.0, 0.0, 1.1353, 0.0), 3)
    1.729
    """
    over = maximum(service - window, 0 * service)
    beyond, later = gathering - window, 1 - exp(-rate * over)
    whole = over * over - 2 * over / rate + 2 * later / rate / rate
    return window * window + 2 * window * beyond + whole + deviation * deviation * later


@formula(
    reference="the first of a batch waits for all of its gathering G, the others for half of it: E[G + λ·G²/2] / E[n]",
    validity="batches that are not full",
)
def batch_wait_seconds(rate: PerSecond, gathering: Seconds, square: SecondsSquared) -> Seconds:
    """Mean wait of a request for its batch to start; ``square``: mean of G².

    >>> round(batch_wait_seconds(1.0, 1.1353, 1.7293), 3)
    0.937
    """
    return (gathering + rate * square / 2) / (1 + rate * gathering)


@formula(reference="full batches take no more requests than they serve")
def longest_wait(met: Seconds, queued: Seconds) -> Seconds:
    """Wait for a batch: for the one under way, or in a queue for full batches.

    >>> longest_wait(1.0, 0.0)
    1.0
    """
    return maximum(met, queued)


@formula(reference="one request at a time: its queue (M/G/1) is all of its wait, nobody waits to go along")
def wait_in_company(wait: Seconds, most: Count) -> Seconds:
    """Wait for a batch to start, which takes ``most`` requests.

    >>> wait_in_company(0.5, 1.0), wait_in_company(0.5, 8.0)
    (0.0, 0.5)
    """
    return where(most > 1.0, wait, 0 * wait)


@formula(reference="M/G/1, services of a gamma law: E[W²] = 2·W² + λ·E[S³] / (3·(1 − ρ)) (Takács 1962)")
def single_queue_deviation(wait: Seconds, service: Seconds, variation: Fraction) -> Seconds:
    """Standard deviation of the wait for the one place of an engine.

    >>> round(single_queue_deviation(1.0, 2.0, 0.0), 4)
    1.5275
    """
    return sqrt(wait * (wait + 2 * service * (1 + 2 * variation * variation) / 3))


@formula(reference="batches one after another: those that start, times how long each lasts")
def busy_with_batches(rate: PerSecond, batch: Count, service: Seconds) -> Fraction:
    """Chance that a request finds a batch running.

    >>> busy_with_batches(2.0, 4.0, 1.0)
    0.5
    """
    return minimum(rate * service / batch, 1.0)


@formula(reference="variances add: of a request's prompt and of its answer, over the whole")
def service_variation(prompts: Seconds, answers: Seconds, whole: Seconds) -> Fraction:
    """Standard deviation of the time of a batch over its mean.

    >>> service_variation(3.0, 4.0, 10.0)
    0.5
    """
    return sqrt(prompts * prompts + answers * answers) / whole


@formula(reference="who waits does so for an even part of a service: E[W²] / E[W] = 2/3 · E[S³] / E[S²]")
def batch_wait_deviation(wait: Seconds, service: Seconds, deviation: Seconds) -> Seconds:
    """Standard deviation of the wait for a batch to start.

    >>> round(batch_wait_deviation(1.0, 2.0, 0.0), 4)
    0.5774
    """
    longer = service + 2 * deviation * deviation / service
    return sqrt(maximum(wait * (2 * longer / 3 - wait), 0 * wait * wait))


@formula(reference="definition: requests that come over those that full batches serve")
def batch_load(rate: PerSecond, time: Seconds, batch: Count) -> Fraction:
    """Load of an engine whose full batch takes so long.

    >>> batch_load(1.0, 8.0, 16.0)
    0.5
    """
    return rate * time / batch


@formula(reference="a decode step for each token by which the longest answer varies")
def longest_deviation(steps: Count, step: Seconds, variation: Fraction) -> Seconds:
    """Standard deviation of a batch's time that comes from its longest answer, ``variation`` of it over the mean.

    >>> round(longest_deviation(200.0, 0.01, 0.5), 6)
    1.0
    """
    return steps * step * variation


@formula(reference="the prompts of a batch take as long as its longest: its deviation over its mean")
def first_deviation(first: Seconds, deviation: Fraction, longest: Fraction) -> Seconds:
    """Standard deviation of the time of a batch's prompts; ``deviation`` and mean of the longest, over the mean prompt.

    >>> first_deviation(0.3, 0.5, 1.5)
    0.1
    """
    return first * deviation / longest


@formula(reference="variance of two values with shares p and 1 − p: p·(1 − p)·d²")
def two_point_deviation(smaller: Seconds, larger: Seconds, share: Fraction) -> Seconds:
    """Standard deviation of a time that takes two values, the larger in a share of the cases.

    >>> two_point_deviation(1.0, 3.0, 0.5)
    1.0
    """
    return (larger - smaller) * sqrt(share * (1 - share))


@formula(reference="finite difference over the size of a batch")
def batch_growth(larger: Seconds, smaller: Seconds, difference: Count) -> Seconds:
    """Seconds that each further request adds to a batch.

    >>> batch_growth(9.0, 8.0, 4.0)
    0.25
    """
    return maximum(larger - smaller, 0 * larger) / maximum(difference, 1e-9)


@formula(reference="a request of a batch ends with it: its decode time over its own steps, E[longest / own] over requests")
def padded_step_seconds(step: Seconds, padding: Fraction) -> Seconds:
    """Mean time per decode step of a request's own, in a batch padded to its longest answer.

    >>> round(padded_step_seconds(0.02, 1.5), 3)
    0.03
    """
    return step * padding


@formula(reference="one request in n is the longest of its batch: its time per token does not vary with its batch's length")
def deviation_beside(deviation: Seconds, batch: Count) -> Seconds:
    """Standard deviation of a padded batch's time that shows in a request's time per token.

    >>> deviation_beside(2.0, 4.0), deviation_beside(2.0, 1.0)
    (1.5, 0.0)
    """
    return deviation * (1 - 1 / batch)


@formula(reference="one request in n is the longest of its batch; the others' time goes by their own answers")
def padded_step_at(step: Seconds, decode: Seconds, own: Count, batch: Count) -> Seconds:
    """Time per decode step of a request with so many steps of its own in a padded batch.

    >>> round(padded_step_at(0.02, 8.0, 200.0, 4.0), 3)
    0.035
    """
    return step / batch + (1 - 1 / batch) * decode / maximum(own, 1.0)
