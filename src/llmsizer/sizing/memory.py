"""The memory of a deployment: what each device holds, what fits, and how much of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from llmsizer.core.explain import named, plain, total
from llmsizer.core.numerics import minimum, where
from llmsizer.core.quantities import Bytes, BytesPerToken, Count, Tokens
from llmsizer.formulas.budget import share_kept, unused_bytes
from llmsizer.formulas.kv_cache import concurrency_tokens, sequences_of_ranks, tokens_of_ranks
from llmsizer.schema.deployment import Case
from llmsizer.sizing.accounting import Division, divide
from llmsizer.sizing.draft import draft_weight_bytes
from llmsizer.sizing.fixed_point import anywhere
from llmsizer.sizing.kv_cache import CacheLayer, cache_layers, encoder_bytes, fixed_sequence_bytes
from llmsizer.sizing.lengths import held_tokens
from llmsizer.sizing.pool import Pool, make_pool, sequence_slope
from llmsizer.sizing.stages import Stage, held_stages
from llmsizer.sizing.weights import adapter_bytes, host_weight_bytes, rank_weight_bytes

# Beyond this a context length is a capacity figure, not a length anyone can ask for.
LONGEST = 2**31


@dataclass(frozen=True, slots=True)
class DeviceMemory:
    """The parts of one device's memory; the six after the budget sum to the capacity."""

    capacity_bytes: Bytes
    budget_bytes: Bytes
    weights_bytes: Bytes
    activation_bytes: Bytes
    non_torch_bytes: Bytes
    cuda_graph_bytes: Bytes
    kv_cache_bytes: Bytes
    unused_bytes: Bytes


@dataclass(frozen=True, slots=True)
class MemoryEstimate:
    """What fits. ``per_gpu`` is the device of the fullest stage; capacities are of the replica.

    ``running_sequences`` of the workload find cache at a time, as the engine admits them; without end where
    nothing is cached.
    ``kv_capacity_tokens`` is the figure the engine version prints; ``kv_slots`` the tokens that
    really fit in sequences of the workload's length. ``shortfall_bytes`` is what a device lacks. ``stage`` is the
    place of the fullest pipeline stage.
    """

    per_gpu: DeviceMemory
    fits: bool
    reasons: tuple[str, ...]
    shortfall_bytes: Bytes
    kv_bytes_per_token_per_gpu: BytesPerToken
    kv_bytes_per_further_token: BytesPerToken
    state_bytes_per_sequence: Bytes
    kv_capacity_tokens: Tokens
    kv_slots: Tokens
    max_concurrency_at_max_model_len: Count
    max_concurrency_at_workload: Count
    running_sequences: Count
    max_context_tokens: Tokens
    host_weights_bytes: Bytes
    stage: int


@dataclass(frozen=True, slots=True)
class StageMemory:
    """One stage's device: its parts and its pool."""

    stage: Stage
    layers: list[CacheLayer]
    weights: Bytes
    division: Division
    pool: Pool


def stage_memory(case: Case, stage: Stage) -> StageMemory:
    """Weights, division and pool of one device of a stage."""
    weights = rank_weight_bytes(case, stage)
    extras = [named(adapter_bytes(case, stage), "adapters")] if case.adapters is not None else []
    if case.draft is not None and stage.is_last and case.draft.brings_weights:
        extras.append(named(draft_weight_bytes(case), "draft"))
    if extras:
        weights = total([named(weights, "model weights"), *extras], "weights_bytes")
    if case.offload is not None and plain(case.offload.weights):
        weights = named(share_kept(weights, case.offload.weights), "weights_bytes")
    layers = cache_layers(case, stage)
    division = divide(case, stage, weights)
    return StageMemory(stage, layers, weights, division, make_pool(case, layers, division.for_cache))


def stages_of(case: Case) -> list[Stage]:
    """The pipeline stages of a case that can differ: first, last, and the largest between."""
    stages = held_stages(case)
    if len(stages) <= 3:
        return stages
    middle = max(stages[1:-1], key=lambda stage: stage.end - stage.first)
    return [stages[0], middle, stages[-1]]


def memory_estimate(case: Case, only_stage: int | None = None) -> MemoryEstimate:
    """The memory of a case: of the stage whose cache is smallest (``only_stage`` replays one)."""
    stages = [s for s in stages_of(case) if only_stage is None or s.index == only_stage]
    candidates = [stage_memory(case, stage) for stage in stages]
    worst = min(candidates, key=lambda found: _headroom(case, found))
    return _estimate(case, worst)


