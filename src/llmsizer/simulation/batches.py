"""Static and dynamic batching: a batch is formed, padded to its longest, and run to its end."""

from __future__ import annotations

from functools import cached_property
from heapq import heappop
from typing import TYPE_CHECKING

from llmsizer.simulation.replica import Replica
from llmsizer.simulation.requests import Request
from llmsizer.simulation.spec import DYNAMIC
from llmsizer.simulation.yields import StepCounter

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class BatchReplica(Replica):
    """Whole batches. Every prompt is computed as long as the longest, every answer takes as many
    steps as the longest; first tokens come with the prompts' step, and all requests end with the batch."""

    batch: tuple[Request, ...] = ()

    @cached_property
    def counter(self) -> StepCounter:
        """Draws the steps of answers."""
        return StepCounter(self.spec.yields, self.index)

    def plan(self, now: float) -> float | None:
        """Forms a batch; if a dynamic one still waits to fill, returns when its window ends."""
        if not self.waiting or self.run_end is not None:
            return None
        if self.spec.policy == DYNAMIC and len(self.waiting) < self.spec.max_num_seqs:
            closes = min(entry[2].queued for entry in self.waiting) + self.spec.batch_window_seconds
            if now < closes:
                return closes
        self.batch = tuple(self._formed(now))
        self._run(now)
        return None

    def _formed(self, now: float) -> list[Request]:
        batch: list[Request] = []
        prompt = answer = 0
        while self.waiting and len(batch) < self.spec.max_num_seqs:
            request = self.waiting[0][2]
            longest = max(prompt, request.input_tokens), max(answer, request.output_tokens)
            reach = max(sum(longest) - 1, self.spec.reserve_tokens)
            if batch and self.spec.blocks_of(reach) * (len(batch) + 1) > self.pool.capacity:
                break
            prompt, answer = longest
            heappop(self.waiting)
            request.admitted = now
            batch.append(request)
        return batch

    def _run(self, now: float) -> None:
        import numpy as np

        size = len(self.batch)
        prompt = max(request.input_tokens for request in self.batch)
        steps = max(self.counter.steps(request.output_tokens - 1) for request in self.batch)
        first = now + self._prompt_seconds(prompt, size)
        times = self._decode_times(size, prompt, steps)
        ends = first + np.cumsum(times)
        for request in self.batch:
            request.first_token = first
        self.record.computed_prompt_tokens += sum(request.input_tokens for request in self.batch)
        self.record.steps += 1 + steps
        self.run_end = float(ends[-1]) if steps else first
        self._note(now, first, times, ends, prompt)
        self.version += 1

    def _prompt_seconds(self, prompt: int, size: int) -> float:
        """All prompts, in as many like steps as the step's budget asks for; a whole prompt in each at least."""
        whole = prompt * size
        passes = -(-whole // max(self.spec.max_num_batched_tokens, prompt))
        return passes * self.clock.mixed(0, 0.0, whole / passes, 0.0, size / passes)

    def _decode_times(self, size: int, prompt: int, steps: int) -> NDArray[np.float64]:
        import numpy as np

        times = np.empty(steps)
        done = 0
        while done < steps:
            first, growth, most = self.clock.decode_run(size, prompt + done * self.spec.tokens_per_step)
            count = min(most, steps - done)
            times[done : done + count] = first + growth * np.arange(count)
            done += count
        return times

    def _note(self, now: float, first: float, times: NDArray[np.float64], ends: NDArray[np.float64], prompt: int) -> None:
        import numpy as np

        waiting, size = len(self.waiting), len(self.batch)
        # a batch holds room for its longest prompt and answer from the start
        used = min(size * self.spec.blocks_of(max(prompt + times.size, self.spec.reserve_tokens)), self.pool.capacity)
        self.record.interval(now, first, size, 0, waiting, used, size)
        answers = np.sort([min(request.output_tokens - 1, times.size) for request in self.batch])
        done, start = 0, first
        for place, answer in enumerate(answers.tolist()):
            if answer > done:
                end, tokens = float(ends[answer - 1]), (size - place) * (answer - done)
                self.record.interval(start, end, size, size - place, waiting, used, tokens)
                for moment, step in zip(ends[done:answer].tolist(), times[done:answer].tolist(), strict=True):
                    self.record.gap(moment, step, 0.0, 1, size - place)
                done, start = answer, end

    def complete(self) -> None:
        """The batch ends, for all of its requests at once."""
        assert self.run_end is not None
        now, self.run_end = self.run_end, None
        for request in self.batch:
            request.emitted = request.output_tokens
            self._end(request, now)
        self.batch = ()
