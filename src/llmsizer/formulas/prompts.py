"""What prompts do to the steps of an engine, and what a request meets that comes among them."""

from __future__ import annotations

from typing import Annotated

from llmsizer.core.explain import formula
from llmsizer.core.numerics import exp, floor, maximum, minimum, sqrt
from llmsizer.core.quantities import Count, Fraction, Number, PerSecond, Seconds, Tokens, Unit

SecondsSquared = Annotated[Number, Unit("second^2")]


@formula(reference="finite difference: what a step with prompts takes longer, for each of them")
def prompt_seconds_each(mixed: Seconds, pure: Seconds, prompts: Count) -> Seconds:
    """Time that each prompt adds to the step that carries it.

    >>> prompt_seconds_each(0.05, 0.02, 1.5)
    0.02
    """
    return maximum(mixed - pure, 0 * mixed) / prompts


@formula(reference="definition: time that prompts add to a step, over the step")
def prompt_time_share(prompts: Count, each: Seconds, step: Seconds) -> Fraction:
    """Share of the engine's time that prompts take; below one.

    >>> prompt_time_share(0.5, 0.02, 0.04)
    0.25
    """
    return minimum(prompts * each / step, 0.98)


@formula(
    reference="steps S' = a + b·N, N Poisson of mean n ∝ S: variance b²·n·(1 + c²) / (1 − ρ²); who comes meets E[S²] / E[S]"
)
def met_step_seconds(step: Seconds, each: Seconds, prompts: Count, variation: Fraction, share: Fraction) -> Seconds:
    """Mean length of the step into which a request comes, where prompts share steps with decoding.

    >>> round(met_step_seconds(0.04, 0.02, 0.5, 0.0, 0.0), 3)
    0.045
    """
    return step + each * each * prompts * (1 + variation * variation) / (1 - share * share) / step


@formula(reference="decode steps for 1 − ρ of the time; for ρ of it prompts that came during the step before")
def met_turn_seconds(pure: Seconds, each: Seconds, share: Fraction) -> Seconds:
    """Mean length of the step into which a request comes, where prompts have steps of their own.

    >>> met_turn_seconds(0.02, 0.04, 0.0)
    0.02
    """
    return ((1 - share) * pure + share * each) / (1 - share * share)


@formula(reference="prompts come at a steady rate, as many in a step as it is long; no more than its budget takes")
def prompts_met(prompts: Count, met: Seconds, step: Seconds, width: Count) -> Count:
    """Other prompts that share a request's own step.

    >>> round(prompts_met(0.25, 0.06, 0.05, 8.0), 3)
    0.3
    """
    return minimum(prompts * met / step, maximum(width - 1, 0 * width))


@formula(reference="a step carries its own part of a prompt and the prompts that came with it")
def own_step_seconds(mixed: Seconds, each: Seconds, met: Count, passes: Count, carried: Count) -> Seconds:
    """Time of the last step of a prompt, with ``met`` others, from one that carries ``carried`` prompts.

    >>> round(own_step_seconds(0.05, 0.02, 0.5, 1.0, 1.0), 3)
    0.06
    """
    return mixed + each * maximum(met + 1 / passes - carried, 0 * met)


@formula(reference="Sakasegawa 1977, G/G/k: a step serves k prompts, or a prompt takes 1/k steps (k = 1: Pollaczek-Khinchine)")
def prefill_queue_seconds(load: Fraction, width: Count, variation: Fraction, step: Seconds) -> Seconds:
    """Mean wait of a prompt for prompts before it that fill the steps' budget; ``width`` prompts fill a step.

    >>> round(prefill_queue_seconds(0.5, 1.0, 0.0, 0.1), 6)
    0.05
    """
    busy, exponent = minimum(load, 0.98), sqrt(2 * (maximum(width, 1.0) + 1)) - 1
    return busy**exponent / (1 - busy) * (1 + variation * variation) / 2 / width * step


@formula(reference="conservation: full steps of w prompts, a + b·w each, over the time in which so many come")
def full_step_load(rate: PerSecond, base: Seconds, each: Seconds, width: Count) -> Fraction:
    """Load of an engine by the prompts of an open loop, when they queue and each step is full of them.

    >>> round(full_step_load(5.0, 0.02, 0.05, 2.0), 3)
    0.3
    """
    return rate * (base / width + each)


@formula(
    reference="one prompt a step: Pollaczek-Khinchine less the rest of the step under way, ρ²/(1 − ρ)·(1 + c²)/2; "
    "exponent for k as in Sakasegawa 1977"
)
def further_steps_seconds(load: Fraction, width: Count, variation: Fraction, step: Seconds) -> Seconds:
    """Mean wait of a prompt for full steps between the one under way and its own; ``width`` prompts fill a step.

    >>> round(further_steps_seconds(0.5, 1.0, 0.0, 0.1), 6)
    0.025
    """
    busy, exponent = minimum(load, 0.98), sqrt(2 * (maximum(width, 1.0) + 1))
    return busy**exponent / (1 - busy) * (1 + variation * variation) / 2 / width * step


