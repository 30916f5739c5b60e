"""Reads SGLang's start-up log. What it calls GB is GiB."""

from __future__ import annotations

import re
from typing import Any

from llmsizer.doctor.reading import NO_ROOM, OUT_OF_MEMORY, STARTED, UNKNOWN, LogReading
from llmsizer.doctor.text import Hit, Log, Settings, clue, gib, number, whole

# Phrases that only SGLang prints.
SIGNS = (
    "server_args=ServerArgs(", "KV Cache is allocated", "Load weight end.", "Load weight begin.", "max_total_num_tokens=",
    "sglang.launch_server", "Mamba Cache is allocated", "Memory pool end.", "--mem-fraction-static",
)  # fmt: skip

_VALUE = r"(-?[\d.]{1,14})"
_ARGUMENTS = clue(r"server_args=ServerArgs\(", "server_args=ServerArgs(")
_LIMITS = clue(r"max_total_num_tokens=", "max_total_num_tokens=")
_COMMAND = clue(r"(?:sglang\.launch_server\b|sglang serve\b|^[ \t$]{0,8}--[a-z])", "sglang.launch_server", "sglang serve", "--")
_VERSION = clue(r"(?i)\bsglang(?:==|[ -]?version:? ?v?| v)(\d[\w.+-]{0,40})", "sglang", "SGLang")
_WEIGHTS = clue(rf"Load weight end\.[^\n]{{0,300}}?mem usage={_VALUE} ?GB", "Load weight end.")
_BEFORE = clue(rf"Load weight begin\. avail mem={_VALUE} ?GB", "Load weight begin.")
_AFTER = clue(rf"Load weight end\.[^\n]{{0,300}}?avail mem={_VALUE} ?GB", "Load weight end.")
_POOL = clue(
    rf"KV Cache is allocated\.[^\n]{{0,60}}?#tokens: ?(\d{{1,15}}),"
    rf"(?: K size: ?{_VALUE} ?GB, V size: ?{_VALUE} ?GB| KV size: ?{_VALUE} ?GB)",
    "KV Cache is allocated",
)
_STATE = clue(
    rf"Mamba Cache(?: is allocated)?[.:][^\n]{{0,60}}?conv(?:_state size:)? ?{_VALUE} ?GB, ssm(?:_state size:)? ?{_VALUE} ?GB",
    "Mamba Cache",
)
_TOKENS = clue(r"max_total_num_tokens=(\d{1,15})", "max_total_num_tokens=")
_GRAPHS = clue(rf"(?i)graph[^\n]{{0,80}}?mem usage ?= ?{_VALUE} ?GB", "graph")
_DTYPE = clue(r"Load weight end\.[^\n]{0,200}?\bdtype=torch\.(\w{1,20})", "Load weight end.")
_DEVICE = clue(r"device_name=([A-Za-z][\w-]{2,60}?)(?:,dtype|\.json|,)", "device_name=")
_NO_ROOM = clue(
    r"(?:leave no GPU memory for the KV cache|Not enough memory\. Please try)",
    "no GPU memory for the KV cache", "Not enough memory.",
)  # fmt: skip
_REFUSED_FRACTION = clue(r"under --mem-fraction-static=([\d.]{1,10})", "under --mem-fraction-static")
_MEMORY_ERROR = clue(r"(?:CUDA|HIP) out of memory|OutOfMemoryError", "out of memory", "OutOfMemoryError")


def read_sglang(log: Log) -> LogReading:
    """What an SGLang log says."""
    arguments = log.lines(_ARGUMENTS)
    settings = Settings([*log.lines(_LIMITS)[-1:], *arguments[-1:], *dict.fromkeys(log.lines(_COMMAND))])
    version, device = log.first(_VERSION), log.first(_DEVICE)
    model = settings.text("model_path", "model")
    measured = _measured(log)
    refused = log.first(_REFUSED_FRACTION)
    fraction = settings.number("mem_fraction_static") or (number(refused[0]) if refused else None)
    dtype = log.first(_DTYPE)
    return LogReading(
        engine="sglang",
        version=version[0].rstrip(".") if version else None,
        model=model,
        model_names=tuple(dict.fromkeys(filter(None, (model, settings.text("served_model_name"))))),
        device=device[0].replace("_", " ") if device else None,
        dtype=settings.text("dtype") or (dtype[0] if dtype else None),
        quantization=settings.text("quantization") or ("none" if settings.says("quantization") else None),
        kv_cache_dtype=settings.text("kv_cache_dtype"),
        mem_fraction_static=fraction,
        **_split(log, settings),
        **_limits(settings),
        **measured,
        outcome=_outcome(log, measured),
    )


