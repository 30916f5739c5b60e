"""The steady state under load, in closed form: a fixed point over the same step times.

Closed loop: so many requests are in flight at all times. Open loop: requests come at a rate. Either
way a request decodes together with ``others``; that number sets the step, the step sets how long a
request stays, and that sets the number. The iteration runs on plain numbers (or arrays); ``explain``
replays its last pass on Values.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

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
    prefill_tokens_per_step,
    prompt_budget,
    prompt_context,
    prompts_of_tokens,
    sequences_at_rate,
    uncached_tokens,
)
from llmsizer.schema.deployment import Case
from llmsizer.sizing import front_end
from llmsizer.sizing.bursts import burst_seconds
from llmsizer.sizing.company import Carried, Company, Decoding, Meeting
from llmsizer.sizing.fixed_point import alike, anywhere, every, fixed_point, pick
from llmsizer.sizing.lengths import decoding_context, inverse_steps, longer_prompts
from llmsizer.sizing.moment import Moment, Steady, merged, spread
from llmsizer.sizing.prompts_first import Turns, turn, turns_of
from llmsizer.sizing.speculation import Speculation, speculation_of
from llmsizer.sizing.step_time import StepClock
from llmsizer.sizing.steps import Step

# Most requests in flight decode; the rest wait or prefill.
FIRST_GUESS = 0.95
# How near the rate of a given load must be found: a little of it moves a busy engine far.
NARROW = 1e-8
# Requests a second of an engine as good as idle.
LEAST_RATE = 1e-9

T = TypeVar("T")


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

    def moment(self, others: Count, rate: PerSecond | None = None) -> Moment:
        """What a request meets when so many others decode; in an open loop of this rate, where it is known."""
        return self._moment(self._decoding(Company(self, others), rate))

    def _decoding(self, company: Company, rate: PerSecond | None) -> Decoding:
        """How a request decodes in company; in an open loop of this rate, where it is known."""
        pure = company.pure_seconds
        turns = turns_of(self, rate, pure) if rate is not None and not self.in_flight else None
        carried = company.carried if turns is None else company.carrying(turn(self, turns.prompts))
        entering, step = self._steps(company, carried, rate, turns)
        meeting = self._meeting(company, carried, entering, step, turns)
        beside = prompts_met(entering, meeting.met, step, company.width)
        own = own_step_seconds(carried.seconds, meeting.each, beside, company.passes, carried.prompts)
        if rate is None:
            load = prefill_load(entering, self.prompt, company.budget)
            queue = prefill_queue_seconds(load, company.width, self.variation, carried.seconds)
            reading = own
        else:
            load = full_step_load(rate, pure if turns is None else turns.base, meeting.each, company.width)
            queue = further_steps_seconds(load, company.width, self.variation, carried.seconds)
            reading = first_token_seconds(0.0, 0.0, queue, company.passes, carried.seconds, own)
        trail = self._trail(company, meeting, step, reading)
        seconds = decode_with_trail(self.steps, step, trail)
        return Decoding(company, carried, meeting, step, load, beside, own, queue, trail, seconds)

    def _steps(self, company: Company, carried: Carried, rate: PerSecond | None, turns: Turns | None) -> tuple[Count, Seconds]:
        """Prompts that come in a step, and its mean length."""
        pure, each = company.pure_seconds, carried.each
        if turns is not None:
            return prompts_in_time(turns.rate, turns.interval), turns.interval
        if self.is_open:
            entering = self._entering(company.others, rate, pure, each)
            return entering, step_with_prompts(pure, entering, each)
        if self.in_flight:
            return company.entering, mean_step_seconds(company.share, carried.seconds, pure)
        return company.entering, interrupted_step_seconds(pure, company.share, carried.seconds)

    def _entering(self, others: Count, rate: PerSecond | None, pure: Seconds, each: Seconds) -> Count:
        """Prompts that come in a step of an open loop; where its rate is not known it follows from the others."""
        if rate is None:
            return prompts_with_trail(others, self.steps, pure, each)
        return prompts_at_rate(rate, pure, each)

    def _meeting(self, company: Company, carried: Carried, entering: Count, step: Seconds, turns: Turns | None) -> Meeting:
        """In a closed loop prompts come as answers end, however long a step is: its length does not feed back."""
        pure, each = company.pure_seconds, carried.each
        share = prompt_time_share(entering, each, step)
        if turns is not None:
            met = met_of_turns(pure, carried.seconds, turns.each, turns.prompts, self.variation, share)
            return Meeting(turns.each, share, entering, met, busy_open(company.others), turns)
        if self.in_flight:
            met = met_step_seconds(step, each, entering, self.variation, share if self.is_open else 0.0)
            met = met_at_most(met, pure, each, company.width)
        else:
            met = met_turn_seconds(pure, each, share)
        return Meeting(each, share, entering, met, (busy_open if self.is_open else busy_closed)(company.others))

    def _trail(self, company: Company, meeting: Meeting, step: Seconds, reading: Seconds) -> Seconds:
        """What prompts that came while a request's own was read add to its decoding."""
        turns = meeting.turns
        if not self.is_open:
            return 0.0
        if turns is None:
            return trailing_seconds(reading, step if self.in_flight else 0.0, meeting.share)
        return trail_of_turns(turns.rate, company.pure_seconds, reading, turns.base, turns.each, turns.count)

    def _moment(self, found: Decoding) -> Moment:
        """The moment of a request that decodes so, with its time to first token and the deviations between requests."""
        company, carried, meeting, step, queue = found.company, found.carried, found.meeting, found.step_seconds, found.queue
        each, steps, inverse = meeting.each, self.steps, self.inverse
        rest = residual_seconds(meeting.met, meeting.busy)
        front = self.front_end(company.others)
        ttft = first_token_seconds(front, rest, queue, company.passes, carried.seconds, found.own)
        varying = met_step_variance(meeting.met, step if self.in_flight else company.pure_seconds, each)
        others = prompts_spread(each, found.beside, self.variation)
        half = residual_seconds(meeting.met, 1.0)
        if plain(self.case.parallel.pipeline_parallel_size) > 1:
            ttft = delayed_seconds(ttft, carried.fill_seconds)
        spread = first_token_deviation(half, meeting.busy, others, varying, meeting.share, queue, found.prefill_load)
        feedback = meeting.share if self.is_open else 0.0
        varied = decode_seconds(steps, prompts_deviation(each, meeting.entering, self.variation, feedback, steps, inverse))
        return Moment(
            company.others, company.batch, company.pure, company.pure_seconds, carried.step, carried.seconds,
            step_with_trail(step, found.trail, steps, inverse), steps, found.seconds, ttft, found.prefill_load,
            spread, varied, joint_deviation(varied, spread), carried.fill_seconds,
        )  # fmt: skip

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

        return self._settle(lambda part, others, _: part.moment(others), respond, most * FIRST_GUESS, most)

    def _full_at(self, limit: Any) -> Moment:
        """The moment of an engine that always runs so many, found once for requests that are alike."""
        work = self.case.workload
        found = alike([limit, *(getattr(work, name) for name in type(work).__dataclass_fields__)])
        if found is None:
            return self._full(limit)
        first, which = found
        moment: Moment = spread(self.part(first)._full(pick(limit, first)), which)
        return moment

    def _settle(self, look: Callable[[Serving, Any, Any], T], respond: Callable[[T, Any], Any], start: Any, most: Any) -> T:
        """What ``look`` shows of an engine at the number of others that it leads to."""
        last: list[T] = []

        def answer(others: Any, chosen: Any) -> Any:
            last[:] = [look(self if chosen is None else self.part(chosen), others, chosen)]
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

        def look(part: Serving, others: Any, chosen: Any) -> Decoding:
            return part._decoding(Company(part, others), pick(rate, chosen))

        def respond(now: Decoding, chosen: Any) -> Any:
            found = minimum(others_at_rate(pick(rate, chosen), now.seconds), pick(others, chosen))
            return where(pick(holds, chosen), found, now.company.others)

        start = where(holds, minimum(others_at_rate(rate, full.decode_seconds), others), full.others)
        moment = self._moment(self._settle(look, respond, start, others))
        if not every(holds):
            moment = merged(holds, moment, full)
        return self._open_state(moment, rate, limit, holds)

    def _highest_rate(self, full: Moment, limit: Any) -> PerSecond:
        inside = engine_seconds(full.ttft_seconds, front_end.alone(self.case))
        return running_rate(limit, inside, full.decode_seconds)

    def at(self, others: Any) -> Steady:
        """The steady state of an open loop in which a request meets so many others: its rate follows."""
        company = Company(self, others)
        last = [self._decoding(company, None)]
        least = plain(self.steps) * plain(company.pure_seconds)

        def respond(share: Any, _: Any) -> Any:
            last[:] = [self._decoding(company, maximum(rate_of_others(others, least) * share, LEAST_RATE))]
            return minimum(least / last[0].seconds, 1.0)

        start = minimum(least / last[0].seconds, 1.0)
        fixed_point(respond, start, 1.0 + 0.0 * start, NARROW)
        return self._open_state(self._moment(last[0]), rate_of_others(others, last[0].seconds), None, True)

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
