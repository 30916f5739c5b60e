"""Static and dynamic batching in closed form: batches one after another, padded to their longest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llmsizer.core.errors import UnsupportedCombination
from llmsizer.core.explain import named, plain
from llmsizer.core.numerics import maximum, minimum, where
from llmsizer.core.quantities import Count, PerSecond, Seconds, Tokens
from llmsizer.formulas.batches import (
    batch_growth,
    batch_load,
    batch_of_users,
    batch_rate,
    batch_seconds,
    batch_variance,
    batch_wait_deviation,
    batch_wait_seconds,
    gathered,
    gathering_seconds,
    longest_deviation,
    own_batch,
    padded_context,
    padded_step_seconds,
    size_deviation,
    turn_seconds,
    wait_in_company,
)
from llmsizer.formulas.latency import decode_seconds, delayed_seconds, end_to_end_seconds, token_seconds
from llmsizer.formulas.percentiles import joint_deviation
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
from llmsizer.sizing.lengths import deviation_of_longest, padded_lengths, padding
from llmsizer.sizing.moment import Moment, Steady, merged
from llmsizer.sizing.steps import Step, decode_step

if TYPE_CHECKING:
    from llmsizer.sizing.serving import Serving


# Ways of batching in which a batch runs to its end.
BATCHWISE = ("static", "dynamic")


@dataclass(frozen=True, slots=True)
class Service:
    """One batch: its prompts' steps, its decode step, and their times."""

    batch: Count
    prompts: Step
    prompt_seconds: Seconds
    first: Seconds
    pure: Step
    pure_seconds: Seconds
    decode: Seconds
    whole: Seconds


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
        return Service(batch, prompts, prompt_seconds, first, pure, pure_seconds, decode, batch_seconds(first, decode))

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
            raise UnsupportedCombination(
                f"--think with {self.case.batching} batching has no closed form", "`llmsizer simulate` answers it"
            )
        batch = batch_of_users(concurrency, cap)
        found, alone = self.service(batch), plain(concurrency) <= plain(cap)
        window = where(plain(concurrency) < plain(cap), self.window, 0.0)
        stay = delayed_seconds(delayed_seconds(found.whole, window), front_end.alone(self.case))
        rate = batch_rate(batch, where(alone, stay, found.whole))
        wait = delayed_seconds(turn_seconds(concurrency, rate, stay), window)
        turns = where(alone, 0.0, self.spread(found))
        return self._steady(found, batch, plain(concurrency) - plain(batch), rate, wait, turns)

    def spread(self, found: Service) -> Seconds:
        """Standard deviation of a batch's time that comes from its longest answer; unpadded, from a request's own."""
        batch = found.batch if self._padded else 1.0
        return longest_deviation(self.serving.steps, found.pure_seconds, deviation_of_longest(self.case.workload, batch))

    def open(self, rate: Any, cap: Any, most: Any = None) -> Steady:
        """Requests that come at a rate: a batch takes what came during the one before it, up to ``cap``."""
        limit = maximum(cap if most is None else minimum(most, cap), 1.0)
        full = self.service(limit)
        holds = rate < plain(batch_rate(limit, full.whole))

        def respond(size: Any, chosen: Any) -> Any:
            part = self if chosen is None else Batches(self.serving.part(chosen))
            return minimum(plain(part.gathered(maximum(size, 1.0), pick(rate, chosen))), pick(limit, chosen))

        size = fixed_point(respond, limit * 0.0 + 1.0, limit) if anywhere(holds) else limit
        return self.open_state(where(holds, maximum(size, 1.0), limit), rate, limit, holds)

    def gathered(self, size: Count, rate: PerSecond) -> Count:
        """Requests that come while a batch of a size runs."""
        return gathered(rate, gathering_seconds(rate, self.service(size).whole, self.window))

    def open_state(self, size: Count, rate: PerSecond, limit: Count, holds: Any) -> Steady:
        """The state of an open loop whose batches have this mean size."""
        full, usual = self.service(limit), self.service(size)
        if not anywhere(holds):
            return self._overloaded(full, limit)
        growth = batch_growth(usual.whole, self.service(1.0).whole, plain(size) - 1.0)
        variance = batch_variance(size, rate, growth)
        gathering = gathering_seconds(rate, usual.whole, self.window)
        spread = joint_deviation(size_deviation(growth, variance), self.spread(usual))
        wait = batch_wait_seconds(rate, usual.whole, self.window, gathering, spread)
        wait = wait_in_company(wait, limit)
        load = batch_load(rate, full.whole, limit)
        variation = 0.0 if self._padded else self.serving.variation
        queue = prefill_queue_seconds(load, limit, variation, full.whole)
        mine = self.service(own_batch(size, variance, limit))
        waited = delayed_seconds(wait, queue)
        running = sequences_at_rate(rate, mine.first if self._padded else delayed_seconds(mine.first, waited), mine.decode)
        each = batch_growth(full.first, 0.0 * plain(full.first), limit)
        prompts = prompts_spread(each, variance, variation)
        varying = joint_deviation(batch_wait_deviation(wait, usual.whole, spread), prompts)
        queueing = first_token_deviation(0.0, 0.0, 0.0, 0.0, 0.0, queue, load)
        found = self._steady(mine, running, 0.0, rate, waited, joint_deviation(varying, queueing), size)
        if every(holds):
            return found
        return merged(holds, found, self._overloaded(full, limit))  # type: ignore[no-any-return]

    def _overloaded(self, full: Service, limit: Count) -> Steady:
        """More requests than full batches serve: what one meets that gets its place; a padded batch waits for the one
        before it."""
        wait = full.whole if self._padded else 0.0
        return self._steady(full, limit, float("inf"), batch_rate(limit, full.whole), wait, 0.0)

    def replay(self, others: Any, concurrency: Any, cap: Any, rate: Any, holds: bool) -> Steady:
        """A settled state on Values."""
        if rate is None:
            return self.closed(1.0 if concurrency is None else concurrency, cap)
        limit = maximum(cap if concurrency is None else minimum(concurrency, cap), 1.0)
        return self.open_state(batch_seen(others), rate, limit, holds)

    def _steady(self, found: Service, running: Count, waiting: Any, rate: PerSecond, wait: Seconds, spread: Seconds,
                size: Any = None) -> Steady:  # fmt: skip
        serving = self.serving
        ttft = first_token_seconds(front_end.alone(self.case), 0.0, wait, 1.0, 0.0, found.first)
        step = padded_step_seconds(found.pure_seconds, padding(self.case.workload, found.batch if self._padded else 1.0))
        moment = Moment(
            plain(size if size is not None else found.batch) - 1.0, found.batch, found.pure, found.pure_seconds, found.prompts,
            found.prompt_seconds, step, serving.steps, found.decode, ttft, 0.0, ttft_deviation=spread,
            e2e_deviation=joint_deviation(spread, self.spread(found)),
        )  # fmt: skip
        tpot = token_seconds(step, serving.speculation.tokens_per_step)
        e2e = end_to_end_seconds(ttft, found.decode)
        return Steady(moment, running, waiting, rate, named(ttft, "ttft_seconds"), named(tpot, "tpot_seconds"),
                      named(e2e, "e2e_seconds"), ttft)  # fmt: skip
