"""What a notebook shows of a result: the heading, the lines and the tables that its command prints."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from llmsizer.core.results import Result
from llmsizer.report.tables import Table, as_html


@dataclass(frozen=True, slots=True)
class View:
    """A result as people read it; a line begins with its label."""

    heading: str
    tables: Sequence[Table]
    lines: Sequence[str] = ()
    notes: Sequence[str] = ()


def html_of(result: Result) -> str:
    """A result as a piece of a web page, all text escaped."""
    return "\n".join(["<div>", *(_part(view) for view in views_of(result)), "</div>"])


def _part(view: View) -> str:
    facts = Table("", ["", ""], [[line[:LABEL].strip(), line[LABEL:]] for line in view.lines])
    tables = [as_html(table) for table in (*([facts] if view.lines else []), *view.tables) if table.rows]
    notes = [f"<p>Note: {escape(note)}</p>" for note in view.notes]
    return "\n".join([f"<p><b>{escape(view.heading)}</b></p>", *tables, *notes])


LABEL = 12  # letters of a line before its text


def views_of(result: Result) -> list[View]:
    """The views of a result; more than one where it holds several answers."""
    return VIEWS[type(result).__name__](result)


def _estimate(found: Any) -> list[View]:
    from llmsizer.report.memory import capacity_lines, device_table, evidence_lines, heading, trouble_lines
    from llmsizer.report.speed import cost_lines, speed_lines

    lines = [*capacity_lines(found), *speed_lines(found), *cost_lines(found)]
    why = [] if found.fits else trouble_lines(found, ())[: len(found.reasons)]
    return [View(heading(found), [device_table(found)], [*lines, *why, *evidence_lines(found)], found.notes)]


def _sweep(found: Any) -> list[View]:
    from llmsizer.report.sweep import MOST_ROWS, sweep_table

    rest = len(found) - MOST_ROWS
    notes = [*found.notes, *([f"{rest:,} more points: to_dataframe() has all"] if rest > 0 else [])]
    return [View(f"{len(found):,} points", [sweep_table(found)], notes=notes)]


def _comparison(found: Any) -> list[View]:
    from llmsizer.report.compare import compare_heading, compare_notes, compare_tables

    return [View(compare_heading(found), compare_tables(found, None), notes=compare_notes(found))]


def _plan(found: Any) -> list[View]:
    from llmsizer.report.plan import answer_lines, plan_heading, short_tables

    return [View(plan_heading(found.question), short_tables(found), answer_lines(found))]


def _planning(found: Any) -> list[View]:
    named = [(each.name, view) for each in found.answers for view in _plan(each.plan)]
    return [View(f"{name}: {view.heading}" if name else view.heading, view.tables, view.lines) for name, view in named]


def _simulation(found: Any) -> list[View]:
    from llmsizer.report.simulation import simulation_tables

    return [View(f"{found.requests['class'].size:,} requests simulated", simulation_tables(found))]


def _advice(found: Any) -> list[View]:
    from llmsizer.report.advice import advice_tables, now_line, source_notes, sources_of
    from llmsizer.report.memory import heading

    sources = sources_of([each.technique for each in found.effects])
    return [View(heading(found.estimate), advice_tables(found, sources), [now_line(found)], source_notes(found, sources))]


def _diagnosis(found: Any) -> list[View]:
    from llmsizer.report.doctor import diagnosis_table, heading, origin_lines

    return [View(heading(found), [diagnosis_table(found)], origin_lines(found), found.notes)]


def _cost(found: Any) -> list[View]:
    from llmsizer.report.cost import cost_tables

    tables, notes = cost_tables(found)
    return [View("Cost", tables, notes=notes)]


def _changes(found: Any) -> list[View]:
    from llmsizer.report.changes import changes_heading, changes_notes, changes_tables

    return [View(changes_heading(found), changes_tables(found), notes=changes_notes(found))]


def _validation(found: Any) -> list[View]:
    from llmsizer.report.validation import validation_tables

    return [View("Estimate against measurement", validation_tables(found))]


# By the name of the class, so that showing one result does not import all the others.
VIEWS: dict[str, Callable[[Any], list[View]]] = {
    "Estimate": _estimate, "Sweep": _sweep, "Comparison": _comparison, "Plan": _plan, "Planning": _planning,
    "SimulationResult": _simulation, "Advice": _advice, "Diagnosis": _diagnosis, "CostEstimate": _cost,
    "Validation": _validation, "Changes": _changes,
}  # fmt: skip
