"""Disaggregated serving: a pool of replicas that read prompts hands their caches to a pool that decodes."""

from __future__ import annotations

from llmsizer.core.explain import formula
from llmsizer.core.numerics import maximum, sqrt
from llmsizer.core.quantities import Count, Fraction, PerSecond, Seconds


@formula(reference="a pool shares its requests evenly")
def rate_of_replica(rate: PerSecond, replicas: Count) -> PerSecond:
    """Requests per second that come to one replica of a pool.

    >>> rate_of_replica(10.0, 4)
    2.5
    """
    return rate / replicas


@formula(reference="prompts one step after another, as many in each as its budget takes")
def prompt_rate(width: Count, step: Seconds) -> PerSecond:
    """Prompts per second that one replica reads at most.

    >>> prompt_rate(8.0, 0.4)
    20.0
    """
    return width / step


@formula(reference="Little's law of a full batch")
def answer_rate(batch: Count, decode: Seconds) -> PerSecond:
    """Answers per second that one replica decodes at most.

    >>> answer_rate(64.0, 8.0)
    8.0
    """
    return batch / decode


@formula(reference="definition: both pools are full at the same rate")
def balanced_ratio(prompts: PerSecond, answers: PerSecond) -> Fraction:
    """Prefill replicas for each decode replica.

    >>> balanced_ratio(20.0, 8.0)
    0.4
    """
    return answers / prompts


@formula(reference="definition: requests that come over those that the pool bears")
def pool_load(rate: PerSecond, most: PerSecond, replicas: Count) -> Fraction:
    """Utilisation of a pool.

    >>> pool_load(10.0, 5.0, 4)
    0.5
    """
    return rate / (most * replicas)


@formula(reference="the front end, the wait for a step, the prompts' step, the cache's way to the other pool")
def handed_first_token_seconds(front_end: Seconds, wait: Seconds, step: Seconds, transfer: Seconds) -> Seconds:
    """Time to first token where the decode pool sends it.

    >>> round(handed_first_token_seconds(0.03, 0.01, 0.1, 0.02), 3)
    0.16
    """
    return front_end + wait + step + transfer


@formula(reference="Sakasegawa 1977: the wait at one of c replicas, requests going to the least loaded")
def pool_wait_seconds(wait: Seconds, load: Fraction, replicas: Count) -> Seconds:
    """Wait in a pool, from the wait at one replica that had its share of the requests to itself.

    >>> round(pool_wait_seconds(0.1, 0.5, 1), 3)
    0.1
    """
    return wait * load ** (sqrt(2 * (replicas + 1)) - 2) / replicas


@formula(reference="counting: K + 1 sequences spread evenly over the replicas of a pool, each to the least loaded")
def balanced_others(others: Count, replicas: Count) -> Count:
    """Others beside a sequence in its replica, from the mean number in each.

    >>> balanced_others(2.0, 1), balanced_others(2.0, 4), balanced_others(0.5, 4)
    (2.0, 1.25, 0.0)
    """
    return maximum((others * replicas + 1 - replicas) / replicas, 0 * others)


@formula(reference="Little's law over all requests in flight: where a pool is full they wait for it")
def crowded_first_token_seconds(unhindered: Seconds, concurrency: Count, rate: PerSecond, decode: Seconds) -> Seconds:
    """Time to first token of a closed loop that may fill the prefill pool.

    >>> crowded_first_token_seconds(0.5, 64.0, 10.0, 2.0)
    4.4
    """
    return maximum(unhindered, concurrency / rate - decode)


@formula(reference="a cache that arrives while a step runs waits for its end, then decodes")
def handed_decode_seconds(steps: Count, step: Seconds, rest: Seconds) -> Seconds:
    """Time from the first token of an answer to its last, in the decode pool.

    >>> handed_decode_seconds(100.0, 0.02, 0.01)
    2.01
    """
    return steps * step + rest
