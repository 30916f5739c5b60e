"""Resolves the words of a question into a ``Case``: every name a noun, every default filled in."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from llmsizer.catalog.calibrations import NAMES
from llmsizer.catalog.catalog import Catalog
from llmsizer.catalog.engines import unfused_elementwise
from llmsizer.catalog.formats import cache_format, number_formats, published_scheme, quantization_scheme
from llmsizer.catalog.package_data import package_data
from llmsizer.catalog.paths import is_model_path
from llmsizer.core.errors import InvalidQuestion, UnsupportedCombination
from llmsizer.question.limits import batching_of, check_length, limits_of, prompts_of, seconds_of, think_of
from llmsizer.question.speculation import draft_of
from llmsizer.question.splits import check_context_split, check_split
from llmsizer.question.support import check_cache, check_support, input_notes, kernel_notes
from llmsizer.question.traffic import with_traffic, workload_of
from llmsizer.question.words import (
    Words,
    checked_choice,
    checked_fraction,
    checked_integer,
    checked_mapping,
)
from llmsizer.schema.accelerator import Accelerator
from llmsizer.schema.deployment import Adapters, Case, Elementwise, Offload, Parallel
from llmsizer.schema.engine import EngineProfile
from llmsizer.schema.model import Model
from llmsizer.schema.number_format import CacheFormat, QuantizationScheme

DTYPES = {"auto": "auto", "half": "fp16", "float16": "fp16", "fp16": "fp16", "bfloat16": "bf16", "bf16": "bf16",
          "float": "fp32", "float32": "fp32", "fp32": "fp32"}  # fmt: skip

PLAIN_SCHEMES = frozenset({"bf16", "fp16", "fp32"})


@dataclass(frozen=True, slots=True)
class Resolved:
    """A case, and what was taken for what: notes to print, and the typed words."""

    case: Case
    words: Words
    notes: tuple[str, ...]


def resolve(words: Words, catalog: Catalog) -> Resolved:
    """The case of a question. Raises an LlmsizerError that names the word at fault."""
    notes: list[str] = []
    accelerator = _accelerator(words, catalog)
    engine = _calibrated(_engine(words, catalog, accelerator, notes), words, accelerator)
    model, file_scheme = _model(words, catalog, notes)
    scheme = file_scheme if words.quantization is None and file_scheme else _scheme(words, model, engine, catalog, notes)
    dtype = _dtype(words, model, scheme, accelerator, engine, notes)
    scheme = _cast(words, scheme, dtype)
    check_support(model, scheme, engine, accelerator)
    scheme = _sparse(words, scheme, dtype, accelerator)
    parallel = _parallel(words)
    check_split(model, parallel)
    check_context_split(model, parallel, engine)
    notes += [*kernel_notes(model, scheme, engine, parallel), *input_notes(model)]
    machine = catalog.networked_node(accelerator.id.partition("@")[0])
    if parallel.devices > accelerator.reach and machine is not None:
        notes.append(f"network between machines: that of {machine.id} ({machine.network or 'as its catalog entry says'})")
    keys, values = _cache_formats(words, engine, dtype, scheme, notes)
    check_cache(engine, (keys.id, values.id), accelerator)
    words = with_traffic(words)
    workload = workload_of(words, model)
    limits = limits_of(words, model, engine, accelerator, parallel, workload)
    check_length(words, model, workload, limits)
    case = Case(
        model=model, accelerator=accelerator, machine=machine, engine=engine, scheme=scheme, native=number_formats()[dtype],
        cache_format=keys, value_format=values, parallel=parallel, workload=workload, dtype=dtype,
        enforce_eager=bool(words.enforce_eager), use_cache=_cache_kept(words, engine), request_rate=rate_of(words),
        num_prompts=prompts_of(words), think_seconds=think_of(words),
        batch_window_seconds=seconds_of(words, "batch_window_seconds"), batching=batching_of(words, engine),
        expert_skew=_skew(words),
        calibration=catalog.calibration(str(words.calibration), accelerator, engine.id), flash_attention=_flash(words, engine),
        flash_decoding=bool(words.flash_decoding), elementwise=Elementwise() if words.fused_kernels else unfused_elementwise(),
        adapters=_adapters(words), offload=_offload(words, engine, parallel),
        draft=draft_of(words.speculative, model, scheme, catalog, notes),
        **_host(words, engine, catalog, notes), **limits,
    )  # fmt: skip
    return Resolved(case, words, tuple(notes))


def _accelerator(words: Words, catalog: Catalog) -> Accelerator:
    if isinstance(words.hardware, Accelerator):
        return words.hardware
    if not isinstance(words.hardware, str) or not words.hardware.strip():
        raise InvalidQuestion("--gpu: expected the name of a device", "for example: h100")
    return catalog.accelerator(words.hardware)


def _skew(words: Words) -> float:
    """How unevenly tokens are routed to experts: as asked, or as measurements show."""
    if words.expert_skew is None:
        return float(package_data("calibrations/routing.yaml")["rows"][0]["value"])
    return checked_fraction("expert_skew", words.expert_skew, most=100.0)


def _engine(words: Words, catalog: Catalog, accelerator: Accelerator, notes: list[str]) -> EngineProfile:
    if words.engine is not None:
        profile = catalog.engine(str(words.engine), accelerator)
        if not _covers(profile, accelerator):
            raise UnsupportedCombination(
                f"{profile.title} has no profile for {accelerator.vendor} devices",
                "Leave --engine out for a generic profile, or use llama.cpp where it runs.",
            )
    else:
        is_gguf = str(words.model).lower().endswith(".gguf")
        profile = _usual_engine(catalog, accelerator, ("llama.cpp", "generic") if is_gguf else ("vllm", "llama.cpp", "generic"))
        if is_gguf:
            notes.append(f"engine: {profile.title} (the model is a GGUF file)")
        elif profile.id != "vllm":
            notes.append(f"engine: {profile.title} ({accelerator.vendor} devices have no vLLM profile here)")
    if len(profile.backends) > 1 and "+" not in str(words.engine):
        others = ", ".join(name for name in profile.backends if name != profile.core)
        notes.append(f"backend: {profile.core} is assumed (others: {others}; -e {profile.id}+NAME)")
    if not profile.known_version:
        notes.append(f"{profile.title} {profile.version} is outside the versions the profile was checked for: extrapolated")
    return profile


def _calibrated(engine: EngineProfile, words: Words, accelerator: Accelerator) -> EngineProfile:
    """The engine with the figures of a calibration file, where the question names one."""
    if str(words.calibration) in NAMES:
        return engine
    from llmsizer.catalog.local_calibrations import is_calibration_file, with_local_figures

    path = str(words.calibration)
    return with_local_figures(engine, path, accelerator.id) if is_calibration_file(path) else engine


def _usual_engine(catalog: Catalog, accelerator: Accelerator, names: tuple[str, ...]) -> EngineProfile:
    for name in names:
        profile = catalog.engine(name, accelerator)
        if _covers(profile, accelerator):
            return profile
    raise AssertionError("the generic engine covers every device")


def _covers(profile: EngineProfile, accelerator: Accelerator) -> bool:
    if accelerator.architecture == "cpu" or accelerator.vendor == "Apple":
        return profile.id in {"llama.cpp", "transformers", "torch", "onnxruntime-genai", "generic"}
    return "*" in profile.vendors or accelerator.vendor in profile.vendors


def _model(words: Words, catalog: Catalog, notes: list[str]) -> tuple[Model, QuantizationScheme | None]:
    model, file_scheme = _named_model(words, catalog)
    if model.notes and not isinstance(words.model, Model) and catalog.model_id(str(words.model)) is None:
        notes.append(f"model: {model.notes}")
    if not words.transform:
        return model, file_scheme
    from llmsizer.catalog.transforms import transformed

    variant = transformed(model, str(words.transform))
    notes.append(f"transform: {variant.notes.removeprefix(model.notes).strip()}")
    return replace(variant, stored_formats={}), None  # a variant is not stored as the file is


def _named_model(words: Words, catalog: Catalog) -> tuple[Model, QuantizationScheme | None]:
    if isinstance(words.model, Model):
        return words.model, None
    text = str(words.model).strip()
    if not text:
        raise InvalidQuestion("--model: expected the name of a model or a path", "for example: llama-3.1-8b")
    if isinstance(words.model, Path) or is_model_path(text):
        from llmsizer.catalog.model_files import model_from_path

        return model_from_path(Path(text))
    return catalog.model(text), None


def _sparse(words: Words, scheme: QuantizationScheme, dtype: str, accelerator: Accelerator) -> QuantizationScheme:
    if not words.transform:
        return scheme
    from llmsizer.catalog.transforms import check_sparse, sparse_scheme

    sparse = sparse_scheme(scheme, str(words.transform), number_formats()[dtype])
    check_sparse(str(words.transform), accelerator)
    return sparse


def _scheme(words: Words, model: Model, engine: EngineProfile, catalog: Catalog, notes: list[str]) -> QuantizationScheme:
    only_gguf = engine.schemes == ("gguf",)
    name = words.quantization
    if name is None or str(name).lower() == "none":
        if not only_gguf:
            return published_scheme(model)
        name = {"fp32": "F32", "fp16": "F16"}.get(model.torch_dtype, "BF16")
        notes.append(f"quantization: {name} (llama.cpp reads GGUF; add -q Q4_K_M or the like)")
    scheme = quantization_scheme(str(name), gguf=only_gguf)
    if scheme.id == "fp8" and model.native_quantization.startswith("fp8"):
        return published_scheme(model)
    return published_scheme(model) if scheme.id == model.native_quantization else scheme


def _dtype(
    words: Words, model: Model, scheme: QuantizationScheme, accelerator: Accelerator, engine: EngineProfile, notes: list[str]
) -> str:
    chosen = DTYPES[checked_choice("dtype", str(words.dtype), list(DTYPES))]
    if chosen == "auto":
        chosen = scheme.id if scheme.id in PLAIN_SCHEMES and words.quantization else model.torch_dtype
        if chosen == "fp32" and scheme.id != "fp32":
            chosen = "fp16"
    capability = accelerator.capability()
    has_bf16 = capability is None or capability >= (8, 0)
    if chosen == "fp32" and words.dtype == "auto" and not words.quantization and engine.loads_float32_as != "fp32":
        chosen = engine.loads_float32_as if has_bf16 else "fp16"
        notes.append(f"dtype: {chosen}, as {engine.title} loads a checkpoint in fp32 (--dtype float32 otherwise)")
    if chosen == "bf16" and not has_bf16:
        notes.append(f"dtype: fp16, because {accelerator.name} has no bf16")
        chosen = "fp16"
    return chosen


def _cast(words: Words, scheme: QuantizationScheme, dtype: str) -> QuantizationScheme:
    """The scheme that weights are loaded in: unquantized ones are cast to ``dtype``."""
    if scheme.id not in PLAIN_SCHEMES or scheme.id == dtype:
        return scheme
    if words.quantization and DTYPES[str(words.dtype)] != "auto":
        raise InvalidQuestion(
            f"--quantization {scheme.id} and --dtype {words.dtype} contradict each other", "unquantized weights take --dtype"
        )
    return quantization_scheme(dtype, gguf=False)


def _parallel(words: Words) -> Parallel:
    return Parallel(
        tensor_parallel_size=checked_integer("tensor_parallel_size", words.tensor_parallel_size, most=1024),
        pipeline_parallel_size=checked_integer("pipeline_parallel_size", words.pipeline_parallel_size, most=1024),
        data_parallel_size=checked_integer("data_parallel_size", words.data_parallel_size, most=1024),
        enable_expert_parallel=bool(words.enable_expert_parallel),
        prefill_context_parallel_size=checked_integer(
            "prefill_context_parallel_size", words.prefill_context_parallel_size, most=1024
        ),
        decode_context_parallel_size=checked_integer(
            "decode_context_parallel_size", words.decode_context_parallel_size, most=1024
        ),
    )


def _cache_formats(
    words: Words, engine: EngineProfile, dtype: str, scheme: QuantizationScheme, notes: list[str]
) -> tuple[CacheFormat, CacheFormat]:
    text = str(words.kv_cache_dtype)
    if text == "auto" and scheme.id in engine.checkpoint_cache:
        text = "fp8"
        asks = f"KV cache: fp8, as checkpoints in {scheme.id} ask {engine.title} for"
        notes.append(f"{asks} (--kv-cache-dtype {dtype} otherwise)")
    elif text == "auto":
        text = "f16" if engine.id == "llama.cpp" else dtype
    names = text.split("/")
    if len(names) > 2:
        raise InvalidQuestion(f"--kv-cache-dtype: expected one format or keys/values, got '{text[:40]}'")
    formats = [cache_format(name.strip()) for name in names]
    for stored in formats:
        if stored.id not in engine.cache_formats:
            raise UnsupportedCombination(
                f"{engine.title} {engine.version} has no '{stored.id}' KV cache",
                f"it has: {', '.join(engine.cache_formats)}",
            )
    return formats[0], formats[-1]


def rate_of(words: Words) -> float | None:
    """The request rate of a question."""
    if words.request_rate is None:
        return None
    return checked_fraction("request_rate", words.request_rate, least=1e-9, most=1e6)


def _cache_kept(words: Words, engine: EngineProfile) -> bool:
    if not words.use_cache and not engine.cache_optional:
        hint = "engines that need not: transformers, torch"
        raise UnsupportedCombination(f"--no-kv-cache: {engine.title} always keeps a KV cache", hint)
    return bool(words.use_cache)


def _flash(words: Words, engine: EngineProfile) -> bool:
    return engine.flash_attention if words.flash_attention is None else bool(words.flash_attention)


def _adapters(words: Words) -> Adapters | None:
    if not words.adapters:
        return None
    given = checked_mapping("adapters", words.adapters, {"count", "rank", "attention_only"})
    return Adapters(
        count=checked_integer("adapters.count", given.get("count", 1), most=10_000),
        rank=checked_integer("adapters.rank", given.get("rank", 16), most=4096),
        attention_only=bool(given.get("attention_only", False)),
    )


def _offload(words: Words, engine: EngineProfile, parallel: Parallel) -> Offload | None:
    if not words.offload:
        return None
    given = checked_mapping("offload", words.offload, {"weights", "kv_cache", "gpu_layers", "expert_layers", "host"})
    for key in given:
        if key not in (*engine.offload, "host"):
            known = ", ".join(engine.offload) or "nothing"
            raise UnsupportedCombination(f"--offload {key}: {engine.title} {engine.version} cannot", f"it offloads: {known}")
    if parallel.devices > 1 and given.get("gpu_layers") is not None:
        raise UnsupportedCombination("--offload gpu_layers: only for one device", "leave --tp, --pp and --dp out")
    layers = {
        key: checked_integer(f"offload.{key}", given[key], least=0, most=10_000)
        for key in ("gpu_layers", "expert_layers")
        if given.get(key) is not None
    }
    return Offload(
        weights=checked_fraction("offload.weights", given.get("weights", 0.0)),
        kv_cache=checked_fraction("offload.kv_cache", given.get("kv_cache", 0.0)), **layers,
    )  # fmt: skip


def _host(words: Words, engine: EngineProfile, catalog: Catalog, notes: list[str]) -> dict[str, Any]:
    """The processor whose memory holds what is offloaded, with its calibration."""
    if not words.offload:
        return {}
    name = dict(words.offload).get("host") or engine.host
    if not name:
        raise InvalidQuestion(
            "--offload: the host is not known", "name it, for example: --offload weights=0.3,host=epyc-9654@512GiB"
        )
    host = catalog.accelerator(str(name))
    if "host" not in words.offload:
        notes.append(f"host: {host.name} is assumed; name yours with --offload …,host=NAME@MEMORY (`llmsizer hardware list`)")
    return {"host": host, "host_calibration": catalog.calibration(str(words.calibration), host, engine.id)}
