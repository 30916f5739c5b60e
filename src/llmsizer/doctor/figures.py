"""The figures that can be compared: as a log prints them, and as the estimate has them."""

from __future__ import annotations

from dataclasses import dataclass

from llmsizer.core.explain import QUESTION, plain
from llmsizer.core.quantities import GIB
from llmsizer.doctor.reading import TAKEN, LogReading
from llmsizer.schema.deployment import Case
from llmsizer.sizing.memory import MemoryEstimate

BYTE, TOKEN, PER_TOKEN, COUNT = "byte", "token", "byte/token", "1"

# Name, title and unit of every figure, in the order of a table.
TITLES = {
    "device_total": ("device memory", BYTE),
    "device_free": ("free before loading", BYTE),
    "weights": ("model weights", BYTE),
    "weights_all": ("model weights, host included", BYTE),
    "activation": ("activation peak", BYTE),
    "non_torch": ("non-torch memory", BYTE),
    "overheads": ("activations and other overheads", BYTE),
    "compute_buffer": ("compute buffer", BYTE),
    "cuda_graph": ("CUDA graphs", BYTE),
    "kv_cache": ("KV cache", BYTE),
    "state_cache": ("recurrent state cache", BYTE),
    "kv_tokens": ("KV cache capacity", TOKEN),
    "bytes_per_token": ("KV bytes per token", PER_TOKEN),
    "concurrency": ("concurrency at max_model_len", COUNT),
    "kv_one_sequence": ("KV of one sequence of max_model_len", BYTE),
    "longest_length": ("longest length that fits", TOKEN),
}
Figures = dict[str, float]


@dataclass(frozen=True, slots=True)
class Estimated:
    """A case with its memory; ``undivided`` is the memory with nothing left on the host (llama.cpp)."""

    case: Case
    memory: MemoryEstimate
    undivided: MemoryEstimate


def _number(value: object) -> float:
    return float(plain(value))


def logged_figures(reading: LogReading, case: Case) -> Figures:
    """What the log says, in bytes and tokens; the case supplies a block size and a fraction where the
    log leaves them to the engine's defaults."""
    if reading.engine == "llama.cpp":
        return _present(_llama_cpp_logged(reading))
    tokens: float | None = reading.kv_tokens
    if tokens is None and reading.kv_blocks is not None:
        tokens = reading.kv_blocks * _number(case.block_size)
    cache = reading.kv_cache_bytes
    found = {
        "device_total": reading.device_total_bytes,
        "weights": reading.weights_bytes,
        "activation": reading.activation_bytes,
        "non_torch": reading.non_torch_bytes,
        "overheads": _overheads_logged(reading, case),
        "cuda_graph": reading.cuda_graph_bytes,
        "kv_cache": cache,
        "state_cache": reading.state_cache_bytes,
        "kv_tokens": tokens,
        "bytes_per_token": cache / tokens if cache and cache > 0 and tokens else None,
        "concurrency": reading.max_concurrency,
        "kv_one_sequence": reading.kv_needed_bytes,
        "longest_length": reading.longest_length,
    }
    if reading.engine == "sglang" or reading.outcome == TAKEN:
        found["device_free"] = reading.device_free_bytes
    return _present(found)


def _present(found: dict[str, float | None]) -> Figures:
    return {name: float(value) for name, value in found.items() if value is not None}


def _overheads_logged(reading: LogReading, case: Case) -> float | None:
    """What a vLLM budget leaves unnamed when the log prints only weights and cache."""
    named = case.provenance.of("memory_fraction") is QUESTION
    if reading.engine != "vllm" or not named or reading.pool_limit is not None:
        return None
    if reading.activation_bytes is not None and reading.non_torch_bytes is not None:
        return None
    if reading.weights_bytes is None or reading.kv_cache_bytes is None:
        return None
    total = reading.device_total_bytes or _number(case.accelerator.usable_memory)
    rest = _number(case.memory_fraction) * total - reading.weights_bytes - reading.kv_cache_bytes
    return rest if rest > 0 else None


def _llama_cpp_logged(reading: LogReading) -> dict[str, float | None]:
    cache = (reading.kv_cache_bytes or 0.0) + (reading.state_cache_bytes or 0.0)
    model = sum(buffer.model_bytes for buffer in reading.buffers)
    on_host = model - (reading.weights_bytes or 0.0) if any(not b.on_host for b in reading.buffers) else 0.0
    return {
        "device_total": reading.device_total_bytes,
        "weights": reading.weights_bytes if model else None,
        "weights_all": model if on_host > 0 else None,
        "kv_cache": cache or None,
        "compute_buffer": reading.activation_bytes,
    }


