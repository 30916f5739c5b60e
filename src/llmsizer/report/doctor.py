"""A start-up log beside its estimate, as people read it."""

from __future__ import annotations

import textwrap

from llmsizer.core.quantities import human
from llmsizer.doctor.compare import Diagnosis, Row
from llmsizer.report.tables import Table, as_csv, as_markdown, as_text

HEADERS = ("figure", "log", "estimate", "difference")


def diagnosis_text(diagnosis: Diagnosis, columns: int) -> str:
    """The comparison for a terminal: a table, the causes beneath it, and what was compared."""
    causes = [row for row in diagnosis.rows if row.cause]
    marks = {row.figure: f"[{number}]" for number, row in enumerate(causes, 1)}
    rows = [[*_cells(row), marks.get(row.figure, "")] for row in diagnosis.rows]
    table = Table("", [*HEADERS, ""], rows, right=(1, 2, 3))
    lines = [*_wrapped(heading(diagnosis), columns, "", "  "), "", as_text(table), ""]
    for row in causes:
        lines += _wrapped(f"{marks[row.figure]} {_titled(row)}: {row.cause}", columns, "  ", "      ")
    lines += [""] if causes else []
    for line in [*origin_lines(diagnosis), *(f"Note        {note}" for note in diagnosis.notes)]:
        lines += _wrapped(line, columns, "", " " * 12)
    return "\n".join(lines)


def diagnosis_markdown(diagnosis: Diagnosis) -> str:
    """The comparison as Markdown."""
    lines = "\n".join(f"- {line}" for line in [*origin_lines(diagnosis), *diagnosis.notes])
    return "\n\n".join([f"## {heading(diagnosis)}", as_markdown(diagnosis_table(diagnosis)), lines])


def diagnosis_table(diagnosis: Diagnosis) -> Table:
    """Both sides of every figure, with the cause of a difference."""
    rows = [[*_cells(row), _percent(row), row.cause or "agrees"] for row in diagnosis.rows]
    return Table("", [*HEADERS, "%", "cause"], rows, right=(1, 2, 3, 4))


def diagnosis_csv(diagnosis: Diagnosis) -> str:
    """The rows as CSV, in the units of the ``unit`` column."""
    rows = diagnosis.to_rows()
    return as_csv(list(rows[0]), [list(row.values()) for row in rows])


def heading(diagnosis: Diagnosis) -> str:
    """One line: what the log shows, and whether the estimate agrees."""
    asked, differing = diagnosis.question, sum(row.agrees is False for row in diagnosis.rows)
    devices = f"{asked['devices']} × " if asked["devices"] > 1 else ""
    if diagnosis.agrees:
        verdict = "the estimate agrees"
    elif differing:
        verdict = f"{differing} of {len(diagnosis.rows)} figures differ"
    else:
        verdict = "the outcome differs"
    return f"{diagnosis.reading.engine} log: {asked['model_id']} on {devices}{asked['hardware_id']}: {verdict}"


def origin_lines(diagnosis: Diagnosis) -> list[str]:
    """What was estimated, and which words of it the log, the user or an assumption supplied."""
    asked, origins = diagnosis.question, diagnosis.origins
    lines = [f"Compared    {asked['engine']} {asked['engine_version']}, {asked['quantization']}, {_outcome(diagnosis)}"]
    for origin, label in (("log", "From log"), ("given", "Given"), ("assumed", "Assumed")):
        words = [_word(diagnosis, name) for name, source in origins.items() if source == origin]
        if words:
            lines.append(f"{label:11s} {', '.join(words)}")
    return lines


def _outcome(diagnosis: Diagnosis) -> str:
    said = {True: "it started", False: "it did not start", None: "the log does not show whether it started"}
    expected = "fits" if diagnosis.fits else "does not fit"
    return f"{said[diagnosis.started]}, by the estimate it {expected}"


def _word(diagnosis: Diagnosis, name: str) -> str:
    value = diagnosis.question.get(name)
    return name if value is None else f"{name} {value:g}" if isinstance(value, float) else f"{name} {value}"


def _cells(row: Row) -> list[str]:
    difference = row.difference
    sign = "+" if difference is not None and difference > 0 else ""
    told = "-" if difference is None else "0" if difference == 0 else sign + _amount(difference, row.unit)
    return [row.title, _amount(row.log, row.unit), "-" if row.estimate is None else _amount(row.estimate, row.unit), told]


def _amount(number: float, unit: str) -> str:
    if unit == "token":
        return f"{number:,.0f}"
    return f"{number:,.2f}" if unit == "1" else human(number, "byte")


def _titled(row: Row) -> str:
    return f"{row.title} ({_percent(row)} %)" if _percent(row) else row.title


def _percent(row: Row) -> str:
    return "" if row.percent is None else f"{row.percent:+.1f}"


def _wrapped(line: str, columns: int, first: str, further: str) -> list[str]:
    return textwrap.wrap(line, columns, initial_indent=first, subsequent_indent=further, break_long_words=False)
