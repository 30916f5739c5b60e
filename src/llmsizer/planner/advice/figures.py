"""The figures by which a deployment is judged: memory, times, throughput and cost."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any

from llmsizer.core.explain import plain
from llmsizer.formulas.cost import cost_per_request
from llmsizer.question.ask import most_in_flight, with_concurrency
from llmsizer.question.words import Words
from llmsizer.schema.deployment import Case
from llmsizer.sizing.estimate import Estimate
from llmsizer.sizing.memory import MemoryEstimate, memory_estimate
from llmsizer.sizing.speed import SpeedEstimate, speed_estimate


@dataclass(frozen=True, slots=True)
class Figures:
    """What a deployment takes and gives; None: not known, or without end.

    ``requests_at_once`` find cache at a time; ``requests_per_second`` is what all replicas serve: at the
    concurrency asked for, or (an open loop) the most they bear; ``usd_per_request`` holds at that throughput.
    """

    devices: int
    weights_bytes: float
    requests_at_once: float
    ttft_seconds: float | None = None
    tpot_seconds: float | None = None
    e2e_seconds: float | None = None
    requests_per_second: float | None = None
    output_tokens_per_second: float | None = None
    usd_per_hour: float | None = None
    usd_per_request: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """The figures as plain data."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


def figures_of(estimate: Estimate, replicas: int = 1, reached: float = 1.0) -> Figures:
    """The figures of ``replicas`` deployments that are alike, which ``reached`` of all requests get to."""
    memory, case = estimate.memory, estimate.case
    room = Figures(
        devices=case.parallel.devices * replicas, weights_bytes=float(plain(memory.per_gpu.weights_bytes)),
        requests_at_once=float(plain(memory.max_concurrency_at_workload)) * replicas,
    )  # fmt: skip
    if estimate.speed is None:
        return room
    latency = estimate.speed.latency
    rate = served(case, memory, estimate.speed) * replicas / reached
    hourly = estimate.cost.to_dict()["usd_per_hour"] if estimate.cost is not None else None
    hourly = hourly * replicas if hourly is not None else None
    return replace(
        room, ttft_seconds=_finite(latency.ttft_seconds), tpot_seconds=_finite(latency.tpot_seconds),
        e2e_seconds=_finite(latency.e2e_seconds), requests_per_second=rate,
        output_tokens_per_second=rate * float(plain(case.workload.output_tokens)), usd_per_hour=hourly,
        usd_per_request=float(cost_per_request(hourly / 3600.0, rate)) if hourly is not None and rate else None,
    )  # fmt: skip


def served(case: Case, memory: MemoryEstimate, speed: SpeedEstimate) -> float:
    """Requests a second of one replica: at its concurrency, or the most it bears in an open loop."""
    if case.request_rate is not None:
        speed = speed_estimate(replace(case, request_rate=None, concurrency=int(most_in_flight(case, memory))), memory)
    return float(plain(speed.throughput.requests_per_second))


def judged(case: Case, words: Words, hourly: float | None) -> dict[str, float]:
    """The figures of a case that are known, for the same load; none of one that does not fit."""
    memory = memory_estimate(case)
    if not memory.fits:
        return {}
    case = with_concurrency(case, words, memory)
    speed = speed_estimate(case, memory)
    rate = served(case, memory, speed)
    found = {"ttft_seconds": float(plain(speed.latency.ttft_seconds)), "tpot_seconds": float(plain(speed.latency.tpot_seconds))}
    found["requests_per_second"] = rate
    if hourly is not None:
        found["usd_per_request"] = float(cost_per_request(hourly / 3600.0, rate))
    return {name: value for name, value in found.items() if 0 < value < float("inf")}


def _finite(value: Any) -> float | None:
    number = float(plain(value))
    return number if math.isfinite(number) else None


def _per_device(figures: Figures) -> float | None:
    return None if figures.output_tokens_per_second is None else figures.output_tokens_per_second / figures.devices


# What advice can be sorted by: a figure and whether more of it is better.
BENEFITS: dict[str, tuple[Callable[[Figures], float | None], bool]] = {
    "cost": (lambda each: each.usd_per_request, False),
    "ttft": (lambda each: each.ttft_seconds, False),
    "tpot": (lambda each: each.tpot_seconds, False),
    "throughput": (_per_device, True),
    "memory": (lambda each: each.requests_at_once / each.devices, True),
}


def benefit(before: Figures, after: Figures, by: str) -> float | None:
    """By what factor a figure gets better (above 1) or worse; None where it is not known."""
    read, more = BENEFITS[by]
    old, new = read(before), read(after)
    if not old or not new:
        return None
    return new / old if more else old / new
