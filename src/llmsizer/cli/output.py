"""What commands share when they print."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from llmsizer.cli.manner import is_quiet, styled
from llmsizer.core.errors import InvalidQuestion, nearest
from llmsizer.report.tables import FORMATS, HEADER_PADDING, Table, as_csv, as_json, as_markdown, as_text


def checked_format(name: str) -> str:
    """One of the output formats. Raises InvalidQuestion with the nearest."""
    if name in FORMATS:
        return name
    near = nearest(name, FORMATS)
    hint = f"Did you mean: {', '.join(near)}?" if near else f"known: {', '.join(FORMATS)}"
    raise InvalidQuestion(f"--format: '{name[:40]}' is not known", hint)


def width() -> int:
    """Columns to fill: the terminal's, between 60 and 120; 100 when there is none."""
    return max(60, min(shutil.get_terminal_size((100, 24)).columns, 120)) if has_width() else 100


def has_width() -> bool:
    """Whether the output has a width to keep to: that of a terminal, or one that the environment names."""
    return sys.stdout.isatty() or "COLUMNS" in os.environ


def print_rows(table: Table, form: str) -> None:
    """Prints one table, in a pipe with every row on one line; JSON as a list of mappings."""
    if form == "json":
        print(as_json([dict(zip(table.headers, row, strict=True)) for row in table.rows]))
    elif form == "csv":
        print(as_csv(table.headers, table.rows))
    else:
        shown = fitted(table, width()) if has_width() and form == "table" else table
        print(as_markdown(table) if form == "markdown" else as_text(shown, indent=""))


def print_tables(heading: str, tables: Sequence[Table], form: str, notes: Sequence[str] = ()) -> None:
    """Prints several tables under a heading; notes are left out where quiet, data (JSON) stays whole."""
    if is_quiet() and form in {"table", "markdown"}:
        notes = ()
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
        text = _heading(heading)
        for table in tables:
            text += ["", *_heading(table.title)]
            text.append(as_text(fitted(replace(table, title=""), width() - 2)))
        for note in notes:
            text += ["", *textwrap.wrap(f"Note: {note}", width(), subsequent_indent="  ")]
        print("\n".join(text))


def _heading(text: str) -> list[str]:
    """A heading in the lines it takes; none for an empty one."""
    return [styled(line, "heading") for line in textwrap.wrap(text, width(), subsequent_indent="  ")]


def fitted(table: Table, columns: int) -> Table:
    """The table with headers and text wrapped so that every line fits: numbers stay whole, and words while they can."""
    places = range(len(table.headers))
    room = columns - len(GUTTER) * (len(places) - 1)
    tight = sum(_widths(table, HEADER_PADDING)) > room
    padding = 0 if tight else HEADER_PADDING
    widths = _widths(table, padding)
    numbers = [_width_of(row[place] for row in table.rows) if place in table.right else 0 for place in places]
    words = [_width_of(str(header).split()) + padding for header in table.headers]
    whole = [_width_of(word for row in table.rows for word in str(row[place]).split()) for place in places]
    for order, least in (
        (table.right, [max(pair) for pair in zip(numbers, words, strict=True)]),
        (places[-1:], [NARROW] * len(widths)),
        (places, [max(*each, NARROWEST) for each in zip(numbers, words, whole, strict=True)]),
        (places, [max(*pair, NARROWEST) for pair in zip(numbers, words, strict=True)]),
        (places, [max(number, NARROWEST) for number in numbers]),
    ):
        _narrow(widths, room, order, least)
    headers = [_wrapped(header, size - padding) for header, size in zip(table.headers, widths, strict=True)]
    rows = [[_wrapped(cell, size) for cell, size in zip(row, widths, strict=True)] for row in table.rows]
    return Table(table.title, headers, rows, table.right, tight)


GUTTER = "  "
NARROW, NARROWEST = 24, 6  # letters of a wrapped column: of the last one alone, and of any


def _widths(table: Table, padding: int) -> list[int]:
    return [
        max(_width_of(row[place] for row in table.rows), _width_of([header]) + padding)
        for place, header in enumerate(table.headers)
    ]


def _narrow(widths: list[int], room: int, places: Iterable[int], least: Sequence[int]) -> None:
    """Takes letters from the widest of some columns, down to the least of each, until all fit."""
    chosen = list(places)
    while sum(widths) > room and (wide := [place for place in chosen if widths[place] > least[place]]):
        widths[max(wide, key=widths.__getitem__)] -= 1


def _width_of(cells: Iterable[Any]) -> int:
    return max((len(line) for cell in cells for line in str(cell).split("\n")), default=0)


def _wrapped(cell: Any, size: int) -> Any:
    """Text in lines of a size; what fits stays as it is."""
    if _width_of([cell]) <= size:
        return cell
    return "\n".join(part for line in str(cell).split("\n") for part in textwrap.wrap(line, max(size, 1)))
