"""Reads llama.cpp's start-up log (llama-server, llama-cli, llama-bench, ollama, forks), buffer by buffer."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from llmsizer.doctor.reading import OUT_OF_MEMORY, STARTED, UNKNOWN, Buffers, LogReading
from llmsizer.doctor.text import Clue, Log, clue, mib, truth, whole

# Phrases that only llama.cpp prints.
SIGNS = (
    "llm_load_print_meta", "print_info:", "llama_model_loader", "load_tensors:", "model buffer size", "KV buffer size",
    "compute buffer size", "KV self size", "llama_kv_cache", "llama_context:", "llama_new_context_with_model",
    "layers to GPU", "ggml_cuda_init", "memory_breakdown_print",
)  # fmt: skip

_VALUE = r"([\d.]{1,14})"
_DEVICE_NAME = r"(?<![\w.:\[\]-])([A-Za-z][\w.:\[\]-]{0,60})"
_LOADER = r"(?:load_tensors|llm_load_tensors|load_all_data|llama_model_load\w{0,20})"
_MODEL = clue(rf"{_LOADER}:\s{{1,30}}{_DEVICE_NAME}\s{{1,4}}(?:model )?buffer size ?= {{1,12}}{_VALUE} MiB", "buffer size")
_CACHE = clue(rf"{_DEVICE_NAME} KV buffer size ?= {{1,12}}{_VALUE} MiB", "KV buffer size")
_STATE = clue(rf"{_DEVICE_NAME} RS buffer size ?= {{1,12}}{_VALUE} MiB", "RS buffer size")
_COMPUTE = clue(rf"{_DEVICE_NAME} compute buffer size(?: of| is| ?=) {{1,12}}{_VALUE} MiB", "compute buffer size")
_CACHE_TOTAL = clue(
    rf"(?:KV self size {{0,3}}= {{1,12}}{_VALUE} MiB|llama_kv_cache\w{{0,20}}: {{1,12}}size = {{1,12}}{_VALUE} MiB)"
    r"([^\n]{0,200})",
    "KV self size", "llama_kv_cache",
)  # fmt: skip
_STATE_TOTAL = clue(rf"llama_memory_recurrent: {{1,12}}size = {{1,12}}{_VALUE} MiB", "llama_memory_recurrent")
_CELLS = re.compile(r"\( {0,12}(\d{1,12}) cells, {1,4}\d{1,5} layers, {1,4}(\d{1,6})(?:/(\d{1,6}))? seqs")
_TYPES = re.compile(r"(?:\bK|\bV|c\^KV|kv\^T) \((\w{1,12})\)")
_CONTEXT = clue(r"(?:llama_new_context_with_model|llama_context|llama_init_from_model): n_ctx {1,12}= {1,4}\d", "n_ctx")
_LOAD = clue(r"llama_model_loader: loaded meta data with", "loaded meta data with")
_OLD_LOAD = clue(r"load_tensors: loading model tensors", "loading model tensors")
_NAME = clue(r"(?:general\.name {1,12}= {1,4}|general\.name str {1,30}= {1,4})([^\n]{1,160})", "general.name")
_KEY = clue(
    r"general\.(basename|size_label|finetune) str {1,30}= {1,4}([^\n]{1,120})",
    "general.basename", "general.size_label", "general.finetune",
)  # fmt: skip
_FILE = clue(r"tensors from ([^\n]{1,400}?) \(version", "tensors from ")
_COMMAND_FILE = clue(r"(?:load_model: loading model '|\s(?:-m|--model)[ =]'?)([^\n']{1,300}?\.gguf)", ".gguf")
_TYPE = clue(r"(?:model ftype|file type) {1,12}= {1,4}([^\n(]{1,60})", "model ftype", "file type")
_BUILD = clue(r"(?:\bbuild:? ?=? ?|\bversion: )b?(\d{3,6})[ -]\(?[0-9a-f]{6,12}", "build", "version: ")
_OFFLOADED = clue(r"offloaded (\d{1,5})/(\d{1,5}) layers to GPU", "layers to GPU")
_ATTENTION = clue(r"flash_attn {1,12}= {1,4}(\w{1,10})", "flash_attn")
_ATTENTION_SET = clue(r"Flash Attention was auto, set to (enabled|disabled)", "Flash Attention was auto")
_CUDA_DEVICE = clue(r"Device (\d{1,3}): ([^\n,]{2,80}), (?:compute capability|gfx|type)", "Device ")
_USED_DEVICE = clue(
    r"using device (\w{1,20}) \(([^\n()]{2,80})(?:\([^\n)]{0,40}\))?\)[^\n]{0,60}? (\d{1,9}) MiB free", "using device"
)
_METAL_DEVICE = clue(r"(?:GPU name: {1,8}|picking default device: )(Apple [^\n]{1,40})", "GPU name:", "picking default device")
_VULKAN_DEVICE = clue(r"ggml_vulkan: (\d{1,3}) = ([^\n(|]{2,80})", "ggml_vulkan:")
_BREAKDOWN = clue(r"\| {1,4}- (\w{1,20}) \(([^\n]{2,60}?)\) {1,40}\| {0,8}(\d{1,9}) =", "breakdown_print")
_OLD_WEIGHTS = clue(rf"llm_load_tensors: VRAM used: {{1,8}}{_VALUE} M", "VRAM used")
_OLD_CACHE = clue(rf"VRAM kv self = {{1,8}}{_VALUE} M", "VRAM kv self")
_OLD_COMPUTE = clue(rf"VRAM scratch buffer: {{1,8}}{_VALUE} M", "VRAM scratch buffer")
_MEMORY_ERROR = clue(
    r"(?:cudaMalloc failed: out of memory|failed to allocate (?:buffer|compute buffers)|out of device memory)",
    "out of memory", "failed to allocate", "out of device memory",
)  # fmt: skip
_HOST = re.compile(r"(?i)^(?:CPU|BLAS|Host|AARCH64|AMX|\w{1,20}_Host)")


def read_llama_cpp(log: Log) -> LogReading:
    """What a llama.cpp log says: of the last model it loads (the largest, where a draft is loaded
    beside it) and the first context made for it."""
    part, notes = _one_load(log)
    context = _one_context(part)
    offloaded = part.hits(_OFFLOADED)
    names = _names(part)
    buffers = _buffers(part, context)
    held = any(b.cache_bytes or b.state_bytes or b.compute_bytes for b in buffers)
    return LogReading(
        engine="llama.cpp",
        version=_version(log),
        model=names[0] if names else None,
        model_names=names,
        quantization=_file_type(part),
        gpu_layers=whole(offloaded[-1].groups[0]) if offloaded else None,
        model_layers=whole(offloaded[-1].groups[1]) if offloaded else None,
        flash_attention=_attention(context),
        buffers=buffers,
        outcome=OUT_OF_MEMORY if part.found(_MEMORY_ERROR) else STARTED if held else UNKNOWN,
        notes=notes,
        **_devices(log, buffers),
        **_cache(context),
        **_sums(buffers, context),
    )


def _one_load(log: Log) -> tuple[Log, tuple[str, ...]]:
    """The part of the log that loads one model."""
    starts = [hit.start for hit in log.hits(_LOAD) or log.hits(_OLD_LOAD)]
    if len(starts) < 2:
        return log, ()
    parts = [Log(log.text[start:end]) for start, end in zip(starts, [*starts[1:], len(log.text)], strict=True)]
    sizes = [sum(mib(hit.groups[1]) or 0.0 for hit in part.hits(_MODEL)) for part in parts]
    loaded = [index for index, size in enumerate(sizes) if size > 0]
    if not loaded:
        return log, ()
    with_draft = log.has("draft", "speculative")
    chosen = max(loaded, key=lambda index: sizes[index]) if with_draft else loaded[-1]
    which = "largest" if with_draft else "last"
    notes = (f"the log loads {len(loaded)} models: the {which} one is read",) if len(loaded) > 1 else ()
    return parts[chosen], notes


def _one_context(part: Log) -> Log:
    """Up to the second context of the same model (a benchmark makes one after another)."""
    starts = [hit.start for hit in part.hits(_CONTEXT)]
    return Log(part.text[: starts[1]]) if len(starts) > 1 else part


def _names(part: Log) -> tuple[str, ...]:
    """Names of the model, the one it gives itself first."""
    keys = {hit.groups[0]: hit.groups[1].strip() for hit in part.hits(_KEY)}
    name, file = part.first(_NAME), part.first(_FILE) or part.first(_COMMAND_FILE)
    joined = "-".join(filter(None, (keys.get("basename"), keys.get("size_label"), keys.get("finetune"))))
    found = [
        name[0].strip() if name else "",
        re.split(r"[\\/]", file[0].strip())[-1] if file else "",
        joined if "size_label" in keys else "",
        "-".join(filter(None, (keys.get("basename"), keys.get("size_label")))) if "size_label" in keys else "",
    ]
    return tuple(dict.fromkeys(filter(None, found)))


def _file_type(part: Log) -> str | None:
    """The mix as llama.cpp names it in files: ``Q4_K - Medium`` is Q4_K_M."""
    found = part.hits(_TYPE)
    if not found:
        return None
    text = found[-1].groups[0].strip().removeprefix("all ").removeprefix("mostly ")
    for word, letter in ((" - Medium", "_M"), (" - Small", "_S"), (" - Large", "_L")):
        text = text.replace(word, letter)
    return re.split(r" - | MoE", text)[0].strip() or None


def _version(log: Log) -> str | None:
    found = log.first(_BUILD)
    return f"b{found[0]}" if found else None


def _attention(context: Log) -> bool | None:
    settled = context.first(_ATTENTION_SET)
    found = context.first(_ATTENTION)
    return truth(settled[0]) if settled else truth(found[0]) if found else None


def _devices(log: Log, buffers: tuple[Buffers, ...]) -> dict[str, Any]:
    """The card's name, how many hold a part of the model, free and total memory."""
    used, broken = log.hits(_USED_DEVICE), log.hits(_BREAKDOWN)
    listed = log.hits(_CUDA_DEVICE) or log.hits(_VULKAN_DEVICE)
    metal = log.first(_METAL_DEVICE)
    name = used[0].groups[1] if used else listed[0].groups[1] if listed else metal[0] if metal else None
    if name is None and broken:
        name = broken[0].groups[1]
    holding = len({b.device for b in buffers if not b.on_host and b.model_bytes})
    return {
        "device": name.strip() if name else None,
        "devices": holding or len({hit.groups[0] for hit in used or listed}) or None,
        "device_free_bytes": mib(used[0].groups[2]) if used else None,
        "device_total_bytes": mib(broken[0].groups[2]) if broken else None,
    }