def _split(log: Log, settings: Settings) -> dict[str, Any]:
    """The split as llmsizer counts it: with attention data parallelism SGLang's ``tp_size`` counts all
    ranks, without it every ``dp_size`` replica is an engine of its own."""
    ranks = [int(index) for hit in log.hits(_WEIGHTS) for index in re.findall(r"TP(\d{1,4})", hit.rank)]
    tensor = settings.whole("tp_size", "tensor_parallel_size", "tp") or (max(ranks) + 1 if ranks else None)
    replicas = settings.whole("dp_size", "data_parallel_size", "dp") or 1
    attention = bool(settings.truth("enable_dp_attention")) and replicas > 1
    if attention and tensor:
        tensor = max(1, tensor // replicas)
    experts = settings.whole("ep_size", "expert_parallel_size", "ep") or 1
    return {
        "tensor_parallel_size": tensor,
        "pipeline_parallel_size": settings.whole("pp_size", "pipeline_parallel_size"),
        "data_parallel_size": replicas if attention else None,
        "enable_expert_parallel": True if experts > 1 else None,
    }


def _limits(settings: Settings) -> dict[str, Any]:
    chunk = settings.whole("chunked_prefill_size")
    tokens = chunk if chunk is not None and chunk > 0 else settings.whole("max_prefill_tokens")
    offloaded = settings.number("cpu_offload_gb")
    method = settings.text("speculative_algorithm")
    lora = settings.truth("enable_lora") or (True if settings.text("lora_paths") not in {None, "["} else None)
    return {
        "max_model_len": settings.whole("context_len", "context_length"),
        "max_num_seqs": settings.whole("max_running_requests"),
        "max_num_batched_tokens": tokens,
        "block_size": settings.whole("page_size"),
        "enforce_eager": settings.truth("disable_cuda_graph"),
        "pool_limit": "max_total_tokens" if settings.text("max_total_tokens") else None,
        "lora": lora,
        "max_loras": settings.whole("max_loras_per_batch") if lora else None,
        "max_lora_rank": settings.whole("max_lora_rank") if lora else None,
        "offloaded_bytes": gib(str(offloaded)) if offloaded else None,
        "speculative_method": method.lower() if method else None,
        "speculative_model": settings.text("speculative_draft_model_path"),
        "num_speculative_tokens": settings.whole("speculative_num_draft_tokens"),
    }


def _measured(log: Log) -> dict[str, Any]:
    weights = _summed(log.hits(_WEIGHTS))
    pools = log.hits(_POOL)
    states = _summed(log.hits(_STATE))
    tokens = [count for hit in log.hits(_TOKENS) if (count := whole(hit.groups[0]))]
    tokens = tokens or [count for hit in pools if (count := whole(hit.groups[0]))]
    caches = _summed([Hit(hit.rank, hit.groups[1:], hit.start) for hit in pools])
    before = [value for hit in log.hits(_BEFORE) if (value := gib(hit.groups[0]))]
    graphs = [value for hit in log.hits(_GRAPHS) if (value := gib(hit.groups[0])) is not None]
    notes = []
    if len(pools) > len({hit.rank for hit in pools}):
        notes.append("a rank allocates several cache pools (windowed layers or a draft): their sum is compared")
    return {
        "weights_bytes": max(weights, default=None),
        "weights_by_rank": weights,
        "kv_cache_bytes": min(caches, default=None),
        "kv_cache_by_rank": caches,
        "state_cache_bytes": max(states, default=None),
        "kv_tokens": min(tokens, default=None),
        "cuda_graph_bytes": max(graphs, default=None),
        "device_free_bytes": min(before, default=None) if before else _free_before(log),
        "notes": tuple(notes),
    }


def _summed(hits: list[Hit]) -> tuple[float, ...]:
    """Bytes of each rank: the sum of all it printed (a draft loads after the model)."""
    sums: dict[str, float] = {}
    for hit in hits:
        sums[hit.rank] = sums.get(hit.rank, 0.0) + sum(gib(text) or 0.0 for text in hit.groups)
    return tuple(sums.values())


def _free_before(log: Log) -> float | None:
    """Free memory before loading: what is free after it and what the weights took."""
    after, taken = log.first(_AFTER), log.first(_WEIGHTS)
    if after is None or taken is None or number(after[0]) is None or number(taken[0]) is None:
        return None
    return (gib(after[0]) or 0.0) + (gib(taken[0]) or 0.0)


def _outcome(log: Log, measured: dict[str, Any]) -> str:
    if log.found(_NO_ROOM):
        return NO_ROOM
    if log.found(_MEMORY_ERROR):
        return OUT_OF_MEMORY
    return STARTED if measured["kv_tokens"] or measured["kv_cache_bytes"] else UNKNOWN
