"""llama.cpp's own matrix products, fitted end to end: no table of their times is published.

``python -m llmsizer.authoring.fit.llama_cpp DATE`` writes ``calibrations/llama_cpp.yaml`` from the rows marked
``fit`` in ``measurements/llama_cpp_speed.yaml``, those that are not compared among them, and the engine's
lines of ``spread.yaml``; ``engines.yaml`` repeats the times per layer. A prompt sets the share of the peak
that a kernel reaches, generation the share of the bandwidth; architectures and backends share factors.
"""

from __future__ import annotations

import importlib
import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

from llmsizer.authoring.fit.spread import interval
from llmsizer.authoring.measure.timing import round_significant
from llmsizer.catalog.calibrations import calibration_by
from llmsizer.catalog.catalog import Catalog, load_catalog
from llmsizer.catalog.engines import version_key
from llmsizer.catalog.package_data import DATA
from llmsizer.core.explain import plain
from llmsizer.core.files import write_whole
from llmsizer.question.resolve import resolve
from llmsizer.schema.calibration import Calibration
from llmsizer.schema.deployment import Case
from llmsizer.sizing.memory import MemoryEstimate, memory_estimate
from llmsizer.sizing.speed import steady_state
from llmsizer.sizing.step_time import StepClock
from llmsizer.validation.local_rows import local_row_errors, questions
from llmsizer.validation.measurements import measured_rows
from llmsizer.validation.speed_rows import Answer

FILE, SPREAD = "calibrations/llama_cpp.yaml", "calibrations/spread.yaml"
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


