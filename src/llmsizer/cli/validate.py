"""``llmsizer validate``: every shipped measurement recomputed, with its error."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from llmsizer.catalog.catalog import Catalog
from llmsizer.cli.options import CatalogPaths, Format, catalog_of
from llmsizer.cli.output import checked_format, print_tables
from llmsizer.core.errors import InvalidQuestion
from llmsizer.core.files import write_whole
from llmsizer.question.words import checked_choice
from llmsizer.report.validation import (
    both_runs_table,
    headline_table,
    validation_page,
    validation_tables,
)
from llmsizer.validation.headlines import headlines as headlines_of
from llmsizer.validation.ranking import ranking, rated_rows
from llmsizer.validation.run import PARTS, validate
from llmsizer.validation.run_rows import shipped_before_after

EXAMPLES = """Examples:

  llmsizer validate

  llmsizer validate --headlines

  llmsizer validate --only speed --worst 10 --format markdown
"""


def command(
    file: Annotated[
        str | None,
        typer.Argument(
            help="A record of llmsizer measure, or a result of vllm bench serve, guidellm, aiperf, InferenceX or llama-bench.",
            metavar="[FILE]",
        ),
    ] = None,
    model: Annotated[str | None, typer.Option("--model", "-m", help="The model of FILE, where it does not say.")] = None,
    gpu: Annotated[str | None, typer.Option("--gpu", "-g", help="The device of FILE, where it does not say.")] = None,
    engine: Annotated[str | None, typer.Option("--engine", "-e", help="The engine of FILE, where it does not say.")] = None,
    quantization: Annotated[str | None, typer.Option("--quantization", "-q", help="The weight format of FILE.")] = None,
    tp: Annotated[
        str | None, typer.Option("--tensor-parallel-size", "--tp", help="The split of FILE.", metavar="NUMBER")
    ] = None,
    calibration: Annotated[
        str | None, typer.Option("--calibration", help="Show FILE under this file of llmsizer fit, beside the built-in curves.")
    ] = None,
    worst: Annotated[int, typer.Option("--worst", help="Worst rows to print for each quantity.", min=0, max=1000)] = 3,
    only: Annotated[str | None, typer.Option("--only", help="memory or speed.", metavar="PART")] = None,
    headlines: Annotated[
        bool, typer.Option("--headlines", help="Print the few figures that say how far to trust an estimate.")
    ] = False,
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
        _compare_file(file, given, calibration, catalog_of(catalog), format_)
        return
    if calibration is not None:
        raise InvalidQuestion("--calibration: expected a FILE to show under it", "for example: llmsizer validate my-run.yaml")
    part = checked_choice("--only", only, list(PARTS)) if only is not None else None
    _print_shipped(catalog_of(catalog), part, worst, write, format_, headlines)


def _print_shipped(nouns: Catalog, part: str | None, worst: int, write: str | None, form: str, short: bool) -> None:
    """Prints the errors of all measurements that ship with llmsizer; in ``short`` the headline figures alone."""
    found = validate(nouns, part)
    if write is not None:
        ranks = found.ranking or ranking(rated_rows(nouns))
        page = validation_page(found.errors, found.regimes, ranks, list(shipped_before_after(nouns)))
        write_whole(write, page)
    tables = [headline_table(headlines_of(found.errors))] if short else validation_tables(found, worst)
    print_tables("Estimate against measurement", tables, form)


def _compare_file(path: str, given: dict[str, Any], calibration: str | None, nouns: Catalog, form: str) -> None:
    """Prints every run of a record or of a benchmark's file beside its estimate, under one calibration or two."""
    from llmsizer.report.validation import run_table
    from llmsizer.validation.benchmark_files import read_benchmarks
    from llmsizer.validation.benchmark_runs import compare_run
    from llmsizer.validation.run_files import is_run

    if is_run(path):
        _compare_record(path, calibration, nouns, form)
        return
    runs = read_benchmarks(path)
    found = [compare_run(run, given, nouns) for run in runs]
    tables = [run_table(each) for each in found]
    if calibration is not None:
        after = [compare_run(run, {**given, "calibration": calibration}, nouns) for run in runs]
        tables = [both_runs_table(*each) for each in zip(found, after, strict=True)]
    notes = list(dict.fromkeys(note for each in found for note in (*each.run.notes, *each.estimate.notes)))
    print_tables(f"Estimate against {path}", tables, form, notes=notes)


def _compare_record(path: str, calibration: str | None, nouns: Catalog, form: str) -> None:
    """Prints the rows of a record of ``llmsizer measure``."""
    from llmsizer.report.calibration import compared_errors
    from llmsizer.report.measure import comparison_table
    from llmsizer.validation.run_files import read_run
    from llmsizer.validation.run_rows import run_errors, with_measured_devices

    record, nouns = read_run(path), with_measured_devices(nouns)
    before = run_errors(record, nouns, Path(path).stem)
    tables = [comparison_table(before)]
    if calibration is not None:
        after = run_errors(record, nouns, Path(path).stem, calibration)
        tables = [compared_errors(before, after), comparison_table(after, f"Estimate under {calibration} beside measurement")]
    print_tables(f"Estimate against {path}", tables, form)
