"""How much of the prompts a prefix cache holds, when it forgets what was used least recently."""

from __future__ import annotations

from llmsizer.core.explain import formula
from llmsizer.core.numerics import exp
from llmsizer.core.quantities import Count, Fraction


@formula(
    reference="Che, Tung and Wang 2002: independent requests, Poisson; what was asked for within the cache's window is held",
    validity="least recently used goes first",
)
def chance_of_hit(popularity: Fraction, window: Count) -> Fraction:
    """Chance that a prefix is cached; ``popularity``: share of all requests that have it, ``window`` in requests.

    >>> round(chance_of_hit(0.01, 100.0), 4)
    0.6321
    """
    return 1 - exp(-popularity * window)


@formula(reference="Che, Tung and Wang 2002: prefixes held, what requests of a window left behind, and what runs")
def window_blocks(shared: Count, left: Count, requests: Count, running: Count, held: Count) -> Count:
    """Blocks that the requests of a window need: ``left`` by each, ``held`` by each of those running, beside the prefixes.

    >>> window_blocks(100.0, 2.0, 50.0, 8.0, 3.0)
    224.0
    """
    return shared + left * requests + running * held
