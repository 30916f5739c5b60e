"""Engine-level times fitted to end-to-end rows: what a step costs besides its kernels.

With the kernel curves held fixed, each group of rows (an engine over a range of versions) sets four
figures: small kernels per layer, host time per step and per sequence, and the front end before the
first token. Only rows marked ``fit`` take part.
"""

from __future__ import annotations

import importlib
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from llmsizer.catalog.catalog import Catalog
from llmsizer.core.errors import LlmsizerError
from llmsizer.core.explain import plain
from llmsizer.question.ask import with_concurrency
from llmsizer.question.resolve import resolve
from llmsizer.schema.deployment import Case
from llmsizer.sizing.memory import MemoryEstimate, memory_estimate
from llmsizer.sizing.speed import steady_state
from llmsizer.sizing.step_time import StepClock
from llmsizer.validation.speed_rows import Answer, is_impossible, row_errors, words_of
from llmsizer.validation.statistics import ErrorRow

# Limits of each figure in seconds; the lower ones stand for nothing at all.
LIMITS = {
    "layer_seconds": (1e-7, 3e-4),
    "routed_layer_seconds": (1e-7, 3e-4),
    "host_step_seconds": (1e-6, 3e-2),
    "host_sequence_seconds": (1e-8, 5e-4),
    "host_rank_seconds": (1e-7, 3e-3),
    "front_end": (1e-3, 1.0),
    "front_end_sequence_seconds": (1e-6, 2e-2),
    "front_end_token_seconds": (1e-8, 1e-4),
}
STARTS = {
    "layer_seconds": 5e-6, "routed_layer_seconds": 2e-5, "host_step_seconds": 1e-3, "host_sequence_seconds": 5e-6,
    "host_rank_seconds": 1e-4,
    "front_end": 0.05, "front_end_sequence_seconds": 5e-4, "front_end_token_seconds": 5e-6,
}  # fmt: skip
ROBUST_SCALE = 0.1
# Fewer rows than this of other devices or models set no figures: the published ones stay.
FEWEST_ROWS = 20
# Rows that a refit takes, evenly over models and devices, and its steps from the published figures on.
MOST_ROWS, MOST_STEPS = 72, 8


@dataclass(frozen=True, slots=True, eq=False)
class FitRow:
    """A measured row with everything that does not depend on the fitted figures."""

    row: Mapping[str, Any]
    case: Case
    memory: MemoryEstimate


def prepared(rows: Sequence[Mapping[str, Any]], catalog: Catalog) -> list[FitRow]:
    """The rows that the catalog can answer, resolved."""
    found = []
    for row in rows:
        try:
            words = words_of(row, catalog)
            case = resolve(words, catalog).case
            memory = memory_estimate(case)
            if (memory.fits or words.ignore_memory) and not is_impossible(row, catalog):
                found.append(FitRow(row, with_concurrency(case, words, memory), memory))
        except LlmsizerError:
            continue
    return found


def comparisons(fit_row: FitRow, figures: Mapping[str, Any]) -> list[ErrorRow]:
    """The comparisons of a row with its estimate under some engine figures."""
    case = replace(fit_row.case, engine=replace(fit_row.case.engine, **figures))
    steady = steady_state(case, fit_row.memory, StepClock(case))
    rate = float(plain(steady.rate)) * case.parallel.data_parallel_size * float(plain(case.workload.output_tokens))
    answer = Answer(float(plain(steady.ttft_seconds)), float(plain(steady.tpot_seconds)), rate)
    return list(row_errors(fit_row.row, case, answer))


def logarithms(fit_row: FitRow, figures: Mapping[str, Any]) -> dict[str, float]:
    """ln(estimate / measured) of each comparison of a row under some engine figures."""
    return {error.quantity: math.log(error.estimate / error.measured) for error in comparisons(fit_row, figures)}


def fit_engine(
    rows: Sequence[FitRow], quantities: Sequence[str], names: Sequence[str] = tuple(LIMITS),
    starts: Mapping[str, float] | None = None, most_evaluations: int = 25,
) -> dict[str, float]:  # fmt: skip
    """The figures that bring the estimates of some rows closest to their measurements, from ``starts`` on."""
    import numpy as np

    optimize = importlib.import_module("scipy.optimize")

    def residual(logs: Any) -> Any:
        figures = dict(zip(names, np.exp(logs).tolist(), strict=True))
        return np.array([logs for row in rows for name, logs in logarithms(row, figures).items() if name in quantities])

    limits = np.log([LIMITS[name] for name in names]).T
    begin = {**STARTS, **(starts or {})}
    start = np.clip(np.log([max(begin[name], 1e-12) for name in names]), limits[0] + 1e-6, limits[1] - 1e-6)
    found = optimize.least_squares(residual, start, bounds=(limits[0], limits[1]), loss="soft_l1", f_scale=ROBUST_SCALE,
                                   max_nfev=most_evaluations, diff_step=0.05)  # fmt: skip
    return dict(zip(names, np.exp(found.x).tolist(), strict=True))


def figures_of(row: FitRow) -> dict[str, float]:
    """The engine figures that a row is estimated with."""
    return {name: float(plain(getattr(row.case.engine, name))) for name in LIMITS}


def by_regime(rows: Iterable[FitRow]) -> list[list[FitRow]]:
    """The rows that share an engine's figures, and hence a fit."""
    found: dict[tuple[Any, ...], list[FitRow]] = defaultdict(list)
    for row in rows:
        found[row.case.engine.id, *figures_of(row).values()].append(row)
    return list(found.values())


def refitted(rows: Sequence[FitRow], quantities: Sequence[str]) -> dict[str, float]:
    """The figures of some rows of one regime, from the published ones on; those of the front end stay where no row
    was measured under load."""
    loaded = any(row.row["kind"] == "latency_under_load" for row in rows)
    names = [figure for figure in LIMITS if loaded or not figure.startswith("front")]
    return fit_engine(sampled(rows), quantities, names, figures_of(rows[0]), MOST_STEPS)


def sampled(rows: Sequence[FitRow], most: int = MOST_ROWS) -> list[FitRow]:
    """At most so many rows, evenly over models and devices."""
    ordered = sorted(rows, key=lambda row: (row.row["model"], row.row["hardware"], row.row["id"]))
    count = min(most, len(ordered))
    return [ordered[number * len(ordered) // count] for number in range(count)]
