"""What an answer hangs on: each input alone a tenth lower and higher, everything else as it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from llmsizer.blocks.operation import Role
from llmsizer.core.explain import plain
from llmsizer.core.numerics import minimum
from llmsizer.schema.deployment import Case
from llmsizer.schema.number_format import NATIVE, QUANTIZED_ROLES, NumberFormat

STEP = 0.1
HOST_TIMES = (
    "host_step_seconds", "host_sequence_seconds", "host_rank_seconds", "layer_seconds", "routed_layer_seconds", "front_end",
    "front_end_sequence_seconds", "front_end_token_seconds", "launch_seconds",
)  # fmt: skip
STORED = ("bits", "group_bits", "block_bits", "packed_bytes")

Figures = Mapping[str, float]
Changed = Callable[[Case, float], Case | None]


@dataclass(frozen=True, slots=True)
class Effect:
    """An ``input`` with the factors by which each figure changes when it is a tenth ``lower`` and a tenth ``higher``; None
    where a figure is not known then (it no longer fits, misses a target, or the load has no end)."""

    input: str
    lower: Mapping[str, float | None]
    higher: Mapping[str, float | None]

    @property
    def largest(self) -> float:
        """The largest relative change of any figure; infinite where one is lost."""
        changes = [*self.lower.values(), *self.higher.values()]
        return max((abs(each - 1) if each is not None else float("inf") for each in changes), default=0.0)

    def to_dict(self) -> dict[str, Any]:
        """The factors as plain data."""
        return {"input": self.input, "step": STEP, "lower": dict(self.lower), "higher": dict(self.higher)}


def effects(
    case: Case, measure: Callable[[Case], Figures], others: Mapping[str, Callable[[float], Figures]] | None = None
) -> list[Effect]:
    """What each input of a case does to its figures, the one that moves a figure most first.

    ``measure``: the figures of a case that are known; ``others``: inputs beside the case, as figures by their factor.
    """
    before = measure(case)
    found = []
    for name, figures in {**dict(_of_case(case, measure)), **(others or {})}.items():
        lower, higher = (figures(factor) for factor in (1 - STEP, 1 + STEP))
        found.append(Effect(name, _ratios(before, lower), _ratios(before, higher)))
    return sorted(found, key=lambda each: (-each.largest, each.input))


def _of_case(case: Case, measure: Callable[[Case], Figures]) -> Iterator[tuple[str, Callable[[float], Figures]]]:
    """The inputs that a case has."""
    for name, change in INPUTS.items():
        if change(case, 1.0) is not None:
            yield name, lambda factor, change=change: _measured(change(case, factor), measure)  # type: ignore[misc]


def _measured(case: Case | None, measure: Callable[[Case], Figures]) -> Figures:
    return {} if case is None else measure(case)


def _ratios(before: Figures, after: Figures) -> dict[str, float | None]:
    return {name: after[name] / before[name] if name in after else None for name in before}


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
    tensors = {place: name_of(stored) for place, stored in scheme.tensors.items()}
    scaled = replace(
        scheme, formats=formats, roles=roles, linear=name_of(scheme.linear), dense_linear=dense, tensors=tensors
    )  # fmt: skip
    return replace(case, scheme=scaled)


def _scaled(stored: NumberFormat, factor: float) -> NumberFormat:
    return replace(stored, **{name: getattr(stored, name) * factor for name in STORED})


def _acceptance(case: Case, factor: float) -> Case | None:
    draft = case.draft
    if draft is None:
        return None
    if draft.acceptance is None:
        profile = tuple(minimum(plain(chance) * factor, 1.0) for chance in draft.profile)
        return replace(case, draft=replace(draft, profile=profile))
    return replace(case, draft=replace(draft, acceptance=minimum(plain(draft.acceptance) * factor, 1.0)))


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