def _cache(context: Log) -> dict[str, Any]:
    """Cells, sequences and types of the cache, and the limits of a step."""
    cells, streams = 0, 1
    kinds: list[str] = []
    for hit in context.hits(_CACHE_TOTAL):
        rest = hit.groups[2]
        kinds = kinds or _TYPES.findall(rest)[:2]
        if (found := _CELLS.search(rest)) is not None:
            # "4/1 seqs": four sequences in one stream of cells; a bare "1 seqs" is one stream.
            streams = max(streams, whole(found.group(3)) or 1)
            cells = max(cells, whole(found.group(1)) or 0)
    sequences = _setting(context, "n_seq_max") or 1
    unified = truth(_text(context, "kv_unified"))
    length = cells or _setting(context, "n_ctx") or 0
    if not cells and length and not unified:
        length, streams = length // sequences, sequences
    return {
        "kv_cache_dtype": "/".join(dict.fromkeys(kinds)) or None,
        "max_model_len": length or None,
        "max_num_seqs": streams if length else None,
        "max_num_batched_tokens": _setting(context, "n_batch"),
        "micro_batch": _setting(context, "n_ubatch"),
    }


def _text(context: Log, name: str) -> str | None:
    found = context.first(clue(rf"\b{name} {{1,12}}= {{1,4}}(\w{{1,12}})", name))
    return found[0] if found else None


