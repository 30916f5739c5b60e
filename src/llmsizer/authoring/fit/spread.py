"""Widths of the intervals: how far estimates of rows lie from measurements when their own group is left out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from llmsizer.authoring.fit.engines import LIMITS, FitRow, fit_engine, logarithms
from llmsizer.catalog.calibrations import calibration_of

QUANTITIES = {
    "TPOT under load": "tpot", "latency of a batch of 1 to 8": "tpot", "throughput of a static batch": "tpot",
    "TTFT under load": "ttft", "throughput at maximum load": "throughput",
}  # fmt: skip


def group_of(row: FitRow) -> tuple[str, str]:
    """What cross-validation leaves out at a time: a model on a device."""
    return row.row["model"], row.row["hardware"]


def left_out(rows: Sequence[FitRow], names: Sequence[str] = tuple(LIMITS)) -> list[tuple[str, float]]:
    """ln(measured / estimate) of every comparison, by quantity, with engine figures fitted without its group.

    A quantity that no other group measured is left out: nothing was fitted to it.
    """
    found: list[tuple[str, float]] = []
    for group in sorted({group_of(row) for row in rows}):
        others = [row for row in rows if group_of(row) != group]
        if len(others) < len(names):
            continue
        figures = fit_engine(others, tuple(QUANTITIES), names)
        told = {name for name, _ in residuals(others, figures)}
        own = residuals([row for row in rows if group_of(row) == group], figures)
        found += [(name, log) for name, log in own if name in told]
    return found


def residuals(rows: Sequence[FitRow], figures: Mapping[str, float]) -> list[tuple[str, float]]:
    """ln(measured / estimate) of every comparison of some rows, by quantity."""
    return [(QUANTITIES[name], -log) for row in rows for name, log in logarithms(row, figures).items() if name in QUANTITIES]


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


def spread_rows(by_engine: Mapping[str, Sequence[tuple[str, float]]], tier: str) -> list[dict[str, Any]]:
    """Rows of ``spread.yaml``: one for each quantity and engine, one pooled over engines."""
    found = []
    for quantity in ("tpot", "ttft", "throughput"):
        pooled = []
        for engine, logs in by_engine.items():
            own = [log for name, log in logs if name == quantity]
            pooled += own
            if len(own) >= 20:
                found.append(_row(quantity, engine, tier, own))
        if pooled:
            found.append(_row(quantity, None, tier, pooled))
    return found


def _row(quantity: str, engine: str | None, tier: str, logs: Sequence[float]) -> dict[str, Any]:
    low, high = interval(logs)
    return {"quantity": quantity, "engine": engine, "tier": tier, "low": low, "high": high, "n": len(logs)}
