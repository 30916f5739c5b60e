"""Reads vLLM's start-up log, of the old engine core (V0) and of the new one (V1)."""

from __future__ import annotations

import re
from typing import Any

from llmsizer.doctor.reading import NO_ROOM, OUT_OF_MEMORY, STARTED, TAKEN, TOO_LONG, UNKNOWN, LogReading
from llmsizer.doctor.text import Clue, Hit, Log, Settings, clue, gib, number, whole

# Phrases that only vLLM prints: recognises the engine, and says what was looked for.
SIGNS = (
    "model weights take", "PyTorch activation peak memory", "Available KV cache memory", "GPU KV cache size",
    "# GPU blocks", "# cuda blocks", "# CUDA blocks", "Model loading took", "Loading model weights took", "LLM engine (v",
    "KV cache is needed", "vLLM API server", "vllm serve", "vllm.entrypoints", "No available memory for the cache blocks",
    "than desired GPU memory utilization", "stored in KV cache", "total_gpu_memory", "EngineCore",
)  # fmt: skip
V1_SIGNS = ("a V1 LLM engine", "Available KV cache memory", "GPU KV cache size", "EngineCore", "gpu_worker.py",
            "KV cache is needed")  # fmt: skip
V0_SIGNS = ("a V0 LLM engine", "an LLM engine (v", "activation peak memory", "# GPU blocks", "# cuda blocks", "# CUDA blocks",
            "model weights take", "stored in KV cache", "total_gpu_memory")  # fmt: skip

