"""How long prompts and answers are: fixed, uniform, lognormal, or as observed.

Every distribution is over whole tokens and knows its ``support``: the lengths it takes with their
probabilities. Sampling, percentiles and (where no closed form holds) moments come from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol

from llmsizer.core.errors import InvalidQuestion
from llmsizer.core.quantities import Tokens
from llmsizer.formulas.workload import (
    TokensSquared,
    lognormal_quantile,
    lognormal_sigma,
    uniform_mean,
    uniform_second_moment,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Support = tuple[NDArray[np.float64], NDArray[np.float64]]

# Beyond this many tokens nothing is a length: a guard against slips such as characters for tokens.
LONGEST = 100_000_000
# A lognormal length without a maximum is cut where this share of the requests is longer.
CUT_TAIL = 1e-7
_GRID = 4096


class Lengths(Protocol):
    """A distribution of lengths in tokens."""

    def mean(self) -> Tokens:
        """Mean length."""
        ...

    def second_moment(self) -> TokensSquared:
        """Mean squared length."""
        ...

    def support(self) -> Support:
        """The lengths (ascending) and their probabilities."""
        ...


def _whole(value: Any, name: str, least: int = 1) -> None:
    if isinstance(value, bool) or value != value or int(value) != value or not least <= value <= LONGEST:
        raise InvalidQuestion(f"{name} must be a whole number of tokens from {least:,} to {LONGEST:,}, got {value!r}")


@dataclass(frozen=True, slots=True)
class Fixed:
    """Every request has the same number of tokens."""

    tokens: int

    def __post_init__(self) -> None:
        _whole(self.tokens, "a length")

    def mean(self) -> Tokens:
        return float(self.tokens)

    def second_moment(self) -> TokensSquared:
        return float(self.tokens) ** 2

    def support(self) -> Support:
        return _arrays([self.tokens], [1.0])


@dataclass(frozen=True, slots=True)
class Uniform:
    """Any whole number from ``low`` to ``high``, both included, equally likely."""

    low: int
    high: int

    def __post_init__(self) -> None:
        _whole(self.low, "the lower end of a range")
        _whole(self.high, "the upper end of a range")
        if self.high < self.low:
            raise InvalidQuestion(f"a range of lengths must rise, got {self.low} to {self.high}")

    def mean(self) -> Tokens:
        return uniform_mean(float(self.low), float(self.high))

    def second_moment(self) -> TokensSquared:
        return uniform_second_moment(float(self.low), float(self.high))

    def support(self) -> Support:
        import numpy as np

        if self.high - self.low >= 16 * _GRID:
            return _binned(self.low, self.high, lambda edge: (edge - self.low + 0.5) / (self.high - self.low + 1))
        values = np.arange(self.low, self.high + 1)
        return _arrays(values, np.ones(values.size))


@dataclass(frozen=True, slots=True, kw_only=True)
class LogNormal:
    """A long-tailed length: ``variation`` is standard deviation / mean, before the cut.

    Lengths outside ``minimum`` … ``maximum`` take the nearest of the two.
    """

    mean_tokens: float
    variation: float
    minimum: int = 1
    maximum: int | None = None

    def __post_init__(self) -> None:
        _whole(self.minimum, "the minimum of a length")
        if self.maximum is not None:
            _whole(self.maximum, "the maximum of a length", self.minimum)
        if not 0 < self.variation <= 20:
            raise InvalidQuestion(f"the variation of a lognormal length must be above 0 and at most 20, got {self.variation!r}")
        if not 1 <= self.mean_tokens <= LONGEST:
            raise InvalidQuestion(f"the mean of a lognormal length must be 1 to {LONGEST:,} tokens, got {self.mean_tokens!r}")

    def mean(self) -> Tokens:
        values, weights = self.support()
        return float(values @ weights)

    def second_moment(self) -> TokensSquared:
        values, weights = self.support()
        return float(values**2 @ weights)

    def support(self) -> Support:
        return _lognormal_support(self)


@lru_cache(maxsize=64)
def _lognormal_support(lengths: LogNormal) -> Support:
    from statistics import NormalDist

    sigma = lognormal_sigma(float(lengths.variation))
    median = float(lognormal_quantile(float(lengths.mean_tokens), sigma, 0.0))
    far = float(lognormal_quantile(float(lengths.mean_tokens), sigma, -NormalDist().inv_cdf(CUT_TAIL)))
    high = lengths.maximum if lengths.maximum is not None else min(max(int(far), lengths.minimum), LONGEST)

    def below(edge: float) -> float:
        from math import log

        return NormalDist().cdf(log(edge / median) / float(sigma))

    return _binned(lengths.minimum, high, below)


@dataclass(frozen=True, slots=True)
class Histogram:
    """Lengths as observed, with how often each was seen."""

    tokens: tuple[int, ...]
    weights: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.tokens or len(self.tokens) != len(self.weights):
            raise InvalidQuestion(f"a histogram needs a weight for each length: {len(self.tokens)} and {len(self.weights)}")
        for tokens in self.tokens:
            _whole(tokens, "a length of a histogram")
        if min(self.weights) < 0 or not 0 < sum(self.weights) < float("inf"):
            raise InvalidQuestion("the weights of a histogram must not be negative nor all zero")

    def mean(self) -> Tokens:
        values, weights = self.support()
        return float(values @ weights)

    def second_moment(self) -> TokensSquared:
        values, weights = self.support()
        return float(values**2 @ weights)

    def support(self) -> Support:
        import numpy as np

        values, weights = _arrays(self.tokens, self.weights)
        ordered, place = np.unique(values, return_inverse=True)
        return ordered, np.bincount(place, weights=weights).astype(float)


@dataclass(frozen=True, slots=True)
class LengthPairs:
    """Prompts and answers observed together, so that long prompts keep their own answers."""

    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    weights: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        weights = self.weights or (1.0,) * len(self.inputs)
        if len(self.inputs) != len(self.outputs) or len(weights) != len(self.inputs):
            raise InvalidQuestion("observed pairs need as many outputs (and weights) as inputs")
        Histogram(self.inputs, weights)
        Histogram(self.outputs, weights)

    def marginals(self) -> tuple[Histogram, Histogram]:
        """The prompts and the answers, each alone."""
        weights = self.weights or (1.0,) * len(self.inputs)
        return Histogram(self.inputs, weights), Histogram(self.outputs, weights)

    def product_mean(self) -> TokensSquared:
        """Mean of prompt × answer."""
        weights = self.weights or (1.0,) * len(self.inputs)
        rows = zip(self.inputs, self.outputs, weights, strict=True)
        return float(sum(i * o * w for i, o, w in rows) / sum(weights))


def _arrays(values: Any, weights: Any) -> Support:
    import numpy as np

    share = np.asarray(weights, dtype=float)
    return np.asarray(values, dtype=float), share / share.sum()


def _binned(low: int, high: int, below: Any) -> Support:
    """Whole lengths from ``low`` to ``high``, about as dense as they are long, with the probability
    that the distribution (``below``: its share under an edge) falls nearest to each."""
    import numpy as np

    values = np.unique(np.rint(np.geomspace(low, high, min(_GRID, high - low + 1))))
    edges = (values[1:] + values[:-1]) / 2
    cumulative = np.array([0.0, *(below(float(edge)) for edge in edges), 1.0])
    return values, np.diff(cumulative)