@formula(reference="no step is longer than a full one")
def met_at_most(met: Seconds, base: Seconds, each: Seconds, width: Count) -> Seconds:
    """Mean length of the step into which a request comes, of steps that take ``width`` prompts.

    >>> met_at_most(0.09, 0.02, 0.03, 2.0)
    0.08
    """
    return minimum(met, base + each * width)


@formula(reference="Poisson number of others: the engine idles when there is none")
def busy_open(others: Count) -> Fraction:
    """Chance that a request of an open loop finds the engine busy.

    >>> round(busy_open(1.0), 3)
    0.632
    """
    return 1 - exp(-others)


@formula(reference="closed loop: with one other request on average, one is there")
def busy_closed(others: Count) -> Fraction:
    """Chance that a request of a closed loop finds the engine busy.

    >>> busy_closed(0.5)
    0.5
    """
    return minimum(others, 1.0)


@formula(reference="a request that comes while a step runs waits for its end: half a step on average")
def residual_seconds(step: Seconds, busy: Fraction) -> Seconds:
    """Mean wait for the step in progress; none when the engine is idle.

    >>> residual_seconds(0.02, 1.0)
    0.01
    """
    return step / 2 * busy


@formula(reference="front end, the step in progress, prompts before it, its own steps: the last shared with others' prompts")
def first_token_seconds(
    front_end: Seconds, residual: Seconds, queue: Seconds, passes: Count, step: Seconds, last: Seconds
) -> Seconds:
    """Time to first token.

    >>> round(first_token_seconds(0.03, 0.01, 0.0, 2.0, 0.05, 0.06), 3)
    0.15
    """
    return front_end + residual + queue + (passes - 1) * step + last


@formula(reference="prompts that come during a long step lengthen the next, and so on: geometric series of ρ")
def trailing_seconds(own: Seconds, usual: Seconds, share: Fraction) -> Seconds:
    """Time that the prompts which came during a request's own steps add to its decoding.

    >>> round(trailing_seconds(0.1, 0.02, 0.5), 3)
    0.08
    """
    return maximum(own - usual, 0 * own) * share / (1 - share)


@formula(reference="Little's law for n prompts a step: others = n·(steps + trail / step), step = a + n·b, trail = n·b² / a")
def prompts_with_trail(others: Count, steps: Count, pure: Seconds, each: Seconds) -> Count:
    """Prompts that come in a step of an open loop in which so many others decode.

    >>> round(prompts_with_trail(50.0, 100.0, 0.02, 0.0), 6)
    0.5
    """
    linear = steps * pure - others * each
    square = steps * each + each * each / pure
    return 2 * others * pure / (linear + sqrt(linear * linear + 4 * square * others * pure))


@formula(reference="Little (1961)")
def prompts_in_time(rate: PerSecond, time: Seconds) -> Count:
    """Prompts that come in a time.

    >>> prompts_in_time(10.0, 0.05)
    0.5
    """
    return rate * time


@formula(reference="prompts come at a steady rate in steps a + b·n: n = λ·a / (1 − λ·b)")
def prompts_at_rate(rate: PerSecond, pure: Seconds, each: Seconds) -> Count:
    """Mean number of prompts that come in a step of an open loop.

    >>> round(prompts_at_rate(10.0, 0.02, 0.05), 3)
    0.4
    """
    return rate * pure / (1 - minimum(rate * each, 0.98))


@formula(reference="definition: the step without prompts and what its prompts add")
def step_with_prompts(pure: Seconds, prompts: Count, each: Seconds) -> Seconds:
    """Mean time from one decode step to the next.

    >>> round(step_with_prompts(0.02, 0.5, 0.02), 6)
    0.03
    """
    return pure + prompts * each


@formula(reference="mean over requests of a time that comes once, shared by a request's steps: E[1/steps]")
def step_with_trail(step: Seconds, trail: Seconds, steps: Count, inverse: Fraction) -> Seconds:
    """Mean time of a request's decode steps, with what its own prompt brings about.

    >>> round(step_with_trail(0.02, 0.1, 100.0, 1.0), 6)
    0.021
    """
    return step + trail * inverse / maximum(steps, 1.0)


@formula(reference="decode steps, and once what a request's own prompt brings about")
def decode_with_trail(steps: Count, step: Seconds, trail: Seconds) -> Seconds:
    """Time from the first token of an answer to its last.

    >>> round(decode_with_trail(100.0, 0.02, 0.1), 6)
    2.1
    """
    return steps * step + minimum(steps, 1.0) * trail


