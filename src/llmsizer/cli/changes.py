"""``llmsizer changes``: why a number differs from the one of an earlier version or another catalog."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from llmsizer.cli.options import QUESTION, CatalogPaths, Format, catalog_of, with_words
from llmsizer.cli.output import checked_format, print_tables
from llmsizer.core.errors import InvalidQuestion
from llmsizer.differences.explain import changes
from llmsizer.question.words import Words
from llmsizer.report.changes import changes_heading, changes_notes, changes_tables
from llmsizer.report.tables import as_csv, as_json

EXAMPLES = """Examples:

  llmsizer changes answer.json

  llmsizer changes last-year.json today.json

  llmsizer changes examples/preview.yaml

  llmsizer changes examples/preview.yaml -m llama-3.1-8b -g h100

A saved answer is the output of: llmsizer estimate ... --format json
"""

# A saved answer brings its own question; two catalogs may be asked one.
ASKED = {name: (str | None, None, QUESTION[name][2]) if name in ("model", "hardware") else QUESTION[name] for name in QUESTION}


@with_words(ASKED)
def command(
    words: Mapping[str, Any],
    old: Annotated[str, typer.Argument(help="A saved answer (.json), or a catalog: a YAML file or a folder.")],
    new: Annotated[
        str | None, typer.Argument(help="The same of a later day (default: what is installed).", metavar="[NEW]")
    ] = None,
    format_: Format = "table",
    catalog: CatalogPaths = None,
) -> None:
    """Explains why a number differs: the facts that changed, where they stand, and what each of them moves.

    A saved answer is asked again, or set beside a later one. Of two catalogs all facts that differ are listed, or (with
    the options of a question) those that its answer rests on.
    """
    form = checked_format(format_)
    found = changes(old, new, catalog_of(catalog), question_of(words))
    if form == "json":
        print(as_json(found.to_dict()))
    elif form == "csv":
        names = ["kind", "name", "old", "new", "percent"]
        print(as_csv(names, [[row[name] for name in names] for row in found.to_rows()]))
    else:
        most = {"most": None} if form == "markdown" else {}
        print_tables(changes_heading(found), changes_tables(found, **most), form, changes_notes(found, **most))


def question_of(words: Mapping[str, Any]) -> Words | None:
    """The question of the options; None where none was asked."""
    typed = [name for name, value in words.items() if value != ASKED[name][1]]
    if not typed:
        return None
    missing = [flag for name, flag in (("model", "--model"), ("hardware", "--gpu")) if name not in words]
    if missing:
        raise InvalidQuestion(f"{missing[0]} is missing", "the question of two catalogs takes --model and --gpu")
    return Words(**words)
