"""``llmsizer roofline``: what each operation of a step costs and what binds it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from llmsizer.cli.options import CatalogPaths, Format, catalog_of, with_question
from llmsizer.cli.output import checked_format, print_tables
from llmsizer.question.ask import ask
from llmsizer.question.words import Words
from llmsizer.report.memory import heading
from llmsizer.report.speed import load_text, operations_table, phase_text
from llmsizer.report.tables import as_json

EXAMPLES = """Examples:

  llmsizer roofline -m llama-3.1-8b -g h100 -c 64

  llmsizer roofline -m qwen3-30b-a3b -g l40s --plot roofline.svg
"""


@with_question
def command(
    words: Words,
    plot: Annotated[
        str | None, typer.Option("--plot", help="Draw the roofline into this .svg or .png file.", metavar="FILE")
    ] = None,
    format_: Format = "table",
    catalog: CatalogPaths = None,
) -> None:
    """Lists the operations of a prefill and a decode step: work, traffic, intensity, bound, time."""
    checked_format(format_)
    estimate = ask(words, catalog_of(catalog))
    speed = estimate.speed
    if speed is None:
        print(f"{heading(estimate)}\n\n{'; '.join(estimate.reasons)}\n--ignore-memory answers all the same.")
        raise SystemExit(1)
    if plot is not None:
        from llmsizer.report.roofline_plot import draw_roofline

        draw_roofline(estimate, Path(plot))
    if format_ == "json":
        data = estimate.to_dict()
        print(as_json({name: data[name] for name in ("question", "prefill", "decode", "evidence")}))
        return
    tables = [
        operations_table(speed.prefill, "A step with prompt tokens"),
        operations_table(speed.decode, "A decode step"),
    ]
    notes = [f"{name}: {phase_text(phase)}" for name, phase in (("prefill", speed.prefill), ("decode", speed.decode))]
    print_tables(heading(estimate), tables, format_, notes=[f"load: {load_text(speed, estimate)}", *notes])
