"""``llmsizer advise``: what would make a deployment faster, cheaper or fit, and what would not."""

from __future__ import annotations

from typing import Annotated

import typer

from llmsizer.cli.manner import styled
from llmsizer.cli.options import CatalogPaths, Format, catalog_of, with_question
from llmsizer.cli.output import checked_format, print_tables, width
from llmsizer.planner.advice.advise import Advice, advise
from llmsizer.question.words import Words
from llmsizer.report.advice import (
    advice_tables,
    now_line,
    source_notes,
    sources_of,
)
from llmsizer.report.memory import evidence_lines, heading, paragraphs
from llmsizer.report.tables import as_csv, as_json

EXAMPLES = """Examples:

  llmsizer advise -m llama-3.1-70b -g h100 --tp 4 -c 32

  llmsizer advise -m llama-3.1-8b -g l40s --rate 2 --by tpot

  llmsizer advise -m mixtral-8x7b -g a100 --tp 2 -c 16 --price '2 USD/h' --format json
"""


@with_question
def command(
    words: Words,
    by: Annotated[
        str | None, typer.Option("--by", help="Sort by cost (default), ttft, tpot, throughput or memory.", metavar="FIGURE")
    ] = None,
    format_: Format = "table",
    catalog: CatalogPaths = None,
) -> None:
    """Tries each technique of a checklist on one deployment: its effect here, its price in answers, or why it has none."""
    form = checked_format(format_)
    advice = advise(words, catalog_of(catalog), by)
    if form == "json":
        print(as_json(advice.to_dict()))
    elif form == "csv":
        rows = advice.to_rows()
        print(as_csv(list(rows[0]), [list(row.values()) for row in rows]))
    else:
        print_advice(advice, form)
    if not advice.estimate.fits:
        raise SystemExit(1)


def print_advice(advice: Advice, form: str) -> None:
    """Prints the advice as text or Markdown."""
    sources = sources_of([each.technique for each in advice.effects])
    trust = evidence_lines(advice.estimate) if advice.estimate.speed is not None else []
    lines = [now_line(advice), *(f"Why         {reason}" for reason in advice.estimate.reasons), *trust]
    if form == "markdown":
        print("\n".join([f"# {heading(advice.estimate)}", "", *(f"- {line}" for line in lines), ""]))
    else:
        print("\n".join([styled(heading(advice.estimate), "heading"), "", *paragraphs(lines, width()), ""]))
    count = len(advice.effects) + len(advice.idle)
    print_tables(f"{count} techniques tried", advice_tables(advice, sources), form, source_notes(advice, sources))
