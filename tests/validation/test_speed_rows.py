"""Rows that cannot be, and first tokens that waited outside the engine."""

from __future__ import annotations

from collections import Counter

from llmsizer.catalog.catalog import Catalog
from llmsizer.validation.measurements import measured_rows
from llmsizer.validation.speed_rows import BEYOND, is_impossible, speed_errors

ROW = {
    "id": "made", "role": "validate", "kind": "latency_under_load", "engine": "vllm", "version": "0.12.0",
    "model": "meta-llama/Llama-3.1-8B", "hardware": "h100-sxm5-80gb", "concurrency": 8,
    "words": {"tensor_parallel_size": 1, "input_tokens": 4000, "output_tokens": 100},
}  # fmt: skip


def test_faster_than_the_devices_is_impossible(catalog: Catalog) -> None:
    assert is_impossible({**ROW, "measured": {"ttft_ms": 50.0, "tpot_ms": 4.0}}, catalog)
    assert not is_impossible({**ROW, "measured": {"ttft_ms": 400.0, "tpot_ms": 14.0}}, catalog)


def test_each_row_is_compared_under_one_name(catalog: Catalog) -> None:
    names = Counter((error.id, error.quantity.partition(",")[0]) for error in speed_errors(catalog))
    assert set(names.values()) == {1}
    waited = {row["id"] for row in measured_rows("speed.yaml") if "waits" in row}
    for error in speed_errors(catalog):
        assert error.quantity.endswith(", with waits") == (error.id in waited and error.quantity.startswith("TTFT")) or (
            error.quantity.endswith(BEYOND)
        )
