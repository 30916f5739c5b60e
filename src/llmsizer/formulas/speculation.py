"""Speculative decoding: tokens that a verification step yields."""

from __future__ import annotations

from llmsizer.core.explain import Constant, formula
from llmsizer.core.numerics import minimum
from llmsizer.core.quantities import Count, Fraction, Seconds, Tokens
from llmsizer.core.units import ONE_TOKEN

# The quotient has no value at 1, and its limit is met far below the digits that count.
ALMOST_SURE = Constant(1 - 1e-8, "1", "a chance that stands in for certainty")


@formula(reference="Leviathan et al. 2023, equation 1: expected tokens of a step with independent acceptance")
def speculated_tokens(acceptance: Fraction, guessed: Count) -> Tokens:
    """Tokens that a verification step yields: (1 − α^(γ+1)) / (1 − α); γ + 1 where every guess stands.

    >>> round(speculated_tokens(0.8, 3), 3)
    2.952
    """
    return (1 - minimum(acceptance, ALMOST_SURE) ** (guessed + 1)) / (1 - minimum(acceptance, ALMOST_SURE)) * ONE_TOKEN


@formula(reference="expected tokens of a step: one, and each guess with the chance that it and all before it are accepted")
def profile_tokens(accepted: Count) -> Tokens:
    """Tokens of a verification step from the sum of a per-position acceptance profile.

    >>> profile_tokens(1.5)
    2.5
    """
    return (1 + accepted) * ONE_TOKEN


@formula(reference="engines report the share of guesses accepted, (E − 1)/γ; solved for the tokens of a step")
def tokens_of_reported_rate(reported: Fraction, guessed: Count) -> Tokens:
    """Tokens of a verification step from an engine's reported acceptance rate.

    >>> tokens_of_reported_rate(0.5, 4)
    3.0
    """
    return (1 + reported * guessed) * ONE_TOKEN


@formula(reference="counting: the guesses of a tree over the places of its longest branch")
def branching_tokens(guesses: Count, places: Count) -> Tokens:
    """Tokens of a sequence that one drafting pass computes where guesses branch.

    >>> branching_tokens(21.0, 3.0)
    7.0
    """
    return guesses / places * ONE_TOKEN


@formula(reference="definition: time per token without guesses over time per token with them")
def speculation_gain(without: Seconds, step: Seconds, tokens: Tokens) -> Fraction:
    """How many times faster tokens come with speculation at the same batch; below 1 it does not pay.

    >>> round(speculation_gain(0.02, 0.03, 2.4), 2)
    1.6
    """
    return without * tokens / (step * ONE_TOKEN)
