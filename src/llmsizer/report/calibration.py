"""Tables of a local calibration: what was fitted, and the errors before and after."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import Any

from llmsizer.core.quantities import human
from llmsizer.report.tables import Table
from llmsizer.validation.statistics import ErrorRow, percentile

# One line of errors: what it is about, and ln(estimate / measured) before, after, and by fits without the row's group.
Group = tuple[str, Sequence[float], Sequence[float], Sequence[float]]


def calibrated_tables(document: Mapping[str, Any], groups: Iterable[Group]) -> list[Table]:
    """What a fit found, and the errors before and after it."""
    tables = [_curves(document["curves"]), _figures(document["engines"]), before_after(groups)]
    return [table for table in tables if table.rows]


def before_after(groups: Iterable[Group]) -> Table:
    """Errors of the built-in calibration, of the fit, and of fits that had not seen the row's group."""
    rows = [
        [name, str(len(first)), *(text for logs in sets for text in _errors(logs))]
        for name, *sets in groups
        for first in sets[:1]
    ]
    headers = ["measured", "n", "before: median", "90th", "after: median", "90th", "left out: median", "90th"]
    return Table("Errors in %", headers, rows, right=tuple(range(1, len(headers))))


def _errors(logs: Sequence[float]) -> tuple[str, str]:
    sizes = [abs(math.exp(log) - 1) for log in logs]
    return (f"{100 * median(sizes):.1f}", f"{100 * percentile(sizes, 0.9):.1f}") if sizes else ("", "")


def _curves(curves: Sequence[Mapping[str, Any]]) -> Table:
    rows = []
    for curve in curves:
        left_out = curve.get("shapes_left_out") or {}
        error = f"{100 * left_out['median']:.0f} / {100 * left_out['p90']:.0f}" if left_out else ""
        rows.append([curve["family"].replace("_", " "), curve["format"], curve["device"], str(curve["rows"]), error])
    return Table("Curves", ["kernels", "format", "device", "rows", "shapes left out: median / 90th %"], rows, right=(3, 4))


def _figures(engines: Sequence[Mapping[str, Any]]) -> Table:
    rows = [
        [row["engine"], row["device"], name.replace("_", " "), human(float(value), "second")]
        for row in engines
        for name, value in row.items()
        if name not in {"engine", "device"}
    ]
    return Table("Engine figures", ["engine", "device", "figure", "value"], rows, right=(3,))


def compared_errors(before: Sequence[ErrorRow], after: Sequence[ErrorRow]) -> Table:
    """The errors of the same rows under two calibrations, by quantity."""
    rows = []
    for quantity in dict.fromkeys(row.quantity for row in before):
        sets = [[row for row in each if row.quantity == quantity] for each in (before, after)]
        shown = [
            text for each in sets for text in (*_errors([math.log(row.estimate / row.measured) for row in each]), _inside(each))
        ]
        rows.append([quantity, str(len(sets[0])), *shown])
    headers = ["quantity", "n", "before: median", "90th", "inside", "after: median", "90th", "inside"]
    return Table("Errors in %", headers, rows, right=tuple(range(1, len(headers))))


def _inside(rows: Sequence[ErrorRow]) -> str:
    told = [row.inside for row in rows if row.inside is not None]
    return f"{100 * sum(told) / len(told):.0f}" if told else ""
