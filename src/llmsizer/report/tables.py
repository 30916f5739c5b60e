"""Tables as text, Markdown, CSV or JSON; one shape for all of them."""

from __future__ import annotations

import csv
import html
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from llmsizer.core.results import flat

FORMATS = ("table", "json", "csv", "markdown")


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under headers, with a title; headers carry the units. ``tight``: columns are no wider than their headers."""

    title: str
    headers: Sequence[str]
    rows: Sequence[Sequence[Any]]
    right: Sequence[int] = ()
    tight: bool = False


def as_text(table: Table, indent: str = "  ") -> str:
    """A table for a terminal."""
    import tabulate

    alignment = ["right" if index in table.right else "left" for index in range(len(table.headers))]
    with _padding(0 if table.tight else HEADER_PADDING):
        body = tabulate.tabulate(
            table.rows, headers=list(table.headers), tablefmt="simple", colalign=alignment, disable_numparse=True
        )
    lines = [table.title] if table.title else []
    return "\n".join([*lines, *(indent + line.rstrip() for line in body.splitlines())])


HEADER_PADDING = 2  # letters that a column is wider than its header


@contextmanager
def _padding(letters: int) -> Iterator[None]:
    import tabulate

    usual, tabulate.MIN_PADDING = tabulate.MIN_PADDING, letters
    try:
        yield
    finally:
        tabulate.MIN_PADDING = usual


def as_markdown(table: Table) -> str:
    """A table for a Markdown file; cell text is escaped."""
    from tabulate import tabulate

    alignment = ["right" if index in table.right else "left" for index in range(len(table.headers))]
    rows = [[escaped(cell) for cell in row] for row in table.rows]
    body = tabulate(rows, headers=list(table.headers), tablefmt="pipe", colalign=alignment, disable_numparse=True)
    return f"**{escaped(table.title)}**\n\n{body}" if table.title else body


def as_html(table: Table) -> str:
    """A table for a web page; cell text is escaped."""
    from tabulate import tabulate

    alignment = ["right" if index in table.right else "left" for index in range(len(table.headers))]
    body = tabulate(table.rows, headers=list(table.headers), tablefmt="html", colalign=alignment, disable_numparse=True)
    return f"<p>{html.escape(table.title)}</p>\n{body}" if table.title else str(body)


def escaped(cell: Any) -> str:
    """Text that cannot break out of a Markdown table cell."""
    return str(cell).replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")


def as_csv(headers: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Rows as CSV with a header line."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(headers)
    writer.writerows(rows)
    return out.getvalue().rstrip("\n")


def as_json(data: Any) -> str:
    """Data as JSON; numbers that JSON cannot write are refused."""
    return json.dumps(data, indent=2, allow_nan=False, ensure_ascii=False)


def flat_texts(data: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    """Nested data as (dotted path, value) pairs; the items of a list in one text."""
    return ((path, "; ".join(map(str, value)) if isinstance(value, list) else value) for path, value in flat(data))


def digits(number: float) -> str:
    """A number with three digits, more where it is large; empty for no number. What is counted stays whole."""
    if number != number or abs(number) == float("inf"):
        return ""
    if abs(number) >= 100 or isinstance(number, int) or number == 0:
        return f"{number:,.0f}"
    return f"{number:#.3g}".rstrip(".")
