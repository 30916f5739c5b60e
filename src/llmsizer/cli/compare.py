"""``llmsizer compare``: several models, devices, splits or formats side by side."""

from __future__ import annotations

from llmsizer.cli.options import CatalogPaths, Format, catalog_of, with_question
from llmsizer.cli.output import checked_format, print_tables, width
from llmsizer.question.compare import Comparison, compare
from llmsizer.question.ranges import expanded
from llmsizer.question.words import Words
from llmsizer.report.compare import compare_heading, compare_notes, compare_tables
from llmsizer.report.tables import as_csv, as_json

EXAMPLES = """Examples:

  llmsizer compare -m llama-3.1-8b -g h100,l40s,mi300x

  llmsizer compare -m llama-3.1-70b,qwen3-32b -g h200 -q fp8,bf16 -c 32

  llmsizer compare -m deepseek-r1 -g h200 --tp 8 -e vllm,sglang,tensorrt-llm
"""


@with_question
def command(words: Words, format_: Format = "table", catalog: CatalogPaths = None) -> None:
    """Puts estimates side by side, one column for every combination of comma lists; * marks the best of a row."""
    checked_format(format_)
    comparison = compare(expanded(words), catalog_of(catalog))
    print_compared(comparison, format_)
    if not comparison.any_fits:
        raise SystemExit(1)


def print_compared(comparison: Comparison, form: str) -> None:
    """Prints the comparison in one of the output formats."""
    rows = comparison.to_rows()
    if form == "json":
        print(as_json(rows))
    elif form == "csv":
        print(as_csv(list(rows[0]), [list(row.values()) for row in rows]))
    else:
        tables = compare_tables(comparison, width() - 2 if form == "table" else None)
        print_tables(compare_heading(comparison), tables, form, compare_notes(comparison))
