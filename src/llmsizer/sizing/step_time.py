"""The time of one engine step: kernels, host, pipeline."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from llmsizer.core.explain import named, plain, total
from llmsizer.core.numerics import maximum
from llmsizer.core.quantities import Count, Seconds
from llmsizer.formulas.steps import eager_seconds, host_seconds, pipeline_seconds, seconds_of_layers
from llmsizer.schema.deployment import Case
from llmsizer.sizing.collectives import stage_transfer
from llmsizer.sizing.kernels import Cost
from llmsizer.sizing.rank_kernels import Repeated, rank_kernels
from llmsizer.sizing.stages import Stage, pipeline_stages
from llmsizer.sizing.steps import Step, load_of


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
        layers = int(plain(case.model.num_hidden_layers))
        self.stages: list[Stage] = pipeline_stages(layers, int(plain(case.parallel.pipeline_parallel_size)))

    @cached_property
    def slowest(self) -> Stage:
        """The stage with most layers; among equals the last, which has the output projection."""
        return max(self.stages, key=lambda stage: (stage.end - stage.first, stage.index))

    @cached_property
    def kernels(self) -> list[Repeated]:
        """The kernels of the slowest stage."""
        return rank_kernels(self.case, self.slowest)

    def stage_cost(self, step: Step) -> StageCost:
        """What one pass of a step through the slowest stage costs, kernel by kernel."""
        load = load_of(step, self.case.parallel.data_parallel_size)
        busy = [each for each in self.kernels if not each.kernel.is_idle(load)]
        costs = [(each.kernel.cost(load), each.count) for each in busy]
        kernels = tuple(KernelCost(cost, count, _all(cost.name, cost.seconds, count)) for cost, count in costs)
        device, host = self._device([each.seconds for each in kernels]), self._host(step)
        return StageCost(kernels, device, host, total([named(device, "device"), named(host, "host")], "step_seconds"))

    def stage_seconds(self, step: Step) -> Seconds:
        """The time of one pass of a step through the slowest stage."""
        load = load_of(step, self.case.parallel.data_parallel_size)
        parts = [
            _all(each.kernel.name, each.kernel.seconds(load), each.count)
            for each in self.kernels
            if not each.kernel.is_idle(load)
        ]
        return total([named(self._device(parts), "device"), named(self._host(step), "host")], "step_seconds")

    def _device(self, parts: list[Seconds]) -> Seconds:
        """Kernels and the small kernels between them; what their launches take where no graph holds them."""
        engine, layers = self.case.engine, self.slowest.end - self.slowest.first
        small = seconds_of_layers(engine.layer_seconds, layers)
        device = total([*parts, named(small, "small kernels of the layers")], "device_seconds")
        if self.case.enforce_eager or not engine.captures_graphs:
            return eager_seconds(device, engine.kernels_per_layer * layers, engine.launch_seconds)
        return device

    def _host(self, step: Step) -> Seconds:
        engine = self.case.engine
        return host_seconds(engine.host_step_seconds, engine.host_sequence_seconds, self._sequences(step))

    def _sequences(self, step: Step) -> Count:
        return total([named(step.decode_batch, "decoding"), named(step.prefill_sequences, "prompts")], "sequences")

    def seconds(self, step: Step) -> Seconds:
        """Time from one step to the next as a sequence sees it. With pipeline stages the decoding
        sequences go through in as many micro-batches, and prompt tokens with one of them."""
        size = int(plain(self.case.parallel.pipeline_parallel_size))
        if size == 1:
            return self.stage_seconds(step)
        micro = replace(step, decode_batch=micro_batch(step.decode_batch, size))
        plainly = replace(micro, prefill_tokens=0.0, prefill_context=0.0, prefill_sequences=0.0)
        sent = stage_transfer(self.case).seconds(load_of(plainly, 1))
        return pipeline_seconds(self.stage_seconds(plainly), self.stage_seconds(micro), sent, size)


def micro_batch(batch: Any, stages: int) -> Any:
    """Sequences of one micro-batch: a share of the batch, one at least where any decode."""
    number = plain(batch)
    if isinstance(number, (int, float)):
        return max(number / stages, min(number, 1.0))
    return maximum(number / stages, 1.0)


def _all(name: str, one: Seconds, count: Count) -> Seconds:
    return named(one if plain(count) == 1 else seconds_of_layers(one, count), name)


def shares(cost: StageCost) -> dict[str, float]:
    """Seconds of a step by what binds: compute, memory, interconnect or overhead. Plain numbers."""
    found = {"compute": 0.0, "memory": 0.0, "interconnect": 0.0, "overhead": 0.0}
    for each in cost.kernels:
        seconds = float(plain(each.seconds))
        floor = min(float(plain(each.cost.floor)) * float(plain(each.count)), seconds)
        found["overhead"] += floor
        found[binding(each.cost)] += seconds - floor
    found["overhead"] += float(plain(cost.seconds)) - sum(float(plain(each.seconds)) for each in cost.kernels)
    return found


def binding(cost: Cost) -> str:
    """What binds one kernel beyond its floor: the interconnect, or whichever of its FLOP at the peak
    and its bytes at the bandwidth takes longer."""
    if cost.kind == "communication":
        return "interconnect"
    if cost.peak is None or cost.bandwidth is None:
        return "memory"
    compute = plain(cost.flop) / plain(cost.peak) > plain(cost.bytes) / plain(cost.bandwidth)
    return "compute" if compute else "memory"