def _setting(context: Log, name: str) -> int | None:
    return whole(_text(context, name))


def _buffers(part: Log, context: Log) -> tuple[Buffers, ...]:
    """What each backend holds; a backend's mapped, repacked and pinned buffers count with it."""
    model = _added((hit.groups[0], hit.groups[1]) for hit in part.hits(_MODEL))
    cache = _added((hit.groups[0], hit.groups[1]) for hit in context.hits(_CACHE))
    state = _added((hit.groups[0], hit.groups[1]) for hit in context.hits(_STATE))
    compute: dict[str, float] = {}
    for hit in context.hits(_COMPUTE):
        name = _backend(hit.groups[0])
        compute[name] = max(compute.get(name, 0.0), mib(hit.groups[1]) or 0.0)
    for old, kept in ((_OLD_WEIGHTS, model), (_OLD_CACHE, cache), (_OLD_COMPUTE, compute)):
        if not kept and (found := context.first(old)) is not None:
            kept["CUDA0"] = mib(found[0]) or 0.0
    names = dict.fromkeys([*model, *cache, *state, *compute])
    return tuple(
        Buffers(name, bool(_HOST.match(name)), model.get(name, 0.0), cache.get(name, 0.0), state.get(name, 0.0),
                compute.get(name, 0.0))
        for name in names
    )  # fmt: skip


def _added(printed: Iterable[tuple[str, str]]) -> dict[str, float]:
    sums: dict[str, float] = {}
    for name, size in printed:
        sums[_backend(name)] = sums.get(_backend(name), 0.0) + (mib(size) or 0.0)
    return sums


def _backend(name: str) -> str:
    return re.sub(r"(?:_Mapped|_Private|_Split|[_-]REPACK|_REPACK)$", "", name)


def _sums(buffers: tuple[Buffers, ...], context: Log) -> dict[str, Any]:
    """Figures over all devices: weights and cache on the accelerators, the largest compute buffer."""
    cards = [buffer for buffer in buffers if not buffer.on_host] or list(buffers)
    cache = sum(b.cache_bytes for b in buffers) or _total(context, _CACHE_TOTAL)
    state = sum(b.state_bytes for b in buffers) or _total(context, _STATE_TOTAL)
    return {
        "weights_bytes": sum(b.model_bytes for b in cards) or None,
        "kv_cache_bytes": cache or None,
        "state_cache_bytes": state or None,
        "activation_bytes": max((b.compute_bytes for b in cards), default=0.0) or None,
    }


def _total(context: Log, sought: Clue) -> float:
    printed = [next(filter(None, hit.groups[:2]), "") for hit in context.hits(sought)]
    return sum(mib(text) or 0.0 for text in printed if text)
