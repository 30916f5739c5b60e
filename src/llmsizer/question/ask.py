"""Asks a question: words in, an ``Estimate`` out."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmsizer import __version__
from llmsizer.catalog.catalog import Catalog, load_catalog
from llmsizer.catalog.package_data import source_hash
from llmsizer.catalog.spread import spread
from llmsizer.core.explain import TIERS, plain
from llmsizer.core.numerics import floor, maximum, minimum
from llmsizer.question.coverage import covered
from llmsizer.question.resolve import Resolved, resolve
from llmsizer.question.words import Words
from llmsizer.schema.accelerator import Accelerator
from llmsizer.schema.deployment import Case
from llmsizer.schema.model import Model
from llmsizer.sizing.estimate import Estimate, Evidence, memory_evidence
from llmsizer.sizing.memory import MemoryEstimate, memory_estimate
from llmsizer.sizing.prefix_cache import with_hits
from llmsizer.sizing.speed import SpeedEstimate, speed_estimate

if TYPE_CHECKING:
    from llmsizer.cost import CostEstimate


def ask(words: Words, catalog: Catalog | None = None) -> Estimate:
    """The estimate for a question. Raises an LlmsizerError for a mistake in it."""
    chosen = catalog if catalog is not None else load_catalog()
    resolved = resolve(words, chosen)
    memory = memory_estimate(resolved.case)
    notes = [*resolved.notes, *_length_notes(resolved.case, memory)]
    case = with_concurrency(resolved.case, words, memory)
    runs = memory.fits or bool(words.ignore_memory)
    case = with_hits(case, memory) if runs else case
    speed = speed_estimate(case, memory) if runs else None
    notes += _overload_notes(case, speed)
    return Estimate(
        question=question_of(replace(resolved, case=case)),
        case=case,
        memory=memory,
        speed=speed,
        priced=_priced(case, words, memory, speed, chosen),
        evidence=evidence_of(case, memory, speed),
        notes=tuple(notes),
        asked=asked_of(words),
        made_with={
            "llmsizer": __version__, "catalogs": source_hash(), "overlays": [Path(path).name for path in chosen.overlays],
        },
    )  # fmt: skip


def asked_of(words: Words) -> dict[str, Any]:
    """The words that were typed, ready for JSON; of an object that JSON does not hold, what it was."""
    given = {field.name: getattr(words, field.name) for field in fields(words)}
    return {
        name: _kept(given[name])
        for name, field in Words.__dataclass_fields__.items()
        if field.default is MISSING or given[name] != field.default
    }


def _kept(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _kept(each) for key, each in value.items()}
    if isinstance(value, Path):
        return str(value)
    return value if value is None or isinstance(value, (str, bool, int, float)) else {NOT_KEPT: type(value).__name__}


NOT_KEPT = "object"  # the key that stands for a word which JSON does not hold


def _priced(
    case: Case, words: Words, memory: MemoryEstimate, speed: SpeedEstimate | None, catalog: Catalog
) -> Callable[[], CostEstimate] | None:
    """Tells what the deployment costs when asked; a mistake in the price is told at once."""
    if speed is None:
        return None

    @lru_cache(maxsize=1)
    def cost() -> CostEstimate:
        from llmsizer.cost import cost_case, cost_estimate

        return cost_estimate(cost_case(catalog, case.accelerator, **_cost_words(case, words, memory, speed)))

    if words.price is not None or words.extras is not None or words.emissions is not None:
        cost()
    return cost


def _cost_words(case: Case, words: Words, memory: MemoryEstimate, speed: SpeedEstimate) -> dict[str, Any]:
    rate, devices = float(plain(speed.throughput.requests_per_second)), case.parallel.devices
    latency = speed.latency
    return {
        "price": words.price, "price_date": words.price_date, "extras": words.extras, "emissions": words.emissions,
        "devices": devices, "weights_bytes": float(plain(memory.per_gpu.weights_bytes)) * devices,
        "requests_per_second": rate, "capacity": rate, "input_tokens": float(case.workload.input_tokens),
        "output_tokens": float(case.workload.output_tokens), "cached": float(case.workload.prefix_cache_hit_rate),
        "prefill_seconds": float(plain(speed.prefill.step_seconds)),
        "decode_seconds": float(plain(latency.tpot_seconds)) * float(case.workload.output_tokens)
        / max(speed.decode_batch, 1.0),
    }  # fmt: skip


def with_concurrency(case: Case, words: Words, memory: MemoryEstimate) -> Case:
    """The case with ``concurrency="max"`` put into a number: as many as the cache and the engine run."""
    if words.concurrency != "max" or not memory.fits:
        return case
    return replace(case, concurrency=int(most_in_flight(case, memory)))


def most_in_flight(case: Case, memory: MemoryEstimate) -> Any:
    """As many requests as the cache and the engine run at once; an array where the memory has one."""
    most = minimum(floor(plain(memory.running_sequences)), float(case.max_num_seqs * case.parallel.data_parallel_size))
    return maximum(most, 1.0)


def evidence_of(case: Case, memory: MemoryEstimate, speed: SpeedEstimate | None) -> Evidence:
    """How far the estimate may be trusted: the worst tier among what it rests on, and 80 % intervals."""
    evidence = memory_evidence(case, memory_interval(case, memory))
    if speed is None or case.calibration is None:
        return evidence
    tier, weakest = speed_tier(case, evidence)
    engine, own = case.engine.id, case.calibration.spreads
    return replace(
        evidence, tier=tier, weakest=weakest,
        ttft_interval_seconds=_interval(speed.latency.ttft_seconds, own.get("ttft") or spread("ttft", engine, tier)),
        tpot_interval_seconds=_interval(speed.latency.tpot_seconds, own.get("tpot") or spread("tpot", engine, tier)),
    )  # fmt: skip


def speed_tier(case: Case, evidence: Evidence) -> tuple[str, str]:
    """The worst tier among the memory's evidence and what the times of a case rested on, and what sets it."""
    tiers = [(evidence.tier, evidence.weakest)]
    curves = case.calibration.used() if case.calibration is not None else []
    tiers += [(curve.tier, f"calibration of {curve.family} in {curve.format}") for curve in curves]
    if case.parallel.prefill_context_parallel_size > 1 or case.parallel.decode_context_parallel_size > 1:
        tiers.append(("extrapolated", "context parallelism: no run of it was compared"))
    if not case.flash_decoding or plain(case.elementwise.norm_kernels) > 1:
        tiers.append(("extrapolated", "other kernels than the engine's: no run of them was compared"))
    if case.draft is not None:
        tiers.append((case.draft.provenance.of("acceptance").tier, "acceptance of guesses"))
    tiers += [(case.engine.provenance.of(name).tier, f"{name} of {case.engine.title}") for name in ENGINE_TIMES]
    if case.calibration is not None and case.calibration.name == "auto":
        tiers.append(covered(case))
    return max(tiers, key=lambda pair: TIERS.index(pair[0]))