@dataclass(frozen=True, slots=True)
class Held:
    """What depends on the length of requests; the fields are arrays where the lengths are."""

    fits: Any
    max_concurrency_at_workload: Count
    kv_slots: Tokens
    running_sequences: Count


def held(case: Case, found: StageMemory) -> Held:
    """How many requests of the workload's lengths a stage's device holds, and whether one fits at all."""
    wanted, replicas = workload_length(case), case.parallel.data_parallel_size
    admitted = wanted if case.engine.admission == "reserve" else mean_length(case)
    division, room = found.division, bool(found.layers) & (plain(found.division.for_cache) > 0)

    def sequences(length: Tokens) -> Count:
        return where(room, sequences_of_ranks(found.pool.concurrency(length), replicas), 0.0) if anywhere(room) else 0.0

    fits: Any = plain(division.for_cache) >= plain(division.allocated if division.allocated is not None else 0.0)
    if division.allocated is None and found.layers:
        fits = room & (plain(found.pool.concurrency(required_length(case))) >= 1)
    at_workload = sequences(wanted)
    return Held(
        fits=fits,
        max_concurrency_at_workload=named(at_workload, "max_concurrency_at_workload"),
        kv_slots=named(concurrency_tokens(at_workload, wanted), "kv_slots"),
        running_sequences=sequences(admitted) if found.layers else float("inf"),
    )


def held_at(case: Case, stage: int) -> Held:
    """The same for a case whose workload has arrays of lengths; ``stage`` as a plain estimate found it."""
    return held(case, stage_memory(case, next(each for each in stages_of(case) if each.index == stage)))


def fleet_memory(case: Case) -> tuple[Any, Count]:
    """Which devices of a fleet hold the case, and the sequences of its workload that run on each at a time:
    of the fullest stage, as columns."""
    fits: Any = True
    running: Any = float("inf")
    for stage in stages_of(case):
        one = held(case, stage_memory(case, stage))
        fits, running = fits & one.fits, minimum(running, plain(one.running_sequences))
    return fits, running


def _headroom(case: Case, found: StageMemory) -> float:
    left = float(plain(found.division.for_cache))
    return float(plain(found.pool.concurrency(case.max_model_len))) if left > 0 and found.layers else left


def _kept_per_sequence(case: Case, found: StageMemory) -> Bytes:
    """What a sequence keeps whatever its length: recurrent states, and keys and values of an encoder's tokens."""
    states = fixed_sequence_bytes(found.layers)
    if case.model.encoder_tokens is None:
        return states
    return total([states, encoder_bytes(found.layers, case.model.encoder_tokens)], "state per sequence")


def _estimate(case: Case, found: StageMemory) -> MemoryEstimate:
    length = case.max_model_len
    replicas = case.parallel.data_parallel_size
    pool, has_room = found.pool, plain(found.division.for_cache) > 0
    at_lengths = held(case, found)
    fits = bool(at_lengths.fits)
    concurrency = sequences_of_ranks(pool.concurrency(length), replicas) if has_room and found.layers else 0.0
    printed = tokens_of_ranks(pool.printed_tokens(length), replicas) if has_room and found.layers else 0.0
    return MemoryEstimate(
        per_gpu=device_memory(case, found),
        fits=fits,
        reasons=tuple(reasons(case, found)) if not fits else (),
        shortfall_bytes=shortfall_bytes(case, found),
        kv_bytes_per_token_per_gpu=named(pool.bytes_per_token(length), "kv_bytes_per_token_per_gpu") if found.layers else 0.0,
        kv_bytes_per_further_token=sequence_slope(found.layers),
        state_bytes_per_sequence=named(_kept_per_sequence(case, found), "state_bytes_per_sequence"),
        kv_capacity_tokens=named(printed, "kv_capacity_tokens"),
        kv_slots=at_lengths.kv_slots,
        max_concurrency_at_max_model_len=named(concurrency, "max_concurrency_at_max_model_len"),
        max_concurrency_at_workload=at_lengths.max_concurrency_at_workload,
        running_sequences=at_lengths.running_sequences,
        max_context_tokens=float(longest_context(case, found)) if has_room else 0.0,
        host_weights_bytes=host_weight_bytes(case, found.stage),
        stage=found.stage.index,
    )  # fmt: skip


