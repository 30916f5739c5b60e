"""``vllm bench serve`` (and SGLang's ``bench_serving``, of the same descent)."""

from __future__ import annotations

import re
from typing import Any

from llmsizer.schema.lengths import LengthPairs
from llmsizer.validation.benchmark_files.reading import (
    BenchmarkRun,
    Fields,
    Place,
    named_statistics,
    number,
    ratio,
    rest,
    some,
    text,
    whole,
)

TOOL = "vllm-bench"
_LATENCY = re.compile(r"(?P<statistic>mean|median|p\d+(?:\.\d+)?)_(?P<metric>[a-z0-9_]+?)_ms")
_NAMES = {"ttft": "ttft", "tpot": "tpot", "itl": "itl", "e2el": "e2e", "e2e_latency": "e2e"}
_NOTES = (
    "itl pools every gap between chunks; with speculative decoding a chunk holds several tokens, so that itl is not tpot",
    "latencies run from sending: waiting for a free slot under max_concurrency is not in them",
)


def recognises(found: Any) -> bool:
    """Whether this is one run of this tool."""
    return isinstance(found, dict) and "completed" in found and "request_throughput" in found and "duration" in found


def read(found: Any, place: Place) -> list[BenchmarkRun]:
    """The run of one result object."""
    fields = place.mapping(found)
    completed = whole(fields, "completed", place)
    rates = {
        "requests_per_second": number(fields, "request_throughput", place),
        "goodput_requests_per_second": _first(fields, ("request_goodput", "request_goodput:"), place),
        "output_tokens_per_second": number(fields, "output_throughput", place),
        "total_tokens_per_second": _first(fields, ("total_token_throughput", "total_throughput"), place),
    }
    input_sum = _first(fields, ("total_input_tokens", "total_input"), place)
    output_sum = _first(fields, ("total_output_tokens", "total_output"), place)
    latencies = named_statistics(fields, _LATENCY, _NAMES, 1e-3, place)
    return [
        BenchmarkRun(
            tool=TOOL, source=str(place), metrics=some(rates) | latencies, model=text(fields, "model_id"),
            engine=_engine(fields), input_tokens=ratio(input_sum, completed), output_tokens=ratio(output_sum, completed),
            lengths=_lengths(fields, place), num_prompts=whole(fields, "num_prompts", place), completed=completed,
            failed=whole(fields, "failed", place), concurrency=whole(fields, "max_concurrency", place),
            request_rate=number(fields, "request_rate", place), burstiness=number(fields, "burstiness", place),
            duration_seconds=number(fields, "duration", place), notes=_NOTES,
            settings=rest(fields, {key for key in fields if _LATENCY.fullmatch(key)} | {"model_id", "duration"}),
        )
    ]  # fmt: skip


def _first(fields: Fields, keys: tuple[str, ...], place: Place) -> float | None:
    return next((number(fields, key, place) for key in keys if fields.get(key) is not None), None)


# ``backend`` names the client's protocol; only these name an engine as well.
_ENGINES = {
    "vllm": "vllm",
    "sglang": "sglang",
    "trt": "tensorrt-llm",
    "tensorrt-llm": "tensorrt-llm",
    "tgi": "tgi",
    "llama.cpp": "llama.cpp",
}


def _engine(fields: Fields) -> str | None:
    return _ENGINES.get(text(fields, "backend") or "")


def _lengths(fields: Fields, place: Place) -> LengthPairs | None:
    """The lengths of the requests that were answered, where the file has the detail arrays."""
    if not isinstance(fields.get("input_lens"), list) or not isinstance(fields.get("output_lens"), list):
        return None
    inputs, outputs = place.at("input_lens").list(fields["input_lens"]), fields["output_lens"]
    if len(inputs) != len(outputs):
        raise place.at("output_lens").error(f"expected {len(inputs)} lengths, as many as input_lens, got {len(outputs)}")
    pairs = []
    for index, pair in enumerate(zip(inputs, outputs, strict=True)):
        if not all(isinstance(length, int) and not isinstance(length, bool) for length in pair):
            raise place.at(f"input_lens[{index}]").error(f"expected whole numbers of tokens, got {pair}")
        if min(pair) > 0:
            pairs.append(pair)
    return LengthPairs(tuple(pair[0] for pair in pairs), tuple(pair[1] for pair in pairs)) if pairs else None
