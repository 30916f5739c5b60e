"""Speculative decoding: how many steps an answer takes when a step may yield several tokens."""

from __future__ import annotations

from collections.abc import Sequence

# Draws for a request are made by this many at a time.
MARGIN = 16


class StepCounter:
    """Draws the steps of answers, seeded; without speculation a step a token."""

    def __init__(self, yields: Sequence[float], seed: int = 0) -> None:
        self.plain = len(yields) == 1
        if not self.plain:
            import numpy as np

            self._numpy = np
            self._limits = np.cumsum(yields)
            self._mean = float(np.dot(np.arange(1, len(yields) + 1), yields))
            self._rng = np.random.default_rng(seed)

    def steps(self, tokens: int) -> int:
        """Steps that yield so many tokens, at least; one at least."""
        if self.plain or tokens <= 1:
            return tokens
        count, got = 0, 0
        while got < tokens:
            size = int((tokens - got) / self._mean) + MARGIN
            drawn = self._numpy.searchsorted(self._limits, self._rng.random(size), side="right") + 1
            total = self._numpy.cumsum(self._numpy.minimum(drawn, len(self._limits)))
            needed = int(self._numpy.searchsorted(total, tokens - got)) + 1
            if needed <= size:
                return count + needed
            count, got = count + size, got + int(total[-1])
        return count
