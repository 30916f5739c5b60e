"""Percentiles of a steady state in closed form, confirmed by the simulation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from llmsizer.core.explain import named, plain
from llmsizer.core.quantities import Count, Seconds
from llmsizer.formulas.batches import padded_step_at, padded_steps
from llmsizer.formulas.latency import decode_seconds, token_seconds
from llmsizer.formulas.percentiles import (
    answer_quantile,
    batch_slope,
    crowding_deviation,
    joint_deviation,
    skewed_quantile,
    tokens_beyond,
    varying_part,
)
from llmsizer.formulas.prompts import mean_of_steps
from llmsizer.schema.deployment import Case
from llmsizer.sizing.batches import BATCHWISE
from llmsizer.sizing.lengths import answer_at
from llmsizer.sizing.moment import Steady
from llmsizer.sizing.serving import Serving

# Shares and their standard scores (the normal distribution's quantiles).
SCORES = {"p50": (0.50, 0.0), "p90": (0.90, 1.2816), "p95": (0.95, 1.6449), "p99": (0.99, 2.3263)}


def percentiles(case: Case, serving: Serving, steady: Steady) -> Mapping[str, Seconds]:
    """``ttft_p50_seconds`` to ``e2e_p99_seconds``.

    Around their means, times scatter with the prompts and (in an open loop) the sequences that a request
    meets, and with its own lengths. The burst that starts a finite run is in its means, not in its percentiles.
    """
    found: dict[str, Seconds] = {}
    deviation, whole = _step_deviation(case, serving, steady), _whole_deviation(case, serving, steady)
    for name, (share, score) in SCORES.items():
        times = {"ttft": _first(serving, steady, score), "tpot": _token(case, serving, steady, deviation, share, score),
                 "e2e": _whole(case, steady, whole, share, score)}  # fmt: skip
        found |= {f"{key}_{name}_seconds": named(value, f"{key}_{name}_seconds") for key, value in times.items()}
    return found


def _first(serving: Serving, steady: Steady, score: float) -> Seconds:
    ttft, moment = steady.settled_ttft_seconds, steady.moment
    return skewed_quantile(ttft, varying_part(ttft, serving.front_end(moment.others)), moment.ttft_deviation, score)


def _token(case: Case, serving: Serving, steady: Steady, deviation: Seconds, share: float, score: float) -> Seconds:
    """A request of a padded batch takes as long as the longest: its time per token follows from its own answer."""
    moment, tokens = steady.moment, serving.speculation.tokens_per_step
    if case.batching in BATCHWISE:
        own = padded_steps(answer_at(case.workload, 1 - share))
        return token_seconds(padded_step_at(moment.pure_seconds, moment.decode_seconds, own, moment.batch), tokens)
    step = moment.step_seconds
    return token_seconds(skewed_quantile(step, varying_part(step, moment.pure_seconds), deviation, score), tokens)


def _step_deviation(case: Case, serving: Serving, steady: Steady) -> Seconds:
    """Of a request's mean step."""
    moment = steady.moment
    own = mean_of_steps(moment.decode_deviation, moment.steps)
    return joint_deviation(own, _crowding(serving, steady)) if case.request_rate is not None else own


def _whole_deviation(case: Case, serving: Serving, steady: Steady) -> Seconds:
    """Of the end-to-end time of requests alike in length."""
    moment = steady.moment
    if case.request_rate is None or case.batching in BATCHWISE:
        return moment.e2e_deviation
    return joint_deviation(moment.e2e_deviation, decode_seconds(moment.steps, _crowding(serving, steady)))


def _whole(case: Case, steady: Steady, deviation: Seconds, share: float, score: float) -> Seconds:
    e2e, moment = steady.e2e_seconds, steady.moment
    alike = skewed_quantile(e2e, varying_part(e2e, moment.decode_seconds), deviation, score)
    spread = case.workload.spread
    if spread is None or case.batching in BATCHWISE:
        return alike
    token = mean_of_steps(moment.decode_seconds, moment.steps)
    return answer_quantile(e2e, alike, token, tokens_beyond(case.workload.output_tokens, spread.outputs.at(share)))


def _crowding(serving: Serving, steady: Steady) -> Seconds:
    return crowding_deviation(_slope(serving, steady), steady.moment.others)


def _slope(serving: Serving, steady: Steady) -> Count:
    """How much a further sequence lengthens the step."""
    step: Any = steady.moment.pure_step
    difference = 1.0 + plain(steady.moment.batch) / 4
    more = replace(step, decode_batch=plain(step.decode_batch) + difference)
    return batch_slope(serving.clock.seconds(more), steady.moment.pure_seconds, difference)
