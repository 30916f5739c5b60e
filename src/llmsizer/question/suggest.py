"""What would make a deployment fit that does not: the nearest changes, each tried."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from llmsizer.catalog.catalog import Catalog
from llmsizer.catalog.formats import quantization_scheme
from llmsizer.core.errors import LlmsizerError
from llmsizer.question.resolve import Resolved, resolve
from llmsizer.question.splits import legal_tensor_sizes
from llmsizer.question.support import supports_scheme
from llmsizer.question.words import Words
from llmsizer.sizing.memory import MemoryEstimate, memory_estimate

# Schemes from the mildest to the smallest, tried where the engine loads them.
SMALLER_SCHEMES = ("fp8", "int8", "awq-4bit-g128", "nvfp4", "Q8_0", "Q6_K", "Q4_K_M", "Q3_K_M")


@dataclass(frozen=True, slots=True)
class Suggestion:
    """One change that makes it fit: the flag to add, and what then remains for the cache."""

    change: str
    flag: str
    kv_capacity_tokens: int


def suggestions(words: Words, resolved: Resolved, catalog: Catalog, most: int = 5) -> list[Suggestion]:
    """Up to ``most`` changes that fit, one of each kind: format, cache format, length, split, device."""
    found = []
    for variants in (_formats, _cache, _lengths, _splits, _devices):
        for change, flag, changed in variants(words, resolved, catalog):
            memory = _try(changed, catalog)
            if memory is not None and memory.fits:
                found.append(Suggestion(change, flag, int(memory.kv_capacity_tokens)))
                break
    return found[:most]


def smallest_split(words: Words, resolved: Resolved, catalog: Catalog) -> tuple[int, int] | None:
    """The fewest devices that hold the question, as (tensor, pipeline) sizes; None when 256 do not.

    Fewer devices first; among equals the larger tensor size, which answers faster.
    """
    domain = max(resolved.case.accelerator.link_domain or 8, 8)
    sizes = legal_tensor_sizes(resolved.case.model, most=domain)
    layers = resolved.case.model.num_hidden_layers
    splits = [(tp, pp) for tp in sizes for pp in (1, 2, 3, 4, 6, 8, 12, 16, 32) if tp * pp <= 256 and pp <= layers]
    for tp, pp in sorted(splits, key=lambda split: (split[0] * split[1], split[1])):
        memory = _try(replace(words, tensor_parallel_size=tp, pipeline_parallel_size=pp), catalog)
        if memory is not None and memory.fits:
            return tp, pp
    return None


def _try(words: Words, catalog: Catalog) -> MemoryEstimate | None:
    try:
        return memory_estimate(resolve(words, catalog).case)
    except LlmsizerError:
        return None


def _formats(words: Words, resolved: Resolved, catalog: Catalog) -> Iterator[tuple[str, str, Words]]:
    engine = resolved.case.engine
    for name in SMALLER_SCHEMES:
        scheme = quantization_scheme(name)
        if supports_scheme(engine, scheme) and scheme.id != resolved.case.scheme.id:
            yield f"quantise the weights to {name}", f"-q {name}", replace(words, quantization=name)


def _cache(words: Words, resolved: Resolved, catalog: Catalog) -> Iterator[tuple[str, str, Words]]:
    for name in ("fp8", "q8_0", "q4_0"):
        if name in resolved.case.engine.cache_formats and resolved.case.cache_format.id != name:
            yield f"keep the KV cache in {name}", f"--kv-cache-dtype {name}", replace(words, kv_cache_dtype=name)


def _lengths(words: Words, resolved: Resolved, catalog: Catalog) -> Iterator[tuple[str, str, Words]]:
    length = int(resolved.case.max_model_len)
    least = resolved.case.workload.input_tokens + resolved.case.workload.output_tokens
    while length > 2 * least:
        length = length // 2
        yield f"limit the length to {length:,} tokens", f"--max-model-len {length}", replace(words, max_model_len=length)


def _splits(words: Words, resolved: Resolved, catalog: Catalog) -> Iterator[tuple[str, str, Words]]:
    domain = resolved.case.accelerator.link_domain or 8
    for size in legal_tensor_sizes(resolved.case.model, most=max(domain, 8)):
        if size > resolved.case.parallel.tensor_parallel_size:
            yield f"split over {size} devices", f"--tp {size}", replace(words, tensor_parallel_size=size)
    for stages in (2, 4, 8, 16):
        sizes = [s for s in legal_tensor_sizes(resolved.case.model, most=8) if s <= domain]
        size = sizes[-1]
        changed = replace(words, tensor_parallel_size=size, pipeline_parallel_size=stages)
        yield f"split over {size * stages} devices in {stages} stages", f"--tp {size} --pp {stages}", changed


def _devices(words: Words, resolved: Resolved, catalog: Catalog) -> Iterator[tuple[str, str, Words]]:
    """Larger devices of the same vendor, alone and then split within their fabric; last the smallest
    format on them too."""
    case = resolved.case
    larger = [
        device
        for name in catalog.names("accelerators")
        if (device := catalog.accelerator(name)).usable_memory > case.accelerator.usable_memory
        and device.vendor == case.accelerator.vendor
    ]
    larger.sort(key=lambda each: each.usable_memory)
    for device in larger:
        yield f"take a {device.name}", f"-g {device.id}", replace(words, hardware=device.id)
    sizes = legal_tensor_sizes(case.model, most=8)
    smallest = next(name for name in ("awq-4bit-g128", "Q4_K_M") if _loads(resolved, name))
    for quantization in (words.quantization, smallest):
        for size in sizes:
            for device in larger:
                if size <= (device.link_domain or 1):
                    flag = f"-g {device.id} --tp {size}" + (f" -q {smallest}" if quantization == smallest else "")
                    changed = replace(words, hardware=device.id, tensor_parallel_size=size, quantization=quantization)
                    yield f"take {size} × {device.name}", flag, changed


def _loads(resolved: Resolved, name: str) -> bool:
    return supports_scheme(resolved.case.engine, quantization_scheme(name)) or name == "Q4_K_M"
