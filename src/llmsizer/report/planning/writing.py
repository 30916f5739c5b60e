"""Writes planning reports: the file's ending names the form; a file is written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from llmsizer.core.errors import InvalidQuestion, LlmsizerError
from llmsizer.planner.planning import Planning
from llmsizer.report.planning.content import made_with, report_of
from llmsizer.report.planning.html import as_html
from llmsizer.report.planning.markdown import as_markdown
from llmsizer.report.tables import as_csv, as_json


def report_text(planning: Planning, suffix: str, plots: bool = True) -> str:
    """A report in the form that a file's ending names. Raises InvalidQuestion for any other."""
    return FORMS[checked_suffix(suffix)](planning, plots)


def checked_suffix(name: str) -> str:
    """The ending of a file's name, where it names a form."""
    suffix = Path(name).suffix.lower() or name.lower()
    if suffix not in FORMS:
        raise InvalidQuestion(f"--output: '{Path(name).name[:60]}' must end in {', '.join(FORMS)}")
    return suffix


def write_report(planning: Planning, path: Path, plots: bool = True) -> None:
    """Writes a report. Raises LlmsizerError where the file cannot be written."""
    write_whole(path, report_text(planning, path.suffix, plots))


def write_whole(path: Path, text: str) -> None:
    """Writes a text file beside its place first, so that no one ever reads half of it."""
    try:
        with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=path.parent, delete=False, newline="\n") as file:
            file.write(text)
        os.chmod(file.name, 0o666 & ~_umask())
        os.replace(file.name, path)
    except OSError as error:
        raise LlmsizerError(f"{path} cannot be written: {error.strerror}") from error


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def json_of(planning: Planning) -> str:
    """The plans as JSON, date and versions in ``made_with``."""
    catalog = planning.answers[0].plan.candidates.catalog
    return as_json({**planning.to_dict(), "made_with": dict(made_with(catalog))})


def csv_of(planning: Planning) -> str:
    """Every pick and every other device that would do, a line each."""
    names = ["scenario", "workload", "rank", "is_pick"]
    rows = []
    for answer in planning.answers:
        picked = {pick.estimate.case.accelerator.id for pick in answer.plan.picks}
        for rank, row in enumerate(answer.plan.alternatives, 1):
            rows.append({**dict(zip(names, (answer.scenario, answer.workload, rank, row["hardware"] in picked), strict=True)), **row})
    return as_csv(list(rows[0]) if rows else names, [list(row.values()) for row in rows])


FORMS: dict[str, Callable[[Planning, bool], str]] = {
    ".html": lambda planning, plots: as_html(report_of(planning, plots)),
    ".md": lambda planning, plots: as_markdown(report_of(planning, plots=False)),
    ".json": lambda planning, plots: json_of(planning) + "\n",
    ".csv": lambda planning, plots: csv_of(planning) + "\n",
}
