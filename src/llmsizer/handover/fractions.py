"""The memory fraction for an engine, by way of the bytes that its cache is to have.

Engines take their fractions of different things, so a fraction given for one is never handed to another.
"""

from __future__ import annotations

import math
from dataclasses import replace

from llmsizer.catalog.engine_flags import EngineFlags
from llmsizer.core.errors import UnsupportedCombination
from llmsizer.core.explain import plain
from llmsizer.formulas.handover import fraction_of_free, fraction_of_remaining, fraction_of_total
from llmsizer.schema.deployment import Case
from llmsizer.schema.engine import EngineProfile
from llmsizer.sizing.memory import DeviceMemory, MemoryEstimate, memory_estimate

GIB = 2.0**30
DIGITS = 4


def memory_fraction(case: Case, memory: MemoryEstimate, engine: EngineProfile, flags: EngineFlags) -> tuple[float, str]:
    """The fraction to start an engine with so that its cache has the estimate's bytes, and what to say of it.

    Raises UnsupportedCombination where the engine leaves no memory for a cache.
    """
    rule = flags.entry["memory_fraction"]
    if engine is case.engine and "room" not in rule:
        return float(plain(case.memory_fraction)), ""
    parts = device_parts(case, memory, engine)
    wanted = float(plain(memory.per_gpu.kv_cache_bytes))
    cache = min(wanted, float(parts.capacity_bytes) * rule.get("room", 1.0) - _taken(parts, with_graphs=True))
    if cache <= 0:
        raise UnsupportedCombination(f"{engine.title} {engine.version} leaves no memory for a cache there")
    value = _fraction(parts, cache, engine, rule["of"], rule.get("room", 1.0))
    fraction = min(math.floor(value * 10**DIGITS) / 10**DIGITS, 1.0)
    return fraction, _note(case, engine, cache, wanted)


def device_parts(case: Case, memory: MemoryEstimate, engine: EngineProfile) -> DeviceMemory:
    """The parts of the fullest device's memory as an engine divides it, as plain numbers."""
    found = memory
    if engine is not case.engine:
        there = replace(case, engine=engine, block_size=engine.block_size, memory_fraction=engine.memory_fraction or 0.5)
        found = memory_estimate(there, only_stage=memory.stage)
    one = found.per_gpu
    return replace(one, **{name: float(plain(getattr(one, name))) for name in one.__dataclass_fields__})


def _taken(parts: DeviceMemory, *, with_graphs: bool) -> float:
    taken = parts.weights_bytes + parts.activation_bytes + parts.non_torch_bytes
    return float(plain(taken + parts.cuda_graph_bytes if with_graphs else taken))


def _fraction(parts: DeviceMemory, cache: float, engine: EngineProfile, of: str, room: float) -> float:
    total = float(parts.capacity_bytes)
    if of == "static":
        return float(fraction_of_free(parts.weights_bytes, cache, total, parts.non_torch_bytes))
    if of == "remaining":
        return float(fraction_of_remaining(cache, total, _taken(parts, with_graphs=True)))
    return float(fraction_of_total(_taken(parts, with_graphs=engine.graphs_in_budget), cache, total, room))


def _note(case: Case, engine: EngineProfile, cache: float, wanted: float) -> str:
    if cache < wanted:
        return (
            f"{engine.title} has room for {cache / GIB:.2f} GiB of cache a device, not the {wanted / GIB:.2f} GiB of the "
            f"estimate for {case.engine.title}"
        )
    return f"The memory fraction is the one that leaves {cache / GIB:.2f} GiB of cache a device, as the estimate has it."
