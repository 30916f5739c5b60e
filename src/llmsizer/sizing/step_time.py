"""The time of one engine step: kernels, host, pipeline."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from llmsizer.blocks.feed_forward import MixtureOfExperts
from llmsizer.core.explain import named, plain, total
from llmsizer.core.numerics import maximum, minimum, where
from llmsizer.core.quantities import Count, Seconds
from llmsizer.formulas.parameters import repeated_width
from llmsizer.formulas.steps import (
    eager_prompt_seconds,
    eager_seconds,
    further_kernels,
    host_seconds,
    launches_of,
    pipeline_fill_seconds,
    pipeline_seconds,
    seconds_of_layers,
)
from llmsizer.schema.deployment import Case
from llmsizer.sizing.collectives import stage_transfer
from llmsizer.sizing.host import host_kernels
from llmsizer.sizing.kernels import Cost, is_nothing, where_busy
from llmsizer.sizing.machine import launch_seconds
from llmsizer.sizing.rank_kernels import Repeated, rank_kernels
from llmsizer.sizing.stages import Stage, held_stages
from llmsizer.sizing.steps import Load, Step, case_load, load_of


@dataclass(frozen=True, slots=True)
class KernelCost:
    """A kernel's cost in a step, all its layers together."""

    cost: Cost
    count: Count
    seconds: Seconds


@dataclass(frozen=True, slots=True)
class StageCost:
    """One stage's pass through a step: device kernels, small kernels of the layers, host time."""

    kernels: tuple[KernelCost, ...]
    device_seconds: Seconds
    host_seconds: Seconds
    seconds: Seconds


class StepClock:
    """Tells how long a case's engine takes for a step. Make one per case; it keeps the kernels."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.stages: list[Stage] = held_stages(case)

    @cached_property
    def slowest(self) -> Stage:
        """The stage with most layers; among equals the last, which has the output projection."""
        return max(self.stages, key=lambda stage: (stage.end - stage.first, stage.index))

    @cached_property
    def routed_layers(self) -> int:
        """Layers of the slowest stage that route to experts."""
        groups = [group for group in self.case.model.layers if isinstance(group.feed_forward, MixtureOfExperts)]
        return sum(1 for group in groups for layer in group.indices if self.slowest.first <= layer < self.slowest.end)

    @cached_property
    def kernels(self) -> list[Repeated]:
        """The kernels of the slowest stage, and what the host adds to it."""
        return [*rank_kernels(self.case, self.slowest), *host_kernels(self.case, self.slowest)]

    def stage_cost(self, step: Step) -> StageCost:
        """What one pass of a step through the slowest stage costs, kernel by kernel."""
        load = case_load(self.case, step)
        kernels = tuple(self._costs(load))
        device, host = self._device([each.seconds for each in kernels], load), self._host(step)
        return StageCost(kernels, device, host, total([named(device, "device"), named(host, "host")], "step_seconds"))

    def _costs(self, load: Load) -> Iterator[KernelCost]:
        for each in self.kernels:
            amount = each.kernel.amount(load)
            if not is_nothing(amount):
                cost = each.kernel.cost(load)
                yield KernelCost(cost, each.count, _all(cost.name, where_busy(amount, cost.seconds), each.count))

    def stage_seconds(self, step: Step) -> Seconds:
        """The time of one pass of a step through the slowest stage."""
        load = case_load(self.case, step)
        device = self._device(list(self._seconds(load)), load)
        return total([named(device, "device"), named(self._host(step), "host")], "step_seconds")

    def _seconds(self, load: Load) -> Iterator[Seconds]:
        for each in self.kernels:
            amount = each.kernel.amount(load)
            if not is_nothing(amount):
                yield _all(each.kernel.name, where_busy(amount, each.kernel.seconds(load)), each.count)

    def _device(self, parts: list[Seconds], load: Load) -> Seconds:
        """Kernels and the small kernels between them; what their launches take where no graph holds them."""
        engine, layers = self.case.engine, self.slowest.end - self.slowest.first
        small = seconds_of_layers(engine.layer_seconds, layers)
        parts = [*parts, named(small, "small kernels of the layers")]
        if self.routed_layers:
            routed = seconds_of_layers(engine.routed_layer_seconds, self.routed_layers)
            parts.append(named(routed, "small kernels of routed layers"))
        device = total(parts, "device_seconds")
        if self.case.enforce_eager or not engine.captures_graphs:
            return eager_seconds(device, self._launches(load), launch_seconds(self.case))
        if not engine.captures_prompts and not is_nothing(load.step.prefill_tokens):
            return eager_prompt_seconds(device, self._launches(load), launch_seconds(self.case), load.step.prefill_tokens)
        return device

    def _launches(self, load: Load) -> Count:
        """Kernels of a step that are launched one by one: those that its layers need, or as many as the engine has."""
        engine, layers = self.case.engine, self.slowest.end - self.slowest.first
        if engine.kernels_per_layer is None:
            parts = [self._launched(each, load) for each in self.kernels]
            return total(parts, "kernels")
        usual, how = repeated_width(engine.kernels_per_layer, layers), self.case.elementwise
        if plain(how.norm_kernels) == 1 == plain(how.activation_kernels):
            return usual
        further = repeated_width(further_kernels(how.norm_kernels, how.activation_kernels), layers)
        return total([named(usual, "fused"), named(further, "unfused")], "kernels")

    @staticmethod
    def _launched(each: Repeated, load: Load) -> Count:
        return named(launches_of(each.kernel.launches, each.count, each.kernel.amount(load)), each.kernel.name)

    def _host(self, step: Step) -> Seconds:
        engine = self.case.engine
        ranks = self.case.parallel.tensor_parallel_size
        return host_seconds(
            engine.host_step_seconds, engine.host_sequence_seconds, self._sequences(step), engine.host_rank_seconds, ranks
        )

    def _sequences(self, step: Step) -> Count:
        return total([named(step.decode_batch, "decoding"), named(step.prefill_sequences, "prompts")], "sequences")

    def seconds(self, step: Step) -> Seconds:
        """Time from one step to the next as a sequence sees it. With pipeline stages the decoding
        sequences go through in as many micro-batches, and prompt tokens with one of them."""
        return self.timed(step)[0]

    def timed(self, step: Step) -> tuple[Seconds, Seconds]:
        """That time, and what a prompt of the step takes to get through the further stages while other steps go on."""
        size = int(plain(self.case.parallel.pipeline_parallel_size))
        if size == 1:
            return self.stage_seconds(step), 0.0
        micro, plainly = micro_steps(step, size)
        sent = stage_transfer(self.case).seconds(load_of(plainly, 1))
        without = self.stage_seconds(plainly)
        with_prompts = without if is_nothing(step.prefill_tokens) else self.stage_seconds(micro)
        fill = pipeline_fill_seconds(with_prompts, without, size)
        return pipeline_seconds(without, with_prompts, sent, size), fill


def micro_steps(step: Step, stages: int) -> tuple[Step, Step]:
    """One stage's part of a step with its prompt tokens, and without."""
    micro = replace(step, decode_batch=micro_batch(step.decode_batch, stages))
    return micro, replace(micro, prefill_tokens=0.0, prefill_context=0.0, prefill_sequences=0.0)


