"""Prompts that come before decoding, in steps of their own: how often they interrupt it, and for how long."""

from __future__ import annotations

from llmsizer.core.explain import formula
from llmsizer.core.numerics import exp, maximum, minimum
from llmsizer.core.quantities import Count, Fraction, PerSecond, Seconds


@formula(reference="definition: a step of n prompts takes a + b·n")
def turn_base_seconds(first: Seconds, each: Seconds) -> Seconds:
    """What a step of prompts alone takes whatever their number, from one with a single prompt.

    >>> turn_base_seconds(0.05, 0.02)
    0.03
    """
    return maximum(first - each, 0 * first)


@formula(
    reference="prompts before decoding, steps a + b·n: a run of such steps ends with one in which none comes, e^(−λ(a + b·n))"
)
def prompt_turns(rate: PerSecond, pure: Seconds, base: Seconds, each: Seconds, prompts: Count) -> Count:
    """Mean number of prompt steps between two decode steps, ``prompts`` in each.

    >>> round(prompt_turns(10.0, 0.02, 0.03, 0.02, 1.0), 4)
    0.2989
    """
    return (1 - exp(-rate * pure)) * exp(minimum(rate * (base + each * prompts), 20.0))


@formula(reference="conservation: n·K prompts come in the time d + K·(a + b·n) from one decode step to the next")
def prompts_of_turn(
    rate: PerSecond, pure: Seconds, base: Seconds, each: Seconds, turns: Count, prompts: Count, width: Count
) -> Count:
    """Mean number of prompts in a prompt step of an open loop, ``width`` at most, from a first guess.

    >>> round(prompts_of_turn(10.0, 0.02, 0.03, 0.02, 0.3, 1.0, 8.0), 3)
    1.167
    """
    return minimum(maximum(rate * (pure / turns + base + each * prompts), 1.0), maximum(width, 1.0))


@formula(reference="I = d + K·a + λ·I·b, where no prompts queue for a full step: I = d / (1 − λ·(a + b·w) / w)")
def interval_of_turns(rate: PerSecond, pure: Seconds, base: Seconds, each: Seconds, turns: Count, width: Count) -> Seconds:
    """Mean time from one decode step to the next with prompt steps between them, which take ``width`` prompts.

    >>> round(interval_of_turns(10.0, 0.02, 0.03, 0.02, 0.3, 8.0), 5)
    0.03625
    """
    full = minimum(rate * (base / maximum(width, 1.0) + each), 0.98)
    return maximum((pure + base * turns) / (1 - minimum(rate * each, 0.98)), pure / (1 - full))


@formula(reference="size-biased: prompt steps a + b·N for ρ of the time, N about Poisson of mean n, decode steps for the rest")
def met_of_turns(pure: Seconds, turn: Seconds, each: Seconds, prompts: Count, variation: Fraction, share: Fraction) -> Seconds:
    """Mean length of the step into which a request comes, where prompts have steps of their own.

    >>> round(met_of_turns(0.02, 0.05, 0.02, 1.0, 0.0, 0.5), 4)
    0.039
    """
    return (1 - share) * pure + share * (turn + each * each * prompts * (1 + variation * variation) / turn)


@formula(reference="prompts that come during a time Y before decoding: T(Y) = (a·K(Y) + b·λ·Y) / (1 − λ·b); T(own) − T(d)")
def trail_of_turns(rate: PerSecond, pure: Seconds, own: Seconds, base: Seconds, each: Seconds, turns: Count) -> Seconds:
    """Time that the prompts which came during a request's own step add before its first decode step, beyond those that
    come in a decode step (``turns`` steps of them).

    >>> round(trail_of_turns(10.0, 0.02, 0.06, 0.03, 0.02, 0.3), 5)
    0.02675
    """
    more = turns * ((1 - exp(-rate * own)) / maximum(1 - exp(-rate * pure), 1e-12) - 1)
    later = base * more + each * rate * (own - pure)
    return maximum(later, 0 * later) / (1 - minimum(rate * each, 0.98))
