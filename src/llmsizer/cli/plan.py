"""``llmsizer plan``: what to run for a workload and its targets, at the lowest cost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from llmsizer.cli.options import QUESTION, CatalogPaths, Format, catalog_of, option, with_words
from llmsizer.cli.output import checked_format, print_tables, width
from llmsizer.cli.sweep import Progress
from llmsizer.core.errors import InvalidQuestion
from llmsizer.planner.ask import PLAIN_WORDS, question_of
from llmsizer.planner.plan import Plan, plan_question
from llmsizer.report.memory import paragraphs
from llmsizer.report.plan import answer_lines, picks_table, plan_heading, rejected_table, rows_table
from llmsizer.report.tables import Table, as_csv, as_json

EXAMPLES = """Examples:

  llmsizer plan -m llama-3.1-8b --rate 5 --ttft 500ms --tpot 40ms

  llmsizer plan -m llama-3.1-70b --rate 10 --targets interactive --gpus h100,h200,l40s --formats auto,fp8,awq

  llmsizer plan plan.yaml -o report.html
"""

Text = str | None
# One line a word: its type, its default, its flags and help.
# ruff: noqa: E501
CHOICES: dict[str, tuple[Any, Any, Any]] = {
    "hardware": (Text, None, option("--gpus", "-g", text="Devices to choose from, or any (default).", metavar="NAMES")),
    "vendors": (Text, None, option("--vendors", text="Vendors to choose from.", metavar="NAMES")),
    "engines": (Text, None, option("--engines", "-e", text="Engines to choose from (vllm).", metavar="NAMES")),
    "formats": (Text, None, option("--formats", "-q", text="Weight formats: auto (the checkpoint's), fp8 … or any (auto,fp8).", metavar="NAMES")),
    "cache_formats": (Text, None, option("--cache-formats", text="KV cache formats: auto, fp8 … or any (auto).", metavar="NAMES")),
    "targets": (Text, None, option("--targets", text="A preset: interactive, agent or batch.", metavar="NAME")),
    "ttft": (Text, None, option("--ttft", text="Longest time to the first token.", metavar="TIME")),
    "tpot": (Text, None, option("--tpot", text="Longest time for each further token.", metavar="TIME")),
    "e2e": (Text, None, option("--e2e", text="Longest time to the last token.", metavar="TIME")),
    "percentile": (Text, None, option("--percentile", text="Of the targets: mean, p50, p90, p95 (default) or p99.", metavar="NAME")),
    "providers": (Text, None, option("--providers", text="Providers to rent from.", metavar="NAMES")),
    "regions": (Text, None, option("--regions", text="Regions to rent in.", metavar="NAMES")),
    "markets": (Text, None, option("--markets", text="on-demand (default), spot, reserved.", metavar="NAMES")),
    "most_devices": (Text, None, option("--max-gpus", text="Most devices of a replica (16).", metavar="NUMBER")),
    "most_devices_in_all": (Text, None, option("--quota", text="Most devices in all.", metavar="NUMBER")),
    "most_usd_per_hour": (Text, None, option("--max-price", text="Budget, e.g. '50 USD/h'.", metavar="PRICE")),
    "most_watts": (Text, None, option("--max-power", text="Board power in all, e.g. '10 kW'.", metavar="POWER")),
    "headroom": (Text, None, option("--headroom", text="Share of the capacity kept free.", metavar="SHARE")),
    "spare": (Text, None, option("--spare", text="Replicas beyond the need (1: N+1).", metavar="NUMBER")),
    "growth": (Text, None, option("--growth", text="Demand to come, as a multiple (3).", metavar="NUMBER")),
    "picks": (Text, None, option("--picks", text="How many to ask again and simulate (5).", metavar="NUMBER")),
    "confirm": (bool | None, None, option("--simulate/--no-simulate", text="Confirm the picks by simulation (default).")),
}  # fmt: skip
WORDS = {
    name: ((Text, None, QUESTION[name][2]) if name == "model" else QUESTION[name])
    for name in QUESTION if name in (*PLAIN_WORDS, "concurrency", "request_rate", "price", "price_date")
}  # fmt: skip


@with_words({**WORDS, **CHOICES})
def command(
    words: Mapping[str, Any],
    file: Annotated[Text, typer.Argument(help="A plan file (YAML) instead of options.", metavar="[FILE]")] = None,
    format_: Format = "table",
    catalog: CatalogPaths = None,
) -> None:
    """Finds the cheapest hardware and settings that meet the targets, and says why the others do not."""
    form, nouns = checked_format(format_), catalog_of(catalog)
    if file is not None:
        raise InvalidQuestion("plan files are not read yet", "give the options on the command line")
    question = question_of(asked(words))
    with Progress() as progress:
        plan = plan_question(question, nouns, progress)
    print_plan(plan, form)
    if not plan.picks:
        raise SystemExit(1)


def asked(given: Mapping[str, Any]) -> dict[str, Any]:
    """The words of a plan from its options."""
    words = dict(given)
    percentile = words.pop("percentile", None)
    suffix = f"_{percentile}" if percentile else ""
    times = {f"{name}{suffix}": words.pop(name) for name in ("ttft", "tpot", "e2e") if name in words}
    if times and "targets" in words:
        raise InvalidQuestion(
            "--targets and single targets exclude each other", "leave out --targets, or --ttft, --tpot and --e2e"
        )
    if times:
        words["targets"] = times
    return words


def print_plan(plan: Plan, form: str) -> None:
    """Prints a plan in one of the output formats."""
    if form == "json":
        print(as_json(plan.to_dict()))
    elif form == "csv":
        rows = list(plan.alternatives)
        print(as_csv(list(rows[0]) if rows else ["hardware"], [list(row.values()) for row in rows]))
    elif form == "markdown":
        lines = [f"- {line}" for line in answer_lines(plan)]
        print("\n".join([f"## {plan_heading(plan.question)}", "", *lines, ""]))
        print_tables("Candidates", tables(plan), form)
    else:
        print("\n".join([*paragraphs([plan_heading(plan.question), "", *answer_lines(plan)], width()), ""]))
        print_tables(f"{plan.candidates.tried:,} candidates tried, {len(plan.candidates):,} fit", tables(plan), form)


def tables(plan: Plan) -> list[Table]:
    """Picks, other candidates and rejections; those that are empty are left out."""
    found = [
        picks_table(plan), rows_table("Best of each device", plan.alternatives),
        rows_table("Not beaten in cost, latency and throughput at once", plan.front), rejected_table(plan),
    ]  # fmt: skip
    return [table for table in found if table.rows]
