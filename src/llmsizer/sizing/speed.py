"""The speed of a deployment: latency, throughput, and what each phase spends its time on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from llmsizer.core.explain import named, plain, total
from llmsizer.core.numerics import ceil, maximum, minimum, where
from llmsizer.core.quantities import Bytes, Count, Flop, FlopPerByte, Fraction, PerSecond, Seconds
from llmsizer.formulas.latency import busy_ranks, rate_of_ranks, rate_per_device, tokens_per_second
from llmsizer.formulas.roofline import arithmetic_intensity, bandwidth_utilization, flop_utilization, ridge_point
from llmsizer.formulas.steps import repeated_bytes, repeated_flop
from llmsizer.schema.deployment import Case
from llmsizer.sizing.batches import BATCHWISE
from llmsizer.sizing.fixed_point import every
from llmsizer.sizing.goodput import Goodput, goodput
from llmsizer.sizing.memory import MemoryEstimate
from llmsizer.sizing.moment import Steady, settled_leaf
from llmsizer.sizing.percentiles import percentiles
from llmsizer.sizing.precision import sixteen_bit
from llmsizer.sizing.serving import Serving
from llmsizer.sizing.step_time import StageCost, StepClock, binding, largest_share, shares
from llmsizer.sizing.steps import Step
from llmsizer.sizing.token_ranks import expert_ranks
from llmsizer.sizing.turns import closed_loop, open_loop, replayed


@dataclass(frozen=True, slots=True)
class Latency:
    """Times of a request: to the first token (front end, queue, prefill), per further token, to the last
    token; means, and percentiles over requests alike in length."""

    ttft_seconds: Seconds
    tpot_seconds: Seconds
    e2e_seconds: Seconds
    ttft_p50_seconds: Seconds = 0.0
    ttft_p90_seconds: Seconds = 0.0
    ttft_p95_seconds: Seconds = 0.0
    ttft_p99_seconds: Seconds = 0.0
    tpot_p50_seconds: Seconds = 0.0
    tpot_p90_seconds: Seconds = 0.0
    tpot_p95_seconds: Seconds = 0.0
    tpot_p99_seconds: Seconds = 0.0
    e2e_p50_seconds: Seconds = 0.0
    e2e_p90_seconds: Seconds = 0.0
    e2e_p95_seconds: Seconds = 0.0
    e2e_p99_seconds: Seconds = 0.0


@dataclass(frozen=True, slots=True)
class Throughput:
    """Rates of a replica, all its ranks together."""

    requests_per_second: PerSecond
    output_tokens_per_second: PerSecond
    total_tokens_per_second: PerSecond
    output_tokens_per_second_per_gpu: PerSecond


@dataclass(frozen=True, slots=True)
class Phase:
    """One engine step of a phase on one device: work, time, and what binds it.

    ``operations``: one mapping per kernel (all its layers together), largest first.
    """

    step_seconds: Seconds
    flop: Flop
    bytes: Bytes
    arithmetic_intensity_flop_per_byte: FlopPerByte
    ridge_point_flop_per_byte: FlopPerByte
    flop_utilization: Fraction
    bandwidth_utilization: Fraction
    bound: str
    operations: tuple[dict[str, Any], ...]


@dataclass(frozen=True, slots=True)
class SpeedEstimate:
    """How fast a deployment runs a workload in its steady state.

    ``running`` and ``waiting`` sequences are of the whole replica; ``decode_batch`` what one
    attention rank decodes at a time, on average; ``others`` replays the steady state. ``phases``
    tells, when asked, what the steps of prefill and decode spend their time on. ``goodput``: requests
    within their targets, where classes have some.
    """

    latency: Latency
    throughput: Throughput
    phases: Callable[[str], Phase]
    running: Count
    waiting: Count
    decode_batch: Count
    others: float
    goodput: Goodput | None = None

    @property
    def is_overloaded(self) -> bool:
        """Whether more requests come than can be served: the queue, and the wait in it, grow without end."""
        return float(plain(self.waiting)) == float("inf")

    @property
    def prefill(self) -> Phase:
        """A step that carries prompt tokens."""
        return self.phases("prefill")

    @property
    def decode(self) -> Phase:
        """A step in which sequences only decode."""
        return self.phases("decode")


def rank_demand(case: Case, memory: MemoryEstimate) -> tuple[Any, Any, Any]:
    """What one attention rank, the fullest, is asked to bear: sequences in flight (None: as many as
    come), the most that it can run at once, and requests per second (None: a closed loop).

    The case's load and the memory's ``running_sequences`` may be arrays.
    """
    ranks = int(plain(case.parallel.data_parallel_size))
    whole = case.batching in BATCHWISE  # a batch holds the whole length of each of its sequences from its start
    cached = not every(plain(memory.running_sequences) == float("inf"))
    held = memory.max_concurrency_at_workload if whole and cached else memory.running_sequences
    capacity = maximum(plain(held) / ranks, 1.0)
    cap = minimum(float(plain(case.max_num_seqs)), capacity)
    concurrency, rate = plain(case.concurrency), plain(case.request_rate)
    share = None if concurrency is None else ceil(concurrency / ranks) if ranks > 1 else concurrency * 1.0
    return share, cap, None if rate is None else rate / ranks


def speed_estimate(case: Case, memory: MemoryEstimate, settled: SpeedEstimate | None = None) -> SpeedEstimate:
    """The speed of a case that fits; on a lifted case ``settled`` is the plain answer that it derives."""
    clock = StepClock(case)
    return _estimate(case, clock, steady_state(case, memory, clock, settled))


def steady_state(case: Case, memory: MemoryEstimate, clock: StepClock, settled: SpeedEstimate | None = None) -> Steady:
    """The steady state of one attention rank under the load that the case asks for."""
    serving = Serving(case, clock)
    concurrency, cap, rate = rank_demand(case, memory)
    if settled is not None:
        holds = plain(settled.waiting) != float("inf")
        return replayed(serving, settled_leaf(settled.others), concurrency, cap, rate, holds)
    if rate is not None:
        return open_loop(serving, rate, cap, concurrency)
    return closed_loop(serving, concurrency if concurrency is not None else 1.0, cap)


def _estimate(case: Case, clock: StepClock, steady: Steady) -> SpeedEstimate:
    moment, ranks = steady.moment, working_ranks(case, steady)

    @lru_cache(maxsize=2)
    def phases(name: str) -> Phase:
        return phase(case, clock, moment.prompt_step if name == "prefill" else moment.pure_step)

    rates = throughput(case, steady.rate, ranks)
    return SpeedEstimate(
        latency=latency(case, clock, steady),
        throughput=rates,
        phases=phases,
        running=plain(steady.running) * plain(ranks),
        waiting=waiting_sequences(case, steady, ranks),
        decode_batch=plain(moment.batch),
        others=plain(moment.others),
        goodput=goodput(case, Serving(case, clock), steady, rates.requests_per_second),
    )


def latency(case: Case, clock: StepClock, steady: Steady) -> Latency:
    """The times of a request in a steady state: means and percentiles."""
    means = (steady.ttft_seconds, steady.tpot_seconds, steady.e2e_seconds)
    return Latency(*means, **percentiles(case, Serving(case, clock), steady))


def working_ranks(case: Case, steady: Steady) -> Count:
    """The attention ranks of a replica; where requests in flight do not fill them alike, as many as have
    the fullest one's share. An array where the load is one."""
    ranks = case.parallel.data_parallel_size
    if plain(ranks) == 1 or case.concurrency is None:
        return ranks
    share = busy_ranks(case.concurrency, plain(steady.running), ranks)
    if case.request_rate is None or every(plain(steady.waiting) > 0):
        return share
    return where(plain(steady.waiting) > 0, share, ranks)


