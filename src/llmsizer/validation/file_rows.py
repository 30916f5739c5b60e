"""Checkpoint sizes and llama.cpp buffers against the estimate."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from llmsizer.catalog.catalog import Catalog, load_catalog
from llmsizer.catalog.formats import number_formats, published_scheme, quantization_scheme
from llmsizer.catalog.models import stored_as
from llmsizer.core.explain import plain
from llmsizer.core.quantities import MIB
from llmsizer.question.ask import ask
from llmsizer.question.words import Words
from llmsizer.schema.model import Model
from llmsizer.schema.number_format import QuantizationScheme
from llmsizer.sizing.estimate import Estimate
from llmsizer.sizing.weights import checkpoint_bytes
from llmsizer.validation.measurements import measured_rows
from llmsizer.validation.statistics import ErrorRow

UNQUANTIZED = {"bf16", "fp16", "F16", "BF16"}


def checkpoint_errors(catalog: Catalog | None = None) -> list[ErrorRow]:
    """Errors of the sizes of published checkpoints."""
    catalog = catalog if catalog is not None else load_catalog()
    return [_checkpoint(row, catalog) for row in measured_rows("checkpoints.yaml") if row["kind"] != "engine_model_loading"]


def _checkpoint(row: Mapping[str, Any], catalog: Catalog) -> ErrorRow:
    model, scheme = _stored(row, catalog)
    computed = float(plain(checkpoint_bytes(model, scheme, number_formats()[model.torch_dtype], bool(row.get("published")))))
    measured = float(row["bytes"]) if "bytes" in row else row["bits_per_weight"] * row["parameters"] / 8
    kind = "16-bit" if scheme.id in UNQUANTIZED else "GGUF" if scheme.is_gguf else "quantized"
    error = computed / measured - 1
    allowed = float(row.get("rounding", 0)) / measured
    if "bits_per_weight" in row:
        allowed = 0.005 / row["bits_per_weight"]
    error = 0.0 if abs(error) <= allowed else error
    return ErrorRow(
        f"checkpoint size, {kind}", row["checkpoint"], scheme.id, row["role"], computed, measured, error, row.get("cause", "")
    )


def _stored(row: Mapping[str, Any], catalog: Catalog) -> tuple[Model, QuantizationScheme]:
    """The model of a row and the scheme it is stored in: by name, or as its quantization_config says."""
    model = catalog.model(row["model"])
    if "quantization_config" not in row:
        return model, quantization_scheme(row["quantization"])
    model = stored_as(model, row["quantization_config"], row["checkpoint"])
    return model, published_scheme(model)


def buffer_errors(catalog: Catalog | None = None) -> list[ErrorRow]:
    """Errors of llama.cpp's cache, weight and compute buffers."""
    catalog = catalog if catalog is not None else load_catalog()
    errors: list[ErrorRow] = []
    for row in measured_rows("llama_cpp_buffers.yaml"):
        errors += _buffers(row, catalog)
    return errors


def _buffers(row: Mapping[str, Any], catalog: Catalog) -> Iterator[ErrorRow]:
    if "context" not in row or "version" not in row:
        return
    measured, devices = row["measured"], max(row.get("devices", 1), 1)
    estimate = _estimate(row, catalog)
    era = "2023" if int(str(row["version"])[1:]) < 2400 else "2024 and later"
    if "kv_mib" in measured:
        cache = estimate.memory.per_gpu.kv_cache_bytes / MIB
        yield _row(row, "llama.cpp KV cache", cache, measured["kv_mib"])
    weights = measured.get("weights_mib") or {}
    on_devices = sum(size for name, size in weights.items() if name != "CPU")
    if on_devices:
        yield _row(row, "llama.cpp weights on devices", estimate.memory.per_gpu.weights_bytes / MIB, on_devices)
    elif weights and row.get("gpu_layers") == 0:
        held = (estimate.memory.per_gpu.weights_bytes + estimate.memory.host_weights_bytes) / MIB
        yield _row(row, "llama.cpp weights on the host", held, weights["CPU"])
    compute = measured.get("compute_mib") or {}
    named = compute.get("CUDA_scratch") or compute.get("CUDA0") or compute.get("Metal")
    if named:
        buffer = _estimate(row, catalog, devices).memory.per_gpu.activation_bytes / MIB
        yield _row(row, f"llama.cpp compute buffer, builds of {era}", buffer, named)


def _row(row: Mapping[str, Any], quantity: str, estimate: Any, measured: float) -> ErrorRow:
    group = f"{row['model']} {row['quantization']}"
    value = float(estimate)
    return ErrorRow(quantity, row["id"], group, row["role"], value, measured, value / measured - 1, row.get("cause", ""),
                    engine="llama.cpp")  # fmt: skip


def _estimate(row: Mapping[str, Any], catalog: Catalog, devices: int = 1) -> Estimate:
    model = catalog.model(row["model"])
    old = int(str(row["version"])[1:]) < 2400
    words = Words(
        model=model, hardware="h200", engine=f"llama.cpp@{row['version']}", quantization=row["quantization"],
        max_model_len=row["context"], max_num_batched_tokens=row.get("batch"), input_tokens=1, output_tokens=1,
        kv_cache_dtype=row.get("cache", "f16"), flash_attention=row.get("flash_attention", False),
        pipeline_parallel_size=1 if old else min(devices, model.num_hidden_layers),
    )  # fmt: skip
    return ask(words, catalog)
