"""``llmsizer simulate``: the traffic of a question, request by request."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from llmsizer.cli.options import CatalogPaths, Format, catalog_of, with_question
from llmsizer.cli.output import checked_format, print_tables
from llmsizer.core.errors import LlmsizerError
from llmsizer.core.quantities import parse_quantity
from llmsizer.question.words import Words, checked_fraction, checked_integer
from llmsizer.report.tables import as_json

EXAMPLES = """Examples:

  llmsizer simulate -m llama-3.1-8b -g h100 --rate 10 --num-prompts 500

  llmsizer simulate -m llama-3.1-8b -g h100 -c 64 --isl 800..1000 --osl 200..256
"""

Text = str | None


@with_question
def command(
    words: Words,
    num_prompts: Annotated[Text, typer.Option("--num-prompts", help="Requests to send (1000).", metavar="NUMBER")] = None,
    replicas: Annotated[Text, typer.Option("--replicas", help="Engines behind one door.", metavar="NUMBER")] = None,
    routing: Annotated[Text, typer.Option("--routing", help="round-robin, least-loaded or prefix-aware.")] = None,
    seed: Annotated[Text, typer.Option("--seed", help="Seed of the random draws (default 0).", metavar="NUMBER")] = None,
    burstiness: Annotated[
        Text, typer.Option("--burstiness", help="Variation of the gaps between requests (1: Poisson).", metavar="NUMBER")
    ] = None,
    trace: Annotated[Text, typer.Option("--trace", help="A file of arrivals and lengths.", metavar="FILE")] = None,
    ttft: Annotated[Text, typer.Option("--ttft", help="Target for the first token, e.g. 500ms.", metavar="TIME")] = None,
    tpot: Annotated[Text, typer.Option("--tpot", help="Target for each further token, e.g. 40ms.", metavar="TIME")] = None,
    requests: Annotated[
        Text, typer.Option("--requests", help="Write every request into this CSV file.", metavar="FILE")
    ] = None,
    plot: Annotated[Text, typer.Option("--plot", help="Draw the run into this .svg or .png file.", metavar="FILE")] = None,
    format_: Format = "table",
    catalog: CatalogPaths = None,
) -> None:
    """Simulates an engine step by step: percentiles, goodput, running batch and cache over time."""
    checked_format(format_)
    from llmsizer.report.simulation import requests_csv, save_plots, simulation_tables
    from llmsizer.simulation.asked import Asked, simulate_question

    asked = Asked(**_asked(num_prompts, replicas, routing, seed, burstiness, trace, ttft, tpot))
    result, case = simulate_question(words, asked, catalog_of(catalog), _progress())
    if requests is not None:
        _write(Path(requests), requests_csv(result))
    if plot is not None:
        save_plots(result, plot)
    if format_ == "json":
        print(as_json(result.to_dict()))
        return
    heading = f"{case.model.id} on {case.parallel.devices} × {case.accelerator.name}, {case.engine.title} {case.engine.version}"
    print_tables(heading, simulation_tables(result), format_)


def _asked(num_prompts: Text, replicas: Text, routing: Text, seed: Text, burstiness: Text, trace: Text, ttft: Text, tpot: Text
           ) -> dict[str, Any]:  # fmt: skip
    found: dict[str, Any] = {}
    for name, given, least, most in (("num_prompts", num_prompts, 1, 10_000_000), ("replicas", replicas, 1, 10_000),
                                     ("seed", seed, 0, 2**31)):  # fmt: skip
        if given is not None:
            found[name] = checked_integer(name, given, least, most)
    if burstiness is not None:
        found["variation"] = checked_fraction("burstiness", burstiness, 0.01, 100.0)
    if routing is not None:
        found["routing"] = routing
    if trace is not None:
        from llmsizer.catalog.traces import read_trace

        found["trace"] = read_trace(trace)
    if ttft is not None or tpot is not None:
        from llmsizer.schema.workload import Targets

        times = {"ttft_seconds": ttft, "tpot_seconds": tpot}
        found["targets"] = Targets(**{name: parse_quantity(text, "second") for name, text in times.items() if text is not None})
    return found


def _progress() -> Callable[[int, int], None] | None:
    """A progress bar on a terminal, shown only by runs that take long."""
    if not sys.stderr.isatty():
        return None
    from rich.progress import Progress

    bar = Progress(transient=True)
    task = bar.add_task("simulating")

    def advance(done: int, whole: int) -> None:
        bar.start()
        bar.update(task, total=whole, completed=done)
        if done >= whole:
            bar.stop()

    return advance


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise LlmsizerError(f"{path} cannot be written: {error.strerror}") from error
