"""Memory figures of engine start-up logs against the estimate of the same deployment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from llmsizer.catalog.catalog import Catalog, load_catalog
from llmsizer.core.explain import plain
from llmsizer.core.quantities import GIB
from llmsizer.question.ask import ask
from llmsizer.question.words import Words
from llmsizer.sizing.estimate import Estimate
from llmsizer.validation.measurements import measured_rows
from llmsizer.validation.statistics import ErrorRow

# A device whose memory leaves room for any model of the rows: for figures that do not depend on it.
ANY_DEVICE = "h200"


def memory_errors(catalog: Catalog | None = None) -> list[ErrorRow]:
    """Errors of weights, cache pool, bytes per token and of the verdict, over all rows that say enough."""
    catalog = catalog if catalog is not None else load_catalog()
    errors: list[ErrorRow] = []
    for row in measured_rows("memory.yaml"):
        if row.get("model") is not None:
            errors += _row_errors(row, catalog)
    return errors


def _row_errors(row: Mapping[str, Any], catalog: Catalog) -> Iterator[ErrorRow]:
    measured = row["measured"]
    estimate = _estimate(row, catalog)
    if "weights_gib" in measured and row.get("extras") != "lora":
        yield _error(row, "weights per GPU", estimate.memory.per_gpu.weights_bytes / GIB, measured["weights_gib"])
    if row["outcome"] in {"no_room", "too_long"} and row.get("hardware") is not None:
        wrong = float(estimate.fits)
        yield _error(row, "does-not-fit verdict", 1 - wrong, 1.0)
    if row["outcome"] != "fits" or "kv_cache_gib" not in measured:
        return
    tokens = _logged_tokens(row)
    if tokens and "extras" not in row:
        per_token = measured["kv_cache_gib"] * GIB / tokens
        yield _error(row, "bytes per KV token", plain(estimate.memory.kv_bytes_per_token_per_gpu), per_token)
    if _is_known(row) and "gpu_memory_utilization" in row["words"]:
        pool = plain(estimate.memory.per_gpu.kv_cache_bytes) / GIB
        capacity = plain(estimate.memory.per_gpu.capacity_bytes) / GIB
        error = _error(row, "KV pool / device memory", pool, measured["kv_cache_gib"], capacity)
        yield replace(error, inside=_inside(estimate, measured["kv_cache_gib"] * GIB))


def _inside(estimate: Estimate, measured: float) -> bool | None:
    given = estimate.evidence.memory_interval_bytes
    return given[0] <= measured <= given[1] if given is not None else None


def _is_known(row: Mapping[str, Any]) -> bool:
    return row.get("hardware") is not None and row.get("version") is not None


def _logged_tokens(row: Mapping[str, Any]) -> float | None:
    measured = row["measured"]
    if measured.get("kv_tokens"):
        return float(measured["kv_tokens"])
    return float(measured["kv_blocks"]) * 16 if measured.get("kv_blocks") else None


def _group(row: Mapping[str, Any]) -> str:
    return f"{row['engine']} {row.get('core', '')} {row['model']} {row.get('hardware')}"


def _error(row: Mapping[str, Any], quantity: str, estimate: Any, measured: float, reference: float | None = None) -> ErrorRow:
    value = float(estimate)
    error = (value - measured) / (reference if reference is not None else measured)
    return ErrorRow(quantity, row["id"], _group(row), row["role"], value, float(measured), error, row.get("cause", ""),
                    engine=row["engine"], hardware=row.get("hardware") or "")  # fmt: skip


def _estimate(row: Mapping[str, Any], catalog: Catalog) -> Estimate:
    device = catalog.accelerator(row.get("hardware") or ANY_DEVICE)
    total = row["measured"].get("total_gib")
    if total is not None:
        device = replace(device, usable_memory=total * GIB)
    words = dict(row["words"])
    model = catalog.model(row["model"])
    if "max_model_len" in words and model.max_position_embeddings:
        words["max_model_len"] = min(words["max_model_len"], model.max_position_embeddings)
    return ask(Words(model=model, hardware=device, engine=_engine(row), input_tokens=1, output_tokens=1, **words), catalog)


def _engine(row: Mapping[str, Any]) -> str:
    name = str(row["engine"])
    version = row.get("version")
    if version is None:
        version = {"v0": "0.7.3", "v1": "0.10.0"}.get(row.get("core", ""))
    core = f"+{row['core']}" if row.get("core") else ""
    return f"{name}@{version}{core}" if version else name
