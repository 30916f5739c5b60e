"""Every way to run a model: splits × formats × cache formats, as words of a question."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from llmsizer.catalog.formats import quantization_scheme, scheme_names
from llmsizer.planner.fleets import has_experts
from llmsizer.planner.question import ANY, USUAL_FORMATS, Choices
from llmsizer.question.splits import legal_tensor_sizes
from llmsizer.question.support import need_of, problem_of, supports_scheme
from llmsizer.question.words import Words
from llmsizer.schema.accelerator import Accelerator
from llmsizer.schema.engine import EngineProfile
from llmsizer.schema.model import Model
from llmsizer.schema.number_format import QuantizationScheme

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIZES = (1, 2, 4, 8, 16, 32, 64)


def structures(words: Words, model: Model, engine: EngineProfile, choices: Choices, domain: int) -> Iterator[Words]:
    """The words of every split, format and cache format; ``domain``: the most devices that tensor or
    expert parallelism may span."""
    for quantization in formats(model, engine, choices.formats):
        for cache in cache_formats(engine, choices.cache_formats):
            for tensor, stages, ranks in splits(model, engine, choices.most_devices, domain):
                yield replace(
                    words, quantization=quantization, kv_cache_dtype=cache, tensor_parallel_size=tensor,
                    pipeline_parallel_size=stages, data_parallel_size=ranks, enable_expert_parallel=ranks > 1,
                )  # fmt: skip


def formats(model: Model, engine: EngineProfile, wanted: Sequence[str]) -> list[str | None]:
    """The schemes to try, each once; None is the checkpoint's own. Raises UnknownName for a format nobody knows."""
    if engine.schemes == ("gguf",):
        own: str | None = None
    else:
        own = quantization_scheme(model.native_quantization).id
    found: dict[str, str | None] = {own or "": None} if "auto" in wanted or ANY in wanted else {}
    names = scheme_names() if ANY in wanted else wanted
    for name in names:
        if name in ("auto", ANY):
            continue
        scheme = quantization_scheme(name, gguf=engine.schemes == ("gguf",))
        named = name in wanted and wanted is not USUAL_FORMATS
        if supports_scheme(engine, scheme) and _narrower(scheme, model, named):
            found.setdefault(scheme.id, scheme.id)
    return list(found.values())


def _narrower(scheme: QuantizationScheme, model: Model, named: bool) -> bool:
    """Whether a scheme that nobody named is worth a try: a model is not widened, nor made from a
    quantized checkpoint again; GGUF files are llama.cpp's."""
    return named or (
        not scheme.is_gguf
        and model.native_quantization in ("bf16", "fp16", "fp32")
        and scheme.id not in ("bf16", "fp16", "fp32")
    )


def cache_formats(engine: EngineProfile, wanted: Sequence[str]) -> list[str]:
    """The cache formats to try."""
    if ANY in wanted:
        return ["auto", *(name for name in engine.cache_formats if name not in ("bf16", "fp16", "f16", "fp32", "f32"))]
    return list(dict.fromkeys(wanted))


def splits(model: Model, engine: EngineProfile, most: int, domain: int) -> Iterator[tuple[int, int, int]]:
    """Tensor, pipeline and attention-data-parallel sizes; ranks of the last share whole experts."""
    paged = engine.kv_layout == "paged"
    tensors = [size for size in legal_tensor_sizes(model, most=min(most, domain)) if paged or size == 1]
    ranks = [size for size in SIZES if size == 1 or (paged and has_experts(model))]
    for tensor in tensors:
        for rank in ranks:
            if tensor * rank > domain:
                continue
            for stages in SIZES:
                if tensor * rank * stages <= most and stages <= model.num_hidden_layers and (stages == 1 or rank == 1):
                    yield tensor, stages, rank


def allowed(words: Words, model: Model, engine: EngineProfile, devices: Sequence[Accelerator]) -> NDArray[Any]:
    """The places of the devices whose machines hold a split and have kernels for the format."""
    import numpy as np

    joined = words.tensor_parallel_size * words.data_parallel_size
    least = max(joined, 2 if words.pipeline_parallel_size > 1 else 1)
    scheme = quantization_scheme(words.quantization or model.native_quantization, gguf=engine.schemes == ("gguf",))
    needs = [(scheme.id, need_of(engine.scheme_needs, scheme.id))]
    needs += [(name, need_of(engine.cache_needs, name)) for name in words.kv_cache_dtype.split("/")]
    return np.array([
        place for place, device in enumerate(devices)
        if device.reach >= least and not any(problem_of(need, name, engine, device) for name, need in needs)
    ], dtype=int)  # fmt: skip
