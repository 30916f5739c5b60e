"""What an engine has to be told of a deployment: settings by name, whatever the engine calls them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from llmsizer.catalog.engine_flags import EngineFlags
from llmsizer.core.explain import plain
from llmsizer.schema.deployment import Case
from llmsizer.schema.engine import EngineProfile
from llmsizer.sizing.lengths import longest_request
from llmsizer.sizing.memory import MemoryEstimate
from llmsizer.sizing.tensor_formats import is_routed

GIB = 2.0**30
SIXTEEN_BIT = ("bf16", "fp16", "fp32")


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting with its word and the names that its templates use. ``silent``: an engine that has no flag
    for it does it anyway; ``note``: what to say of it where it is set; ``unsaid``: where it cannot be."""

    name: str
    value: Any
    names: Mapping[str, Any] = field(default_factory=dict)
    silent: bool = False
    note: str = ""
    unsaid: str = ""

    @property
    def title(self) -> str:
        """The setting in words."""
        return self.name.replace("_", " ")


@dataclass(frozen=True, slots=True)
class Target:
    """An engine to start, with its profile on the device, and its flags."""

    engine: EngineProfile
    flags: EngineFlags

    def lists(self, setting: str) -> bool:
        """Whether the engine has a way to say a setting at all."""
        return setting in self.flags.entry["settings"]


def settings_of(case: Case, memory: MemoryEstimate, target: Target) -> Iterator[Setting]:
    """Everything that an engine has to be told to run a case, but for model and memory fraction."""
    yield from _split(case, target)
    yield from _limits(case, memory, target)
    yield from _formats(case, target)
    yield from _execution(case, target)
    yield from _speculation(case, target)
    yield from _offload(case, memory, target)
    if case.adapters is not None:
        yield Setting("adapters", None, {"count": int(plain(case.adapters.count)), "rank": int(plain(case.adapters.rank))})


def _split(case: Case, target: Target) -> Iterator[Setting]:
    """The parallel sizes as the engine counts them: its tensor size may count all attention ranks."""
    split = case.parallel
    tensor, data = split.tensor_parallel_size, split.data_parallel_size
    context = split.prefill_context_parallel_size
    ranks = tensor * data * context
    shared = attention_data_parallel(case, target)
    if shared or (target.flags.entry["parallel"] == "joint" and context > 1):
        tensor = ranks
    if tensor > 1:
        yield Setting("tensor_parallel_size", tensor)
    if split.pipeline_parallel_size > 1:
        yield Setting("pipeline_parallel_size", split.pipeline_parallel_size)
    if shared:
        yield Setting("attention_data_parallel" if split.tensor_parallel_size == 1 else "grouped_attention_data_parallel", data)
    elif data > 1:
        yield Setting("data_parallel_size", data)
    if context > 1:
        yield Setting("prefill_context_parallel_size", context)
    if split.decode_context_parallel_size > 1:
        yield Setting("decode_context_parallel_size", split.decode_context_parallel_size)
    if split.enable_expert_parallel and ranks > 1:
        yield Setting("enable_expert_parallel", True, {"ranks": ranks})


def attention_data_parallel(case: Case, target: Target) -> bool:
    """Whether attention ranks share the experts in an engine whose tensor size counts them all."""
    joint = target.flags.entry["parallel"] == "joint"
    return joint and case.parallel.data_parallel_size > 1 and any(is_routed(group) for group in case.model.layers)


def _limits(case: Case, memory: MemoryEstimate, target: Target) -> Iterator[Setting]:
    length = started_length(case, memory)
    sequences, tokens = int(plain(case.max_num_seqs)), int(plain(case.max_num_batched_tokens))
    if target.flags.entry.get("limits") == "whole" and attention_data_parallel(case, target):
        sequences, tokens = sequences * case.parallel.data_parallel_size, tokens * case.parallel.data_parallel_size
    if target.lists("context_tokens"):
        slots, length = slots_of(case, memory, length)
        yield Setting("context_tokens", slots * length)
        yield Setting("max_num_seqs", slots)
    else:
        yield Setting("max_model_len", length)
        yield Setting("max_num_seqs", sequences)
    if target.lists("max_input_tokens") and length > 1:
        longest = length - 1
        if target.flags.holds("whole_prompts"):
            tokens = max(tokens, math.ceil(plain(case.workload.input_tokens)))
            longest = min(longest, tokens)
        yield Setting("max_input_tokens", longest)
    if tokens:
        yield Setting("max_num_batched_tokens", tokens)
    if target.engine is case.engine and plain(case.block_size) != target.engine.block_size:
        yield Setting("block_size", int(plain(case.block_size)))


def started_length(case: Case, memory: MemoryEstimate) -> int:
    """The length to start with: the case's, or the longest that fits where the engine would refuse that."""
    length = int(plain(case.max_model_len))
    refused = (
        case.len_from != "user" and memory.kv_bytes_per_token_per_gpu and plain(memory.max_concurrency_at_max_model_len) < 1
    )
    return min(length, int(plain(memory.max_context_tokens))) if refused else length