def estimated_figures(reading: LogReading, estimated: Estimated) -> Figures:
    """The same figures by the estimate; those it does not model are left out."""
    case, memory = estimated.case, estimated.memory
    device = memory.per_gpu
    replicas = _number(case.parallel.data_parallel_size)
    pool, concurrency = _number(device.kv_cache_bytes), _number(memory.max_concurrency_at_max_model_len) / replicas
    found: dict[str, float | None] = {
        "device_total": _number(device.capacity_bytes),
        "device_free": _number(device.capacity_bytes) - _number(device.non_torch_bytes),
        "weights": _number(device.weights_bytes),
        "activation": _number(device.activation_bytes),
        "non_torch": _number(device.non_torch_bytes),
        "overheads": _overheads(case, memory),
        "cuda_graph": _number(device.cuda_graph_bytes),
        "kv_cache": pool if pool > 0 else left_for_cache(case, memory),
        "state_cache": _state_cache(case, memory),
        "kv_tokens": _number(memory.kv_capacity_tokens) / replicas,
        "bytes_per_token": _number(memory.kv_bytes_per_token_per_gpu) or None,
        "concurrency": concurrency if _same_length(reading, case) else None,
        "kv_one_sequence": pool / concurrency if pool > 0 and concurrency > 0 else None,
        "longest_length": _number(memory.max_context_tokens),
    }
    if reading.engine == "llama.cpp":
        found |= _llama_cpp_estimated(reading, estimated)
    return _present(found)


def _same_length(reading: LogReading, case: Case) -> bool:
    return reading.concurrency_length is None or reading.concurrency_length == _number(case.max_model_len)


def _overheads(case: Case, memory: MemoryEstimate) -> float:
    device = memory.per_gpu
    parts = _number(device.activation_bytes) + _number(device.non_torch_bytes)
    return parts + (_number(device.cuda_graph_bytes) if case.engine.graphs_in_budget else 0.0)


def left_for_cache(case: Case, memory: MemoryEstimate) -> float | None:
    """What the budget leaves for the cache, negative where it does not suffice."""
    device = memory.per_gpu
    if case.engine.accounting == "vllm":
        return _number(device.budget_bytes) - _number(device.weights_bytes) - _overheads(case, memory)
    if case.engine.accounting == "sglang":
        return _number(device.budget_bytes) - _number(device.weights_bytes)
    return None


def _state_cache(case: Case, memory: MemoryEstimate) -> float | None:
    """SGLang's pool of recurrent states: a fixed share of the cache pool."""
    if (
        case.engine.state_fraction is None
        or case.model.encoder_tokens is not None
        or not _number(memory.state_bytes_per_sequence)
    ):
        return None
    return _number(memory.per_gpu.kv_cache_bytes) * _number(case.engine.state_fraction)


def _llama_cpp_estimated(reading: LogReading, estimated: Estimated) -> dict[str, float | None]:
    """Weights of all layers against all buffers; those on the card where the split is modelled."""
    divided, whole = estimated.memory.per_gpu, estimated.undivided.per_gpu
    split = case_is_split(estimated.case)
    on_card = _number(divided.weights_bytes)
    if split and on_card == _number(whole.weights_bytes):
        return {"weights": None} | _undivided(estimated)
    return {"weights": on_card} | _undivided(estimated)


def _undivided(estimated: Estimated) -> dict[str, float | None]:
    whole = estimated.undivided
    return {
        "weights_all": _number(whole.per_gpu.weights_bytes) + _number(whole.host_weights_bytes),
        "kv_cache": _number(whole.per_gpu.kv_cache_bytes),
        "compute_buffer": _number(estimated.memory.per_gpu.activation_bytes),
        "kv_tokens": None,
        "concurrency": None,
    }


def case_is_split(case: Case) -> bool:
    """Whether some layers stay on the host (llama.cpp's ``-ngl``)."""
    return case.offload is not None and case.offload.gpu_layers is not None


# How far a log and an estimate may differ and still agree: a share of the log's figure, and (bytes)
# a share of the device's memory.
_OF_FIGURE = {"weights": 0.01, "weights_all": 0.01, "device_total": 0.002, "bytes_per_token": 0.005, "activation": 0.1,
              "non_torch": 0.1, "overheads": 0.1, "cuda_graph": 0.1, "compute_buffer": 0.05}  # fmt: skip
_OF_DEVICE = {"activation": 0.003, "non_torch": 0.003, "overheads": 0.003, "cuda_graph": 0.003, "kv_cache": 0.005,
              "device_free": 0.005, "state_cache": 0.005}  # fmt: skip
ROUNDING = 0.01 * GIB


def tolerance(name: str, log: float, estimated: Estimated, figures: Figures) -> float:
    """The difference up to which a figure agrees, in its own unit."""
    allowed = _OF_FIGURE.get(name, 0.01) * abs(log)
    if TITLES[name][1] == BYTE:
        capacity = _number(estimated.memory.per_gpu.capacity_bytes)
        allowed = max(allowed, _OF_DEVICE.get(name, 0.0) * capacity, ROUNDING)
    if name == "bytes_per_token" and figures.get("kv_cache"):
        allowed = max(allowed, abs(log) * ROUNDING / figures["kv_cache"])
    return allowed