def waiting_sequences(case: Case, steady: Steady, ranks: Count) -> Count:
    """Sequences of the replica that wait for a place; without end where a rate is more than it holds."""
    if case.request_rate is not None or case.concurrency is None:
        return plain(steady.waiting) * plain(ranks)
    return maximum(plain(case.concurrency) - plain(steady.running) * plain(ranks), 0.0)


def throughput(case: Case, rank_rate: PerSecond, ranks: Count) -> Throughput:
    """The rates of a replica from the request rate of the fullest of its attention ranks."""
    split, work = case.parallel, case.workload
    rate = rank_rate if plain(split.data_parallel_size) == 1 else rate_of_ranks(rank_rate, ranks)
    output = tokens_per_second(rate, work.output_tokens)
    both = total([named(work.input_tokens, "input_tokens"), named(work.output_tokens, "output_tokens")], "tokens")
    devices = plain(expert_ranks(split)) * plain(split.pipeline_parallel_size)
    return Throughput(
        named(rate, "requests_per_second"), named(output, "output_tokens_per_second"),
        named(tokens_per_second(rate, both), "total_tokens_per_second"),
        named(rate_per_device(output, devices), "output_tokens_per_second_per_gpu"),
    )  # fmt: skip


def phase(case: Case, clock: StepClock, step: Step) -> Phase:
    """A step of a phase, with all kernels of the slowest stage."""
    cost: StageCost = clock.stage_cost(step)
    flop = total([repeated_flop(each.cost.flop, each.count) for each in cost.kernels], "flop")
    moved = [each for each in cost.kernels if each.cost.kind != "communication"]
    traffic = total([repeated_bytes(each.cost.bytes, each.count) for each in moved], "bytes")
    bandwidth = case.accelerator.memory_bandwidth
    peak = dominant_peak(case, cost)
    found = shares(cost)
    return Phase(
        step_seconds=named(cost.seconds, "step_seconds"),
        flop=named(flop, "flop"),
        bytes=named(traffic, "bytes"),
        arithmetic_intensity_flop_per_byte=arithmetic_intensity(flop, traffic),
        ridge_point_flop_per_byte=ridge_point(peak, bandwidth),
        flop_utilization=flop_utilization(flop, peak, cost.seconds),
        bandwidth_utilization=bandwidth_utilization(traffic, bandwidth, cost.seconds),
        bound=largest_share(found),
        operations=tuple(_operations(cost)),
    )