_VALUE = r"(-?[\d.]{1,14})"
_CONFIG = clue(r"LLM engine \(v[^)\s]{1,60}\) with config:", "LLM engine (v")
_ARGUMENTS = clue(r"(?:non-default args:|\bargs: Namespace\()", "non-default args:", "args: Namespace(")
_COMMAND = clue(r"(?:vllm serve\b|vllm\.entrypoints\b|^[ \t$]{0,8}--[a-z])", "vllm serve", "vllm.entrypoints", "--")
_SERVED = clue(r"vllm serve\s+(?!-)['\"]?([^\s'\"\\]{2,200})", "vllm serve")
_VERSION = clue(
    r"(?:LLM engine \(v|vLLM API server version v?|vllm==|\bvLLM version:? v?|█\s+version v?)(\d[\w.+-]{0,60})",
    "LLM engine (v", "vLLM API server version", "vllm==", "vLLM version", "█",
)  # fmt: skip
_WEIGHTS = clue(
    rf"(?:Model loading took|Loading model weights took|model weights only tooks)\s{{1,3}}{_VALUE}",
    "Model loading took", "Loading model weights took", "model weights only tooks",
)  # fmt: skip
_WEIGHTS_SUMMARY = clue(
    rf"(?:model weights take {_VALUE} ?GiB|{_VALUE} ?GiB for weight\b|weights memory: {_VALUE} ?GiB)",
    "model weights take", "for weight", "weights memory",
)  # fmt: skip
_ACTIVATION = clue(
    rf"(?:activation peak(?: memory)?(?: takes)? {_VALUE} ?GiB|{_VALUE} ?GiB for peak activation"
    rf"|torch peak memory increase: {_VALUE} ?GiB)",
    "activation peak", "for peak activation", "torch peak memory increase",
)  # fmt: skip
_TORCH_PEAK = clue(rf"peak_torch_memory={_VALUE} ?GiB", "peak_torch_memory=")
_NON_TORCH = clue(
    rf"(?:non_torch(?:_memory)?(?: takes )?[= ]?{_VALUE} ?GiB|{_VALUE} ?GiB for non-torch"
    rf"|non-torch forward increase memory: {_VALUE} ?GiB)",
    "non_torch", "for non-torch", "non-torch forward increase",
)  # fmt: skip
_GRAPHS = clue(
    rf"(?:CUDA graph pool memory: {_VALUE} GiB \(actual\)|Graph capturing[^\n]{{0,40}}?took {_VALUE} ?GiB"
    rf"|{_VALUE} ?GiB for CUDAGraph memory)",
    "CUDA graph pool memory", "Graph capturing", "for CUDAGraph memory",
)  # fmt: skip
_GRAPH_ESTIMATE = clue(
    rf"(?:Estimated CUDA graph memory: {_VALUE} GiB|GiB \(actual\), {_VALUE} GiB \(estimated\))",
    "Estimated CUDA graph memory", "(estimated)",
)  # fmt: skip
_CACHE = clue(
    rf"(?:Available KV cache memory: {_VALUE} ?GiB|KV Cache is(?: only)? {_VALUE} ?GiB|kv_cache_size={_VALUE} ?GiB"
    rf"|Current kv cache memory in use is {_VALUE} ?GiB|available KV cache memory \({_VALUE} ?GiB\))",
    "KV cache memory", "KV Cache is", "kv_cache_size=", "kv cache memory in use",
)  # fmt: skip
_TOKENS = clue(
    r"(?:GPU KV cache size: ([\d,]{1,20}) tokens|KV cache \(([\d,]{1,20})\))", "GPU KV cache size", "KV cache ("
)  # fmt: skip
_BLOCKS = clue(
    r"(?i)(?:# ?(?:(?:GPU|CUDA|ROCM|HIP|XPU) )?blocks:|(?<!# )GPU blocks:|num_gpu_blocks is:) ?([\d,]{1,20})",
    " blocks:", "#blocks:", "num_gpu_blocks is",
)  # fmt: skip
_CONCURRENCY = clue(
    r"Maximum concurrency for ([\d,]{1,20})(?: tokens)?(?: per request)?: ?([\d.]{1,14})x", "Maximum concurrency for"
)
_NEEDED = clue(
    rf"max (?:seq|model) len(?:gth)? \(([\d,]{{1,20}})\)[^\n]{{0,20}}?{_VALUE} GiB KV cache is needed", "KV cache is needed"
)
_LONGEST = clue(r"estimated maximum model length is ([\d,]{1,20})", "estimated maximum model length")
_TOO_LONG = clue(r"max seq len \(([\d,]{1,20})\) is larger than", "is larger than")
_TOTAL = clue(
    rf"(?:total_gpu_memory ?[=(] ?{_VALUE} ?GiB|Free memory on device[^(\n]{{0,24}}\([\d.]{{1,12}}/{_VALUE} GiB\)"
    rf"|total capacity of {_VALUE} GiB)",
    "total_gpu_memory", "Free memory on device", "total capacity of",
)  # fmt: skip
_FREE = clue(
    rf"(?:Free memory on device[^(\n]{{0,24}}\({_VALUE}/|Initial free memory: {_VALUE} GiB)",
    "Free memory on device", "Initial free memory",
)  # fmt: skip
_FRACTION = clue(
    r"(?:gpu_memory_utilization ?[=(] ?([\d.]{1,10})|[Dd]esired GPU memory utilization(?: is)? \(([\d.]{1,10}),"
    r"|The current --gpu-memory-utilization=([\d.]{1,10}) is|gpu-memory-utilization ([\d.]{1,10}) ->)",
    "gpu_memory_utilization", "GPU memory utilization", "gpu-memory-utilization",
)  # fmt: skip
_BATCHED = clue(r"max_num_batched_tokens ?= ?(\d{1,12})", "max_num_batched_tokens")
_BLOCK_SIZE = clue(r"(?:kv cache|attention) block size to (\d{1,9})", "block size to")
_SPECULATIVE = clue(
    r"SpeculativeConfig\(method='([\w-]{1,40})'(?:, model='([^'\n]{0,300})')?(?:, num_spec(?:ulative)?_tokens=(\d{1,6}))?",
    "SpeculativeConfig(",
)
_SPECULATIVE_ARGUMENT = clue(
    r"(?:speculative_config'?[=:]|--speculative-config)\s{0,3}'?(\{[^}\n]{0,600}\})", "speculative_config", "speculative-config"
)
_LIMITS = ("kv_cache_memory_bytes", "kv_cache_memory", "num_gpu_blocks_override")
_MEMORY_ERROR = clue(r"(?:CUDA|HIP) out of memory|OutOfMemoryError", "out of memory", "OutOfMemoryError")
_OLD_SPLIT = clue(r"VllmWorkerProcess pid=(\d{1,9})", "VllmWorkerProcess")
_PARALLEL_TAG = re.compile(r"\b(DP|PP|TP)_?(\d{1,4})")
_CONFIG_DEVICE = clue(r"device_name=([A-Za-z][\w-]{2,60}?)(?:,dtype|\.json|,)", "device_name=")
_LISTED_DEVICE = clue(r"(?:^|\s)GPU (\d{1,3}): ((?:NVIDIA|AMD|Tesla|Quadro|GeForce)[\w /.-]{2,50})", "GPU ")
# Four decimals and no "memory" were printed up to 0.11 and are gone by 0.14.
_OLD_FORM = clue(r"Model loading took \d{1,4}\.\d{4} (?:GiB|GB)(?! memory)", "Model loading took")
_START = clue(r"vLLM API server version", "vLLM API server version")


