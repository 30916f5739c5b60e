"""Measured latency and throughput against the estimate of the same deployment.

Like is compared with like: a static batch with the engine alone, a closed loop with means at the
mean lengths that were really drawn, maximum load with as many requests as the engine takes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from llmsizer.catalog.catalog import Catalog, load_catalog
from llmsizer.catalog.spread import spread
from llmsizer.core.errors import LlmsizerError
from llmsizer.core.explain import plain
from llmsizer.question.ask import ask
from llmsizer.question.words import Words
from llmsizer.schema.deployment import Case
from llmsizer.sizing import front_end
from llmsizer.sizing.estimate import Estimate
from llmsizer.validation.measurements import measured_rows
from llmsizer.validation.statistics import ErrorRow

# Benchmarks at a fixed concurrency send this many prompts for each sequence in flight, where they
# do not say otherwise (InferenceX; vllm bench serve in the guides).
PROMPTS_PER_SEQUENCE = 10
# A first token this many times later than an idle engine's comes from a queue, not from the model.
QUEUE_BOUND_SECONDS = 4.0
# What a row that is faster than its devices at their peaks by more than rounding is reported as.
BOUND_TOLERANCE = 0.02
BEYOND = ", faster than the devices"
IMPOSSIBLE = "faster than peak FLOP/s and bandwidth allow: a prefix cache, or another set-up than stated"


def speed_errors(catalog: Catalog | None = None, calibration: str = "auto") -> list[ErrorRow]:
    """Errors of all rows of ``speed.yaml`` that the catalog can answer."""
    catalog = catalog if catalog is not None else load_catalog()
    errors: list[ErrorRow] = []
    for row in measured_rows("speed.yaml"):
        try:
            estimate = estimate_of(row, catalog, calibration)
        except LlmsizerError:
            continue
        if estimate.speed is not None:
            errors += _compared(row, estimate, catalog)
    return errors


def _compared(row: Mapping[str, Any], estimate: Estimate, catalog: Catalog) -> list[ErrorRow]:
    found = [judged(error, estimate) for error in row_errors(row, estimate.case, answer_of(estimate))]
    if not is_impossible(row, catalog):
        return found
    return [replace(error, quantity=f"{error.quantity}{BEYOND}", cause=error.cause or IMPOSSIBLE) for error in found]


def is_impossible(row: Mapping[str, Any], catalog: Catalog) -> bool:
    """Whether a row is faster than its devices could be at their peak FLOP/s and full bandwidth.

    Of a run under load that is a request's whole time: an engine may hold prompts back to decode faster.
    """
    ideal = estimate_of(row, catalog, "ideal")
    bounds = {error.quantity: error for error in row_errors(row, ideal.case, answer_of(ideal))}
    if "TPOT under load" not in bounds:
        return any(_is_beyond(bound.estimate, bound.measured, bound.quantity) for bound in bounds.values())
    tokens = float(plain(ideal.case.workload.output_tokens)) - 1
    whole = {side: getattr(bounds["TPOT under load"], side) * tokens for side in ("estimate", "measured")}
    first = next((bound for name, bound in bounds.items() if name.startswith("TTFT")), None)
    least = whole["estimate"] + (first.estimate if first else 0.0)
    return _is_beyond(least, whole["measured"] + (first.measured if first else 0.0), "")


def _is_beyond(ideal: float, measured: float, quantity: str) -> bool:
    faster = measured / ideal if quantity == "throughput at maximum load" else ideal / measured
    return faster > 1 + BOUND_TOLERANCE


def estimate_of(row: Mapping[str, Any], catalog: Catalog, calibration: str = "auto") -> Estimate:
    """The estimate of a measured deployment."""
    return ask(words_of(row, catalog, calibration), catalog)


def words_of(row: Mapping[str, Any], catalog: Catalog, calibration: str = "auto") -> Words:
    """The question that a measured row answers."""
    words = dict(row["words"])
    if row.get("lengths") == "0.8-1.0":
        words["input_tokens"] = round(0.9 * words["input_tokens"])
        words["output_tokens"] = max(2, round(0.9 * words["output_tokens"]))
    words |= _demand(row)
    words["max_model_len"] = _length(row, words, catalog)
    return Words(model=row["model"], hardware=row["hardware"], engine=_engine(row), calibration=calibration,
                 ignore_memory=row["kind"] != "offline_throughput", **words)  # fmt: skip


def _length(row: Mapping[str, Any], words: Mapping[str, Any], catalog: Catalog) -> int:
    """Engines of benchmarks are started for the lengths they serve."""
    needed = int(words["input_tokens"]) + int(words["output_tokens"])
    most = catalog.model(row["model"]).max_position_embeddings
    return min(2 * needed + 512, most) if most is not None and most >= needed else needed


def _demand(row: Mapping[str, Any]) -> dict[str, Any]:
    if row.get("batch") is not None:
        return {"batching": "static", "concurrency": int(row["batch"])}
    if row["kind"] in {"decode_latency", "prefill_latency"}:
        return {"batching": "static", "concurrency": 1}
    if row.get("concurrency") is not None:
        prompts = row.get("num_prompts", PROMPTS_PER_SEQUENCE * int(row["concurrency"]))
        return {"concurrency": int(row["concurrency"]), "num_prompts": int(prompts)}
    return {"concurrency": "max"}


def _engine(row: Mapping[str, Any]) -> str:
    version = row.get("version") or row.get("assumed_version")
    return f"{row['engine']}@{version}" if version else str(row["engine"])


# The interval of the evidence that a quantity falls under; rates of a single time have its reciprocal.
INTERVALS = {
    "TPOT under load": "tpot", "latency of a batch of 1 to 8": "tpot", "throughput of a static batch": "tpot",
    "TTFT under load": "ttft", "prefill latency": "ttft",
}  # fmt: skip
RATES = {"llama.cpp token generation": "tpot", "llama.cpp prompt": "ttft"}


def judged(error: ErrorRow, estimate: Estimate) -> ErrorRow:
    """The comparison with whether the measurement lies in the estimate's interval, scaled to the figure."""
    bounds = _logarithms(error.quantity, estimate)
    if bounds is None:
        return error
    return replace(error, inside=bounds[0] <= math.log(error.measured / error.estimate) <= bounds[1])