ENGINE_TIMES = ("layer_seconds", "host_step_seconds", "front_end")


def _interval(value: Any, logarithms: tuple[float, float]) -> tuple[float, float]:
    number = float(plain(value))
    return number * math.exp(logarithms[0]), number * math.exp(logarithms[1])


def memory_interval(case: Case, memory: MemoryEstimate) -> tuple[float, float] | None:
    """The 80 % interval of the cache's size: what start-up logs of the regime scatter by, as a share
    of the device's memory."""
    spread = float(plain(case.engine.memory_spread)) * float(plain(memory.per_gpu.capacity_bytes))
    cache = float(plain(memory.per_gpu.kv_cache_bytes))
    return (max(cache - spread, 0.0), cache + spread) if cache else None


def _length_notes(case: Case, memory: MemoryEstimate) -> list[str]:
    """Says so where the engine would refuse its own default length, and the flag that works."""
    fits_whole = memory.max_concurrency_at_max_model_len >= 1 or not memory.kv_bytes_per_token_per_gpu
    if case.len_from != "model" or not memory.fits or fits_whole:
        return []
    flag = case.engine.flags.get("max_model_len", "max_model_len")
    longest = int(plain(memory.max_context_tokens))
    return [
        f"{case.engine.title} refuses to start with its default length of {case.max_model_len:,} tokens: add {flag} {longest}"
    ]


def _overload_notes(case: Case, speed: SpeedEstimate | None) -> list[str]:
    """Says so where more requests come than can be served: what is timed then lacks the wait, which has no end."""
    if speed is None or not speed.is_overloaded:
        return []
    most = float(plain(speed.throughput.requests_per_second))
    return [
        f"load: {case.request_rate:g} requests/s are more than the {most:.3g} that can be served; the times leave out the "
        "wait in the queue, which grows without end"
    ]


def question_of(resolved: Resolved) -> dict[str, Any]:
    """Every word resolved, the typed names kept."""
    case, words = resolved.case, resolved.words
    typed_model = words.model.id if isinstance(words.model, Model) else str(words.model)
    typed_hardware = words.hardware.id if isinstance(words.hardware, Accelerator) else words.hardware
    cache = case.cache_format.id if case.cache_format is case.value_format else f"{case.cache_format.id}/{case.value_format.id}"
    concurrency: Any = case.concurrency
    return {
        "model": typed_model,
        "model_id": case.model.id,
        "hardware": typed_hardware,
        "hardware_id": case.accelerator.id,
        "engine": case.engine.id,
        "engine_version": case.engine.version + (f"+{case.engine.core}" if case.engine.core else ""),
        "quantization": case.scheme.id,
        "dtype": case.dtype,
        "kv_cache_dtype": cache,
        "tensor_parallel_size": case.parallel.tensor_parallel_size,
        "pipeline_parallel_size": case.parallel.pipeline_parallel_size,
        "data_parallel_size": case.parallel.data_parallel_size,
        "enable_expert_parallel": case.parallel.enable_expert_parallel,
        "prefill_context_parallel_size": case.parallel.prefill_context_parallel_size,
        "decode_context_parallel_size": case.parallel.decode_context_parallel_size,
        "devices": case.parallel.devices,
        "max_model_len": case.max_model_len,
        "max_num_seqs": case.max_num_seqs,
        "max_num_batched_tokens": case.max_num_batched_tokens,
        "gpu_memory_utilization": case.memory_fraction,
        "block_size": case.block_size,
        "enforce_eager": case.enforce_eager,
        "flash_attention": case.flash_attention,
        "flash_decoding": case.flash_decoding,
        "fused_kernels": bool(words.fused_kernels),
        "input_tokens": case.workload.input_tokens,
        "output_tokens": case.workload.output_tokens,
        "concurrency": concurrency,
        "request_rate": case.request_rate,
    }