def read_vllm(log: Log) -> LogReading:
    """What a vLLM log says. Where it holds several starts, the last one with figures is read."""
    starts = [hit.start for hit in log.hits(_START)]
    for start in reversed(starts[1:]):
        part = Log(log.text[start:])
        if part.found(_CACHE) or part.found(_WEIGHTS) or part.found(_WEIGHTS_SUMMARY):
            return _read(part, (f"the log holds {len(starts)} starts: the last with figures is read",))
    return _read(log, ())


def _read(log: Log, notes: tuple[str, ...]) -> LogReading:
    settings = Settings([*log.lines(_CONFIG), *log.lines(_ARGUMENTS), *dict.fromkeys(log.lines(_COMMAND))])
    found: dict[str, Any] = _identity(log, settings) | _limits(log, settings) | _extras(log, settings)
    measured = _measured(log, speculative=found["speculative_method"] is not None)
    found |= measured
    found["max_model_len"] = found["max_model_len"] or found["concurrency_length"]
    return LogReading(engine="vllm", notes=notes, outcome=_outcome(log, measured), **found)


def _identity(log: Log, settings: Settings) -> dict[str, Any]:
    version = log.first(_VERSION)
    core = "v1" if log.has(*V1_SIGNS) else "v0" if log.has(*V0_SIGNS) else None
    model = settings.text("model", "model_tag", "model_path") or _served(log)
    return {
        "version": version[0].rstrip(".") if version else None,
        "version_before": "0.14" if not version and log.found(_OLD_FORM) else None,
        "core": core,
        "model": model,
        "model_names": tuple(dict.fromkeys(filter(None, (model, settings.text("served_model_name"))))),
        "dtype": (settings.text("dtype") or "").removeprefix("torch.") or None,
        "quantization": settings.text("quantization") or ("none" if settings.says("quantization") else None),
        "kv_cache_dtype": settings.text("kv_cache_dtype"),
        **_parallel(log, settings),
    }


def _served(log: Log) -> str | None:
    found = log.first(_SERVED)
    return found[0] if found else None


def _parallel(log: Log, settings: Settings) -> dict[str, Any]:
    """The split as configured; where the configuration is missing, as the ranks' tags show it."""
    seen = {"TP": 0, "PP": 0, "DP": 0}
    for hit in [*log.hits(_WEIGHTS), *log.hits(_CACHE)]:
        for kind, index in _PARALLEL_TAG.findall(hit.rank):
            seen[kind] = max(seen[kind], int(index) + 1)
    workers = len({hit.groups[0] for hit in log.hits(_OLD_SPLIT)})
    tensor = settings.whole("tensor_parallel_size", "-tp") or seen["TP"] or (workers + 1 if workers else None)
    return {
        "tensor_parallel_size": tensor,
        "pipeline_parallel_size": settings.whole("pipeline_parallel_size") or seen["PP"] or None,
        "data_parallel_size": settings.whole("data_parallel_size") or seen["DP"] or None,
        "enable_expert_parallel": settings.truth("enable_expert_parallel"),
    }


def _limits(log: Log, settings: Settings) -> dict[str, Any]:
    fraction = _numbers(log.hits(_FRACTION))
    batched, block = log.first(_BATCHED), log.hits(_BLOCK_SIZE)
    length = settings.whole("max_seq_len", "max_model_len")
    if length is None:
        stated = log.first(_NEEDED) or log.first(_TOO_LONG)
        length = whole(stated[0]) if stated else None
    return {
        "max_model_len": length,
        "max_num_seqs": settings.whole("max_num_seqs"),
        "max_num_batched_tokens": settings.whole("max_num_batched_tokens") or (whole(batched[0]) if batched else None),
        "gpu_memory_utilization": settings.number("gpu_memory_utilization") or (fraction[-1] if fraction else None),
        "block_size": settings.whole("block_size") or (whole(block[-1].groups[0]) if block else None),
        "enforce_eager": settings.truth("enforce_eager"),
        "pool_limit": next((name for name in _LIMITS if settings.text(name)), None),
    }


def _extras(log: Log, settings: Settings) -> dict[str, Any]:
    lora = settings.truth("enable_lora")
    offloaded = settings.number("cpu_offload_gb")
    return {
        "lora": lora,
        "max_loras": settings.whole("max_loras") if lora else None,
        "max_lora_rank": settings.whole("max_lora_rank") if lora else None,
        "offloaded_bytes": gib(str(offloaded)) if offloaded else None,
        "fused_sampler": True if log.has("Using FlashInfer for top-p & top-k sampling") else None,
        **_speculative(log),
    }


