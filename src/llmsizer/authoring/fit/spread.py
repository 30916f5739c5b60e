"""Widths of the intervals: how far estimates of rows lie from measurements when their own group is left out.

``python -m llmsizer.authoring.fit.spread`` writes ``calibrations/spread.yaml``; it takes some minutes.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from llmsizer.authoring.fit.engines import FEWEST_ROWS, FitRow, by_regime, logarithms, prepared, refitted
from llmsizer.catalog.calibrations import calibration_of
from llmsizer.catalog.catalog import load_catalog
from llmsizer.catalog.package_data import package_file
from llmsizer.core.files import write_whole
from llmsizer.validation.measurements import measured_rows

QUANTITIES = {
    "TPOT under load": "tpot", "latency of a batch of 1 to 8": "tpot", "throughput of a static batch": "tpot",
    "TTFT under load": "ttft", "throughput at maximum load": "throughput",
}  # fmt: skip
# Its lines are written by llama_cpp_spread.
LLAMA_CPP = "llama.cpp"
SHORT = ("tpot", "ttft", "throughput")
# Fewer comparisons or groups than this give an engine no widths of its own.
FEWEST_COMPARISONS, FEWEST_GROUPS = 20, 4
# What kernels of a device left out of the fit show (device_left_out of the curves), added in quadrature.
ELSEWHERE = 0.25
HEADING = """# Widths of the 80 % intervals: 10th and 90th percentile of ln(measured / estimate) over rows marked
# fit in measurements/speed.yaml, each with engine figures fitted without its own model and device, and
# widened about their median, as the prediction of one more group from so few groups (models on devices) is.
# tier extrapolated: the same rows estimated with the curves fitted over all devices, widened by {elsewhere} in
# quadrature, the error that kernels of a device left out of the fit show (device_left_out of the curves).
# llama.cpp: written by `python -m llmsizer.authoring.fit.llama_cpp_spread` from rows marked fit in llama_cpp_speed.yaml
# and speed.yaml; measured: without a model on a device; extrapolated: without a device and the curves that only it tells.
# What holds four fifths of the errors either way, every device counting the same.
#
# Written by llmsizer.authoring.fit.spread; do not edit by hand.
family: spread
date: {today}
sources:
  - {{title: "grouped cross-validation over rows marked fit in measurements/speed.yaml", date: {today}}}
rows:
"""

Group = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Residual:
    """ln(measured / estimate) of one comparison, with the group it belongs to: engine, model and device."""

    quantity: str
    group: Group
    log: float


def group_of(row: FitRow) -> Group:
    """What cross-validation leaves out at a time: an engine's runs of a model on a device."""
    return row.row["engine"], row.row["model"], row.row["hardware"]


def left_out(rows: Sequence[FitRow]) -> list[Residual]:
    """Every comparison of rows of one regime, with engine figures fitted without its group.

    A quantity that no other group measured is left out: nothing was fitted to it.
    """
    found: list[Residual] = []
    for group in sorted({group_of(row) for row in rows}):
        others = [row for row in rows if group_of(row) != group]
        if len(others) < FEWEST_ROWS:
            continue
        figures = refitted(others, tuple(QUANTITIES))
        told = {each.quantity for each in residuals(others, figures)}
        own = residuals([row for row in rows if group_of(row) == group], figures)
        found += [each for each in own if each.quantity in told]
    return found


def residuals(rows: Sequence[FitRow], figures: Mapping[str, float]) -> list[Residual]:
    """Every comparison of some rows under some figures."""
    return [
        Residual(QUANTITIES[name], group_of(row), -log)
        for row in rows
        for name, log in logarithms(row, figures).items()
        if name in QUANTITIES
    ]


def elsewhere(row: FitRow) -> FitRow:
    """The row as if no device of its architecture had ever been measured."""
    device = replace(row.case.accelerator, id="unmeasured", architecture="unmeasured", vendor="unmeasured")
    calibration = calibration_of("auto", device, "any")
    return replace(row, case=replace(row.case, calibration=calibration))


def interval(logs: Sequence[float], rounded: Callable[[float], float] = lambda number: round(number, 3)) -> tuple[float, float]:
    """The 10th and 90th percentile, holding zero: the estimate lies in its own interval."""
    import numpy as np

    low, high = np.percentile(np.array(logs), [10, 90]).tolist()
    return rounded(min(low, -0.02)), rounded(max(high, 0.02))


