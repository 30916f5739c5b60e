"""Requests on their way through the engine, and the source that sends them."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Iterator, Sequence
from typing import TYPE_CHECKING

from llmsizer.core.errors import InvalidQuestion
from llmsizer.schema.lengths import LengthPairs
from llmsizer.schema.workload import (
    ClosedLoop,
    Conversation,
    HitRate,
    OpenLoop,
    PrefixGroups,
    RequestClass,
    TraceTimes,
    Traffic,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from llmsizer.simulation.blocks import Segment

Piece = tuple[Hashable, int]

# Gaps that vary less than this share of their mean are drawn as even.
EVEN = 1e-6


class Request:
    """One request: what it asks for, when what happened, and what the engine holds for it.

    ``pieces`` names the parts of the prompt that others may share, each with the token it ends at;
    ``own_key`` the part that prompt and answer leave behind for a next turn.
    """

    __slots__ = (
        "admitted",
        "base",
        "cached_tokens",
        "computed",
        "emitted",
        "finish_step",
        "finished",
        "first_token",
        "given_hit",
        "granted",
        "held",
        "index",
        "input_tokens",
        "kind",
        "last_emit",
        "order",
        "output_tokens",
        "own_key",
        "owned",
        "pieces",
        "preemptions",
        "priority",
        "queued",
        "ready",
        "replica",
        "result_cached",
        "room",
        "sent",
        "session",
        "shared_blocks",
        "target",
        "turn",
    )  # fmt: skip

    def __init__(self, index: int, kind: int, input_tokens: int, output_tokens: int) -> None:
        self.index, self.kind = index, kind
        self.input_tokens, self.output_tokens = input_tokens, output_tokens
        self.priority = 0
        self.session, self.turn = index, 0
        self.pieces: tuple[Piece, ...] = ()
        self.own_key: Hashable = None
        self.given_hit = 0.0
        self.result_cached = False
        self.sent = self.queued = self.admitted = self.first_token = self.finished = -1.0
        self.last_emit = 0.0
        self.order = 0
        self.target, self.computed, self.granted, self.emitted = input_tokens, 0, 0, 0
        self.base, self.room, self.finish_step = 0.0, 0, -1
        self.ready = False
        self.held: list[Segment] = []
        self.owned: list[tuple[Segment, int]] = []
        self.shared_blocks = self.cached_tokens = self.preemptions = 0
        self.replica = -1


class Draws:
    """Independent streams of random numbers from one seed: lengths do not change when arrivals do."""

    def __init__(self, seed: int) -> None:
        import numpy as np

        if seed < 0:
            raise InvalidQuestion(f"a seed must not be negative, got {seed}")
        streams = np.random.SeedSequence(seed).spawn(5)
        self.kinds, self.lengths, self.arrivals, self.pauses, self.sharing = (np.random.default_rng(s) for s in streams)


def drawn_sessions(traffic: Traffic, count: int, draws: Draws) -> list[list[Request]]:
    """Sessions (each a list of turns) with ``count`` requests in all, in order of their start."""
    if traffic.trace is not None:
        return _traced(traffic, count)
    kinds = draws.kinds.choice(len(traffic.classes), size=count, p=traffic.shares())
    turns = [int(c.sharing.turns) if isinstance(c.sharing, Conversation) else 1 for c in traffic.classes]
    plan: list[tuple[int, int]] = []
    left = count
    for kind in kinds.tolist():
        if left <= 0:
            break
        plan.append((kind, min(turns[kind], left)))
        left -= plan[-1][1]
    needed = [sum(size for kind, size in plan if kind == index) for index in range(len(traffic.classes))]
    lengths = [_lengths(kind, number, draws) for kind, number in zip(traffic.classes, needed, strict=True)]
    groups = [_groups(kind, number, draws) for kind, number in zip(traffic.classes, needed, strict=True)]
    sessions, index = [], 0
    for number, (kind, size) in enumerate(plan):
        taken = [next(lengths[kind]) for _ in range(size)]
        sessions.append(_session(index, number, kind, traffic.classes[kind], taken, next(groups[kind])))
        index += size
    _mark_stored(sessions, traffic, draws)
    return sessions


def _session(
    index: int, number: int, kind: int, of: RequestClass, taken: Sequence[tuple[int, int]], group: int
) -> list[Request]:
    made: list[Request] = []
    history: list[Piece] = []
    sharing = of.sharing
    past = int(sharing.shared_tokens) if isinstance(sharing, Conversation) else 0
    if past:
        history.append(((kind, "shared"), past))
    for turn, (prompt, answer) in enumerate(taken):
        request = Request(index + turn, kind, past + prompt, answer)
        request.priority, request.session, request.turn = of.priority, number, turn
        if isinstance(sharing, Conversation):
            request.pieces, request.own_key = tuple(history), (kind, number, turn)
            past += prompt + answer
            history.append((request.own_key, past))
        elif isinstance(sharing, PrefixGroups):
            request.pieces = (((kind, group), min(int(sharing.tokens), prompt)),)
        elif isinstance(sharing, HitRate):
            request.given_hit = float(sharing.rate)
        made.append(request)
    return made


def _lengths(kind: RequestClass, number: int, draws: Draws) -> Iterator[tuple[int, int]]:
    import numpy as np

    if isinstance(kind.pairs, LengthPairs):
        weights = np.asarray(kind.pairs.weights or np.ones(len(kind.pairs.inputs)), dtype=float)
        rows = draws.lengths.choice(weights.size, size=number, p=weights / weights.sum())
        inputs, outputs = np.asarray(kind.pairs.inputs)[rows], np.asarray(kind.pairs.outputs)[rows]
    else:
        inputs, outputs = (_drawn(law.support(), number, draws.lengths) for law in (kind.input_tokens, kind.output_tokens))
    return iter(list(zip(inputs.astype(int).tolist(), outputs.astype(int).tolist(), strict=True)))


def _drawn(
    support: tuple[NDArray[np.float64], NDArray[np.float64]], number: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    import numpy as np

    values, weights = support
    place = np.searchsorted(np.cumsum(weights), rng.random(number), side="right")
    return values[np.minimum(place, values.size - 1)]


def _groups(kind: RequestClass, number: int, draws: Draws) -> Iterator[int]:
    import numpy as np

    if not isinstance(kind.sharing, PrefixGroups):
        return iter([0] * number)
    weights = np.arange(1, int(kind.sharing.groups) + 1, dtype=float) ** -kind.sharing.skew
    return iter(draws.sharing.choice(weights.size, size=number, p=weights / weights.sum()).tolist())


def _mark_stored(sessions: list[list[Request]], traffic: Traffic, draws: Draws) -> None:
    if traffic.result_cache_hit_rate:
        for session in sessions:
            for request in session:
                request.result_cached = bool(draws.sharing.random() < traffic.result_cache_hit_rate)


def _traced(traffic: Traffic, count: int) -> list[list[Request]]:
    trace = traffic.trace
    assert trace is not None
    if count > len(trace):
        raise InvalidQuestion(f"the trace {trace.source} has {len(trace):,} requests, {count:,} were asked for")
    sessions = []
    for index in range(count):
        request = Request(index, 0, int(trace.input_tokens[index]), int(trace.output_tokens[index]))
        request.priority = traffic.classes[0].priority
        if trace.prefix_keys:
            ends = range(trace.piece_tokens, request.input_tokens + trace.piece_tokens, trace.piece_tokens)
            keys = trace.prefix_keys[index]
            request.pieces = tuple((key, min(end, request.input_tokens)) for key, end in zip(keys, ends, strict=False))
        sessions.append([request])
    return sessions


class Source:
    """Sends requests: at their times, or as earlier ones are answered."""

    def __init__(self, traffic: Traffic, count: int, seed: int) -> None:
        if count < 1:
            raise InvalidQuestion(f"num_prompts must be at least 1, got {count}")
        self.traffic, self.draws = traffic, Draws(seed)
        self.sessions = drawn_sessions(traffic, count, self.draws)
        self.requests = [request for session in self.sessions for request in session]
        arrivals = traffic.arrivals
        self.cap = None if isinstance(arrivals, ClosedLoop) else arrivals.max_concurrency
        self.in_flight = 0
        self._held: deque[Request] = deque()
        self._next_session = 0

    def first(self) -> list[tuple[float, Request]]:
        """The requests whose times are known from the start."""
        arrivals = self.traffic.arrivals
        if isinstance(arrivals, ClosedLoop):
            users = min(arrivals.concurrency, len(self.sessions))
            self._next_session = users
            spread = float(arrivals.ramp_seconds) / users
            return [(spread * user, self.sessions[user][0]) for user in range(users)]
        times = self._trace_times(arrivals) if isinstance(arrivals, TraceTimes) else self._open_times(arrivals)
        return [(time, session[0]) for time, session in zip(times, self.sessions, strict=True)]

    def _trace_times(self, arrivals: TraceTimes) -> list[float]:
        trace = self.traffic.trace
        assert trace is not None
        return [float(trace.arrival_seconds[index]) / arrivals.speed for index in range(len(self.sessions))]

    def _open_times(self, arrivals: OpenLoop) -> list[float]:
        import numpy as np

        mean = len(self.requests) / len(self.sessions) / arrivals.requests_per_second
        size = len(self.sessions)
        if arrivals.variation < EVEN:
            return [mean * (place + 1) for place in range(size)]
        shape = arrivals.variation**-2
        gaps = self.draws.arrivals.gamma(shape, mean / shape, size=size)
        return np.cumsum(gaps).tolist()  # type: ignore[no-any-return]

    def offer(self, request: Request) -> bool:
        """Whether the client may send a request now; if not it is held back."""
        if self.cap is not None and self.in_flight >= self.cap:
            self._held.append(request)
            return False
        self.in_flight += 1
        return True

    def answered(self, request: Request, now: float) -> list[tuple[float, Request]]:
        """What an answer sets off: the next turn, the user's next request, or one held back."""
        self.in_flight -= 1
        following: list[tuple[float, Request]] = []
        session = self.sessions[request.session]
        arrivals = self.traffic.arrivals
        if request.turn + 1 < len(session):
            sharing = self.traffic.classes[request.kind].sharing
            pause = float(sharing.think_seconds) if isinstance(sharing, Conversation) else 0.0
            following.append((now + self._pause(pause), session[request.turn + 1]))
        elif isinstance(arrivals, ClosedLoop) and self._next_session < len(self.sessions):
            pause = self._pause(float(arrivals.think_seconds))
            if arrivals.scatter_seconds and request.session < arrivals.concurrency:
                pause += float(self.draws.pauses.uniform(0.0, float(arrivals.scatter_seconds)))
            following.append((now + pause, self.sessions[self._next_session][0]))
            self._next_session += 1
        if self._held:
            following.append((now, self._held.popleft()))
        return following

    def _pause(self, mean: float) -> float:
        return float(self.draws.pauses.exponential(mean)) if mean else 0.0