@formula(reference="size-biased steps: S = a with or without b, met in proportion to their length")
def met_step_variance(met: Seconds, usual: Seconds, each: Seconds) -> SecondsSquared:
    """Variance of the length of the step into which a request comes.

    >>> round(met_step_variance(0.05, 0.04, 0.02), 6)
    0.0006
    """
    return maximum(met - usual, 0 * met) * (usual + each)


@formula(reference="variances of the rest of a step, of own and others' prompts, of the step before, of an exponential queue")
def first_token_deviation(
    rest: Seconds, busy: Fraction, prompts: Seconds, steps: SecondsSquared, share: Fraction, queue: Seconds, load: Fraction
) -> Seconds:
    """Standard deviation of the time to first token; ``rest`` is the mean wait of a busy engine's step.

    >>> round(first_token_deviation(0.06, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0), 4)
    0.0346
    """
    waiting = 4 * rest * rest * (busy / 3 - busy * busy / 4) + (share + 0.5) ** 2 * steps * busy
    return sqrt(waiting + prompts * prompts + queue * queue * (2 / minimum(maximum(load, 1e-6), 1.0) - 1))


@formula(reference="compound Poisson: own prompt's variation, and others' number and variation")
def prompts_spread(each: Seconds, others: Count, variation: Fraction) -> Seconds:
    """Standard deviation of the time that prompts add to a request's own step.

    >>> round(prompts_spread(0.02, 1.0, 0.0), 3)
    0.02
    """
    return each * sqrt(variation * variation + others * (1 + variation * variation))


@formula(reference="variance of a sum of steps S' = a + b·N: b²·n·(1 + c²) / (1 − ρ)² for each, counted long term")
def prompts_deviation(
    each: Seconds, prompts: Count, variation: Fraction, share: Fraction, steps: Count, inverse: Fraction
) -> Seconds:
    """Standard deviation of a request's mean step that comes from the prompts it happens to meet.

    >>> round(prompts_deviation(0.02, 0.25, 0.0, 0.0, 100.0, 1.0), 6)
    0.001
    """
    return each / (1 - share) * sqrt(prompts * (1 + variation * variation) * inverse / maximum(steps, 1.0))


@formula(reference="counting: prompts that come at once, in budgets of a step")
def burst_steps(prompts: Count, width: Count) -> Count:
    """Steps that the prompts of a burst fill.

    >>> burst_steps(20.0, 8.0)
    2.5
    """
    return prompts / width


@formula(reference="mean over prompts that come at once of the steps filled when theirs is done; boundaries cut one in two")
def burst_fill(steps: Count, prompts: Count) -> Count:
    """Full steps' worth of prompts up to a prompt's own end, on average over a burst.

    >>> burst_fill(2.0, 1e9)
    1.500000001
    """
    whole = floor(steps)
    return minimum((whole * (whole + 1) / 2 + (steps - whole) * steps) / steps + whole / (2 * prompts), steps)


@formula(reference="prompts of a burst are processed one step after another")
def burst_first_token_seconds(front_end: Seconds, step: Seconds, filled: Count, more: Seconds) -> Seconds:
    """Mean time to first token in a burst; a full step takes ``more`` than ``step``.

    >>> round(burst_first_token_seconds(0.03, 0.02, 1.5, 0.1), 3)
    0.2
    """
    return front_end + step + filled * more


@formula(reference="definition")
def mean_of_steps(time: Seconds, steps: Count) -> Seconds:
    """Mean time of a request's decode steps.

    >>> mean_of_steps(2.0, 100.0)
    0.02
    """
    return time / maximum(steps, 1.0)


@formula(reference="counting")
def half_of(count: Count) -> Count:
    """Half of some sequences: those already decoding, on average, while a burst is processed.

    >>> half_of(64.0)
    32.0
    """
    return count / 2


@formula(reference="whole prompts alone fill a step where none is cut; one at least")
def whole_prompts(width: Count) -> Count:
    """Prompts of a step that takes no parts of prompts.

    >>> whole_prompts(3.7)
    3.0
    """
    return maximum(floor(width), 1.0)


@formula(reference="a burst smaller than a step's budget fills a part of one step")
def carried_prompts(prompts: Count, width: Count) -> Count:
    """Prompts of the fullest step of a burst.

    >>> carried_prompts(20.0, 8.0)
    8.0
    """
    return minimum(prompts, width)


@formula(reference="counting")
def tokens_of_prompts(prompt: Tokens, prompts: Count) -> Tokens:
    """Tokens of some equal prompts.

    >>> tokens_of_prompts(1000.0, 16)
    16000.0
    """
    return prompt * prompts
