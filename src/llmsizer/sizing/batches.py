"""Static and dynamic batching in closed form: batches one after another, padded to their longest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from llmsizer.core.explain import named, plain
from llmsizer.core.numerics import maximum, minimum, where
from llmsizer.core.quantities import Count, Fraction, PerSecond, Seconds, Tokens
from llmsizer.formulas.batch_users import (
    chance_of_late,
    period_of_users,
    returned_users,
    users_dispersion,
    wait_of_users,
)
from llmsizer.formulas.batches import (
    batch_dispersion,
    batch_growth,
    batch_load,
    batch_of_users,
    batch_rate,
    batch_seconds,
    batch_variance,
    batch_wait_deviation,
    batch_wait_seconds,
    busy_with_batches,
    first_deviation,
    gathered,
    gathering_seconds,
    gathering_square,
    larger_batch,
    longest_deviation,
    longest_wait,
    mean_over_sizes,
    mean_square_over_sizes,
    own_batch,
    padded_context,
    padded_step_seconds,
    service_variation,
    share_in_larger,
    share_of_larger,
    single_queue_deviation,
    smaller_batch,
    turn_seconds,
    two_point_deviation,
    wait_in_company,
)
from llmsizer.formulas.latency import decode_seconds, delayed_seconds, end_to_end_seconds, in_flight_of_users, token_seconds
from llmsizer.formulas.percentiles import joint_deviation, scored_seconds
from llmsizer.formulas.prompts import (
    first_token_deviation,
    first_token_seconds,
    prefill_queue_seconds,
    prompts_spread,
    tokens_of_prompts,
)
from llmsizer.formulas.serving import (
    batch_seen,
    chunk_context,
    chunk_tokens,
    decode_steps,
    largest_tokens,
    prefill_passes,
    prompt_context,
    prompts_of_tokens,
    sequences_at_rate,
)
from llmsizer.sizing import front_end
from llmsizer.sizing.fixed_point import anywhere, every, fixed_point, pick
from llmsizer.sizing.lengths import deviation_of_longest, longest_prompt, padded_lengths, padding
from llmsizer.sizing.moment import Moment, Steady, merged
from llmsizer.sizing.steps import Step, decode_step

if TYPE_CHECKING:
    from llmsizer.sizing.serving import Serving


# Ways of batching in which a batch runs to its end.
BATCHWISE = ("static", "dynamic")


@dataclass(frozen=True, slots=True)
class Service:
    """One batch: its prompts' steps, its decode step, and their times; ``per_step``: the mean over its requests of the
    time of a decode step of their own. ``between``: standard deviation of ``decode`` that comes from the sizes of batches."""

    batch: Count
    prompts: Step
    prompt_seconds: Seconds
    first: Seconds
    pure: Step
    pure_seconds: Seconds
    decode: Seconds
    whole: Seconds
    per_step: Seconds
    between: Seconds = 0.0


@dataclass(frozen=True, slots=True)
class Sizes:
    """Batches of all sizes: two stand for them, ``share`` of the batches and ``own`` of the requests for the larger;
    ``variance`` of the sizes."""

    smaller: Service
    larger: Service
    share: Fraction
    own: Fraction
    variance: Count

    def mean(self, time: Callable[[Service], Seconds]) -> Seconds:
        """Mean of a time over batches."""
        return mean_over_sizes(time(self.smaller), time(self.larger), self.share)

    def met(self, time: Callable[[Service], Seconds]) -> Seconds:
        """Mean of a time over requests."""
        return mean_over_sizes(time(self.smaller), time(self.larger), self.own)


@dataclass(frozen=True, slots=True)
class Users:
    """What users who think meet: batches of all sizes, the mean time of one, how many return for the next, their wait."""

    sizes: Sizes
    service: Seconds
    returned: Count
    wait: Seconds


class Batches:
    """The steady states of a case whose batches run to their end."""

    def __init__(self, serving: Serving) -> None:
        self.serving, self.case = serving, serving.case
        self.window: Seconds = self.case.batch_window_seconds if self.case.batching == "dynamic" else 0.0

    def service(self, batch: Count) -> Service:
        """A batch of so many: all prompts first, then all answers to the end of the longest."""
        serving = self.serving
        prompt, answer = self._lengths(batch)
        whole = tokens_of_prompts(prompt, batch)
        passes = prefill_passes(whole, self._room(whole, prompt))
        tokens = chunk_tokens(whole, passes)
        prompts = Step(
            prefill_tokens=tokens, prefill_context=self._earlier(prompt, tokens),
            prefill_sequences=prompts_of_tokens(tokens, prompt),
        )  # fmt: skip
        held = prompt_context(prompt, serving.cached)
        pure = decode_step(self.case, batch, padded_context(held, answer), serving.speculation.query_tokens)
        prompt_seconds, fill = serving.clock.timed(prompts)
        pure_seconds = serving.speculation.step_seconds(serving.clock, pure)
        steps = decode_steps(answer, serving.speculation.tokens_per_step)
        first = first_token_seconds(0.0, 0.0, 0.0, passes, prompt_seconds, prompt_seconds)
        if plain(self.case.parallel.pipeline_parallel_size) > 1:
            first = delayed_seconds(first, fill)
        decode = decode_seconds(steps, pure_seconds)
        step = padded_step_seconds(pure_seconds, padding(self.case.workload, batch if self._padded else 1.0))
        whole = batch_seconds(first, decode)
        return Service(batch, prompts, prompt_seconds, first, pure, pure_seconds, decode, whole, step)

    @property
    def _padded(self) -> bool:
        return self.case.batching in BATCHWISE

    def _lengths(self, batch: Count) -> tuple[Tokens, Tokens]:
        """Prompt and answer as a batch processes them: padded to the longest where it runs to its end."""
        work, prompt = self.case.workload, self.serving.prompt
        return padded_lengths(work, prompt, batch) if self._padded else (prompt, work.output_tokens)

    def _room(self, whole: Tokens, prompt: Tokens) -> Tokens:
        """Prompt tokens that a step takes of a batch; a padded batch is not read in pieces of prompts."""
        if not anywhere(plain(self.case.max_num_batched_tokens) > 0):
            return largest_tokens(whole, prompt)
        budget = self.serving.budget(0.0)
        return largest_tokens(budget, prompt) if self._padded else budget

    def _earlier(self, prompt: Tokens, tokens: Tokens) -> Tokens:
        """Cached tokens that a step's prompt tokens attend to: a prompt's own pieces too, where it is read in several."""
        cached = self.serving.cached
        return cached if self._padded else prompt_context(cached, chunk_context(prompt, tokens))

    def closed(self, concurrency: Count, cap: Count) -> Steady:
        """So many users: each waits for a batch, and sends its next request when that ends."""
        if plain(self.case.think_seconds):
            return self._of_users(self._settled_users(concurrency, cap), concurrency, cap)
        batch = batch_of_users(concurrency, cap)
        found, alone = self.service(batch), plain(concurrency) <= plain(cap)
        window = where(plain(concurrency) < plain(cap), self.window, 0.0)
        stay = delayed_seconds(delayed_seconds(found.whole, window), front_end.alone(self.case))
        rate = batch_rate(batch, where(alone, stay, found.whole))
        wait = delayed_seconds(turn_seconds(concurrency, rate, stay), window)
        turns = joint_deviation(where(alone, 0.0, self.spread(found)), self.prompt_spread(found))
        return self._steady(found, batch, plain(concurrency) - plain(batch), rate, wait, turns)

    def _settled_users(self, users: Any, cap: Any) -> Any:
        """Mean size of the batches of users who think: as many as return while one runs."""

        def respond(size: Any, chosen: Any) -> Any:
            part = self if chosen is None else Batches(self.serving.part(chosen))
            most = pick(limit, chosen)
            return minimum(plain(part._users(maximum(size, 1.0), pick(users, chosen), most).returned), most)

        limit = maximum(minimum(cap, users * 1.0), 1.0)
        return maximum(fixed_point(respond, limit * 0.0 + 1.0, limit), 1.0)

    def _users(self, size: Count, users: Count, most: Count) -> Users:
        """What users who think meet when their batches have this mean size."""
        think = self.case.think_seconds
        window = where(plain(size) < plain(self.case.max_num_seqs), self.window, 0.0)
        usual = self.service(size).whole
        late = chance_of_late(users, size, usual, window, think)
        sizes = self._two(size, users_dispersion(period_of_users(users, usual, window, think, late), think), most)
        service = sizes.mean(lambda found: found.whole)
        returned = returned_users(users, size, service, window, think, late)
        return Users(sizes, service, returned, wait_of_users(users, size, service, window, think, late, returned))

    def _of_users(self, size: Count, users: Count, cap: Count) -> Steady:
        """The state of users who think, whose batches have this mean size; Little's law tells their rate."""
        most = maximum(minimum(plain(cap), plain(users) * 1.0), 1.0)
        met = self._users(size, users, most)
        mine = self._own(met.sizes, own_batch(size, met.sizes.variance, most))
        stay = delayed_seconds(delayed_seconds(mine.whole, front_end.alone(self.case)), self.case.think_seconds)
        full = batch_rate(most, self.service(most).whole)
        wait = longest_wait(met.wait, turn_seconds(users, full, stay))
        rate = batch_rate(users, delayed_seconds(wait, stay))
        running = sequences_at_rate(rate, mine.first, mine.decode)
        flying = in_flight_of_users(users, rate, self.case.think_seconds)
        deviation = batch_wait_deviation(wait, met.service, met.sizes.mean(self.spread))
        spread = joint_deviation(deviation, self.prompt_spread(mine))
        return self._steady(mine, running, maximum(plain(flying) - plain(running), 0.0), rate, wait, spread, size)

    def spread(self, found: Service) -> Seconds:
        """Standard deviation of a batch's time that comes from its longest prompt and answer."""
        return joint_deviation(self.prompt_spread(found), self.answer_spread(found))

    def answer_spread(self, found: Service) -> Seconds:
        """Standard deviation of the decode time that comes from the longest answer; unpadded, from a request's own."""
        batch = found.batch if self._padded else 1.0
        return longest_deviation(self.serving.steps, found.pure_seconds, deviation_of_longest(self.case.workload, batch))

    def prompt_spread(self, found: Service) -> Seconds:
        """Standard deviation of the time of a batch's prompts that comes from the longest of them."""
        if not self._padded:
            return 0.0
        longest, deviation = longest_prompt(self.case.workload, found.batch)
        return first_deviation(found.first, deviation, longest)

    def open(self, rate: Any, cap: Any, most: Any = None) -> Steady:
        """Requests that come at a rate: a batch takes what came during the one before it, up to ``cap``."""
        limit = maximum(cap if most is None else minimum(most, cap), 1.0)
        full = self.service(limit)
        holds = rate < plain(batch_rate(limit, full.whole))

        def respond(size: Any, chosen: Any) -> Any:
            part = self if chosen is None else Batches(self.serving.part(chosen))
            return minimum(
                plain(part.gathered(maximum(size, 1.0), pick(rate, chosen), pick(limit, chosen))), pick(limit, chosen)
            )

        size = fixed_point(respond, limit * 0.0 + 1.0, limit) if anywhere(holds) else limit
        return self.open_state(where(holds, maximum(size, 1.0), limit), rate, limit, holds)

    def gathered(self, size: Count, rate: PerSecond, limit: Count) -> Count:
        """Requests that come while a batch runs, of batches of this mean size."""
        return gathered(rate, self._gathering(rate, self._two(size, 1.0, limit)))

    def sizes(self, size: Count, rate: PerSecond, limit: Count) -> Sizes:
        """Two batches in the stead of all those of a mean size."""
        poisson = self._two(size, 1.0, limit)
        apart = plain(poisson.larger.batch) - plain(poisson.smaller.batch)
        growth = batch_growth(poisson.larger.whole, poisson.smaller.whole, apart)
        square = self._square(rate, poisson)
        return self._two(size, batch_dispersion(rate, self._gathering(rate, poisson), square, growth), limit)

    def _two(self, size: Count, dispersion: Fraction, limit: Count) -> Sizes:
        """Two sizes of batches with the mean and the dispersion of all."""
        smaller, larger = smaller_batch(size, dispersion), larger_batch(size, dispersion, limit)
        share = share_of_larger(size, smaller, larger)
        own = share_in_larger(share, smaller, larger)
        return Sizes(self.service(smaller), self.service(larger), share, own, batch_variance(size, dispersion))

    def _gathering(self, rate: PerSecond, sizes: Sizes) -> Seconds:
        """Mean time in which a batch gathers: while one of all batches runs."""
        return sizes.mean(lambda found: gathering_seconds(rate, found.whole, self.window))

    def _square(self, rate: PerSecond, sizes: Sizes) -> Any:
        """Mean square of that time."""

        smaller, larger = (
            gathering_square(
                rate, found.whole, self.window, gathering_seconds(rate, found.whole, self.window), self.spread(found)
            )
            for found in (sizes.smaller, sizes.larger)
        )
        return mean_square_over_sizes(smaller, larger, sizes.share)

    def _wait(self, rate: PerSecond, sizes: Sizes) -> tuple[Seconds, Seconds]:
        """Mean wait of a request for its batch to start, and its standard deviation."""
        wait = batch_wait_seconds(rate, self._gathering(rate, sizes), self._square(rate, sizes))
        between = two_point_deviation(sizes.smaller.whole, sizes.larger.whole, sizes.share)
        spread = joint_deviation(between, sizes.mean(self.spread))
        return wait, batch_wait_deviation(wait, sizes.mean(lambda found: found.whole), spread)

    def open_state(self, size: Count, rate: PerSecond, limit: Count, holds: Any) -> Steady:
        """The state of an open loop whose batches have this mean size."""
        full = self.service(limit)
        if not anywhere(holds):
            return self._overloaded(full, limit)
        sizes = self.sizes(size, rate, limit)
        wait, deviation = (wait_in_company(each, limit) for each in self._wait(rate, sizes))
        load = batch_load(rate, full.whole, limit)
        unlike = 0.0 if self._padded else self.serving.variation
        variation = where(plain(limit) > 1.0, unlike, self._variation(full))
        queue = prefill_queue_seconds(load, limit, variation, full.whole)
        mine = self._own(sizes, own_batch(size, sizes.variance, limit))
        waited = delayed_seconds(wait, queue)
        running = sequences_at_rate(rate, mine.first if self._padded else delayed_seconds(mine.first, waited), mine.decode)
        each = batch_growth(full.first, 0.0 * plain(full.first), limit)
        prompts = joint_deviation(prompts_spread(each, sizes.variance, unlike), self.prompt_spread(mine))
        queueing = first_token_deviation(0.0, 0.0, 0.0, 0.0, 0.0, queue, load)
        queueing = where(plain(limit) > 1.0, queueing, single_queue_deviation(queue, full.whole, variation))
        waiting = joint_deviation(deviation, queueing)
        found = self._steady(mine, running, 0.0, rate, waited, joint_deviation(waiting, prompts), size)
        if not plain(self.window):
            busy = busy_with_batches(rate, size, sizes.mean(lambda found: found.whole))
            moment = replace(found.moment, wait_chance=busy, wait_seconds=waited, wait_deviation=waiting)
            found = replace(found, moment=moment)
        if every(holds):
            return found
        return merged(holds, found, self._overloaded(full, limit))  # type: ignore[no-any-return]

    def _variation(self, alone: Service) -> Fraction:
        """Standard deviation of the time of a request served alone, over its mean."""
        prompts = self.prompt_spread(alone) if self._padded else scored_seconds(alone.first, self.serving.variation)
        return service_variation(prompts, self.answer_spread(alone), alone.whole)

    def _own(self, sizes: Sizes, batch: Count) -> Service:
        """The batch that a request is in, on average over requests: its times are means over batches of two sizes."""
        shown = self.service(batch)
        return replace(
            shown, first=sizes.met(lambda found: found.first), decode=sizes.met(lambda found: found.decode),
            whole=sizes.met(lambda found: found.whole), per_step=sizes.met(lambda found: found.per_step),
            between=two_point_deviation(sizes.smaller.decode, sizes.larger.decode, sizes.own),
        )  # fmt: skip

    def _overloaded(self, full: Service, limit: Count) -> Steady:
        """More requests than full batches serve: what one meets that gets its place; a padded batch waits for the one
        before it."""
        wait = full.whole if self._padded else 0.0
        return self._steady(full, limit, float("inf"), batch_rate(limit, full.whole), wait, 0.0)

    def replay(self, others: Any, concurrency: Any, cap: Any, rate: Any, holds: bool) -> Steady:
        """A settled state on Values."""
        if rate is None and plain(self.case.think_seconds):
            return self._of_users(batch_seen(others), 1.0 if concurrency is None else concurrency, cap)
        if rate is None:
            return self.closed(1.0 if concurrency is None else concurrency, cap)
        limit = maximum(cap if concurrency is None else minimum(concurrency, cap), 1.0)
        return self.open_state(batch_seen(others), rate, limit, holds)

    def _steady(self, found: Service, running: Count, waiting: Any, rate: PerSecond, wait: Seconds, spread: Seconds,
                size: Any = None) -> Steady:  # fmt: skip
        serving = self.serving
        ttft = first_token_seconds(front_end.alone(self.case), 0.0, wait, 1.0, 0.0, found.first)
        step, decoding = found.per_step, found.between
        if self._padded:  # else times vary with a request's own answer alone
            decoding = joint_deviation(decoding, self.answer_spread(found))
        moment = Moment(
            plain(size if size is not None else found.batch) - 1.0, found.batch, found.pure, found.pure_seconds, found.prompts,
            found.prompt_seconds, step, serving.steps, found.decode, ttft, 0.0, ttft_deviation=spread,
            decode_deviation=decoding, e2e_deviation=joint_deviation(spread, decoding),
        )  # fmt: skip
        tpot = token_seconds(step, serving.speculation.tokens_per_step)
        e2e = end_to_end_seconds(ttft, found.decode)
        return Steady(moment, running, waiting, rate, named(ttft, "ttft_seconds"), named(tpot, "tpot_seconds"),
                      named(e2e, "e2e_seconds"), ttft)  # fmt: skip
