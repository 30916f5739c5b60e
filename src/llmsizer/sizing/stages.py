"""Pipeline stages: which layers each rank of a pipeline holds."""

from __future__ import annotations

from dataclasses import dataclass

from llmsizer.core.explain import plain
from llmsizer.core.quantities import Count
from llmsizer.schema.deployment import Case
from llmsizer.sizing.lowering import Stack


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage: layers ``first`` to ``end`` (exclusive), and whether it holds the model's ends."""

    index: int
    first: int
    end: int
    is_first: bool
    is_last: bool

    def layers_of(self, stack: Stack) -> list[int]:
        """The places of a stack's layers that this stage holds."""
        return [index for index in sorted(stack.indices) if self.first <= index < self.end]

    def count_of(self, stack: Stack) -> Count:
        """How many of a stack's layers this stage holds; the stack's own count when it holds all."""
        if self.is_first and self.is_last:
            return stack.count
        return len(self.layers_of(stack))


def offloaded_stage(layers: int, gpu_layers: int) -> Stage:
    """The device's share when the last ``gpu_layers`` layers are given to it, and the output layer
    where more than all layers are asked for (llama.cpp --n-gpu-layers)."""
    held = min(gpu_layers, layers)
    return Stage(0, layers - held, layers, held == layers, gpu_layers > layers)


def held_stages(case: Case) -> list[Stage]:
    """The stages of a case: one of a device that holds some of the layers, or those of its pipeline."""
    layers = int(plain(case.model.num_hidden_layers))
    if case.offload is not None and case.offload.gpu_layers is not None:
        return [offloaded_stage(layers, int(plain(case.offload.gpu_layers)))]
    return pipeline_stages(layers, int(plain(case.parallel.pipeline_parallel_size)))


def pipeline_stages(layers: int, pipeline_parallel_size: int) -> list[Stage]:
    """The stages of a pipeline, as vLLM divides layers: a remainder goes to the stages before the
    last, from the back (vllm/distributed/utils.py, get_pp_indices)."""
    size = pipeline_parallel_size
    shares = [layers // size] * size
    for offset in range(2, layers % size + 2):
        shares[-offset] += 1
    stages, first = [], 0
    for index, share in enumerate(shares):
        stages.append(Stage(index, first, first + share, index == 0, index == size - 1))
        first += share
    return stages