def dominant_peak(case: Case, cost: StageCost) -> Any:
    """The peak most of the FLOP are held against."""
    by_peak: dict[float, tuple[float, Any]] = {}
    for each in cost.kernels:
        if each.cost.peak is not None:
            key = float(plain(each.cost.peak))
            done = by_peak.get(key, (0.0, None))[0]
            by_peak[key] = (done + float(plain(each.cost.flop)) * float(plain(each.count)), each.cost.peak)
    if not by_peak:
        return case.accelerator.peak_dense[sixteen_bit(case)]
    return max(by_peak.values(), key=lambda pair: pair[0])[1]


def _operations(cost: StageCost) -> list[dict[str, Any]]:
    """One mapping per operation, those of the same name in different layers joined."""
    whole = float(plain(cost.seconds))
    joined: dict[str, dict[str, Any]] = {}
    for each in cost.kernels:
        count, seconds = float(plain(each.count)), float(plain(each.seconds))
        row = joined.setdefault(each.cost.name, _empty(each.cost.name, each.cost.kind, binding(each.cost)))
        row["layers"] += count
        row["flop"] += float(plain(each.cost.flop)) * count
        row["bytes"] += float(plain(each.cost.bytes)) * count
        row["seconds"] += seconds
    rows = sorted(joined.values(), key=lambda row: -float(row["seconds"]))
    small = _empty("small kernels and host", "overhead", "overhead")
    small |= {"layers": 1.0, "seconds": whole - sum(row["seconds"] for row in rows)}
    for row in [*rows, small]:
        row["share"] = row["seconds"] / whole
        row["intensity_flop_per_byte"] = row["flop"] / row["bytes"] if row["bytes"] else 0.0
    return [*rows, small]


def _empty(name: str, kind: str, bound: str) -> dict[str, Any]:
    return {"name": name, "kind": kind, "layers": 0.0, "flop": 0.0, "bytes": 0.0, "intensity_flop_per_byte": 0.0,
            "seconds": 0.0, "share": 0.0, "bound": bound}  # fmt: skip
