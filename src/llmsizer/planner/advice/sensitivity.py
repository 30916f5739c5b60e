"""Which single input moves the answer most: each changed by a tenth, all others held."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from llmsizer.blocks.operation import Role
from llmsizer.core.explain import plain
from llmsizer.formulas.cost import cost_per_request
from llmsizer.planner.advice.figures import served
from llmsizer.question.ask import with_concurrency
from llmsizer.question.words import Words
from llmsizer.schema.deployment import Case
from llmsizer.schema.number_format import NumberFormat
from llmsizer.sizing.estimate import Estimate
from llmsizer.sizing.memory import memory_estimate
from llmsizer.sizing.speed import speed_estimate
from llmsizer.sizing.tensor_formats import NATIVE, QUANTIZED_ROLES

STEP = 0.1
FIGURES = ("ttft_seconds", "tpot_seconds", "requests_per_second", "usd_per_request")
HOST_TIMES = (
    "host_step_seconds", "host_sequence_seconds", "layer_seconds", "routed_layer_seconds", "front_end",
    "front_end_sequence_seconds", "launch_seconds",
)  # fmt: skip
STORED = ("bits", "group_bits", "block_bits", "packed_bytes")

Changed = Callable[[Case, float], Case | None]


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """An ``input`` with the factors by which each figure changes when it is a tenth ``lower`` and a tenth ``higher``; None
    where a figure is not known then (it no longer fits, or the load has no end)."""

    input: str
    lower: dict[str, float | None]
    higher: dict[str, float | None]

    @property
    def largest(self) -> float:
        """The largest relative change of any figure; infinite where one is lost."""
        changes = [*self.lower.values(), *self.higher.values()]
        return max((abs(each - 1) if each is not None else float("inf") for each in changes), default=0.0)

    def to_dict(self) -> dict[str, Any]:
        """The factors as plain data."""
        return {"input": self.input, "step": STEP, "lower": self.lower, "higher": self.higher}


def sensitivities(words: Words, estimate: Estimate) -> list[Sensitivity]:
    """Every input that the deployment has, the one that moves a figure most first."""
    case = estimate.case
    hourly = estimate.cost.to_dict()["usd_per_hour"] if estimate.cost is not None else None
    before = _figures(case, words, hourly)
    found = []
    for name, change in INPUTS.items():
        if change(case, 1.0) is None:
            continue
        lower, higher = (_figures(change(case, factor), words, hourly) for factor in (1 - STEP, 1 + STEP))
        found.append(Sensitivity(name, _ratios(before, lower), _ratios(before, higher)))
    if hourly is not None:
        found.append(Sensitivity("price", *(dict(_priced(before, factor)) for factor in (1 - STEP, 1 + STEP))))
    return sorted(found, key=lambda each: (-each.largest, each.input))


def _priced(before: dict[str, float], factor: float) -> Iterator[tuple[str, float | None]]:
    for name in before:
        yield name, factor if name == "usd_per_request" else 1.0


def _ratios(before: dict[str, float], after: dict[str, float]) -> dict[str, float | None]:
    return {name: after[name] / before[name] if name in after else None for name in before}


def _figures(case: Case | None, words: Words, hourly: float | None) -> dict[str, float]:
    """The figures of a case that are known; none of one that does not fit."""
    if case is None:
        return {}
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


def _device(*names: str) -> Changed:
    def change(case: Case, factor: float) -> Case | None:
        known = {name: getattr(case.accelerator, name) for name in names if getattr(case.accelerator, name) is not None}
        if not known:
            return None
        return replace(case, accelerator=replace(case.accelerator, **{name: value * factor for name, value in known.items()}))

    return change


def _peak(case: Case, factor: float) -> Case:
    peaks = {name: value * factor for name, value in case.accelerator.peak_dense.items()}
    return replace(case, accelerator=replace(case.accelerator, peak_dense=peaks))


def _link(case: Case, factor: float) -> Case | None:
    if case.parallel.devices == 1:
        return None
    return _device("link_bandwidth", "pair_bandwidth", "pcie_bandwidth")(case, factor)


def _host(case: Case, factor: float) -> Case:
    times = {name: getattr(case.engine, name) * factor for name in HOST_TIMES}
    return replace(case, engine=replace(case.engine, **times))


def _cache(case: Case, factor: float) -> Case | None:
    if not case.cache_format.bits:
        return None
    keys = replace(case.cache_format, bits=case.cache_format.bits * factor)
    values = (
        keys if case.value_format is case.cache_format else replace(case.value_format, bits=case.value_format.bits * factor)
    )
    return replace(case, cache_format=keys, value_format=values)


def _weights(case: Case, factor: float) -> Case:
    """Every stored matrix larger or smaller; what is computed with stays as it is."""
    scheme, own = case.scheme, "native, scaled"

    def name_of(stored: str) -> str:
        return own if stored == NATIVE else stored

    formats = {name: _scaled(stored, factor) for name, stored in (*scheme.formats.items(), (own, case.native))}
    rest = {role.name.lower(): own for role in Role if role not in QUANTIZED_ROLES}
    roles = rest | {role: name_of(stored) for role, stored in scheme.roles.items()}
    dense = name_of(scheme.dense_linear) if scheme.dense_linear is not None else None
    return replace(
        case, scheme=replace(scheme, formats=formats, roles=roles, linear=name_of(scheme.linear), dense_linear=dense)
    )


def _scaled(stored: NumberFormat, factor: float) -> NumberFormat:
    return replace(stored, **{name: getattr(stored, name) * factor for name in STORED})


def _acceptance(case: Case, factor: float) -> Case | None:
    if case.draft is None or case.draft.profile:
        return None
    return replace(case, draft=replace(case.draft, acceptance=min(case.draft.acceptance * factor, 1.0)))


def _workload(name: str) -> Changed:
    def change(case: Case, factor: float) -> Case | None:
        now = getattr(case.workload, name)
        most = 1.0 if name == "prefix_cache_hit_rate" else float("inf")
        return replace(case, workload=replace(case.workload, **{name: min(now * factor, most)})) if now else None

    return change


def _load(case: Case, factor: float) -> Case | None:
    if case.request_rate is not None:
        return replace(case, request_rate=case.request_rate * factor)
    if case.concurrency is None:
        return None
    return replace(case, concurrency=case.concurrency * factor)  # type: ignore[arg-type]


INPUTS: dict[str, Changed] = {
    "memory bandwidth": _device("memory_bandwidth"),
    "peak compute": _peak,
    "link bandwidth": _link,
    "device memory": _device("usable_memory"),
    "host and engine time": _host,
    "KV cache bytes": _cache,
    "weight bytes": _weights,
    "acceptance of guesses": _acceptance,
    "prefix cache hit rate": _workload("prefix_cache_hit_rate"),
    "prompt length": _workload("input_tokens"),
    "answer length": _workload("output_tokens"),
    "load": _load,
}
