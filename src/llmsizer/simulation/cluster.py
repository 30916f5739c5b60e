"""The event loop: requests travel from the source to replicas and back, in order of time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from heapq import heappop, heappush
from typing import Any

from llmsizer.simulation.batches import BatchReplica
from llmsizer.simulation.replica import Replica
from llmsizer.simulation.replicas import Router
from llmsizer.simulation.requests import Request, Source
from llmsizer.simulation.scheduler import IterationReplica
from llmsizer.simulation.spec import EngineSpec
from llmsizer.simulation.steps import StepClock

# At one moment: requests are sent and reach queues, transfers end, runs end, then replicas plan.
SEND, REACH, RECEIVED, RUN_END, PLAN = range(5)
Progress = Callable[[int, int], None]


class Cluster:
    """Replicas of one kind behind a router, fed by a source."""

    def __init__(self, source: Source, progress: Progress | None = None) -> None:
        self.source, self.progress = source, progress
        self.now = 0.0
        self.done = 0
        self.replicas: list[Replica] = []
        self.router: Router | None = None
        self.front_end_seconds = 0.0
        self._events: list[tuple[float, int, int, Any, int]] = []
        self._count = 0
        self._shown = max(len(source.requests) // 100, 1)

    def add(self, spec: EngineSpec, count: int, exact: bool) -> list[Replica]:
        """Adds like replicas; they share one table of step times."""
        clock = StepClock(spec.steps, exact, spec.tokens_per_step)
        kind = BatchReplica if spec.batchwise else IterationReplica
        made: list[Replica] = [kind(len(self.replicas) + place, spec, clock, self.answered) for place in range(count)]
        self.replicas += made
        return made

    def open_door(self, replicas: Sequence[Replica], routing: str) -> None:
        """Names the replicas that take new requests."""
        self.router = Router(routing, replicas)
        self.front_end_seconds = replicas[0].spec.front_end_seconds
        for request in self.source.requests:
            replicas[0].spec.check_fits(request.input_tokens, request.output_tokens)

    def at(self, time: float, kind: int, subject: Any, version: int = 0) -> None:
        """Schedules an event."""
        self._count += 1
        heappush(self._events, (time, kind, self._count, subject, version))

    def run(self) -> None:
        """Runs until every request is answered."""
        for time, request in self.source.first():
            self.at(time, SEND, request)
        events = self._events
        while events:
            self.now, kind, _, subject, version = heappop(events)
            if kind == RUN_END:
                if subject.version == version:
                    self._run_ended(subject)
            elif kind == SEND:
                self._send(subject)
            elif kind == REACH:
                self._reach(subject)
            elif kind == RECEIVED:
                subject()
            else:
                self.plan(subject)

    def _send(self, request: Request) -> None:
        if not self.source.offer(request):
            return
        request.sent = self.now
        if request.result_cached:
            request.emitted = request.output_tokens
            request.queued = request.admitted = request.first_token = request.finished = self.now
            self.answered(request, self.now)
        else:
            self.at(self.now + self.front_end_seconds, REACH, request)

    def _reach(self, request: Request) -> None:
        assert self.router is not None
        self.hand(self.router.choose(request), request)

    def hand(self, replica: Replica, request: Request) -> None:
        """Puts a request into a replica's queue."""
        cut = replica.enqueue(request, self.now)
        if replica.run_end is None:
            self.at(self.now, PLAN, replica)
        elif cut:
            self.at(replica.run_end, RUN_END, replica, replica.version)

    def _run_ended(self, replica: Replica) -> None:
        replica.complete()
        if self._events and self._events[0][0] <= self.now:
            self.at(self.now, PLAN, replica)
        else:
            self.plan(replica)

    def plan(self, replica: Replica) -> None:
        """Lets an idle replica start its next run."""
        if replica.run_end is not None:
            return
        again = replica.plan(self.now)
        if replica.run_end is not None:
            self.at(replica.run_end, RUN_END, replica, replica.version)
        elif again is not None:
            self.at(again, PLAN, replica)

    def answered(self, request: Request, now: float) -> None:
        """A request has its whole answer: the client goes on."""
        self.done += 1
        if self.progress is not None and (self.done % self._shown == 0 or self.done == len(self.source.requests)):
            self.progress(self.done, len(self.source.requests))
        for time, following in self.source.answered(request, now):
            self.at(time, SEND, following)
