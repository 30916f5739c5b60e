"""What the cluster asks of a replica, whichever way it schedules."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from heapq import heappush

from llmsizer.simulation.blocks import BlockPool
from llmsizer.simulation.recording import Recorder
from llmsizer.simulation.requests import Request
from llmsizer.simulation.spec import EngineSpec
from llmsizer.simulation.steps import StepClock

Finished = Callable[[Request, float], None]
QueueEntry = tuple[int, int, Request]


class Replica(ABC):
    """One engine instance: a queue, running sequences, a cache, and the run of steps under way.

    ``waiting`` holds requests whose prompts are to be computed, ``ready`` those whose cache is filled;
    ``run_end`` is when the run under way ends (None: idle); ``version`` changes whenever that does.
    """

    def __init__(self, index: int, spec: EngineSpec, clock: StepClock, finished: Finished) -> None:
        self.index, self.spec, self.clock, self.finished = index, spec, clock, finished
        self.pool = BlockPool(spec.kv_blocks, spec.block_size, spec.prefix_caching)
        self.record = Recorder()
        self.waiting: list[QueueEntry] = []
        self.ready: list[QueueEntry] = []
        self.outstanding = 0
        self.run_end: float | None = None
        self.version = 0
        self._order = 0

    def enqueue(self, request: Request, now: float) -> bool:
        """Puts a request into the queue. True: the run under way was cut short for it."""
        request.replica = self.index
        if request.queued < 0:
            request.queued = now
        self.outstanding += 1
        self._order += 1
        request.order = self._order
        self._push(request)
        return False

    def _push(self, request: Request) -> None:
        queue = self.ready if request.ready else self.waiting
        heappush(queue, (request.priority if self.spec.priorities else 0, request.order, request))

    def _end(self, request: Request, now: float) -> None:
        request.finished = now
        self.outstanding -= 1
        self.finished(request, now)

    @abstractmethod
    def plan(self, now: float) -> float | None:
        """Starts the next run of steps if there is work; returns when to plan again without one."""

    @abstractmethod
    def complete(self) -> None:
        """Ends the run under way: tokens are out, finished requests leave."""