def _logarithms(quantity: str, estimate: Estimate) -> tuple[float, float] | None:
    """The interval of ln(measured / estimate) of a quantity; None where estimates state none."""
    if quantity == "throughput at maximum load":
        return spread("throughput", estimate.case.engine.id, estimate.evidence.tier)
    name = INTERVALS.get(quantity) or RATES.get(quantity)
    if name is None or estimate.speed is None:
        return None
    latency, evidence = estimate.speed.latency, estimate.evidence
    centre = float(plain(latency.ttft_seconds if name == "ttft" else latency.tpot_seconds))
    given = evidence.ttft_interval_seconds if name == "ttft" else evidence.tpot_interval_seconds
    if given is None or not centre:
        return None
    low, high = (math.log(bound / centre) for bound in given)
    return (-high, -low) if quantity in RATES else (low, high)


@dataclass(frozen=True, slots=True)
class Answer:
    """What is compared: mean times of a request, and generated tokens per second of a replica."""

    ttft: float
    tpot: float
    output_rate: float


def answer_of(estimate: Estimate) -> Answer:
    """The compared figures of an estimate."""
    speed = estimate.speed
    assert speed is not None
    latency, rates = speed.latency, speed.throughput
    return Answer(plain(latency.ttft_seconds), plain(latency.tpot_seconds), plain(rates.output_tokens_per_second))


def row_errors(row: Mapping[str, Any], case: Case, answer: Answer) -> Iterator[ErrorRow]:
    """The comparisons a row allows."""
    kind, measured, ttft, tpot = row["kind"], row["measured"], answer.ttft, answer.tpot
    engine_ttft = ttft - float(plain(front_end.alone(case)))
    output = float(plain(case.workload.output_tokens))
    if kind == "decode_latency":
        yield _error(row, "latency of a batch of 1 to 8", *_token_time(row, engine_ttft, tpot, output))
    elif kind == "prefill_latency":
        yield _error(row, "prefill latency", engine_ttft, measured.get("ttft_ms", 0.0) / 1e3 or measured.get("e2e_s"))
    elif kind == "latency_under_load" and "concurrency" in row:
        yield from _load_errors(row, ttft, tpot)
    elif row.get("batch") is not None:
        yield _error(row, "throughput of a static batch", *_token_time(row, engine_ttft, tpot, output))
    elif "output_tok_s" in measured:
        rate = answer.output_rate * replicas(row, case)
        yield _error(row, "throughput at maximum load", rate, measured["output_tok_s"])


def _load_errors(row: Mapping[str, Any], ttft: float, tpot: float) -> Iterator[ErrorRow]:
    measured = row["measured"]
    token = measured.get("tpot_ms") or measured.get("tpot_ms_median") or measured.get("itl_ms")
    first = measured.get("ttft_ms") or measured.get("ttft_ms_median")
    if token:
        yield _error(row, "TPOT under load", tpot, token / 1e3)
    if first:
        yield _error(row, "TTFT under load" + _bound(row, first / 1e3), ttft, first / 1e3)


def _bound(row: Mapping[str, Any], first: float) -> str:
    """What else than the engine's own work a first token waited for."""
    if "waits" in row:
        return ", with waits"
    return "" if first < QUEUE_BOUND_SECONDS else ", queue-bound"


def replicas(row: Mapping[str, Any], case: Case) -> int:
    """Replicas of a run on more devices than one replica takes."""
    return int(row.get("devices", case.parallel.devices)) // case.parallel.devices


def _token_time(row: Mapping[str, Any], ttft: float, tpot: float, output: float) -> tuple[float, float]:
    """Estimated and measured time per generated token of one sequence, in the terms of the row."""
    measured, batch = row["measured"], float(row.get("batch", 1))
    end_to_end = (ttft + (output - 1) * tpot) / output
    if "e2e_s" in measured:
        return end_to_end, measured["e2e_s"] / output
    if "output_tok_s" in measured:
        return end_to_end, batch / measured["output_tok_s"]
    return tpot, measured.get("tpot_ms", measured.get("itl_ms", 0.0)) / 1e3


def _group(row: Mapping[str, Any]) -> str:
    return f"{row['engine']} {row['model']} {row['hardware']}"


def _error(row: Mapping[str, Any], quantity: str, estimate: float, measured: float) -> ErrorRow:
    error = estimate / measured - 1
    return ErrorRow(quantity, row["id"], _group(row), row["role"], estimate, measured, error, row.get("cause", ""),
                    engine=row["engine"], hardware=row["hardware"])  # fmt: skip
