"""Errors against measurements as tables, and as the page of the documentation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from llmsizer.catalog.calibrations import FAMILIES
from llmsizer.catalog.package_data import package_data
from llmsizer.report.calibration import compared_errors
from llmsizer.report.left_out import left_out_parts, left_out_table
from llmsizer.report.tables import Table, as_markdown
from llmsizer.validation.benchmark_runs import RunComparison
from llmsizer.validation.causes import LARGE, causes
from llmsizer.validation.headlines import Headline, headlines
from llmsizer.validation.left_out import KINDS
from llmsizer.validation.ranking import Ranking
from llmsizer.validation.regimes import FEWEST_ROWS, LEAST_INSIDE, Regime, phase_of
from llmsizer.validation.run import Validation
from llmsizer.validation.run_rows import BeforeAfter
from llmsizer.validation.statistics import ErrorRow, Summary, summaries, summary

HEADERS = ["quantity", "role", "n", "median", "groups", "mean", "90th", "bias", "inside"]


def summary_table(found: Sequence[Summary], title: str = "Errors in % (groups: median of the groups' medians)") -> Table:
    """One line for each quantity and role."""
    ordered = sorted(found, key=lambda s: (s.role != "validate", s.quantity))
    rows = [[s.quantity, s.role, str(s.count), *_percent(s)] for s in ordered]
    return Table(title, HEADERS, rows, right=(2, 3, 4, 5, 6, 7, 8))


def _percent(s: Summary) -> list[str]:
    inside = "" if s.coverage is None else f"{100 * s.coverage:.0f}"
    sizes = (s.median, s.macro_median, s.mean, s.percentile_90)
    return [*(f"{100 * v:.2f}" if v < 0.1 else f"{100 * v:.1f}" for v in sizes), f"{100 * s.bias:+.1f}", inside]


def validation_tables(found: Validation, worst: int = 3) -> list[Table]:
    """Errors of each quantity and regime; kernel curves, what was left out and the order of deployments where speed is
    in it; and the worst rows."""
    short = found.summaries(worst)
    speed = [] if found.ranking is None else [
        kernel_table(), *(left_out_table(kind, names=worst > 0) for kind in KINDS), ranking_table(found.ranking, worst),
    ]  # fmt: skip
    return [summary_table(short), regime_table(found.regimes), *speed, *([worst_table(short)] if worst else [])]


REGIME_HEADERS = ["phase", "quantity", "engine", "class of device", "n", "median", "90th", "bias", "inside", ""]


def regime_table(found: Sequence[Regime]) -> Table:
    """Errors of the rows that set no parameter by phase, quantity, engine and class of device; intervals that hold
    too few measurements are marked."""
    rows = []
    for each in found:
        percents = _percent(each.summary)
        mark = "too narrow" if each.is_narrow else ""
        place = [each.phase, each.quantity, each.engine, each.device_class, str(each.summary.count)]
        rows.append([*place, *(percents[i] for i in (0, 3, 4, 5)), mark])
    title = f"Errors in % by regime (too narrow: fewer than {100 * LEAST_INSIDE:.0f} % inside, of {FEWEST_ROWS} rows or more)"
    return Table(title, REGIME_HEADERS, rows, right=(4, 5, 6, 7, 8))


def headline_table(found: Sequence[Headline]) -> Table:
    """The few figures that say how far estimates may be trusted."""
    rows = []
    for each in found:
        percents = _percent(each.summary)
        sizes = ["", ""] if each.is_mixed else [percents[0], percents[3]]
        rows.append([each.title, str(each.summary.count), *sizes, percents[5]])
    headers = ["figure", "runs", "median error %", "9 of 10 within %", "in the 80 % interval %"]
    return Table("Estimates against runs that set no parameter", headers, rows, right=(1, 2, 3, 4))


def regime_worst_table(found: Sequence[Regime]) -> Table:
    """The worst rows of each regime with their believed cause."""
    rows = [
        [each.quantity, f"{each.engine}, {each.device_class}", row.id, f"{100 * row.error:+.2f}", row.cause]
        for each in found
        for row in each.summary.worst
        if abs(row.error) >= LARGE
    ]
    return Table("Worst rows by regime", ["quantity", "engine, class of device", "row", "error %", "believed cause"], rows,
                 right=(3,))  # fmt: skip


def cause_table(errors: Sequence[ErrorRow]) -> Table:
    """How many large errors each believed cause explains, and how many have none."""
    large = [error for error in errors if error.role == "validate" and abs(error.error) >= LARGE]
    known = [cause["cause"] for cause in causes()]
    counted = [(cause, [error for error in large if error.cause == cause]) for cause in [*known, ""]]
    rows = [
        [cause or "none is known", str(len(found)), f"{100 * summary(found).median:.0f}"] for cause, found in counted if found
    ]
    title = f"Errors above {100 * LARGE:.0f} % on rows marked validate, by believed cause"
    return Table(title, ["believed cause", "n", "median error %"], rows, right=(1, 2))


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


def kernel_table() -> Table:
    """Errors of the kernel curves as their files state them: shapes and devices left out of the fit."""
    rows = []
    for family in dict.fromkeys(FAMILIES.values()):
        for key, what in (("shapes_left_out", "a fifth of the shapes"), ("device_left_out", "a device")):
            found = [curve[key] for curve in package_data(f"calibrations/{family}.yaml")["curves"] if curve.get(key)]
            if found:
                medians, tails = sorted(f["median"] for f in found), sorted(f["p90"] for f in found)
                middle = len(found) // 2
                rows.append([family.replace("_", " "), what, str(len(found)), f"{100 * medians[middle]:.0f}",
                             f"{100 * medians[-1]:.0f}", f"{100 * tails[middle]:.0f}"])  # fmt: skip
    headers = ["kernels", "left out", "curves", "median", "worst median", "90th"]
    return Table("Kernel curves: errors in % on what was left out of the fit", headers, rows, right=(2, 3, 4, 5))


def ranking_table(found: Ranking, worst: int = 10) -> Table:
    """How often estimates order two deployments as they were measured, and the clearest mistakes."""
    title = (
        f"Order of deployments: {found.agreeing} of {found.pairs} pairs ({found.share:.1%}) in {found.groups} groups agree; "
        "the clearest that do not"
    )
    rows = [[first, second, f"{ratio:.2f}"] for first, second, ratio in found.wrong[:worst]]
    return Table(title, ["row", "other row", "measured ratio"], rows, right=(2,))


def run_table(compared: RunComparison) -> Table:
    """The metrics of one benchmark run beside the estimate; times in milliseconds."""
    rows = []
    for each in compared.metrics:
        scale = 1e3 if each.metric.endswith("seconds") else 1.0
        name = each.metric.replace("_seconds", " (ms)").replace("_", " ") if scale > 1 else each.metric.replace("_", " ")
        rows.append([name, f"{scale * each.estimate:,.4g}", f"{scale * each.measured:,.4g}", f"{100 * each.error:+.1f}"])
    case = compared.estimate.case
    title = f"{compared.run.source}: {case.model.id} on {case.parallel.devices} × {case.accelerator.name}, {case.engine.title}"
    return Table(title, ["metric", "estimate", "measured", "error %"], rows, right=(1, 2, 3))


def both_runs_table(before: RunComparison, after: RunComparison) -> Table:
    """The metrics of one benchmark run beside its estimates under two calibrations."""
    first, second = run_table(before), run_table(after)
    rows = [[*one, other[1], other[3]] for one, other in zip(first.rows, second.rows, strict=True)]
    return Table(first.title, [*first.headers, "calibrated", "error %"], rows, right=(1, 2, 3, 4, 5))


def own_runs_parts(runs: Sequence[BeforeAfter]) -> list[str]:
    """What records of ``llmsizer measure`` show, as parts of the page."""
    parts = ["## Runs of `llmsizer measure`", OWN_RUNS] if runs else []
    for each in runs:
        environment = each.record["environment"]
        place = f"`{each.name}`: {environment['device']}, {environment.get('system', '')}, {environment['date']}"
        parts += [
            f"{place}; {each.record['engine']} {_version(each.record)}",
            as_markdown(compared_errors(each.before, each.after)),
        ]
    return parts


def _version(record: Mapping[str, Any]) -> str:
    return str(record.get("engine_version") or record["environment"].get("build_commit") or "")


def _is_size(s: Summary) -> bool:
    return phase_of(s.quantity) == "memory"


PAGE = """# Validation

