"""The moments of traffic's lengths, which the closed forms need."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llmsizer.core.numerics import maximum
from llmsizer.core.quantities import Fraction, Tokens
from llmsizer.formulas.workload import (
    TokensSquared,
    length_biased_context,
    mean_decode_context,
    share_of_mean,
    share_of_moment,
    turn_input_mean,
    turn_input_second_moment,
)
from llmsizer.schema.lengths import Fixed, Histogram, Lengths
from llmsizer.schema.workload import Conversation, RequestClass, Traffic

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class LengthMoments:
    """Means of a request's prompt I and answer O, over requests."""

    input_mean: Tokens
    output_mean: Tokens
    input_second_moment: TokensSquared
    output_second_moment: TokensSquared
    product_mean: TokensSquared

    def decode_context(self) -> Tokens:
        """Mean tokens in the cache of a decoding sequence (0 where no request decodes)."""
        if self.output_mean <= 1:
            return 0.0
        return mean_decode_context(self.input_mean, self.product_mean, self.output_second_moment, self.output_mean)

    def length_biased_context(self) -> Tokens:
        """The same in its continuous form, E[O·I + O²/2] / E[O]."""
        return length_biased_context(self.product_mean, self.output_second_moment, self.output_mean)


def class_moments(kind: RequestClass) -> LengthMoments:
    """Moments of one class; of all turns where it is a conversation."""
    inputs, outputs = kind.pairs.marginals() if kind.pairs else (kind.input_tokens, kind.output_tokens)
    mean_in, mean_out = inputs.mean(), outputs.mean()
    product = kind.pairs.product_mean() if kind.pairs else mean_in * mean_out
    single = LengthMoments(
        input_mean=mean_in, output_mean=mean_out, input_second_moment=inputs.second_moment(),
        output_second_moment=outputs.second_moment(), product_mean=product,
    )  # fmt: skip
    return _over_turns(single, kind.sharing) if isinstance(kind.sharing, Conversation) else single


def _over_turns(turn: LengthMoments, conversation: Conversation) -> LengthMoments:
    input_variance = turn.input_second_moment - turn.input_mean**2
    output_variance = turn.output_second_moment - turn.output_mean**2
    covariance = turn.product_mean - turn.input_mean * turn.output_mean
    numbers = range(1, int(conversation.turns) + 1)
    means = [conversation.shared_tokens + turn_input_mean(k, turn.input_mean, turn.output_mean) for k in numbers]
    squares = [
        turn_input_second_moment(k, mean, input_variance, output_variance, covariance)
        for k, mean in zip(numbers, means, strict=True)
    ]
    mean = sum(means) / conversation.turns
    return LengthMoments(
        input_mean=mean, output_mean=turn.output_mean, input_second_moment=sum(squares) / conversation.turns,
        output_second_moment=turn.output_second_moment, product_mean=mean * turn.output_mean + covariance,
    )  # fmt: skip


def moments(traffic: Traffic) -> LengthMoments:
    """Moments over all requests of the traffic; of the recorded ones where it is a trace."""
    if traffic.trace is not None:
        return class_moments(RequestClass(pairs=traffic.trace.lengths()))
    shares = traffic.request_shares()
    found = [class_moments(kind) for kind in traffic.classes]
    return LengthMoments(
        input_mean=sum(share_of_mean(s, m.input_mean) for s, m in zip(shares, found, strict=True)),
        output_mean=sum(share_of_mean(s, m.output_mean) for s, m in zip(shares, found, strict=True)),
        input_second_moment=sum(share_of_moment(s, m.input_second_moment) for s, m in zip(shares, found, strict=True)),
        output_second_moment=sum(share_of_moment(s, m.output_second_moment) for s, m in zip(shares, found, strict=True)),
        product_mean=sum(share_of_moment(s, m.product_mean) for s, m in zip(shares, found, strict=True)),
    )


class LengthLaw:
    """How a length is distributed, in units of its mean."""

    __slots__ = ("below", "ratios", "weights")

    def __init__(self, lengths: Lengths) -> None:
        import numpy as np

        values, self.weights = _coarse(*lengths.support())
        self.ratios: NDArray[np.float64] = values / float(values @ self.weights)
        self.below: NDArray[np.float64] = np.cumsum(self.weights)

    def at(self, share: float) -> float:
        """The ratio to the mean that a share of the requests does not exceed."""
        place = int(self.below.searchsorted(share - 1e-12))
        return float(self.ratios[min(place, self.ratios.size - 1)])

    def longest_of(self, count: Any) -> Any:
        """The mean of the longest of some requests (a number or an array), as a ratio to the mean."""
        return self._of_longest(count, self.ratios)

    def deviation_of_longest(self, count: Any) -> Any:
        """The standard deviation of the longest of some requests, as a ratio to the mean."""
        mean, square = self.longest_of(count), self._of_longest(count, self.ratios**2)
        return maximum(square - mean * mean, 0.0) ** 0.5

    def padding_of(self, count: Any) -> Any:
        """The mean over requests of the longest of their batch over their own."""
        import numpy as np

        numbers = np.asarray(count, dtype=float)[..., None]
        longer = 1.0 - self.below[:-1] ** np.maximum(numbers - 1.0, 0.0)
        beyond = np.cumsum((longer * np.diff(self.ratios))[..., ::-1], axis=-1)[..., ::-1]
        found = 1.0 + (beyond / self.ratios[:-1]) @ self.weights[:-1]
        return float(found) if np.ndim(count) == 0 else found

    def _of_longest(self, count: Any, values: NDArray[np.float64]) -> Any:
        import numpy as np

        powers = self.below ** np.asarray(count, dtype=float)[..., None]
        found = np.diff(powers, axis=-1, prepend=0.0) @ values
        return float(found) if np.ndim(count) == 0 else found