# What no row tells: products without tiles to fill, of which the smaller of compute and memory time is hidden.
_TILES = {"pad_columns": 0.0, "wave_elements": 0.0, "activation_traffic": 1.0, "overlap": 0.05}
REST: Mapping[str, Mapping[str, float]] = {
    "matmul": {"seconds_per_depth": 0.0, "prologue_depth": 0.0, **_TILES},
    "experts": {"routing_seconds": 0.0, "routing_assignments": 1.0, **_TILES},
    "attention_decode": {"item_seconds": 0.0, "pad_keys": 0.0, "tail_keys": 0.0, "splits": 64.0, "overlap": 0.05},
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Kernel:
    """One curve: where it holds, and the names (or values) of the factors whose products are its fractions.
    ``expanding``: rows that take as much arithmetic as unpacking the weights."""

    family: str
    format: str | None
    compute: tuple[str | float, ...]
    memory: str
    launch: str | float = 1e-6
    vendor: str | None = None
    architecture: str | None = None
    expanding: str | float = 0.0


def _products(formats: Sequence[str], compute: tuple[str | float, ...], memory: str, *place: Any) -> Iterator[Kernel]:
    """Dense products and those of routed experts, which keep a further share of it."""
    for name in formats:
        yield Kernel("matmul", name, compute, memory, *place)
        yield Kernel("experts", name, (*compute, "experts"), memory, *place)


def _cuda(
    architecture: str | None, slower: tuple[str, ...], per_core: tuple[str | float, ...], memory: str
) -> Iterator[Kernel]:
    """The kernels of the CUDA backend on one architecture. Products of cuBLAS reach a share of the matrix units' peak;
    the engine's own ones are bound by the conversions of their partial sums, whose rate per core and clock is the same
    whatever the width of the matrix units."""
    place = (1e-6, None if architecture else "NVIDIA", architecture)
    yield from _products(["gguf/cublas-2023"], ("expanded_2023", *slower), f"quantized_{memory}", *place)
    yield from _products(["gguf/cublas"], ("expanded", *slower), f"quantized_{memory}", *place)
    yield from _products(["gguf"], ("own", *per_core), f"quantized_{memory}", *place)
    yield from _products(["bf16/cublas-2023"], ("wide_2023", *slower), f"wide_{memory}", *place)
    yield from _products(["bf16"], ("wide", *slower), f"wide_{memory}", *place)


def _kernels() -> Iterator[Kernel]:
    yield from _products(["gguf"], ("own",), "quantized_narrow")
    yield from _products(["bf16"], ("wide",), "wide_narrow")
    for architecture in (None, "ampere_ga10x", "ampere_ga10x_half", "ada_half"):
        yield from _cuda(architecture, (), (), "narrow")
    yield from _cuda("ada", ("ada",), ("ada",), "narrow")
    yield from _cuda("ampere_ga100", ("ampere_ga100",), (1 / 2,), "broad")
    yield from _cuda("hopper", ("hopper",), (1 / 4,), "broad")
    apple = ("metal_launch", "Apple", None)
    yield from _products(["gguf/metal"], ("metal_quantized",), "metal_memory", *apple, "metal_expanding")
    yield from _products(["bf16/metal"], ("metal_wide",), "metal_memory", *apple)
    for name in ("rocblas", "hipblaslt", "hip", "vulkan-2025", "vulkan"):
        memory = "vulkan_memory" if name.startswith("vulkan") else "hip_memory"
        yield from _products([f"gguf/{name}"], (f"rdna3_5_{name}",), memory, 1e-6, None, "rdna3_5")
    yield Kernel("attention_decode", "bf16", (0.3,), "cache_memory")
    yield Kernel("attention_decode", "bf16", (0.3,), "cache_memory_apple", 1e-6, "Apple")
    yield Kernel("attention_decode", "bf16", (0.3,), "cache_memory_rdna3_5", 1e-6, None, "rdna3_5")


KERNELS = tuple(_kernels())
# Shares of peak and bandwidth, and times in seconds: where the search begins, and its limits.
FRACTION, TIME, ROWS = (0.5, 0.02, 0.98), (2e-5, 1e-6, 3e-4), (4.0, 0.1, 30.0)


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """A question of a measured row, resolved, with everything that no factor changes."""

    row: Mapping[str, Any]
    case: Case
    memory: MemoryEstimate


def names() -> list[str]:
    """The factors to fit."""
    found: dict[str, None] = {"layer_seconds_until": None, "layer_seconds": None}
    for kernel in KERNELS:
        words = (*kernel.compute, kernel.memory, kernel.launch, kernel.expanding)
        found |= {word: None for word in words if isinstance(word, str)}
    return list(found)


def asked(rows: Sequence[Mapping[str, Any]], catalog: Catalog) -> list[Asked]:
    """The questions of all rows whose model the device holds."""
    found = []
    for row in rows:
        for words in questions(row):
            case = resolve(words, catalog).case
            memory = memory_estimate(case)
            if memory.fits:
                found.append(Asked(row, case, memory))
    return found


def curves(values: Mapping[str, float]) -> list[dict[str, Any]]:
    """The curves that some factors make."""

    def number(word: str | float) -> float:
        return values[word] if isinstance(word, str) else word

    return [
        {
            "family": kernel.family, "own_kernels": True, "vendor": kernel.vendor, "architecture": kernel.architecture,
            "device": None, "format": kernel.format, "backend": "llama.cpp", "peak_of": "fp16_acc16",
            "parameters": {
                "launch_seconds": number(kernel.launch), "compute_fraction": math.prod(map(number, kernel.compute)),
                "memory_fraction": number(kernel.memory), "pad_rows": number(kernel.expanding), **REST[kernel.family],
            },
        }
        for kernel in KERNELS
    ]  # fmt: skip


def logarithms(asked: Sequence[Asked], values: Mapping[str, float]) -> list[float]:
    """ln(estimate / measured) of every question."""
    made = curves(values)
    return [error for each in asked for error in _errors(each, values, made)[0]]


def _errors(each: Asked, values: Mapping[str, float], made: Sequence[Mapping[str, Any]]) -> tuple[list[float], Calibration]:
    """ln(estimate / measured) of a question, and the curves that answered it."""
    old = version_key(each.case.engine.version) < version_key(GRAPHS_FROM)
    engine = replace(each.case.engine, layer_seconds=values["layer_seconds_until" if old else "layer_seconds"])
    calibration = calibration_by({"llama_cpp": {"curves": made}}, each.case.accelerator, engine.id)
    case = replace(each.case, engine=engine, calibration=calibration)
    steady = steady_state(case, each.memory, StepClock(case))
    answer = Answer(float(plain(steady.ttft_seconds)), float(plain(steady.tpot_seconds)), 1.0)
    return [math.log(error.estimate / error.measured) for error in local_row_errors(each.row, case, answer)], calibration


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


def left_out(asked: Sequence[Asked], values: Mapping[str, float], group: Callable[[Asked], Any]) -> list[tuple[str, float]]:
    """ln(measured / estimate) of every compared question, by quantity, with factors fitted without its group."""
    found = []
    for name in dict.fromkeys(map(group, asked)):
        others = fit([each for each in asked if group(each) != name], values, most_evaluations=4)
        found += [(each, error) for each in asked if group(each) == name for error in logarithms([each], others)]
    return [("ttft" if plain(each.case.workload.output_tokens) == 1 else "tpot", -error) for each, error in found]


def spread_lines(asked: Sequence[Asked], values: Mapping[str, float]) -> list[str]:
    """The engine's lines of ``calibrations/spread.yaml``: without a model on a device, without a device."""
    groups = {
        "measured": lambda each: (each.row["model"], each.row["hardware"]),
        "extrapolated": lambda each: each.row["hardware"],
    }
    lines = []
    for tier, group in groups.items():
        errors = left_out(asked, values, group)
        for quantity in ("tpot", "ttft"):
            own = [error for name, error in errors if name == quantity]
            low, high = interval(own)
            row = {"quantity": quantity, "engine": "llama.cpp", "tier": tier, "low": low, "high": high, "n": len(own)}
            lines.append(f"  - {_flow(row)}")
    return lines


def calibration_text(asked: Sequence[Asked], values: Mapping[str, float], date: str) -> str:
    """The calibration file."""
    title = "fit to rows marked fit in measurements/llama_cpp_speed.yaml"
    lines = [*HEADING.splitlines(), "family: llama_cpp", "sources:", f'  - {{title: "{title}", date: {date}}}', f"date: {date}"]
    lines += ["factors:", *(f"  {name}: {_flow(values[name])}" for name in names()), "curves:"]
    for curve, (errors, devices) in zip(curves(values), _told(asked, values), strict=True):
        parameters = {name: round_significant(number, 4) for name, number in curve.pop("parameters").items()}
        row = {**curve, "parameters": parameters, "rows": len(errors), "devices": devices}
        if errors:
            row["error"] = {"median": round(median(map(abs, errors)), 3)}
        lines.append(f"  - {_flow(row)}")
    return "\n".join(lines) + "\n"


def _told(asked: Sequence[Asked], values: Mapping[str, float]) -> list[tuple[list[float], list[str]]]:
    """For each curve the errors of the questions that it answers, and their devices."""
    made = curves(values)
    found: list[tuple[list[float], dict[str, None]]] = [([], {}) for _ in made]
    places = {id(curve["parameters"]): place for place, curve in enumerate(made)}
    for each in asked:
        errors, calibration = _errors(each, values, made)
        for curve in calibration.used():
            if (place := places.get(id(curve.parameters))) is not None:
                found[place][0].extend(errors)
                found[place][1][each.case.accelerator.id] = None
    return [(errors, list(devices)) for errors, devices in found]


def _flow(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{name}: {_flow(item)}" for name, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_flow, value)) + "]"
    if isinstance(value, float):
        text = f"{value:g}"
        return text.replace("e", ".0e") if "e" in text and "." not in text else text  # else YAML reads a word
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _limits(name: str) -> tuple[float, float, float]:
    """Where the search for a factor begins, and how far it goes."""
    if name.endswith("expanding"):
        return ROWS
    return TIME if name.endswith("launch") or name.startswith("layer_seconds") else FRACTION


def main(date: str) -> None:
    """Writes the file anew, and the engine's lines of ``spread.yaml``."""
    rows = [row for row in measured_rows("llama_cpp_speed.yaml") if row["role"] == "fit"]
    all_asked = asked(rows, load_catalog())
    values = fit(all_asked)
    write_whole(str(DATA / FILE), calibration_text(all_asked, values, date))
    kept = [line for line in (DATA / SPREAD).read_text().splitlines() if "engine: llama.cpp" not in line]
    write_whole(str(DATA / SPREAD), "\n".join([*kept, *spread_lines(all_asked, values)]) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
