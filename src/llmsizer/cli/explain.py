"""``llmsizer explain``: the derivation of one number of an estimate, or the list of numbers."""

from __future__ import annotations

from typing import Annotated

import typer

from llmsizer.cli.options import CatalogPaths, catalog_of, with_question
from llmsizer.cli.output import width
from llmsizer.core.quantities import human
from llmsizer.question.ask import ask
from llmsizer.question.words import Words
from llmsizer.report.tables import flat_texts
from llmsizer.sizing.estimate import unit_of

EXAMPLES = """Examples:

  llmsizer explain -m llama-3.1-8b -g h100

  llmsizer explain -m llama-3.1-8b -g h100 --path memory.kv_bytes_per_token_per_gpu
"""


@with_question
def command(
    words: Words,
    path: Annotated[
        str | None, typer.Option("--path", help="The number to derive (default: list them).", metavar="PATH")
    ] = None,
    depth: Annotated[int, typer.Option("--depth", help="Levels of the derivation to print.", min=1, max=50)] = 8,
    catalog: CatalogPaths = None,
) -> None:
    """Prints how a number was computed: equations, numbers, and the source of each fact."""
    estimate = ask(words, catalog_of(catalog))
    if path is not None:
        print(estimate.explain(path, depth, width()))
        return
    data = estimate.to_dict()
    parts = {name: data[name] for name in ("memory", "latency", "throughput", "prefill", "decode") if data.get(name)}
    for name, value in flat_texts(parts):
        if "operations" in name or isinstance(value, str):
            continue
        print(f"{name} = {human(value, unit_of(name)) if isinstance(value, (int, float)) else value}")
