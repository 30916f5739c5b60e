"""The steady state under load, in closed form: a fixed point over the same step times.

Closed loop: so many requests are in flight at all times. Open loop: requests come at a rate. Either
way a request decodes together with ``others``; that number sets the step, the step sets how long a
request stays, and that sets the number. The iteration runs on plain numbers (or arrays); ``explain``
replays its last pass on Values.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from llmsizer.core.explain import named, plain
from llmsizer.core.numerics import maximum, minimum, where
from llmsizer.core.quantities import Count, Fraction, PerSecond, Seconds, Tokens
from llmsizer.formulas.latency import (
    decode_seconds,
    delayed_seconds,
    end_to_end_seconds,
    finite_run_seconds,
    in_flight_of_users,
    others_at_rate,
    rate_of_others,
    running_of_users,
    running_rate,
    seated_seconds,
    shortened_step,
    token_seconds,
    waiting_seconds,
)
from llmsizer.formulas.percentiles import joint_deviation
from llmsizer.formulas.prompts import (
    busy_closed,
    busy_open,
    decode_with_trail,
    first_token_deviation,
    first_token_seconds,
    full_step_load,
    further_steps_seconds,
    met_at_most,
    met_step_seconds,
    met_step_variance,
    met_turn_seconds,
    own_step_seconds,
    prefill_queue_seconds,
    prompt_seconds_each,
    prompt_time_share,
    prompts_at_rate,
    prompts_deviation,
    prompts_in_time,
    prompts_met,
    prompts_spread,
    prompts_with_trail,
    residual_seconds,
    step_with_prompts,
    step_with_trail,
    trailing_seconds,
)
from llmsizer.formulas.prompts_first import met_of_turns, trail_of_turns
from llmsizer.formulas.serving import (
    batch_seen,
    cached_tokens,
    chunk_context,
    chunk_tokens,
    decode_steps,
    engine_seconds,
    interrupted_step_seconds,
    largest_tokens,
    mean_step_seconds,
    others_decoding,
    prefill_load,
    prefill_passes,
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
from llmsizer.sizing import front_end
from llmsizer.sizing.bursts import burst_seconds
from llmsizer.sizing.fixed_point import alike, anywhere, every, fixed_point, pick
from llmsizer.sizing.lengths import decoding_context, inverse_steps, longer_prompts
from llmsizer.sizing.moment import Moment, Steady, merged, spread
from llmsizer.sizing.prompts_first import Turns, turn, turns_of
from llmsizer.sizing.speculation import Speculation, speculation_of
from llmsizer.sizing.step_time import StepClock
from llmsizer.sizing.steps import Step, decode_step

# Most requests in flight decode; the rest wait or prefill.
FIRST_GUESS = 0.95
# How near the rate of a given load must be found: a little of it moves a busy engine far.
NARROW = 1e-8
# Requests a second of an engine as good as idle.
LEAST_RATE = 1e-9


@dataclass(frozen=True, slots=True)
class Meeting:
    """What a request meets that comes among others: what each prompt adds to a step, the prompts' share
    of the time and their number per step, and how long the step is into which it comes."""

    each: Seconds
    share: Fraction
    entering: Count
    met: Seconds
    busy: Fraction
    turns: Turns | None = None


class Serving:
    """A case's steady states; the clock is asked for every step time."""

    def __init__(self, case: Case, clock: StepClock) -> None:
        self.case, self.clock = case, clock
        self.speculation: Speculation = speculation_of(case)
        work = case.workload
        self.prompt: Tokens = uncached_tokens(work.input_tokens, work.prefix_cache_hit_rate)
        self.context: Tokens = decoding_context(work)
        self.cached: Tokens = cached_tokens(work.input_tokens, self.prompt)
        self.variation: Fraction = work.spread.input_variation if work.spread is not None else 0.0
        self.longer: Tokens = longer_prompts(work, self.prompt)
        self.steps: Count = decode_steps(work.output_tokens, self.speculation.tokens_per_step)
        self.inverse: Fraction = inverse_steps(work)
        self.in_flight = case.batching == "in-flight"
        self.is_open = case.request_rate is not None
        self._kept: dict[str, tuple[Any, Any]] = {}

    def moment(self, others: Count, rate: PerSecond | None = None) -> Moment:
        """What a request meets when so many others decode; in an open loop of this rate, where it is known."""
        batch = batch_seen(others)
        pure = decode_step(self.case, batch, self.context, self.speculation.query_tokens)
        pure_seconds = self._once("pure", others, lambda: self.speculation.step_seconds(self.clock, pure))
        decoding = others if self.in_flight else 0.0
        budget = self.budget(decoding)
        entering = prompts_per_step(others, self.steps)
        share = prefill_share(entering, self.prompt, budget)
        turns = turns_of(self, rate, pure_seconds) if rate is not None and not self.in_flight else None
        prompts = self.prompt_step(decoding, budget, entering, share) if turns is None else turn(self, turns.prompts)
        timed = partial(self.clock.timed, prompts)
        mixed, fill = self._once("mixed", others, timed) if turns is None else timed()
        each = self._each(pure_seconds, mixed, prompts)
        if turns is not None:
            entering, step = prompts_in_time(turns.rate, turns.interval), turns.interval
        elif self.is_open:
            entering = self._entering(others, rate, pure_seconds, each)
            step = step_with_prompts(pure_seconds, entering, each)
        elif self.in_flight:
            step = mean_step_seconds(share, mixed, pure_seconds)
        else:
            step = interrupted_step_seconds(pure_seconds, share, mixed)
        now = Moment(others, batch, pure, pure_seconds, prompts, mixed, step, self.steps, 0.0, 0.0,
                     prefill_load(entering, self.prompt, budget), fill_seconds=fill)  # fmt: skip
        meeting = self._meeting(now, entering, each, budget, turns)
        if rate is None:
            return self._with_first_token(now, meeting, budget)
        base, more = (pure_seconds, each) if turns is None else (turns.base, turns.each)
        load = full_step_load(rate, base, more, prompts_of_tokens(budget, self.prompt))
        return self._with_first_token(replace(now, prefill_load=load), meeting, budget, further_steps_seconds)

    def _once(self, name: str, others: Count, time: Callable[[], Any]) -> Any:
        """A time that depends on the others alone, kept while the rate is sought at which so many are met."""
        kept = self._kept.get(name)
        if kept is None or kept[0] is not others:
            kept = self._kept[name] = (others, time())
        return kept[1]

    def _entering(self, others: Count, rate: PerSecond | None, pure: Seconds, each: Seconds) -> Count:
        """Prompts that come in a step of an open loop; where its rate is not known it follows from the others."""
        if rate is None:
            return prompts_with_trail(others, self.steps, pure, each)
        return prompts_at_rate(rate, pure, each)

    def _each(self, pure: Seconds, mixed: Seconds, prompts: Step) -> Seconds:
        """What each prompt adds to a step: all of its time where prompts have steps of their own."""
        carried = prompts_of_tokens(prompts.prefill_tokens, self.prompt)
        return prompt_seconds_each(mixed, pure if self.in_flight else 0.0, carried)

    def _meeting(self, now: Moment, entering: Count, each: Seconds, budget: Tokens, turns: Turns | None) -> Meeting:
        """In a closed loop prompts come as answers end, however long a step is: its length does not feed back."""
        share = prompt_time_share(entering, each, now.step_seconds)
        if turns is not None:
            met = met_of_turns(now.pure_seconds, now.prompt_seconds, turns.each, turns.prompts, self.variation, share)
            return Meeting(turns.each, share, entering, met, busy_open(now.others), turns)
        if self.in_flight:
            met = met_step_seconds(now.step_seconds, each, entering, self.variation, share if self.is_open else 0.0)
            met = met_at_most(met, now.pure_seconds, each, prompts_of_tokens(budget, self.prompt))
        else:
            met = met_turn_seconds(now.pure_seconds, each, share)
        return Meeting(each, share, entering, met, (busy_open if self.is_open else busy_closed)(now.others))

    def _with_first_token(
        self, now: Moment, meeting: Meeting, budget: Tokens, wait: Callable[..., Seconds] = prefill_queue_seconds
    ) -> Moment:
        """The moment with its time to first token, and with what a request's own prompt does to its decoding; ``wait``
        for prompts before it that fill the steps."""
        mixed, each, entering = now.prompt_seconds, meeting.each, meeting.entering
        width, passes = prompts_of_tokens(budget, self.prompt), prefill_passes(self.prompt, budget)
        with_it = prompts_met(entering, meeting.met, now.step_seconds, width)
        carried = prompts_of_tokens(now.prompt_step.prefill_tokens, self.prompt)
        own = own_step_seconds(mixed, each, with_it, passes, carried)
        queue = wait(now.prefill_load, width, self.variation, mixed)
        rest = residual_seconds(meeting.met, meeting.busy)
        ttft = first_token_seconds(self.front_end(now.others), rest, queue, passes, mixed, own)
        varying = met_step_variance(meeting.met, now.step_seconds if self.in_flight else now.pure_seconds, each)
        others = prompts_spread(each, with_it, self.variation)
        half = residual_seconds(meeting.met, 1.0)
        if plain(self.case.parallel.pipeline_parallel_size) > 1:
            ttft = delayed_seconds(ttft, now.fill_seconds)
        spread = first_token_deviation(half, meeting.busy, others, varying, meeting.share, queue, now.prefill_load)
        reading = own if wait is prefill_queue_seconds else first_token_seconds(0.0, 0.0, queue, passes, mixed, own)
        trail, feedback = self._trail(now, meeting, reading)
        steps, inverse = now.steps, self.inverse
        each_step = prompts_deviation(each, entering, self.variation, feedback, steps, inverse)
        decode = decode_with_trail(steps, now.step_seconds, trail)
        return replace(
            now, step_seconds=step_with_trail(now.step_seconds, trail, steps, inverse), decode_seconds=decode,
            ttft_seconds=ttft, ttft_deviation=spread, decode_deviation=decode_seconds(steps, each_step),
            e2e_deviation=joint_deviation(decode_seconds(steps, each_step), spread)
        )  # fmt: skip

    def _trail(self, now: Moment, meeting: Meeting, reading: Seconds) -> tuple[Seconds, Fraction]:
        """What prompts that came while a request's own was read add to its decoding, and how far steps feed back."""
        if not self.is_open:
            return 0.0, 0.0
        turns = meeting.turns
        if turns is None:
            return trailing_seconds(reading, now.step_seconds if self.in_flight else 0.0, meeting.share), meeting.share
        found = trail_of_turns(turns.rate, now.pure_seconds, reading, turns.base, turns.each, turns.count)
        return found, meeting.share

    def front_end(self, others: Count) -> Seconds:
        """The part of the time to first token outside the engine."""
        return front_end.beside(self.case, others)

    def budget(self, decoding: Count) -> Tokens:
        """Prompt tokens that one step takes beside so many decoding sequences."""
        most = self.case.max_num_batched_tokens
        return prompt_budget(most, decoding, self.speculation.query_tokens) if anywhere(plain(most) > 0) else self.prompt

    def prompt_step(self, decoding: Count, budget: Tokens, entering: Count, share: Fraction) -> Step:
        """A step that carries prompt tokens: a prompt's own share of it at least, others' beside it."""
        own = chunk_tokens(self.prompt, prefill_passes(self.prompt, budget))
        tokens = largest_tokens(own, prefill_tokens_per_step(entering, self.prompt, share))
        context = prompt_context(self.cached, chunk_context(self.prompt, own))
        if plain(self.longer):
            context = prompt_context(context, self.longer)
        return Step(
            decode_batch=decoding, decode_context=self.context, prefill_tokens=tokens,
            prefill_context=context,
            prefill_sequences=prompts_of_tokens(tokens, self.prompt), query_tokens=self.speculation.query_tokens,
        )  # fmt: skip

    def closed(self, concurrency: Count, cap: Count) -> Steady:
        """The steady state of a closed loop with so many requests in flight."""
        running = minimum(concurrency, cap)
        return self._closed_state(self._full(running, concurrency), concurrency, running)

    def _full(self, running: Any, users: Any = None) -> Moment:
        """The moment of an engine that always runs so many, for so many users where they think."""
        most, think = maximum(running - 1.0, 0.0), self.case.think_seconds

        def respond(now: Moment, chosen: Any) -> Any:
            others = others_decoding(pick(running, chosen), now.decode_seconds, now.ttft_seconds)
            if users is None or not plain(think):
                return others
            sent = others_decoding(pick(users, chosen), now.decode_seconds, delayed_seconds(now.ttft_seconds, think))
            return minimum(others, sent)

        return self._settle(respond, most * FIRST_GUESS, most)

    def _full_at(self, limit: Any) -> Moment:
        """The moment of an engine that always runs so many, found once for requests that are alike."""
        work = self.case.workload
        found = alike([limit, *(getattr(work, name) for name in type(work).__dataclass_fields__)])
        if found is None:
            return self._full(limit)
        first, which = found
        moment: Moment = spread(self.part(first)._full(pick(limit, first)), which)
        return moment

    def _settle(self, respond: Callable[[Moment, Any], Any], start: Any, most: Any, rate: Any = None) -> Moment:
        """The moment whose number of others is the one it leads to."""
        last: list[Moment] = []

        def answer(others: Any, chosen: Any) -> Any:
            part = self if chosen is None else self.part(chosen)
            last[:] = [part.moment(others, None if rate is None else pick(rate, chosen))]
            return respond(last[0], chosen)

        fixed_point(answer, start, most)
        return last[0]

    def part(self, chosen: Any) -> Serving:
        """The same engine for some of the requests whose lengths are arrays."""
        work = self.case.workload
        lengths = {name: pick(getattr(work, name), chosen) for name in type(work).__dataclass_fields__}
        return Serving(replace(self.case, workload=replace(work, **lengths)), self.clock)

    def _closed_state(self, moment: Moment, concurrency: Any, running: Any) -> Steady:
        think = self.case.think_seconds
        if plain(think):
            stay = delayed_seconds(moment.ttft_seconds, moment.decode_seconds)
            running = running_of_users(concurrency, stay, think, running)
        rate = running_rate(running, moment.ttft_seconds, moment.decode_seconds)
        if plain(think):
            concurrency = in_flight_of_users(concurrency, rate, think)
        wait = waiting_seconds(concurrency, running, rate)
        return self._steady(moment, running, plain(concurrency) - plain(running), rate, wait, concurrency)

    def open(self, rate: Any, cap: Any, most: Any = None) -> Steady:
        """The steady state at a request rate per rank; ``most`` sequences in flight at the most.

        A rate the engine cannot hold leaves a queue that grows: the state is then that of a full
        batch, and ``rate`` the highest that holds.
        """
        limit = cap if most is None else minimum(most, cap)
        full, others = self._full_at(limit), maximum(limit - 1.0, 0.0)
        holds = rate < self._highest_rate(full, limit)
        if not anywhere(holds):
            return self._open_state(full, rate, limit, holds)

        def respond(now: Moment, chosen: Any) -> Any:
            found = minimum(others_at_rate(pick(rate, chosen), now.decode_seconds), pick(others, chosen))
            return where(pick(holds, chosen), found, now.others)

        start = where(holds, minimum(others_at_rate(rate, full.decode_seconds), others), full.others)
        moment = self._settle(respond, start, others, rate)
        if not every(holds):
            moment = merged(holds, moment, full)
        return self._open_state(moment, rate, limit, holds)

    def _highest_rate(self, full: Moment, limit: Any) -> PerSecond:
        inside = engine_seconds(full.ttft_seconds, front_end.alone(self.case))
        return running_rate(limit, inside, full.decode_seconds)

    def at(self, others: Any) -> Steady:
        """The steady state of an open loop in which a request meets so many others: its rate follows."""
        last = [self.moment(others)]
        least = plain(last[0].steps) * plain(last[0].pure_seconds)

        def respond(share: Any, _: Any) -> Any:
            last[:] = [self.moment(others, maximum(rate_of_others(others, least) * share, LEAST_RATE))]
            return minimum(least / last[0].decode_seconds, 1.0)

        start = minimum(least / last[0].decode_seconds, 1.0)
        fixed_point(respond, start, 1.0 + 0.0 * start, NARROW)
        return self._open_state(last[0], rate_of_others(others, last[0].decode_seconds), None, True)

    def _open_state(self, moment: Moment, rate: Any, limit: Any, holds: Any) -> Steady:
        """``holds``: whether the engine keeps up with the rate; where not, the moment is that of a full batch."""
        if limit is not None and not self.in_flight and anywhere(holds):
            moment = self._seated(moment, rate, limit, holds)
        inside = engine_seconds(moment.ttft_seconds, front_end.alone(self.case))
        running = sequences_at_rate(rate, inside, moment.decode_seconds)
        if every(holds):
            return self._steady(moment, running, 0.0, rate, 0.0)
        highest = self._highest_rate(moment, limit)
        if not anywhere(holds):
            return self._steady(moment, limit, float("inf"), highest, 0.0)
        waiting = where(holds, 0.0, float("inf"))
        return self._steady(moment, where(holds, running, limit), waiting, where(holds, rate, highest), 0.0)

    def _seated(self, moment: Moment, rate: Any, limit: Any, holds: Any) -> Moment:
        """The moment with no more sequences decoding than there are places: prompts without one interrupt nothing."""
        decode = where(holds, seated_seconds(moment.decode_seconds, rate, limit), moment.decode_seconds)
        step = where(holds, shortened_step(moment.step_seconds, decode, moment.decode_seconds), moment.step_seconds)
        return replace(moment, decode_seconds=decode, step_seconds=step)

    def replay(self, others: Any, concurrency: Any, cap: Any, rate: Any, holds: bool) -> Steady:
        """The last pass of a settled state, on Values; ``rate`` and whether it ``holds`` of an open loop."""
        limit = cap if concurrency is None else minimum(concurrency, cap)
        if rate is not None:
            return self._open_state(self.moment(others, rate if holds else None), rate, limit, holds)
        in_flight = 1.0 if concurrency is None else concurrency
        return self._closed_state(self.moment(others), in_flight, minimum(in_flight, cap))

    def _steady(self, moment: Moment, running: Count, waiting: Any, rate: PerSecond, wait: Seconds,
                concurrency: Any = None) -> Steady:  # fmt: skip
        ttft = delayed_seconds(moment.ttft_seconds, wait) if anywhere(plain(wait) > 0) else moment.ttft_seconds
        settled = ttft
        if self.case.num_prompts is not None and concurrency is not None:
            ttft = finite_run_seconds(ttft, burst_seconds(self, running), running, self._prompts_of_rank(concurrency))
        tpot = token_seconds(moment.step_seconds, self.speculation.tokens_per_step)
        e2e = end_to_end_seconds(ttft, moment.decode_seconds)
        return Steady(moment, running, waiting, rate, named(ttft, "ttft_seconds"), named(tpot, "tpot_seconds"),
                      named(e2e, "e2e_seconds"), settled)  # fmt: skip

    def _prompts_of_rank(self, concurrency: Any) -> Any:
        """Prompts of a finite run that come to one attention rank, at least as many as are in flight."""
        share = plain(self.case.num_prompts) / plain(self.case.parallel.data_parallel_size)
        return maximum(share, plain(concurrency))
