"""``llmsizer estimate``: does it fit, how much of it, and why."""

from __future__ import annotations

from typing import Annotated

import typer

from llmsizer.cli.emit import Emit, print_emitted
from llmsizer.cli.manner import is_quiet, styled
from llmsizer.cli.options import CatalogPaths, Format, catalog_of, with_question
from llmsizer.cli.output import checked_format, width
from llmsizer.question.ask import ask
from llmsizer.question.resolve import resolve
from llmsizer.question.suggest import Suggestion, suggestions
from llmsizer.question.words import Words
from llmsizer.report.memory import (
    capacity_lines,
    device_table,
    evidence_lines,
    heading,
    paragraphs,
    trouble_lines,
)
from llmsizer.report.speed import cost_lines, speed_lines
from llmsizer.report.tables import as_csv, as_json, as_markdown, as_text, flat_texts
from llmsizer.sizing.estimate import Estimate

EXAMPLES = """Examples:

  llmsizer estimate -m llama-3.1-8b -g h100

  llmsizer estimate -m llama-3.1-70b -g h100 --tp 4 --max-model-len 32768

  llmsizer estimate -m deepseek-r1 -g h200 --tp 8 --explain memory.per_gpu.weights_bytes

  llmsizer estimate -m llama-3.1-70b -g h100 --tp 4 -c 32 --emit sglang
"""


@with_question
def command(
    words: Words,
    explain: Annotated[
        str | None, typer.Option("--explain", help="Derive one number, e.g. memory.per_gpu.kv_cache_bytes.", metavar="PATH")
    ] = None,
    emit: Emit = None,
    format_: Format = "table",
    catalog: CatalogPaths = None,
) -> None:
    """Answers on one screen whether a model fits on a device, how much of it, and how fast it runs."""
    checked_format(format_)
    nouns = catalog_of(catalog)
    estimate = ask(words, nouns)
    if explain is not None:
        print(estimate.explain(explain, width=width()))
    elif emit is not None:
        print_emitted(estimate, emit, format_)
    else:
        near = suggestions(words, resolve(words, nouns), nouns) if not estimate.fits else []
        print(rendered(estimate, near, format_))
    if not estimate.fits:
        raise SystemExit(1)


def rendered(estimate: Estimate, near: list[Suggestion], form: str) -> str:
    """The estimate in one of the output formats."""
    data = estimate.to_dict()
    if near:
        data["suggestions"] = [{"change": s.change, "flag": s.flag, "kv_capacity_tokens": s.kv_capacity_tokens} for s in near]
    if form == "json":
        return as_json(data)
    if form == "csv":
        return as_csv(["key", "value"], flat_texts({name: part for name, part in data.items() if name != "inputs"}))
    lines = [
        *capacity_lines(estimate),
        *speed_lines(estimate),
        *cost_lines(estimate),
        *trouble_lines(estimate, near),
        *evidence_lines(estimate),
    ]
    notes = [] if is_quiet() else [f"Note        {note}" for note in estimate.notes]
    if form == "markdown":
        return "\n\n".join(
            [
                f"## {heading(estimate)}",
                as_markdown(device_table(estimate)),
                "\n".join(f"- {line}" for line in [*lines, *notes]),
            ]
        )
    title = styled(heading(estimate), "good" if estimate.fits else "bad")
    text = [title, "", as_text(device_table(estimate)), "", *paragraphs([*lines, *notes], width())]
    return "\n".join(text)