def micro_batch(batch: Any, stages: int) -> Any:
    """Sequences of one micro-batch: a share of the batch, one at least where any decode."""
    number = plain(batch)
    return maximum(number / stages, minimum(number, 1.0))


def _all(name: str, one: Seconds, count: Count) -> Seconds:
    return named(one if plain(count) == 1 else seconds_of_layers(one, count), name)


def shares(cost: StageCost) -> dict[str, Any]:
    """Seconds of a step by what binds: compute, memory, interconnect or overhead. Plain numbers."""
    found: dict[str, Any] = {"compute": 0.0, "memory": 0.0, "interconnect": 0.0, "overhead": plain(cost.seconds)}
    for each in cost.kernels:
        seconds = plain(each.seconds)
        beyond = maximum(seconds - plain(each.cost.floor) * plain(each.count), 0.0)
        found["overhead"] = found["overhead"] - beyond
        if each.cost.kind == "communication":
            found["interconnect"] = found["interconnect"] + beyond
        elif each.cost.peak is None or each.cost.bandwidth is None:
            found["memory"] = found["memory"] + beyond
        else:
            compute = where(is_compute_bound(each.cost), beyond, 0.0)
            found["compute"], found["memory"] = found["compute"] + compute, found["memory"] + beyond - compute
    return found


def largest_share(found: Mapping[str, Any]) -> Any:
    """The name of the largest of some shares; for arrays an array of names."""
    names = list(found)
    if all(isinstance(share, (int, float)) for share in found.values()):
        return max(names, key=lambda name: float(found[name]))
    import numpy as np

    return np.array(names, dtype=object)[np.argmax(np.stack(np.broadcast_arrays(*found.values())), axis=0)]


def binding(cost: Cost) -> str:
    """What binds one kernel beyond its floor: the interconnect, or whichever of its FLOP at the peak
    and its bytes at the bandwidth takes longer."""
    if cost.kind == "communication":
        return "interconnect"
    if cost.peak is None or cost.bandwidth is None:
        return "memory"
    return "compute" if is_compute_bound(cost) else "memory"


def is_compute_bound(cost: Cost) -> Any:
    """Whether the FLOP at the peak take longer than the bytes at the bandwidth."""
    return plain(cost.flop) * plain(cost.bandwidth) > plain(cost.bytes) * plain(cost.peak)
