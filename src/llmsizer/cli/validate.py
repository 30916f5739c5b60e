"""``llmsizer validate``: every shipped measurement recomputed, with its error."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from llmsizer.cli.options import CatalogPaths, Format, catalog_of
from llmsizer.cli.output import checked_format, print_tables
from llmsizer.core.errors import LlmsizerError
from llmsizer.question.words import checked_choice
from llmsizer.report.validation import kernel_table, summary_table, validation_page, worst_table
from llmsizer.validation.run import PARTS, all_errors
from llmsizer.validation.statistics import summaries

EXAMPLES = """Examples:

  llmsizer validate

  llmsizer validate --only speed --worst 10 --format markdown
"""


def command(
    worst: Annotated[int, typer.Option("--worst", help="Worst rows to print for each quantity.", min=0, max=1000)] = 3,
    only: Annotated[str | None, typer.Option("--only", help="memory or speed.", metavar="PART")] = None,
    write: Annotated[
        str | None, typer.Option("--write", help="Write the page of the documentation into this file.", metavar="FILE")
    ] = None,
    format_: Format = "table",
    catalog: CatalogPaths = None,
) -> None:
    """Recomputes the measured runs that ship with llmsizer and prints the errors."""
    checked_format(format_)
    part = checked_choice("--only", only, list(PARTS)) if only is not None else None
    errors = all_errors(catalog_of(catalog), part)
    if write is not None:
        _write(Path(write), validation_page(errors))
    found = summaries(errors, worst)
    tables = [summary_table(found), kernel_table()] if part != "memory" else [summary_table(found)]
    if worst:
        tables.append(worst_table(found))
    print_tables("Estimate against measurement", tables, format_)


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise LlmsizerError(f"--write: {path} cannot be written: {error.strerror}") from error
