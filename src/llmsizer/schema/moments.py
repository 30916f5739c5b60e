"""The moments of traffic's lengths, which the closed forms need."""

from __future__ import annotations

from dataclasses import dataclass

from llmsizer.core.quantities import Tokens
from llmsizer.formulas.workload import (
    TokensSquared,
    length_biased_context,
    mean_decode_context,
    share_of_mean,
    share_of_moment,
    turn_input_mean,
    turn_input_second_moment,
)
from llmsizer.schema.workload import Conversation, RequestClass, Traffic


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
    turns = [float(c.sharing.turns) if isinstance(c.sharing, Conversation) else 1.0 for c in traffic.classes]
    requests = [share * count for share, count in zip(traffic.shares(), turns, strict=True)]
    shares = [count / sum(requests) for count in requests]
    found = [class_moments(kind) for kind in traffic.classes]
    return LengthMoments(
        input_mean=sum(share_of_mean(s, m.input_mean) for s, m in zip(shares, found, strict=True)),
        output_mean=sum(share_of_mean(s, m.output_mean) for s, m in zip(shares, found, strict=True)),
        input_second_moment=sum(share_of_moment(s, m.input_second_moment) for s, m in zip(shares, found, strict=True)),
        output_second_moment=sum(share_of_moment(s, m.output_second_moment) for s, m in zip(shares, found, strict=True)),
        product_mean=sum(share_of_moment(s, m.product_mean) for s, m in zip(shares, found, strict=True)),
    )
