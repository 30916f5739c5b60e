"""Rows in the shape of InferenceX (InferenceMAX): one object for each run, latencies in seconds."""

from __future__ import annotations

import re
from typing import Any

from llmsizer.validation.benchmark_files.reading import (
    BenchmarkRun,
    Fields,
    Place,
    named_statistics,
    number,
    rest,
    some,
    text,
    whole,
)

TOOL = "inferencex"
_LATENCY = re.compile(r"(?P<statistic>mean|median|p\d+(?:\.\d+)?)_(?P<metric>ttft|tpot|itl|e2el)")
_NAMES = {"ttft": "ttft", "tpot": "tpot", "itl": "itl", "e2el": "e2e"}
_ENGINES = {
    "trt": "tensorrt-llm",
    "trtllm": "tensorrt-llm",
    "dynamo-trt": "tensorrt-llm",
    "dynamo-sglang": "sglang",
    "dynamo-vllm": "vllm",
}
_NOTES = (
    "tput_per_gpu counts input and output tokens",
    "lengths are the nominal ones: the runs draw them uniformly below, so the given ones are upper ends",
    "a run sends ten requests for each user at once: means contain the start burst, medians hardly",
)


def recognises(found: Any) -> bool:
    """Whether this is a row, or a list of rows, of this shape."""
    first = found[0] if isinstance(found, list) and found else found
    return isinstance(first, dict) and "tput_per_gpu" in first and "hw" in first


def read(found: Any, place: Place) -> list[BenchmarkRun]:
    """The runs of a row or a list of rows."""
    if isinstance(found, list):
        return [_run(place.at(f"[{index}]"), row) for index, row in enumerate(found)]
    return [_run(place, found)]


def _run(place: Place, found: Any) -> BenchmarkRun:
    row = place.mapping(found)
    devices = _devices(row, place)
    rates = some({
        f"{ours}_per_gpu": number(row, theirs, place)
        for theirs, ours in (
            ("tput_per_gpu", "total_tokens_per_second"),
            ("input_tput_per_gpu", "input_tokens_per_second"),
            ("output_tput_per_gpu", "output_tokens_per_second"),
        )
    })  # fmt: skip
    whole_rates = {key.removesuffix("_per_gpu"): value * devices for key, value in rates.items()} if devices else {}
    framework = text(row, "framework")
    return BenchmarkRun(
        tool=TOOL, source=str(place), metrics=rates | whole_rates | named_statistics(row, _LATENCY, _NAMES, 1.0, place),
        model=text(row, "model"), hardware=text(row, "hw"), engine=_ENGINES.get(framework or "", framework),
        quantization=text(row, "precision"), tensor_parallel_size=whole(row, "tp", place),
        pipeline_parallel_size=whole(row, "pp", place), devices=devices, input_tokens=number(row, "isl", place),
        output_tokens=number(row, "osl", place), concurrency=whole(row, "conc", place), notes=_NOTES,
        settings=rest(row, {key for key in row if _LATENCY.fullmatch(key)} | {"model", "hw", "tp", "pp", "isl", "osl", "conc"}),
    )  # fmt: skip


def _devices(row: Fields, place: Place) -> int | None:
    """Devices of the run: both pools where they are apart, else tp · pp · pcp (decode context parallel reuses devices)."""
    pools = [whole(row, key, place) for key in ("num_prefill_gpu", "num_decode_gpu")]
    if _yes(row.get("disagg")) and all(pools):
        return sum(size or 0 for size in pools)
    tensor = whole(row, "tp", place)
    if not tensor:
        return None
    return tensor * (whole(row, "pp", place) or 1) * (whole(row, "pcp_size", place) or 1)


def _yes(value: Any) -> bool:
    return str(value).lower() in ("true", "1", "yes")
