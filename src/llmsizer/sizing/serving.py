"""The steady state under load, in closed form: a fixed point over the same step times.

Closed loop: so many requests are in flight at all times. Open loop: requests come at a rate. Either
way a request decodes together with ``others``; that number sets the step, the step sets how long a
request stays, and that sets the number. The iteration runs on plain numbers (or arrays); ``explain``
replays its last pass on Values.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from llmsizer.core.explain import Source, Value, named, plain
from llmsizer.core.numerics import maximum, minimum, where
from llmsizer.core.quantities import Count, Fraction, PerSecond, Seconds, Tokens
from llmsizer.formulas.latency import (
    batch_rate,
    burst_seconds,
    decode_seconds,
    delayed_seconds,
    end_to_end_seconds,
    finite_run_seconds,
    first_token_seconds,
    front_end_seconds,
    half_of,
    others_at_rate,
    prompt_tokens_of,
    rate_of_others,
    residual_seconds,
    running_rate,
    token_seconds,
    waiting_seconds,
)
from llmsizer.formulas.serving import (
    batch_seen,
    cached_tokens,
    chunk_context,
    chunk_tokens,
    decode_context,
    decode_steps,
    engine_seconds,
    interrupted_step_seconds,
    largest_tokens,
    mean_step_seconds,
    others_decoding,
    prefill_load,
    prefill_passes,
    prefill_queue_seconds,
    prefill_share,
    prefill_tokens_per_step,
    prompt_budget,
    prompt_context,
    prompts_of_tokens,
    prompts_per_step,
    sequences_at_rate,
    uncached_tokens,
)
from llmsizer.schema.deployment import Case
from llmsizer.sizing.fixed_point import anywhere, every, fixed_point, pick
from llmsizer.sizing.speculation import Speculation, speculation_of
from llmsizer.sizing.step_time import StepClock
from llmsizer.sizing.steps import Step

# Most requests in flight decode; the rest wait or prefill.
FIRST_GUESS = 0.95


@dataclass(frozen=True, slots=True)
class Moment:
    """One pass of the fixed point: what a request meets when ``others`` decode with it."""

    others: Count
    batch: Count
    pure_step: Step
    pure_seconds: Seconds
    prompt_step: Step
    prompt_seconds: Seconds
    step_seconds: Seconds
    steps: Count
    decode_seconds: Seconds
    ttft_seconds: Seconds
    prefill_load: Fraction
    prefill_share: Fraction = 0.0
    residual_seconds: Seconds = 0.0
    queue_seconds: Seconds = 0.0


@dataclass(frozen=True, slots=True)
class Steady:
    """The steady state of one attention rank: means. ``waiting`` sequences find no place in the batch;
    ``settled_ttft_seconds`` leaves out the burst at the start of a finite run."""

    moment: Moment
    running: Count
    waiting: Count
    rate: PerSecond
    ttft_seconds: Seconds
    tpot_seconds: Seconds
    e2e_seconds: Seconds
    settled_ttft_seconds: Seconds


class Serving:
    """A case's steady states; the clock is asked for every step time."""

    def __init__(self, case: Case, clock: StepClock) -> None:
        self.case, self.clock = case, clock
        self.speculation: Speculation = speculation_of(case)
        work = case.workload
        self.prompt: Tokens = uncached_tokens(work.input_tokens, work.prefix_cache_hit_rate)
        self.context: Tokens = decode_context(work.input_tokens, work.output_tokens)
        self.cached: Tokens = cached_tokens(work.input_tokens, self.prompt)
        self.steps: Count = decode_steps(work.output_tokens, self.speculation.tokens_per_step)

    def moment(self, others: Count) -> Moment:
        """What a request meets when so many others decode."""
        in_flight = self.case.batching == "in-flight"
        batch = batch_seen(others)
        pure = Step(decode_batch=batch, decode_context=self.context, query_tokens=self.speculation.query_tokens)
        pure_seconds = self.speculation.step_seconds(self.clock, pure)
        entering = prompts_per_step(others, self.steps)
        budget = self._budget(others if in_flight else 0.0)
        share = prefill_share(entering, self.prompt, budget)
        prompts = self._prompt_step(others if in_flight else 0.0, budget, entering, share)
        prompt_seconds = self.clock.seconds(prompts)
        if in_flight:
            step = mean_step_seconds(share, prompt_seconds, pure_seconds)
        else:
            step = interrupted_step_seconds(pure_seconds, share, prompt_seconds)
        load = prefill_load(entering, self.prompt, budget)
        passes = prefill_passes(self.prompt, budget)
        engine = self.case.engine
        front = front_end_seconds(engine.front_end, engine.front_end_sequence_seconds, others)
        rest, queue = residual_seconds(step, others), prefill_queue_seconds(load, prompt_seconds)
        ttft = first_token_seconds(front, rest, queue, passes, prompt_seconds)
        return Moment(
            others, batch, pure, pure_seconds, prompts, prompt_seconds, step, self.steps,
            decode_seconds(self.steps, step), ttft, load, share, rest, queue,
        )  # fmt: skip

    def _budget(self, decoding: Count) -> Tokens:
        most = self.case.max_num_batched_tokens
        return prompt_budget(most, decoding, self.speculation.query_tokens) if anywhere(plain(most) > 0) else self.prompt

    def _prompt_step(self, decoding: Count, budget: Tokens, entering: Count, share: Fraction) -> Step:
        """A step that carries prompt tokens: a prompt's own share of it at least, others' beside it."""
        own = chunk_tokens(self.prompt, prefill_passes(self.prompt, budget))
        tokens = largest_tokens(own, prefill_tokens_per_step(entering, self.prompt, share))
        return Step(
            decode_batch=decoding, decode_context=self.context, prefill_tokens=tokens,
            prefill_context=prompt_context(self.cached, chunk_context(self.prompt, own)),
            prefill_sequences=prompts_of_tokens(tokens, self.prompt), query_tokens=self.speculation.query_tokens,
        )  # fmt: skip

    def closed(self, concurrency: Count, cap: Count) -> Steady:
        """The steady state of a closed loop with so many requests in flight."""
        running = minimum(concurrency, cap)
        return self._closed_state(self._full(running), concurrency, running)

    def _full(self, running: Any) -> Moment:
        """The moment of an engine that always runs so many."""
        most = maximum(running - 1.0, 0.0)

        def respond(now: Moment, chosen: Any) -> Any:
            return others_decoding(pick(running, chosen), now.decode_seconds, now.ttft_seconds)

        return self._settle(respond, most * FIRST_GUESS, most)

    def _settle(self, respond: Callable[[Moment, Any], Any], start: Any, most: Any) -> Moment:
        """The moment whose number of others is the one it leads to."""
        last: list[Moment] = []

        def answer(others: Any, chosen: Any) -> Any:
            last[:] = [(self if chosen is None else self._part(chosen)).moment(others)]
            return respond(last[0], chosen)

        fixed_point(answer, start, most)
        return last[0]

    def _part(self, chosen: Any) -> Serving:
        """The same engine for some of the requests whose lengths are arrays."""
        work = self.case.workload
        lengths = {name: pick(getattr(work, name), chosen) for name in type(work).__dataclass_fields__}
        return Serving(replace(self.case, workload=replace(work, **lengths)), self.clock)

    def _closed_state(self, moment: Moment, concurrency: Any, running: Any) -> Steady:
        rate = running_rate(running, moment.ttft_seconds, moment.decode_seconds)
        wait = waiting_seconds(concurrency, running, rate)
        return self._steady(moment, running, plain(concurrency) - plain(running), rate, wait, concurrency)

    def open(self, rate: Any, cap: Any, most: Any = None) -> Steady:
        """The steady state at a request rate per rank; ``most`` sequences in flight at the most.

        A rate the engine cannot hold leaves a queue that grows: the state is then that of a full
        batch, and ``rate`` the highest that holds.
        """
        limit = cap if most is None else minimum(most, cap)
        full, others = self._full(limit), maximum(limit - 1.0, 0.0)
        holds = rate < self._highest_rate(full, limit)
        if not anywhere(holds):
            return self._open_state(full, rate, limit, holds)

        def respond(now: Moment, chosen: Any) -> Any:
            found = minimum(others_at_rate(pick(rate, chosen), now.decode_seconds), pick(others, chosen))
            return where(pick(holds, chosen), found, now.others)

        start = where(holds, minimum(others_at_rate(rate, full.decode_seconds), others), full.others)
        moment = self._settle(respond, start, others)
        return self._open_state(moment, rate, limit, holds)

    def _highest_rate(self, full: Moment, limit: Any) -> PerSecond:
        inside = engine_seconds(full.ttft_seconds, self.case.engine.front_end)
        return running_rate(limit, inside, full.decode_seconds)

    def at(self, others: Any) -> Steady:
        """The steady state of an open loop in which a request meets so many others: its rate follows."""
        moment = self.moment(others)
        return self._open_state(moment, rate_of_others(others, moment.decode_seconds), None, True)

    def _open_state(self, moment: Moment, rate: Any, limit: Any, holds: Any) -> Steady:
        """``holds``: whether the engine keeps up with the rate; where not, the moment is that of a full batch."""
        inside = engine_seconds(moment.ttft_seconds, self.case.engine.front_end)
        running = sequences_at_rate(rate, inside, moment.decode_seconds)
        if every(holds):
            return self._steady(moment, running, 0.0, rate, 0.0)
        highest = self._highest_rate(moment, limit)
        if not anywhere(holds):
            return self._steady(moment, limit, float("inf"), highest, 0.0)
        waiting = where(holds, 0.0, float("inf"))
        return self._steady(moment, where(holds, running, limit), waiting, where(holds, rate, highest), 0.0)

    def static(self, batch: Any) -> Steady:
        """Batches one after another: all prompts first, then all answers to the end."""
        whole = prompt_tokens_of(self.prompt, batch)
        passes = prefill_passes(whole, largest_tokens(self._budget(0.0), self.prompt))
        tokens = chunk_tokens(whole, passes)
        finished = prompts_of_tokens(tokens, self.prompt)
        prompts = Step(prefill_tokens=tokens, prefill_context=self.cached, prefill_sequences=finished)
        pure = Step(decode_batch=batch, decode_context=self.context, query_tokens=self.speculation.query_tokens)
        prompt_seconds, pure_seconds = self.clock.seconds(prompts), self.speculation.step_seconds(self.clock, pure)
        ttft = first_token_seconds(self.case.engine.front_end, 0.0, 0.0, passes, prompt_seconds)
        decode = decode_seconds(self.steps, pure_seconds)
        moment = Moment(plain(batch) - 1.0, batch, pure, pure_seconds, prompts, prompt_seconds, pure_seconds, self.steps,
                        decode, ttft, 0.0)  # fmt: skip
        return self._steady(moment, batch, 0.0, batch_rate(batch, ttft, decode), 0.0)

    def replay(self, others: Any, concurrency: Any, cap: Any, rate: Any, holds: bool) -> Steady:
        """The last pass of a settled state, on Values; ``rate`` and whether it ``holds`` of an open loop."""
        if self.case.batching == "static":
            return self.static(batch_seen(others))
        moment = self.moment(others)
        limit = cap if concurrency is None else minimum(concurrency, cap)
        if rate is not None:
            return self._open_state(moment, rate, limit, holds)
        in_flight = 1.0 if concurrency is None else concurrency
        return self._closed_state(moment, in_flight, minimum(in_flight, cap))

    def _steady(self, moment: Moment, running: Count, waiting: Any, rate: PerSecond, wait: Seconds,
                concurrency: Any = None) -> Steady:  # fmt: skip
        ttft = delayed_seconds(moment.ttft_seconds, wait) if anywhere(plain(wait) > 0) else moment.ttft_seconds
        settled = ttft
        if self.case.num_prompts is not None and concurrency is not None:
            ttft = finite_run_seconds(ttft, self._burst_seconds(running), running, self._prompts_of_rank(concurrency))
        tpot = token_seconds(moment.step_seconds, self.speculation.tokens_per_step)
        e2e = end_to_end_seconds(ttft, self.case.workload.output_tokens, tpot)
        return Steady(moment, running, waiting, rate, named(ttft, "ttft_seconds"), named(tpot, "tpot_seconds"),
                      named(e2e, "e2e_seconds"), settled)  # fmt: skip

    def _prompts_of_rank(self, concurrency: Any) -> Any:
        """Prompts of a finite run that come to one attention rank, at least as many as are in flight."""
        share = plain(self.case.num_prompts) / plain(self.case.parallel.data_parallel_size)
        return maximum(share, plain(concurrency))

    def _burst_seconds(self, running: Count) -> Seconds:
        """Mean time to first token when a run starts and all prompts come at once."""
        decoding = half_of(running)
        budget = self._budget(decoding if self.case.batching == "in-flight" else 0.0)
        whole = prompt_tokens_of(self.prompt, running)
        passes = prefill_passes(whole, largest_tokens(budget, chunk_tokens(self.prompt, prefill_passes(self.prompt, budget))))
        tokens = chunk_tokens(whole, passes)
        step = Step(
            decode_batch=decoding if self.case.batching == "in-flight" else 0.0, decode_context=self.context,
            prefill_tokens=tokens, prefill_context=self.cached, prefill_sequences=prompts_of_tokens(tokens, self.prompt),
        )  # fmt: skip
        return burst_seconds(self.case.engine.front_end, passes, self.clock.seconds(step))


def settled_leaf(others: float) -> Value:
    """The number the iteration settled on, as a leaf of a derivation."""
    return Value(others, "1", "others", Source("fixed point of the steady state (found by iteration)"))