def workload_length(case: Case) -> Tokens:
    """Tokens of a request at its end: prompt and answer."""
    return total(
        [named(case.workload.input_tokens, "input_tokens"), named(case.workload.output_tokens, "output_tokens")],
        "length",
    )


def mean_length(case: Case) -> Tokens:
    """Tokens a request holds on average while it runs: its prompt and half its answer, were all alike."""
    return held_tokens(case.workload)


def device_memory(case: Case, found: StageMemory) -> DeviceMemory:
    """The parts of one device, which sum to its capacity."""
    division, capacity = found.division, named(case.accelerator.usable_memory, "capacity_bytes")
    if division.allocated is not None:
        cache = division.allocated
    elif plain(division.for_cache) > 0 and found.layers:
        cache = named(found.pool.pool_bytes(), "kv_cache_bytes")
    else:
        cache = 0.0
    parts = [found.weights, division.activation, division.non_torch, division.graphs, cache]
    unused = unused_bytes(capacity, total(parts, "all parts"))
    return DeviceMemory(
        capacity, division.budget, found.weights, division.activation, division.non_torch, division.graphs, cache,
        named(unused, "unused_bytes"),
    )  # fmt: skip


def shortfall_bytes(case: Case, found: StageMemory) -> float:
    """What one device lacks for the longest sequence it must hold; zero or less when it fits."""
    division = found.division
    if division.allocated is not None:
        return float(plain(division.allocated) - plain(division.for_cache))
    left = float(plain(division.for_cache))
    if not found.layers:
        return -left
    if left <= 0:
        return -left + _least_pool(case, found)
    return 0.0 if float(plain(found.pool.concurrency(required_length(case)))) >= 1 else _least_pool(case, found) - left


def required_length(case: Case) -> Any:
    """The length one sequence must be able to reach: the user's max_model_len, else the workload's."""
    return plain(case.max_model_len if case.len_from == "user" else workload_length(case)) * 1.0


def _least_pool(case: Case, found: StageMemory) -> float:
    """Bytes of the smallest pool that holds one sequence of the required length."""
    low, high = 0.0, 2.0**50
    wanted = required_length(case)
    for _ in range(60):
        middle = (low + high) / 2
        enough = float(plain(make_pool(case, found.layers, middle).concurrency(wanted))) >= 1
        low, high = (low, middle) if enough else (middle, high)
    return high


def longest_context(case: Case, found: StageMemory, sequences: float = 1.0) -> int:
    """The longest context that many sequences can have at once, up to what the model allows."""
    most = case.model.max_position_embeddings
    limit = int(plain(most)) if most is not None else LONGEST
    low, high = 0, limit
    if _holds(case, found, limit, sequences):
        return limit
    while low < high:
        middle = (low + high + 1) // 2
        enough = _holds(case, found, middle, sequences)
        low, high = (middle, high) if enough else (low, middle - 1)
    return low


def _holds(case: Case, found: StageMemory, length: int, sequences: float) -> bool:
    if not found.layers:
        return True
    of_a_rank = math.ceil(sequences / float(plain(case.parallel.data_parallel_size)))
    return float(plain(found.pool.concurrency(float(length)))) >= of_a_rank


def reasons(case: Case, found: StageMemory) -> list[str]:
    """Why a case does not fit, in words."""
    gib = 2.0**30
    parts = [("weights", found.weights), ("activations", found.division.activation),
             ("non-torch memory", found.division.non_torch)]  # fmt: skip
    budget = float(plain(found.division.budget))
    weights = float(plain(found.weights))
    if weights > budget:
        return [
            f"weights need {weights / gib:.1f} GiB per device, {weights / budget:.1f}× the "
            f"{budget / gib:.1f} GiB the engine may use"
        ]
    lacking = shortfall_bytes(case, found) / gib
    if plain(found.division.for_cache) <= 0:
        taken = ", ".join(f"{name} {float(plain(value)) / gib:.1f}" for name, value in parts)
        return [f"no memory is left for the KV cache ({taken} of {budget / gib:.1f} GiB): {lacking:.1f} GiB short"]
    what = "max_model_len" if case.len_from == "user" else "the workload's length"
    return [f"one sequence of {required_length(case):,.0f} tokens ({what}) does not fit: {lacking:.1f} GiB short"]
