"""Percentiles of a steady state in closed form, confirmed by the simulation."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from llmsizer.core.explain import named, plain
from llmsizer.core.numerics import where
from llmsizer.core.quantities import Count, Seconds
from llmsizer.formulas.batches import deviation_beside, padded_step_at, padded_steps
from llmsizer.formulas.latency import decode_seconds, token_seconds
from llmsizer.formulas.percentiles import (
    answer_quantile,
    batch_slope,
    crowding_deviation,
    joint_deviation,
    joint_quantile,
    normal_score,
    ratio_quantile,
    remaining_deviation,
    scored_seconds,
    share_of_waiting,
    skewed_quantile,
    tokens_beyond,
    varying_part,
    waited_quantile,
)
from llmsizer.formulas.prompts import mean_of_steps
from llmsizer.schema.deployment import Case
from llmsizer.sizing.batches import BATCHWISE
from llmsizer.sizing.fixed_point import anywhere
from llmsizer.sizing.lengths import answer_at
from llmsizer.sizing.moment import Moment, Steady
from llmsizer.sizing.serving import Serving

# Shares and their standard scores (the normal distribution's quantiles).
SCORES = {"p50": (0.50, 0.0), "p90": (0.90, 1.2816), "p95": (0.95, 1.6449), "p99": (0.99, 2.3263)}


def percentiles(case: Case, serving: Serving, steady: Steady, wanted: Collection[str] | None = None) -> Mapping[str, Seconds]:
    """``ttft_p50_seconds`` to ``e2e_p99_seconds``, or the ``wanted`` ones of them.

    Around their means, times scatter with the prompts and (in an open loop) the sequences that a request
    meets, and with its own lengths. The burst that starts a finite run is in its means, not in its percentiles.
    """
    found: dict[str, Seconds] = {}
    deviation, whole = deviations(case, serving, steady)
    for name, (share, score) in SCORES.items():
        times: dict[str, Callable[[], Seconds]] = {
            "ttft": partial(_first, serving, steady, share, score),
            "tpot": partial(_token, case, serving, steady, deviation, share, score),
            "e2e": partial(_whole, case, serving, steady, whole, share, score),
        }
        for key, time in times.items():
            figure = f"{key}_{name}_seconds"
            if wanted is None or figure in wanted:
                found[figure] = named(time(), figure)
    return found


def _first(serving: Serving, steady: Steady, share: float, score: float) -> Seconds:
    """Where requests are served in turns the wait at the door has a law of its own: many find nothing to wait for."""
    ttft, moment = steady.settled_ttft_seconds, steady.moment
    outside, in_turns = serving.front_end(moment.others), _in_turns(moment)
    found = skewed_quantile(ttft, varying_part(ttft, outside), moment.ttft_deviation, score)
    if not anywhere(in_turns):
        return found
    served = varying_part(ttft, moment.wait_seconds)
    others = remaining_deviation(moment.ttft_deviation, moment.wait_deviation)
    own = skewed_quantile(served, varying_part(served, outside), others, score)
    waiting = normal_score(share_of_waiting(share, moment.wait_chance))
    wait = waited_quantile(moment.wait_seconds, moment.wait_deviation, moment.wait_chance, waiting)
    waited = joint_quantile(ttft, own, served, wait, moment.wait_seconds)
    return where(in_turns, waited, found)


def _in_turns(moment: Moment) -> Any:
    """Whether requests wait at the door by a chance that is known."""
    return plain(moment.wait_chance) < 1.0


def _token(case: Case, serving: Serving, steady: Steady, deviation: Seconds, share: float, score: float) -> Seconds:
    """A request of a padded batch takes as long as the longest: its time per token follows from its own answer."""
    moment, tokens = steady.moment, serving.speculation.tokens_per_step
    if case.batching in BATCHWISE:
        found, middle = _padded_step(case, moment, 1 - share), _padded_step(case, moment, 0.5)
        others = deviation_beside(moment.decode_deviation, moment.batch)
        varied = ratio_quantile(found, middle, others, moment.decode_seconds, score)
        return token_seconds(varied, tokens)
    step = moment.step_seconds
    return token_seconds(skewed_quantile(step, varying_part(step, moment.pure_seconds), deviation, score), tokens)


def _padded_step(case: Case, moment: Moment, share: float) -> Seconds:
    """Time per decode step of an answer that a share of the requests does not exceed, in a batch of the mean time."""
    own = padded_steps(answer_at(case.workload, share))
    return padded_step_at(moment.pure_seconds, moment.decode_seconds, own, moment.batch)


def deviations(case: Case, serving: Serving, steady: Steady) -> tuple[Seconds, Seconds]:
    """Of a request's mean step, and of the end-to-end time, between requests alike in length. In an open loop a
    request also meets more or fewer others than the mean."""
    moment = steady.moment
    step = mean_of_steps(moment.decode_deviation, moment.steps)
    if case.request_rate is None:
        return step, moment.e2e_deviation
    crowding = crowding_deviation(_slope(serving, steady), moment.others)
    whole = moment.e2e_deviation
    if case.batching not in BATCHWISE:
        whole = joint_deviation(whole, decode_seconds(moment.steps, crowding))
    return joint_deviation(step, crowding), whole


def _whole(case: Case, serving: Serving, steady: Steady, deviation: Seconds, share: float, score: float) -> Seconds:
    e2e, moment = steady.e2e_seconds, steady.moment
    alike = skewed_quantile(e2e, varying_part(e2e, moment.decode_seconds), deviation, score)
    if anywhere(in_turns := _in_turns(moment)):
        first, varied = _first(serving, steady, share, score), scored_seconds(moment.decode_deviation, score)
        alike = where(in_turns, joint_quantile(e2e, first, steady.settled_ttft_seconds, varied, 0.0), alike)
    spread = case.workload.spread
    if spread is None or case.batching in BATCHWISE:
        return alike
    token = mean_of_steps(moment.decode_seconds, moment.steps)
    return answer_quantile(e2e, alike, token, tokens_beyond(case.workload.output_tokens, spread.outputs.at(share)))


def _slope(serving: Serving, steady: Steady) -> Count:
    """How much a further sequence lengthens the step."""
    step: Any = steady.moment.pure_step
    difference = 1.0 + plain(steady.moment.batch) / 4
    more = replace(step, decode_batch=plain(step.decode_batch) + difference)
    return batch_slope(serving.clock.seconds(more), steady.moment.pure_seconds, difference)
