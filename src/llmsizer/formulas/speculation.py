"""Speculative decoding: tokens that a verification step yields."""

from __future__ import annotations

from llmsizer.core.explain import formula
from llmsizer.core.numerics import maximum
from llmsizer.core.quantities import Count, Fraction, Tokens
from llmsizer.core.units import ONE_TOKEN


@formula(reference="Leviathan et al. 2023, equation 1: expected tokens of a step with independent acceptance")
def speculated_tokens(acceptance: Fraction, guessed: Count) -> Tokens:
    """Tokens that a verification step yields: (1 − α^(γ+1)) / (1 − α).

    >>> round(speculated_tokens(0.8, 3), 3)
    2.952
    """
    return (1 - acceptance ** (guessed + 1)) / maximum(1 - acceptance, 1e-12) * ONE_TOKEN


@formula(reference="expected tokens of a step: one, and each guess with the chance that it and all before it are accepted")
def profile_tokens(accepted: Count) -> Tokens:
    """Tokens of a verification step from the sum of a per-position acceptance profile.

    >>> profile_tokens(1.5)
    2.5
    """
    return (1 + accepted) * ONE_TOKEN
