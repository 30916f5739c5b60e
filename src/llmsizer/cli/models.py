"""``llmsizer models``: the catalog's models, listed, searched and shown with their sources."""

from __future__ import annotations

from typing import Annotated

import typer

from llmsizer.cli.command import PlainCommand
from llmsizer.cli.completion import models
from llmsizer.cli.manner import with_manner
from llmsizer.cli.options import CatalogPaths, Format, catalog_of
from llmsizer.cli.output import checked_format, print_rows, print_tables
from llmsizer.report.nouns import (
    MODEL_HEADERS,
    SourceList,
    matching,
    model_cache,
    model_facts,
    model_parts,
    model_row,
    model_sizes,
)
from llmsizer.report.tables import Table

EXAMPLES = """Examples:

  llmsizer models list

  llmsizer models search qwen3

  llmsizer models show deepseek-v3
"""
LIST_EXAMPLES = """Examples:

  llmsizer models list

  llmsizer models list --format csv > models.csv
"""
SEARCH_EXAMPLES = """Examples:

  llmsizer models search qwen3
"""
SHOW_EXAMPLES = """Examples:

  llmsizer models show deepseek-v3

  llmsizer models show qwen3-32b --format json
"""

app = typer.Typer(help="The models of the catalog.", epilog=EXAMPLES, no_args_is_help=True, rich_markup_mode=None)


@app.command("list", cls=PlainCommand, epilog=LIST_EXAMPLES)
@with_manner
def list_models(format_: Format = "table", catalog: CatalogPaths = None) -> None:
    """Lists all models."""
    nouns = catalog_of(catalog)
    rows = [model_row(nouns.model(name)) for name in nouns.names("models")]
    print_rows(Table("", MODEL_HEADERS, rows, right=(1, 2, 4)), checked_format(format_))


@app.command("search", cls=PlainCommand, epilog=SEARCH_EXAMPLES)
@with_manner
def search(
    text: Annotated[str, typer.Argument(help="A part of the name.")], format_: Format = "table", catalog: CatalogPaths = None
) -> None:
    """Lists the models whose name contains a text."""
    nouns = catalog_of(catalog)
    names = dict.fromkeys(nouns.model(name).id for name in matching(nouns.all_model_names(), text))
    if not names:
        print(f"no model's name resembles '{text[:60]}'")
        raise SystemExit(1)
    print_rows(
        Table("", MODEL_HEADERS, [model_row(nouns.model(name)) for name in names], right=(1, 2, 4)),
        checked_format(format_),
    )


@app.command("show", cls=PlainCommand, epilog=SHOW_EXAMPLES)
@with_manner
def show(
    name: Annotated[
        str,
        typer.Argument(help="A catalog name, or a path to config.json, a model folder or a .gguf file.", autocompletion=models),
    ],
    format_: Format = "table",
    catalog: CatalogPaths = None,
) -> None:
    """Shows a model: its facts with their sources, and everything that follows from them."""
    nouns = catalog_of(catalog)
    model = nouns.model_or_file(name)
    heading = f"{model.id}" + (f" (also {', '.join(model.aliases)})" if model.aliases else "")
    sources = SourceList()
    tables = [model_parts(model), model_cache(model), model_sizes(model), model_facts(model, sources), sources.table()]
    print_tables(heading, tables, checked_format(format_), notes=[model.notes] if model.notes else [])
