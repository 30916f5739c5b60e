"""``llmsizer validate``: every shipped measurement recomputed, with its error."""

from __future__ import annotations

from typing import Annotated

import typer

from llmsizer.cli.options import CatalogPaths, Format, catalog_of
from llmsizer.cli.output import checked_format, print_tables
from llmsizer.report.validation import summary_table, worst_table
from llmsizer.validation.run import all_errors
from llmsizer.validation.statistics import summaries

EXAMPLES = """Examples:

  llmsizer validate

  llmsizer validate --worst 10 --format markdown
"""


def command(
    worst: Annotated[int, typer.Option("--worst", help="Worst rows to print for each quantity.", min=0, max=1000)] = 3,
    format_: Format = "table",
    catalog: CatalogPaths = None,
) -> None:
    """Recomputes the measured runs that ship with llmsizer and prints the errors."""
    checked_format(format_)
    found = summaries(all_errors(catalog_of(catalog)), worst)
    tables = [summary_table(found)]
    if worst:
        tables.append(worst_table(found))
    print_tables("Estimate against measurement", tables, format_)
