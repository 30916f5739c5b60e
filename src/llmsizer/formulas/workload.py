"""Moments of request lengths: what a distribution of prompts and answers means for a running batch.

Lengths are whole tokens. ``input`` is the prompt, ``output`` the answer; the first output token comes
from the prompt's own step, each further one from a decode step.
"""

from __future__ import annotations

from typing import Annotated

from llmsizer.core.explain import formula
from llmsizer.core.numerics import exp, log1p, maximum, sqrt
from llmsizer.core.quantities import Count, Fraction, Number, Tokens, Unit
from llmsizer.core.units import ONE_TOKEN

TokensSquared = Annotated[Number, Unit("token^2")]


@formula(reference="mean of the whole numbers from low to high, each equally likely")
def uniform_mean(low: Tokens, high: Tokens) -> Tokens:
    """Mean of a uniform length.

    >>> uniform_mean(820.0, 1024.0)
    922.0
    """
    return (low + high) / 2


@formula(reference="second moment of the whole numbers from low to high, each equally likely")
def uniform_second_moment(low: Tokens, high: Tokens) -> TokensSquared:
    """Mean square of a uniform length.

    >>> uniform_second_moment(1.0, 3.0)
    4.666666666666667
    """
    width = high - low + ONE_TOKEN
    return (width * width - ONE_TOKEN * ONE_TOKEN) / 12 + (low + high) / 2 * (low + high) / 2


@formula(reference="lognormal distribution: the variance of the logarithm from the coefficient of variation")
def lognormal_sigma(variation: Fraction) -> Count:
    """Standard deviation of the logarithm of a length with this standard deviation / mean.

    >>> lognormal_sigma(1.0)
    0.8325546111576977
    """
    return sqrt(log1p(variation * variation))


@formula(reference="lognormal distribution: quantile = median · exp(sigma · z), median = mean · exp(−sigma²/2)")
def lognormal_quantile(mean: Tokens, sigma: Count, normal_quantile: Count) -> Tokens:
    """Length at a quantile of the standard normal distribution (0 is the median).

    >>> lognormal_quantile(1000.0, 0.8325546111576977, 0.0)
    707.1067811865476
    """
    return mean * exp(sigma * normal_quantile - sigma * sigma / 2)


@formula(reference="second moment = variance + mean², the variance from the coefficient of variation")
def second_moment(mean: Tokens, variation: Fraction) -> TokensSquared:
    """Mean square of a length with this standard deviation / mean.

    >>> second_moment(100.0, 0.5)
    12500.0
    """
    return mean * mean * (1 + variation * variation)


@formula(reference="definition of the covariation of prompts and answers: E[I·O] / (E[I]·E[O]) − 1")
def product_moment(input_mean: Tokens, output_mean: Tokens, covariation: Fraction) -> TokensSquared:
    """Mean of prompt × answer.

    >>> product_moment(1000.0, 200.0, 0.5)
    300000.0
    """
    return input_mean * output_mean * (1 + covariation)


@formula(reference="a prompt token is met in long prompts more often: E[I²] / (2·E[I]) − E[I] / 2")
def spread_context(mean: Tokens, variation: Fraction) -> Tokens:
    """Tokens that a prompt token attends to beyond those of prompts of the mean length, on average.

    >>> spread_context(1000.0, 0.5)
    125.0
    """
    return mean * variation * variation / 2


@formula(reference="a request has at least one decode step")
def decoding_answer(output_mean: Tokens) -> Tokens:
    """Length of an answer that decodes at all.

    >>> decoding_answer(1.0)
    2.0
    """
    return maximum(output_mean, 2 * ONE_TOKEN)


@formula(reference="law of total expectation: a class counts by its share of the requests")
def share_of_mean(share: Fraction, mean: Tokens) -> Tokens:
    """What one class adds to the mean of a mix.

    >>> share_of_mean(0.25, 1000.0)
    250.0
    """
    return share * mean


@formula(reference="law of total expectation: a class counts by its share of the requests")
def share_of_moment(share: Fraction, moment: TokensSquared) -> TokensSquared:
    """What one class adds to a second moment of a mix.

    >>> share_of_moment(0.25, 1000.0)
    250.0
    """
    return share * moment


@formula(
    reference="a sequence is in the batch once per output token, so long answers weigh more: E[O·I + O²/2] / E[O]",
    validity="continuous: within half a token and 1/E[O] of mean_decode_context",
)
def length_biased_context(product: TokensSquared, output_second_moment: TokensSquared, output_mean: Tokens) -> Tokens:
    """Mean context of a sequence met in the running batch, from E[I·O], E[O²] and E[O].

    >>> length_biased_context(1024.0 * 256, 256.0**2, 256.0)
    1152.0
    """
    return (product + output_second_moment / 2) / output_mean


@formula(reference="decode step j of 0 … O−2 reads I + j tokens: E[(O−1)·I + (O−1)(O−2)/2] / E[O−1]")
def mean_decode_context(
    input_mean: Tokens, product: TokensSquared, output_second_moment: TokensSquared, output_mean: Tokens
) -> Tokens:
    """Mean tokens in the cache of a decoding sequence, over all decode steps of all requests.

    >>> mean_decode_context(1024.0, 1024.0 * 256, 256.0**2, 256.0)
    1151.0
    """
    prompts = product - input_mean * ONE_TOKEN
    answers = (output_second_moment - 3 * output_mean * ONE_TOKEN + 2 * ONE_TOKEN * ONE_TOKEN) / 2
    return (prompts + answers) / maximum(output_mean - ONE_TOKEN, 1e-9 * ONE_TOKEN)


@formula(reference="turn k of a conversation is sent with all earlier prompts and answers before it")
def turn_input_mean(turn: Count, input_mean: Tokens, output_mean: Tokens) -> Tokens:
    """Mean prompt of a turn (the first is 1), history included.

    >>> turn_input_mean(3, 100.0, 50.0)
    400.0
    """
    return turn * input_mean + (turn - 1) * output_mean


@formula(reference="variance of a sum: k new prompts and k−1 answers, each independent of the other turns")
def turn_input_second_moment(
    turn: Count, mean: Tokens, input_variance: TokensSquared, output_variance: TokensSquared, covariance: TokensSquared
) -> TokensSquared:
    """Mean square of the prompt of a turn whose mean is ``mean``; covariance is of a turn's own prompt and answer.

    >>> turn_input_second_moment(1, 100.0, 25.0, 9.0, 0.0)
    10025.0
    """
    return mean * mean + turn * input_variance + (turn - 1) * (output_variance + 2 * covariance)
