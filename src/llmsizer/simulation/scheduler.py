"""Continuous and in-flight batching: requests join and leave between engine steps.

A run is a number of like steps: one step while prompts are processed, else as many pure decode
steps as pass before a sequence ends, the cache is full, or a request that may join arrives.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from math import ceil, sqrt

from llmsizer.simulation.replica import Finished, Replica
from llmsizer.simulation.requests import Request
from llmsizer.simulation.spec import IN_FLIGHT, SWAP, EngineSpec
from llmsizer.simulation.steps import StepClock
from llmsizer.simulation.yields import StepCounter

Chunk = tuple[Request, int]


class IterationReplica(Replica):
    """Iteration-level scheduling. ``prefilled`` (set for a prefill pool) takes a request over once
    its prompt is computed; its blocks stay held until ``hand_over``."""

    def __init__(self, index: int, spec: EngineSpec, clock: StepClock, finished: Finished) -> None:
        super().__init__(index, spec, clock, finished)
        self.prefilled: Callable[[Request, float], None] | None = None
        self.running: dict[Request, None] = {}
        self.prefilling: list[Request] = []
        self.step = 0
        self.decoding = 0
        self.context_sum = 0.0
        self._steps_of = StepCounter(spec.yields, index)
        self._per_step = spec.tokens_per_step
        self._residues = [0] * spec.steps_per_block
        self._ends: list[tuple[int, int, Request]] = []
        self._ends_pushed = 0
        self._fresh: list[Request] = []
        self._last_emit = 0.0
        self._extra = 0.0
        self._steps = 0
        self._start = self._first = self._growth = 0.0
        self._batch = 0
        self._chunks: list[Chunk] = []
        self._waiting_seen = 0

    # Requests come

    def enqueue(self, request: Request, now: float) -> bool:
        """Queues a request; one whose cache is filled already only waits for blocks and a seat."""
        super().enqueue(request, now)
        queue = self.ready if request.ready else self.waiting
        at_head = queue[0][2] is request and len(self.running) < self.spec.max_num_seqs
        return at_head and self._cut_short(now)

    def _cut_short(self, now: float) -> bool:
        """Ends a run of decode steps with the first step that ends at or after now."""
        if self.run_end is None or self._steps <= 1 or now >= self.run_end:
            return False
        steps = self._steps_until(now - self._start)
        if steps >= self._steps:
            return False
        self._steps = steps
        self.run_end = self._start + self._time_of(steps)
        self.version += 1
        return True

    def _time_of(self, steps: int) -> float:
        return self._first * steps + self._growth * (steps * (steps - 1) / 2)

    def _steps_until(self, seconds: float) -> int:
        linear = self._first - self._growth / 2
        if self._growth:
            root = sqrt(max(linear * linear + 2 * self._growth * seconds, 0.0))
            guess = 2 * seconds / (linear + root) if linear + root else seconds
        else:
            guess = seconds / self._first if self._first else 1.0
        steps = min(max(ceil(guess), 1), self._steps)
        while steps > 1 and self._time_of(steps - 1) >= seconds:
            steps -= 1
        while steps < self._steps and self._time_of(steps) < seconds:
            steps += 1
        return steps

    # Planning the next run

    def plan(self, now: float) -> float | None:
        """Lets requests in, makes room, and starts the next run of steps."""
        if self.run_end is not None:
            return None
        self._waiting_seen = len(self.waiting) + len(self.ready)
        before = self.record.preemptions
        self._resume(now)
        chunks = self._mixed_chunks(now) if self.spec.policy == IN_FLIGHT else self._prompts_first(now)
        # whoever could not come in at this step for another reason than seats and blocks may at the next
        single = self._extra > 0 or self.record.preemptions > before or bool(self.ready)
        if chunks or self._batch:
            self._begin(now, chunks, single)
        return None

    def _mixed_chunks(self, now: float) -> list[Chunk]:
        before = self.record.preemptions
        self._make_room()
        self._batch = self.decoding
        chunks, budget = self._continued(self.spec.max_num_batched_tokens - self._batch * self.spec.query_tokens)
        if self.record.preemptions == before:
            chunks += self._admitted(budget, bool(chunks), now)
        return chunks

    def _prompts_first(self, now: float) -> list[Chunk]:
        self._batch = 0
        chunks, budget = self._continued(self.spec.max_num_batched_tokens)
        chunks += self._admitted(budget, bool(chunks), now)
        if not chunks:
            self._make_room()
            self._batch = self.decoding
        return chunks

    def _resume(self, now: float) -> None:
        """Requests whose cache was swapped out or sent from another replica join the decoding ones."""
        while self.ready and len(self.running) < self.spec.max_num_seqs:
            request = self.ready[0][2]
            tokens = request.input_tokens + request.emitted - 1
            blocks = self.spec.blocks_of(max(tokens, self.spec.reserve_tokens))
            if self.running and blocks + self._demand(self.step, 1) + 1 > self.pool.available:
                return
            heappop(self.ready)
            self.pool.take(blocks)
            if request.admitted < 0:
                request.admitted = now
            if request.preemptions:
                self._extra += blocks * self.spec.swap_seconds_per_block
            self.running[request] = None
            self._fresh.append(request)
            self._join(request, tokens)

    def _make_room(self) -> None:
        """Blocks for the next token of every decoding sequence, preempting the last that came."""
        while (wanted := self._demand(self.step, 1)) > self.pool.available:
            self._preempt(self._victim(), grown=False)
        self.pool.take(wanted)

    def _victim(self) -> Request:
        if self.spec.priorities:
            worst = max(request.priority for request in self.running)
            return next(request for request in reversed(self.running) if request.priority == worst)
        return next(reversed(self.running))

    def _continued(self, budget: int) -> tuple[list[Chunk], int]:
        """Pieces of the prompts under way."""
        chunks: list[Chunk] = []
        for request in list(self.prefilling):
            if request not in self.running:
                continue
            count = min(budget, request.target - request.computed)
            if count <= 0:
                break
            wanted = self._more_blocks(request, count)
            while wanted > self.pool.available and request in self.running:
                victim = self._victim()
                self._preempt(victim, grown=True)
                chunks = [chunk for chunk in chunks if chunk[0] is not victim]
            if request in self.running:
                self.pool.grow(request, wanted)
                request.granted = max(request.granted, request.computed + count)
                chunks.append((request, count))
                budget -= count
        return chunks, budget

    def _more_blocks(self, request: Request, count: int) -> int:
        if self.spec.reserve_tokens:
            return 0
        return max(self.spec.blocks_of(request.computed + count) - self.spec.blocks_of(request.granted), 0)

    def _admitted(self, budget: int, started: bool, now: float) -> list[Chunk]:
        """First pieces (or the whole) of the prompts that wait, while seats, budget and blocks last.

        In-flight batching takes blocks for a piece at a time, the others for the whole prompt: no
        decode step could free any before the prompt is done."""
        chunks: list[Chunk] = []
        spec = self.spec
        while self.waiting and not self.ready and budget > 0 and len(self.running) < spec.max_num_seqs:
            request = self.waiting[0][2]
            computed = self._found(request)
            count = request.target - computed
            if spec.chunks:
                count = min(count, budget)
            elif count > budget and (chunks or started):
                break
            granted = computed + count if spec.policy == IN_FLIGHT else request.target
            blocks = spec.blocks_of(max(granted, spec.reserve_tokens))
            wanted, room = self.pool.needed_and_room(request, blocks)
            if wanted > room - (spec.watermark_blocks if self.running else 0):
                break
            heappop(self.waiting)
            self._admit(request, computed, granted, wanted, now)
            chunks.append((request, count))
            budget -= count
        return chunks

    def _found(self, request: Request) -> int:
        """Tokens of a prompt that need not be computed."""
        size = self.spec.block_size
        if request.given_hit and self.spec.prefix_caching:
            return int(min(request.given_hit * request.input_tokens, request.target - 1) / size + 1e-9) * size
        return self.pool.cached_blocks(request) * size

    def _admit(self, request: Request, computed: int, granted: int, wanted: int, now: float) -> None:
        if request.admitted < 0:
            request.admitted = now
            request.cached_tokens = computed
        self.pool.attach(request)
        self.pool.grow(request, wanted)
        request.computed, request.granted = computed, granted
        self.running[request] = None
        self.prefilling.append(request)

    def _begin(self, now: float, chunks: list[Chunk], single: bool) -> None:
        context = self.context_sum / self.decoding if self._batch else 0.0
        self._start, self._chunks = now, chunks
        if chunks:
            tokens = sum(count for _, count in chunks)
            cached = sum(count * request.computed for request, count in chunks) / tokens
            done = sum(request.computed + count == request.target for request, count in chunks)
            self._first, self._growth, self._steps = self.clock.mixed(self._batch, context, tokens, cached, done), 0.0, 1
        else:
            self._first, self._growth, most = self.clock.decode_run(self._batch, context)
            self._steps = 1 if single else self._affordable(min(most, self._next_end()))
        self._first += self._extra
        self._extra = 0.0
        self.run_end = now + self._time_of(self._steps)
        self.version += 1

    def _next_end(self) -> int:
        while self._ends[0][2].finish_step != self._ends[0][0]:
            heappop(self._ends)
        return self._ends[0][0] - self.step

    def _affordable(self, steps: int) -> int:
        """Decode steps that the free blocks allow; those of the first are taken already."""
        room = self.pool.available
        if self.decoding * ((steps - 1) // self.spec.steps_per_block + 1) <= room:
            return steps
        if self._demand(self.step + 1, steps - 1) <= room:
            return steps
        low, high = 1, steps
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self._demand(self.step + 1, middle - 1) <= room else (low, middle)
        return low

    def _demand(self, step: int, count: int) -> int:
        """New blocks that the decoding sequences need in ``count`` steps from a step on."""
        residues = self._residues
        size = len(residues)
        rounds, rest = divmod(count, size)
        wanted = rounds * sum(residues) if rounds else 0
        for place in range(step, step + rest):
            wanted += residues[-place % size]
        return wanted

    # What running sequences hold

    def _join(self, request: Request, tokens: int) -> None:
        """A sequence with ``tokens`` in the cache starts to decode with the next step.

        Its blocks grow by one every ``steps_per_block`` steps: ``room`` counts in steps what ``base`` counts
        in tokens (without speculation both are one)."""
        spec = self.spec
        request.base = tokens - self.step * self._per_step
        free = spec.blocks_of(tokens) * spec.block_size - tokens
        request.room = spec.blocks_of(tokens) * spec.steps_per_block - int(free / self._per_step) - self.step
        self.decoding += 1
        self.context_sum += tokens
        if not spec.reserve_tokens:
            self._residues[request.room % spec.steps_per_block] += 1
        request.finish_step = self.step + self._steps_of.steps(request.output_tokens - request.emitted)
        self._ends_pushed += 1
        heappush(self._ends, (request.finish_step, self._ends_pushed, request))

    def _leave(self, request: Request, grown: bool = False) -> tuple[int, int]:
        """A sequence no longer decodes; returns its tokens in the cache and the blocks that it holds."""
        tokens = min(int(request.base + self.step * self._per_step), request.input_tokens + request.output_tokens - 1)
        self.decoding -= 1
        self.context_sum -= request.base + self.step * self._per_step
        steps = self.spec.steps_per_block
        blocks = -(-(request.room + self.step + grown) // steps)
        if not self.spec.reserve_tokens:
            self._residues[request.room % steps] -= 1
        left = (request.finish_step - self.step) * self._per_step
        request.emitted = max(min(request.output_tokens - round(left), request.output_tokens - 1), 1)
        request.finish_step = -1
        return tokens, self._held(tokens) if self.spec.reserve_tokens else blocks

    def _preempt(self, request: Request, grown: bool) -> None:
        """Takes a sequence's blocks away; ``grown``: the block of its next token was taken already."""
        self.record.preemptions += 1
        request.preemptions += 1
        del self.running[request]
        if request.finish_step < 0:
            self.prefilling.remove(request)
            self.pool.release(request, self._held(request.granted))
        else:
            self._stop_decoding(request, grown)
        if not request.ready:
            request.computed, request.target = 0, request.input_tokens + request.emitted
        self._push(request)

    def _stop_decoding(self, request: Request, grown: bool) -> None:
        tokens, blocks = self._leave(request, grown)
        if request in self._fresh:
            self._fresh.remove(request)
        else:
            request.last_emit = self._last_emit
        if grown:
            self._batch -= 1
        self.pool.release(request, blocks)
        if self.spec.preemption == SWAP:
            request.ready = True
            self._extra += self._held(tokens) * self.spec.swap_seconds_per_block
        else:
            request.ready = False

    def _held(self, tokens: int) -> int:
        return self.spec.blocks_of(max(tokens, self.spec.reserve_tokens))

    # Ending the run

    def complete(self) -> None:
        """Tokens are out: sequences grow, prompts that are done join, finished requests leave."""
        assert self.run_end is not None
        now, self.run_end = self.run_end, None
        running, batch, steps = len(self.running), self._batch, self._steps
        self.record.steps += steps
        if batch:
            self._decoded(batch, steps, now)
        emitted = round(batch * steps * self._per_step) + self._prompts_done(now)
        used = self.pool.used
        while self._ends and (self._ends[0][0] <= self.step or self._ends[0][2].finish_step != self._ends[0][0]):
            _, _, request = heappop(self._ends)
            if 0 <= request.finish_step <= self.step:
                self._finish(request, now)
        self.record.interval(self._start, now, running, batch, self._waiting_seen, used, emitted)

    def _decoded(self, batch: int, steps: int, now: float) -> None:
        self.pool.take(self._demand(self.step, steps) - self._demand(self.step, 1))
        first_end = self._start + self._first
        for request in self._fresh:
            self.record.gap(first_end, first_end - request.last_emit, 0.0, 1, 1)
        self.record.gap(first_end, first_end - self._last_emit, 0.0, 1, batch - len(self._fresh))
        self.record.gap(now, self._first + self._growth, self._growth, steps - 1, batch)
        self._fresh.clear()
        self.step += steps
        self.context_sum += batch * steps * self._per_step
        self._last_emit = now

    def _prompts_done(self, now: float) -> int:
        emitted = 0
        for request, count in self._chunks:
            request.computed += count
            self.record.computed_prompt_tokens += count
            if request.computed < request.target:
                continue
            self.prefilling.remove(request)
            emitted += 1
            self._first_token(request, now)
        return emitted

    def _first_token(self, request: Request, now: float) -> None:
        request.emitted += 1
        if request.first_token < 0:
            request.first_token = now
        else:
            self.record.gap(now, now - request.last_emit, 0.0, 1, 1)
        request.last_emit = now
        if request.emitted >= request.output_tokens:
            del self.running[request]
            self.pool.release(request, self._held(request.target), request.target)
            self._end(request, now)
        elif self.prefilled is not None:
            del self.running[request]
            self.outstanding -= 1
            self.prefilled(request, now)
        else:
            if not self._batch:
                self._fresh.append(request)
            self._join(request, request.target)

    def hand_over(self, request: Request) -> None:
        """The cache of a prompt has reached another replica: its blocks are free here."""
        self.pool.release(request, self._held(request.target), request.target)

    def _finish(self, request: Request, now: float) -> None:
        tokens, blocks = self._leave(request)
        request.emitted = request.output_tokens
        del self.running[request]
        self.pool.release(request, blocks, tokens)
        self._end(request, now)
