"""What requests arrive: classes of requests, when they come, what they share, and what they are promised."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from llmsizer.core.errors import InvalidQuestion
from llmsizer.core.quantities import Count, Fraction, Seconds, Tokens
from llmsizer.schema.lengths import Fixed, Histogram, LengthPairs, Lengths, LogNormal, Uniform

__all__ = [
    "Arrivals",
    "ClosedLoop",
    "Conversation",
    "Fixed",
    "Histogram",
    "HitRate",
    "LengthPairs",
    "Lengths",
    "LogNormal",
    "Mix",
    "OpenLoop",
    "PrefixGroups",
    "RequestClass",
    "Targets",
    "Trace",
    "TraceTimes",
    "Traffic",
    "Uniform",
    "simple_traffic",
]  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Targets:
    """What a request is promised, in seconds; None: nothing. A good request meets all of them."""

    ttft_seconds: Seconds | None = None
    tpot_seconds: Seconds | None = None
    e2e_seconds: Seconds | None = None

    def __post_init__(self) -> None:
        for name in ("ttft_seconds", "tpot_seconds", "e2e_seconds"):
            given = getattr(self, name)
            if given is not None and not given > 0:
                raise InvalidQuestion(f"{name} must be above 0, got {given!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class PrefixGroups:
    """Requests that start alike: each belongs to one of ``groups``, whose first ``tokens`` tokens
    are the same (system prompts, documents). They are part of the prompt's length.

    ``skew`` is the exponent of a Zipf law over the groups; 0: all equally popular.
    """

    tokens: Tokens
    groups: Count = 1
    skew: float = 0.0

    def __post_init__(self) -> None:
        if self.tokens < 0 or self.groups < 1 or int(self.groups) != self.groups or self.skew < 0:
            raise InvalidQuestion(f"prefix groups need tokens ≥ 0, whole groups ≥ 1 and skew ≥ 0, got {self}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """Several turns by one user: each is sent with all earlier prompts and answers before it.

    The class's input length is what a turn adds. ``shared_tokens`` is a system prompt common to all
    conversations, before the first turn. Between an answer and the next turn pass ``think_seconds``
    (mean of an exponential law).
    """

    turns: Count
    think_seconds: Seconds = 0.0
    shared_tokens: Tokens = 0

    def __post_init__(self) -> None:
        if self.turns < 1 or int(self.turns) != self.turns or self.think_seconds < 0 or self.shared_tokens < 0:
            raise InvalidQuestion(f"a conversation needs whole turns ≥ 1, no negative time and tokens, got {self}")


@dataclass(frozen=True, slots=True, kw_only=True)
class HitRate:
    """A given share of the prompt tokens is found in the prefix cache, whatever the traffic.

    It saves the computation; each request still holds the memory of its whole prompt.
    """

    rate: Fraction

    def __post_init__(self) -> None:
        if not 0 <= self.rate <= 1:
            raise InvalidQuestion(f"a prefix-cache hit rate lies between 0 and 1, got {self.rate!r}")


Sharing: TypeAlias = PrefixGroups | Conversation | HitRate


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestClass:
    """Requests of one kind. ``pairs`` (prompts with their answers) replaces the two length laws.

    ``share`` weighs the class among the others (of sessions, where a conversation is one session).
    A lower ``priority`` is served first, as in vLLM.
    """

    name: str = "requests"
    share: Fraction = 1.0
    input_tokens: Lengths = field(default_factory=lambda: Fixed(1024))
    output_tokens: Lengths = field(default_factory=lambda: Fixed(256))
    pairs: LengthPairs | None = None
    priority: int = 0
    sharing: Sharing | None = None
    targets: Targets | None = None

    def __post_init__(self) -> None:
        if not 0 < self.share < float("inf"):
            raise InvalidQuestion(f"the share of class '{self.name}' must be above 0, got {self.share!r}")

    def requests_per_session(self) -> int:
        """One for each turn of a conversation, else one."""
        return int(self.sharing.turns) if isinstance(self.sharing, Conversation) else 1


@dataclass(frozen=True, slots=True)
class Mix:
    """Classes of requests, whatever their number: traffic without its arrivals."""

    classes: tuple[RequestClass, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenLoop:
    """Requests come at a rate, whatever the server does.

    ``variation`` is the standard deviation / mean of the gaps: 1 is Poisson, 0 evenly spaced, above 1
    bursty (a gamma law; vLLM's ``burstiness`` is 1 / variation²). ``max_concurrency`` holds back
    requests while that many are in flight.
    """

    requests_per_second: float
    variation: float = 1.0
    max_concurrency: int | None = None

    def __post_init__(self) -> None:
        if not 0 < self.requests_per_second < float("inf"):
            raise InvalidQuestion(f"request_rate must be above 0, got {self.requests_per_second!r}")
        if not 0 <= self.variation <= 100:
            raise InvalidQuestion(f"the variation of arrivals must lie between 0 and 100, got {self.variation!r}")
        if self.max_concurrency is not None and self.max_concurrency < 1:
            raise InvalidQuestion(f"max_concurrency must be at least 1, got {self.max_concurrency!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosedLoop:
    """``concurrency`` users, each sending its next request after the last answer and a pause.

    All start at once (as ``vllm bench serve --max-concurrency`` does), or spread over
    ``ramp_seconds``. ``think_seconds`` is the mean of an exponential law. ``scatter_seconds``: each user
    pauses once, after its first answer, for a time drawn evenly up to this one, so that users whose
    requests are alike do not stay in step for ever.
    """

    concurrency: int
    think_seconds: Seconds = 0.0
    ramp_seconds: Seconds = 0.0
    scatter_seconds: Seconds = 0.0

    def __post_init__(self) -> None:
        if self.concurrency < 1 or int(self.concurrency) != self.concurrency:
            raise InvalidQuestion(f"concurrency must be a whole number from 1, got {self.concurrency!r}")
        if min(self.think_seconds, self.ramp_seconds, self.scatter_seconds) < 0:
            raise InvalidQuestion("think, ramp and scatter times must not be negative")


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceTimes:
    """Requests come when the trace says; ``speed`` 2 replays it twice as fast."""

    speed: float = 1.0
    max_concurrency: int | None = None

    def __post_init__(self) -> None:
        if not 0 < self.speed < float("inf"):
            raise InvalidQuestion(f"the speed of a replay must be above 0, got {self.speed!r}")


Arrivals: TypeAlias = OpenLoop | ClosedLoop | TraceTimes


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Trace:
    """Recorded requests in order of arrival: seconds since the first, prompt and answer in tokens.

    ``prefix_keys`` (may be empty) names the prefixes of each prompt in pieces of ``piece_tokens``:
    two requests share the pieces whose keys agree.
    """

    source: str
    arrival_seconds: Sequence[float]
    input_tokens: Sequence[int]
    output_tokens: Sequence[int]
    prefix_keys: Sequence[tuple[int, ...]] = ()
    piece_tokens: int = 0

    def __len__(self) -> int:
        return len(self.arrival_seconds)

    @property
    def requests_per_second(self) -> float:
        """Mean arrival rate of the recording."""
        span = self.arrival_seconds[-1] - self.arrival_seconds[0] if len(self) > 1 else 0.0
        return (len(self) - 1) / span if span else float("inf")

    def lengths(self) -> LengthPairs:
        """The recorded lengths as a law to draw from."""
        return LengthPairs(tuple(self.input_tokens), tuple(self.output_tokens))


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """All requests: classes with their shares, or a recorded trace; and when they come.

    ``result_cache_hit_rate`` of the requests are answered from stored results, before the engine.
    """

    arrivals: Arrivals
    classes: tuple[RequestClass, ...] = (RequestClass(),)
    trace: Trace | None = None
    result_cache_hit_rate: Fraction = 0.0

    def __post_init__(self) -> None:
        if not self.classes:
            raise InvalidQuestion("traffic needs at least one class of requests")
        if not 0 <= self.result_cache_hit_rate < 1:
            raise InvalidQuestion(f"result_cache_hit_rate lies from 0 to below 1, got {self.result_cache_hit_rate!r}")
        if self.trace is None and isinstance(self.arrivals, TraceTimes):
            raise InvalidQuestion("arrivals from a trace need the trace", "Give a trace file, or a rate or concurrency.")
        if self.trace is not None and len(self.classes) > 1:
            raise InvalidQuestion("a trace brings its own requests: give it at most one class (for priority and targets)")
        if len({item.name for item in self.classes}) < len(self.classes):
            raise InvalidQuestion("the classes of requests need different names")

    def shares(self) -> tuple[float, ...]:
        """The share of each class in the sessions; they sum to 1."""
        return _of_whole([float(item.share) for item in self.classes])

    def request_shares(self) -> tuple[float, ...]:
        """The share of each class in the requests, of which a conversation sends one each turn; they sum to 1."""
        return _of_whole([float(item.share) * item.requests_per_session() for item in self.classes])


def _of_whole(parts: Sequence[float]) -> tuple[float, ...]:
    whole = sum(parts)
    return tuple(part / whole for part in parts)


def simple_traffic(
    arrivals: Arrivals, input_tokens: int | Lengths = 1024, output_tokens: int | Lengths = 256, sharing: Sharing | None = None
) -> Traffic:
    """Traffic of one class; a bare number is a fixed length."""
    prompt = Fixed(input_tokens) if isinstance(input_tokens, int) else input_tokens
    answer = Fixed(output_tokens) if isinstance(output_tokens, int) else output_tokens
    return Traffic(arrivals=arrivals, classes=(RequestClass(input_tokens=prompt, output_tokens=answer, sharing=sharing),))
