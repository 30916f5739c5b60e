"""``llmsizer sweep``: a grid of questions, as a table, a file or curves."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from llmsizer.cli.options import CatalogPaths, Format, catalog_of, with_question
from llmsizer.cli.output import checked_format, print_tables, width
from llmsizer.cli.progress import Progress
from llmsizer.question.ranges import expanded
from llmsizer.question.sweep import Sweep, sweep
from llmsizer.question.words import Words
from llmsizer.report.sweep import MOST_ROWS, checked_file, sweep_table, sweep_text, write_sweep

EXAMPLES = """Examples:

  llmsizer sweep -m llama-3.1-8b -g h100,l40s -c 1..256:x2

  llmsizer sweep -m llama-3.1-70b -g h200 --tp 1,2,4,8 -q fp8,bf16 --input-tokens 128..8192:log8

  llmsizer sweep -m qwen3-30b-a3b -g h100 --request-rate 1..20 --plot load.svg

Every option takes a comma list; every number also takes ranges: 1..8, 0..100:10 (step), 128..8192:log8 (8 points
with equal ratios), 1..256:x2 (doubling). Every combination is answered.
"""


@with_question
def command(
    words: Words,
    output: Annotated[
        str | None, typer.Option("--output", "-o", help="Write all into this .csv, .json or .parquet file.", metavar="FILE")
    ] = None,
    plot: Annotated[str | None, typer.Option("--plot", help="Draw curves into this .svg or .png file.", metavar="FILE")] = None,
    format_: Format = "table",
    catalog: CatalogPaths = None,
) -> None:
    """Answers every combination of lists and ranges: models, devices, splits, formats, loads, lengths."""
    checked_format(format_)
    if output is not None:
        checked_file(Path(output))
    with Progress() as progress:
        found = sweep(expanded(words), catalog_of(catalog), progress)
    if output is not None:
        write_sweep(found, Path(output))
    if plot is not None:
        from llmsizer.report.sweep_plot import draw_sweep

        draw_sweep(found, Path(plot))
    if output is None or format_ != "table":
        print_sweep(found, format_)
    if not found["fits"].any():
        raise SystemExit(1)


def print_sweep(found: Sweep, form: str) -> None:
    """Prints a sweep: the main figures of the first points as a table, all of them in other formats."""
    if form in {"csv", "json"}:
        print(sweep_text(found, form))
        return
    notes = list(found.notes)
    most = None if form == "markdown" else MOST_ROWS
    if most is not None and len(found) > most:
        notes.append(f"{len(found) - most:,} more points: --format csv prints all, -o FILE writes all")
    print_tables(f"{len(found):,} points", [sweep_table(found, most, width())], form, notes)
