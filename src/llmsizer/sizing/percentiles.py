"""Percentiles of a steady state in closed form, confirmed by the simulation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from llmsizer.core.explain import named, plain
from llmsizer.core.quantities import Count, Seconds
from llmsizer.formulas.latency import decode_seconds, token_seconds
from llmsizer.formulas.percentiles import (
    batch_slope,
    crowding_deviation,
    first_token_quantile,
    joint_deviation,
    mixing_deviation,
    normal_quantile,
)
from llmsizer.schema.deployment import Case
from llmsizer.sizing.serving import Serving, Steady

# Shares and their standard scores (the normal distribution's quantiles).
SCORES = {"p50": (0.50, 0.0), "p90": (0.90, 1.2816), "p95": (0.95, 1.6449), "p99": (0.99, 2.3263)}


def percentiles(case: Case, serving: Serving, steady: Steady) -> Mapping[str, Seconds]:
    """``ttft_p50_seconds`` to ``e2e_p99_seconds`` of requests alike in length.

    A request's mean step varies with the prompts and (in an open loop) the sequences it meets; its first
    token with the step it comes into and the prompts before it. The burst that starts a finite run is in
    its means, not in its percentiles.
    """
    moment = steady.moment
    deviation = mixing_deviation(moment.prefill_share, moment.prompt_seconds, moment.pure_seconds, moment.steps)
    if case.request_rate is not None:
        deviation = joint_deviation(deviation, crowding_deviation(_slope(serving, steady), moment.others))
    tokens = serving.speculation.tokens_per_step
    whole = decode_seconds(moment.steps, deviation)
    found: dict[str, Seconds] = {}
    for name, (share, score) in SCORES.items():
        first = first_token_quantile(
            steady.settled_ttft_seconds, moment.residual_seconds, moment.queue_seconds, moment.prefill_load, share
        )
        found[f"ttft_{name}_seconds"] = named(first, f"ttft_{name}_seconds")
        token = normal_quantile(steady.tpot_seconds, token_seconds(deviation, tokens), score)
        found[f"tpot_{name}_seconds"] = named(token, f"tpot_{name}_seconds")
        end = normal_quantile(steady.e2e_seconds, joint_deviation(whole, moment.residual_seconds), score)
        found[f"e2e_{name}_seconds"] = named(end, f"e2e_{name}_seconds")
    return found


def _slope(serving: Serving, steady: Steady) -> Count:
    """How much a further sequence lengthens the step."""
    step = steady.moment.pure_step
    difference = 1.0 + plain(steady.moment.batch) / 4
    more = replace(step, decode_batch=plain(step.decode_batch) + difference)
    return batch_slope(serving.clock.seconds(more), steady.moment.pure_seconds, difference)
