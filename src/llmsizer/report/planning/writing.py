"""Writes planning reports: the file's ending names the form; a file is written whole or not at all."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from llmsizer.core.errors import InvalidQuestion, LlmsizerError
from llmsizer.core.files import write_whole
from llmsizer.planner.planning import Planning
from llmsizer.report.planning.content import made_with, report_of
from llmsizer.report.planning.html import as_html
from llmsizer.report.planning.markdown import as_markdown
from llmsizer.report.tables import as_csv, as_json


def report_text(planning: Planning, suffix: str, plots: bool = True) -> str:
    """A report in the form that a file's ending names."""
    return FORMS[suffix](planning, plots)


def check_output(path: Path, plots: bool) -> None:
    """Refuses a file that could not be made: an ending that names no form, drawings without matplotlib, no folder."""
    if path.suffix.lower() not in FORMS:
        raise InvalidQuestion(f"--output: '{path.name[:60]}' must end in {', '.join(FORMS)}")
    if not path.absolute().parent.is_dir():
        raise InvalidQuestion(f"--output: there is no folder {path.parent}")
    if plots and path.suffix.lower() == ".html" and find_spec("matplotlib") is None:
        raise LlmsizerError(
            "the drawings of an HTML report need matplotlib", "pip install 'llmsizer[plot]', or give --no-plots"
        )


def write_report(planning: Planning, path: Path, plots: bool = True) -> None:
    """Writes a report. Raises LlmsizerError where the file cannot be written."""
    write_whole(path, report_text(planning, path.suffix.lower(), plots))


def json_of(planning: Planning) -> str:
    """The plans as JSON, date and versions in ``made_with``."""
    catalog = planning.answers[0].plan.candidates.catalog
    return as_json({**planning.to_dict(), "made_with": dict(made_with(catalog))})


def csv_of(planning: Planning) -> str:
    """Every pick and every other device that would do, a line each."""
    rows = planning.to_rows()
    return as_csv(list(rows[0]) if rows else ["scenario", "workload", "rank", "is_pick"], [list(row.values()) for row in rows])


FORMS: dict[str, Callable[[Planning, bool], str]] = {
    ".html": lambda planning, plots: as_html(report_of(planning, plots)),
    ".md": lambda planning, plots: as_markdown(report_of(planning, plots=False)),
    ".json": lambda planning, plots: json_of(planning) + "\n",
    ".csv": lambda planning, plots: csv_of(planning) + "\n",
}
