"""AIPerf and its forerunner GenAI-Perf: the JSON and CSV summaries of a profile."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from llmsizer.validation.benchmark_files.reading import STATISTIC, BenchmarkRun, Fields, Place, metric_key, number, some, whole

TOOL = "aiperf"
# Metric → ours. Its inter_token_latency is (last − first token) / (tokens − 1) of a request: our TPOT.
_LATENCIES = {
    "time_to_first_token": "ttft",
    "inter_token_latency": "tpot",
    "inter_chunk_latency": "itl",
    "request_latency": "e2e",
}
_RATES = {
    "request_throughput": "requests_per_second",
    "output_token_throughput": "output_tokens_per_second",
    "total_token_throughput": "total_tokens_per_second",
    "goodput": "goodput_requests_per_second",
}
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "sec": 1.0, "seconds": 1.0}
_NOTES = (
    "tpot is the tool's inter_token_latency, (E2E − TTFT) / (tokens − 1) of each request; itl its inter_chunk_latency",
    "ttft leaves out a first response without text",
)


def recognises(found: Any) -> bool:
    """Whether this is a summary of this tool."""
    if not isinstance(found, dict):
        return False
    return isinstance(found.get("request_latency"), dict) and "request_throughput" in found


def read(found: Any, place: Place) -> list[BenchmarkRun]:
    """The run of a summary."""
    fields = place.mapping(found)
    config = fields.get("input_config") if isinstance(fields.get("input_config"), dict) else {}
    return [_run(fields, config or {}, place)]


def _run(fields: Fields, config: Fields, place: Place) -> BenchmarkRun:
    figures: dict[str, float] = {}
    for name, ours in _LATENCIES.items():
        figures |= _spread(fields, name, ours, place)
    figures |= some({ours: _average(fields, name, place) for name, ours in _RATES.items()})
    completed = _average(fields, "request_count", place)
    failed = _average(fields, "error_request_count", place)
    return BenchmarkRun(
        tool=TOOL, source=str(place), metrics=figures, model=_model(config),
        input_tokens=_average(fields, "input_sequence_length", place),
        output_tokens=_average(fields, "output_sequence_length", place),
        completed=None if completed is None else int(completed), failed=None if failed is None else int(failed),
        concurrency=_load(config, "concurrency", place), request_rate=_rate(config, place),
        duration_seconds=_duration(fields, place), notes=_NOTES,
    )  # fmt: skip


def _spread(fields: Fields, name: str, ours: str, place: Place) -> dict[str, float]:
    found = fields.get(name)
    if found is None:
        return {}
    inner = place.at(name).mapping(found)
    unit = str(inner.get("unit", "ms")).lower()
    if unit not in _SECONDS:
        raise place.at(f"{name}.unit").error(f"expected a unit of time, got '{unit}'", f"Known: {', '.join(_SECONDS)}.")
    keys = [key for key in inner if STATISTIC.fullmatch(key)]
    values = some({metric_key(ours, key): number(inner, key, place.at(name)) for key in keys})
    return {key: value * _SECONDS[unit] for key, value in values.items()}


def _average(fields: Fields, name: str, place: Place) -> float | None:
    found = fields.get(name)
    return number(found, "avg", place.at(name)) if isinstance(found, dict) else None


def _duration(fields: Fields, place: Place) -> float | None:
    found = fields.get("benchmark_duration")
    value = _average(fields, "benchmark_duration", place)
    unit = str(found.get("unit", "s")).lower() if isinstance(found, dict) else "s"
    return value * _SECONDS.get(unit, 1.0) if value is not None else None


def _model(config: Fields) -> str | None:
    endpoint = config.get("endpoint") if isinstance(config.get("endpoint"), dict) else {}
    for names in ((endpoint or {}).get("model_names"), config.get("model"), config.get("model_names")):
        if isinstance(names, str) and names:
            return names
        if isinstance(names, list) and names:
            return str(names[0])
    return None


def _sections(config: Fields) -> Sequence[Fields]:
    found = [config, config.get("loadgen"), config.get("perf_analyzer")]
    sections: list[Fields] = [section for section in found if isinstance(section, dict)]
    for section in list(sections):
        stimulus = section.get("stimulus")
        if isinstance(stimulus, dict):
            sections.append(stimulus)
    return sections


def _load(config: Fields, key: str, place: Place) -> int | None:
    return next((whole(section, key, place.at("input_config")) for section in _sections(config) if section.get(key)), None)


def _rate(config: Fields, place: Place) -> float | None:
    sections = _sections(config)
    return next((number(s, "request_rate", place.at("input_config")) for s in sections if s.get("request_rate")), None)


_TITLE = re.compile(r"(?P<name>[^()]+?)\s*(?:\((?P<unit>[^()]*)\))?")


def recognises_csv(rows: Sequence[Sequence[str]]) -> bool:
    """Whether a table is this tool's CSV summary."""
    return bool(rows and rows[0] and rows[0][0].strip().lower() == "metric" and "avg" in [cell.strip() for cell in rows[0]])


def read_csv(rows: Sequence[Sequence[str]], place: Place) -> list[BenchmarkRun]:
    """The run of a CSV summary: a table of spreads, then one of single values."""
    fields: dict[str, Mapping[str, Any]] = {}
    header = [cell.strip() for cell in rows[0]]
    for row in rows[1:]:
        cells = [cell.strip() for cell in row]
        if len(cells) < 2 or not cells[0]:
            continue
        if cells[0].lower() == "metric":
            header = ["metric", "avg"] if cells[1].lower() == "value" else cells
            continue
        match = _TITLE.fullmatch(cells[0])
        if match:
            name = match["name"].lower().replace("-", " ").replace(" ", "_")
            values = {
                key: cell.replace(",", "") for key, cell in zip(header[1:], cells[1:], strict=False) if cell not in ("", "N/A")
            }
            fields[name] = {"unit": match["unit"] or "", **values}
    return [_run({name: _timed(name, found) for name, found in fields.items()}, {}, place)]


def _timed(name: str, found: Mapping[str, Any]) -> Mapping[str, Any]:
    return {**found, "unit": found["unit"] or "ms"} if name in _LATENCIES else found