def slots_of(case: Case, memory: MemoryEstimate, length: int) -> tuple[int, int]:
    """Slots of an engine that sets a whole context aside for each, and the length of one."""
    if case.engine.kv_layout != "paged":
        return int(plain(case.max_num_seqs)), length
    if case.len_from != "user":
        length = longest_request(case.workload)
    held = max(int(plain(memory.max_concurrency_at_workload)), 1)
    wanted = int(plain(case.concurrency)) if case.concurrency is not None else held
    return min(wanted, held), length


def _formats(case: Case, target: Target) -> Iterator[Setting]:
    scheme = case.scheme.id
    if case.dtype != case.model.torch_dtype and not case.scheme.is_gguf:
        yield Setting("dtype", case.dtype)
    native = case.model.native_quantization
    converts = native in SIXTEEN_BIT and scheme not in (native, *SIXTEEN_BIT) and not case.scheme.is_gguf
    if converts and target.flags.way("quantization", scheme) is not None:
        yield Setting("quantization", scheme)
    keys, values = case.cache_format.id, case.value_format.id
    plain_cache = case.cache_format.bits == case.value_format.bits == 16
    if plain_cache and target.engine is not case.engine and scheme not in target.engine.checkpoint_cache:
        return  # every engine's own 16-bit type
    if target.lists("kv_cache_keys"):
        for name, stored in (("kv_cache_keys", keys), ("kv_cache_values", values)):
            if stored not in ("f16", "fp16"):
                yield Setting(name, stored)
    elif keys != case.dtype or values != keys or scheme in target.engine.checkpoint_cache:
        yield Setting("kv_cache_dtype", {"f16": "fp16"}.get(keys, keys) if keys == values else f"{keys}/{values}")


def _execution(case: Case, target: Target) -> Iterator[Setting]:
    if case.enforce_eager:
        yield Setting("enforce_eager", True)
    if plain(case.workload.prefix_cache_hit_rate) > 0:
        yield Setting("prefix_caching", True, silent=True)
    asks = target.engine.batching != "in-flight" or not target.flags.entry.get("chunks_unasked", True)
    if case.batching == "in-flight" and asks and target.lists("chunked_prefill"):
        yield Setting("chunked_prefill", True)
    elif case.batching != target.engine.batching:
        yield Setting(
            "batching", case.batching, unsaid=f"It batches its own way ({target.engine.batching}), not {case.batching}."
        )
    if target.engine.id == case.engine.id and case.engine.backends and case.engine.core != case.engine.usual_core:
        yield Setting("backend", case.engine.core, unsaid=f"It runs the backend {case.engine.core}; no flag says so.")
    if not case.flash_decoding:
        yield Setting("flash_decoding", "off", unsaid="Its attention is divided along the context; no flag says otherwise.")
    if plain(case.elementwise.norm_kernels) > 1:
        yield Setting("fused_kernels", "off", unsaid="Its norms and activations are fused; no flag says otherwise.")
    yield Setting("flash_attention", "on" if case.flash_attention else "off", silent=case.flash_attention)


def _speculation(case: Case, target: Target) -> Iterator[Setting]:
    draft = case.draft
    if draft is None:
        return
    tokens, note = int(plain(draft.num_speculative_tokens)), ""
    drafter = draft.model.id if draft.model is not None else f"path/to/{draft.method}-module"
    if draft.model is not None and target.engine.schemes == ("gguf",):
        drafter = f"path/to/{drafter.rsplit('/', 1)[-1]}.gguf"
        note = "The draft model is a GGUF file: give its path."
    elif draft.method in ("eagle", "eagle3", "medusa"):
        note = f"The drafting module is one trained for the model: give its path ({drafter})."
    if draft.tree is not None:
        note = f"{note} How the {int(plain(draft.tree))} guesses branch is for you to set.".strip()
    names = {"tokens": tokens, "verified": int(plain(draft.guesses)) + 1, "draft": drafter}
    yield Setting(f"speculative_{draft.method}", tokens, names, note=note)


def _offload(case: Case, memory: MemoryEstimate, target: Target) -> Iterator[Setting]:
    offload = case.offload
    whole = int(plain(case.model.num_hidden_layers)) + 1
    if target.lists("gpu_layers"):
        kept = offload.gpu_layers if offload is not None else None
        yield Setting("gpu_layers", whole if kept is None else int(plain(kept)))
    if offload is None:
        return
    if plain(offload.weights):
        gib = math.ceil(float(plain(memory.host_weights_bytes)) / GIB * 100) / 100
        yield Setting("offload_weights", plain(offload.weights), {"gib": gib})
    if plain(offload.kv_cache):
        yield Setting("offload_whole_cache" if plain(offload.kv_cache) == 1 else "offload_part_of_the_cache", True)
    if offload.expert_layers is not None:
        yield Setting("offload_expert_layers", int(plain(offload.expert_layers)))
    if offload.gpu_layers is not None and not target.lists("gpu_layers"):
        yield Setting("gpu_layers", offload.gpu_layers)
