"""Runs of benchmark tools against the estimate of the same deployment and load."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from llmsizer.catalog.catalog import Catalog
from llmsizer.core.errors import InvalidQuestion
from llmsizer.question.ask import ask
from llmsizer.question.words import Words
from llmsizer.sizing.estimate import Estimate
from llmsizer.validation.benchmark_files import BenchmarkRun

# Words of the question that a run may tell; what the user gives goes before.
TOLD = (
    "model", "hardware", "engine", "quantization", "tensor_parallel_size", "pipeline_parallel_size",
    "data_parallel_size", "num_prompts", "concurrency", "request_rate",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Compared:
    """One metric of a run: estimated and measured (base units), and the relative error."""

    metric: str
    estimate: float
    measured: float

    @property
    def error(self) -> float:
        """(estimate − measured) / measured."""
        return self.estimate / self.measured - 1


@dataclass(frozen=True, slots=True)
class RunComparison:
    """A run beside its estimate."""

    run: BenchmarkRun
    estimate: Estimate
    metrics: tuple[Compared, ...]


def compare_run(run: BenchmarkRun, given: Mapping[str, Any], catalog: Catalog) -> RunComparison:
    """The estimate of a run: ``given`` words first, then what the run tells. InvalidQuestion names what is missing."""
    estimate = ask(words_of_run(run, given), catalog)
    data = estimate.to_dict()
    known = {**data["latency"], **data["throughput"]}
    pairs = [Compared(name, float(known[name]), value) for name, value in run.metrics.items() if known.get(name) and value]
    return RunComparison(run, estimate, tuple(pairs))


def words_of_run(run: BenchmarkRun, given: Mapping[str, Any]) -> Words:
    """The question that a run answers."""
    words = {name: value for name, value in given.items() if value not in (None, False)}
    for name in TOLD:
        value = getattr(run, name, None)
        if value is not None and name not in words:
            words[name] = value
    if run.engine is not None and run.engine_version and "engine" not in given:
        words["engine"] = f"{run.engine}@{run.engine_version}"
    for name in ("input_tokens", "output_tokens"):
        value = getattr(run, name)
        if value is not None and name not in words:
            words[name] = max(1, round(value))
    missing = [name for name in ("model", "hardware") if name not in words]
    if missing:
        flags = {"model": "-m MODEL", "hardware": "-g GPU"}
        wanted = " ".join(flags[name] for name in missing)
        raise InvalidQuestion(f"{run.source}: the file does not say its {' and '.join(missing)}", f"add {wanted}")
    if "concurrency" not in words and "request_rate" not in words:
        words["concurrency"] = run.num_prompts or "max"
        words.pop("num_prompts", None)
    return replace(Words(model=words.pop("model"), hardware=words.pop("hardware")), ignore_memory=True, **words)