# So many lengths tell a law as well as all of them do.
POINTS = 256


def _coarse(values: NDArray[np.float64], weights: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A law of few lengths: neighbours become one, at their mean."""
    import numpy as np

    if values.size <= POINTS:
        return values, weights
    starts = np.linspace(0, values.size, POINTS, endpoint=False).astype(int)
    joined = np.add.reduceat(weights, starts)
    means = np.add.reduceat(values * weights, starts) / np.maximum(joined, 1e-300)
    return np.where(joined > 0, means, values[starts]), joined


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LengthSpread:
    """How the lengths of requests scatter about their means: standard deviations as shares of the
    means, ``covariation`` = E[I·O] / (E[I]·E[O]) − 1, ``inverse_steps`` = E[1/(O−1)] · (E[O]−1) of
    answers of two tokens and more, and the laws of prompt and answer."""

    input_variation: Fraction
    output_variation: Fraction
    covariation: Fraction
    inverse_steps: Fraction
    inputs: LengthLaw
    outputs: LengthLaw


def spread_of(traffic: Traffic) -> LengthSpread | None:
    """The scatter of the lengths of all requests; None where they are alike."""
    found = moments(traffic)
    inputs, outputs = marginals(traffic)
    deviations = [
        max(float(square) / float(mean) ** 2 - 1, 0.0) ** 0.5
        for mean, square in ((found.input_mean, found.input_second_moment), (found.output_mean, found.output_second_moment))
    ]
    if max(deviations) < ALIKE:
        return None
    return LengthSpread(
        input_variation=deviations[0], output_variation=deviations[1],
        covariation=float(found.product_mean) / float(found.input_mean * found.output_mean) - 1,
        inverse_steps=_inverse_steps(outputs, float(found.output_mean)),
        inputs=LengthLaw(inputs), outputs=LengthLaw(outputs),
    )  # fmt: skip


def _inverse_steps(outputs: Lengths, mean: float) -> float:
    values, weights = outputs.support()
    several = values > 1
    if not several.any():
        return 1.0
    return float((weights[several] / (values[several] - 1)).sum() / weights[several].sum() * max(mean - 1, 0.0))


# Lengths that vary by less than this share of their mean count as alike.
ALIKE = 1e-9


def marginals(traffic: Traffic) -> tuple[Lengths, Lengths]:
    """The prompts and the answers of all requests, each alone; a conversation's prompts by their mean a turn."""
    if traffic.trace is not None:
        return traffic.trace.lengths().marginals()
    if len(traffic.classes) == 1 and not isinstance(traffic.classes[0].sharing, Conversation):
        return _marginals(traffic.classes[0])
    pairs = [_marginals(kind) for kind in traffic.classes]
    shares = traffic.request_shares()
    prompts = [_turn_prompts(kind, *pair) for kind, pair in zip(traffic.classes, pairs, strict=True)]
    return _mixed(prompts, shares), _mixed([[answers] for _, answers in pairs], shares)


def _marginals(kind: RequestClass) -> tuple[Lengths, Lengths]:
    return kind.pairs.marginals() if kind.pairs else (kind.input_tokens, kind.output_tokens)


def _turn_prompts(kind: RequestClass, prompts: Lengths, answers: Lengths) -> list[Lengths]:
    if not isinstance(kind.sharing, Conversation):
        return [prompts]
    first, answer, shared = float(prompts.mean()), float(answers.mean()), float(kind.sharing.shared_tokens)
    turns = range(1, int(kind.sharing.turns) + 1)
    return [Fixed(round(shared + float(turn_input_mean(turn, first, answer)))) for turn in turns]


def _mixed(parts: list[list[Lengths]], shares: Sequence[float]) -> Histogram:
    """The mixture of some laws; those of one part share its share."""
    import numpy as np

    values, weights = [], []
    for laws, share in zip(parts, shares, strict=True):
        for law in laws:
            some, chances = law.support()
            values.append(some)
            weights.append(chances * share / len(laws))
    whole = np.concatenate(values)
    return Histogram(tuple(whole.astype(int).tolist()), tuple(np.concatenate(weights).tolist()))