def _speculative(log: Log) -> dict[str, Any]:
    found = log.first(_SPECULATIVE)
    if found is None:
        argument = log.first(_SPECULATIVE_ARGUMENT)
        inner = Settings([argument[0]]) if argument else Settings([])
        method = inner.text("method") or ("draft" if inner.text("model") else None)
        found = (method or "", inner.text("model") or "", inner.text("num_speculative_tokens") or "")
    method, model, tokens = found
    return {
        "speculative_method": method or None,
        "speculative_model": model or None,
        "num_speculative_tokens": whole(tokens),
    }


def _measured(log: Log, speculative: bool) -> dict[str, Any]:
    weights = _weights(log, speculative)
    caches = _by_rank(log.hits(_CACHE), min)
    tokens = [int(value) for value in _numbers(log.hits(_TOKENS))]
    blocks = [int(value) for value in _numbers(log.hits(_BLOCKS))]
    concurrency = log.hits(_CONCURRENCY)
    needed, longest = log.first(_NEEDED), log.first(_LONGEST)
    fullest = max(weights, default=None)
    return {
        "weights_bytes": fullest,
        "weights_by_rank": weights,
        "activation_bytes": _fullest(log, _ACTIVATION) if log.found(_ACTIVATION) else _beyond(log, _TORCH_PEAK, fullest),
        "non_torch_bytes": _fullest(log, _NON_TORCH),
        "cuda_graph_bytes": _fullest(log, _GRAPHS),
        "cuda_graph_estimate_bytes": _fullest(log, _GRAPH_ESTIMATE),
        "kv_cache_bytes": min(caches, default=None),
        "kv_cache_by_rank": caches,
        "kv_tokens": min(tokens, default=None),
        "kv_blocks": min(blocks, default=None),
        "max_concurrency": min((value for hit in concurrency if (value := number(hit.groups[1])) is not None), default=None),
        "concurrency_length": whole(concurrency[-1].groups[0]) if concurrency else None,
        "kv_needed_bytes": gib(needed[1]) if needed else None,
        "longest_length": whole(longest[0]) if longest else None,
        "device_total_bytes": _fullest(log, _TOTAL),
        "device_free_bytes": _fullest(log, _FREE),
        **_device(log),
    }


def _weights(log: Log, speculative: bool) -> tuple[float, ...]:
    """Weights of each rank; a draft that the old core loads after the model prints a line of its own."""
    loaded = log.hits(_WEIGHTS) or log.hits(_WEIGHTS_SUMMARY)
    return _by_rank(loaded, sum if speculative else _last)


def _last(values: list[float]) -> float:
    return values[-1]


def _by_rank(hits: list[Hit], choose: Any) -> tuple[float, ...]:
    """One figure in bytes a rank, of those it printed."""
    printed: dict[str, list[float]] = {}
    for hit in hits:
        value = gib(_only(hit))
        if value is not None:
            printed.setdefault(hit.rank, []).append(value)
    return tuple(choose(values) for values in printed.values())


def _fullest(log: Log, sought: Clue) -> float | None:
    return max(_by_rank(log.hits(sought), _last), default=None)


def _beyond(log: Log, sought: Clue, base: float | None) -> float | None:
    """A printed peak less the weights it includes."""
    peak = _fullest(log, sought)
    return peak - base if peak is not None and base is not None and peak > base else None


def _only(hit: Hit) -> str:
    return next(filter(None, hit.groups), "")


def _numbers(hits: list[Hit]) -> list[float]:
    return [value for hit in hits if (value := number(_only(hit))) is not None]


def _device(log: Log) -> dict[str, Any]:
    """The card's name, where a kernel configuration or an environment report names it."""
    named, listed = log.first(_CONFIG_DEVICE), log.hits(_LISTED_DEVICE)
    if listed:
        return {"device": listed[0].groups[1].strip(), "devices": len({hit.groups[0] for hit in listed})}
    return {"device": named[0].replace("_", " ") if named else None}


def _outcome(log: Log, measured: dict[str, Any]) -> str:
    cache = measured["kv_cache_bytes"]
    if log.has("than desired GPU memory utilization"):
        return TAKEN
    if measured["kv_needed_bytes"] is not None or log.found(_TOO_LONG):
        return TOO_LONG
    if log.has("No available memory for the cache blocks") or (cache is not None and cache <= 0):
        return NO_ROOM
    if log.found(_MEMORY_ERROR):
        return OUT_OF_MEMORY
    if measured["max_concurrency"] is not None and measured["max_concurrency"] < 1:
        return TOO_LONG
    held = measured["kv_tokens"] or measured["kv_blocks"] or measured["max_concurrency"]
    return STARTED if held and not log.has("EngineCore failed to start") else UNKNOWN
