"""Errors with a device or a model left out of every fit, as tables."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from llmsizer.report.tables import Table, as_markdown
from llmsizer.validation.left_out import TPOT, document, is_current, left_out_errors, worst_rows
from llmsizer.validation.statistics import ErrorRow, Summary, summary

QUANTITIES = {"TPOT": TPOT, "TTFT": ("TTFT under load",), "throughput": ("throughput at maximum load",)}
HEADERS = ["left out", "quantity", "n", "median", "90th", "bias"]
ALL = "all"

INTRODUCTION = """Users mostly ask about combinations that nobody has measured. Here every measured row is estimated
as if its device, or its model, had never been seen. *Device*: the kernel curves are fitted again without it, so that
those of its class take their place, and so are the engines' figures without its rows. *Model*: the engines' figures
are fitted again without its rows (no kernel curve knows a model). All rows of what is left out count, *fit* and
*validate* alike. TPOT: time per token under load, of small batches and of static batches. Relatives stay in: the 40
GB A100 when the 80 GB one is left out, Llama 3.1 8B when Llama 3 8B is. Curves of fabrics and of llama.cpp stay too.
Computed by `python -m llmsizer.authoring.fit.cross_validation`, which needs the kernel tables.
"""


def left_out_table(kind: str, names: bool = True) -> Table:
    """The errors with each device (or model) left out: of all rows, the middle of the groups' figures, and with
    ``names`` lines for each."""
    errors = left_out_errors(kind)
    groups = [[error for error in errors if error.group == name] for name in sorted({error.group for error in errors})]
    rows = [*_lines(ALL, errors), *_middle_lines(f"middle {kind}", groups)]
    rows += [line for group in groups for line in _lines(group[0].group, group)] if names else []
    title = f"Leave one {kind} out: errors in % ({document()['date']}{'' if is_current() else ', with earlier curves'})"
    return Table(title, HEADERS, rows, right=(2, 3, 4, 5))


def _summaries(errors: Sequence[ErrorRow]) -> dict[str, Summary]:
    """By quantity, where there are rows of it."""
    own = {name: [error for error in errors if error.quantity in quantities] for name, quantities in QUANTITIES.items()}
    return {name: summary(rows, worst=1) for name, rows in own.items() if rows}


def _lines(what: str, errors: Sequence[ErrorRow]) -> list[list[str]]:
    found = _summaries(errors)
    return [[what, name, str(s.count), *_percents(s.median, s.percentile_90, s.bias)] for name, s in found.items()]


def _middle_lines(what: str, groups: Sequence[Sequence[ErrorRow]]) -> list[list[str]]:
    """The median of the groups' figures, for each quantity."""
    found, lines = [_summaries(group) for group in groups], []
    for name in QUANTITIES:
        own = [each[name] for each in found if name in each]
        middle = (median(getattr(s, figure) for s in own) for figure in ("median", "percentile_90", "bias"))
        lines.append([what, name, str(len(own)), *_percents(*middle)])
    return lines


def _percents(middle: float, tail: float, bias: float) -> list[str]:
    return [f"{100 * middle:.1f}", f"{100 * tail:.1f}", f"{100 * bias:+.1f}"]


def worst_left_out_table(kind: str, count: int) -> Table:
    """The rows that stand worst with their device (or model) left out."""
    rows = [[name, quantity, row, f"{100 * error:+.0f}"] for name, quantity, row, error in worst_rows(kind)[:count]]
    return Table(f"Worst rows with their {kind} left out", [kind, "quantity", "row", "error %"], rows, right=(3,))


def left_out_parts(worst: int = 10) -> list[str]:
    """The section of the page of the documentation."""
    parts = ["## Devices and models never seen", INTRODUCTION]
    for kind in ("device", "model"):
        parts += [as_markdown(left_out_table(kind)), as_markdown(worst_left_out_table(kind, worst))]
    return parts
