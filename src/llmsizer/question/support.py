"""What an engine loads, and on which devices it has kernels for it."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from llmsizer.blocks.feed_forward import MixtureOfExperts
from llmsizer.core.errors import UnsupportedCombination
from llmsizer.core.explain import plain
from llmsizer.schema.accelerator import Accelerator
from llmsizer.schema.deployment import Parallel
from llmsizer.schema.engine import EngineProfile, SchemeNeed
from llmsizer.schema.model import Model
from llmsizer.schema.number_format import QuantizationScheme


def kernel_notes(model: Model, scheme: QuantizationScheme, engine: EngineProfile, parallel: Parallel) -> list[str]:
    """What the estimate takes for granted of the kernels that run routed experts."""
    routed = any(isinstance(group.feed_forward, MixtureOfExperts) for group in model.layers)
    stored = {each.kernel or each.compute for each in scheme.formats.values()}
    if not routed or parallel.data_parallel_size > 1 or stored.isdisjoint(engine.expert_kernels):
        return []
    return [f"experts: {engine.title} started with {engine.expert_kernels_setting}"]


def input_notes(model: Model) -> list[str]:
    """What the times leave out of images and sounds."""
    if model.encoder_tokens is not None:
        tokens = f"{plain(model.encoder_tokens):,.0f}"
        return [f"encoder: each request brings {tokens} tokens of its output; the encoder's own pass is not in the times"]
    if model.towers:
        return ["times are of text: the pass of images or sounds through the model's towers is not in them"]
    return []


def check_support(model: Model, scheme: QuantizationScheme, engine: EngineProfile, device: Accelerator) -> None:
    """Refuses a scheme or an attention kind that the engine does not run, there or at all, and a model that writes
    nothing."""
    if not model.lm_head and all(group.attention is None or group.attention.cache() is None for group in model.layers):
        raise UnsupportedCombination(
            f"{model.id} is an encoder: it generates no tokens", f"llmsizer models show {model.id} prints its size."
        )
    if not supports_scheme(engine, scheme):
        known = ", ".join(engine.schemes)
        raise UnsupportedCombination(f"{engine.title} {engine.version} does not load '{scheme.id}'", f"it loads: {known}")
    problem = device_problem(engine, scheme, device)
    if problem:
        raise UnsupportedCombination(problem, "Take another format (-q) or leave it out for the checkpoint's own.")
    kinds = {group.attention.kind for group in model.layers if group.attention is not None}
    missing = kinds - set(engine.attention_kinds)
    if missing:
        raise UnsupportedCombination(
            f"{engine.title} {engine.version} does not run {', '.join(sorted(missing))} attention ({model.id})"
        )


def check_cache(engine: EngineProfile, stored: Sequence[str], device: Accelerator) -> None:
    """Refuses a cache format (by id) that the engine has no kernels for on the device."""
    for name in stored:
        problem = cache_problem(engine, name, device)
        if problem:
            raise UnsupportedCombination(problem, "Take another --kv-cache-dtype, for example fp8.")


def supports_scheme(engine: EngineProfile, scheme: QuantizationScheme) -> bool:
    """Whether an engine loads a scheme, by id or pattern; ``gguf`` stands for every GGUF mix."""
    if scheme.is_gguf:
        return "gguf" in engine.schemes or "*" in engine.schemes
    return any(fnmatchcase(scheme.id, pattern) for pattern in engine.schemes)


def device_problem(engine: EngineProfile, scheme: QuantizationScheme, device: Accelerator) -> str:
    """Why an engine has no kernels for a scheme on a device; empty where it has."""
    return problem_of(need_of(engine.scheme_needs, scheme.id), scheme.id, engine, device)


def cache_problem(engine: EngineProfile, stored: str, device: Accelerator) -> str:
    """Why an engine has no cache in a format (by id) on a device; empty where it has."""
    return problem_of(need_of(engine.cache_needs, stored), stored, engine, device)


def need_of(needs: Sequence[SchemeNeed], name: str) -> SchemeNeed | None:
    """What the kernels for a format (by id) need of a device; None where any will do."""
    return next((need for need in needs if any(fnmatchcase(name, pattern) for pattern in need.schemes)), None)


def problem_of(need: SchemeNeed | None, name: str, engine: EngineProfile, device: Accelerator) -> str:
    """Why a device lacks what the kernels for a format need; empty where it does not."""
    if need is None:
        return ""
    capability = device.capability()
    if device.vendor not in need.vendors:
        return f"{engine.title} has no kernels for '{name}' on {device.vendor} devices ({need.source})"
    if capability is not None and capability < need.compute_capability:
        least = ".".join(map(str, need.compute_capability))
        return f"{engine.title} runs '{name}' from compute capability {least} on; {device.name} has {device.compute_capability}"
    return ""
