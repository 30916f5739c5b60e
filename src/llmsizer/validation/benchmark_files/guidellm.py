"""GuideLLM's reports: one file, one benchmark for each rate or number of streams."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmsizer.validation.benchmark_files.reading import (
    STATISTIC,
    BenchmarkRun,
    Fields,
    Place,
    metric_key,
    number,
    some,
    text,
    whole,
)

TOOL = "guidellm"
# Metric → (ours, seconds of its unit). Its time_per_output_token contains TTFT, so TPOT comes from its
# inter_token_latency, which is (last − first token) / (tokens − 1).
_LATENCIES: Mapping[str, tuple[str, float]] = {
    "time_to_first_token_ms": ("ttft", 1e-3),
    "inter_token_latency_ms": ("tpot", 1e-3),
    "request_latency": ("e2e", 1.0),
}
_RATES = {
    "requests_per_second": "requests_per_second",
    "prompt_tokens_per_second": "input_tokens_per_second",
    "output_tokens_per_second": "output_tokens_per_second",
    "tokens_per_second": "total_tokens_per_second",
}
_NOTES = (
    "tpot is the tool's inter_token_latency, whose mean and percentiles weigh requests by their tokens",
    "the tool's time_per_output_token contains TTFT and was not taken",
)


def recognises(found: Any) -> bool:
    """Whether this is a report of this tool."""
    runs = found.get("benchmarks") if isinstance(found, dict) else None
    return bool(isinstance(runs, list) and runs and isinstance(runs[0], dict) and isinstance(runs[0].get("metrics"), dict))


def read(found: Any, place: Place) -> list[BenchmarkRun]:
    """The runs of a report."""
    runs = place.at("benchmarks").list(place.mapping(found)["benchmarks"])
    return [_run(place.at(f"benchmarks[{index}]"), run, found) for index, run in enumerate(runs)]


def _run(place: Place, found: Any, report: Fields) -> BenchmarkRun:
    run = place.mapping(found)
    where = place.at("metrics")
    metrics = where.mapping(run.get("metrics"))
    figures: dict[str, float] = {}
    for name, (ours, scale) in _LATENCIES.items():
        figures |= {key: value * scale for key, value in _spread(metrics, name, ours, where).items()}
    figures |= some({ours: _mean(metrics, name, where) for name, ours in _RATES.items()})
    strategy = _strategy(run)
    totals = metrics.get("request_totals")
    totals = totals if isinstance(totals, dict) else {}
    version = report.get("metadata") if isinstance(report.get("metadata"), dict) else {}
    return BenchmarkRun(
        tool=TOOL, source=str(place), metrics=figures, model=_model(run, report),
        input_tokens=_mean(metrics, "prompt_token_count", where), output_tokens=_mean(metrics, "output_token_count", where),
        num_prompts=whole(totals, "total", where), completed=whole(totals, "successful", where),
        failed=whole(totals, "errored", where), concurrency=_concurrency(strategy, place), request_rate=_rate(strategy, place),
        duration_seconds=number(run, "duration", place), notes=_NOTES,
        settings=some({"request_concurrency": _mean(metrics, "request_concurrency", where)})
        | {"strategy": strategy.get("type_"), "guidellm_version": (version or {}).get("guidellm_version")},
    )  # fmt: skip


def _successful(metrics: Fields, name: str, place: Place) -> Fields:
    found = metrics.get(name)
    if not isinstance(found, dict):
        return {}
    inner = found.get("successful", found)
    return place.at(f"{name}.successful").mapping(inner) if inner is not None else {}


def _mean(metrics: Fields, name: str, place: Place) -> float | None:
    return number(_successful(metrics, name, place), "mean", place.at(name))


def _spread(metrics: Fields, name: str, ours: str, place: Place) -> dict[str, float]:
    found = _successful(metrics, name, place)
    shares = found.get("percentiles")
    flat = {**(shares if isinstance(shares, dict) else {}), **{key: found.get(key) for key in ("mean", "median")}}
    # p001 and p999 are 0.1 % and 99.9 %; p01 and p05 are 1 % and 5 %.
    plain = {"p001": "p0.1", "p01": "p1", "p05": "p5", "p999": "p99.9"}
    return some({
        metric_key(ours, plain.get(key, key)): number(flat, key, place.at(name)) for key in flat if STATISTIC.fullmatch(key)
    })  # fmt: skip


def _strategy(run: Fields) -> Fields:
    for outer in ("config", "args"):
        inner = run.get(outer)
        if isinstance(inner, dict) and isinstance(inner.get("strategy"), dict):
            strategy: Fields = inner["strategy"]
            return strategy
    return {}


def _concurrency(strategy: Fields, place: Place) -> int | None:
    if strategy.get("type_") == "synchronous":
        return 1
    return next((whole(strategy, key, place) for key in ("streams", "max_concurrency") if strategy.get(key)), None)


def _rate(strategy: Fields, place: Place) -> float | None:
    return number(strategy, "rate", place) if strategy.get("type_") in ("constant", "poisson") else None


def _model(run: Fields, report: Fields) -> str | None:
    """The model's name, wherever this version of the tool writes it."""
    for outer in (run.get("config"), run.get("args"), report.get("config"), report.get("args")):
        for inner in (outer, outer.get("backend") if isinstance(outer, dict) else None):
            name = text(inner, "model") or text(inner, "target_model") if isinstance(inner, dict) else None
            if name:
                return name
    return None
