"""Whole batches one after another: static and dynamic batching."""

from __future__ import annotations

from llmsizer.core.explain import formula
from llmsizer.core.numerics import exp, maximum, minimum, sqrt, where
from llmsizer.core.quantities import Count, Fraction, PerSecond, Seconds, Tokens
from llmsizer.core.units import ONE_TOKEN


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


@formula(reference="Poisson arrivals during the service before, whose length varies with its own batch: v = n + (λ·b)²·v")
def batch_variance(batch: Count, rate: PerSecond, growth: Seconds) -> Count:
    """Variance of the size of batches; ``growth``: seconds that each request adds to a batch.

    >>> round(batch_variance(4.0, 1.0, 0.5), 3)
    4.0
    """
    return maximum(batch - 1, 0 * batch) / (1 - minimum(rate * growth, 0.95) ** 2)


@formula(reference="a request is in a large batch more often: E[n²] / E[n]")
def own_batch(batch: Count, variance: Count, most: Count) -> Count:
    """Mean size of the batch that a request is in, which takes ``most``.

    >>> own_batch(4.0, 4.0, 64.0)
    5.0
    """
    return minimum(batch + variance / batch, most)


@formula(
    reference="the first of a batch waits for all of its gathering G, the others for half of it: E[G + λ·G²/2] / E[n]",
    validity="batches that are not full",
)
def batch_wait_seconds(rate: PerSecond, service: Seconds, window: Seconds, gathering: Seconds, deviation: Seconds) -> Seconds:
    """Mean wait of a request for its batch to start; ``deviation`` of the service before it.

    >>> round(batch_wait_seconds(1.0, 2.0, 0.0, 1.1353, 0.0), 3)
    0.937
    """
    over = maximum(service - window, 0 * service)
    beyond, later = gathering - window, 1 - exp(-rate * over)
    square = window * window + 2 * window * beyond + over * over - 2 * over / rate + 2 * later / rate / rate
    return (gathering + rate * (square + deviation * deviation * later) / 2) / (1 + rate * gathering)


@formula(reference="one request at a time: its queue (M/G/1) is all of its wait, nobody waits to go along")
def wait_in_company(wait: Seconds, most: Count) -> Seconds:
    """Wait for a batch to start, which takes ``most`` requests.

    >>> wait_in_company(0.5, 1.0), wait_in_company(0.5, 8.0)
    (0.0, 0.5)
    """
    return where(most > 1.0, wait, 0 * wait)


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


@formula(reference="variance of a time that grows with a number")
def size_deviation(growth: Seconds, variance: Count) -> Seconds:
    """Standard deviation of the time of a batch whose size varies.

    >>> size_deviation(0.1, 4.0)
    0.2
    """
    return growth * sqrt(variance)


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


@formula(reference="one request in n is the longest of its batch; the others' time goes by their own answers")
def padded_step_at(step: Seconds, decode: Seconds, own: Count, batch: Count) -> Seconds:
    """Time per decode step of a request with so many steps of its own in a padded batch.

    >>> round(padded_step_at(0.02, 8.0, 200.0, 4.0), 3)
    0.035
    """
    return step / batch + (1 - 1 / batch) * decode / maximum(own, 1.0)
