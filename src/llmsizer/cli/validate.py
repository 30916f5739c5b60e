"""``llmsizer validate``: every shipped measurement recomputed, with its error."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from llmsizer.catalog.catalog import Catalog
from llmsizer.cli.options import CatalogPaths, Format, catalog_of
from llmsizer.cli.output import checked_format, print_tables
from llmsizer.core.errors import LlmsizerError
from llmsizer.question.words import checked_choice
from llmsizer.report.validation import kernel_table, ranking_table, summary_table, validation_page, worst_table
from llmsizer.validation.ranking import ranking, rated_rows
from llmsizer.validation.run import PARTS, all_errors
from llmsizer.validation.statistics import summaries

EXAMPLES = """Examples:

  llmsizer validate

  llmsizer validate --only speed --worst 10 --format markdown
"""


def command(
    file: Annotated[
        str | None,
        typer.Argument(help="A result of vllm bench serve, guidellm, aiperf, InferenceX or llama-bench.", metavar="[FILE]"),
    ] = None,
    model: Annotated[str | None, typer.Option("--model", "-m", help="The model of FILE, where it does not say.")] = None,
    gpu: Annotated[str | None, typer.Option("--gpu", "-g", help="The device of FILE, where it does not say.")] = None,
    engine: Annotated[str | None, typer.Option("--engine", "-e", help="The engine of FILE, where it does not say.")] = None,
    quantization: Annotated[str | None, typer.Option("--quantization", "-q", help="The weight format of FILE.")] = None,
    tp: Annotated[
        str | None, typer.Option("--tensor-parallel-size", "--tp", help="The split of FILE.", metavar="NUMBER")
    ] = None,
    worst: Annotated[int, typer.Option("--worst", help="Worst rows to print for each quantity.", min=0, max=1000)] = 3,
    only: Annotated[str | None, typer.Option("--only", help="memory or speed.", metavar="PART")] = None,
    write: Annotated[
        str | None, typer.Option("--write", help="Write the page of the documentation into this file.", metavar="FILE")
    ] = None,
    format_: Format = "table",
    catalog: CatalogPaths = None,
) -> None:
    """Recomputes the measured runs that ship with llmsizer, or your own benchmark's, and prints the errors."""
    checked_format(format_)
    if file is not None:
        given = {"model": model, "hardware": gpu, "engine": engine, "quantization": quantization, "tensor_parallel_size": tp}
        _compare_file(file, given, catalog_of(catalog), format_)
        return
    part = checked_choice("--only", only, list(PARTS)) if only is not None else None
    nouns = catalog_of(catalog)
    errors = all_errors(nouns, part)
    if write is not None:
        _write(Path(write), validation_page(errors, ranking(rated_rows(nouns))))
    found = summaries(errors, worst)
    tables = [summary_table(found)]
    if part != "memory":
        tables += [kernel_table(), ranking_table(ranking(rated_rows(nouns)), worst)]
    if worst:
        tables.append(worst_table(found))
    print_tables("Estimate against measurement", tables, format_)


def _compare_file(path: str, given: dict[str, Any], nouns: Catalog, form: str) -> None:
    """Prints every run of a benchmark's file beside its estimate."""
    from llmsizer.report.validation import run_table
    from llmsizer.validation.benchmark_files import read_benchmarks
    from llmsizer.validation.benchmark_runs import compare_run

    found = [compare_run(run, given, nouns) for run in read_benchmarks(path)]
    notes = list(dict.fromkeys(note for each in found for note in (*each.run.notes, *each.estimate.notes)))
    print_tables(f"Estimate against {path}", [run_table(each) for each in found], form, notes=notes)


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise LlmsizerError(f"--write: {path} cannot be written: {error.strerror}") from error
