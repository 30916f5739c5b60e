"""Disaggregated serving in closed form: prefill replicas, the cache's way, decode replicas."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from llmsizer.core.explain import plain
from llmsizer.core.numerics import maximum, minimum
from llmsizer.core.quantities import Count, Fraction, PerSecond, Seconds, Tokens
from llmsizer.formulas.batches import (
    batch_dispersion,
    batch_variance,
    batch_wait_seconds,
    gathered,
    gathering_seconds,
    gathering_square,
    own_batch,
)
from llmsizer.formulas.latency import (
    decode_seconds,
    delayed_seconds,
    end_to_end_seconds,
    others_at_rate,
    running_rate,
    token_seconds,
)
from llmsizer.formulas.pools import (
    answer_rate,
    balanced_others,
    balanced_ratio,
    crowded_first_token_seconds,
    handed_decode_seconds,
    handed_first_token_seconds,
    pool_load,
    pool_wait_seconds,
    prompt_rate,
    rate_of_replica,
)
from llmsizer.formulas.prompts import (
    busy_open,
    carried_prompts,
    further_steps_seconds,
    mean_of_steps,
    prompt_seconds_each,
    residual_seconds,
    tokens_of_prompts,
)
from llmsizer.formulas.serving import (
    batch_seen,
    chunk_context,
    chunk_tokens,
    prefill_passes,
    prompt_context,
    prompts_of_tokens,
)
from llmsizer.schema.deployment import Case
from llmsizer.sizing.fixed_point import fixed_point
from llmsizer.sizing.kernels import Collective
from llmsizer.sizing.machine import stage_machine
from llmsizer.sizing.memory import MemoryEstimate
from llmsizer.sizing.serving import Serving
from llmsizer.sizing.step_time import StepClock
from llmsizer.sizing.steps import Step, load_of

# A pool this full has no steady state worth telling.
FULL = 0.98


@dataclass(frozen=True, slots=True)
class Pools:
    """A steady state of two pools: means. ``prefill_load`` and ``decode_load`` are their utilisations,
    ``ratio`` the prefill replicas that one decode replica needs, ``highest_rate`` what both bear."""

    rate: PerSecond
    ttft_seconds: Seconds
    tpot_seconds: Seconds
    e2e_seconds: Seconds
    transfer_seconds: Seconds
    prefill_load: Fraction
    decode_load: Fraction
    decode_batch: Count
    ratio: Fraction
    highest_rate: PerSecond


def transfer_seconds(
    case: Case, memory: MemoryEstimate, tokens: Tokens, other: tuple[Case, MemoryEstimate] | None = None
) -> Seconds:
    """Time of a prompt's cache from one replica to another: each device sends or takes its share, over the machine's
    links where both replicas are in one machine, else over the network; ``other``: the receiver, where it is not alike."""
    if other is None:
        return _share_seconds(case, memory, tokens, 2 * case.parallel.devices)
    devices: float = case.parallel.devices + other[0].parallel.devices
    if case.accelerator.id != other[0].accelerator.id:
        devices = float("inf")
    return maximum(_share_seconds(case, memory, tokens, devices), _share_seconds(*other, tokens, devices))


def _share_seconds(case: Case, memory: MemoryEstimate, tokens: Tokens, devices: Count) -> Seconds:
    """Time in which each device of a replica moves its share; ``devices``: those of both replicas."""
    sent = Collective("cache", "rows", memory.kv_bytes_per_token_per_gpu, 1.0, 2, stage_machine(case, devices))
    return sent.seconds(load_of(Step(prefill_tokens=tokens, prefill_sequences=1.0), 1))


class Disaggregated:
    """Two pools of like replicas of a case; a replica of several attention ranks counts as that many."""

    def __init__(self, case: Case, memory: MemoryEstimate, prefill: int, decode: int) -> None:
        ranks = int(plain(case.parallel.data_parallel_size))
        self.case, self.memory = case, memory
        self.prefill, self.decode = prefill * ranks, decode * ranks
        self.serving = Serving(replace(case, request_rate=1.0), StepClock(case))
        self.width = prompts_of_tokens(self.serving.budget(0.0), self.serving.prompt)
        running = float(plain(memory.running_sequences)) / ranks
        self.batch = max(min(float(plain(case.max_num_seqs)), running), 1.0)
        self.transfer = transfer_seconds(case, memory, case.workload.input_tokens)

    def _prompts(self, count: Count) -> Seconds:
        """Time to read so many prompts, in as many steps as the budget asks for."""
        serving, carried = self.serving, carried_prompts(count, maximum(self.width, 1.0))
        whole = tokens_of_prompts(serving.prompt, carried)
        passes = prefill_passes(whole, serving.budget(0.0))
        tokens = chunk_tokens(whole, passes)
        context = prompt_context(serving.cached, chunk_context(serving.prompt, minimum(tokens, serving.prompt)))
        step = Step(prefill_tokens=tokens, prefill_context=context, prefill_sequences=prompts_of_tokens(tokens, serving.prompt))
        return decode_seconds(passes, serving.clock.seconds(step))

    def _token(self, others: Count) -> Seconds:
        serving = self.serving
        step = Step(
            decode_batch=batch_seen(others), decode_context=serving.context, query_tokens=serving.speculation.query_tokens
        )
        return serving.speculation.step_seconds(serving.clock, step)

    def highest(self) -> tuple[PerSecond, PerSecond]:
        """What a replica of each pool bears: prompts read, and answers decoded, per second."""
        full = carried_prompts(1e9, maximum(self.width, 1.0))
        decode = handed_decode_seconds(self.serving.steps, self._token(self.batch - 1.0), 0.0)
        return prompt_rate(full, self._prompts(full)), answer_rate(self.batch, decode)

    def at_rate(self, rate: PerSecond, met: Fraction = 1.0) -> Pools:
        """The state at a request rate that both pools bear; ``met``: the share of it that a request meets of others."""
        most_prompts, most_answers = self.highest()
        others, step = self._decoding(rate_of_replica(rate * met, self.decode))
        ttft = self._first_token(rate_of_replica(rate * met, self.prefill), others)
        decode = handed_decode_seconds(self.serving.steps, step, residual_seconds(step, busy_open(others)))
        tpot = token_seconds(mean_of_steps(decode, self.serving.steps), self.serving.speculation.tokens_per_step)
        return Pools(
            rate, ttft, tpot, end_to_end_seconds(ttft, decode), self.transfer,
            pool_load(rate, most_prompts, self.prefill), pool_load(rate, most_answers, self.decode), batch_seen(others),
            balanced_ratio(most_prompts, most_answers), minimum(most_prompts * self.prefill, most_answers * self.decode),
        )  # fmt: skip

    def at_concurrency(self, concurrency: float) -> Pools:
        """The state with so many requests in flight."""
        most_prompts, most_answers = self.highest()
        most, met = FULL * min(most_prompts * self.prefill, most_answers * self.decode), 1.0 - 1.0 / concurrency

        def respond(rate: Any, _: Any) -> Any:
            found = self.at_rate(max(rate, 1e-9), met)
            return min(
                float(plain(running_rate(concurrency, found.ttft_seconds, found.e2e_seconds - found.ttft_seconds))), most
            )

        found = self.at_rate(float(fixed_point(respond, most / 2, most)), met)
        decode = found.e2e_seconds - found.ttft_seconds
        ttft = crowded_first_token_seconds(found.ttft_seconds, concurrency, found.rate, decode)
        return replace(found, ttft_seconds=ttft, e2e_seconds=end_to_end_seconds(ttft, decode))

    def _first_token(self, rate: PerSecond, others: Count) -> Seconds:
        """Prompts that come while others are read form the next step."""

        def respond(size: Any, _: Any) -> Any:
            return min(gathered(rate, gathering_seconds(rate, self._prompts(max(size, 1.0)), 0.0)), most)

        most, front = max(float(plain(self.width)), 1.0), self.serving.front_end(others)
        if not rate:
            return handed_first_token_seconds(front, 0.0, self._prompts(1.0), self.transfer)
        size = max(float(fixed_point(respond, 1.0, most)), 1.0)
        step, growth = self._prompts(size), prompt_seconds_each(self._prompts(size + 1.0), self._prompts(size), 1.0)
        gathering = gathering_seconds(rate, step, 0.0)
        square = gathering_square(rate, step, 0.0, gathering, growth)
        wait = batch_wait_seconds(rate, gathering, square)
        own = own_batch(size, batch_variance(size, batch_dispersion(rate, gathering, square, growth)), most)
        load = pool_load(rate, self.highest()[0], 1)
        wait = delayed_seconds(wait, further_steps_seconds(load, most, self.serving.variation, self._prompts(most)))
        wait = pool_wait_seconds(wait, minimum(load, 1.0), self.prefill)
        return handed_first_token_seconds(front, wait, self._prompts(own), self.transfer)

    def _decoding(self, rate: PerSecond) -> tuple[Count, Seconds]:
        """Others that decode with a sequence, and the step."""
        most = self.batch - 1.0

        def respond(others: Any, _: Any) -> Any:
            return min(others_at_rate(rate, self.serving.steps * self._token(self._beside(others))), most)

        others = self._beside(float(fixed_point(respond, most / 2, most)))
        return others, self._token(others)

    def _beside(self, others: float) -> float:
        """Others that decode in the replica to which a sequence was sent, the least loaded."""
        return float(plain(balanced_others(others, self.decode)))
