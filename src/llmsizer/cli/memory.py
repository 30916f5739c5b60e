"""``llmsizer memory``: where the memory goes, in more detail than ``estimate``."""

from __future__ import annotations

from llmsizer.cli.options import CatalogPaths, Format, catalog_of, with_question
from llmsizer.cli.output import checked_format, print_tables
from llmsizer.question.ask import ask
from llmsizer.question.resolve import resolve
from llmsizer.question.suggest import smallest_split
from llmsizer.question.words import Words
from llmsizer.report.memory import (
    answers_table,
    capacity_table,
    context_table,
    device_table,
    heading,
    paging_table,
    weights_table,
)
from llmsizer.report.tables import as_json

EXAMPLES = """Examples:

  llmsizer memory -m qwen3-32b -g h100 --tp 2

  llmsizer memory -m llama-3-8b -g rtx-4090 -e llama.cpp -q Q4_K_M --max-model-len 8192
"""


@with_question
def command(words: Words, format_: Format = "table", catalog: CatalogPaths = None) -> None:
    """Shows where the memory goes: weights by part, the cache by length, pages against reservations."""
    checked_format(format_)
    nouns = catalog_of(catalog)
    estimate = ask(words, nouns)
    split = smallest_split(words, resolve(words, nouns), nouns)
    tables = [device_table(estimate), weights_table(estimate), answers_table(estimate, split)]
    if estimate.fits:
        tables += [capacity_table(estimate), context_table(estimate), paging_table(estimate)]
    if format_ == "json":
        detail = {t.title: [dict(zip(t.headers, row, strict=True)) for row in t.rows] for t in tables[1:]}
        print(as_json({**estimate.to_dict(), "detail": detail}))
    else:
        print_tables(heading(estimate), tables, format_, notes=[*estimate.reasons, *estimate.notes])
    if not estimate.fits:
        raise SystemExit(1)
