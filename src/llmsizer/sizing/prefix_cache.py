"""The share of the prompt tokens that a prefix cache finds, once the prefixes may exceed what is left of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from llmsizer.core.explain import plain
from llmsizer.core.numerics import maximum
from llmsizer.formulas.prefix_cache import chance_of_hit, window_blocks
from llmsizer.schema.deployment import Case
from llmsizer.schema.prefixes import Prefixes, SharedPrefix
from llmsizer.sizing.lengths import held_tokens
from llmsizer.sizing.memory import MemoryEstimate
from llmsizer.sizing.speed import steady_state
from llmsizer.sizing.step_time import StepClock

# The hit rate sets how many run, and that sets the hit rate: so many rounds settle both.
ROUNDS = 6
# Newton steps to the window of the cache: the blocks of a window rise ever slower with it, so none goes too far.
STEPS = 30
TOLERANCE = 1e-4


def with_hits(case: Case, memory: MemoryEstimate) -> Case:
    """The case with the hit rate that its cache brings about; the same where nothing names what prompts share."""
    prefixes = case.workload.prefixes
    if prefixes is None:
        return case
    clock = StepClock(case)
    for _ in range(ROUNDS):
        before = case.workload.prefix_cache_hit_rate
        running = plain(steady_state(case, memory, clock).running)
        found = hit_rate(case, prefixes, memory, running)
        case = replace(case, workload=replace(case.workload, prefix_cache_hit_rate=found))
        change = abs(found - before)
        if change <= TOLERANCE if isinstance(change, float) else (change <= TOLERANCE).all():
            break
    return case


def hit_rate(case: Case, prefixes: Prefixes, memory: MemoryEstimate, running: Any) -> Any:
    """The share of the prompt tokens found cached while so many requests run on a rank; an array where that is one."""
    block = max(float(plain(case.block_size)), 1.0)
    work, ranks = case.workload, float(plain(case.parallel.data_parallel_size))
    common = sum(kind.share * kind.found_blocks(block) for kind in prefixes.classes)
    # the last block of a sequence is half full on average
    left = maximum((plain(work.input_tokens) + plain(work.output_tokens)) / block + 0.5 - common, 0.5)
    held = maximum(plain(held_tokens(work)) / block + 0.5 - common, 0.5)
    blocks = plain(memory.kv_slots) / ranks / block
    window = _window(prefixes, block, blocks - running * held, left, running)
    hits = sum(kind.found_blocks(block) * _hits(kind, window + running) for kind in prefixes.classes)
    return prefixes.always + hits * block / plain(work.input_tokens)


def _window(prefixes: Prefixes, block: float, room: Any, left: Any, running: Any) -> Any:
    """Requests after which what nobody uses is forgotten, beside the ``running`` ones."""
    window: Any = 0.0 * (room + left)
    for _ in range(STEPS):
        shared = slope = 0.0 * window
        for kind in prefixes.classes:
            whole = kind.whole_blocks(block)
            shared = shared + whole * _over_groups(kind, window + running, lambda chance, each: each.groups * chance)
            slope = slope + whole * _over_groups(
                kind, window + running, lambda chance, each: each.groups * each.popularity * (1 - chance)
            )
        missing = room - window_blocks(shared, left, window, 0.0, 0.0)
        window = maximum(window + missing / (left + slope), 0.0)
    return window


def _hits(kind: SharedPrefix, window: Any) -> Any:
    """Share of all requests that are of a class and find their prefix."""
    return _over_groups(kind, window, lambda chance, each: each.groups * each.popularity * chance)


def _over_groups(kind: SharedPrefix, window: Any, figure: Any) -> Any:
    """The sum of a figure over the groups of a class, from the chance that each is cached."""
    import numpy as np

    chance = chance_of_hit(kind.popularity, np.asarray(window, dtype=float)[..., None])
    found = figure(chance, kind).sum(axis=-1)
    return float(found) if np.ndim(window) == 0 else found
