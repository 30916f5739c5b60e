"""Errors against measurements as tables."""

from __future__ import annotations

from collections.abc import Sequence

from llmsizer.report.tables import Table
from llmsizer.validation.statistics import Summary


def summary_table(found: Sequence[Summary]) -> Table:
    """One line for each quantity and role."""
    ordered = sorted(found, key=lambda s: (s.role != "validate", s.quantity))
    rows = [[s.quantity, s.role, str(s.count), *_percent(s)] for s in ordered]
    headers = ["quantity", "role", "n", "median", "groups", "mean", "90th", "bias"]
    return Table("Errors in % (groups: median of the groups' medians)", headers, rows, right=(2, 3, 4, 5, 6, 7))


def _percent(s: Summary) -> list[str]:
    return [*(f"{100 * v:.2f}" for v in (s.median, s.macro_median, s.mean, s.percentile_90)), f"{100 * s.bias:+.2f}"]


def worst_table(found: Sequence[Summary]) -> Table:
    """The worst rows of each quantity on the rows that set no parameter."""
    rows = [
        [s.quantity, row.id, f"{row.estimate:,.5g}", f"{row.measured:,.5g}", f"{100 * row.error:+.2f}", row.cause]
        for s in found
        if s.role == "validate"
        for row in s.worst
        if abs(row.error) >= 0.0005
    ]
    return Table("Worst rows", ["quantity", "row", "estimate", "measured", "error %", "believed cause"], rows, right=(2, 3, 4))
