"""llama.cpp's own matrix products, fitted end to end: no table of their times is published.

``python -m llmsizer.authoring.fit.llama_cpp`` writes ``calibrations/llama_cpp.yaml`` from the rows marked
``fit`` in ``measurements/llama_cpp_speed.yaml`` (those that are not compared among them) and ``speed.yaml``;
``engines.yaml`` repeats the times per layer. A prompt sets the share of the peak that a kernel reaches,
generation the share of the bandwidth; architectures and backends share factors.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from statistics import median
from typing import Any

from llmsizer.authoring.fit.llama_cpp_kernels import KERNELS
from llmsizer.authoring.measure.timing import round_significant
from llmsizer.catalog.calibrations import calibration_by
from llmsizer.catalog.catalog import Catalog, load_catalog
from llmsizer.catalog.engines import version_key
from llmsizer.catalog.package_data import DATA
from llmsizer.core.explain import plain
from llmsizer.core.files import write_whole
from llmsizer.question.resolve import resolve
from llmsizer.schema.deployment import Case
from llmsizer.sizing.memory import MemoryEstimate, memory_estimate
from llmsizer.sizing.speed import steady_state
from llmsizer.sizing.step_time import StepClock
from llmsizer.validation.local_rows import local_row_errors, questions
from llmsizer.validation.measurements import measured_rows
from llmsizer.validation.speed_rows import Answer, row_errors, words_of

FILE = "calibrations/llama_cpp.yaml"
HEADING = """# llama.cpp's own products and reading of the cache by architecture, backend and version.
#
# Written by `python -m llmsizer.authoring.fit.llama_cpp`; do not edit by hand.
#
# Fitted end to end: prompts set the shares of the peak, generation those of the bandwidth. An architecture's share is a
# product of factors that it has in common with others (factors; times in seconds). Of the engine's own quantized
# kernels A100 and H100 reach a half and a quarter of the share: their matrix units are two and four times as wide per
# core, while partial sums are converted at the same rate per core and clock.
# Which format names which backend and version: engines.yaml, product_kernels.
# gguf/cublas, gguf/rocblas, gguf/hipblaslt: weights are expanded to 16 bit before a library multiplies them.
# pad_rows of gguf/metal: unpacking a weight takes as much arithmetic as so many rows.
# rows: questions of fitted rows that the curve answers; error: median of |ln(estimate / measured)| over them.
"""
# From here on generation runs as a captured graph (engines.yaml, layer_seconds).
GRAPHS_FROM = "b2812"


# Shares of peak and bandwidth, times in seconds, rows: where the search begins, and its limits.
FRACTION, TIME, ROWS = (0.5, 0.02, 0.98), (2e-5, 1e-6, 1e-3), (4.0, 0.1, 30.0)


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """A question of a measured row, resolved, with everything that no factor changes."""

    row: Mapping[str, Any]
    case: Case
    memory: MemoryEstimate


def names() -> list[str]:
    """The factors to fit."""
    words = ["layer_seconds_until", "layer_seconds", *(word for kernel in KERNELS for word in kernel.factors())]
    return list(dict.fromkeys(words))


def asked(rows: Sequence[Mapping[str, Any]], catalog: Catalog) -> list[Asked]:
    """The questions of all rows whose model the device holds."""
    found = []
    for row in rows:
        for words in [words_of(row, catalog)] if "kind" in row else questions(row):
            case = resolve(words, catalog).case
            memory = memory_estimate(case)
            if memory.fits:
                found.append(Asked(row, case, memory))
    return found


def fit_rows() -> list[Mapping[str, Any]]:
    """The rows of the engine that may set something."""
    several = [row for row in measured_rows("speed.yaml") if row["engine"] == "llama.cpp"]
    return [row for row in (*measured_rows("llama_cpp_speed.yaml"), *several) if row["role"] == "fit"]


def curves(values: Mapping[str, float]) -> list[dict[str, Any]]:
    """The curves that some factors make."""
    return [kernel.curve(values) for kernel in KERNELS]


def logarithms(asked: Sequence[Asked], values: Mapping[str, float]) -> list[float]:
    """ln(estimate / measured) of every question."""
    made = curves(values)
    return [error for each in asked for error in answered(each, values, made)[0]]


def answered(
    each: Asked, values: Mapping[str, float], made: Sequence[Mapping[str, Any]]
) -> tuple[list[float], list[Mapping[str, Any]]]:
    """ln(estimate / measured) of a question, and those of some curves that answered it."""
    old = version_key(each.case.engine.version) < version_key(GRAPHS_FROM)
    engine = replace(each.case.engine, layer_seconds=values["layer_seconds_until" if old else "layer_seconds"])
    calibration = calibration_by({"llama_cpp": {"curves": made}}, each.case.accelerator, engine.id)
    case = replace(each.case, engine=engine, calibration=calibration)
    steady = steady_state(case, each.memory, StepClock(case))
    answer = Answer(float(plain(steady.ttft_seconds)), float(plain(steady.tpot_seconds)), 1.0)
    used = {id(line) for curve in calibration.used() for line in curve.line}
    errors = (row_errors if "kind" in each.row else local_row_errors)(each.row, case, answer)
    logs = [math.log(error.estimate / error.measured) for error in errors]
    return logs, [curve for curve in made if id(curve) in used]


def fit(
    asked: Sequence[Asked],
    begin: Mapping[str, float] | None = None,
    free: Sequence[str] | None = None,
    most_evaluations: int = 30,
) -> dict[str, float]:
    """The factors that bring the estimates closest to the measurements, searched from ``begin`` on; those not ``free``
    stay there."""
    import numpy as np

    optimize = importlib.import_module("scipy.optimize")
    sought = list(free if free is not None else names())
    kept = begin or {name: _limits(name)[0] for name in names()}
    start, low, high = np.log([_limits(name) for name in sought]).T
    first = np.clip(np.log([kept[name] for name in sought]), low, high)

    def residual(logs: Any) -> Any:
        values = {**kept, **dict(zip(sought, np.exp(logs).tolist(), strict=True))}
        # Factors that no row tells stay where they are.
        return np.array([*logarithms(asked, values), *(0.02 * (logs - start))])

    found = optimize.least_squares(residual, first, bounds=(low, high), loss="soft_l1", f_scale=0.1,
                                   max_nfev=most_evaluations, diff_step=0.05)  # fmt: skip
    return {**kept, **{name: round_significant(value, 3) for name, value in zip(sought, np.exp(found.x).tolist(), strict=True)}}


def calibration_text(asked: Sequence[Asked], values: Mapping[str, float], today: str) -> str:
    """The calibration file."""
    title = "fit to rows marked fit in measurements/llama_cpp_speed.yaml and speed.yaml"
    source = f'  - {{title: "{title}", date: {today}}}'
    lines = [*HEADING.splitlines(), "family: llama_cpp", "sources:", source, f"date: {today}"]
    lines += ["factors:", *(f"  {name}: {flow(values[name])}" for name in names()), "curves:"]
    for curve, (errors, devices) in zip(curves(values), _told(asked, values), strict=True):
        parameters = {name: round_significant(number, 4) for name, number in curve.pop("parameters").items()}
        row = {**curve, "parameters": parameters, "rows": len(errors), "devices": devices}
        if errors:
            row["error"] = {"median": round(median(map(abs, errors)), 3)}
        lines.append(f"  - {flow(row)}")
    return "\n".join(lines) + "\n"


def _told(asked: Sequence[Asked], values: Mapping[str, float]) -> list[tuple[list[float], list[str]]]:
    """For each curve the errors of the questions that it answers, and their devices."""
    made = curves(values)
    found: dict[int, tuple[list[float], dict[str, None]]] = {id(curve): ([], {}) for curve in made}
    for each in asked:
        errors, used = answered(each, values, made)
        for curve in used:
            found[id(curve)][0].extend(errors)
            found[id(curve)][1][each.case.accelerator.id] = None
    return [(errors, list(devices)) for errors, devices in found.values()]


def flow(value: Any) -> str:
    """A value on one line of YAML."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{name}: {flow(item)}" for name, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(flow, value)) + "]"
    if isinstance(value, float):
        text = f"{value:g}"
        return text.replace("e", ".0e") if "e" in text and "." not in text else text  # else YAML reads a word
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _limits(name: str) -> tuple[float, float, float]:
    """Where the search for a factor begins, and how far it goes."""
    if name.endswith("expanding"):
        return ROWS
    return TIME if name.endswith("launch") or name.startswith(("layer_seconds", "row_split")) else FRACTION


def main() -> None:
    """Writes the file anew."""
    all_asked = asked(fit_rows(), load_catalog())
    write_whole(str(DATA / FILE), calibration_text(all_asked, fit(all_asked), date.today().isoformat()))


if __name__ == "__main__":
    main()
