"""Which single input moves a pick most: each one a tenth lower and higher, everything else as it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from llmsizer.catalog.catalog import Catalog
from llmsizer.planner.highest import highest_rate
from llmsizer.planner.picks import Pick
from llmsizer.planner.question import PlanQuestion
from llmsizer.planner.targets import Target
from llmsizer.question.words import Words
from llmsizer.schema.accelerator import Accelerator

CHANGE = 0.10
LENGTHS = ("input_tokens", "output_tokens")


@dataclass(frozen=True, slots=True)
class Effect:
    """What an ``input`` does to the load that a replica bears within the targets: the relative change with the
    input a tenth ``lower`` and a tenth ``higher``. None: the targets are missed, or it no longer fits."""

    input: str
    lower: float | None
    higher: float | None

    @property
    def size(self) -> float:
        """The larger of both changes; a missed target counts as all."""
        return max(1.0 if change is None else abs(change) for change in (self.lower, self.higher))

    def to_dict(self) -> dict[str, Any]:
        """The effect as plain data."""
        return {"input": self.input, "ten_percent_lower": self.lower, "ten_percent_higher": self.higher}


@dataclass(frozen=True, slots=True)
class _Setting:
    """What a capacity is asked for."""

    words: Words
    device: Accelerator
    targets: Sequence[Target]


def sensitivity(pick: Pick, question: PlanQuestion, catalog: Catalog) -> tuple[Effect, ...]:
    """The effects of the inputs on a pick's capacity, largest first."""
    work = pick.estimate.case.workload
    fixed: dict[str, Any] = {}
    if work.spread is None and pick.words.workload is None:
        fixed = {name: int(getattr(work, name)) for name in LENGTHS}
    words = replace(pick.words, request_rate=None, prefix_cache_hit_rate=float(work.prefix_cache_hit_rate), **fixed)
    base = _Setting(words, pick.estimate.case.accelerator, question.targets)
    usual = _bears(base, catalog)
    assert usual is not None, "a pick bears something"
    found = []
    for name, change in _inputs(base, bool(fixed)):
        lower, higher = (_bears(change(base, 1 + sign * CHANGE), catalog) for sign in (-1, 1))
        found.append(Effect(name, *(None if each is None else each / usual - 1 for each in (lower, higher))))
    return tuple(sorted(found, key=lambda effect: -effect.size))


def _bears(setting: _Setting, catalog: Catalog) -> float | None:
    return highest_rate(setting.words, setting.device, setting.targets, catalog)


Change = Callable[[_Setting, float], _Setting]


def _inputs(base: _Setting, fixed_lengths: bool) -> Iterator[tuple[str, Change]]:
    yield "memory bandwidth", _of_device("memory_bandwidth")
    yield "peak FLOP/s", lambda now, factor: _with_device(now, peak_dense=_scaled(now.device.peak_dense, factor))
    yield "device memory", _of_device("usable_memory")
    if base.words.tensor_parallel_size * base.words.data_parallel_size * base.words.pipeline_parallel_size > 1:
        yield "link bandwidth", _link
    if fixed_lengths:
        yield "tokens of a prompt", _of_length("input_tokens")
        yield "tokens of an answer", _of_length("output_tokens")
    if base.words.prefix_cache_hit_rate:
        yield "prefix cache hit rate", _hit_rate
    for place, target in enumerate(base.targets):
        yield f"limit of {target.title}", _of_target(place)


def _scaled(peaks: Any, factor: float) -> dict[str, Any]:
    return {name: peak * factor for name, peak in peaks.items()}


def _with_device(now: _Setting, **fields: Any) -> _Setting:
    return replace(now, device=replace(now.device, **fields))


def _of_device(field: str) -> Change:
    return lambda now, factor: _with_device(now, **{field: getattr(now.device, field) * factor})


def _link(now: _Setting, factor: float) -> _Setting:
    fields = {name: getattr(now.device, name) for name in ("link_bandwidth", "pcie_bandwidth")}
    return _with_device(now, **{name: value * factor for name, value in fields.items() if value is not None})


def _of_length(field: str) -> Change:
    def change(now: _Setting, factor: float) -> _Setting:
        changed: dict[str, Any] = {field: max(1, round(getattr(now.words, field) * factor))}
        return replace(now, words=replace(now.words, **changed))

    return change


def _hit_rate(now: _Setting, factor: float) -> _Setting:
    rate = min(1.0, float(now.words.prefix_cache_hit_rate) * factor)
    return replace(now, words=replace(now.words, prefix_cache_hit_rate=rate))


def _of_target(place: int) -> Change:
    def change(now: _Setting, factor: float) -> _Setting:
        changed = list(now.targets)
        changed[place] = replace(changed[place], limit_seconds=changed[place].limit_seconds * factor)
        return replace(now, targets=tuple(changed))

    return change
