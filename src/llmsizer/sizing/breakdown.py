"""Breakdowns of a memory estimate: weights by part, capacity by length. Plain numbers."""

from __future__ import annotations

from collections.abc import Sequence

from llmsizer.blocks.operation import Role
from llmsizer.core.explain import plain
from llmsizer.core.quantities import Count
from llmsizer.schema.deployment import Case
from llmsizer.sizing.lowering import Stack, lower
from llmsizer.sizing.memory import longest_context, stage_memory, stages_of
from llmsizer.sizing.stages import Stage
from llmsizer.sizing.weights import held_layers, rank_weight_bytes, sizer_of


def stage_at(case: Case, index: int) -> Stage:
    """The stage of a case by its index."""
    return next(stage for stage in stages_of(case) if stage.index == index)


def weights_by_part(case: Case, stage_index: int) -> list[tuple[str, float]]:
    """Bytes of one device's weights by part of the model, largest first, and what the engine adds."""
    stage, sizer = stage_at(case, stage_index), sizer_of(case)
    sizes: dict[Role, float] = {}
    lowered = lower(case.model)
    ends = [*([lowered.embedding, *lowered.towers] if stage.is_first else []), *([lowered.head] if stage.is_last else [])]
    if case.engine.embedding_on_host:
        ends = [end for end in ends if end is lowered.head]
    held: list[tuple[Stack, list[int], Count]] = [*held_layers(case, stage), *((end, [], end.count) for end in ends)]
    for stack, layers, count in held:
        for operation in stack.operations:
            for weight in operation.weights:
                size = sum(plain(part) for part in sizer.weight_parts(weight, stack.group, layers, count))
                sizes[weight.role] = sizes.get(weight.role, 0.0) + size
    total = plain(rank_weight_bytes(case, stage))
    found = sorted(((role.value, size) for role, size in sizes.items() if size), key=lambda item: -item[1])
    rest = total - sum(size for _, size in found)
    return [*found, ("added by the engine (copies, alignment, loader)", rest)] if rest > 0 else found


def capacity_by_length(case: Case, stage_index: int, lengths: Sequence[int]) -> list[tuple[int, float]]:
    """Sequences that fit at once in the replica, for several lengths."""
    pool = stage_memory(case, stage_at(case, stage_index)).pool
    ranks = plain(case.parallel.data_parallel_size)
    return [(length, plain(pool.concurrency(float(length))) * ranks) for length in lengths]


def longest_contexts(case: Case, stage_index: int, sequences: Sequence[int]) -> list[tuple[int, int]]:
    """The longest context that so many sequences can have at once (0: they do not fit)."""
    found = stage_memory(case, stage_at(case, stage_index))
    return [(count, longest_context(case, found, count)) for count in sequences]