def few_groups(groups: int) -> float:
    """How much wider an 80 % interval is for one more group when it rests on so few: Student's instead of the normal
    quantile, and the uncertainty of the middle itself (prediction interval of a sample, any text on statistics)."""
    stats = importlib.import_module("scipy.stats")
    degrees = max(groups - 1, 1)
    return float(stats.t.ppf(0.9, degrees) / stats.norm.ppf(0.9) * (1.0 + 1.0 / groups) ** 0.5)


def predicted(found: Sequence[Residual]) -> tuple[float, float]:
    """The interval of some residuals, widened about their median for their number of groups."""
    import numpy as np

    logs = np.array([each.log for each in found])
    middle = float(np.median(logs))
    wider = few_groups(len({each.group for each in found}))
    return interval((middle + (logs - middle) * wider).tolist())


def spread_rows(found: Sequence[Residual]) -> list[dict[str, Any]]:
    """Rows of ``spread.yaml`` of devices with curves: for each quantity one by engine, one pooled over engines."""
    rows = []
    for quantity in SHORT:
        pooled = [each for each in found if each.quantity == quantity]
        for engine in dict.fromkeys(each.group[0] for each in pooled):
            own = [each for each in pooled if each.group[0] == engine]
            enough = len(own) >= FEWEST_COMPARISONS and len({each.group for each in own}) >= FEWEST_GROUPS
            rows += [_row(quantity, engine, "measured", own)] if enough else []
        rows += [_row(quantity, None, "measured", pooled)] if pooled else []
    return rows


def elsewhere_rows(found: Sequence[Residual]) -> list[dict[str, Any]]:
    """Rows of ``spread.yaml`` of devices without curves of their own, from residuals under the generic curves."""
    rows = []
    for quantity in SHORT:
        own = [each for each in found if each.quantity == quantity]
        row = _row(quantity, None, "extrapolated", own)
        low, high = (round((row[end] ** 2 + ELSEWHERE**2) ** 0.5, 3) for end in ("low", "high"))
        rows.append({**row, "low": -low, "high": high})
    return rows


def _row(quantity: str, engine: str | None, tier: str, found: Sequence[Residual]) -> dict[str, Any]:
    low, high = predicted(found)
    groups = len({each.group for each in found})
    return {"quantity": quantity, "engine": engine, "tier": tier, "low": low, "high": high, "n": len(found), "groups": groups}


def text_of(rows: Iterable[Mapping[str, Any]], today: date) -> str:
    """The file."""
    lines = [
        ", ".join(f"{name}: {'null' if value is None else value}" for name, value in row.items()) for row in rows
    ]  # fmt: skip
    return HEADING.format(today=today, elsewhere=ELSEWHERE) + "".join(f"  - {{{line}}}\n" for line in lines)


def main(arguments: Sequence[str]) -> int:
    """Writes the file from the rows marked fit."""
    if arguments:
        sys.stderr.write("usage: python -m llmsizer.authoring.fit.spread\n")
        return 2
    rows = fit_rows()
    with ProcessPoolExecutor(2) as pool:
        left = [each for part in pool.map(_left_out_of, range(len(by_regime(rows)))) for each in part]
    engines = {each.group[0] for each in left}
    unseen = residuals([elsewhere(row) for row in rows if row.row["engine"] in engines], {})
    file = package_file("calibrations/spread.yaml")
    others = [line for line in file.read_text().splitlines() if f"engine: {LLAMA_CPP}," in line]
    text = text_of([*spread_rows(left), *elsewhere_rows(unseen)], date.today())
    write_whole(str(file), text + "".join(f"{line}\n" for line in others))
    return 0


def fit_rows() -> list[FitRow]:
    """The rows that set figures."""
    rows = (row for row in measured_rows("speed.yaml") if row["engine"] != LLAMA_CPP)
    return prepared([row for row in rows if row["role"] == "fit"], load_catalog())


def _left_out_of(number: int) -> list[Residual]:
    part = by_regime(fit_rows())[number]
    sys.stderr.write(f"{part[0].case.engine.id} {part[0].case.engine.version}: {len(part)} rows\n")
    return left_out(part)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
