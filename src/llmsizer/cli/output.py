"""What commands share when they print."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
from collections.abc import Sequence

from llmsizer.core.errors import InvalidQuestion, nearest
from llmsizer.report.tables import FORMATS, Table, as_csv, as_json, as_markdown, as_text


def checked_format(name: str) -> str:
    """One of the output formats. Raises InvalidQuestion with the nearest."""
    if name in FORMATS:
        return name
    near = nearest(name, FORMATS)
    hint = f"Did you mean: {', '.join(near)}?" if near else f"known: {', '.join(FORMATS)}"
    raise InvalidQuestion(f"--format: '{name[:40]}' is not known", hint)


def width() -> int:
    """Columns to fill: the terminal's, between 60 and 120; 100 when there is none."""
    told = sys.stdout.isatty() or "COLUMNS" in os.environ
    return max(60, min(shutil.get_terminal_size((100, 24)).columns, 120)) if told else 100


def print_rows(table: Table, form: str) -> None:
    """Prints one table; JSON as a list of mappings."""
    if form == "json":
        print(as_json([dict(zip(table.headers, row, strict=True)) for row in table.rows]))
    elif form == "csv":
        print(as_csv(table.headers, table.rows))
    else:
        print(as_markdown(table) if form == "markdown" else as_text(fitted(table, width()), indent=""))


def print_tables(heading: str, tables: Sequence[Table], form: str, notes: Sequence[str] = ()) -> None:
    """Prints several tables under a heading."""
    if form == "json":
        rows = {t.title: [dict(zip(t.headers, row, strict=True)) for row in t.rows] for t in tables}
        print(as_json({"name": heading, **rows, "notes": list(notes)}))
    elif form == "csv":
        lines = [[t.title, *row] for t in tables for row in t.rows]
        most = max(len(line) for line in lines)
        print(as_csv(["table", *(f"column {n}" for n in range(1, most))], lines))
    elif form == "markdown":
        print("\n\n".join([f"## {heading}", *(as_markdown(t) for t in tables), *notes]))
    else:
        text = textwrap.wrap(heading, width(), subsequent_indent="  ")
        for table in tables:
            text += ["", as_text(fitted(table, width() - 2))]
        for note in notes:
            text += ["", *textwrap.wrap(f"Note: {note}", width(), subsequent_indent="  ")]
        print("\n".join(text))


def fitted(table: Table, columns: int) -> Table:
    """The table with its last column wrapped so that every line fits."""
    rows = [[f"{header}  " for header in table.headers], *table.rows]  # a header keeps two spaces to its neighbour
    widths = [max(len(line) for row in rows for line in str(row[i]).split("\n")) for i in range(len(table.headers))]
    room = columns - sum(widths[:-1]) - 2 * len(widths)
    if room >= widths[-1]:
        return table
    room = max(room, 12)
    rows = [[*row[:-1], "\n".join(textwrap.wrap(str(row[-1]), room)) if row[-1] else ""] for row in table.rows]
    return Table(table.title, table.headers, rows, table.right)