Every figure on this page is printed by `llmsizer validate --write docs/validation.md` from the measurements that ship
with the package (`measurements/`). Rows marked *fit* set parameters: kernel curves come from kernel times, and up
to eight times per engine from serving rows. Rows marked *validate* set nothing.

How to read it: *median* and *90th* are of the absolute error, *groups* is the median over groups (engine, model, device)
of their medians, *bias* is the median signed error (estimate above measurement: positive), *inside* the share of
measurements in the estimate's 80 % interval.

What is compared with what: a static batch with the engine alone, without its front end; a closed loop of C requests with
means over a run of 10·C prompts, whose first C come at once; maximum load with as many requests as cache and engine
run. First tokens that came after more than four seconds are listed apart: they waited in a queue.
"""

OWN_RUNS = """Whole models with random weights, measured on machines at hand and recorded in `measurements/runs/`; medians of
repetitions, on machines that other work may have shared. *Before* is the estimate with the built-in curves, none of which
comes from the device; *after* has the calibration that `llmsizer fit` made of the device's ceilings and of rows marked
*fit*, and is asked of the other rows. [Measuring](measure.md) shows how to do the same.

What is left: under torch, narrow layers (896 inputs) read their weights a third more slowly than wide ones, which no curve
knows. llama.cpp ran without repacked weights, because the machine announces an instruction that it does not have; one
factor serves all its quantized formats, though prompts in Q4_K_M ran twice as fast as in Q8_0 on the larger model.
"""

ORDER = """A planner rests on the order of deployments more than on their times. Pairs of rows with one model, engine and load
that were measured on different devices, formats or splits, and whose rates differ by more than a tenth:
"""


def validation_page(
    errors: Sequence[ErrorRow], by_regime: Sequence[Regime], order: Ranking, runs: Sequence[BeforeAfter] = (), worst: int = 10
) -> str:
    """The page as Markdown."""
    found = summaries(errors, worst)
    parts = [PAGE, as_markdown(headline_table(headlines(errors))), "## Errors by quantity", as_markdown(summary_table(found)),
             "## Errors by regime",
             as_markdown(regime_table(by_regime)), as_markdown(cause_table(errors)), "## Kernels", as_markdown(kernel_table()),
             *left_out_parts(worst), "## Order of deployments", ORDER, as_markdown(ranking_table(order)),
             *own_runs_parts(runs), "## Worst rows", as_markdown(worst_table([s for s in found if _is_size(s)])),
             as_markdown(regime_worst_table(by_regime))]  # fmt: skip
    return "\n\n".join(part.strip() for part in parts) + "\n"
