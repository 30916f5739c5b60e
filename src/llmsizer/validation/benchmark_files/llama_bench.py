"""``llama-bench -o json|jsonl|csv``: speed of a prompt alone, of generation alone, or of both."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llmsizer.validation.benchmark_files.reading import BenchmarkRun, Place, number, rest, text, whole

TOOL = "llama-bench"
_NOTE = "one sequence, no server: prompt and generation are timed apart, at the depth given, without sampling"


def recognises(found: Any) -> bool:
    """Whether this is a row, or a list of rows, of this tool."""
    first = found[0] if isinstance(found, list) and found else found
    return isinstance(first, dict) and {"n_prompt", "n_gen", "avg_ts"} <= set(first)


def recognises_csv(rows: Sequence[Sequence[str]]) -> bool:
    """Whether a table has this tool's columns."""
    return bool(rows) and {"n_prompt", "n_gen", "avg_ts"} <= set(rows[0])


def read_csv(rows: Sequence[Sequence[str]], place: Place) -> list[BenchmarkRun]:
    """The tests of a CSV file."""
    found: list[BenchmarkRun] = []
    for line, row in enumerate(rows[1:], 2):
        if len(row) != len(rows[0]):
            raise Place(place.file, line).error(f"expected {len(rows[0])} columns, got {len(row)}")
        found.append(_run(Place(place.file, line), dict(zip(rows[0], row, strict=True))))
    return found


def read(found: Any, place: Place) -> list[BenchmarkRun]:
    """The tests of a row or a list of rows."""
    if isinstance(found, list):
        return [_run(place.at(f"[{index}]"), row) for index, row in enumerate(found)]
    return [_run(place, found)]


def _run(place: Place, found: Any) -> BenchmarkRun:
    row = place.mapping(found)
    prompt, answer, depth = (whole(row, key, place) or 0 for key in ("n_prompt", "n_gen", "n_depth"))
    speed = number(row, "avg_ts", place)
    if not prompt and not answer:
        raise place.error("expected a test with n_prompt or n_gen above 0")
    if not speed:
        raise place.at("avg_ts").error("expected tokens per second above 0")
    kind = "total" if prompt and answer else "prefill" if prompt else "decode"
    metrics = {f"{kind}_tokens_per_second": speed}
    if kind == "prefill":
        metrics["prefill_seconds"] = prompt / speed
    elif kind == "decode":
        metrics["tpot_seconds"] = 1 / speed
    return BenchmarkRun(
        tool=TOOL, source=str(place), metrics=metrics, model=text(row, "model_filename") or text(row, "model_type"),
        hardware=text(row, "gpu_info") or text(row, "cpu_info"), engine="llama.cpp", engine_version=_version(row),
        input_tokens=float(prompt), output_tokens=float(answer), context_tokens=float(depth), concurrency=1,
        notes=(_NOTE,), settings=rest(row, {"n_prompt", "n_gen", "n_depth", "avg_ts", "avg_ns"}),
    )  # fmt: skip


def _version(row: Any) -> str | None:
    build = text(row, "build_number")
    return f"b{build}" if build and build != "0" else None
